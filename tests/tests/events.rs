//! The sample payloads: every function has one, and every one is understood.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use documents::batch::worker::Order;
use journeys::Fleet;
use journeys::template::Template;
use runtime::serve::event_of;
use runtime::testing::{Call, changes_of, events_of, socket_event_of};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}

fn samples(function: &str) -> Vec<(PathBuf, Value)> {
    let files = std::fs::read_dir(folder().join(function))
        .expect("a folder of samples")
        .flatten();
    files
        .map(|file| {
            let text = std::fs::read_to_string(file.path()).expect("a sample");
            (file.path(), serde_json::from_str(&text).expect("JSON"))
        })
        .collect()
}

#[test]
fn every_function_has_samples_and_every_sample_a_function() {
    let folders: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("events/")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();

    assert_eq!(folders, Template::read().functions().into_keys().collect());
    assert!(folders.iter().all(|function| !samples(function).is_empty()));
}

#[tokio::test]
async fn the_samples_of_the_apis_reach_a_route_and_cause_no_failure() {
    let fleet = Fleet::new();
    let provider = models::testing::Provider::start();
    fleet.name_models(&json!([{
        "name": "small", "base_url": provider.base_url(), "model": "small",
        "price": {"input_micros_per_million": 1, "output_micros_per_million": 1},
    }]));
    for function in ["users-api", "files-api", "platform-api"] {
        for (path, event) in samples(function) {
            let mut statuses = Vec::new();
            for api in fleet.apis() {
                statuses.push(
                    Call::of_event(&event)
                        .send(&api.router())
                        .await
                        .status
                        .as_u16(),
                );
            }
            // One API has the route; the caller of the samples has no account in an empty fleet.
            let answered = statuses.iter().filter(|status| **status != 404).count();
            assert_eq!(answered, 1, "{}: {statuses:?}", path.display());
            assert!(
                statuses.iter().all(|status| *status < 500),
                "{}: {statuses:?}",
                path.display()
            );
        }
    }
    for function in [
        "users-api",
        "content-api",
        "notifications-api",
        "platform-api",
    ] {
        for (path, event) in samples(function) {
            let mut statuses = Vec::new();
            for api in fleet.apis() {
                statuses.push(
                    Call::of_event(&event)
                        .send(&api.router())
                        .await
                        .status
                        .as_u16(),
                );
            }
            // One API has the route; the caller of the samples has no account in an empty fleet.
            let answered = statuses.iter().filter(|status| **status != 404).count();
            assert_eq!(answered, 1, "{}: {statuses:?}", path.display());
            assert!(
                statuses.iter().all(|status| *status < 500),
                "{}: {statuses:?}",
                path.display()
            );
        }
    }
}

#[test]
fn the_samples_of_the_worker_are_events() {
    for (path, batch) in samples("users-worker") {
        assert!(
            !events_of(&batch).expect("a batch of events").is_empty(),
            "{}",
            path.display()
        );
    }
}

#[tokio::test]
async fn the_samples_of_the_content_worker_are_jobs_and_events() {
    for (path, batch) in samples("content-worker") {
        for record in batch["Records"].as_array().expect("records") {
            let body = record["body"].as_str().expect("a body");
            let job = serde_json::from_str::<content::stream::Job>(body);
            let order = serde_json::from_str::<content::batch::Order>(body);
            let event = event_of(body).ok().flatten();
            assert!(
                job.is_ok() || order.is_ok() || event.is_some(),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn the_samples_of_the_ai_worker_are_orders() {
    for (path, batch) in samples("ai-worker") {
        for record in batch["Records"].as_array().expect("records") {
            let body = record["body"].as_str().expect("a body");
            let order = serde_json::from_str::<ai::worker::Work>(body);
            assert!(order.is_ok(), "{}", path.display());
        }
    }
}

#[test]
fn the_samples_of_the_files_worker_are_notices() {
    for (path, batch) in samples("files-events") {
        let body = batch["Records"][0]["body"].as_str().expect("a body");
        let notices = files::notice::parse(body).expect("a message of the store");
        assert_eq!(notices.len(), 1, "{}", path.display());
    }
}

#[test]
fn the_samples_of_the_documents_worker_are_orders_and_events() {
    let (mut orders, mut events) = (0, 0);
    for (path, batch) in samples("documents-worker") {
        for record in batch["Records"].as_array().expect("records") {
            let body = record["body"].as_str().expect("a body");
            if serde_json::from_str::<Order>(body).is_ok() {
                orders += 1;
            } else {
                let event = event_of(body).expect("an event");
                assert!(event.is_some(), "{}", path.display());
                events += 1;
            }
        }
    }
    assert!(
        orders >= 2 && events >= 2,
        "{orders} orders, {events} events"
    );
}

#[test]
fn the_samples_of_the_outbox_announce_events() {
    for (path, batch) in samples("outbox") {
        for change in changes_of(&batch).expect("a batch of changes") {
            assert!(
                change.envelope().expect("an event row").is_ok(),
                "{}",
                path.display()
            );
        }
    }
}

#[tokio::test]
async fn the_samples_of_the_socket_are_understood_and_let_nobody_in() {
    let fleet = Fleet::new();
    for (path, event) in samples("notifications-socket") {
        let event = socket_event_of(&event).expect("what a connection did");
        let refused = fleet.socket.on(event).await.err();
        let code = refused.map(|problem| problem.code().code);
        let opens = path.ends_with("connect.json") && !path.ends_with("disconnect.json");
        let wanted = opens.then_some("ticket_invalid");
        assert_eq!(code, wanted, "{}", path.display());
    }
}
