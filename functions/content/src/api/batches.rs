//! `/v1/content/batches`: many texts of one request.

use axum::extract::State;
use axum::http::StatusCode;
use domain::id::{Batch, Content as ContentKind, Voice as VoiceKind};
use domain::{Id, Locale};
use futures::future::try_join_all;
use jiff::Timestamp;
use models::Spender;
use models::failure::Reason;
use runtime::page::{self, Listed, PageParams};
use runtime::{Caller, Context, Json, Path, Problem, Query, Refusals, Seed};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::generate::which;
use crate::Content;
use crate::ask::{TOKENS, Wish};
use crate::batch::{BatchState, NewBatch, NewItem, Outcome};
use crate::record::{Cost, Status};

pub(super) fn routes() -> OpenApiRouter<Arc<Content>> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get))
        .routes(routes!(items))
        .routes(routes!(cancel))
}

/// Texts that are to be written in the background.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GenerateBatch {
    /// One for each text, 1 to 1000.
    items: Vec<BatchItem>,
    /// The name of a prompt of the organisation; without it each item has a prompt of its own.
    template: Option<String>,
    /// The version that this label stands at; `live` if neither this nor `version` is given. One version
    /// serves the whole batch.
    label: Option<String>,
    /// This version.
    version: Option<u32>,
    /// At most that many tokens for each; 1024 if absent.
    #[schema(minimum = 1, maximum = 16384)]
    max_tokens: Option<u32>,
    /// JSON Schema 2020-12 of an object that is wanted instead of a text.
    #[schema(value_type = Option<Object>)]
    schema: Option<Value>,
    /// A voice of the organisation.
    #[schema(value_type = Option<String>)]
    voice: Option<Id<VoiceKind>>,
    /// How much chance there is in it.
    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f64>,
    /// The language of the answers, a tag such as `es` or `en-GB`.
    locale: Option<String>,
    /// Whether the same question may get the same answer again, for nothing, within an hour.
    #[serde(default)]
    cache: bool,
    /// A model or target of `GET /v1/models`.
    model: Option<String>,
    /// Whether personal data is replaced before a prompt leaves; the organisation's rule if absent.
    redact: Option<bool>,
}

/// One text of a batch.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchItem {
    /// What the model is asked, where the batch has no template.
    prompt: Option<String>,
    /// What stands in the template's places.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum BatchStatus {
    /// No text has an outcome.
    Queued,
    /// Some have.
    Running,
    /// All have.
    Done,
    /// All have, and somebody stopped it before that.
    Cancelled,
}

/// A batch of texts.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct TextBatchView {
    /// Its id.
    #[schema(value_type = String, example = "bat_019a0000000070008000000000000000")]
    id: Id<Batch>,
    /// How far it is.
    status: BatchStatus,
    /// The channel on which each text and the end are told.
    #[schema(example = "job:bat_019a0000000070008000000000000000")]
    channel: String,
    /// All texts.
    total: u32,
    /// Texts that are there.
    done: u32,
    /// Texts that are not; see the items.
    failed: u32,
    /// Texts that were not begun when it was stopped.
    cancelled: u32,
    /// What they cost together so far.
    cost: Option<Cost>,
    /// When it was taken on.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When the last text had its outcome.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

impl TextBatchView {
    fn of(state: BatchState) -> Self {
        let BatchState { record, totals } = state;
        let begun = totals.done + totals.failed + totals.cancelled > 0;
        let status = match (record.finished_at, record.cancelled_at) {
            (Some(_), Some(_)) => BatchStatus::Cancelled,
            (Some(_), None) => BatchStatus::Done,
            (None, _) if begun => BatchStatus::Running,
            (None, _) => BatchStatus::Queued,
        };
        Self {
            id: record.id,
            status,
            channel: format!("job:{}", record.id),
            total: record.total,
            done: totals.done,
            failed: totals.failed,
            cancelled: totals.cancelled,
            cost: totals.currency.map(|currency| Cost {
                amount_micros: Some(totals.micros),
                currency,
            }),
            created_at: record.created_at,
            finished_at: record.finished_at,
        }
    }
}

/// What became of a text of a batch.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct TextBatchItemView {
    /// Its place in the batch, counted from 0.
    index: u32,
    /// `done`, `failed` or `cancelled`.
    status: Status,
    /// Its id, if a model was asked: `GET /v1/content/{id}`.
    #[schema(value_type = Option<String>, example = "con_019a0000000070008000000000000000")]
    id: Option<Id<ContentKind>>,
    /// The text as it stands now, edits included; nothing if it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The object, where a schema was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Reason>,
    /// What it cost.
    cost: Option<Cost>,
}

/// Writes many texts in the background: a thousand at the most, of one template with other variables each, or
/// each with a prompt of its own. A text that fails has a problem of its own, and the others go on.
#[utoipa::path(
    post, path = "/v1/content/batches", tag = "content",
    request_body = GenerateBatch,
    responses((status = 202, description = "Taken on", body = TextBatchView), Refusals),
    security(("token" = ["content:create"])),
)]
async fn create(
    State(content): State<Arc<Content>>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Json(new): Json<GenerateBatch>,
) -> Result<(StatusCode, axum::Json<TextBatchView>), Problem> {
    let items = new.items.into_iter().map(|item| NewItem {
        prompt: item.prompt,
        variables: item.variables,
    });
    let new = NewBatch {
        items: items.collect(),
        common: Wish {
            template: new.template,
            which: which(new.label, new.version),
            max_tokens: new.max_tokens.unwrap_or(TOKENS),
            temperature: new.temperature,
            schema: new.schema,
            voice: new.voice,
            locale: new.locale,
            cache: new.cache,
            model: new.model,
            redact: new.redact,
            ..Wish::default()
        },
    };
    let spender = Spender::from(&*caller);
    let state = content
        .create_batch(&spender, seed.id(), new, context.locale)
        .await?;
    Ok((StatusCode::ACCEPTED, axum::Json(TextBatchView::of(state))))
}

/// The batches of the organisation, the newest first.
#[utoipa::path(
    get, path = "/v1/content/batches", tag = "content",
    params(PageParams),
    responses((status = 200, body = Listed<TextBatchView>), Refusals),
    security(("token" = ["content:read"])),
)]
async fn list(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<TextBatchView>>, Problem> {
    let org = caller.organisation;
    let after = params.after(&org.to_string())?;
    let (states, next) = content.batches(org, params.limit()?, after).await?;
    Ok(axum::Json(Listed {
        items: states.into_iter().map(TextBatchView::of).collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// How far a batch is.
#[utoipa::path(
    get, path = "/v1/content/batches/{id}", tag = "content",
    params(("id" = String, Path, description = "The batch's id")),
    responses((status = 200, body = TextBatchView), Refusals),
    security(("token" = ["content:read"])),
)]
async fn get(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(id): Path<Id<Batch>>,
) -> Result<axum::Json<TextBatchView>, Problem> {
    let state = content.batch(caller.organisation, id).await?;
    Ok(axum::Json(TextBatchView::of(state)))
}

/// The texts of a batch that are finished, in their order.
#[utoipa::path(
    get, path = "/v1/content/batches/{id}/items", tag = "content",
    params(("id" = String, Path, description = "The batch's id"), PageParams),
    responses((status = 200, body = Listed<TextBatchItemView>), Refusals),
    security(("token" = ["content:read"])),
)]
async fn items(
    State(content): State<Arc<Content>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<Batch>>,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<TextBatchItemView>>, Problem> {
    let org = caller.organisation;
    let after = params.after(&org.to_string())?;
    let (outcomes, next) = content.outcomes(org, id, params.limit()?, after).await?;
    let views = outcomes
        .into_iter()
        .map(|outcome| shown(&content, &caller, outcome, context.locale));
    Ok(axum::Json(Listed {
        items: try_join_all(views).await?,
        next_cursor: page::encode(next.as_ref()),
    }))
}

async fn shown(
    content: &Content,
    caller: &Caller,
    outcome: Outcome,
    reader: Locale,
) -> Result<TextBatchItemView, Problem> {
    let record = match outcome.content {
        Some(id) => content.find(caller.organisation, id).await?,
        None => None,
    };
    let (text, data) = record.map_or((None, None), |held| (held.record.text, held.record.data));
    Ok(TextBatchItemView {
        index: outcome.index,
        status: outcome.status,
        id: outcome.content,
        text,
        data,
        problem: outcome.problem.map(|kept| Reason::of(kept, reader)),
        cost: outcome.cost,
    })
}

/// Stops a batch: texts that are being written come to their end, and no other is begun.
#[utoipa::path(
    post, path = "/v1/content/batches/{id}/cancel", tag = "content",
    params(("id" = String, Path, description = "The batch's id")),
    responses((status = 200, body = TextBatchView), Refusals),
    security(("token" = ["content:create"])),
)]
async fn cancel(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(id): Path<Id<Batch>>,
) -> Result<axum::Json<TextBatchView>, Problem> {
    let state = content.cancel_batch(caller.organisation, id).await?;
    Ok(axum::Json(TextBatchView::of(state)))
}
