//! Every capability over memory ports, with what lies between them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ai::Ai;
use ai::search::{Search, Shelves};
use auth::Auth;
use auth::authorizer::{Authorizer, Question, Recent};
use auth::jwks::KeySet;
use auth::token::Verifier;
use axum::Router;
use content::{Content, Targets};
use documents::Documents;
use documents::batch::Batches;
use documents::batch::worker::Told;
use documents::brand::Logos;
use documents::renderer::Renderer;
use domain::{Email, Envelope, Event};
use files::Files;
use files::scan::Signatures;
use models::gateway::{Gateway, Parts};
use notifications::api::Desk;
use notifications::socket::MESSAGES;
use notifications::{Socket, Tickets};
use platform::api::Health;
use platform::outbox::Outbox;
use ports::blobs::MemoryBlobs;
use ports::bus::MemoryBus;
use ports::channels::StoredChannels;
use ports::clock::ManualClock;
use ports::identity::{MemoryIdentity, PoolSettings};
use ports::ids::{Ids, SequentialIds};
use ports::keys::MemoryKeys;
use ports::queue::MemoryQueue;
use ports::secrets::MemorySecrets;
use ports::sockets::MemorySockets;
use ports::table::{Item, MemoryTable};
use runtime::rate_limit::Limiter;
use runtime::serve::{Change, Handshake, Moment, Position, SocketEvent};
use runtime::testing::{Answer, Call};
use runtime::{Api, Platform, Problem};
use serde_json::{Value, json};
use users::Users;

use crate::pool;

const SECRET: &str = "refresh-secret";
const TARGETS: &str = "model-targets";
const PASSWORD: &str = "Correct-Horse-7-Battery";

/// The octets that the files of one organisation may take up.
const FILES_QUOTA: u64 = 10 * 1024 * 1024 * 1024;

/// The fleet.
pub struct Fleet {
    /// Time for all of it.
    pub clock: Arc<ManualClock>,
    /// The user pool.
    pub identity: Arc<MemoryIdentity>,
    /// The table of `auth`.
    pub auth_table: Arc<MemoryTable>,
    /// The table of `users`.
    pub users_table: Arc<MemoryTable>,
    /// The table of `documents`.
    pub documents_table: Arc<MemoryTable>,
    /// The files of `documents`.
    pub blobs: Arc<MemoryBlobs>,
    /// The table of `files`.
    pub files_table: Arc<MemoryTable>,
    /// The bucket of `files`.
    pub files_blobs: Arc<MemoryBlobs>,
    /// The table of `content`.
    pub content_table: Arc<MemoryTable>,
    /// The texts that are to be streamed.
    pub content_jobs: Arc<MemoryQueue>,
    /// The table of `ai`.
    pub ai_table: Arc<MemoryTable>,
    /// The orders of jobs over texts.
    pub ai_jobs: Arc<MemoryQueue>,
    /// The orders of batches of documents.
    pub document_jobs: Arc<MemoryQueue>,
    /// The event bus.
    pub bus: Arc<MemoryBus>,
    /// What is told while it happens.
    pub channels: Arc<StoredChannels>,
    /// The open connections.
    pub sockets: Arc<MemorySockets>,
    /// Serves them.
    pub socket: Socket,
    desk: Arc<Desk>,
    auth: Arc<Auth>,
    users: Arc<Users>,
    documents: Arc<Documents>,
    files: Arc<Files>,
    content: Arc<Content>,
    ai: ai::worker::Worker,
    search: Arc<Search>,
    secrets: Arc<MemorySecrets>,
    documents_worker: documents::batch::worker::Worker,
    authorizer: Authorizer,
    platform: Platform,
}

/// Somebody with a confirmed address who has signed in.
#[derive(Clone, Debug)]
pub struct Person {
    /// The address.
    pub email: String,
    /// The answer to the sign-in.
    pub tokens: Value,
}

impl Person {
    /// The `Authorization` header.
    pub fn bearer(&self) -> String {
        format!(
            "Bearer {}",
            self.tokens["access_token"].as_str().unwrap_or_default()
        )
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

impl Fleet {
    /// A fleet that nobody has used yet.
    #[expect(
        clippy::too_many_lines,
        reason = "every capability is put together once, in one place"
    )]
    pub fn new() -> Self {
        let clock = ManualClock::at_text("2026-01-02T03:04:05Z");
        let ids: Arc<dyn Ids> = SequentialIds::shared();
        let settings = PoolSettings::default();
        let verifier = Verifier::new(settings.issuer.clone(), settings.client_id.clone());
        let identity =
            MemoryIdentity::with_settings(clock.clone(), ids.clone(), pool::mint(), settings);
        let [
            auth_table,
            users_table,
            documents_table,
            files_table,
            content_table,
            ai_table,
            channels_table,
            requests,
        ] = std::array::from_fn(|_| MemoryTable::shared());
        let (blobs, secrets) = (MemoryBlobs::shared(clock.clone()), MemorySecrets::shared());
        secrets.set(SECRET, "the secret of these tests");
        secrets.set(TARGETS, "[]");
        let auth = Auth {
            identity: identity.clone(),
            table: auth_table.clone(),
            keys: MemoryKeys::shared(),
            secrets: secrets.clone(),
            refresh_secret_id: SECRET.to_owned(),
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let users = Users {
            table: users_table.clone(),
            accounts: auth_table.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let documents = Arc::new(Documents {
            table: documents_table.clone(),
            blobs: blobs.clone(),
            renderer: Renderer::new(renderer()),
            logos: Logos::default(),
            // However busy the machine is: what is asked of this world is asked at once.
            patience: Duration::from_mins(1),
            clock: clock.clone(),
            ids: ids.clone(),
        });
        let files_blobs = MemoryBlobs::shared(clock.clone());
        let files = Files {
            table: files_table.clone(),
            blobs: files_blobs.clone(),
            quota: FILES_QUOTA,
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let gateway = Gateway::new(
            Parts {
                client: runtime::outbound::client().expect("an HTTP client"),
                table: content_table.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
            },
            Vec::new(),
        );
        let content = Content {
            table: content_table.clone(),
            targets: Targets::new(secrets.clone(), TARGETS, clock.clone(), gateway),
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let sockets = MemorySockets::shared();
        let channels = Arc::new(StoredChannels::new(
            channels_table.clone(),
            sockets.clone(),
            clock.clone(),
            ids.clone(),
        ));
        let ai_jobs = MemoryQueue::shared();
        let ai_targets = || {
            let parts = Parts {
                client: runtime::outbound::client().expect("an HTTP client"),
                table: content_table.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
            };
            let gateway = Gateway::new(parts, Vec::new());
            Targets::new(secrets.clone(), TARGETS, clock.clone(), gateway)
        };
        let ai = ai::worker::Worker {
            ai: Arc::new(Ai {
                table: ai_table.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
            }),
            targets: ai_targets(),
            jobs: ai_jobs.clone(),
            channels: channels.clone(),
        };
        let search = Arc::new(Search {
            ai: ai.ai.clone(),
            targets: ai_targets(),
            shelves: Shelves::default(),
        });
        let document_jobs = MemoryQueue::shared();
        let documents_worker = documents::batch::worker::Worker {
            batches: Batches {
                documents: documents.clone(),
            },
            jobs: document_jobs.clone(),
            channels: channels.clone(),
            assembly: blobs.clone(),
            answers: content_table.clone(),
            told: Told::default(),
        };
        let tickets = || Tickets {
            table: channels_table.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let desk = Arc::new(Desk {
            tickets: tickets(),
            url: "wss://socket.example.com/v1".to_owned(),
        });
        let socket = Socket {
            table: channels_table.clone(),
            tickets: tickets(),
            channels: channels.clone(),
            sockets: sockets.clone(),
            messages: Limiter::new(requests.clone(), clock.clone(), MESSAGES),
            clock: clock.clone(),
        };
        let authorizer = Authorizer {
            verifier,
            keys: KeySet::new(pool::Published, clock.clone()),
            accounts: auth_table.clone(),
            members: users_table.clone(),
            usage: requests.clone(),
            secrets: secrets.clone(),
            key_secret_id: SECRET.to_owned(),
            clock: clock.clone(),
            recent: Recent::default(),
        };
        Self {
            platform: Platform {
                requests,
                clock: clock.clone(),
                ids,
            },
            auth: Arc::new(auth),
            users: Arc::new(users),
            files: Arc::new(files),
            content: Arc::new(content),
            ai,
            search,
            ai_table,
            ai_jobs,
            secrets,
            content_jobs: MemoryQueue::shared(),
            documents,
            documents_worker,
            document_jobs,
            bus: MemoryBus::shared(),
            channels,
            sockets,
            socket,
            desk,
            authorizer,
            clock,
            identity,
            auth_table,
            users_table,
            documents_table,
            content_table,
            blobs,
            files_table,
            files_blobs,
        }
    }

    /// Names the models that can be asked: the JSON of the operator's secret.
    pub fn name_models(&self, targets: &Value) {
        self.secrets.set(TARGETS, targets.to_string());
    }

    /// Does the jobs of texts that are to be streamed, as `content-worker` does.
    pub async fn stream_content(&self) {
        let worker = self.content_worker();
        for message in self.content_jobs.drain() {
            worker.on(&message.body).await.expect("a job that is done");
        }
    }

    fn content_worker(&self) -> content::stream::Worker {
        content::stream::Worker {
            content: self.content.clone(),
            channels: self.channels.clone(),
            jobs: self.content_jobs.clone(),
            wishes: self.documents_table.clone(),
        }
    }

    /// Does the jobs over texts and reads documents into their collections, as `ai-worker` does.
    pub async fn read_texts(&self) {
        for message in self.ai_jobs.drain() {
            self.ai.on(&message.body).await.expect("a job that is done");
        }
    }

    /// The APIs, wired as their binaries wire them.
    pub fn apis(&self) -> Vec<Api> {
        let health = Arc::new(Health {
            requests: self.platform.requests.clone(),
        });
        [
            auth::api::routes(self.auth.clone(), &self.platform),
            users::api::routes(self.users.clone()),
            documents::api::routes(self.documents.clone()).merge(documents::batch_api::routes(
                self.documents_worker.batches.clone(),
            )),
            files::api::routes(self.files.clone()),
            content::api::routes(self.content.clone(), self.content_jobs.clone()),
            ai::api::routes(self.search.clone(), self.ai_jobs.clone()),
            notifications::api::routes(self.desk.clone()),
            platform::api::routes(health),
        ]
        .into_iter()
        .map(|routes| {
            Api::new(routes, self.platform.clone()).expect("every route says who may call it")
        })
        .collect()
    }

    /// Sends a call through the gateway: the authorizer first, then the API that has the route.
    pub async fn send(&self, call: Call) -> Answer {
        let question: Question = serde_json::from_value(call.event()).expect("a gateway event");
        let verdict = self
            .authorizer
            .answer(&question)
            .await
            .expect("an authorizer that works");
        let context = serde_json::to_value(&verdict.context).expect("a context");
        let call = call.authorized(context);
        let mut answer = None;
        for router in self.routers() {
            let found = call.send(&router).await;
            let missing = found.code().as_deref() == Some("not_found");
            if !missing {
                return found;
            }
            answer = Some(found);
        }
        answer.expect("a fleet has APIs")
    }

    fn routers(&self) -> Vec<Router> {
        self.apis().iter().map(Api::router).collect()
    }

    /// `POST` by somebody, or by nobody.
    pub async fn post(&self, path: &str, by: Option<&Person>, body: &Value) -> Answer {
        self.send(signed(Call::post(path, body), by)).await
    }

    /// `GET` by somebody, or by nobody.
    pub async fn get(&self, path: &str, by: Option<&Person>) -> Answer {
        self.send(signed(Call::get(path), by)).await
    }

    /// Somebody who has signed up, confirmed the address and signed in.
    pub async fn person(&self, email: &str) -> Person {
        let new = json!({"email": email, "password": PASSWORD, "name": "Ana", "locale": "es"});
        assert_eq!(self.post("/v1/auth/signup", None, &new).await.status, 201);
        let address: Email = email.parse().expect("an address");
        let code = self.identity.code_for(&address).expect("a code");
        let confirmed = self
            .post(
                "/v1/auth/confirm",
                None,
                &json!({"email": email, "code": code}),
            )
            .await;
        assert_eq!(confirmed.status, 200);
        let tokens = self
            .post(
                "/v1/auth/login",
                None,
                &json!({"email": email, "password": PASSWORD}),
            )
            .await;
        assert_eq!(tokens.status, 200, "{:?}", tokens.json());
        Person {
            email: email.to_owned(),
            tokens: tokens.json(),
        }
    }

    /// Opens a connection of somebody, with a ticket that was just issued.
    pub async fn open(&self, connection: &str, by: &Person) {
        let issued = self.post("/v1/ws/tickets", Some(by), &json!({})).await;
        assert_eq!(issued.status, 201, "{:?}", issued.json());
        let ticket = issued.json()["ticket"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let handshake = Handshake {
            query: [("ticket".to_owned(), ticket)].into(),
            ..Handshake::default()
        };
        let opened = self.connection(connection, Moment::Opens(handshake)).await;
        opened.expect("a connection that is let in");
        self.sockets.open(connection);
    }

    /// Says something on a connection, and gives what was heard there since it was last asked.
    pub async fn say(&self, connection: &str, message: &Value) -> Vec<Value> {
        let said = self.connection(connection, Moment::Says(message.to_string()));
        said.await.expect("a message that is answered");
        self.heard(connection)
    }

    /// What was heard on a connection since it was last asked.
    pub fn heard(&self, connection: &str) -> Vec<Value> {
        let texts = self.sockets.take(connection);
        let frames = texts.iter().map(|text| serde_json::from_str(text));
        frames.collect::<Result<_, _>>().expect("frames are JSON")
    }

    async fn connection(&self, connection: &str, moment: Moment) -> Result<(), Problem> {
        let connection = connection.to_owned();
        self.socket.on(SocketEvent { connection, moment }).await
    }

    /// Brings what the tables announced to the bus, as the streams and `outbox` do.
    pub async fn publish(&self) -> Vec<Envelope> {
        let outbox = Outbox {
            bus: self.bus.clone(),
        };
        for table in [
            &self.auth_table,
            &self.users_table,
            &self.documents_table,
            &self.files_table,
            &self.content_table,
            &self.ai_table,
        ] {
            let changes: Vec<Change> = table.take_changes().iter().map(change).collect();
            outbox.publish(&changes).await.expect("a bus that works");
        }
        self.bus.take_published()
    }

    /// Hands the store's messages to `files-events`.
    pub async fn deliver_files(&self, message: &str) {
        for notice in files::notice::parse(message).expect("a message of the store") {
            let done = self.files.on(&Signatures::default(), &notice, 1).await;
            done.expect("a consumer that works");
        }
    }

    /// Delivers events to whoever listens, in this order and as often as they stand there.
    pub async fn deliver(&self, events: &[Envelope]) {
        for event in events {
            self.users.on(event).await.expect("a consumer that works");
            if let Event::DraftQueued { .. } | Event::TextsQueued { .. } = event.event {
                let body = json!({"detail-type": event.event.name(), "detail": event});
                let done = self.content_worker().on(&body.to_string()).await;
                done.expect("a consumer that works");
            }
            self.documents_worker
                .react(event)
                .await
                .expect("a consumer that works");
        }
    }

    /// Brings every event to whoever listens and every order to its worker, until nothing more happens.
    pub async fn settle(&self) {
        loop {
            let events = self.publish().await;
            let orders = self.document_jobs.drain();
            if events.is_empty() && orders.is_empty() {
                return;
            }
            self.deliver(&events).await;
            for order in orders {
                self.documents_worker
                    .on(&order.body)
                    .await
                    .expect("a worker that works");
            }
        }
    }
}

fn signed(call: Call, by: Option<&Person>) -> Call {
    by.into_iter().fold(call, |call, person| {
        call.header("authorization", &person.bearer())
    })
}

/// A stream's record of a row.
fn change(item: &Item) -> Change {
    let mut row = item.attributes.clone();
    row.insert("pk".to_owned(), json!(item.key.pk));
    row.insert("sk".to_owned(), json!(item.key.sk));
    Change {
        position: Position(item.key.sk.clone()),
        row: Some(row),
    }
}

/// The companion program, beside the test's own binary.
fn renderer() -> PathBuf {
    let test = std::env::current_exe().expect("a test binary");
    let profile = test
        .ancestors()
        .find(|path| path.file_name().is_some_and(|name| name == "deps"));
    profile
        .and_then(Path::parent)
        .expect("target/…/deps")
        .join("documents-render")
}
