//! What every adapter of a port must do: the same checks run on memory and on the emulator.
//!
//! Each port has `holds_for`, which runs its checks one after the other and panics at the first that
//! fails, in the function that is named after it. An adapter is handed over empty. Where a check has to
//! look at the far end (the queue's consumer, a person's mailbox), the caller lends it a way to look.

pub mod blobs;
pub mod bus;
pub mod channels;
pub mod identity;
pub mod keys;
pub mod mailer;
pub mod queue;
pub mod secrets;
pub mod table;

use std::fmt::Debug;

use crate::PortError;
use crate::table::WriteError;

/// Passes if the port refused, which is the answer that no retry would change.
#[track_caller]
fn assert_refused<T: Debug, E: Into<WriteError> + Debug>(answer: Result<T, E>, what: &str) {
    let error = match answer {
        Ok(answer) => panic!("{what} should be refused, got {answer:?}"),
        Err(error) => error.into(),
    };
    assert!(
        matches!(error, WriteError::Port(PortError::Refused { .. })),
        "{what} should be refused, got {error:?}"
    );
}
