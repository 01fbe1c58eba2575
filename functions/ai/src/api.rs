//! `/v1/ai/jobs`, and below it `/v1/ai/collections`, `/v1/ai/search` and `/v1/ai/ask`.

mod bodies;
mod collections;
mod questions;

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use domain::id::{Job as JobKind, User};
use domain::{Id, Locale, Text};
use jiff::Timestamp;
use models::failure::Reason;
use ports::queue::Queue;
use ports::table::WriteError;
use runtime::page::{self, Listed, PageParams};
use runtime::problem::{self, Code};
use runtime::{Caller, Context, Fields, Json, Path, Problem, Query, Refusals, Seed};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::collection::MOST_OCTETS;
use crate::job::{Outcome, Record, Status, Wish};
use crate::search::Search;
use crate::task::{Options, Task};
use crate::{Ai, AiError};

/// What the routes stand on.
#[derive(Clone)]
struct Desk {
    ai: Arc<Ai>,
    jobs: Arc<dyn Queue>,
    search: Arc<Search>,
}

impl FromRef<Desk> for Arc<Ai> {
    fn from_ref(desk: &Desk) -> Self {
        desk.ai.clone()
    }
}

impl FromRef<Desk> for Arc<Search> {
    fn from_ref(desk: &Desk) -> Self {
        desk.search.clone()
    }
}

/// The routes over these use cases. Orders go to `jobs`.
pub fn routes(search: Arc<Search>, jobs: Arc<dyn Queue>) -> OpenApiRouter {
    let ai = search.ai.clone();
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read))
        .routes(routes!(items))
        .routes(routes!(cancel))
        .merge(collections::routes())
        .merge(questions::routes())
        .with_state(Desk { ai, jobs, search })
}

/// The job is over and cannot be asked for this any more.
pub static NOT_NOW: Code = Code {
    code: "not_now",
    status: 409,
    title: Text::fixed(
        "El trabajo no está en un estado que lo permita",
        "The job is not in a state that allows this",
    ),
};

/// There are as many of these as there may be.
pub static LIMIT_REACHED: Code = Code {
    code: "limit_reached",
    status: 409,
    title: Text::fixed("Se ha alcanzado un límite", "A limit is reached"),
};

/// The collection has this content already, as another document.
pub static DUPLICATE_DOCUMENT: Code = Code {
    code: "duplicate_document",
    status: 409,
    title: Text::fixed(
        "La colección ya tiene este contenido",
        "The collection has this content already",
    ),
};

/// The collection has no room for a text.
pub(crate) fn full() -> Problem {
    Problem::new(&LIMIT_REACHED).detail(Text::with(
        format!("Los textos de una colección pueden ocupar {MOST_OCTETS} octetos"),
        format!("The texts of a collection may have {MOST_OCTETS} octets"),
    ))
}

impl From<AiError> for Problem {
    fn from(error: AiError) -> Self {
        match error {
            AiError::NotFound => Self::new(&problem::NOT_FOUND),
            AiError::Invalid(faults) => Self::new(&problem::VALIDATION_FAILED).fields(faults),
            AiError::NotNow(status) => Self::new(&NOT_NOW).detail(match status {
                Status::Failed => Text::fixed("Ha fallado", "It has failed"),
                _ => Text::fixed("Ya está terminado", "It is finished"),
            }),
            AiError::LimitReached(detail) => Self::new(&LIMIT_REACHED).detail(detail),
            AiError::Duplicate(id) => Self::new(&DUPLICATE_DOCUMENT).detail(Text::with(
                format!("El documento {id} de esta colección tiene este contenido"),
                format!("The document {id} of this collection has this content"),
            )),
            AiError::Failed(failure) => failure.into(),
            AiError::Port(error) | AiError::Write(WriteError::Port(error)) => error.into(),
            AiError::Busy | AiError::AtWork => Self::new(&problem::UNAVAILABLE).retry_after(1),
            AiError::Write(error) => {
                tracing::warn!(%error, "a row was not written");
                Self::new(&problem::UNAVAILABLE).retry_after(1)
            }
        }
    }
}

/// A job that is wanted.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// What is to be done.
    pub task: Task,
    /// With what.
    pub input: NewInput,
    /// How; which of these are taken depends on the task.
    #[serde(default)]
    pub options: Options,
}

/// One text or several, and only one of the two.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInput {
    /// One text, of at most 60,000 octets.
    #[schema(example = "El pedido llegó tarde, pero el trato fue excelente.")]
    pub text: Option<String>,
    /// 1 to 50 texts, of at most 60,000 octets each.
    pub texts: Option<Vec<String>>,
}

/// A job that was taken on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TakenOn {
    /// Its id.
    #[schema(value_type = String, example = "job_019a0000000070008000000000000000")]
    pub id: Id<JobKind>,
    /// `queued`, or how far it is if this request was sent before.
    pub status: Status,
    /// To be subscribed to on the WebSocket.
    #[schema(example = "job:job_019a0000000070008000000000000000")]
    pub channel: String,
}

/// A job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobView {
    /// Its id.
    #[schema(value_type = String, example = "job_019a0000000070008000000000000000")]
    pub id: Id<JobKind>,
    /// What is done.
    pub task: Task,
    /// How.
    pub options: Options,
    /// How far it is.
    pub status: Status,
    /// How many texts it has.
    pub total: u32,
    /// Texts that have an answer.
    pub done: u32,
    /// Texts that have a problem instead.
    pub failed: u32,
    /// What it cost so far, in millionths of the currency's unit.
    pub cost_micros: i64,
    /// ISO 4217; null as long as nothing was paid.
    pub currency: Option<String>,
    /// What became of the text, once that is known, if the job has only one. See
    /// `GET /v1/ai/jobs/{id}/items` for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemView>,
    /// Why no text has an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Reason>,
    /// Where it is told how far it is, until it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// What became of a text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ItemView {
    /// Which text, from 0.
    pub index: u32,
    /// The answer, in the shape of its task: `{summary}`, `{label, confidence}`, the data of the schema,
    /// `{sentiment, score}`, `{language, confidence}`, `{entities: [{text, kind, start, end}]}` (offsets in
    /// Unicode code points) or `{embedding, dimensions}` (little-endian 32-bit floats in Base64).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    /// Who answered: `model`, or `offline` for what needs no model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The model, if one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Reason>,
    /// What it cost, in millionths of the currency's unit.
    pub cost_micros: i64,
    /// ISO 4217.
    pub currency: Option<String>,
}

impl ItemView {
    fn of(outcome: Outcome, reader: Locale) -> Self {
        Self {
            index: outcome.index,
            result: outcome.result,
            engine: outcome.engine,
            model: outcome.model,
            problem: outcome.problem.map(|kept| Reason::of(kept, reader)),
            cost_micros: outcome.cost_micros,
            currency: outcome.currency,
        }
    }
}

impl JobView {
    fn of(record: Record, item: Option<Outcome>, reader: Locale) -> Self {
        let over = record.status.is_over();
        Self {
            id: record.id,
            task: record.task,
            options: record.options,
            status: record.status,
            total: record.total,
            done: record.done,
            failed: record.failed,
            cost_micros: record.cost_micros,
            currency: record.currency,
            item: item.map(|outcome| ItemView::of(outcome, reader)),
            problem: record
                .problem
                .filter(|_| record.status == Status::Failed)
                .map(|kept| Reason::of(kept, reader)),
            channel: (!over).then(|| format!("job:{}", record.id)),
            created_by: record.created_by,
            created_at: record.created_at,
            finished_at: record.finished_at,
        }
    }
}

/// Takes on a job; how far it is is told on the channel of the answer.
///
/// `language` is answered without a model, and `summarise` is where none is configured, of the text's own
/// sentences. Everything else needs a model, and within a budget.
#[utoipa::path(
    post, path = "/v1/ai/jobs", tag = "ai",
    request_body = NewJob,
    responses((status = 202, body = TakenOn, description = "Taken on"), Refusals),
    security(("token" = ["ai:create"])),
)]
async fn create(
    State(desk): State<Desk>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Json(new): Json<NewJob>,
) -> Result<(StatusCode, axum::Json<TakenOn>), Problem> {
    let mut fields = Fields::new();
    fields.check(
        new.input.text.is_some() != new.input.texts.is_some(),
        "/input",
        Text::fixed(
            "Se espera text o texts; solo uno",
            "text or texts, and only one, is expected",
        ),
    );
    fields.finish()?;
    let (texts, pointer) = match (new.input.text, new.input.texts) {
        (Some(text), _) => (vec![text], "/input/text"),
        (None, texts) => (texts.unwrap_or_default(), "/input/texts"),
    };
    let wish = Wish {
        task: new.task,
        texts,
        pointer,
        options: new.options,
    };
    let taken = desk
        .ai
        .take_on(&*desk.jobs, &caller, seed.id(), wish, context.locale);
    let record = taken.await?;
    let view = TakenOn {
        id: record.id,
        status: record.status,
        channel: format!("job:{}", record.id),
    };
    Ok((StatusCode::ACCEPTED, axum::Json(view)))
}

/// The jobs of the organisation, the newest first, without what became of their texts.
#[utoipa::path(
    get, path = "/v1/ai/jobs", tag = "ai",
    params(PageParams),
    responses((status = 200, body = Listed<JobView>), Refusals),
    security(("token" = ["ai:read"])),
)]
async fn list(
    State(ai): State<Arc<Ai>>,
    caller: Caller,
    context: Context,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<JobView>>, Problem> {
    let org = caller.organisation;
    let after = params.after(&org.to_string())?;
    let (records, next) = ai.list(org, params.limit()?, after).await?;
    let views = records
        .into_iter()
        .map(|record| JobView::of(record, None, context.locale));
    Ok(axum::Json(Listed {
        items: views.collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// A job; with the answer, if it has only one text.
#[utoipa::path(
    get, path = "/v1/ai/jobs/{id}", tag = "ai",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = JobView), Refusals),
    security(("token" = ["ai:read"])),
)]
async fn read(
    State(ai): State<Arc<Ai>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<JobKind>>,
) -> Result<axum::Json<JobView>, Problem> {
    let record = ai.look(caller.organisation, id).await?;
    let item = ai.only(caller.organisation, &record).await?;
    Ok(axum::Json(JobView::of(record, item, context.locale)))
}

/// What became of the texts of a job so far, in their order.
#[utoipa::path(
    get, path = "/v1/ai/jobs/{id}/items", tag = "ai",
    params(("id" = String, Path, description = "The job's id"), PageParams),
    responses((status = 200, body = Listed<ItemView>), Refusals),
    security(("token" = ["ai:read"])),
)]
async fn items(
    State(ai): State<Arc<Ai>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<JobKind>>,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<ItemView>>, Problem> {
    let org = caller.organisation;
    let after = params.after(&org.to_string())?;
    let (outcomes, next) = ai.outcomes(org, id, params.limit()?, after).await?;
    let views = outcomes
        .into_iter()
        .map(|outcome| ItemView::of(outcome, context.locale));
    Ok(axum::Json(Listed {
        items: views.collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// Stops a job. What is done by then stays, and is paid.
#[utoipa::path(
    post, path = "/v1/ai/jobs/{id}/cancel", tag = "ai",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = JobView), Refusals),
    security(("token" = ["ai:create"])),
)]
async fn cancel(
    State(ai): State<Arc<Ai>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<JobKind>>,
) -> Result<axum::Json<JobView>, Problem> {
    let record = ai.cancel(caller.organisation, id).await?;
    let item = ai.only(caller.organisation, &record).await?;
    Ok(axum::Json(JobView::of(record, item, context.locale)))
}
