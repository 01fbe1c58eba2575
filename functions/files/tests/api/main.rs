//! The API and the worker over memory ports, with a store that takes files as S3 does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arrivals;
mod cut;
mod isolation;
mod parts;
mod quota;
mod refusals;
mod story;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use domain::{Caller, OrganisationRole, PlatformRole};
use files::notice::{self, Notice};
use files::scan::{Engine, Signatures};
use files::{Files, FilesError, api};
use ports::blobs::MemoryBlobs;
use ports::blobs::uploads::SendError;
use ports::clock::ManualClock;
use ports::ids::SequentialIds;
use ports::table::{Item, MemoryTable};
use ring::digest::{SHA256, digest};
use runtime::testing::{Answer, Call};
use runtime::{Api, Platform};
use serde_json::{Value, json};

const NOW: &str = "2026-11-24T10:11:12Z";

/// What one organisation's files may take up here.
const QUOTA: u64 = 200 * 1024 * 1024;

/// The two functions with everything around them in memory.
struct Function {
    router: Router,
    files: Arc<Files>,
    table: Arc<MemoryTable>,
    blobs: Arc<MemoryBlobs>,
    clock: Arc<ManualClock>,
    engine: Arc<dyn Engine>,
}

impl Function {
    fn new() -> Self {
        Self::with(QUOTA, Arc::new(Signatures::default()))
    }

    fn with(quota: u64, engine: Arc<dyn Engine>) -> Self {
        let clock = ManualClock::at_text(NOW);
        let (table, blobs) = (MemoryTable::shared(), MemoryBlobs::shared(clock.clone()));
        let ids = SequentialIds::shared();
        let files = Arc::new(Files {
            table: table.clone(),
            blobs: blobs.clone(),
            quota,
            clock: clock.clone(),
            ids: ids.clone(),
        });
        let platform = Platform {
            requests: MemoryTable::shared(),
            clock: clock.clone(),
            ids,
        };
        let api = Api::new(api::routes(files.clone()), platform).unwrap();
        Self {
            router: api.router(),
            files,
            table,
            blobs,
            clock,
            engine,
        }
    }

    async fn ask(&self, caller: &Caller, method: &str, path: &str) -> Answer {
        let call = Call::new(method, path).header("accept-language", "en");
        call.by(caller).send(&self.router).await
    }

    async fn send(&self, caller: &Caller, method: &str, path: &str, body: &Value) -> Answer {
        let call = Call::new(method, path).header("accept-language", "en");
        call.json(body).by(caller).send(&self.router).await
    }

    /// Agrees on a file of these octets.
    async fn start(&self, caller: &Caller, content_type: &str, octets: &[u8]) -> Value {
        let body = agreement("a file", content_type, octets);
        let answer = self.send(caller, "POST", "/v1/files/uploads", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.json());
        answer.json()
    }

    /// Sends octets to where an answer says, as plain HTTP would; the status of the store's answer.
    fn put(&self, upload: &Value, octets: &[u8]) -> u16 {
        let headers: BTreeMap<String, String> =
            serde_json::from_value(upload["headers"].clone()).unwrap();
        let received = self
            .blobs
            .receive(upload["url"].as_str().unwrap(), &headers, octets);
        received.map_or_else(SendError::status, |()| 200)
    }

    /// Uploads a file, and lets the store's notice arrive; its id.
    async fn store(&self, caller: &Caller, content_type: &str, octets: &[u8]) -> String {
        let started = self.start(caller, content_type, octets).await;
        assert_eq!(self.put(&started["upload"], octets), 200);
        let id = started["id"].as_str().unwrap().to_owned();
        self.notify(caller, &id).await;
        id
    }

    /// Lets the store's notice about a file arrive.
    async fn on(&self, notice: &Notice, delivery: u32) -> Result<(), FilesError> {
        self.files.on(&*self.engine, notice, delivery).await
    }

    async fn notify(&self, caller: &Caller, id: &str) {
        for notice in created(caller, id) {
            self.on(&notice, 1).await.unwrap();
        }
    }

    /// How far a file is, or `none`. A fault that no earlier call met strikes here, and is asked over.
    async fn status(&self, caller: &Caller, id: &str) -> String {
        let path = format!("/v1/files/{id}");
        let mut answer = self.ask(caller, "GET", &path).await;
        if answer.status == 503 {
            answer = self.ask(caller, "GET", &path).await;
        }
        answer.json()["status"]
            .as_str()
            .filter(|_| answer.status == 200)
            .unwrap_or("none")
            .to_owned()
    }

    async fn usage(&self, caller: &Caller) -> Value {
        self.ask(caller, "GET", "/v1/files/usage").await.json()
    }

    /// What the counters say is what the rows say, to the octet.
    fn assert_consistent(&self, caller: &Caller, place: &str) {
        let org = caller.organisation.to_string();
        let rows = self.table.rows();
        let mine = || rows.iter().filter(|row| row.key.pk == org);
        let bytes = |row: &Item| row.attributes["facts"]["bytes"].as_i64().unwrap();
        let stored: Vec<i64> = mine()
            .filter(|row| row.key.sk.starts_with("file#"))
            .map(bytes)
            .collect();
        let usage = mine().find(|row| row.key.sk == "usage");
        let number = |name: &str| {
            let usage = usage.and_then(|row| row.attributes.get(name));
            usage.and_then(Value::as_i64).unwrap_or_default()
        };
        let rooms: Vec<i64> = usage
            .iter()
            .flat_map(|row| &row.attributes)
            .filter(|(name, _)| name.starts_with("fil_"))
            .map(|(_, room)| room.as_i64().unwrap())
            .collect();
        let (stored_bytes, room_bytes) = (stored.iter().sum(), rooms.iter().sum());
        let found = ["bytes", "files", "reserved", "open", "taken"].map(number);
        let expected: [i64; 5] = [
            stored_bytes,
            i64::try_from(stored.len()).unwrap(),
            room_bytes,
            i64::try_from(rooms.len()).unwrap(),
            stored_bytes + room_bytes,
        ];
        assert_eq!(found, expected, "{place}");
    }

    /// How often an event of this type was announced.
    fn announced(&self, name: &str) -> usize {
        let changes = self.table.changes();
        let events = changes
            .iter()
            .filter_map(|row| row.attributes.get("envelope"));
        events.filter(|envelope| envelope["type"] == name).count()
    }
}

fn created(caller: &Caller, id: &str) -> Vec<Notice> {
    let key = format!("{}/{id}", caller.organisation);
    let record = json!({"eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}});
    notice::parse(&json!({"Records": [record]}).to_string()).unwrap()
}

/// A member of an organisation; equal numbers are the same organisation.
fn member(organisation: u32, role: OrganisationRole) -> Caller {
    Caller::new(
        format!("usr_{organisation:032x}").parse().unwrap(),
        format!("org_{organisation:032x}").parse().unwrap(),
        format!("ses_{organisation:032x}").parse().unwrap(),
        PlatformRole::User,
        Some(role),
    )
}

fn owner() -> Caller {
    member(1, OrganisationRole::Owner)
}

fn agreement(name: &str, content_type: &str, octets: &[u8]) -> Value {
    json!({
        "name": name, "bytes": octets.len(), "content_type": content_type, "sha256": sha256(octets),
    })
}

fn sha256(octets: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(digest(&SHA256, octets).as_ref())
}
