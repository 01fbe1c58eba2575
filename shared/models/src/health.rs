//! Which targets fail at the moment, known to every process that shares the table.
//!
//! A target that fails twice in a row is asked last for a while, twice as long after each further failure;
//! one that refuses our key or names a time is asked last at once. Last, not never: if nobody else
//! answers it is tried all the same, so that no rule of ours turns a bad minute into an outage.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ports::PortError;
use ports::clock::Clock;
use ports::table::{Count, Counted, Key, Table};

use crate::target::Target;

/// How long what was read is believed.
const FRESH: SignedDuration = SignedDuration::from_secs(2);

/// Failures in a row after which a target is asked last.
const PATIENCE: i64 = 2;

/// The first time that it is asked last for.
const FIRST: Duration = Duration::from_secs(5);

/// The longest time, also of what an endpoint wishes.
const LONGEST: Duration = Duration::from_mins(5);

/// How long a refused key or a spent quota is believed.
pub(crate) const BENCHED: Duration = Duration::from_mins(1);

/// How long a row is kept that nobody moves.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

const FAILURES: &str = "failures";
const UNTIL: &str = "until";

/// What is known of the targets.
pub(crate) struct Health {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    seen: Mutex<HashMap<String, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Timestamp,
    failures: i64,
    /// Milliseconds since 1970.
    until: i64,
}

impl Health {
    pub(crate) fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>) -> Self {
        Self {
            table,
            clock,
            seen: Mutex::default(),
        }
    }

    /// The targets in the order in which they are to be asked: as given, the failing ones last, and of those
    /// the one first that is to be asked again first.
    pub(crate) async fn order(&self, targets: Vec<Arc<Target>>) -> Vec<Arc<Target>> {
        if targets.len() < 2 {
            return targets;
        }
        let now = self.clock.now();
        let known = targets.iter().map(|target| self.read(&target.name, now));
        let known = futures::future::join_all(known).await;
        let mut order: Vec<(i64, Arc<Target>)> = known
            .into_iter()
            .map(|seen| {
                if seen.until > now.as_millisecond() {
                    seen.until
                } else {
                    0
                }
            })
            .zip(targets)
            .collect();
        order.sort_by_key(|(until, _)| *until);
        order.into_iter().map(|(_, target)| target).collect()
    }

    async fn read(&self, name: &str, now: Timestamp) -> Seen {
        if let Some(seen) = self.known(name)
            && now.duration_since(seen.at) < FRESH
        {
            return seen;
        }
        let none = Seen {
            at: now,
            failures: 0,
            until: 0,
        };
        match self.table.get(&key(name)).await {
            Ok(row) => {
                let number = |field: &str| {
                    row.as_ref()
                        .and_then(|row| row.attributes.get(field)?.as_i64())
                        .unwrap_or(0)
                };
                let seen = Seen {
                    failures: number(FAILURES),
                    until: number(UNTIL),
                    ..none
                };
                self.remember(name, seen);
                seen
            }
            Err(error) => {
                tracing::warn!(%error, "the health of a target is not known");
                none
            }
        }
    }

    /// The target has failed; `bench` is how long it is certain not to answer, if that is known.
    pub(crate) async fn failed(&self, name: &str, bench: Option<Duration>) {
        let now = self.clock.now();
        let failures = self.known(name).map_or(0, |seen| seen.failures) + 1;
        let rest = bench
            .map(|bench| bench.min(LONGEST))
            .or_else(|| pause(failures));
        let until = rest.map(|rest| {
            let millis = i64::try_from(rest.as_millis()).unwrap_or(i64::MAX);
            now.as_millisecond().saturating_add(millis)
        });
        let count = Count {
            key: key(name),
            guards: Vec::new(),
            add: vec![(FAILURES.to_owned(), 1)],
            set: until
                .map(|until| (UNTIL.to_owned(), until))
                .into_iter()
                .collect(),
            remove: Vec::new(),
            expires_at: now.checked_add(KEPT).ok(),
        };
        self.tell(name, count, now).await;
    }

    /// The target has answered.
    pub(crate) async fn answered(&self, name: &str) {
        if self.known(name).is_none_or(|seen| seen.failures == 0) {
            return;
        }
        let now = self.clock.now();
        let count = Count {
            key: key(name),
            guards: Vec::new(),
            add: Vec::new(),
            set: vec![(FAILURES.to_owned(), 0), (UNTIL.to_owned(), 0)],
            remove: Vec::new(),
            expires_at: now.checked_add(KEPT).ok(),
        };
        self.tell(name, count, now).await;
    }

    /// Others will only learn it later if this fails, so that is no reason to fail a call.
    async fn tell(&self, name: &str, count: Count, now: Timestamp) {
        let told: Result<Counted, PortError> = self.table.count(count).await;
        match told {
            Ok(Counted::Done(numbers) | Counted::Refused(numbers)) => {
                let number = |field: &str| numbers.get(field).copied().unwrap_or(0);
                let seen = Seen {
                    at: now,
                    failures: number(FAILURES),
                    until: number(UNTIL),
                };
                self.remember(name, seen);
            }
            Err(error) => tracing::warn!(%error, "the health of a target was not told"),
        }
    }

    fn known(&self, name: &str) -> Option<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(name).copied()
    }

    fn remember(&self, name: &str, seen: Seen) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_owned(), seen);
    }
}

/// Targets belong to the operator and to no organisation.
fn key(name: &str) -> Key {
    Key::new("models#health", name)
}

fn pause(failures: i64) -> Option<Duration> {
    let beyond = u32::try_from(failures - PATIENCE).ok()?;
    Some(FIRST.saturating_mul(1 << beyond.min(6)).min(LONGEST))
}
