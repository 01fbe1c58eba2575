//! The routes of drafts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::id::{Batch, Document, Draft, Voice};
use domain::locale::is_tag;
use domain::{Id, Locale, Text};
use jiff::Timestamp;
use ports::table::WriteError;
use runtime::page::{self, Listed, PageParams};
use runtime::problem::{self, Problem};
use runtime::{Caller, Context, Fields, Json, Path, Query, Refusals, Seed};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::RefusalView;
use crate::Owner;
use crate::batch::{BatchError, MOST_ROWS};
use crate::draft::{
    self, DraftError, DraftRecord, Drafts, LONGEST_BRIEF, MOST_KNOWN, MOST_TOKENS, Outcome, TOKENS,
};
use crate::format::Format;

/// The routes over these use cases.
pub(super) fn routes(drafts: Drafts) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get))
        .with_state(Arc::new(drafts))
}

/// What a draft is to be made from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDraft {
    /// The name of a built-in template, or the id of one of your own, as for `POST /v1/documents`.
    #[schema(example = "letter")]
    template: String,
    /// What the document is to say, in your own words; 8 KiB at the most.
    #[schema(example = "Tell them that the office moves to the second floor on 7 January.")]
    brief: String,
    /// The kind of file; PDF if absent, or DOCX if the template is a Word file.
    #[serde(default)]
    format: Option<Format>,
    /// What is known: it is laid over what the model writes, object by object, and the model is not asked for
    /// it. 16 KiB at the most.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    data: Map<String, Value>,
    /// What is known of each recipient, 1 to 10 000: the text is written once, and there is a document for
    /// each of them with this laid over it. The model does not see it.
    #[schema(value_type = Option<Vec<Object>>)]
    recipients: Option<Vec<Value>>,
    /// The language of the texts, a tag (BCP 47); the request's own if absent.
    #[schema(example = "en")]
    locale: Option<String>,
    /// The brand voice that the texts are written in.
    #[schema(value_type = Option<String>, example = "voi_019a0000000070008000000000000000")]
    voice: Option<Id<Voice>>,
    /// The model or target, if not the first of `GET /v1/models`.
    model: Option<String>,
    /// At most that many tokens are written, 1 to 8192.
    #[serde(default = "tokens")]
    max_tokens: u32,
}

const fn tokens() -> u32 {
    TOKENS
}

/// How far a draft is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DraftStatus {
    /// A model writes, or will.
    Queued,
    /// It is a document, or a batch of them.
    Ready,
    /// It became nothing; `error` says why.
    Failed,
}

/// A draft.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct DraftView {
    /// Its id.
    #[schema(value_type = String, example = "drf_019a0000000070008000000000000000")]
    id: Id<Draft>,
    /// How far it is.
    status: DraftStatus,
    /// The channel on which its end is told.
    #[schema(example = "job:drf_019a0000000070008000000000000000")]
    channel: String,
    /// The template's name, or its id with the version that the data is written for.
    #[schema(example = "letter")]
    template: String,
    /// The kind of file.
    format: Format,
    /// How many recipients it has; null if it is one document.
    recipients: Option<u32>,
    /// The document, once there is one: `GET /v1/documents/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "doc_019a0000000070008000000000000000")]
    document: Option<Id<Document>>,
    /// The batch with a document for each recipient, once it is begun: `GET /v1/document-batches/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "bat_019a0000000070008000000000000000")]
    batch: Option<Id<Batch>>,
    /// What was written, with what is known laid over it; also of a draft that failed, so that it can be
    /// corrected and sent to `POST /v1/documents`. Lists have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// Why it became nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RefusalView>,
    /// The model that wrote it.
    model: Option<String>,
    /// What that cost.
    cost: Option<CostView>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it came to its end.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

/// Money.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct CostView {
    /// In millionths of the currency's unit; null if the model has no known price.
    amount_micros: Option<i64>,
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: String,
}

impl DraftView {
    fn of(record: DraftRecord, now: Timestamp, reader: Locale) -> Self {
        let lost = record.is_lost(now);
        let (mut document, mut batch, mut error) = (None, None, None);
        match record.outcome {
            Some(Outcome::Document(id)) => document = Some(id),
            Some(Outcome::Batch(id)) => batch = Some(id),
            Some(Outcome::Refused(refusal)) => error = Some(RefusalView::of(refusal, reader)),
            None if lost => error = Some(RefusalView::of(draft::lost(), reader)),
            None => {}
        }
        Self {
            id: record.id,
            status: match (&error, record.finished_at) {
                (Some(_), _) => DraftStatus::Failed,
                (None, Some(_)) => DraftStatus::Ready,
                (None, None) => DraftStatus::Queued,
            },
            channel: format!("job:{}", record.id),
            template: record.template,
            format: record.format,
            recipients: record.recipients,
            document,
            batch,
            data: record.data,
            error,
            model: record.model,
            cost: record.currency.map(|currency| CostView {
                amount_micros: record.cost_micros,
                currency,
            }),
            created_at: record.created_at,
            finished_at: record.finished_at,
        }
    }
}

/// Writes a document from a brief: a model fills in the template's data, once, and what is known is laid
/// over it. Answers at once; the end is told on the channel. With `recipients` the draft becomes a batch.
/// Budgets, guardrails and brand voices are those of `POST /v1/content/generate`, and the text is found at
/// `GET /v1/content/con_…` under the draft's number. A draft is forgotten after 30 days; its documents stay.
#[utoipa::path(
    post, path = "/v1/documents/drafts", tag = "documents",
    request_body = NewDraft,
    responses((status = 202, description = "Taken on", body = DraftView), Refusals),
    security(("token" = ["content:create", "documents:create"])),
)]
async fn create(
    State(drafts): State<Arc<Drafts>>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Json(new): Json<NewDraft>,
) -> Result<(StatusCode, axum::Json<DraftView>), Problem> {
    new.check()?;
    let reader = context.locale;
    let new = draft::NewDraft {
        template: new.template,
        format: new.format,
        brief: new.brief,
        known: new.data,
        recipients: new.recipients,
        locale: new.locale.unwrap_or_else(|| reader.tag().to_owned()),
        voice: new.voice,
        model: new.model,
        max_tokens: new.max_tokens,
        key: caller.key,
        reader,
    };
    let trace = Some(context.trace.to_string());
    let record = drafts
        .create(&Owner::from(&*caller), seed.id(), new, trace)
        .await?;
    let view = DraftView::of(record, drafts.now(), reader);
    Ok((StatusCode::ACCEPTED, axum::Json(view)))
}

/// A draft, and what became of it.
#[utoipa::path(
    get, path = "/v1/documents/drafts/{id}", tag = "documents",
    params(("id" = String, Path, description = "The draft's id")),
    responses((status = 200, body = DraftView), Refusals),
    security(("token" = ["documents:read"])),
)]
async fn get(
    State(drafts): State<Arc<Drafts>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<Draft>>,
) -> Result<axum::Json<DraftView>, Problem> {
    let record = drafts.get(caller.organisation, id).await?;
    Ok(axum::Json(DraftView::of(
        record,
        drafts.now(),
        context.locale,
    )))
}

/// The drafts of the organisation, the newest first, without their data.
#[utoipa::path(
    get, path = "/v1/documents/drafts", tag = "documents",
    params(PageParams),
    responses((status = 200, body = Listed<DraftView>), Refusals),
    security(("token" = ["documents:read"])),
)]
async fn list(
    State(drafts): State<Arc<Drafts>>,
    caller: Caller,
    context: Context,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<DraftView>>, Problem> {
    let org = caller.organisation;
    let after = params.after(&org.to_string())?;
    let (records, next) = drafts.list(org, params.limit()?, after).await?;
    let now = drafts.now();
    let views = records.into_iter().map(|record| DraftView {
        data: None,
        ..DraftView::of(record, now, context.locale)
    });
    Ok(axum::Json(Listed {
        items: views.collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

impl NewDraft {
    /// Everything that is wrong with it in itself.
    fn check(&self) -> Result<(), Problem> {
        let mut fields = Fields::new();
        let empty = Text::fixed("Está vacío", "It is empty");
        fields.check(!self.brief.trim().is_empty(), "/brief", empty.clone());
        fields.check(
            self.brief.len() <= LONGEST_BRIEF,
            "/brief",
            too_long(LONGEST_BRIEF),
        );
        let known = Value::from(self.data.clone()).to_string();
        fields.check(known.len() <= MOST_KNOWN, "/data", too_long(MOST_KNOWN));
        let recipients = self.recipients.as_ref();
        fields.check(
            recipients.is_none_or(|list| !list.is_empty()),
            "/recipients",
            empty,
        );
        fields.check(
            self.locale.as_deref().is_none_or(is_tag),
            "/locale",
            Text::fixed(
                "Debe ser una etiqueta de idioma, como es o en-GB",
                "Must be a language tag, such as es or en-GB",
            ),
        );
        fields.check(
            (1..=MOST_TOKENS).contains(&self.max_tokens),
            "/max_tokens",
            Text::with(
                format!("Debe estar entre 1 y {MOST_TOKENS}"),
                format!("Must be between 1 and {MOST_TOKENS}"),
            ),
        );
        fields.finish()
    }
}

fn too_long(octets: usize) -> Text {
    Text::with(
        format!("No puede ocupar más de {octets} octetos"),
        format!("Must not have more than {octets} octets"),
    )
}

impl From<DraftError> for Problem {
    fn from(error: DraftError) -> Self {
        let at =
            |pointer: &str, detail| Self::new(&problem::VALIDATION_FAILED).field(pointer, detail);
        match error {
            DraftError::NotFound => Self::new(&problem::NOT_FOUND),
            DraftError::NothingToWrite => at(
                "/data",
                Text::fixed(
                    "Ya se sabe todo lo que pide la plantilla; no queda nada que redactar",
                    "Everything that the template asks for is known; nothing is left to be written",
                ),
            ),
            DraftError::Recipients(BatchError::BadRow { row, detail }) => {
                at(&format!("/recipients/{row}"), detail)
            }
            DraftError::Recipients(BatchError::TooManyRows) => at(
                "/recipients",
                Text::with(
                    format!("Debe haber como máximo {MOST_ROWS}"),
                    format!("There must be at most {MOST_ROWS}"),
                ),
            ),
            DraftError::Recipients(error) => error.into(),
            DraftError::Documents(error) => error.into(),
            DraftError::Write(WriteError::Port(error)) | DraftError::Port(error) => error.into(),
            DraftError::Write(error) => crate::DocumentsError::Write(error).into(),
        }
    }
}
