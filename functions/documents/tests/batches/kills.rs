//! Workers that are killed anywhere, messages that come twice and in any order.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::{Mail, World, letters};

/// Runs a future for that many steps and drops it if it has not ended by then, as a killed process would.
async fn killed_after<F: Future>(steps: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = steps;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// What happens to the next delivery.
#[derive(Clone, Copy, Debug)]
struct Fate {
    /// Which of the waiting messages is delivered.
    message: prop::sample::Index,
    /// After that many steps the worker is killed.
    steps: u32,
    /// The message comes once more, although it was done.
    twice: bool,
}

fn fate() -> impl Strategy<Value = Fate> {
    (
        any::<prop::sample::Index>(),
        1_u32..400,
        prop::bool::weighted(0.2),
    )
        .prop_map(|(message, steps, twice)| Fate {
            message,
            steps,
            twice,
        })
}

async fn disturbed(rows: u32, bad: &BTreeSet<u32>, fates: Vec<Fate>) {
    let world = World::new();
    let path = world.batch(&letters(rows, bad)).await;
    let mut mail = Mail::default();
    for fate in &fates {
        world.collect(&mut mail);
        if mail.0.is_empty() {
            break;
        }
        let index = fate.message.index(mail.0.len());
        let body = mail.0.remove(index).unwrap();
        let done = killed_after(fate.steps, world.worker.once(&body)).await;
        if !matches!(done, Some(Ok(()))) || fate.twice {
            mail.0.push_back(body);
        }
    }
    // From here on nothing is disturbed any more, but all that waits still comes.
    world.collect(&mut mail);
    while let Some(body) = mail.0.pop_front() {
        if world.worker.once(&body).await.is_err() {
            mail.0.push_back(body);
        }
        world.collect(&mut mail);
    }
    world
        .assert_made(&path, rows, bad, &format!("{fates:?}"))
        .await;
    assert_eq!(world.unzipped(&path).await.len(), rows as usize - bad.len());
}

#[test]
fn two_hundred_rows_survive_random_kills_repeats_and_disorder() {
    let config = Config {
        cases: 4,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let bad = BTreeSet::from([17, 140]);
    let mut runner = TestRunner::new(config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runner
        .run(&prop::collection::vec(fate(), 10..60), |fates| {
            runtime.block_on(disturbed(200, &bad, fates));
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_few_rows_survive_many_more_of_them() {
    let config = Config {
        cases: 40,
        max_shrink_iters: 30,
        failure_persistence: None,
        ..Config::default()
    };
    let bad = BTreeSet::from([2]);
    let mut runner = TestRunner::new(config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runner
        .run(&prop::collection::vec(fate(), 5..40), |fates| {
            runtime.block_on(disturbed(23, &bad, fates));
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_batch_whose_planner_died_runs_once_a_row_is_made() {
    let world = World::new();
    let path = world.batch(&letters(25, &BTreeSet::new())).await;
    let mut mail = Mail::default();
    world.collect(&mut mail);
    let plan = mail.0.pop_front().unwrap();
    let mut orders = Vec::new();
    for steps in 1.. {
        let done = killed_after(steps, world.worker.once(&plan)).await;
        assert!(
            done.is_none(),
            "it is killed between its orders and its word"
        );
        orders.extend(world.jobs.drain());
        if !orders.is_empty() {
            break;
        }
    }
    assert_eq!(world.get(&path).await["status"], "queued");

    world.worker.once(&orders[0].body).await.unwrap();

    let state = world.get(&path).await;
    assert_eq!(state["status"], "running", "{state}");
    assert_eq!(state["ready"], 20);
}
