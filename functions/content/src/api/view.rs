//! Texts as answers show them.

use domain::id::{Content as ContentKind, User, Voice as VoiceKind};
use domain::{Id, Locale};
use jiff::Timestamp;
use models::failure::Reason;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::voices::ViolationView;
use crate::record::{Cost, Edition, Kind, Record, Status, TemplateUsed, Usage};

/// A text or an object that a model made, or is making.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ContentView {
    /// Its id.
    #[schema(value_type = String, example = "con_019a0000000070008000000000000000")]
    pub id: Id<ContentKind>,
    /// How far it is.
    pub status: Status,
    /// What made it.
    pub kind: Kind,
    /// The text; while it is being made, what there is of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The object, where a schema was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Value>,
    /// 1 as the model made it, one more for each edit.
    pub version: u32,
    /// The model that made it.
    pub model: Option<String>,
    /// Where that model was asked, by the operator's name for it.
    pub target: Option<String>,
    /// Why the model stopped: `stop`, `length`, `cancelled`.
    pub finish: Option<String>,
    /// The tokens.
    pub usage: Option<Usage>,
    /// What it cost.
    pub cost: Option<Cost>,
    /// Whether the same question had been answered before, so that it cost nothing.
    pub cached: bool,
    /// The prompt that was used, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateUsed>,
    /// The voice that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub voice: Option<Id<VoiceKind>>,
    /// What in it is against that voice, as the model made it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<ViolationView>,
    /// The language by which it was checked.
    pub locale: String,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Reason>,
    /// Where it is told while it is being made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "content:con_019a0000000070008000000000000000")]
    pub channel: Option<String>,
    /// Who asked for it.
    #[schema(value_type = String)]
    pub created_by: Id<User>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it came to its end.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

impl ContentView {
    /// The record, in words of the reader's language.
    pub fn of(record: Record, reader: Locale) -> Self {
        let running = record.status == Status::Running;
        Self {
            id: record.id,
            status: record.status,
            kind: record.kind,
            text: record.text,
            data: record.data,
            version: record.edition,
            model: record.model,
            target: record.target,
            finish: record.finish,
            usage: record.usage,
            cost: record.cost,
            cached: record.cached,
            template: record.template,
            voice: record.voice,
            violations: record
                .violations
                .into_iter()
                .map(|violation| ViolationView::of(violation, reader))
                .collect(),
            locale: record.locale,
            problem: record.problem.map(|kept| Reason::of(kept, reader)),
            channel: running.then(|| format!("content:{}", record.id)),
            created_by: record.created_by,
            created_at: record.created_at,
            finished_at: record.finished_at,
        }
    }
}

/// An edition of a text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EditionView {
    /// From 1.
    pub version: u32,
    /// The text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Value>,
    /// Who wrote it; null for the model's own.
    #[schema(value_type = Option<String>)]
    pub edited_by: Option<Id<User>>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

impl From<Edition> for EditionView {
    fn from(edition: Edition) -> Self {
        Self {
            version: edition.edition,
            text: edition.text,
            data: edition.data,
            edited_by: edition.edited_by,
            at: edition.at,
        }
    }
}
