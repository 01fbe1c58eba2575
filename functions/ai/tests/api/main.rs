//! The capability over memory ports and an endpoint that misbehaves on demand: requests as the gateway
//! hands them over, answers as a caller sees them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod collections;
mod files;
mod ingestion;
mod questions;
mod requests;
mod work;

use std::sync::Arc;

use ai::search::{Search, Shelves};
use ai::worker::Worker;
use ai::{Ai, api};
use domain::Caller;
use models::Targets;
use models::gateway::{Gateway, Parts};
use models::testing::Provider;
use ports::channels::{Channel, Frame, MemoryChannels};
use ports::clock::ManualClock;
use ports::ids::SequentialIds;
use ports::queue::MemoryQueue;
use ports::secrets::MemorySecrets;
use ports::table::MemoryTable;
use runtime::testing::{Answer, Call};
use runtime::{Api, Platform};
use serde_json::{Value, json};

const NOW: &str = "2026-11-24T10:11:12Z";
const SECRET: &str = "model-targets";

/// The capability with everything around it in memory, except the endpoint, which has a real socket.
struct World {
    api: Api,
    worker: Worker,
    table: Arc<MemoryTable>,
    secrets: Arc<MemorySecrets>,
    jobs: Arc<MemoryQueue>,
    channels: Arc<MemoryChannels>,
    clock: Arc<ManualClock>,
    provider: Provider,
}

impl World {
    /// With a model `small` that says what it is told to.
    fn new() -> Self {
        let world = Self::without_models();
        world.models(&["small"]);
        world
    }

    fn without_models() -> Self {
        let (clock, ids) = (ManualClock::at_text(NOW), SequentialIds::shared());
        let (table, secrets) = (MemoryTable::shared(), MemorySecrets::shared());
        let (jobs, channels) = (MemoryQueue::shared(), MemoryChannels::shared());
        secrets.set(SECRET, "[]");
        let books = MemoryTable::shared();
        let targets = || {
            let parts = Parts {
                client: runtime::outbound::client().unwrap(),
                table: books.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
            };
            let gateway = Gateway::new(parts, Vec::new());
            Targets::new(secrets.clone(), SECRET, clock.clone(), gateway)
        };
        let ai = Arc::new(Ai {
            table: table.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
        });
        let platform = Platform {
            requests: MemoryTable::shared(),
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let search = Arc::new(Search {
            ai: ai.clone(),
            targets: targets(),
            shelves: Shelves::default(),
        });
        Self {
            api: Api::new(api::routes(search, jobs.clone()), platform).unwrap(),
            worker: Worker {
                ai,
                targets: targets(),
                jobs: jobs.clone(),
                channels: channels.clone(),
            },
            table,
            secrets,
            jobs,
            channels,
            clock,
            provider: Provider::start(),
        }
    }

    /// Names these models, in this order; each costs a micro-unit a token.
    fn models(&self, names: &[&str]) {
        let list: Vec<Value> = names
            .iter()
            .map(|name| {
                json!({
                    "name": name, "base_url": self.provider.base_url(), "key": "sk-test", "model": name,
                    "price": {"input_micros_per_million": 1_000_000, "output_micros_per_million": 1_000_000},
                    "timeouts": {"first_token_ms": 400, "idle_ms": 300, "total_ms": 3000},
                    "embeddings": "vectors",
                })
            })
            .collect();
        self.secrets.set(SECRET, json!(list).to_string());
    }

    /// Lets `small` say this, again and again.
    fn says(&self, data: &Value) {
        self.provider.says("small", &[(&data.to_string(), "stop")]);
    }

    async fn send_by(&self, caller: &Caller, call: Call) -> Answer {
        call.by(caller)
            .header("accept-language", "en")
            .send(&self.api.router())
            .await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send_by(&owner(), Call::post(path, body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send_by(&owner(), Call::get(path)).await
    }

    /// Takes on a job and gives its path.
    async fn take_on(&self, task: &str, texts: &[&str], options: &Value) -> String {
        let body = json!({"task": task, "input": {"texts": texts}, "options": options});
        let taken = self.post("/v1/ai/jobs", &body).await;
        assert_eq!(taken.status, 202, "{}", taken.json());
        assert_eq!(taken.json()["status"], "queued");
        format!("/v1/ai/jobs/{}", taken.json()["id"].as_str().unwrap())
    }

    async fn view(&self, path: &str) -> Value {
        self.get(path).await.json()
    }

    async fn items(&self, path: &str) -> Vec<Value> {
        let page = self.get(&format!("{path}/items")).await.json();
        page["items"].as_array().unwrap().clone()
    }

    /// Gives the organisation so much to spend.
    async fn set_budget(&self, micros: i64) {
        let ledger = self.worker.targets.books().ledger();
        let org = owner().organisation;
        let scope = models::Scope::Organisation;
        let set = ledger.set(org, &scope, micros, models::Period::Month, None);
        set.await.unwrap();
    }

    /// Makes a collection and gives its path.
    async fn collection(&self) -> String {
        let made = self
            .post("/v1/ai/collections", &json!({"name": "Manual"}))
            .await;
        assert_eq!(made.status, 201, "{}", made.json());
        format!("/v1/ai/collections/{}", made.json()["id"].as_str().unwrap())
    }

    /// Adds a plain text and gives the path of its document.
    async fn add(&self, collection: &str, title: &str, text: &str) -> String {
        let body = json!({"title": title, "media_type": "text/plain", "text": text});
        self.send_document(collection, &body).await
    }

    async fn send_document(&self, collection: &str, body: &Value) -> String {
        let added = self.post(&format!("{collection}/documents"), body).await;
        assert_eq!(added.status, 202, "{}", added.json());
        let id = added.json()["id"].as_str().unwrap().to_owned();
        format!("{collection}/documents/{id}")
    }

    /// What is found in a collection.
    async fn search(&self, collection: &str, query: &str) -> Value {
        let body = json!({"collection_ids": [id_of(collection)], "query": query});
        let found = self.post("/v1/ai/search", &body).await;
        assert_eq!(found.status, 200, "{}", found.json());
        found.json()
    }

    /// Delivers every order that waits, once, and says how many were not done.
    async fn work(&self) -> usize {
        let mut undone = 0;
        for message in self.jobs.drain() {
            undone += usize::from(self.worker.on(&message.body).await.is_err());
        }
        undone
    }

    /// What was told of a document on the channel that it named.
    fn told_of(&self, queued: &Value) -> Vec<Frame> {
        let channel = queued["channel"].as_str().unwrap();
        self.told(&channel.replace(':', "/"))
    }

    fn told(&self, path: &str) -> Vec<Frame> {
        let id = path.rsplit('/').next().unwrap().parse().unwrap();
        self.channels.told(&Channel::job(owner().organisation, id))
    }

    /// The events that were announced, as `type` and `data`.
    fn events(&self) -> Vec<(String, Value)> {
        let envelopes = self.table.changes().into_iter().filter_map(|row| {
            row.key
                .sk
                .starts_with("event#")
                .then(|| row.attributes["envelope"].clone())
        });
        envelopes
            .map(|envelope| {
                let name = envelope["type"].as_str().unwrap().to_owned();
                (name, envelope["data"].clone())
            })
            .collect()
    }
}

/// A member of an organisation; equal numbers are the same organisation.
fn caller(organisation: u32, role: &str) -> Caller {
    Caller::new(
        format!("usr_{organisation:032x}").parse().unwrap(),
        format!("org_{organisation:032x}").parse().unwrap(),
        format!("ses_{organisation:032x}").parse().unwrap(),
        domain::PlatformRole::User,
        Some(serde_json::from_value(json!(role)).unwrap()),
    )
}

/// The id at the end of a path.
fn id_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn owner() -> Caller {
    caller(1, "owner")
}

fn pointers(answer: &Answer) -> Vec<String> {
    let errors = answer.json()["errors"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap().to_owned())
        .collect()
}
