//! `/v1/prompts`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use domain::Text;
use jiff::Timestamp;
use runtime::etag::{IfMatch, etag};
use runtime::page::{self, Listed, PageParams};
use runtime::{Caller, Fields, Json, Path, Problem, Query, Refusals, Seed};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Content;
use crate::prompt::{LATEST, NewVersion, Prompt, PromptVersion, Which, is_name};

pub(super) fn routes() -> OpenApiRouter<Arc<Content>> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get))
        .routes(routes!(add_version, list_versions))
        .routes(routes!(set_label))
}

/// A prompt's first version.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPrompt {
    /// 1 to 64 of `a-z 0-9 . _ -`.
    #[schema(example = "welcome-mail")]
    pub name: String,
    /// What the model is told about its task; a Jinja source like the next.
    pub system: Option<String>,
    /// Jinja: `{{ name }}` is a variable, `{% if %}` and `{% for %}` work. A missing variable is an
    /// error, and what a variable holds is never read as source.
    #[schema(example = "Escribe un saludo para {{ name }}.")]
    pub source: String,
    /// JSON Schema 2020-12 of the variables. Without one, each variable of the source is needed.
    #[schema(value_type = Option<Object>)]
    pub variables: Option<Value>,
    /// What changed, for people; at most 500 characters.
    pub message: Option<String>,
}

/// A prompt's next version.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPromptVersion {
    /// What the model is told about its task; a Jinja source like the next.
    pub system: Option<String>,
    /// The text, a Jinja source.
    pub source: String,
    /// JSON Schema 2020-12 of the variables.
    #[schema(value_type = Option<Object>)]
    pub variables: Option<Value>,
    /// What changed, for people; at most 500 characters.
    pub message: Option<String>,
}

/// A prompt, as lists show it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PromptSummary {
    /// Its name.
    pub name: String,
    /// The newest version.
    pub latest: u32,
    /// Which version each label stands at.
    pub labels: BTreeMap<String, u32>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A version of a prompt.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PromptView {
    /// The prompt's name.
    pub name: String,
    /// This version.
    pub version: u32,
    /// The labels that stand at it; `latest` stands at the newest.
    pub labels: Vec<String>,
    /// What the model is told about its task.
    pub system: Option<String>,
    /// The text.
    pub source: String,
    /// JSON Schema of the variables.
    #[schema(value_type = Option<Object>)]
    pub variables: Option<Value>,
    /// What changed.
    pub message: Option<String>,
    /// SHA-256 of sources and schema in lower-case hexadecimal.
    pub sha256: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Where a label is to stand.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelAt {
    /// A version of the prompt, also an older one.
    pub version: u32,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichParams {
    /// The version that this label stands at; `live` if neither is given.
    label: Option<String>,
    /// This version.
    version: Option<u32>,
}

impl From<Prompt> for PromptSummary {
    fn from(prompt: Prompt) -> Self {
        Self {
            name: prompt.name,
            latest: prompt.latest,
            labels: prompt.labels,
            created_at: prompt.created_at,
        }
    }
}

impl PromptView {
    fn of(version: PromptVersion, prompt: &Prompt) -> Self {
        let number = version.number;
        let here = prompt.labels.iter().filter(|(_, at)| **at == number);
        let newest = (prompt.latest == number).then(|| LATEST.to_owned());
        Self {
            labels: here.map(|(label, _)| label.clone()).chain(newest).collect(),
            name: version.name,
            version: number,
            system: version.system,
            source: version.source,
            variables: version.variables,
            message: version.message,
            sha256: version.sha256,
            created_at: version.created_at,
        }
    }
}

fn checked(new: NewPromptVersion) -> Result<NewVersion, Problem> {
    let mut fields = Fields::new();
    let length = new.message.as_ref().map_or(0, |text| text.chars().count());
    fields.check(
        length <= 500,
        "/message",
        Text::fixed("Como máximo 500 caracteres", "At most 500 characters"),
    );
    fields.finish()?;
    Ok(NewVersion {
        system: new.system,
        source: new.source,
        variables: new.variables,
        message: new.message,
    })
}

const NAME: Text = Text::fixed(
    "De 1 a 64 de a-z, 0-9, punto, guion y guion bajo, empezando por letra o cifra",
    "1 to 64 of a-z, 0-9, dot, hyphen and underscore, beginning with a letter or a digit",
);

/// Makes a prompt. Its first version gets the label `live`, so that it can be used at once.
#[utoipa::path(
    post, path = "/v1/prompts", tag = "content",
    request_body = NewPrompt,
    responses((status = 201, body = PromptView), Refusals),
    security(("token" = ["prompts:write"])),
)]
async fn create(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Seed(request): Seed,
    Json(new): Json<NewPrompt>,
) -> Result<
    (
        StatusCode,
        [(HeaderName, String); 1],
        axum::Json<PromptView>,
    ),
    Problem,
> {
    let mut fields = Fields::new();
    fields.check(is_name(&new.name), "/name", NAME);
    fields.finish()?;
    let version = checked(NewPromptVersion {
        system: new.system,
        source: new.source,
        variables: new.variables,
        message: new.message,
    })?;
    let (prompt, version) = content
        .create_prompt(&caller, request, &new.name, version)
        .await?;
    Ok((
        StatusCode::CREATED,
        [etag(1)],
        axum::Json(PromptView::of(version, &prompt)),
    ))
}

/// The organisation's prompts, by name.
#[utoipa::path(
    get, path = "/v1/prompts", tag = "content",
    params(PageParams),
    responses((status = 200, body = Listed<PromptSummary>), Refusals),
    security(("token" = ["content:read"])),
)]
async fn list(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<PromptSummary>>, Problem> {
    let after = params.after(&caller.organisation.to_string())?;
    let (prompts, next) = content.prompts(&caller, params.limit()?, after).await?;
    Ok(axum::Json(Listed {
        items: prompts.into_iter().map(PromptSummary::from).collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// A version of a prompt: the one in use (`live`), or the one that a label or a number names.
#[utoipa::path(
    get, path = "/v1/prompts/{name}", tag = "content",
    params(("name" = String, Path, description = "The prompt's name"), WhichParams),
    responses((status = 200, body = PromptView), Refusals),
    security(("token" = ["content:read"])),
)]
async fn get(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(name): Path<String>,
    Query(params): Query<WhichParams>,
) -> Result<([(HeaderName, String); 1], axum::Json<PromptView>), Problem> {
    let which = match (params.version, params.label) {
        (Some(number), _) => Which::Number(number),
        (None, Some(label)) => Which::Label(label),
        (None, None) => Which::default(),
    };
    let (prompt, row) = content.prompt(&caller, &name).await?;
    let version = content
        .prompt_version(caller.organisation, &name, &which)
        .await?;
    Ok(([etag(row)], axum::Json(PromptView::of(version, &prompt))))
}

/// Adds a version. Nothing that is in use changes until a label is moved.
#[utoipa::path(
    post, path = "/v1/prompts/{name}/versions", tag = "content",
    params(("name" = String, Path, description = "The prompt's name")),
    request_body = NewPromptVersion,
    responses((status = 201, body = PromptView), Refusals),
    security(("token" = ["prompts:write"])),
)]
async fn add_version(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(name): Path<String>,
    Seed(request): Seed,
    Json(new): Json<NewPromptVersion>,
) -> Result<(StatusCode, axum::Json<PromptView>), Problem> {
    let version = content
        .add_version(&caller, request, &name, checked(new)?)
        .await?;
    let (prompt, _) = content.prompt(&caller, &name).await?;
    Ok((
        StatusCode::CREATED,
        axum::Json(PromptView::of(version, &prompt)),
    ))
}

/// The versions of a prompt, the newest first.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/versions", tag = "content",
    params(("name" = String, Path, description = "The prompt's name"), PageParams),
    responses((status = 200, body = Listed<PromptView>), Refusals),
    security(("token" = ["content:read"])),
)]
async fn list_versions(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(name): Path<String>,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<PromptView>>, Problem> {
    let after = params.after(&caller.organisation.to_string())?;
    let (prompt, _) = content.prompt(&caller, &name).await?;
    let (versions, next) = content
        .prompt_versions(&caller, &name, params.limit()?, after)
        .await?;
    let items = versions
        .into_iter()
        .map(|version| PromptView::of(version, &prompt));
    Ok(axum::Json(Listed {
        items: items.collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// Sets a label to a version. An older version is how one goes back.
#[utoipa::path(
    put, path = "/v1/prompts/{name}/labels/{label}", tag = "content",
    params(
        ("name" = String, Path, description = "The prompt's name"),
        ("label" = String, Path, description = "`live`, or a label of your own"),
    ),
    request_body = LabelAt,
    responses((status = 200, body = PromptSummary), Refusals),
    security(("token" = ["prompts:write"])),
)]
async fn set_label(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path((name, label)): Path<(String, String)>,
    if_match: IfMatch,
    Json(at): Json<LabelAt>,
) -> Result<([(HeaderName, String); 1], axum::Json<PromptSummary>), Problem> {
    let mut fields = Fields::new();
    fields.check(
        is_name(&label) && label != LATEST,
        "label",
        Text::fixed(
            "latest siempre es la versión más nueva; las demás etiquetas son nombres sencillos",
            "latest is always the newest version; other labels are plain names",
        ),
    );
    fields.finish()?;
    let accepted = |version| if_match.check(version).is_ok();
    let (prompt, row) = content
        .set_label(&caller, &name, &label, at.version, accepted)
        .await?;
    Ok(([etag(row)], axum::Json(prompt.into())))
}
