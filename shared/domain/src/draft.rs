//! The data of a document that a model is to write: what `documents` publishes for `content` to read, and
//! what `content` publishes in answer.
//!
//! Both are named by the same id and stand under the organisation's key, each in its owner's table. The
//! events that announce them carry the id alone.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Locale;
use crate::id::{ApiKey, Draft, Id, User, Voice};

/// What is to be written: the row `pk = org_…`, `sk = draft-wish#drf_…` of the documents table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftWish {
    /// Which draft.
    pub draft: Id<Draft>,
    /// Confidential. What the person wants the document to say.
    pub brief: String,
    /// Confidential. What is known already, so that the texts agree with it; empty if nothing is.
    pub known: Value,
    /// What the data has to look like (JSON Schema 2020-12).
    pub schema: Value,
    /// The language of the texts, a tag.
    pub locale: String,
    /// Whose voice they are written in.
    pub voice: Option<Id<Voice>>,
    /// The model or target, if not the first that is there.
    pub model: Option<String>,
    /// At most that many tokens come back.
    pub max_tokens: u32,
    /// The language of whoever asked, for what went wrong.
    pub reader: Locale,
    /// Who asked, and pays.
    pub user: Id<User>,
    /// The key that the request came with.
    pub key: Option<Id<ApiKey>>,
}

impl DraftWish {
    /// The sort key of the row.
    pub fn sort(draft: Id<Draft>) -> String {
        format!("draft-wish#{draft}")
    }
}

/// What became of it: the row `pk = org_…`, `sk = draft-answer#drf_…` of the content table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftAnswer {
    /// Which draft.
    pub draft: Id<Draft>,
    /// Confidential. The data, or why there is none.
    pub outcome: Result<Value, Unwritten>,
    /// The model that wrote it, if one did.
    pub model: Option<String>,
    /// What it cost, in millionths of the currency's unit; nothing if no price is known.
    pub cost_micros: Option<i64>,
    /// ISO 4217.
    pub currency: Option<String>,
}

impl DraftAnswer {
    /// The sort key of the row.
    pub fn sort(draft: Id<Draft>) -> String {
        format!("draft-answer#{draft}")
    }
}

/// Why a model wrote nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwritten {
    /// The problem's code.
    pub code: String,
    /// What is wrong, at least once.
    pub places: Vec<UnwrittenPlace>,
}

/// What is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnwrittenPlace {
    /// JSON pointer into the wish (`/brief`, `/voice`, …) or, below `/data`, into the answer; empty if no
    /// place is to blame.
    pub pointer: String,
    /// In Spanish.
    pub es: String,
    /// In English.
    pub en: String,
}
