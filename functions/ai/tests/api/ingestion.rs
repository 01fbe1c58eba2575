//! Vectors of documents, whatever happens to the worker that has them made.

use std::time::Duration;

use ports::faults::Fault;
use serde_json::{Value, json};

use crate::{World, caller, id_of, owner};

/// A text of two hundred passages, each of its own; one of them is another than in other texts.
fn long(changed: usize) -> String {
    let paragraph = |n: usize| {
        let word = if n == changed { "cambiado" } else { "escrito" };
        let sentence = format!("El párrafo número {n} fue {word} para el manual de la panadería. ");
        format!("{}\n\n", sentence.repeat(10))
    };
    (0..200).map(paragraph).collect()
}

/// The texts that the endpoint was asked to make vectors of, one list a call.
fn portions(world: &World) -> Vec<usize> {
    let asked = world.provider.received();
    let asked = asked
        .iter()
        .filter(|asked| asked.path.ends_with("/embeddings"));
    asked
        .map(|asked| asked.body["input"].as_array().unwrap().len())
        .collect()
}

/// Kills a worker when it asks for so many portions: the endpoint hears a question before it answers, so that
/// who looks first sees it before the worker has its answer.
async fn killed_at(world: &World, order: &str, asked: usize) {
    let asking = async {
        while portions(world).len() < asked {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = asking => {}
        _ = world.worker.on(order) => panic!("it was asking"),
    }
}

#[tokio::test]
async fn passages_get_vectors_once_and_only_what_changed_gets_new_ones() {
    let world = World::new();
    let collection = world.collection().await;
    let document = world.add(&collection, "Manual", &long(0)).await;

    world.work().await;

    let view = world.view(&document).await;
    let passages = view["published"]["passages"].as_u64().unwrap();
    assert_eq!(view["published"]["embedded"], passages, "{view}");
    assert!(view["cost_micros"].as_i64().unwrap() > 0);
    let first = portions(&world);
    assert_eq!(first.iter().sum::<usize>() as u64, passages);
    assert!(
        first.iter().all(|portion| *portion <= 64) && first.len() > 2,
        "{first:?}"
    );
    let found = world.search(&collection, "párrafo 77 del manual").await;
    assert_eq!(found["mode"], "hybrid");
    assert!(found["items"][0]["similarity"].is_f64());
    assert!(found["cost_micros"].as_i64().unwrap() > 0);

    let before = portions(&world).len();
    let body = json!({"title": "Manual", "media_type": "text/plain", "text": long(100)});
    let put = runtime::testing::Call::new("PUT", &document).json(&body);
    assert_eq!(world.send_by(&owner(), put).await.status, 202);
    world.work().await;

    let after = portions(&world).split_off(before);
    assert_eq!(after.len(), 1, "{after:?}");
    assert!(after[0] <= 4, "{after:?}");
    let view = world.view(&document).await;
    assert_eq!(
        view["published"]["embedded"], view["published"]["passages"],
        "{view}"
    );
}

#[tokio::test]
async fn what_was_told_grows_to_the_end() {
    let world = World::new();
    let collection = world.collection().await;
    let body = json!({"title": "Manual", "media_type": "text/plain", "text": long(0)});
    let queued = world
        .post(&format!("{collection}/documents"), &body)
        .await
        .json();

    world.work().await;

    let told = world.told_of(&queued);
    let counts: Vec<u64> = told
        .iter()
        .map(|frame| frame.data["embedded"].as_u64().unwrap())
        .collect();
    assert!(counts.is_sorted() && counts.len() > 2, "{counts:?}");
    assert_eq!(told.last().unwrap().kind, "ai.document_ready");
}

#[tokio::test]
async fn an_order_that_comes_twice_or_is_old_or_is_no_order_changes_nothing() {
    let world = World::new();
    let collection = world.collection().await;
    let document = world.add(&collection, "Manual", "Pan de maíz.").await;
    let order = world.jobs.drain().remove(0).body;
    world.worker.on(&order).await.unwrap();
    let body = json!({"title": "Manual", "media_type": "text/plain", "text": "Pan de centeno."});
    let put = runtime::testing::Call::new("PUT", &document).json(&body);
    world.send_by(&owner(), put).await;

    world.worker.on(&order).await.unwrap();
    assert_eq!(world.view(&document).await["status"], "queued");
    world.work().await;
    world.worker.on(&order).await.unwrap();
    let other = order.replace(
        &owner().organisation.to_string(),
        &caller(2, "owner").organisation.to_string(),
    );
    world.worker.on(&other).await.unwrap();
    for poison in [
        order.replace("\"revision\":1", "\"revision\":-1"),
        order.replace("cdo_", "doc_"),
        order.replace('{', "{\"more\":1,"),
    ] {
        world.worker.on(&poison).await.unwrap();
    }

    assert_eq!(portions(&world), [1, 1]);
    assert_eq!(world.events().len(), 2);
    let found = world.search(&collection, "pan").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(found["items"][0]["text"], "Pan de centeno.");
}

#[tokio::test]
async fn a_purge_of_a_collection_that_is_there_deletes_nothing() {
    let world = World::without_models();
    let collection = world.collection().await;
    world.add(&collection, "Manual", "Pan de maíz.").await;
    world.work().await;
    let order = json!({"org": owner().organisation, "collection": id_of(&collection)});

    world.worker.on(&order.to_string()).await.unwrap();

    let found = world.search(&collection, "maíz").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn two_deliveries_at_the_same_time_pay_once() {
    let world = World::new();
    let collection = world.collection().await;
    let document = world.add(&collection, "Manual", "Pan de maíz.").await;
    let order = world.jobs.drain().remove(0).body;

    let (one, other) = tokio::join!(world.worker.on(&order), world.worker.on(&order));

    assert!(one.is_ok() || other.is_ok());
    assert_eq!(portions(&world), [1]);
    assert_eq!(world.view(&document).await["status"], "ready");
}

#[tokio::test]
async fn a_fault_at_any_call_of_the_table_loses_nothing_and_pays_nothing_twice() {
    let read = async |fault: Option<(usize, Fault)>| {
        let world = World::new();
        let collection = world.collection().await;
        let document = world.add(&collection, "Manual", &long(0)).await;
        let order = world.jobs.drain().remove(0).body;
        let before = world.table.faults().calls();
        if let Some((call, fault)) = fault {
            world.table.faults().fail_call(call, fault);
        }
        if world.worker.on(&order).await.is_err() {
            world.clock.advance(Duration::from_mins(30));
            world.worker.on(&order).await.unwrap();
        }
        let calls = world.table.faults().calls() - before;
        let view = world.view(&document).await;
        assert_eq!(view["status"], "ready", "{fault:?}: {view}");
        assert_eq!(
            view["published"]["embedded"], view["published"]["passages"],
            "{fault:?}"
        );
        let asked: usize = portions(&world).iter().sum();
        assert_eq!(
            Value::from(asked),
            view["published"]["passages"],
            "{fault:?}"
        );
        assert_eq!(world.events().len(), 1, "{fault:?}");
        calls
    };
    let count = read(None).await;
    assert!(count > 5);
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        for call in 0..count {
            read(Some((call, fault))).await;
        }
    }
}

#[tokio::test]
async fn a_worker_that_was_killed_is_followed_by_one_that_goes_on() {
    let world = World::new();
    let collection = world.collection().await;
    let document = world.add(&collection, "Manual", &long(0)).await;
    let order = world.jobs.drain().remove(0).body;
    killed_at(&world, &order, 2).await;

    assert!(
        world.worker.on(&order).await.is_err(),
        "the lease still runs"
    );
    world.clock.advance(Duration::from_mins(30));
    world.worker.on(&order).await.unwrap();

    let view = world.view(&document).await;
    let passages = view["published"]["passages"].as_u64().unwrap();
    assert_eq!(view["published"]["embedded"], passages, "{view}");
    let asked: usize = portions(&world).iter().sum();
    assert!(
        asked as u64 <= passages + 64,
        "{asked} of {passages}: one portion at most is asked again"
    );
}

#[tokio::test]
async fn what_kills_its_workers_fails_in_the_end() {
    let world = World::new();
    let collection = world.collection().await;
    let document = world.add(&collection, "Manual", "Pan.").await;
    let order = world.jobs.drain().remove(0).body;
    for _ in 0..3 {
        let before = portions(&world).len();
        killed_at(&world, &order, before + 1).await;
        world.clock.advance(Duration::from_mins(30));
    }

    world.worker.on(&order).await.unwrap();

    let view = world.view(&document).await;
    assert_eq!(
        (&view["status"], &view["problem"]["code"]),
        (&json!("failed"), &json!("document_unreadable"))
    );
}

#[tokio::test]
async fn without_vectors_a_document_is_found_by_its_words_and_says_why() {
    let world = World::new();
    let collection = world.collection().await;
    world.secrets.set(crate::SECRET, "no list");
    let document = world.add(&collection, "Manual", "Pan de maíz.").await;

    world.work().await;

    let view = world.view(&document).await;
    assert_eq!(
        (&view["status"], &view["published"]["embedded"]),
        (&json!("ready"), &json!(0)),
        "{view}"
    );
    assert!(view["problem"]["code"].is_string(), "{view}");
    let found = world.search(&collection, "maiz").await;
    assert_eq!(found["mode"], "keyword");
    assert_eq!(found["items"].as_array().unwrap().len(), 1);

    world.models(&["small"]);
    world.clock.advance(Duration::from_mins(2));
    let again = world.add(&collection, "Manual", "Pan de maíz.").await;
    world.work().await;

    assert_eq!(
        again, document,
        "the same content sent again is another try"
    );
    assert_eq!(world.view(&document).await["published"]["embedded"], 1);
}

#[tokio::test]
async fn a_collection_without_embedding_asks_nobody() {
    let world = World::new();
    let made = world
        .post(
            "/v1/ai/collections",
            &json!({"name": "Sin vectores", "embedding": false}),
        )
        .await;
    let collection = format!("/v1/ai/collections/{}", made.json()["id"].as_str().unwrap());
    world.add(&collection, "Manual", "Pan de maíz.").await;
    world.work().await;

    assert_eq!(world.search(&collection, "pan").await["mode"], "keyword");
    assert!(world.provider.received().is_empty());
}

#[tokio::test]
async fn a_document_that_nobody_reads_any_more_is_told_to_be_lost() {
    let world = World::without_models();
    let collection = world.collection().await;
    let document = world.add(&collection, "Manual", "Pan.").await;
    drop(world.jobs.drain());

    world.clock.advance(Duration::from_hours(6));

    let view = world.view(&document).await;
    assert_eq!(
        (&view["status"], &view["problem"]["code"]),
        (&json!("failed"), &json!("interrupted"))
    );
    world.add(&collection, "Manual", "Pan.").await;
    world.work().await;
    assert_eq!(world.view(&document).await["status"], "ready");
}
