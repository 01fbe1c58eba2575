//! The limiter against parallel processes and moving time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ports::clock::{Clock, ManualClock};
use ports::faults::Fault;
use ports::table::MemoryTable;
use proptest::prelude::*;
use runtime::rate_limit::{Limiter, Policy};

const POLICY: Policy = Policy {
    name: "test",
    quota: 1000,
    minutes: 1,
};

fn processes(n: usize) -> (Vec<Limiter>, Arc<ManualClock>, Arc<MemoryTable>) {
    let (table, clock) = (
        MemoryTable::shared(),
        ManualClock::at_text("2026-01-02T03:04:05Z"),
    );
    let limiters = (0..n)
        .map(|_| Limiter::new(table.clone(), clock.clone(), POLICY))
        .collect();
    (limiters, clock, table)
}

#[tokio::test]
async fn forty_processes_together_admit_the_quota_and_no_more() {
    let (limiters, _, _) = processes(40);
    let mut admitted = 0;

    for n in 0..1200 {
        admitted += usize::from(limiters[n % 40].admit("somebody").await.is_ok());
    }

    assert!((990..=1000).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn processes_that_fall_idle_leave_next_to_nothing_unused() {
    let (limiters, _, _) = processes(40);
    let mut admitted = 0;

    // A busy caller on one process, a burst over all of them, and then only a few go on.
    for n in 0..1400 {
        let process = match n {
            0..200 => 0,
            200..280 => n % 40,
            _ => n % 5,
        };
        admitted += usize::from(limiters[process].admit("somebody").await.is_ok());
    }

    assert!((990..=1000).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn what_a_process_leased_and_did_not_spend_comes_back() {
    let (limiters, clock, _) = processes(40);
    for limiter in &limiters {
        limiter.admit("somebody").await.unwrap();
    }
    clock.advance(Duration::from_secs(10));
    let mut admitted = 40;

    for n in 0..1200 {
        admitted += usize::from(limiters[n % 40].admit("somebody").await.is_ok());
    }

    assert!((990..=1000).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn a_lost_answer_gives_nothing_back_twice() {
    // Around the point where leases of several end, more can be given back than is counted at once.
    for before in 590..610 {
        let (limiters, clock, table) = processes(1);
        let mut admitted = 0;
        for _ in 0..before {
            admitted += usize::from(limiters[0].admit("somebody").await.is_ok());
        }
        clock.advance(Duration::from_secs(10));
        // The first try is refused, because time has moved; the second gives back what was not spent.
        table.faults().fail_call(1, Fault::After);

        for _ in 0..600 {
            admitted += usize::from(limiters[0].admit("somebody").await.is_ok());
        }

        assert!(
            (980..=1000).contains(&admitted),
            "{admitted} after {before}"
        );
    }
}

#[tokio::test]
async fn most_requests_far_from_the_limit_cost_no_write() {
    let (limiters, _, table) = processes(1);

    for _ in 0..300 {
        limiters[0].admit("somebody").await.unwrap();
    }

    assert!(
        table.faults().calls() <= 60,
        "{} calls",
        table.faults().calls()
    );
}

#[tokio::test]
async fn callers_do_not_share_a_quota() {
    let (limiters, _, _) = processes(1);
    for _ in 0..1001 {
        let _admitted = limiters[0].admit("greedy").await;
    }

    assert!(limiters[0].admit("greedy").await.is_err());
    assert!(limiters[0].admit("modest").await.is_ok());
}

#[tokio::test]
async fn a_limiter_without_its_table_lets_requests_pass() {
    let (limiters, _, table) = processes(1);
    table.faults().fail_next(Fault::Throttled);

    assert!(limiters[0].admit("somebody").await.is_ok());
}

#[tokio::test]
async fn the_quota_comes_back_when_the_window_has_passed() {
    let (limiters, clock, _) = processes(1);
    for _ in 0..1000 {
        limiters[0].admit("somebody").await.unwrap();
    }
    assert!(limiters[0].admit("somebody").await.is_err());

    clock.advance(Duration::from_secs(67));

    assert_eq!(limiters[0].admit("somebody").await.unwrap().remaining, 999);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Bursts of any size at any distance, over several processes: no window of 60 s, wherever it
    /// begins, holds more than the quota.
    #[test]
    fn no_window_of_a_minute_holds_more_than_the_quota(
        bursts in prop::collection::vec((0_u64..20_000, 1_usize..400, 0_usize..5), 1..40),
    ) {
        let (limiters, clock, _) = processes(5);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut window: VecDeque<i64> = VecDeque::new();

        for (pause_ms, size, process) in bursts {
            clock.advance(Duration::from_millis(pause_ms));
            let now = clock.now().as_millisecond();
            for n in 0..size {
                let limiter = &limiters[(process + n) % 5];
                if runtime.block_on(limiter.admit("somebody")).is_ok() {
                    window.push_back(now);
                }
                while window.front().is_some_and(|at| now - at >= 60_000) {
                    window.pop_front();
                }
                prop_assert!(window.len() <= 1000, "{} in one window", window.len());
            }
        }
    }
}
