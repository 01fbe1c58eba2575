//! Answers `EventBridge` Scheduler.

use std::sync::Arc;

use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, service_fn};
use ports::clock::Clock;
use serde::Deserialize;

use crate::Error;

/// One firing of a schedule. Scheduler delivers at least once, so a job is keyed by itself and its time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Tick {
    /// Which job: the schedule's input names it.
    pub job: String,
    /// The time that it was due (`<aws.scheduler.scheduled-time>` in the schedule's input).
    #[serde(default)]
    pub due: Option<Timestamp>,
}

impl Tick {
    /// What makes two deliveries of one firing the same: the job and the minute that it was due.
    pub fn period(&self, clock: &dyn Clock) -> String {
        let due = self.due.unwrap_or_else(|| clock.now());
        format!("{}@{}", self.job, due.as_second().div_euclid(60))
    }
}

/// Serves a scheduled job. An error makes Lambda try again, twice, and then the dead letter queue.
pub async fn schedule<F>(clock: Arc<dyn Clock>, run: F) -> Result<(), Error>
where
    F: AsyncFn(Tick, String) -> Result<(), Error>,
{
    let (run, clock) = (&run, &clock);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Tick>| {
        let period = event.payload.period(&**clock);
        run(event.payload, period).await
    }))
    .await
}
