//! The cloud under test, and how the suite looks at it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Child,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use fleet::{
    bring, cloud::Cloud, deploy::Deployment, emulator::Emulator, layout::Layout, outputs::Outputs,
    port, up,
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_mins(1);

/// A cloud with the contract stack in it.
pub struct Contract {
    /// Calls with every right.
    pub cloud: Cloud,
    /// What the stack made.
    pub outputs: Outputs,
    _own: Option<Arc<Own>>,
}

/// A cloud that this process started; it ends with its last user.
struct Own {
    emulator: Emulator,
    layout: Layout,
    child: Mutex<Child>,
}

impl Drop for Own {
    fn drop(&mut self) {
        self.emulator.stop(&self.layout).unwrap();
        self.child.lock().unwrap().wait().unwrap();
        fs::remove_dir_all(self.layout.home()).unwrap();
    }
}

static OWN: Mutex<Weak<Own>> = Mutex::new(Weak::new());

impl Contract {
    /// The cloud of `FLEET_OUTPUTS`, or one of the suite's own, with the stack deployed. Test processes that come
    /// at the same time wait for each other; all but the first find everything done.
    pub async fn start() -> Self {
        let shared = std::env::var_os("FLEET_OUTPUTS").map(PathBuf::from);
        let guard = exclusive();
        let (layout, emulator_url, own) = if let Some(outputs) = &shared {
            (
                layout_of(outputs),
                Outputs::read(outputs).unwrap().emulator_url,
                None,
            )
        } else {
            let own = own();
            (own.layout.clone(), own.emulator.url(), Some(own))
        };
        let cloud = Cloud::new(emulator_url).unwrap();
        let template = layout.root().join("local/contract/template.yaml");
        let deployment = Deployment {
            stack: "contract".to_owned(),
            template,
        };
        let emulator = Emulator::running(&layout).unwrap();
        let outputs = bring::place(&layout, &deployment, &emulator).await.unwrap();
        drop(guard);
        Self {
            cloud,
            outputs,
            _own: own,
        }
    }

    /// A call of a service with a JSON protocol that has to succeed.
    pub async fn call(&self, service: &str, target: &str, input: Value) -> Value {
        let answer = self.cloud.json(service, target, &input).await.unwrap();
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()
    }

    /// What the probe saw under a marker: the place (request and record) and the payload.
    pub async fn observed(&self, marker: &str) -> Vec<(String, Value)> {
        let input = json!({
            "TableName": self.outputs.tables["observations"],
            "ConsistentRead": true,
            "KeyConditionExpression": "pk = :marker",
            "ExpressionAttributeValues": {":marker": {"S": marker}},
        });
        let page = self
            .call("dynamodb", "DynamoDB_20120810.Query", input)
            .await;
        let items = page["Items"].as_array().unwrap().iter();
        items
            .map(|item| {
                (
                    text(&item["sk"]["S"]),
                    serde_json::from_str(item["seen"]["S"].as_str().unwrap()).unwrap(),
                )
            })
            .collect()
    }

    /// How often the probe was given the record `n` under a marker.
    pub async fn attempts(&self, marker: &str, n: u64) -> usize {
        self.observed(marker)
            .await
            .iter()
            .filter(|(_, payload)| payload["n"] == n)
            .count()
    }

    /// Waits until the probe has seen something under a marker.
    pub async fn sees(&self, marker: &str) -> Vec<(String, Value)> {
        eventually("the probe sees it", async || {
            Some(self.observed(marker).await).filter(|seen| !seen.is_empty())
        })
        .await
    }

    /// Waits for a message of a queue that contains a text.
    pub async fn message(&self, queue: &str, containing: &str) -> Value {
        let input = json!({ "QueueUrl": self.outputs.queues[queue], "MaxNumberOfMessages": 10, "VisibilityTimeout": 0 });
        eventually("the message arrives", async || {
            let page = self
                .call("sqs", "AmazonSQS.ReceiveMessage", input.clone())
                .await;
            let bodies = page["Messages"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|message| text(&message["Body"]));
            bodies
                .into_iter()
                .find(|body| body.contains(containing))
                .map(|body| serde_json::from_str(&body).unwrap())
        })
        .await
    }
}

/// Polls until there is an answer; fails at a limit that no working cloud needs.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A name that no other test, process or run uses.
pub fn marker(test: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_micros();
    format!(
        "{test}-{now}-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// The text of a JSON value.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Only one test process at a time installs, starts and deploys.
fn exclusive() -> File {
    let directory = Layout::isolated("contract");
    fs::create_dir_all(directory.home()).unwrap();
    let lock = File::create(directory.home().join("lock")).unwrap();
    lock.lock().unwrap();
    lock
}

/// The layout whose home holds these outputs.
fn layout_of(outputs: &Path) -> Layout {
    let developer = Layout::developer();
    if outputs == developer.outputs() {
        return developer;
    }
    let name = outputs
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str())
        .unwrap();
    Layout::isolated(name)
}

fn own() -> Arc<Own> {
    if let Some(own) = OWN.lock().unwrap().upgrade() {
        return own;
    }
    let layout = Layout::isolated(&format!("contract-{}", std::process::id()));
    let (emulator, child) = up::start_emulator(&layout, port::any_free().unwrap()).unwrap();
    let own = Arc::new(Own {
        emulator,
        layout,
        child: Mutex::new(child),
    });
    *OWN.lock().unwrap() = Arc::downgrade(&own);
    own
}
