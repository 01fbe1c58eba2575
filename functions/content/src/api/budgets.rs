//! `/v1/budgets`, `/v1/content/usage` and `/v1/models`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use domain::id::{ApiKey, User};
use domain::{Id, Text};
use jiff::Timestamp;
use models::budget::{CallRecord, Ledger, Period, Scope, Standing};
use models::target::Target;
use runtime::etag::{IfMatch, etag};
use runtime::page::{self, Listed, PageParams};
use runtime::problem::{self, Problem};
use runtime::{Caller, Fields, Json, Path, Query, Refusals};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Content;
use crate::budgets::Whose;

pub(super) fn routes() -> OpenApiRouter<Arc<Content>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, set, remove))
        .routes(routes!(usage))
        .routes(routes!(list_models))
}

/// How long a budget holds before it begins anew, by the calendar in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PeriodName {
    /// A day.
    Day,
    /// A month.
    Month,
    /// For good.
    Total,
}

impl From<PeriodName> for Period {
    fn from(name: PeriodName) -> Self {
        match name {
            PeriodName::Day => Self::Day,
            PeriodName::Month => Self::Month,
            PeriodName::Total => Self::Total,
        }
    }
}

impl From<Period> for PeriodName {
    fn from(period: Period) -> Self {
        match period {
            Period::Day => Self::Day,
            Period::Month => Self::Month,
            Period::Total => Self::Total,
        }
    }
}

/// A limit.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBudget {
    /// Millionths of the unit of the models' currency; 0 allows nothing.
    #[schema(minimum = 0, example = 5_000_000)]
    pub limit_micros: i64,
    /// Of what period.
    pub period: PeriodName,
}

/// A budget and how it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BudgetView {
    /// `org`, `user:usr_…`, `key:key_…` or `model:NAME`.
    #[schema(example = "org")]
    pub scope: String,
    /// The limit, in millionths.
    pub limit_micros: i64,
    /// Of what period.
    pub period: PeriodName,
    /// What finished calls cost in this period.
    pub settled_micros: i64,
    /// What calls under way have set aside.
    pub reserved_micros: i64,
    /// What is left.
    pub left_micros: i64,
    /// Finished calls.
    pub calls: i64,
    /// When the next period begins; null if none does.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub resets_at: Option<Timestamp>,
}

impl From<Standing> for BudgetView {
    fn from(standing: Standing) -> Self {
        let (limit, spent) = (standing.budget.limit, standing.spent);
        Self {
            scope: standing.budget.scope.to_string(),
            limit_micros: limit,
            period: standing.budget.period.into(),
            settled_micros: spent.settled,
            reserved_micros: spent.reserved,
            left_micros: (limit - spent.settled - spent.reserved).max(0),
            calls: spent.calls,
            resets_at: standing.resets_at,
        }
    }
}

/// What was spent: the month so far, and the calls that it is the sum of.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UsageView {
    /// The month, in UTC.
    #[schema(example = "2026-11")]
    pub period: String,
    /// What the organisation's finished calls cost in it, in millionths.
    pub settled_micros: i64,
    /// Finished calls in it.
    pub calls: i64,
    /// Tokens that went in.
    pub input_tokens: i64,
    /// Tokens that came out.
    pub output_tokens: i64,
    /// Calls, the newest first.
    pub items: Vec<CallView>,
    /// To be sent as `cursor` for the next page of calls; null on the last.
    pub next_cursor: Option<String>,
}

/// One call of a model, with everything that its cost is made of.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CallView {
    /// Whose.
    #[schema(value_type = String)]
    pub user: Id<User>,
    /// With which key.
    #[schema(value_type = Option<String>)]
    pub key: Option<Id<ApiKey>>,
    /// `ok`, or a stable word for why there was no answer.
    pub outcome: String,
    /// The model that was asked last.
    pub model: Option<String>,
    /// Where.
    pub target: Option<String>,
    /// How often an endpoint was asked.
    pub attempts: usize,
    /// Tokens that went in.
    pub input_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
    /// Whether any of these are a bound of ours, because an endpoint did not say.
    pub estimated: bool,
    /// What it cost, in millionths.
    pub cost_micros: i64,
    /// ISO 4217.
    pub currency: String,
    /// Whether it was answered from memory, for nothing.
    pub cached: bool,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

impl From<CallRecord> for CallView {
    fn from(call: CallRecord) -> Self {
        let last = call.attempts.last();
        Self {
            user: call.user,
            key: call.key,
            model: last.map(|attempt| attempt.model.clone()),
            target: last.map(|attempt| attempt.target.clone()),
            attempts: call.attempts.len(),
            outcome: call.outcome,
            input_tokens: call.usage.input,
            output_tokens: call.usage.output,
            estimated: call.usage.estimated,
            cost_micros: call.micros,
            currency: call.currency,
            cached: call.cached,
            at: call.opened_at,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UsageParams {
    /// At most that many calls, 1 to 100; 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only this person's calls.
    user: Option<String>,
    /// Only calls with this key.
    key: Option<String>,
}

/// A model that can be asked.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelView {
    /// What a request calls it by.
    pub name: String,
    /// The provider's name for it.
    pub model: String,
    /// Its place in the order of preference, from 1.
    pub rank: usize,
    /// Tokens that a question and its answer may have together, if that is known.
    pub context: Option<u32>,
    /// Its present price.
    pub price: PriceView,
}

/// What a million tokens cost, in millionths of the currency's unit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PriceView {
    /// That go in.
    pub input_micros_per_million: i64,
    /// That come out.
    pub output_micros_per_million: i64,
    /// ISO 4217.
    pub currency: String,
}

impl ModelView {
    fn of(target: &Target, rank: usize, now: Timestamp) -> Self {
        let price = target.price.at(now);
        Self {
            name: target.name.clone(),
            model: target.model.clone(),
            rank,
            context: target.context,
            price: PriceView {
                input_micros_per_million: price.input,
                output_micros_per_million: price.output,
                currency: target.price.currency().to_owned(),
            },
        }
    }
}

/// What cannot be a scope names nothing that exists, so the answer is the same 404.
fn scope_of(text: &str) -> Result<Scope, Problem> {
    text.parse().map_err(|_| Problem::new(&problem::NOT_FOUND))
}

/// The organisation's budgets, by scope.
#[utoipa::path(
    get, path = "/v1/budgets", tag = "content",
    params(PageParams),
    responses((status = 200, body = Listed<BudgetView>), Refusals),
    security(("token" = ["budgets:manage"])),
)]
async fn list(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<BudgetView>>, Problem> {
    let org = caller.organisation;
    let after = params.after(&Ledger::budgets_partition(org))?;
    let (budgets, next) = content.budgets(org, params.limit()?, after).await?;
    Ok(axum::Json(Listed {
        items: budgets.into_iter().map(BudgetView::from).collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// A budget and how it stands.
#[utoipa::path(
    get, path = "/v1/budgets/{scope}", tag = "content",
    params(("scope" = String, Path, description = "org, user:usr_…, key:key_… or model:NAME")),
    responses((status = 200, body = BudgetView), Refusals),
    security(("token" = ["budgets:manage"])),
)]
async fn get(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(scope): Path<String>,
) -> Result<([(HeaderName, String); 1], axum::Json<BudgetView>), Problem> {
    let standing = content
        .budget(caller.organisation, &scope_of(&scope)?)
        .await?;
    Ok(([etag(standing.budget.version)], axum::Json(standing.into())))
}

/// Sets a budget. It holds from now on, for calls of every route; calls under way come to their end.
#[utoipa::path(
    put, path = "/v1/budgets/{scope}", tag = "content",
    params(("scope" = String, Path, description = "org, user:usr_…, key:key_… or model:NAME")),
    request_body = NewBudget,
    responses((status = 200, body = BudgetView), Refusals),
    security(("token" = ["budgets:manage"])),
)]
async fn set(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(scope): Path<String>,
    if_match: IfMatch,
    Json(new): Json<NewBudget>,
) -> Result<([(HeaderName, String); 1], axum::Json<BudgetView>), Problem> {
    let org = caller.organisation;
    let mut fields = Fields::new();
    let scope = fields.take("scope", scope.parse::<Scope>(), |_| {
        Text::fixed(
            "Se espera org, user:usr_…, key:key_… o model:NOMBRE",
            "org, user:usr_…, key:key_… or model:NAME is expected",
        )
    });
    fields.check(
        new.limit_micros >= 0,
        "/limit_micros",
        Text::fixed("No puede ser negativo", "Must not be negative"),
    );
    fields.finish()?;
    let scope = scope.unwrap_or(Scope::Organisation);
    let expected = seen(&content, org, &scope, &if_match).await?;
    let standing = content
        .set_budget(org, &scope, new.limit_micros, new.period.into(), expected)
        .await?;
    Ok(([etag(standing.budget.version)], axum::Json(standing.into())))
}

/// The version that `If-Match` speaks of, if it speaks of one.
async fn seen(
    content: &Content,
    org: Id<domain::id::Organisation>,
    scope: &Scope,
    if_match: &IfMatch,
) -> Result<Option<u64>, Problem> {
    if *if_match == IfMatch::default() {
        return Ok(None);
    }
    let version = match content.budget(org, scope).await {
        Ok(standing) => standing.budget.version,
        Err(crate::ContentError::NotFound) => 0,
        Err(error) => return Err(error.into()),
    };
    if_match.check(version)?;
    Ok((version > 0).then_some(version))
}

/// Takes a budget away. What was spent is not forgotten.
#[utoipa::path(
    delete, path = "/v1/budgets/{scope}", tag = "content",
    params(("scope" = String, Path, description = "org, user:usr_…, key:key_… or model:NAME")),
    responses((status = 204, description = "Removed"), Refusals),
    security(("token" = ["budgets:manage"])),
)]
async fn remove(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(scope): Path<String>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let (org, scope) = (caller.organisation, scope_of(&scope)?);
    let expected = seen(&content, org, &scope, &if_match).await?;
    content.remove_budget(org, &scope, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the organisation spent this month, and its calls.
#[utoipa::path(
    get, path = "/v1/content/usage", tag = "content",
    params(UsageParams),
    responses((status = 200, body = UsageView), Refusals),
    security(("token" = ["budgets:manage"])),
)]
async fn usage(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Query(params): Query<UsageParams>,
) -> Result<axum::Json<UsageView>, Problem> {
    let org = caller.organisation;
    let page = PageParams {
        limit: params.limit,
        cursor: params.cursor,
    };
    let after = page.after(&Ledger::calls_partition(org))?;
    let mut fields = Fields::new();
    let unknown = || Text::fixed("No es un identificador válido", "Not a valid id");
    let (user, key) = (params.user, params.key);
    let whose = Whose {
        user: user.and_then(|text| fields.take("user", text.parse(), |_| unknown())),
        key: key.and_then(|text| fields.take("key", text.parse(), |_| unknown())),
    };
    fields.finish()?;
    let total = content.month(org, content.clock.now()).await?;
    let (calls, next) = content.calls(org, whose, page.limit()?, after).await?;
    Ok(axum::Json(UsageView {
        period: total.period,
        settled_micros: total.spent.settled,
        calls: total.spent.calls,
        input_tokens: total.spent.input,
        output_tokens: total.spent.output,
        items: calls.into_iter().map(CallView::from).collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// The models that can be asked, in order of preference.
#[utoipa::path(
    get, path = "/v1/models", tag = "content",
    responses((status = 200, body = Listed<ModelView>), Refusals),
    security(("token" = ["content:read"])),
)]
async fn list_models(
    State(content): State<Arc<Content>>,
    _: Caller,
) -> Result<axum::Json<Listed<ModelView>>, Problem> {
    let now = content.clock.now();
    let list = content.targets.list().await?;
    let views = list
        .iter()
        .zip(1..)
        .map(|(target, rank)| ModelView::of(target, rank, now));
    Ok(axum::Json(Listed {
        items: views.collect(),
        next_cursor: None,
    }))
}
