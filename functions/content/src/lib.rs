//! Content: text and data from models, with prompts that have versions, voices that a brand speaks with,
//! and budgets that hold.
//!
//! A request is made into messages ([`ask`]), goes through the guardrails ([`guard`]) to the gateway
//! (`models`), which picks a target and keeps the books; what comes back is checked and kept
//! ([`record`]). A request that is to be streamed becomes a job on the queue `content-jobs`, which
//! `content-worker` handles ([`stream`]): it tells the text on the channel `content:con_…` while it grows.
//!
//! Events out: `content.generated`, `content.blocked`, `content.budget_80`, `content.budget_exhausted`,
//! `content.prompt_published`, `content.draft_answered`, `content.batch_queued`, `content.batch_done`. Events in:
//! `documents.draft_queued` ([`draft`]), `content.batch_queued` ([`batch`], whose rows are named there).
//!
//! | table row | pk | sk |
//! |---|---|---|
//! | a text | `org_…` | `content#con_…` |
//! | what its job needs to know, until that is done | `org_…` | `content-request#con_…` |
//! | an edition of a text that was edited | `org_…` | `content-edition#con_…#000001` |
//! | what somebody thinks of a text | `org_…` | `content-feedback#con_…#usr_…` |
//! | a prompt | `org_…` | `prompt#name` |
//! | a version of a prompt | `org_…` | `prompt-version#name#00000001` |
//! | a voice | `org_…` | `voice#voi_…` |
//! | the data of a draft, for `documents` to read | `org_…` | `draft-answer#drf_…` |
//! | the organisation's guardrails | `org_…` | `guardrails` |
//! | an event of the outbox | `org_…` | `event#evt_…` |
//!
//! The gateway keeps budgets, usage, cache and cooldowns in the same table, under keys of its own.
//!
//! Prompts are not kept: the row that a job reads is deleted with the job, and no log, event or message
//! holds one. What a model answered is kept until its owner deletes it.

pub mod api;
pub mod ask;
pub mod batch;
pub mod budgets;
pub mod draft;
pub mod failure;
pub mod fold;
pub mod guard;
pub mod history;
pub mod make;
pub mod openai;
pub mod outlet;
pub mod prompt;
pub mod record;
pub mod rewrite;
pub mod schema;
pub mod source;
pub mod stream;
pub mod voice;

use std::sync::Arc;

use domain::id::Organisation;
use domain::{Event, Id, Text};
use ports::PortError;
use ports::clock::Clock;
use ports::ids::Ids;
use ports::outbox::{Origin, announce};
use ports::table::{Table, Write, WriteError};
use runtime::trace;

pub use models::Targets;

/// Makes, keeps and finds texts, prompts and voices.
pub struct Content {
    /// Rows and events.
    pub table: Arc<dyn Table>,
    /// The models.
    pub targets: Targets,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of events and of model calls.
    pub ids: Arc<dyn Ids>,
}

/// One place of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into the request's body.
    pub pointer: String,
    /// What is wrong there.
    pub detail: Text,
}

impl Fault {
    /// This is wrong there.
    pub fn at(pointer: impl Into<String>, detail: Text) -> Self {
        Self {
            pointer: pointer.into(),
            detail,
        }
    }
}

/// Why a use case did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The caller's organisation has no such thing.
    #[error("not there")]
    NotFound,
    /// The name is taken.
    #[error("the name is taken")]
    Taken,
    /// Somebody else was faster.
    #[error("changed in the meantime")]
    VersionMismatch,
    /// The request is not acceptable.
    #[error("{} faults in the request", .0.len())]
    Invalid(Vec<Fault>),
    /// The text is not in a state for this.
    #[error("the text is {0:?}")]
    NotNow(record::Status),
    /// The same request is being worked on.
    #[error("the same request is being worked on")]
    InProgress,
    /// There is no text, for this reason; nothing is kept of it.
    #[error("{}", .0.problem().code().code)]
    Failed(failure::Failure),
    /// There is no text, for this reason, which is kept with its record.
    #[error("{}", .0.code)]
    Ended(Box<failure::Kept>),
    /// A row could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Something outside failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<models::TargetsError> for ContentError {
    fn from(error: models::TargetsError) -> Self {
        match error {
            models::TargetsError::Port(error) => error.into(),
            error => failure::Failure::from(models::Failure::from(error)).into(),
        }
    }
}

impl From<failure::Failure> for ContentError {
    fn from(failure: failure::Failure) -> Self {
        Self::Failed(failure)
    }
}

impl ContentError {
    /// One thing is wrong with the request.
    pub fn invalid(pointer: impl Into<String>, detail: Text) -> Self {
        Self::Invalid(vec![Fault::at(pointer, detail)])
    }
}

impl Content {
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
