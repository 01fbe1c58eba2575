//! What is kept of a text that a model made, and how it gets there.
//!
//! ```text
//! running (no lease) --begin--> running (lease) --finish--> done | failed
//!        |                        |     ^ renew
//!        +------- cancel ---------+---> cancelled
//! ```
//!
//! Every step demands the version of the row that the step before it left, so that two deliveries of one
//! job, or a job and somebody who cancels it, cannot both go on. Whoever works renews its lease; one that
//! lapsed says that the work died.

use domain::id::{ApiKey, Content as ContentKind, Organisation, User, Voice};
use domain::{Id, Locale};
use jiff::{SignedDuration, Timestamp};
use ports::table::{Item, Key};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::failure::Kept;
use crate::voice::Violation;

/// How far a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A model works on it, or will.
    Running,
    /// It is ready.
    Done,
    /// There will be none; `problem` says why.
    Failed,
    /// Somebody stopped it. What was there by then is kept.
    Cancelled,
}

/// What a text was made by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A prompt.
    #[default]
    Generate,
    /// One of several answers to a prompt.
    Variant,
    /// A rewriting of another text.
    Rewrite,
    /// A translation of another text.
    Translate,
    /// The brief of a document.
    Draft,
}

/// A text or an object that a model made, or is making.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: Id<ContentKind>,
    /// What made it.
    pub kind: Kind,
    /// How far it is.
    pub status: Status,
    /// The text; while it is running, what there is of it.
    pub text: Option<String>,
    /// The object, where a schema was given.
    pub data: Option<Value>,
    /// Which edition of the text this is: 1 as the model made it, one more for each edit.
    pub edition: u32,
    /// The model that made it.
    pub model: Option<String>,
    /// Where that model was asked.
    pub target: Option<String>,
    /// The tokens.
    pub usage: Option<Usage>,
    /// What it cost.
    pub cost: Option<Cost>,
    /// Whether the answer had been given before to the same question.
    #[serde(default)]
    pub cached: bool,
    /// Why the model stopped: `stop`, `length`, …
    pub finish: Option<String>,
    /// The prompt that was used, if it has a name.
    pub template: Option<TemplateUsed>,
    /// The voice that was asked for.
    pub voice: Option<Id<Voice>>,
    /// The language that was asked for, a tag.
    pub locale: String,
    /// What in it is against the voice.
    #[serde(default)]
    pub violations: Vec<Violation>,
    /// Why there is none.
    pub problem: Option<Kept>,
    /// The language of whoever asked, for a problem on the channel.
    pub reader: Locale,
    /// Until when whoever works on it has the right to.
    pub lease: Option<Timestamp>,
    /// The model call that is under way or was made last, as the money's records name it.
    pub call: Option<Uuid>,
    /// Who asked for it.
    pub created_by: Id<User>,
    /// The key that the request came with.
    pub key: Option<Id<ApiKey>>,
    /// When.
    pub created_at: Timestamp,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
}

/// A prompt as it was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TemplateUsed {
    /// The prompt's name.
    pub name: String,
    /// Its version.
    pub version: u32,
}

/// Tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Usage {
    /// Tokens that went in.
    pub input_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
    /// Tokens of those that went in which the provider had kept.
    #[serde(default)]
    pub cached_input_tokens: u64,
    /// Whether these numbers are ours, because the provider gave none.
    #[serde(default)]
    pub estimated: bool,
}

/// Money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Cost {
    /// In millionths of the currency's unit; null if the model has no known price.
    pub amount_micros: Option<i64>,
    /// ISO 4217.
    #[schema(example = "USD")]
    pub currency: String,
}

/// An opinion of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// Whose.
    pub user: Id<User>,
    /// The edition that it is about.
    pub edition: u32,
    /// 1 (bad) to 5 (good).
    pub rating: u8,
    /// In words.
    pub comment: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An edition of a text that is no longer, or still is, the current one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edition {
    /// From 1.
    pub edition: u32,
    /// The text.
    pub text: Option<String>,
    /// The object.
    pub data: Option<Value>,
    /// Who wrote it; nothing for the model's own.
    pub edited_by: Option<Id<User>>,
    /// When.
    pub at: Timestamp,
}

impl Record {
    /// Whether somebody has the right to work on it at this moment.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.status == Status::Running && self.lease.is_some_and(|until| until > now)
    }

    /// Whether it is running for all that its row says, and nobody works on it any more: its lease lapsed,
    /// or its job was never begun and cannot come any more.
    pub fn is_lost(&self, now: Timestamp) -> bool {
        let until = self.lease.unwrap_or_else(|| {
            self.created_at
                .saturating_add(NEVER_BEGUN)
                .unwrap_or(Timestamp::MAX)
        });
        self.status == Status::Running && until <= now
    }
}

/// A job that was not begun by then is not coming: the queue gave it up.
const NEVER_BEGUN: SignedDuration = SignedDuration::from_hours(4);

/// The beginning of the sort key of every text.
pub const CONTENTS: &str = "content#";

/// The row of a text.
pub fn key(org: Id<Organisation>, id: Id<ContentKind>) -> Key {
    Key::new(org, format!("{CONTENTS}{id}"))
}

/// The row of what a job needs to know; it is deleted when the job is done, and with it the prompt.
pub fn request_key(org: Id<Organisation>, id: Id<ContentKind>) -> Key {
    Key::new(org, format!("content-request#{id}"))
}

/// The beginning of the sort keys of a text's editions.
pub fn editions(id: Id<ContentKind>) -> String {
    format!("content-edition#{id}#")
}

/// The row of an edition.
pub fn edition_key(org: Id<Organisation>, id: Id<ContentKind>, edition: u32) -> Key {
    Key::new(org, format!("{}{edition:06}", editions(id)))
}

/// The beginning of the sort keys of what people think of a text.
pub fn feedbacks(id: Id<ContentKind>) -> String {
    format!("content-feedback#{id}#")
}

/// A record with the version of its row.
#[derive(Clone, Debug)]
pub struct Held {
    /// The row as it was read or written.
    pub row: Item,
    /// What it says.
    pub record: Record,
}

impl Held {
    /// The row's version, for `ETag`.
    pub fn version(&self) -> u64 {
        self.row.version
    }
}
