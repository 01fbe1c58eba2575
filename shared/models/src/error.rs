//! Why there is no answer.

use jiff::Timestamp;
use ports::PortError;

use crate::budget::Scope;
use crate::request::Mistake;

/// Why there is no answer. Its text may stand in a log: it holds nothing that was asked or answered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The operator has configured no target (of this kind).
    #[error("no model is configured")]
    NoTarget,
    /// No target goes by the name that was asked for.
    #[error("no target goes by that name")]
    UnknownModel,
    /// The question is out of range before anybody is asked.
    #[error("the request is not valid: {0}")]
    Invalid(Mistake),
    /// The schema is no JSON Schema, or points outside itself.
    #[error("the schema is not valid")]
    BadSchema {
        /// What is wrong with it; it may quote the schema.
        reason: String,
    },
    /// A budget has too little left for this call at its dearest.
    #[error("the budget of {scope} is exhausted")]
    Exhausted {
        /// Whose budget.
        scope: Scope,
        /// The limit, in micro-units.
        limit: i64,
        /// What is left of it, in micro-units, reservations of other calls set aside.
        left: i64,
        /// The most that this call could cost, in micro-units.
        needed: i64,
        /// When a new period begins; nothing if none ever does.
        resets_at: Option<Timestamp>,
        /// Whether this is the first refusal since the limit was set or the period began: what an event
        /// announces once.
        first: bool,
    },
    /// A call of this id was made before, or is under way: it is not paid twice.
    #[error("a call of this id was made before")]
    CallUsed,
    /// Too many calls of one budget are open at once.
    #[error("too many calls are open at once")]
    Busy,
    /// An endpoint says that the question cannot be answered as it is (400, 422): nobody else was asked.
    #[error("a model refused the request with status {status}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The endpoint's own code, if it gave one.
        code: Option<String>,
        /// The endpoint's own words, shortened. For the caller, never for a log.
        message: String,
    },
    /// The question is longer than any target takes.
    #[error("the request is longer than the models take")]
    ContextTooLong,
    /// The endpoint or the model would not answer this.
    #[error("the content was filtered")]
    Filtered,
    /// The answer does not fit the schema, even after it was asked to be repaired.
    #[error("the answer does not fit the schema")]
    Unfit {
        /// JSON Pointer into the answer; empty if it is no JSON at all.
        path: String,
        /// What is expected there; it may quote the answer.
        reason: String,
    },
    /// The answer was longer than its tokens, even with twice as many.
    #[error("the answer does not fit into its tokens")]
    TooShort,
    /// The stream broke after its first piece, so that nobody else could be asked.
    #[error("the stream broke: {code}")]
    Interrupted {
        /// A stable word for what happened.
        code: &'static str,
    },
    /// The caller's time is up.
    #[error("there is no time left")]
    TimedOut,
    /// No target answered.
    #[error("no model answered")]
    Failed {
        /// Seconds after which a target said that it may answer again.
        retry_after: Option<u64>,
    },
    /// Whoever listened could not be told, or the table that keeps the money did not answer: nothing is
    /// spent without being written down.
    #[error(transparent)]
    Port(#[from] PortError),
}
