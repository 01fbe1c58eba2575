//! `/v1/openai/v1` as `OpenAI`'s own clients find it, in Python and in Node.js, over HTTP against the running local
//! cloud.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use fleet::model::peer;
use fleet::node::Node;
use fleet::python;
use journeys::cloud::{Cloud, Person};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// What the clients are given: the keys of somebody's organisation.
struct Keys {
    base_url: String,
    asks: String,
    reads: String,
    spent: String,
}

impl Keys {
    async fn of_somebody(cloud: &Cloud) -> Self {
        let ana = cloud.person("sdk").await;
        let both = ["content:create", "content:read"];
        let asks = key(cloud, &ana, "asks", &both).await;
        let reads = key(cloud, &ana, "reads", &both[1..]).await;
        let spent = key(cloud, &ana, "spent", &both).await;
        let budget = format!("/v1/budgets/key:{}", spent["id"].as_str().unwrap());
        let limit = json!({"limit_micros": 1, "period": "month"});
        let set = cloud.request(Method::PUT, &budget).json(&limit);
        let set = cloud.send(set.bearer_auth(&ana.access)).await;
        assert_eq!(set.status, StatusCode::OK, "{:?}", set.body);
        let secret = |key: &Value| key["key"].as_str().unwrap().to_owned();
        Self {
            base_url: format!("{}/v1/openai/v1", cloud.api_url),
            asks: secret(&asks),
            reads: secret(&reads),
            spent: secret(&spent),
        }
    }

    /// Gives them to a program, with nothing of whoever runs the tests that would lead it elsewhere.
    fn hand_to<'a>(&self, program: &'a mut Command) -> &'a mut Command {
        program
            .env_clear()
            .env("LANG", "C.UTF-8")
            .env("OPENAI_BASE_URL", &self.base_url)
            .env("OPENAI_API_KEY", &self.asks)
            .env("SDK_MODEL", peer::NAME)
            .env("SDK_READER_KEY", &self.reads)
            .env("SDK_SPENT_KEY", &self.spent)
    }
}

async fn key(cloud: &Cloud, person: &Person, name: &str, permissions: &[&str]) -> Value {
    let wanted = json!({"name": name, "permissions": permissions});
    let made = cloud
        .post("/v1/api-keys", Some(&person.access), &wanted)
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    made.body
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk")
}

/// Where the clients are installed, by whichever test comes first: the one for Python, and Node.js, in an
/// environment of Python's; the one for Node.js beside it.
fn installed() -> (PathBuf, PathBuf) {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk");
    fs::create_dir_all(&home).unwrap();
    let one_at_a_time = File::create(home.join("lock")).unwrap();
    one_at_a_time.lock().unwrap();
    let (venv, packages) = (home.join("venv"), home.join("node"));
    python::ensure(&venv, &sources().join("requirements.txt")).unwrap();
    let node = Node::of(&venv).unwrap();
    node.ensure(&sources(), &packages).unwrap();
    (venv, packages)
}

/// Runs the stories; what their runner says of them is shown if one fails.
fn all_pass(program: &mut Command) {
    let ended = program.output().unwrap();

    let said = [ended.stdout, ended.stderr].concat();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn the_python_client_chats_streams_parses_and_understands_refusals() {
    let keys = Keys::of_somebody(&Cloud::running()).await;
    let (venv, _) = installed();

    let mut stories = Command::new(python::interpreter(&venv));
    stories.arg(sources().join("stories.py"));

    all_pass(keys.hand_to(&mut stories));
}

#[tokio::test]
async fn the_node_client_chats_streams_parses_and_understands_refusals() {
    let keys = Keys::of_somebody(&Cloud::running()).await;
    let (venv, packages) = installed();
    // Node.js looks for packages beside the program that wants them.
    let program = packages.join("stories.mjs");
    fs::copy(sources().join("stories.mjs"), &program).unwrap();

    let mut stories = Node::of(&venv).unwrap().command();
    stories
        .args(["--test", "--test-reporter=spec"])
        .arg(program);

    all_pass(keys.hand_to(&mut stories));
}
