//! A rate limit that is exact in any window and that most requests pass without a write.
//!
//! A row per caller counts admissions by slot of a sixtieth of the window, with their sum; an atomic
//! add under the guard `sum <= quota - n` admits, so that no number of parallel processes admits more.
//! Far from the quota a process leases a handful of admissions with one write and spends them from
//! memory; near it each request is counted on its own. What a lease did not spend in its time is given back
//! with the next write, so that next to nothing is left unused when it matters.
//!
//! A lease is spent at most five slots after it was counted, and the sum covers the window and
//! that much more: therefore at most `quota` requests pass in *any* window, whatever its start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::Text;
use http::{HeaderName, HeaderValue, Response};
use jiff::Timestamp;
use ports::PortError;
use ports::clock::Clock;
use ports::table::{Count, Counted, Guard, Key, Numbers, Table};

use crate::problem::{self, Problem};

/// Slots in a window.
const SLOTS: i64 = 60;

/// How many slots a lease lives beyond the one that it was counted in.
const LEASE_SLOTS: i64 = 5;

/// Slots that the sum covers: the window, the one that has begun, and a lease's life.
const LIVE: i64 = SLOTS + 1 + LEASE_SLOTS;

/// Tries before a row that everybody is moving counts as busy.
const ATTEMPTS: usize = 24;

/// Callers that one process remembers; more are forgotten, which costs a write each and no exactness.
const REMEMBERED: usize = 10_000;

/// How many requests a caller may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name in the `RateLimit` headers.
    pub name: &'static str,
    /// Requests in any window.
    pub quota: i64,
    /// The window in whole minutes, at least 1.
    pub minutes: i64,
}

impl Policy {
    /// What every caller may do in a minute.
    pub const PER_CALLER: Self = Self {
        name: "user",
        quota: 1000,
        minutes: 1,
    };

    fn slot(&self, now: Timestamp) -> i64 {
        now.as_second().div_euclid(self.minutes)
    }

    fn seconds(&self, slots: i64) -> i64 {
        slots * self.minutes
    }

    /// A hundredth of what is left, and single requests in the last two fifths of the quota.
    fn handful(&self, sum: i64) -> i64 {
        let left = self.quota - sum;
        if left * 5 <= self.quota * 2 {
            1
        } else {
            (left / 100).clamp(1, 10)
        }
    }

    /// The handful, divided by the processes that move the row at the same time: what each of many
    /// leases is left unused when some of them fall idle.
    fn share(&self, sum: i64, others: i64) -> i64 {
        (self.handful(sum) / (1 + others.max(0))).max(1)
    }
}

/// What a caller is told of their quota, admitted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The rule.
    pub policy: Policy,
    /// Admissions left in the present window, as far as this process knows.
    pub remaining: i64,
    /// Seconds until some of the quota comes back.
    pub reset: i64,
}

/// Too many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied(pub Standing);

impl From<Denied> for Problem {
    fn from(Denied(standing): Denied) -> Self {
        let Policy { quota, minutes, .. } = standing.policy;
        let detail = Text::with(
            format!("Como máximo {quota} peticiones cada {minutes} min"),
            format!("At most {quota} requests in {minutes} min"),
        );
        let problem = Self::new(&problem::RATE_LIMITED).detail(detail);
        let problem = problem.retry_after(u64::try_from(standing.reset).unwrap_or(1));
        standing
            .headers()
            .into_iter()
            .fold(problem, |p, (name, value)| {
                p.header(HeaderName::from_static(name), &value)
            })
    }
}

impl Standing {
    /// The standard fields (draft-ietf-httpapi-ratelimit-headers) and the three that came before it.
    fn headers(&self) -> [(&'static str, String); 5] {
        let Policy { name, quota, .. } = self.policy;
        let (remaining, reset) = (self.remaining.max(0), self.reset);
        [
            (
                "ratelimit-policy",
                format!("\"{name}\";q={quota};w={}", self.policy.seconds(SLOTS)),
            ),
            ("ratelimit", format!("\"{name}\";r={remaining};t={reset}")),
            ("ratelimit-limit", quota.to_string()),
            ("ratelimit-remaining", remaining.to_string()),
            ("ratelimit-reset", reset.to_string()),
        ]
    }

    /// Writes the fields on an answer, unless a stricter policy has written its own.
    pub fn write_on<B>(&self, response: &mut Response<B>) {
        for (name, value) in self.headers() {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().entry(name).or_insert(value);
            }
        }
    }
}

/// What a process assumes of the others before it has seen the row move.
const MANY: i64 = 1000;

/// Enforces one policy over one table.
pub struct Limiter {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    leases: Mutex<HashMap<String, Lease>>,
}

/// What a process knows of one caller.
#[derive(Clone, Copy, Debug)]
struct Lease {
    /// The slot that the admissions were counted in.
    slot: i64,
    /// Admissions not yet spent.
    left: i64,
    /// The row's sum when it was last seen.
    sum: i64,
    /// Seconds until quota comes back, then.
    reset: i64,
    /// The row's revision when it was last seen.
    revision: i64,
    /// How often other processes moved the row between this process's last two writes.
    others: i64,
    /// The caller is known to be over the quota until the end of this slot.
    denied: bool,
}

impl Limiter {
    /// A limiter of this policy.
    pub fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>, policy: Policy) -> Self {
        Self {
            table,
            clock,
            policy,
            leases: Mutex::default(),
        }
    }

    /// Admits one request of this caller, or not.
    ///
    /// If the table cannot be reached the request is admitted and a warning logged: a limiter that is
    /// down must not take the API down with it.
    pub async fn admit(&self, caller: &str) -> Result<Standing, Denied> {
        let slot = self.policy.slot(self.clock.now());
        if let Some(known) = self.spend(caller, slot) {
            return known;
        }
        match self.lease(caller, slot).await {
            Ok(lease) => {
                self.remember(caller, lease, slot);
                if lease.denied {
                    Err(Denied(self.standing(lease)))
                } else {
                    Ok(self.standing(lease))
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the rate limit could not be counted");
                Ok(Standing {
                    policy: self.policy,
                    remaining: self.policy.quota,
                    reset: self.policy.seconds(SLOTS),
                })
            }
        }
    }

    /// Answers from memory where that is exact.
    fn spend(&self, caller: &str, slot: i64) -> Option<Result<Standing, Denied>> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let lease = leases.get_mut(caller)?;
        if lease.denied && lease.slot == slot {
            return Some(Err(Denied(self.standing(*lease))));
        }
        if lease.left > 0 && (lease.slot..=lease.slot + LEASE_SLOTS).contains(&slot) {
            lease.left -= 1;
            return Some(Ok(self.standing(*lease)));
        }
        None
    }

    fn remember(&self, caller: &str, lease: Lease, slot: i64) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.len() >= REMEMBERED {
            leases.retain(|_, lease| lease.slot + LIVE >= slot);
        }
        if leases.len() < REMEMBERED || leases.contains_key(caller) {
            leases.insert(caller.to_owned(), lease);
        }
    }

    fn standing(&self, lease: Lease) -> Standing {
        let remaining = if lease.denied {
            0
        } else {
            self.policy.quota - lease.sum + lease.left
        };
        Standing {
            policy: self.policy,
            remaining,
            reset: lease.reset.max(1),
        }
    }

    /// What is known of a caller; what the lease has left is no longer there to be spent.
    fn take(&self, caller: &str) -> Option<Lease> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let lease = leases.get_mut(caller)?;
        let taken = *lease;
        lease.left = 0;
        Some(taken)
    }

    /// Counts a handful of admissions, spends one and keeps the rest.
    async fn lease(&self, caller: &str, slot: i64) -> Result<Lease, PortError> {
        let key = Key::new(format!("req#limit#{}#{caller}", self.policy.name), "count");
        let known = self.take(caller);
        let mut unspent = known.filter(|lease| lease.left > 0).map(Unspent::of);
        let others = known.map_or(MANY, |lease| lease.others);
        let mut want = self
            .policy
            .share(known.map_or(0, |lease| lease.sum), others);
        let mut step = Step::Add { slot };
        for _ in 0..ATTEMPTS {
            let count = step.count(&key, &self.policy, want, unspent);
            match self.table.count(count).await? {
                Counted::Done(numbers) => {
                    let window = Window::of(&numbers);
                    return Ok(self.granted(&window, step.slot(), want, known));
                }
                Counted::Refused(numbers) => {
                    let window = Window::of(&numbers);
                    step = window.next_step(slot);
                    unspent = unspent.filter(|unspent| unspent.revision == window.revision());
                    let returned = unspent.map_or(0, |unspent| unspent.in_window(step.slot()));
                    let sum = window.sum_at(step.slot()) - returned;
                    if sum >= self.policy.quota {
                        return Ok(self.refused(&window, slot));
                    }
                    let others = known.map_or(MANY, |lease| window.revision() - lease.revision);
                    want = self.policy.share(sum, others).min(self.policy.quota - sum);
                }
            }
        }
        tracing::warn!("a rate limit row was busy");
        Ok(Lease {
            slot,
            left: 0,
            sum: self.policy.quota,
            reset: 1,
            revision: 0,
            others: MANY,
            denied: true,
        })
    }

    fn granted(&self, window: &Window<'_>, slot: i64, size: i64, known: Option<Lease>) -> Lease {
        let revision = window.revision();
        Lease {
            revision,
            others: known.map_or(MANY, |lease| revision - lease.revision - 1),
            slot,
            left: size - 1,
            sum: window.sum,
            reset: self.policy.seconds(window.free_after(slot, &self.policy)),
            denied: false,
        }
    }

    fn refused(&self, window: &Window<'_>, slot: i64) -> Lease {
        Lease {
            revision: window.revision(),
            others: MANY,
            slot,
            left: 0,
            sum: self.policy.quota,
            reset: self.policy.seconds(window.free_after(slot, &self.policy)),
            denied: true,
        }
    }
}

/// What a lease did not spend before its time was up: it was counted and never happened.
///
/// It is given back only while the row stands as this process left it. After that it cannot be told
/// whether an earlier try, whose answer was lost, has given it back already; and to give it back twice
/// would admit more than the quota, while to keep it only admits less.
#[derive(Clone, Copy, Debug)]
struct Unspent {
    slot: i64,
    left: i64,
    revision: i64,
}

impl Unspent {
    fn of(lease: Lease) -> Self {
        Self {
            slot: lease.slot,
            left: lease.left,
            revision: lease.revision,
        }
    }

    /// How much of it a window that ends with `slot` still counts.
    fn in_window(self, slot: i64) -> i64 {
        if self.slot > slot - LIVE && self.slot != slot {
            self.left
        } else {
            0
        }
    }
}

/// A caller's row as numbers: `base` is the oldest slot that `sum` covers, `s<i>` the admissions of the
/// live slot whose remainder by [`LIVE`] is `i`.
struct Window<'a> {
    numbers: &'a Numbers,
    base: Option<i64>,
    sum: i64,
}

impl<'a> Window<'a> {
    fn of(numbers: &'a Numbers) -> Self {
        Self {
            numbers,
            base: numbers.get(BASE).copied(),
            sum: numbers.get(SUM).copied().unwrap_or(0),
        }
    }

    fn revision(&self) -> i64 {
        self.numbers.get(REVISION).copied().unwrap_or(0)
    }

    fn in_slot(&self, slot: i64) -> i64 {
        self.numbers.get(&name(slot)).copied().unwrap_or(0)
    }

    /// The names of the slots that leave a window which begins with `oldest`.
    fn names_before(&self, oldest: i64) -> Vec<String> {
        let base = self.base.unwrap_or(oldest);
        let gone = base..oldest.min(base + LIVE);
        gone.map(name)
            .filter(|name| self.numbers.contains_key(name))
            .collect()
    }

    /// The sum as it will be once the window ends with `slot`.
    fn sum_at(&self, slot: i64) -> i64 {
        let Some(base) = self.base else { return 0 };
        let gone = (base..(slot - LIVE + 1).min(base + LIVE))
            .map(|s| self.in_slot(s))
            .sum::<i64>();
        self.sum - gone
    }

    /// What has to be written for a request in `slot`, now that the row is known.
    fn next_step(&self, slot: i64) -> Step {
        let oldest = slot - LIVE + 1;
        match self.base {
            None => Step::Create { slot },
            // A process whose clock is ahead has moved the window; its slot is the present one.
            Some(base) if base >= oldest => Step::Add {
                slot: base + LIVE - 1,
            },
            Some(_) => Step::Advance {
                slot,
                from: self.numbers.clone(),
                kept: self.sum_at(slot),
            },
        }
    }

    /// How many slots from `slot` until one more admission fits.
    fn free_after(&self, slot: i64, policy: &Policy) -> i64 {
        (1..=LIVE)
            .find(|ahead| self.sum_at(slot + ahead) < policy.quota)
            .unwrap_or(LIVE)
    }
}

/// One atomic change of the row.
enum Step {
    /// The first admission of this caller.
    Create { slot: i64 },
    /// The window stands at `slot`: add.
    Add { slot: i64 },
    /// The window stands earlier: forget the slots that have left it, and add.
    Advance { slot: i64, from: Numbers, kept: i64 },
}

impl Step {
    const fn slot(&self) -> i64 {
        match self {
            Self::Create { slot } | Self::Add { slot } | Self::Advance { slot, .. } => *slot,
        }
    }

    /// The change that counts `want` admissions and takes back what was not spent.
    fn count(&self, key: &Key, policy: &Policy, want: i64, unspent: Option<Unspent>) -> Count {
        let slot = self.slot();
        let oldest = slot - LIVE + 1;
        let back = unspent.map_or(0, |unspent| unspent.in_window(slot));
        let returning = unspent.filter(|_| back > 0);
        let back_to = returning.map(|unspent| unspent.slot);
        let mut count = Count {
            key: key.clone(),
            guards: Vec::new(),
            // Every change has its number, so that one which was planned on an older reading is refused.
            add: vec![(REVISION.to_owned(), 1)],
            set: Vec::new(),
            remove: Vec::new(),
            expires_at: Timestamp::from_second(policy.seconds(slot + 2 * LIVE)).ok(),
        };
        match self {
            Self::Create { .. } => {
                count.guards = vec![Guard::Absent(BASE.to_owned())];
                count.set = vec![
                    (BASE.to_owned(), oldest),
                    (SUM.to_owned(), want),
                    (name(slot), want),
                ];
            }
            Self::Add { .. } => {
                count.guards = vec![
                    Guard::Is(BASE.to_owned(), oldest),
                    Guard::AtMost(SUM.to_owned(), policy.quota - want + back),
                ];
                count.guards.extend(
                    returning.map(|unspent| Guard::Is(REVISION.to_owned(), unspent.revision)),
                );
                count.add.push((SUM.to_owned(), want - back));
                count.add.push((name(slot), want));
                count.add.extend(back_to.map(|slot| (name(slot), -back)));
            }
            Self::Advance { from, kept, .. } => {
                let window = Window::of(from);
                let revision = REVISION.to_owned();
                count.guards = vec![match from.get(REVISION) {
                    Some(known) => Guard::Is(revision, *known),
                    None => Guard::Absent(revision),
                }];
                count.set = vec![
                    (BASE.to_owned(), oldest),
                    (SUM.to_owned(), kept + want - back),
                    (name(slot), want),
                ];
                count
                    .set
                    .extend(back_to.map(|slot| (name(slot), window.in_slot(slot) - back)));
                count.remove = window.names_before(oldest);
                count
                    .remove
                    .retain(|gone| count.set.iter().all(|(set, _)| set != gone));
            }
        }
        count
    }
}

/// The oldest slot that the sum covers.
const BASE: &str = "base";
/// Admissions in all live slots.
const SUM: &str = "sum";
/// Counts the changes of the row.
const REVISION: &str = "rev";

fn name(slot: i64) -> String {
    format!("s{}", slot.rem_euclid(LIVE))
}
