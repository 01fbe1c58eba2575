//! A batch that is cut at every call to the outside, once each: nothing is lost, nothing doubled.

use std::collections::BTreeSet;

use ports::faults::{Fault, Faults};

use crate::{World, letters};

const ROWS: u32 = 22;

/// The calls that an undisturbed batch makes, port by port.
async fn calls() -> [usize; 4] {
    let world = World::new();
    let before = faults(&world).map(Faults::calls);
    world.batch(&letters(ROWS, &bad())).await;
    let taken = faults(&world).map(Faults::calls);
    assert!(before.iter().all(|calls| *calls == 0) && taken.iter().sum::<usize>() > 0);
    let path = world.all("/v1/document-batches").await[0]["id"].clone();
    let asked = faults(&world).map(Faults::calls);
    world.settle().await;
    let settled = faults(&world).map(Faults::calls);
    assert!(path.is_string());
    std::array::from_fn(|port| settled[port] - asked[port])
}

fn faults(world: &World) -> [&Faults; 4] {
    [
        world.table.faults(),
        world.blobs.faults(),
        world.jobs.faults(),
        world.channels.faults(),
    ]
}

fn bad() -> BTreeSet<u32> {
    BTreeSet::from([20])
}

#[tokio::test]
async fn a_worker_cut_at_any_call_is_followed_by_one_that_goes_on() {
    let calls = calls().await;
    for (port, calls) in calls.into_iter().enumerate() {
        for call in 0..calls {
            // Between them, each call is lost before and after it took effect.
            for fault in [Fault::Before, Fault::After] {
                let world = World::new();
                let path = world.batch(&letters(ROWS, &bad())).await;
                faults(&world)[port].fail_call(call, fault);

                world.settle().await;

                let place = format!("{fault:?} at call {call} of port {port}");
                world.assert_made(&path, ROWS, &bad(), &place).await;
                assert_eq!(world.unzipped(&path).await.len(), 21, "{place}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_cut_at_any_call_takes_on_one_batch() {
    for (port, call) in [(0, 0), (0, 1), (1, 0)] {
        for fault in [Fault::Before, Fault::After, Fault::Throttled] {
            let world = World::new();
            faults(&world)[port].fail_call(call, fault);
            let body =
                serde_json::json!({ "template": "letter", "rows": letters(2, &BTreeSet::new()) });
            let call = runtime::testing::Call::post("/v1/document-batches", &body)
                .header("idempotency-key", "batch-1");

            let first = world.send(call.clone()).await.status.as_u16();
            world.clock.advance(std::time::Duration::from_mins(1));
            let again = world.send(call).await;
            world.settle().await;

            assert!([202, 503].contains(&first), "{first}");
            assert_eq!(again.status.as_u16(), 202, "{}", again.json());
            let listed = world.all("/v1/document-batches").await;
            assert_eq!(
                (listed.len(), &listed[0]["ready"]),
                (1, &serde_json::json!(2))
            );
            assert_eq!(world.announced("documents.batch_queued").len(), 1);
        }
    }
}
