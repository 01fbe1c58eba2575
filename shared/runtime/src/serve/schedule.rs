//! Answers `EventBridge` Scheduler.

use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Deserialize;

use crate::Error;

/// One firing of a schedule. Scheduler delivers at least once, so a job is keyed by itself and its time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Tick {
    /// Which job: the schedule's input names it.
    pub job: String,
    /// The time that it was due (`<aws.scheduler.scheduled-time>` in the schedule's input). Required: without
    /// it a second delivery could not be told from the next firing.
    pub due: Timestamp,
}

impl Tick {
    /// What makes two deliveries of one firing the same: the job and the minute that it was due.
    pub fn period(&self) -> String {
        format!("{}@{}", self.job, self.due.as_second().div_euclid(60))
    }
}

/// Serves a scheduled job, which gets its firing and the firing's [period](Tick::period). An error makes
/// Lambda try again, twice, and then the dead letter queue.
pub async fn schedule<F>(run: F) -> Result<(), Error>
where
    F: AsyncFn(Tick, String) -> Result<(), Error>,
{
    let run = &run;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Tick>| {
        let period = event.payload.period();
        run(event.payload, period).await
    }))
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(due: &str) -> Result<Tick, serde_json::Error> {
        serde_json::from_str(&format!(r#"{{"job": "digest"{due}}}"#))
    }

    #[test]
    fn two_deliveries_of_one_firing_have_one_period_and_the_next_firing_another() {
        let first = tick(r#", "due": "2026-01-02T03:04:00Z""#).unwrap();
        let again = tick(r#", "due": "2026-01-02T03:04:59Z""#).unwrap();
        let next = tick(r#", "due": "2026-01-02T03:05:00Z""#).unwrap();

        assert_eq!(first.period(), again.period());
        assert_ne!(first.period(), next.period());
    }

    #[test]
    fn a_firing_that_does_not_say_when_it_was_due_is_refused() {
        assert!(tick("").is_err());
    }
}
