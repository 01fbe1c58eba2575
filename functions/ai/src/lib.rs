//! Jobs that read texts: summaries, classes, data, moods, languages, names and vectors.
//!
//! A request becomes a job of one [`task`] over 1 to 50 texts and an order on the queue `ai-jobs`, which
//! `ai-worker` handles ([`worker`]): it tells on the channel `job:job_…` how far it is. A text whose work
//! fails has a problem of its own; the others go on.
//!
//! Events out: `ai.job_done`, `ai.job_failed`, and `content.budget_80` and `content.budget_exhausted` of the
//! budgets, which are the same for every capability. Events in: none.
//!
//! | table row | pk | sk |
//! |---|---|---|
//! | a job | `org_…` | `job#job_…` |
//! | a text that is to be read, until it is | `org_…` | `job-input#job_…#0000` |
//! | what became of it | `org_…` | `job-item#job_…#0000` |
//! | an event of the outbox | `org_…` | `event#evt_…` |
//!
//! Budgets, records of calls and cooldowns are in the table of `content`, where the gateway of that
//! capability keeps them: a limit holds over both.
//!
//! Texts are not kept: the row that the worker reads is deleted with the answer, and no log, event or message
//! holds one. Rows are kept for 30 days.

pub mod api;
pub mod find;
pub mod job;
pub mod offline;
pub mod passage;
pub mod read;
pub mod task;
pub mod worker;

use std::sync::Arc;

use domain::id::Organisation;
use domain::{Event, Id};
use ports::PortError;
use ports::clock::Clock;
use ports::ids::Ids;
use ports::outbox::{Origin, announce};
use ports::table::{Table, Write, WriteError};
use runtime::problem::FieldError;
use runtime::trace;

/// Takes on, keeps and finds jobs.
pub struct Ai {
    /// Jobs and events.
    pub table: Arc<dyn Table>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of events and of workers.
    pub ids: Arc<dyn Ids>,
}

/// Why a use case did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum AiError {
    /// The caller's organisation has no such thing.
    #[error("not there")]
    NotFound,
    /// The request is not acceptable.
    #[error("{} faults in the request", .0.len())]
    Invalid(Vec<FieldError>),
    /// The job is over.
    #[error("the job is {0:?}")]
    NotNow(job::Status),
    /// Somebody else was faster again and again.
    #[error("the job's row is busy")]
    Busy,
    /// Another delivery of the job is at work.
    #[error("another delivery is at work")]
    AtWork,
    /// A row could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Something outside failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl AiError {
    /// Whether the same may succeed a moment later.
    pub(crate) const fn may_pass(&self) -> bool {
        match self {
            Self::Busy | Self::Write(WriteError::Conflict) => true,
            Self::Port(error) | Self::Write(WriteError::Port(error)) => matches!(
                error,
                PortError::Throttled { .. } | PortError::Unavailable { .. }
            ),
            _ => false,
        }
    }
}

impl Ai {
    /// The write that announces an event of this moment in the organisation.
    pub(crate) fn event(&self, org: Id<Organisation>, event: Event) -> Write {
        let origin = Origin {
            org,
            trace: trace::current(),
            causation: None,
        };
        announce(&*self.ids, self.clock.now(), org, origin, event)
    }
}
