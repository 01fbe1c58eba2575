//! What every batch consumer does alike: one message at a time in its own trace, panics and errors
//! counted as "not done", nothing begun that cannot be finished.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tracing::Instrument;

use crate::trace::{self, TraceParent};

/// A message is not begun with less than this left before Lambda cuts.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// Why a message was not done; it will come again.
#[derive(Debug)]
pub(super) struct NotDone;

/// Runs one message. The cause of a failure is logged here, once.
pub(super) async fn one<E: Display>(
    id: &str,
    trace: Option<TraceParent>,
    work: impl Future<Output = Result<(), E>>,
) -> Result<(), NotDone> {
    let span = tracing::info_span!(
        "message",
        message_id = id,
        trace_id = trace.map(TraceParent::trace_id)
    );
    let guarded = AssertUnwindSafe(work)
        .catch_unwind()
        .instrument(span.clone());
    let outcome = match trace {
        Some(trace) => trace::within(trace, guarded).await,
        None => guarded.await,
    };
    let _in_span = span.enter();
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::error!(%error, "a message was not done");
            Err(NotDone)
        }
        Err(_) => {
            tracing::error!("a message's handler panicked");
            Err(NotDone)
        }
    }
}

/// Whether there is time to begin another message.
pub(super) fn has_time(context: &lambda_runtime::Context) -> bool {
    let deadline = Duration::from_millis(context.deadline);
    // Lambda's deadline is wall-clock time, and so is what it is compared with; zero means no deadline.
    context.deadline == 0 || deadline.saturating_sub(since_epoch()) > LEAST_TIME
}

#[expect(
    clippy::disallowed_methods,
    reason = "compares Lambda's own deadline with the machine's clock"
)]
fn since_epoch() -> Duration {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
}
