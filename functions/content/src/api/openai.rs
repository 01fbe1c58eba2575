//! `/v1/openai/v1/*`: the same models and budgets, for clients of `OpenAI`'s API.
//!
//! Their base URL is the API's address with `/v1/openai/v1`; their key is an API key of the fleet, or an
//! access token. Errors have `OpenAI`'s shape.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{Event, Locale, Text};
use models::{ChatRequest, Completion, ModelError, OpenAiBody, Spender, Target};
use ports::table::Write;
use runtime::{Caller, Context, Problem, Refusals, Seed};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::failure::{Failure, Side};
use crate::guard::TERMS;
use crate::guard::pii::Redaction;
use crate::openai::{TOKENS, completion, event_stream, id_of};
use crate::{Content, ContentError};

pub(super) fn routes() -> OpenApiRouter<Arc<Content>> {
    OpenApiRouter::new()
        .routes(routes!(chat))
        .routes(routes!(list_models))
        .routes(routes!(read_model))
}

/// The body of `POST /chat/completions`, as `OpenAI` describes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatBody {
    /// A model or target of the list.
    pub model: String,
    /// The conversation, each with a `role` and a `content`.
    #[schema(value_type = Vec<Object>)]
    pub messages: Vec<Value>,
    /// Whether the answer is an event stream. It comes whole.
    pub stream: Option<bool>,
}

/// An error in `OpenAI`'s shape.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorObject,
}

/// What went wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorObject {
    /// In words.
    pub message: String,
    /// `invalid_request_error`, `insufficient_quota`, `rate_limit_error`, `server_error`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The field that is wrong.
    pub param: Option<String>,
    /// Stable.
    pub code: Option<String>,
}

/// What `OpenAI`'s clients look at before they ask again by themselves.
static SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A refusal on its way to a client of `OpenAI`'s API.
struct Refusal {
    status: StatusCode,
    error: ErrorObject,
    again: Again,
}

/// Whether asking again may help.
#[derive(Clone, Copy, Debug)]
enum Again {
    /// As its status says.
    ByStatus,
    /// After so many seconds.
    After(u64),
    /// It does not, although other refusals of this status pass.
    Never,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        match self.again {
            Again::ByStatus => {}
            Again::After(seconds) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
            }
            Again::Never => {
                headers.insert(&SHOULD_RETRY, HeaderValue::from_static("false"));
            }
        }
        let body = ErrorBody { error: self.error };
        (self.status, headers, axum::Json(body)).into_response()
    }
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            error: ErrorObject {
                message: message.into(),
                kind,
                param: None,
                code: Some(code.to_owned()),
            },
            again: Again::ByStatus,
        }
    }

    fn invalid(param: &str, code: Option<&str>, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: ErrorObject {
                message: message.into(),
                kind: "invalid_request_error",
                param: Some(param.to_owned()).filter(|param| !param.is_empty()),
                code: code.map(str::to_owned),
            },
            again: Again::ByStatus,
        }
    }

    fn unknown_model(model: &str) -> Self {
        let message =
            format!("The model '{model}' does not exist or you do not have access to it.");
        let (kind, code) = ("invalid_request_error", "model_not_found");
        let mut refusal = Self::new(StatusCode::NOT_FOUND, kind, code, message);
        refusal.error.param = Some("model".to_owned());
        refusal
    }

    fn after(mut self, seconds: u64) -> Self {
        self.again = Again::After(seconds);
        self
    }

    fn for_good(mut self) -> Self {
        self.again = Again::Never;
        self
    }

    /// A failure of the house in this shape.
    fn of(error: ContentError, reader: Locale) -> Self {
        let problem = Problem::from(error);
        let body = problem.body(reader, "", "");
        let status = StatusCode::from_u16(body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = if status.is_server_error() {
            "server_error"
        } else {
            "invalid_request_error"
        };
        let refusal = Self::new(status, kind, &body.code, body.detail);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            refusal.after(5)
        } else {
            refusal
        }
    }
}

/// Answers a conversation.
#[utoipa::path(
    post, path = "/v1/openai/v1/chat/completions", tag = "openai",
    request_body = ChatBody,
    responses(
        Refusals,
        (status = 200, description = "A chat.completion, or with stream an event stream, whole", body = Object),
        (status = 400, description = "Not acceptable", body = ErrorBody),
        (status = 404, description = "No such model", body = ErrorBody),
        (status = 429, description = "A budget is exhausted (insufficient_quota), or too many requests; see Retry-After", body = ErrorBody),
    ),
    security(("token" = ["content:create"])),
    extensions(("x-errors" = json!("openai"))),
)]
async fn chat(
    State(content): State<Arc<Content>>,
    caller: Caller,
    context: Context,
    Seed(seed): Seed,
    body: Bytes,
) -> Response {
    let answered = answer(&content, &caller, &context, seed, &body).await;
    let (read, answer) = match answered {
        Ok(answered) => answered,
        Err(refusal) => return refusal.into_response(),
    };
    let (id, now) = (id_of(seed), content.clock.now());
    if read.stream {
        let stream = event_stream(&id, now, &answer, read.include_usage);
        let kind = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];
        return (kind, stream).into_response();
    }
    axum::Json(completion(&id, now, &answer)).into_response()
}

async fn answer(
    content: &Content,
    caller: &Caller,
    context: &Context,
    seed: uuid::Uuid,
    body: &[u8],
) -> Result<(OpenAiBody, Completion), Refusal> {
    let refuse = |error| Refusal::of(error, context.locale);
    let read = understood(body)?;
    let gateway = content
        .targets
        .gateway()
        .await
        .map_err(|error| refuse(error.into()))?;
    let org = caller.organisation;
    let rules = content.guardrails(org).await.map_err(refuse)?;
    let locale = context.locale.tag();
    let blocked = async |side, rule| {
        let blocked = content
            .blocked(org, domain::Id::new(seed), side, rule)
            .await;
        blocked.map_or_else(refuse, |failure| refuse(failure.into()))
    };
    // All of it came with the request, whatever roles it gives itself.
    let mut messages = read.request.messages.iter();
    if messages.any(|message| rules.blocks(&message.text(), locale)) {
        return Err(blocked(Side::Input, TERMS).await);
    }
    let (read, redaction) = hidden(read, rules.redact);
    let spender = Spender::from(&**caller);
    let deadline = context
        .deadline
        .saturating_sub(jiff::SignedDuration::from_millis(300))
        .unwrap_or(context.deadline);
    let looked_at = async |texts: Vec<String>, side| {
        let verdict = content.moderated(gateway, &rules, &texts, side, deadline);
        match verdict.await {
            Ok(()) => Ok(()),
            Err(Failure::Blocked { rule, .. }) => Err(blocked(side, rule).await),
            Err(failure) => Err(refuse(failure.into())),
        }
    };
    let asked = read.request.messages.iter().map(models::Message::text);
    looked_at(asked.collect(), Side::Input).await?;
    // A new attempt of the same request is a new call: the answer of the first one is nowhere kept.
    let call = content.ids.uuid(content.clock.now());
    let made = gateway
        .complete(&spender, call, &read.request, deadline)
        .await;
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            let refusal = refusal_of(&error, read.request.model.as_deref(), context.locale);
            if let ModelError::Exhausted {
                scope, first: true, ..
            } = error
            {
                let scope = scope.to_string();
                announce(content, org, vec![Event::BudgetExhausted { scope }]).await;
            }
            return Err(refusal);
        }
    };
    let events = made.notices.iter().map(crate::budgets::event_of);
    announce(content, org, events.collect()).await;
    let mut said = vec![made.text.clone()];
    collect(&made.message, &mut said);
    looked_at(said, Side::Output).await?;
    let text = redaction.restore(&crate::guard::clean(&made.text));
    let message = crate::make::restored_in(made.message, &redaction);
    let mut shown = vec![text.clone()];
    collect(&message, &mut shown);
    if shown.iter().any(|said| rules.blocks(said, locale)) {
        return Err(blocked(Side::Output, TERMS).await);
    }
    Ok((
        read,
        Completion {
            text,
            message,
            ..made
        },
    ))
}

/// The request without personal data, if that is the organisation's rule.
fn hidden(read: OpenAiBody, redact: bool) -> (OpenAiBody, Redaction) {
    let mut redaction = Redaction::default();
    if !redact {
        return (read, redaction);
    }
    let messages = read.request.messages.into_iter();
    let messages = messages
        .map(|message| message.with_texts(|text| redaction.redact(text)))
        .collect();
    let request = ChatRequest {
        messages,
        ..read.request
    };
    (OpenAiBody { request, ..read }, redaction)
}

/// Every text that stands anywhere in an answer: what a tool is called with is said too.
fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "role" | "type" | "id"))
            .for_each(|(_, member)| collect(member, texts)),
        _ => {}
    }
}

/// What is announced here tells of money that the books have; that it could not be announced takes
/// nobody's answer away.
async fn announce(
    content: &Content,
    org: domain::Id<domain::id::Organisation>,
    events: Vec<Event>,
) {
    if events.is_empty() {
        return;
    }
    let parts: Vec<Write> = events
        .into_iter()
        .map(|event| content.event(org, event))
        .collect();
    if let Err(error) = content.table.write(parts).await {
        tracing::warn!(%error, "how a budget stands was not announced");
    }
}

fn understood(body: &[u8]) -> Result<OpenAiBody, Refusal> {
    let body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| Refusal::invalid("", None, "The body is not a JSON object"))?;
    ChatRequest::from_openai(body, TOKENS).map_err(|mistake| {
        let message = format!("Invalid '{}': {}.", mistake.param, mistake.reason);
        Refusal::invalid(&mistake.param, None, message)
    })
}

/// The errors of the real API, where it has one for this.
fn refusal_of(error: &ModelError, model: Option<&str>, reader: Locale) -> Refusal {
    let say = |text: Text| text.get(reader).to_owned();
    match error {
        ModelError::UnknownModel => Refusal::unknown_model(model.unwrap_or_default()),
        // Elsewhere a 402; here what clients of that API know, and it is no rate that a pause cures.
        ModelError::Exhausted { scope, .. } => Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "insufficient_quota",
            "insufficient_quota",
            say(Text::with(
                format!("No queda presupuesto para esta petición en «{scope}»"),
                format!("There is no budget left for this request in \"{scope}\""),
            )),
        )
        .for_good(),
        ModelError::ContextTooLong => Refusal::invalid(
            "messages",
            Some("context_length_exceeded"),
            "The messages are longer than the model's context.",
        ),
        ModelError::Filtered => Refusal::invalid(
            "messages",
            Some("content_filter"),
            "The content was filtered.",
        ),
        ModelError::Invalid(mistake) => Refusal::invalid(
            &mistake.param,
            None,
            format!("Invalid '{}': {}.", mistake.param, mistake.reason),
        ),
        ModelError::BadSchema { .. } => Refusal::invalid(
            "response_format",
            None,
            "Invalid 'response_format': a JSON Schema that refers to nothing outside itself is expected.",
        ),
        ModelError::Refused { message, code, .. } => {
            Refusal::invalid("", code.as_deref(), message.clone())
        }
        ModelError::Busy => Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_error",
            "too_many_open_calls",
            "Too many calls of one budget are open at once.",
        )
        .after(1),
        error => Refusal::of(Failure::from(models::Failure::from(error)).into(), reader),
    }
}

/// The models, as clients of `OpenAI`'s API list them.
#[utoipa::path(
    get, path = "/v1/openai/v1/models", tag = "openai",
    responses((status = 200, description = "A list", body = Object), Refusals),
    security(("token" = ["content:read"])),
    extensions(("x-errors" = json!("openai"))),
)]
async fn list_models(State(content): State<Arc<Content>>, _: Caller, context: Context) -> Response {
    match content.targets.list().await {
        Ok(list) => {
            let models = list.iter().map(|target| model_of(target));
            axum::Json(json!({"object": "list", "data": models.collect::<Vec<_>>()}))
                .into_response()
        }
        Err(error) => Refusal::of(error.into(), context.locale).into_response(),
    }
}

/// One of the models.
#[utoipa::path(
    get, path = "/v1/openai/v1/models/{model}", tag = "openai",
    params(("model" = String, Path, description = "Its id in the list, or another name that it goes by")),
    responses(
        Refusals,
        (status = 200, description = "A model", body = Object),
        (status = 404, description = "No such model", body = ErrorBody),
    ),
    security(("token" = ["content:read"])),
    extensions(("x-errors" = json!("openai"))),
)]
async fn read_model(
    State(content): State<Arc<Content>>,
    _: Caller,
    context: Context,
    Path(model): Path<String>,
) -> Response {
    let list = match content.targets.list().await {
        Ok(list) => list,
        Err(error) => return Refusal::of(error.into(), context.locale).into_response(),
    };
    match list.iter().find(|target| target.answers_to(&model)) {
        Some(target) => axum::Json(model_of(target)).into_response(),
        None => Refusal::unknown_model(&model).into_response(),
    }
}

fn model_of(target: &Target) -> Value {
    json!({"id": target.name, "object": "model", "created": 0, "owned_by": "fleet"})
}
