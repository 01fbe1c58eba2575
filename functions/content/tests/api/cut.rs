//! Requests and jobs that are cut at every call to the outside: nothing lost, nothing doubled.

use std::time::Duration;

use ports::faults::Fault;
use runtime::testing::{Answer, Call};
use serde_json::{Value, json};

use crate::World;

fn request() -> Call {
    Call::post(
        "/v1/content/generate",
        &json!({"prompt": "Hola", "max_tokens": 20}),
    )
    .header("idempotency-key", "order-17")
}

async fn insist(world: &World) -> Answer {
    for _ in 0..5 {
        let answer = world.send(request()).await;
        if answer.status == 200 {
            return answer;
        }
        let status = answer.status.as_u16();
        assert!(status == 503 || status == 409, "{}", answer.json());
        // Longer than any lease of a request.
        world.clock.advance(Duration::from_mins(1));
    }
    panic!("five attempts and no text");
}

fn contents(world: &World) -> usize {
    let rows = world.table.rows();
    rows.iter()
        .filter(|row| row.key.sk.starts_with("content#"))
        .count()
}

/// How many calls of the table a request makes that nothing cuts.
async fn calls() -> usize {
    let world = World::new();
    world.says("Hola");
    let before = world.table.faults().calls();
    insist(&world).await;
    world.table.faults().calls() - before
}

#[tokio::test]
async fn a_request_cut_anywhere_makes_one_text_and_announces_it_once() {
    for call in 0..calls().await {
        for fault in [Fault::Before, Fault::After, Fault::Throttled] {
            let world = World::new();
            world.says("Hola");
            world.table.faults().fail_call(call, fault);

            let made = insist(&world).await.json();

            let place = format!("{fault:?} at {call}");
            assert_eq!(made["text"], "Hola", "{place}");
            assert_eq!(contents(&world), 1, "{place}");
            assert_eq!(world.announced("content.generated"), 1, "{place}");
        }
    }
}

/// A world with a job that waits, and the job's text.
async fn with_job() -> (World, String, Value) {
    let world = World::new();
    world.says("Hola a todos");
    let taken = json!({"prompt": "Hola", "stream": true, "max_tokens": 20});
    let id = world.generate(&taken).await.json()["id"].clone();
    let message = world.jobs.drain().remove(0);
    (world, message.body, id)
}

#[tokio::test]
async fn a_job_cut_anywhere_ends_once_and_is_never_asked_twice() {
    let (world, body, _) = with_job().await;
    let before = world.table.faults().calls();
    world.worker.on(&body).await.unwrap();
    let calls = world.table.faults().calls() - before;

    for call in 0..calls {
        for fault in [Fault::Before, Fault::After] {
            let (world, body, id) = with_job().await;
            world.table.faults().fail_call(call, fault);

            if world.worker.on(&body).await.is_err() {
                world.clock.advance(Duration::from_mins(1));
                world.worker.on(&body).await.unwrap();
            }

            let place = format!("{fault:?} at {call}");
            let path = format!("/v1/content/{}", id.as_str().unwrap());
            let view = world.get(&path).await.json();
            assert_ne!(view["status"], "running", "{place}: {view}");
            assert!(world.provider.asked("small") <= 1, "{place}");
            let announced = usize::from(view["status"] == "done");
            assert_eq!(
                world.announced("content.generated"),
                announced,
                "{place}: {view}"
            );
        }
    }
}
