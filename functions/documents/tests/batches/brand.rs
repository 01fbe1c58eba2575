//! What is made later wears what was worn when it was taken on.

use documents::renderer::Renderer;
use documents::template::Template;
use documents::{Documents, Owner, brand::NewBrand};
use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{Mail, World, caller, letter};

const RED: &str = "#8a1538";
const GREEN: &str = "#004d40";

/// A grey square of 32 pixels.
const LOGO: &str = "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAFklEQVR42mNIIAAYRhWMKhhVMFIVAAAyiIAQPjYvagAAAABJRU5ErkJggg==";

async fn wear(world: &World, accent: &str, logo: Option<&str>) {
    let documents: &Documents = &world.worker.batches.documents;
    let owner = Owner::from(&caller(1));
    let logo = logo.map(|data| json!({ "data": data, "alt": "A square" }));
    let new: NewBrand = serde_json::from_value(json!({ "accent": accent, "logo": logo })).unwrap();
    let standing = documents.standing_brand(owner.org).await.unwrap();
    documents.set_brand(&owner, standing, new).await.unwrap();
}

/// The SHA-256 of a letter that is made now.
async fn now(world: &World, data: &Value) -> Value {
    let body = json!({ "template": "letter", "data": data, "format": "pdf" });
    let made = world.send(Call::post("/v1/documents", &body)).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json());
    made.json()["sha256"].clone()
}

fn rows() -> Vec<Value> {
    (0..45).map(letter).collect()
}

#[tokio::test]
async fn a_batch_wears_what_was_worn_when_it_was_taken_on() {
    let world = World::new();
    wear(&world, RED, Some(LOGO)).await;
    let (first, last) = (
        now(&world, &letter(0)).await,
        now(&world, &letter(44)).await,
    );
    let path = world.batch(&rows()).await;
    wear(&world, GREEN, None).await;

    world.settle().await;

    let made = world.all(&format!("{path}/documents")).await;
    assert_eq!(made.len(), 45);
    assert_eq!([&made[0]["sha256"], &made[44]["sha256"]], [&first, &last]);
    assert_ne!(now(&world, &letter(0)).await, first);
}

#[tokio::test]
async fn a_batch_that_was_taken_on_without_one_wears_none() {
    let world = World::new();
    let plain = now(&world, &letter(0)).await;
    let path = world.batch(&rows()).await;
    wear(&world, RED, Some(LOGO)).await;

    world.settle().await;

    let made = world.all(&format!("{path}/documents")).await;
    assert_eq!(made[0]["sha256"], plain);
}

#[tokio::test]
async fn a_failed_row_that_is_corrected_a_month_later_wears_the_same_as_the_others() {
    let world = World::new();
    wear(&world, RED, Some(LOGO)).await;
    let wanted = now(&world, &letter(1)).await;
    let mut bad = letter(1);
    bad["locale"] = json!("fr");
    let path = world.batch(&[letter(0), bad]).await;
    world.settle().await;
    wear(&world, GREEN, None).await;
    world
        .clock
        .advance(std::time::Duration::from_hours(29 * 24));
    // Another process, which has no logo at hand.
    let later = world.and(Renderer::new(env!("CARGO_BIN_EXE_documents-render")));
    let body = json!({ "rows": { "1": letter(1) } });

    let retried = later
        .send(Call::post(&format!("{path}/retry"), &body))
        .await;
    later.settle().await;

    assert_eq!(retried.status.as_u16(), 202, "{}", retried.json());
    let made = later.all(&format!("{path}/documents")).await;
    assert_eq!(made[1]["sha256"], wanted);
}

#[tokio::test]
async fn a_chunk_reads_no_more_rows_than_without_one() {
    let mut calls = Vec::new();
    for accent in [None, Some(RED)] {
        let world = World::new();
        if let Some(accent) = accent {
            wear(&world, accent, Some(LOGO)).await;
        }
        world.batch(&rows()).await;
        let before = world.table.faults().calls();
        world.settle().await;
        calls.push(world.table.faults().calls() - before);
    }

    assert_eq!(calls[1], calls[0] + 1, "the logo once, for all rows");
}

#[tokio::test]
async fn a_late_document_wears_what_was_worn_when_it_was_asked_for() {
    let slow = World::with(Renderer::new("/usr/bin/tail"));
    let fast = slow.and(Renderer::new(env!("CARGO_BIN_EXE_documents-render")));
    wear(&fast, RED, Some(LOGO)).await;
    let data = Template::Letter.samples()[1].clone();
    let wanted = now(&fast, &data).await;
    let body = json!({ "template": "letter", "data": data, "format": "pdf" });
    let mut mail = Mail::default();
    fast.collect(&mut mail);

    let queued = slow.send(Call::post("/v1/documents", &body)).await;
    wear(&fast, GREEN, None).await;
    let mut mail = Mail::default();
    slow.collect(&mut mail);
    for message in mail.0 {
        fast.worker.once(&message).await.unwrap();
    }

    assert_eq!(queued.status.as_u16(), 202, "{}", queued.json());
    let id = queued.json()["id"].as_str().unwrap().to_owned();
    let made = fast.get(&format!("/v1/documents/{id}")).await;
    assert_eq!(made["sha256"], wanted);
}
