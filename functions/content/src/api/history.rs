//! `/v1/content` and what is below one text.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use domain::id::Content as ContentKind;
use domain::{Id, Text};
use jiff::Timestamp;
use runtime::etag::{IfMatch, etag};
use runtime::page::{self, Listed, PageParams};
use runtime::{Caller, Context, Fields, Json, Path, Problem, Query, Refusals};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::view::{ContentView, EditionView};
use crate::ask::too_long;
use crate::guard::{Guardrails, clean};
use crate::history::Edited;
use crate::source::LONGEST_TEXT;
use crate::{Content, ContentError};

pub(super) fn routes() -> OpenApiRouter<Arc<Content>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, edit, delete))
        .routes(routes!(list_versions))
        .routes(routes!(judge))
        .routes(routes!(cancel))
        .routes(routes!(guardrails, set_guardrails))
}

/// An edit: one of the two, whichever the content is.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The new text.
    pub text: Option<String>,
    /// The new object.
    #[schema(value_type = Option<Object>)]
    pub data: Option<Value>,
}

/// An opinion.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFeedback {
    /// 1 (bad) to 5 (good).
    #[schema(minimum = 1, maximum = 5)]
    pub rating: u8,
    /// In words; at most 1000 characters.
    pub comment: Option<String>,
}

/// An opinion that is kept.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FeedbackView {
    /// 1 (bad) to 5 (good).
    pub rating: u8,
    /// In words.
    pub comment: Option<String>,
    /// The version of the content that it is about.
    pub version: u32,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// What the organisation had made, the newest first.
#[utoipa::path(
    get, path = "/v1/content", tag = "content",
    params(PageParams),
    responses((status = 200, body = Listed<ContentView>), Refusals),
    security(("token" = ["content:read"])),
)]
async fn list(
    State(content): State<Arc<Content>>,
    caller: Caller,
    context: Context,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<ContentView>>, Problem> {
    let after = params.after(&caller.organisation.to_string())?;
    let (records, next) = content.list(&caller, params.limit()?, after).await?;
    let views = records
        .into_iter()
        .map(|record| ContentView::of(record, context.locale));
    Ok(axum::Json(Listed {
        items: views.collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// A text; while it is being made, what there is of it.
#[utoipa::path(
    get, path = "/v1/content/{id}", tag = "content",
    params(("id" = String, Path, description = "The content's id")),
    responses((status = 200, body = ContentView), Refusals),
    security(("token" = ["content:read"])),
)]
async fn get(
    State(content): State<Arc<Content>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<ContentKind>>,
) -> Result<([(HeaderName, String); 1], axum::Json<ContentView>), Problem> {
    let org = caller.organisation;
    let held = content.find(org, id).await?;
    let held = held.ok_or(ContentError::NotFound)?;
    let held = content.settle_lost(org, held).await?;
    Ok((
        [etag(held.version())],
        axum::Json(ContentView::of(held.record, context.locale)),
    ))
}

/// Edits a text. What was there stays as a version.
#[utoipa::path(
    patch, path = "/v1/content/{id}", tag = "content",
    params(("id" = String, Path, description = "The content's id")),
    request_body = Edit,
    responses((status = 200, body = ContentView), Refusals),
    security(("token" = ["content:create"])),
)]
async fn edit(
    State(content): State<Arc<Content>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<ContentKind>>,
    if_match: IfMatch,
    Json(edit): Json<Edit>,
) -> Result<([(HeaderName, String); 1], axum::Json<ContentView>), Problem> {
    let edited = match (edit.text, edit.data) {
        (Some(text), None) => Edited::Text(clean(&text)),
        (None, Some(data)) => Edited::Data(data),
        _ => {
            let detail = Text::fixed(
                "Falta text o data; solo uno",
                "text or data, and only one, is expected",
            );
            return Err(ContentError::invalid("/text", detail).into());
        }
    };
    let (pointer, octets) = match &edited {
        Edited::Text(text) => ("/text", text.len()),
        Edited::Data(data) => ("/data", data.to_string().len()),
    };
    let mut fields = Fields::new();
    fields.check(octets <= LONGEST_TEXT, pointer, too_long());
    fields.finish()?;
    let accepted = |version| if_match.check(version).is_ok();
    let held = content.edit(&caller, id, accepted, edited).await?;
    Ok((
        [etag(held.version())],
        axum::Json(ContentView::of(held.record, context.locale)),
    ))
}

/// Deletes a text with its versions and feedback.
#[utoipa::path(
    delete, path = "/v1/content/{id}", tag = "content",
    params(("id" = String, Path, description = "The content's id")),
    responses((status = 204, description = "Deleted"), Refusals),
    security(("token" = ["content:delete"])),
)]
async fn delete(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(id): Path<Id<ContentKind>>,
) -> Result<StatusCode, Problem> {
    content.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The versions of a text, the newest first.
#[utoipa::path(
    get, path = "/v1/content/{id}/versions", tag = "content",
    params(("id" = String, Path, description = "The content's id"), PageParams),
    responses((status = 200, body = Listed<EditionView>), Refusals),
    security(("token" = ["content:read"])),
)]
async fn list_versions(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(id): Path<Id<ContentKind>>,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<EditionView>>, Problem> {
    let after = params.after(&caller.organisation.to_string())?;
    let (editions, next) = content
        .editions(&caller, id, params.limit()?, after)
        .await?;
    Ok(axum::Json(Listed {
        items: editions.into_iter().map(EditionView::from).collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// Says what one thinks of a text. A second opinion of the same person replaces the first.
#[utoipa::path(
    post, path = "/v1/content/{id}/feedback", tag = "content",
    params(("id" = String, Path, description = "The content's id")),
    request_body = NewFeedback,
    responses((status = 201, body = FeedbackView), Refusals),
    security(("token" = ["content:read"])),
)]
async fn judge(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(id): Path<Id<ContentKind>>,
    Json(new): Json<NewFeedback>,
) -> Result<(StatusCode, axum::Json<FeedbackView>), Problem> {
    let mut fields = Fields::new();
    fields.check(
        (1..=5).contains(&new.rating),
        "/rating",
        Text::fixed("Debe estar entre 1 y 5", "Must be between 1 and 5"),
    );
    fields.check(
        new.comment
            .as_ref()
            .is_none_or(|text| text.chars().count() <= 1000),
        "/comment",
        Text::fixed("Como máximo 1000 caracteres", "At most 1000 characters"),
    );
    fields.finish()?;
    let kept = content.judge(&caller, id, new.rating, new.comment).await?;
    let view = FeedbackView {
        rating: kept.rating,
        comment: kept.comment,
        version: kept.edition,
        at: kept.at,
    };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

/// Stops a text that is being made. What there is of it is kept, and what it cost by then is paid.
#[utoipa::path(
    post, path = "/v1/content/{id}/cancel", tag = "content",
    params(("id" = String, Path, description = "The content's id")),
    responses((status = 200, body = ContentView), Refusals),
    security(("token" = ["content:create"])),
)]
async fn cancel(
    State(content): State<Arc<Content>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<ContentKind>>,
) -> Result<axum::Json<ContentView>, Problem> {
    let held = content.cancel(&caller, id).await?;
    Ok(axum::Json(ContentView::of(held.record, context.locale)))
}

/// The organisation's guardrails.
#[utoipa::path(
    get, path = "/v1/content/guardrails", tag = "content",
    responses((status = 200, body = Guardrails), Refusals),
    security(("token" = ["content:read"])),
)]
async fn guardrails(
    State(content): State<Arc<Content>>,
    caller: Caller,
) -> Result<axum::Json<Guardrails>, Problem> {
    Ok(axum::Json(content.guardrails(caller.organisation).await?))
}

/// Sets the organisation's guardrails, all of them.
#[utoipa::path(
    put, path = "/v1/content/guardrails", tag = "content",
    request_body = Guardrails,
    responses((status = 200, body = Guardrails), Refusals),
    security(("token" = ["guardrails:manage"])),
)]
async fn set_guardrails(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Json(rules): Json<Guardrails>,
) -> Result<axum::Json<Guardrails>, Problem> {
    content.set_guardrails(caller.organisation, &rules).await?;
    Ok(axum::Json(rules))
}
