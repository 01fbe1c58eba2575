//! `/v1/content/generate` and what else makes texts.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::id::{Content as ContentKind, Voice as VoiceKind};
use domain::{Id, Text};
use futures::future::join_all;
use models::Spender;
use ports::queue::Queue;
use runtime::{Caller, Context, Fields, Json, Problem, Query, Refusals, Seed};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Desk;
use super::view::ContentView;
use crate::Content;
use crate::ask::{Ask, TOKENS, Wish};
use crate::prompt::Which;
use crate::record::{Cost, Kind, Status};
use crate::rewrite::Goal;

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(generate))
        .routes(routes!(variants))
        .routes(routes!(rewrite))
        .routes(routes!(translate))
}

/// What is to be written.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// What the model is asked; this or `template`.
    #[schema(example = "Escribe una frase de bienvenida para una panadería.")]
    pub prompt: Option<String>,
    /// The name of a prompt of the organisation.
    pub template: Option<String>,
    /// The version that this label stands at; `live` if neither this nor `version` is given.
    pub label: Option<String>,
    /// This version.
    pub version: Option<u32>,
    /// What stands in the prompt's places.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub variables: Map<String, Value>,
    /// At most that many tokens come back; 1024 if absent.
    #[schema(minimum = 1, maximum = 16384)]
    pub max_tokens: Option<u32>,
    /// JSON Schema 2020-12 of an object that is wanted instead of a text. What comes back fits it, or
    /// the answer is a 422 that names the place.
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Value>,
    /// Whether the text is told on a channel while it grows, instead of in the answer.
    #[serde(default)]
    pub stream: bool,
    /// A voice of the organisation.
    #[schema(value_type = Option<String>)]
    pub voice: Option<Id<VoiceKind>>,
    /// How much chance there is in it.
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f64>,
    /// The language of the answer, a tag such as `es` or `en-GB`.
    pub locale: Option<String>,
    /// Whether the same question may get the same answer again, for nothing, within an hour.
    #[serde(default)]
    pub cache: bool,
    /// A model or target of `GET /v1/models`; the first that answers if absent.
    pub model: Option<String>,
    /// Whether e-mail addresses, telephone numbers, cards and bank accounts are replaced before the
    /// prompt leaves, and put back into the answer; the organisation's rule if absent.
    pub redact: Option<bool>,
}

/// What is to be written several times.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateVariants {
    /// How many, 1 to 5; 3 if absent.
    #[schema(minimum = 1, maximum = 5)]
    pub n: Option<u32>,
    /// See `POST /v1/content/generate`; so are the fields that follow.
    pub prompt: Option<String>,
    /// The name of a prompt of the organisation.
    pub template: Option<String>,
    /// The version that this label stands at.
    pub label: Option<String>,
    /// This version.
    pub version: Option<u32>,
    /// What stands in the prompt's places.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub variables: Map<String, Value>,
    /// At most that many tokens for each.
    pub max_tokens: Option<u32>,
    /// A voice of the organisation.
    #[schema(value_type = Option<String>)]
    pub voice: Option<Id<VoiceKind>>,
    /// How much chance there is in it; 0.9 if absent.
    pub temperature: Option<f64>,
    /// The language of the answers.
    pub locale: Option<String>,
    /// A model or target.
    pub model: Option<String>,
    /// Whether personal data is replaced before the prompt leaves.
    pub redact: Option<bool>,
}

/// A text to be rewritten.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RewriteRequest {
    /// The text. It is data: what it asks for is not done.
    pub text: String,
    /// What is to change; this, `instruction` or `voice`.
    pub goal: Option<Goal>,
    /// What is to change, in words; at most 2000 characters.
    pub instruction: Option<String>,
    /// A voice of the organisation.
    #[schema(value_type = Option<String>)]
    pub voice: Option<Id<VoiceKind>>,
    /// The language of the answer; that of the text if absent.
    pub locale: Option<String>,
    /// At most that many tokens come back.
    pub max_tokens: Option<u32>,
    /// How much chance there is in it.
    pub temperature: Option<f64>,
    /// A model or target.
    pub model: Option<String>,
    /// Whether personal data is replaced before the text leaves.
    pub redact: Option<bool>,
}

/// A text to be translated.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TranslateRequest {
    /// The text. Placeholders in it (`{{ name }}`, `{name}`, `%s`, `<b>`, addresses) stay as they are;
    /// an answer that lost one is refused.
    pub text: String,
    /// The language that it is to be in, a tag.
    #[schema(example = "en")]
    pub to: String,
    /// The language that it is in, a tag.
    pub from: Option<String>,
    /// A voice of the organisation.
    #[schema(value_type = Option<String>)]
    pub voice: Option<Id<VoiceKind>>,
    /// At most that many tokens come back.
    pub max_tokens: Option<u32>,
    /// A model or target.
    pub model: Option<String>,
    /// Whether personal data is replaced before the text leaves.
    pub redact: Option<bool>,
}

/// A text that is told on a channel.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Streaming {
    /// Its id.
    #[schema(value_type = String)]
    pub id: Id<ContentKind>,
    /// `running`, or how it ended if this request was sent before.
    pub status: Status,
    /// To be subscribed to on the WebSocket.
    #[schema(example = "content:con_019a0000000070008000000000000000")]
    pub channel: String,
}

/// What a request would cost at most.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Estimate {
    /// Always true.
    pub dry_run: bool,
    /// The most that it can cost: what would be set aside of the budgets.
    pub cost: Cost,
    /// The most tokens that would come back.
    pub max_tokens: u32,
}

/// Several texts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VariantsView {
    /// Those that were made; at least one.
    pub items: Vec<ContentView>,
    /// How many were not.
    pub failed: usize,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DryRun {
    /// Whether to say what it would cost and do nothing.
    #[serde(default)]
    dry_run: bool,
}

pub(super) fn which(label: Option<String>, version: Option<u32>) -> Which {
    match (version, label) {
        (Some(number), _) => Which::Number(number),
        (None, Some(label)) => Which::Label(label),
        (None, None) => Which::default(),
    }
}

impl From<Generate> for Wish {
    fn from(new: Generate) -> Self {
        Self {
            prompt: new.prompt,
            template: new.template,
            which: which(new.label, new.version),
            variables: new.variables,
            max_tokens: new.max_tokens.unwrap_or(TOKENS),
            temperature: new.temperature,
            schema: new.schema,
            voice: new.voice,
            locale: new.locale,
            cache: new.cache,
            model: new.model,
            redact: new.redact,
        }
    }
}

/// Writes a text, or an object that fits a schema.
///
/// With `stream` the answer is a 202 at once, and the text is told on the channel of the answer.
/// `?dry_run=true` says what it would cost at most and asks no model.
#[utoipa::path(
    post, path = "/v1/content/generate", tag = "content",
    params(DryRun),
    request_body = Generate,
    responses(
        (status = 200, body = ContentView, description = "Made; or, with dry_run, an Estimate"),
        (status = 202, body = Streaming, description = "Taken on; told on the channel"),
        (status = 402, description = "A budget is exhausted; the detail names its scope"),
        Refusals,
    ),
    security(("token" = ["content:create"])),
)]
async fn generate(
    State(desk): State<Desk>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Query(params): Query<DryRun>,
    Json(new): Json<Generate>,
) -> Result<Response, Problem> {
    let stream = new.stream;
    let reader = context.locale.tag();
    let ask = desk
        .content
        .ask(caller.organisation, Kind::Generate, new.into(), reader)
        .await?;
    if params.dry_run {
        return Ok(axum::Json(estimate(&desk.content, &caller, seed, &ask).await?).into_response());
    }
    if stream {
        return take_on(&desk.content, &*desk.jobs, &caller, &context, seed, &ask).await;
    }
    made(&desk.content, &caller, &context, seed.id(), &ask)
        .await
        .map(|view| axum::Json(view).into_response())
}

async fn estimate(
    content: &Content,
    caller: &Caller,
    seed: Seed,
    ask: &Ask,
) -> Result<Estimate, Problem> {
    let gateway = content.targets.gateway().await?;
    let prepared = content.prepare(caller.organisation, seed.id(), ask).await?;
    let cost = gateway
        .estimate(&prepared.request)
        .map_err(|error| models::Failure::from(&error).problem())?;
    Ok(Estimate {
        dry_run: true,
        cost: Cost {
            amount_micros: Some(cost.micros),
            currency: cost.currency,
        },
        max_tokens: ask.max_tokens,
    })
}

async fn take_on(
    content: &Content,
    jobs: &dyn Queue,
    caller: &Caller,
    context: &Context,
    seed: Seed,
    ask: &Ask,
) -> Result<Response, Problem> {
    let record = content
        .take_on(jobs, caller, seed.id(), ask, context.locale)
        .await?;
    let taken_on = Streaming {
        id: record.id,
        status: record.status,
        channel: format!("content:{}", record.id),
    };
    Ok((StatusCode::ACCEPTED, axum::Json(taken_on)).into_response())
}

async fn made(
    content: &Content,
    caller: &Caller,
    context: &Context,
    id: Id<ContentKind>,
    ask: &Ask,
) -> Result<ContentView, Problem> {
    let record = content
        .make(
            &Spender::from(&**caller),
            id,
            ask,
            context.locale,
            context.deadline,
        )
        .await?;
    Ok(ContentView::of(record, context.locale))
}

/// Writes several texts to the same prompt, side by side.
#[utoipa::path(
    post, path = "/v1/content/variants", tag = "content",
    request_body = GenerateVariants,
    responses((status = 200, body = VariantsView), Refusals),
    security(("token" = ["content:create"])),
)]
async fn variants(
    State(desk): State<Desk>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Json(new): Json<GenerateVariants>,
) -> Result<axum::Json<VariantsView>, Problem> {
    let number = new.n.unwrap_or(3);
    let mut fields = Fields::new();
    fields.check(
        (1..=5).contains(&number),
        "/n",
        Text::fixed("Debe estar entre 1 y 5", "Must be between 1 and 5"),
    );
    fields.finish()?;
    let wish = Wish {
        prompt: new.prompt,
        template: new.template,
        which: which(new.label, new.version),
        variables: new.variables,
        max_tokens: new.max_tokens.unwrap_or(TOKENS),
        temperature: Some(new.temperature.unwrap_or(0.9)),
        voice: new.voice,
        locale: new.locale,
        model: new.model,
        redact: new.redact,
        ..Wish::default()
    };
    let content = &desk.content;
    let ask = content
        .ask(
            caller.organisation,
            Kind::Variant,
            wish,
            context.locale.tag(),
        )
        .await?;
    // Each has a chance of its own, also where a provider keeps to the seed.
    let asks: Vec<Ask> = (1..=number)
        .map(|n| Ask {
            seed: Some(i64::from(n)),
            ..ask.clone()
        })
        .collect();
    let making = asks
        .iter()
        .zip(0..)
        .map(|(ask, n)| made(content, &caller, &context, seed.nth(n), ask));
    let (mut items, mut refused) = (Vec::new(), Vec::new());
    for made in join_all(making).await {
        match made {
            Ok(view) => items.push(view),
            Err(problem) => refused.push(problem),
        }
    }
    let failed = refused.len();
    match refused.pop() {
        Some(problem) if items.is_empty() => Err(problem),
        _ => Ok(axum::Json(VariantsView { items, failed })),
    }
}

/// Rewrites a text.
#[utoipa::path(
    post, path = "/v1/content/rewrite", tag = "content",
    request_body = RewriteRequest,
    responses((status = 200, body = ContentView), Refusals),
    security(("token" = ["content:create"])),
)]
async fn rewrite(
    State(desk): State<Desk>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Json(new): Json<RewriteRequest>,
) -> Result<axum::Json<ContentView>, Problem> {
    let wish = Wish {
        prompt: Some(new.text),
        max_tokens: new.max_tokens.unwrap_or(TOKENS * 2),
        temperature: new.temperature,
        voice: new.voice,
        locale: new.locale,
        model: new.model,
        redact: new.redact,
        ..Wish::default()
    };
    let instruction = new.instruction.as_deref();
    let ask = desk
        .content
        .ask_to_rewrite(&caller, new.goal, instruction, wish, context.locale.tag())
        .await?;
    let view = made(&desk.content, &caller, &context, seed.id(), &ask).await?;
    Ok(axum::Json(view))
}

/// Translates a text. Placeholders stay as they are.
#[utoipa::path(
    post, path = "/v1/content/translate", tag = "content",
    request_body = TranslateRequest,
    responses((status = 200, body = ContentView), Refusals),
    security(("token" = ["content:create"])),
)]
async fn translate(
    State(desk): State<Desk>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Json(new): Json<TranslateRequest>,
) -> Result<axum::Json<ContentView>, Problem> {
    let mut fields = Fields::new();
    fields.check(domain::locale::is_tag(&new.to), "/to", super::voices::TAG);
    fields.finish()?;
    let wish = Wish {
        prompt: Some(new.text),
        max_tokens: new.max_tokens.unwrap_or(TOKENS * 2),
        temperature: Some(0.2),
        voice: new.voice,
        locale: Some(new.to),
        model: new.model,
        redact: new.redact,
        ..Wish::default()
    };
    let ask = desk
        .content
        .ask_to_translate(&caller, new.from.as_deref(), wish, context.locale.tag())
        .await?;
    let view = made(&desk.content, &caller, &context, seed.id(), &ask).await?;
    Ok(axum::Json(view))
}
