//! What becomes of the texts of a job, whatever happens to its worker.

use std::time::Duration;

use ports::faults::Fault;
use serde_json::{Value, json};

use crate::World;

fn labels() -> Value {
    json!({"labels": ["praise", "complaint"]})
}

#[tokio::test]
async fn a_job_answers_every_text_tells_so_and_says_what_it_cost() {
    let world = World::new();
    world.says(&json!({"label": "praise", "confidence": 0.9}));
    let path = world
        .take_on("classify", &["Great", "Superb"], &labels())
        .await;

    assert_eq!(world.work().await, 0);

    let view = world.view(&path).await;
    assert_eq!(
        (&view["status"], &view["done"], &view["failed"]),
        (&json!("done"), &json!(2), &json!(0)),
        "{view}"
    );
    let items = world.items(&path).await;
    assert_eq!(
        items[0]["result"],
        json!({"label": "praise", "confidence": 0.9})
    );
    assert_eq!(
        (&items[1]["engine"], &items[1]["model"]),
        (&json!("model"), &json!("small"))
    );
    let paid: i64 = items
        .iter()
        .map(|item| item["cost_micros"].as_i64().unwrap())
        .sum();
    assert!(paid > 0);
    assert_eq!(view["cost_micros"], paid);
    let kinds: Vec<String> = world
        .told(&path)
        .into_iter()
        .map(|frame| frame.kind)
        .collect();
    assert_eq!(kinds, ["ai.job_progress", "ai.done"]);
    let events = world.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].0, "ai.job_done");
    assert_eq!(events[0].1["done"], 2);
}

#[tokio::test]
async fn without_a_model_a_summary_is_made_of_the_text_and_the_rest_says_why_not() {
    let world = World::without_models();
    let text = "La panadería abre a las siete. La panadería vende pan.";
    let summary = world.take_on("summarise", &[text], &json!({})).await;
    let language = world.take_on("language", &[text], &json!({})).await;
    let mood = world.take_on("sentiment", &[text], &json!({})).await;

    world.work().await;

    let (summary, language) = (world.view(&summary).await, world.view(&language).await);
    assert_eq!(summary["item"]["engine"], "offline", "{summary}");
    assert_eq!(summary["item"]["result"]["summary"], text);
    assert_eq!(language["item"]["result"]["language"], "es", "{language}");
    let view = world.view(&mood).await;
    assert_eq!(view["status"], "failed", "{view}");
    assert_eq!(view["problem"]["code"], "no_model_configured");
    let last = world.told(&mood).pop().unwrap();
    assert_eq!(
        (last.kind.as_str(), &last.data["problem"]["code"]),
        ("ai.failed", &json!("no_model_configured"))
    );
    assert!(
        world
            .events()
            .iter()
            .any(|(name, data)| name == "ai.job_failed" && data["code"] == "no_model_configured")
    );
}

#[tokio::test]
async fn one_text_that_fails_leaves_the_others_their_answers() {
    let world = World::new();
    let good = json!({"label": "praise", "confidence": 1}).to_string();
    let bad = json!({"label": "poem", "confidence": 1}).to_string();
    world.provider.says(
        "small",
        &[
            (&good, "stop"),
            (&bad, "stop"),
            (&bad, "stop"),
            (&good, "stop"),
        ],
    );
    let path = world
        .take_on("classify", &["one", "two", "three"], &labels())
        .await;

    world.work().await;

    let view = world.view(&path).await;
    assert_eq!(
        (&view["status"], &view["done"], &view["failed"]),
        (&json!("done"), &json!(2), &json!(1)),
        "{view}"
    );
    let items = world.items(&path).await;
    assert_eq!(items[1]["problem"]["code"], "output_unfit", "{items:?}");
    assert_eq!(items[1]["problem"]["places"], json!(["/data/label"]));
    assert!(
        items[1]["cost_micros"].as_i64().unwrap() > 0,
        "what was billed is told"
    );
    assert!(items[2]["result"].is_object());
}

#[tokio::test]
async fn a_text_becomes_a_vector() {
    let world = World::new();
    let path = world.take_on("embed", &["Hola"], &json!({})).await;

    world.work().await;

    let item = world.view(&path).await["item"].clone();
    let dimensions = item["result"]["dimensions"].as_u64().unwrap();
    let octets = item["result"]["embedding"].as_str().unwrap().len();
    assert!(dimensions > 0, "{item}");
    assert_eq!(octets as u64, (dimensions * 4).div_ceil(3) * 4);
}

#[tokio::test]
async fn an_order_that_comes_twice_or_is_no_order_changes_nothing() {
    let world = World::new();
    world.says(&json!({"label": "praise", "confidence": 1}));
    let path = world.take_on("classify", &["Great"], &labels()).await;
    let order = world.jobs.drain().remove(0).body;

    world.worker.on(&order).await.unwrap();
    world.worker.on(&order).await.unwrap();
    for poison in ["", "{}", r#"{"org": 1}"#, r#"["job"]"#] {
        world.worker.on(poison).await.unwrap();
    }

    assert_eq!(world.provider.asked("small"), 1);
    assert_eq!(world.events().len(), 1);
    assert_eq!(world.view(&path).await["status"], "done");
}

#[tokio::test]
async fn two_deliveries_at_the_same_time_ask_once() {
    let world = World::new();
    world.says(&json!({"label": "praise", "confidence": 1}));
    let path = world.take_on("classify", &["one", "two"], &labels()).await;
    let order = world.jobs.drain().remove(0).body;

    let (one, other) = tokio::join!(world.worker.on(&order), world.worker.on(&order));

    assert!(one.is_ok() || other.is_ok());
    assert_eq!(world.provider.asked("small"), 2);
    assert_eq!(world.view(&path).await["done"], 2);
}

#[tokio::test]
async fn a_fault_at_any_call_of_the_table_loses_no_answer_and_pays_nothing_twice() {
    let count = {
        let world = World::new();
        world.says(&json!({"label": "praise", "confidence": 1}));
        world.take_on("classify", &["one", "two"], &labels()).await;
        let before = world.table.faults().calls();
        world.work().await;
        world.table.faults().calls() - before
    };
    assert!(count > 5);
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        for call in 0..count {
            let world = World::new();
            world.says(&json!({"label": "praise", "confidence": 1}));
            let path = world.take_on("classify", &["one", "two"], &labels()).await;
            let order = world.jobs.drain().remove(0).body;
            world.table.faults().fail_call(call, fault);

            if world.worker.on(&order).await.is_err() {
                world.clock.advance(Duration::from_mins(30));
                world.worker.on(&order).await.unwrap();
            }

            let view = world.view(&path).await;
            assert_eq!(
                (&view["status"], &view["done"]),
                (&json!("done"), &json!(2)),
                "{fault:?} at {call}: {view}"
            );
            assert_eq!(world.provider.asked("small"), 2, "{fault:?} at {call}");
            assert_eq!(world.events().len(), 1, "{fault:?} at {call}");
        }
    }
}

#[tokio::test]
async fn a_worker_that_was_killed_is_followed_by_one_that_goes_on() {
    let world = World::new();
    world.says(&json!({"label": "praise", "confidence": 1}));
    world.models(&["silent"]);
    let path = world.take_on("classify", &["one", "two"], &labels()).await;
    let order = world.jobs.drain().remove(0).body;
    let killed = tokio::time::timeout(Duration::from_millis(250), world.worker.on(&order)).await;
    assert!(killed.is_err(), "it was asking");
    assert_eq!(world.provider.asked("silent"), 1);
    world.models(&["small"]);

    assert!(
        world.worker.on(&order).await.is_err(),
        "the lease still runs"
    );
    world.clock.advance(Duration::from_mins(30));
    world.worker.on(&order).await.unwrap();

    let items = world.items(&path).await;
    assert_eq!(items[0]["problem"]["code"], "interrupted", "{items:?}");
    assert!(items[1]["result"].is_object(), "{items:?}");
    assert_eq!(world.provider.asked("small"), 1);
}

#[tokio::test]
async fn a_job_that_is_cancelled_keeps_what_is_done_and_asks_no_more() {
    let world = World::new();
    world.says(&json!({"label": "praise", "confidence": 1}));
    let path = world.take_on("classify", &["one", "two"], &labels()).await;
    let cancel = format!("{path}/cancel");

    let cancelled = world.post(&cancel, &json!({})).await;
    world.work().await;

    assert_eq!(cancelled.json()["status"], "cancelled");
    assert_eq!(world.provider.asked("small"), 0);
    assert_eq!(world.told(&path).pop().unwrap().kind, "ai.cancelled");
    assert_eq!(world.post(&cancel, &json!({})).await.status, 200);
    let over = world.take_on("language", &["one"], &json!({})).await;
    world.work().await;
    let refused = world.post(&format!("{over}/cancel"), &json!({})).await;
    assert_eq!(refused.code().as_deref(), Some("not_now"));
    assert!(
        world
            .events()
            .iter()
            .all(|(name, _)| name != "ai.job_failed")
    );
}

#[tokio::test]
async fn a_job_that_nobody_works_on_any_more_is_told_to_be_lost() {
    let world = World::new();
    let path = world.take_on("classify", &["one"], &labels()).await;
    drop(world.jobs.drain());

    world.clock.advance(Duration::from_hours(6));

    let view = world.view(&path).await;
    assert_eq!(
        (&view["status"], &view["problem"]["code"]),
        (&json!("failed"), &json!("interrupted"))
    );
    assert_eq!(world.events().len(), 1);
}

#[tokio::test]
async fn no_text_is_left_when_a_job_is_over() {
    let world = World::without_models();
    let path = world
        .take_on("language", &["secreto uno", "secreto dos"], &json!({}))
        .await;
    let cancelled = world
        .take_on("language", &["secreto tres"], &json!({}))
        .await;
    world.post(&format!("{cancelled}/cancel"), &json!({})).await;
    world.work().await;

    assert_eq!(world.view(&path).await["status"], "done");
    let org = crate::owner().organisation;
    let left = ports::table::Query::prefix(org, "job-input#");
    let left = ports::table::Table::query(&*world.table, &left)
        .await
        .unwrap();
    assert!(left.items.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_worker_whose_time_is_over_puts_the_job_back_where_it_stands() {
    let world = World::new();
    world.says(&json!({"label": "praise", "confidence": 1}));
    world.models(&["silent"]);
    let path = world.take_on("classify", &["one", "two"], &labels()).await;
    let order = world.jobs.drain().remove(0).body;
    let later = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        world.clock.advance(Duration::from_secs(201));
    };

    let (worked, ()) = tokio::join!(world.worker.on(&order), later);

    worked.unwrap();
    let view = world.view(&path).await;
    assert_eq!(
        (&view["status"], &view["failed"]),
        (&json!("running"), &json!(1)),
        "{view}"
    );
    world.models(&["small"]);
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.work().await, 0);
    let items = world.items(&path).await;
    assert!(items[0]["problem"].is_object(), "{items:?}");
    assert!(items[1]["result"].is_object(), "{items:?}");
    assert_eq!(world.provider.asked("small"), 1);
}
