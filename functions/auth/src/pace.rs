//! Answers that take alike, whatever was done for them.

use std::time::Duration;

use ports::clock::Clock;

/// Between answers that only compare something: wrong password for an unknown address, or a known one.
pub const COMPARING: Duration = Duration::from_millis(250);

/// Between answers that may send mail, which takes the user pool a few hundred milliseconds.
pub const SENDING: Duration = Duration::from_millis(500);

/// Does the work and answers no sooner than the next multiple of `quantum` since its beginning.
///
/// Whether an address is known decides how much there is to do, and the time of that shows who has an
/// account here, however alike the answers are. Random delays average out over repeats; rounding up
/// does not: what stays visible is only on which side of a quantum the work ended, and a quantum is
/// chosen well above what the work takes.
pub async fn paced<T>(clock: &dyn Clock, quantum: Duration, work: impl Future<Output = T>) -> T {
    let begun = clock.now();
    let outcome = work.await;
    // A clock that was set back meanwhile counts as no time at all.
    let spent = Duration::try_from(clock.now().duration_since(begun)).unwrap_or_default();
    let into_quantum = spent.as_nanos() % quantum.as_nanos().max(1);
    let rest = u64::try_from(into_quantum).map_or(quantum, |nanos| {
        quantum.saturating_sub(Duration::from_nanos(nanos))
    });
    clock.sleep(rest).await;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::clock::ManualClock;

    #[tokio::test]
    async fn work_of_any_length_ends_on_a_quantum() {
        for (work, answer) in [
            (0, 250),
            (1, 250),
            (249, 250),
            (250, 500),
            (251, 500),
            (700, 750),
        ] {
            let clock = ManualClock::at_text("2026-01-02T03:04:05Z");
            let begun = clock.now();

            paced(&*clock, COMPARING, clock.sleep(Duration::from_millis(work))).await;

            assert_eq!(
                clock.now().duration_since(begun).as_millis(),
                answer,
                "{work} ms of work"
            );
        }
    }
}
