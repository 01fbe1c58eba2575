//! A document that takes longer than its caller waits.

use std::collections::BTreeSet;

use documents::renderer::Renderer;
use documents::template::Template;
use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{Mail, World};

/// Reads all that it is told and never answers.
const NEVER: &str = "/usr/bin/tail";

fn request(data: &Value) -> Call {
    let body = json!({ "template": "letter", "data": data, "format": "pdf" });
    Call::post("/v1/documents", &body)
}

/// Delivers what one world has sent to the worker of another, which stands on the same table and bucket.
async fn delivered(from: &World, to: &World) -> usize {
    let mut mail = Mail::default();
    from.collect(&mut mail);
    let count = mail.0.len();
    for body in mail.0 {
        to.worker.once(&body).await.unwrap();
        to.worker.once(&body).await.unwrap();
    }
    count
}

#[tokio::test]
async fn it_is_queued_and_made_by_the_worker() {
    let slow = World::with(Renderer::new(NEVER));
    let fast = slow.and(Renderer::new(env!("CARGO_BIN_EXE_documents-render")));

    let taken = slow.send(request(&Template::Letter.samples()[0])).await;

    let queued = taken.json();
    assert_eq!(
        (taken.status.as_u16(), &queued["status"]),
        (202, &json!("queued"))
    );
    let path = format!("/v1/documents/{}", queued["id"].as_str().unwrap());
    assert_eq!(slow.get(&path).await, queued);
    assert_eq!(delivered(&slow, &fast).await, 1);
    let ready = fast.get(&path).await;
    assert_eq!(
        [&ready["status"], &ready["id"]],
        [&json!("ready"), &queued["id"]]
    );
    assert!(ready["download_url"].is_string());
    assert_eq!(fast.announced("documents.rendered").len(), 1);
    let left: BTreeSet<String> = fast.blobs.keys().into_iter().collect();
    assert_eq!(left.len(), 1, "its data is forgotten: {left:?}");
}

#[tokio::test]
async fn what_the_worker_cannot_make_says_why() {
    let slow = World::with(Renderer::new(NEVER));
    let fast = slow.and(Renderer::new(env!("CARGO_BIN_EXE_documents-render")));
    let mut data = Template::Letter.samples()[0].clone();
    data["subject"] = json!("A smile 😀");

    let queued = slow.send(request(&data)).await.json();
    delivered(&slow, &fast).await;

    let path = format!("/v1/documents/{}", queued["id"].as_str().unwrap());
    let failed = fast.get(&path).await;
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["error"]["code"], "validation_failed");
    assert_eq!(failed["error"]["errors"][0]["pointer"], "/data/subject");
    assert_eq!(fast.announced("documents.rendered").len(), 0);
}

#[tokio::test]
async fn one_that_waits_can_be_deleted_and_is_not_made_then() {
    let slow = World::with(Renderer::new(NEVER));
    let fast = slow.and(Renderer::new(env!("CARGO_BIN_EXE_documents-render")));
    let queued = slow.send(request(&Template::Letter.samples()[0])).await;
    let path = format!("/v1/documents/{}", queued.json()["id"].as_str().unwrap());

    let deleted = slow.send(Call::new("DELETE", &path)).await;
    let again = slow.send(Call::new("DELETE", &path)).await;
    delivered(&slow, &fast).await;

    assert_eq!((deleted.status.as_u16(), again.status.as_u16()), (204, 404));
    assert_eq!(fast.send(Call::get(&path)).await.status.as_u16(), 404);
    assert_eq!(fast.announced("documents.rendered").len(), 0);
    assert!(fast.blobs.keys().is_empty(), "{:?}", fast.blobs.keys());
}
