//! Jobs that read texts, and collections of documents that answer questions.
//!
//! A request becomes a job of one [`task`] over 1 to 50 texts and an order on the queue `ai-jobs`, which
//! `ai-worker` handles ([`worker`]): it tells on the channel `job:job_…` how far it is. A text whose work
//! fails has a problem of its own; the others go on.
//!
//! A [`document`] of a [`collection`] comes as text, Markdown, HTML, CSV, PDF or DOCX. `ai-worker` takes its
//! text out ([`read`]), cuts it into passages ([`passage`]), has a model make vectors of them where one does,
//! and publishes all of it at once ([`ingest`]). [`search`] finds passages by their words and vectors
//! ([`find`]); [`answer`] has a model answer from them, and verifies what it cites.
//!
//! Events out: `ai.job_done`, `ai.job_failed`, `ai.document_ready`, `ai.document_failed`, and
//! `content.budget_80` and `content.budget_exhausted` of the budgets, which are the same for every
//! capability. Events in: none.
//!
//! | table row | pk | sk |
//! |---|---|---|
//! | a job | `org_…` | `job#job_…` |
//! | a text that is to be read, until it is | `org_…` | `job-input#job_…#0000` |
//! | what became of it | `org_…` | `job-item#job_…#0000` |
//! | a collection, with what it counts | `org_…` | `collection#col_…` |
//! | how many collections there are | `org_…` | `collections` |
//! | a deleted collection, until what lies under it is deleted | `org_…` | `collection-gone#col_…` |
//! | a document | `org_…` | `in#col_…#document#cdo_…` |
//! | which document has a content | `org_…` | `in#col_…#content#<sha256>` |
//! | what was sent, until it is read | `org_…` | `in#col_…#input#cdo_…#000001#00` |
//! | vectors that are not published yet | `org_…` | `in#col_…#staged#cdo_…#000001#0001#0000` |
//! | passages | `org_…` | `in#col_…#passages#cdo_…#0000` |
//! | an event of the outbox | `org_…` | `event#evt_…` |
//!
//! Budgets, records of calls and cooldowns are in the table of `content`, where the gateway of that
//! capability keeps them: a limit holds over both.
//!
//! Texts of jobs are not kept: the row that the worker reads is deleted with the answer, and what became of it
//! after 30 days. Texts of collections are kept as passages until they are deleted; the file that they came
//! in is not. No log, event or message holds a text.

pub mod answer;
pub mod api;
pub mod collection;
pub mod document;
pub mod find;
pub mod ingest;
pub mod job;
pub mod offline;
pub mod passage;
pub mod read;
pub mod search;
pub mod task;
pub mod worker;

use std::sync::Arc;

use domain::id::{CollectionDocument, Organisation};
use domain::{Event, Id, Text};
use models::Failure;
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
    /// There are as many as there may be.
    #[error("a limit is reached")]
    LimitReached(Text),
    /// This document of the collection has the content already.
    #[error("{0} has this content")]
    Duplicate(Id<CollectionDocument>),
    /// A model gave no answer.
    #[error("a model gave no answer")]
    Failed(Failure),
    /// Somebody else was faster again and again.
    #[error("a row is busy")]
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
