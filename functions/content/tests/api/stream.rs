//! Texts that are told while they grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use content::stream::Worker;
use content::{Content, Targets};
use models::gateway::{Gateway, Parts};
use ports::PortError;
use ports::faults::Fault;
use ports::ids::SequentialIds;
use ports::table::{
    Count, Counted, If, Item, Key, MemoryTable, Page, Query, Table, Write, WriteError,
};
use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{World, caller, refusal};

async fn take_on(world: &World, prompt: &str) -> Value {
    let taken = world
        .generate(&json!({"prompt": prompt, "stream": true, "max_tokens": 100}))
        .await;
    assert_eq!(taken.status, 202, "{}", taken.json());
    taken.json()
}

async fn read(world: &World, taken: &Value) -> Value {
    let path = format!("/v1/content/{}", taken["id"].as_str().unwrap());
    world.get(&path).await.json()
}

fn kinds(world: &World, taken: &Value) -> Vec<String> {
    world
        .told(&taken["id"])
        .into_iter()
        .map(|frame| frame.kind)
        .collect()
}

/// The text as a listener puts it together, however often it heard each piece.
fn heard(world: &World, taken: &Value) -> String {
    let mut text: Vec<char> = Vec::new();
    for frame in world.told(&taken["id"]) {
        if frame.kind == "content.delta" {
            let offset = usize::try_from(frame.data["offset"].as_u64().unwrap()).unwrap();
            assert!(offset <= text.len(), "a piece is missing before {offset}");
            text.truncate(offset);
            text.extend(frame.data["text"].as_str().unwrap().chars());
        }
    }
    text.into_iter().collect()
}

#[tokio::test]
async fn a_stream_is_told_in_order_and_ends_with_what_it_cost() {
    let world = World::in_real_time();
    world.provider.pace(Duration::from_millis(3));
    let taken = take_on(&world, "Hola").await;
    assert_eq!(
        (&taken["status"], &taken["channel"]),
        (
            &json!("running"),
            &json!(format!("content:{}", taken["id"].as_str().unwrap()))
        )
    );
    assert_eq!(read(&world, &taken).await["status"], "running");

    assert_eq!(world.work().await, 0);

    let done = read(&world, &taken).await;
    assert_eq!(
        (&done["status"], done["text"].as_str()),
        (&json!("done"), Some(&*heard(&world, &taken)))
    );
    assert_eq!(
        heard(&world, &taken).trim(),
        models::testing::text_of(60).trim()
    );
    let frames = world.told(&taken["id"]);
    let last = frames.last().unwrap();
    assert_eq!(last.kind, "content.done");
    assert_eq!(
        (&last.data["usage"], &last.data["cost"]),
        (&done["usage"], &done["cost"])
    );
    assert_eq!(
        last.data["characters"],
        done["text"].as_str().unwrap().chars().count()
    );
    // Sixty tokens did not come in sixty frames.
    assert!((2..50).contains(&frames.len()), "{}", frames.len());
    assert_eq!(world.announced("content.generated"), 1);
}

#[tokio::test]
async fn a_job_that_is_delivered_twice_is_paid_once() {
    let world = World::new();
    let taken = take_on(&world, "Hola").await;
    let message = world.jobs.drain().remove(0);

    world.worker.on(&message.body).await.unwrap();
    world.worker.on(&message.body).await.unwrap();

    assert_eq!(world.provider.asked("small"), 1);
    assert_eq!(world.announced("content.generated"), 1);
    let ends: Vec<_> = kinds(&world, &taken)
        .into_iter()
        .filter(|kind| kind != "content.delta")
        .collect();
    assert_eq!(ends, ["content.done", "content.done"]);
}

#[tokio::test]
async fn two_deliveries_at_the_same_time_are_paid_once() {
    let world = World::new();
    let taken = take_on(&world, "Hola").await;
    let message = world.jobs.drain().remove(0);

    let (one, other) = tokio::join!(
        world.worker.on(&message.body),
        world.worker.on(&message.body)
    );

    assert!(one.is_ok() || other.is_ok());
    assert_eq!(world.provider.asked("small"), 1);
    assert_eq!(read(&world, &taken).await["status"], "done");
}

#[tokio::test]
async fn a_worker_that_died_leaves_a_text_that_says_so_and_is_not_begun_again() {
    let world = World::new();
    world.provider.pace(Duration::from_millis(50));
    let taken = take_on(&world, "Hola").await;
    let message = world.jobs.drain().remove(0);
    // Killed in the middle of the stream.
    let killed =
        tokio::time::timeout(Duration::from_millis(700), world.worker.on(&message.body)).await;
    assert!(killed.is_err());

    assert!(
        world.worker.on(&message.body).await.is_err(),
        "its lease still runs"
    );
    world.clock.advance(Duration::from_secs(30));
    world.worker.on(&message.body).await.unwrap();

    let view = read(&world, &taken).await;
    assert_eq!(
        (&view["status"], &view["problem"]["code"]),
        (&json!("failed"), &json!("interrupted"))
    );
    let frames = world.told(&taken["id"]);
    let last = frames.last().unwrap();
    assert_eq!(
        (last.kind.as_str(), &last.data["problem"]["code"]),
        ("content.failed", &json!("interrupted"))
    );
    assert_eq!(world.provider.asked("small"), 1);
    // What the provider may bill is charged once its time is up.
    world.clock.advance(Duration::from_hours(1));
    let usage = world.get("/v1/content/usage").await.json();
    assert!(usage["settled_micros"].as_i64().unwrap() > 0, "{usage}");
}

#[tokio::test]
async fn whoever_looks_at_a_lost_text_learns_that_it_is_lost() {
    let world = World::new();
    let taken = take_on(&world, "Hola").await;
    drop(world.jobs.drain());

    world.clock.advance(Duration::from_hours(5));

    let view = read(&world, &taken).await;
    assert_eq!(view["problem"]["code"], "interrupted", "{view}");
}

#[tokio::test]
async fn a_text_is_cancelled_before_it_begins_and_costs_nothing() {
    let world = World::new();
    let taken = take_on(&world, "Hola").await;
    let path = format!("/v1/content/{}/cancel", taken["id"].as_str().unwrap());

    let cancelled = world.post(&path, &json!({})).await;
    let again = world.post(&path, &json!({})).await;
    world.work().await;

    assert_eq!(
        (cancelled.status.as_u16(), again.status.as_u16()),
        (200, 200)
    );
    assert_eq!(kinds(&world, &taken), ["content.cancelled"]);
    assert_eq!(world.provider.asked("small"), 0);
    let rows = world.table.rows();
    assert!(
        !rows
            .iter()
            .any(|row| row.key.sk.starts_with("content-request#")),
        "the prompt is kept for nobody"
    );
}

/// A table in which the worker of a text turns out to live, a moment before somebody else ends it.
struct Revived(Arc<MemoryTable>, AtomicBool);

#[async_trait]
impl Table for Revived {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        self.0.get(key).await
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        self.0.query(query).await
    }

    async fn write(&self, parts: Vec<Write>) -> Result<(), WriteError> {
        if let Some(Write::Put(row, If::VersionIs(version))) = parts.first()
            && row.key.sk.starts_with("content#")
            && !self.1.swap(true, Ordering::Relaxed)
        {
            let known = self.0.get(&row.key).await?.unwrap();
            let mut record: Value = known.parse()?;
            record["lease"] = json!("2030-01-01T00:00:00Z");
            let put = Write::Put(known.next(&record), If::VersionIs(*version));
            self.0.write(vec![put]).await?;
        }
        self.0.write(parts).await
    }

    async fn count(&self, count: Count) -> Result<Counted, PortError> {
        self.0.count(count).await
    }
}

#[tokio::test]
async fn a_text_whose_worker_lives_after_all_is_not_told_to_be_done() {
    let world = World::new();
    world.provider.pace(Duration::from_millis(50));
    let taken = take_on(&world, "Hola").await;
    let message = world.jobs.drain().remove(0);
    let slow = tokio::time::timeout(Duration::from_millis(400), world.worker.on(&message.body));
    assert!(slow.await.is_err());
    world.clock.advance(Duration::from_secs(30));
    let table: Arc<dyn Table> = Arc::new(Revived(world.table.clone(), AtomicBool::new(false)));
    let ids = SequentialIds::shared();
    let gateway = Gateway::new(
        Parts {
            client: runtime::outbound::client().unwrap(),
            table: table.clone(),
            clock: world.clock.clone(),
            ids: ids.clone(),
        },
        Vec::new(),
    );
    let targets = Targets::new(
        world.secrets.clone(),
        crate::SECRET,
        world.clock.clone(),
        gateway,
    );
    let other = Worker {
        content: Arc::new(Content {
            table,
            targets,
            clock: world.clock.clone(),
            ids,
        }),
        channels: world.channels.clone(),
        jobs: world.jobs.clone(),
        wishes: world.wishes.clone(),
    };

    let delivered = other.on(&message.body).await;

    assert!(delivered.is_err(), "it comes again");
    let ends = kinds(&world, &taken);
    assert!(ends.iter().all(|kind| kind == "content.delta"), "{ends:?}");
}

#[tokio::test]
async fn a_text_is_cancelled_while_it_grows_and_what_was_used_is_paid() {
    let world = World::new();
    world.provider.pace(Duration::from_millis(60));
    let taken = take_on(&world, "Hola").await;
    let message = world.jobs.drain().remove(0);
    let path = format!("/v1/content/{}/cancel", taken["id"].as_str().unwrap());

    let stop = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        world.post(&path, &json!({})).await
    };
    let (worked, cancelled) = tokio::join!(world.worker.on(&message.body), stop);

    worked.unwrap();
    assert_eq!(cancelled.status, 200);
    let view = read(&world, &taken).await;
    assert_eq!(view["status"], "cancelled", "{view}");
    assert!(
        view["cost"]["amount_micros"].as_i64().unwrap() > 0,
        "{view}"
    );
    assert_eq!(kinds(&world, &taken).last().unwrap(), "content.cancelled");
    let refused = world.post(&path, &json!({})).await;
    assert_eq!(refused.status, 200);
}

#[tokio::test]
async fn what_is_done_cannot_be_cancelled() {
    let world = World::new();
    let taken = take_on(&world, "Hola").await;
    world.work().await;
    let path = format!("/v1/content/{}/cancel", taken["id"].as_str().unwrap());

    assert_eq!(
        refusal(&world.post(&path, &json!({})).await),
        (409, "not_now".into())
    );
    let stranger = world
        .send_by(&caller(2, "owner"), Call::post(&path, &json!({})))
        .await;
    assert_eq!(stranger.status, 404);
}

#[tokio::test]
async fn a_stream_that_breaks_fails_with_a_problem_and_keeps_what_there_was() {
    let world = World::without_models();
    world.models(&["cut"]);
    let taken = take_on(&world, "Hola").await;

    world.work().await;

    let view = read(&world, &taken).await;
    assert_eq!(view["status"], "failed", "{view}");
    assert_eq!(view["problem"]["code"], "interrupted");
    let frames = world.told(&taken["id"]);
    assert_eq!(frames.last().unwrap().kind, "content.failed");
    assert!(!heard(&world, &taken).is_empty());
}

#[tokio::test]
async fn a_channel_that_does_not_answer_loses_no_piece() {
    let world = World::new();
    world.provider.pace(Duration::from_millis(3));
    let taken = take_on(&world, "Hola").await;
    world.channels.faults().fail_call(0, Fault::Before);
    world.channels.faults().fail_call(1, Fault::After);

    world.work().await;

    assert_eq!(
        Some(&*heard(&world, &taken)),
        read(&world, &taken).await["text"].as_str()
    );
}

#[tokio::test]
async fn a_blocked_term_does_not_go_out_and_ends_the_stream() {
    let world = World::new();
    world
        .send(Call::new("PUT", "/v1/content/guardrails").json(&json!({"blocked_terms": ["acme"]})))
        .await;
    world.says("Compra hoy mismo en acme y ahorra mucho");
    let taken = take_on(&world, "Hola").await;

    world.work().await;

    let view = read(&world, &taken).await;
    assert_eq!(view["problem"]["code"], "content_blocked", "{view}");
    assert!(!heard(&world, &taken).contains("acme"));
    assert_eq!(world.announced("content.blocked"), 1);
    // It was paid all the same, and whoever counts hears of it.
    assert_eq!(world.announced("content.generated"), 1);
    assert!(
        view["cost"]["amount_micros"].as_i64().unwrap() > 0,
        "{view}"
    );
}

#[tokio::test]
async fn what_a_job_needed_to_know_is_gone_when_it_is_done() {
    let world = World::new();
    take_on(&world, "un secreto de la casa").await;
    assert!(!world.jobs.drain().is_empty());

    let world = World::new();
    take_on(&world, "un secreto de la casa").await;
    world.work().await;

    let rows = world.table.rows();
    assert!(
        !rows
            .iter()
            .any(|row| row.key.sk.starts_with("content-request#"))
    );
    assert!(!rows.iter().any(|row| {
        serde_json::to_string(&row.attributes)
            .unwrap()
            .contains("un secreto")
    }));
}

#[tokio::test]
async fn a_message_that_is_no_job_and_a_job_of_nothing_are_done_at_once() {
    let world = World::new();
    let job = json!({
        "org": "org_00000000000000000000000000000001", "content": "con_00000000000000000000000000000001",
    });

    world.worker.on("{").await.unwrap();
    world.worker.on(&job.to_string()).await.unwrap();
}

#[tokio::test]
async fn a_request_whose_queue_did_not_answer_sends_its_job_when_it_is_repeated() {
    let world = World::new();
    world.jobs.faults().fail_next(Fault::Before);
    let call = || {
        Call::post(
            "/v1/content/generate",
            &json!({"prompt": "Hola", "stream": true}),
        )
        .header("idempotency-key", "k")
    };

    let failed = world.send(call()).await;
    let again = world.send(call()).await;

    assert_eq!((failed.status.as_u16(), again.status.as_u16()), (503, 202));
    assert_eq!(world.jobs.drain().len(), 1);
}
