//! What is taken on, found, and refused.

use ports::faults::Fault;
use runtime::testing::Call;
use serde_json::json;

use crate::{World, caller, pointers};

#[tokio::test]
async fn a_request_that_cannot_be_done_names_its_places() {
    let world = World::new();
    for (body, places) in [
        (json!({"task": "language", "input": {}}), vec!["/input"]),
        (
            json!({"task": "language", "input": {"text": "a", "texts": ["b"]}}),
            vec!["/input"],
        ),
        (
            json!({"task": "language", "input": {"text": " "}}),
            vec!["/input/text"],
        ),
        (
            json!({"task": "language", "input": {"texts": []}}),
            vec!["/input/texts"],
        ),
        (
            json!({"task": "language", "input": {"texts": ["a", ""]}}),
            vec!["/input/texts/1"],
        ),
        (
            json!({"task": "language", "input": {"texts": vec!["a"; 51]}}),
            vec!["/input/texts"],
        ),
        (
            json!({"task": "classify", "input": {"text": "a"}}),
            vec!["/options/labels"],
        ),
        (
            json!({"task": "sentiment", "input": {"text": "a"}, "options": {"max_words": 20}}),
            vec!["/options/max_words"],
        ),
    ] {
        let refused = world.post("/v1/ai/jobs", &body).await;

        assert_eq!(refused.status, 422, "{body}");
        assert_eq!(pointers(&refused), places, "{body}");
    }
    assert!(world.jobs.drain().is_empty());
}

#[tokio::test]
async fn the_same_request_sent_again_is_the_same_job_and_a_lost_order_is_sent() {
    let world = World::without_models();
    let body = json!({"task": "language", "input": {"text": "El pan de la casa"}});
    let call = || Call::post("/v1/ai/jobs", &body).header("idempotency-key", "0123456789abcdef");
    world.jobs.faults().fail_next(Fault::Before);
    let lost = world.send_by(&crate::owner(), call()).await;
    assert!(lost.status.is_server_error(), "{}", lost.json());

    let taken = world.send_by(&crate::owner(), call()).await;

    assert_eq!(taken.status, 202, "{}", taken.json());
    assert_eq!(world.work().await, 0);
    let listed = world.get("/v1/ai/jobs").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["items"][0]["status"], "done");
}

#[tokio::test]
async fn another_organisation_sees_nothing_and_a_viewer_only_reads() {
    let world = World::without_models();
    let path = world
        .take_on("language", &["El pan de la casa"], &json!({}))
        .await;
    let stranger = caller(2, "owner");
    for call in [
        Call::get(&path),
        Call::get(&format!("{path}/items")),
        Call::post(&format!("{path}/cancel"), &json!({})),
    ] {
        assert_eq!(world.send_by(&stranger, call).await.status, 404);
    }
    let listed = world
        .send_by(&stranger, Call::get("/v1/ai/jobs"))
        .await
        .json();
    assert_eq!(listed["items"], json!([]));

    let viewer = caller(1, "viewer");
    assert_eq!(world.send_by(&viewer, Call::get(&path)).await.status, 200);
    let cancel = Call::post(&format!("{path}/cancel"), &json!({}));
    assert_eq!(world.send_by(&viewer, cancel).await.status, 403);
}

#[tokio::test]
async fn jobs_and_answers_are_listed_by_pages() {
    let world = World::without_models();
    let path = world
        .take_on("language", &["uno", "dos", "tres"], &json!({}))
        .await;
    world.take_on("language", &["uno"], &json!({})).await;
    world.work().await;

    let first = world.get(&format!("{path}/items?limit=2")).await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = world
        .get(&format!("{path}/items?limit=2&cursor={cursor}"))
        .await
        .json();

    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!(second["items"][0]["index"], 2, "{second}");
    let jobs = world.get("/v1/ai/jobs?limit=1").await.json();
    assert_eq!(jobs["items"][0]["total"], 1, "the newest first: {jobs}");
    assert!(jobs["next_cursor"].is_string());
}
