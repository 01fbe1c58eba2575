//! The capability over memory ports and an endpoint that misbehaves on demand: requests as the gateway
//! hands them over, answers as a caller sees them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batches;
mod budgets;
mod cut;
mod drafts;
mod generate;
mod history;
mod moderation;
mod openai;
mod prompts;
mod stream;
mod voices;

use std::sync::Arc;

use content::stream::Worker;
use content::{Content, Targets, api};
use domain::Caller;
use models::gateway::{Gateway, Parts};
use models::testing::Provider;
use ports::channels::{Channel, Frame, MemoryChannels};
use ports::clock::{Clock, ManualClock, SystemClock};
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
    wishes: Arc<MemoryTable>,
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

    /// The same by the machine's clock, for what takes its time.
    fn in_real_time() -> Self {
        let manual = ManualClock::at_text(NOW);
        let world = Self::by(&SystemClock::shared(), &manual);
        world.models(&["small"]);
        world
    }

    fn without_models() -> Self {
        let manual = ManualClock::at_text(NOW);
        let clock: Arc<dyn Clock> = manual.clone();
        Self::by(&clock, &manual)
    }

    fn by(clock: &Arc<dyn Clock>, manual: &Arc<ManualClock>) -> Self {
        let ids = SequentialIds::shared();
        let (table, secrets) = (MemoryTable::shared(), MemorySecrets::shared());
        let wishes = MemoryTable::shared();
        let (jobs, channels) = (MemoryQueue::shared(), MemoryChannels::shared());
        secrets.set(SECRET, "[]");
        let gateway = Gateway::new(
            Parts {
                client: runtime::outbound::client().unwrap(),
                table: table.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
            },
            Vec::new(),
        );
        let content = Arc::new(Content {
            table: table.clone(),
            targets: Targets::new(secrets.clone(), SECRET, clock.clone(), gateway),
            clock: clock.clone(),
            ids: ids.clone(),
        });
        let platform = Platform {
            requests: MemoryTable::shared(),
            clock: clock.clone(),
            ids,
        };
        Self {
            api: Api::new(api::routes(content.clone(), jobs.clone()), platform).unwrap(),
            worker: Worker {
                content,
                channels: channels.clone(),
                jobs: jobs.clone(),
                wishes: wishes.clone(),
            },
            table,
            wishes,
            secrets,
            jobs,
            channels,
            clock: manual.clone(),
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
                })
            })
            .collect();
        self.secrets.set(SECRET, json!(list).to_string());
    }

    /// Lets `small` say this, again and again.
    fn says(&self, text: &str) {
        self.provider.says("small", &[(text, "stop")]);
    }

    async fn send(&self, call: Call) -> Answer {
        self.send_by(&owner(), call).await
    }

    async fn send_by(&self, caller: &Caller, call: Call) -> Answer {
        call.by(caller)
            .header("accept-language", "en")
            .send(&self.api.router())
            .await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Call::post(path, body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Call::get(path)).await
    }

    async fn generate(&self, body: &Value) -> Answer {
        self.post("/v1/content/generate", body).await
    }

    /// Delivers every job that waits, once, and says how many were not done.
    async fn work(&self) -> usize {
        let mut undone = 0;
        for message in self.jobs.drain() {
            undone += usize::from(self.worker.on(&message.body).await.is_err());
        }
        undone
    }

    fn told(&self, id: &Value) -> Vec<Frame> {
        let id = id.as_str().unwrap().parse().unwrap();
        self.channels
            .told(&Channel::content(owner().organisation, id))
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

    fn announced(&self, name: &str) -> usize {
        self.events()
            .iter()
            .filter(|(known, _)| known == name)
            .count()
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

/// Status and problem code together.
fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code().unwrap_or_default())
}
