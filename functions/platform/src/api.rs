//! Health, readiness, the description of the API and the page that shows it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{StatusCode, header};
use ports::table::{Key, Table};
use runtime::{Path, Problem, Refusals, problem};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::docs;

/// What readiness depends on.
pub struct Health {
    /// The table that every request of every function touches.
    pub requests: Arc<dyn Table>,
}

/// The routes of this capability.
pub fn routes(health: Arc<Health>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(alive))
        .routes(routes!(ready))
        .routes(routes!(description))
        .routes(routes!(docs_index))
        .routes(routes!(docs_file))
        .with_state(health)
}

/// How the fleet is.
#[derive(Debug, Serialize, ToSchema)]
struct Status {
    /// `ok`.
    status: &'static str,
}

const OK: axum::Json<Status> = axum::Json(Status { status: "ok" });

/// The function runs.
#[utoipa::path(get, path = "/v1/health", tag = "platform",
    responses((status = 200, body = Status), Refusals), security(()))]
async fn alive() -> axum::Json<Status> {
    OK
}

/// The fleet can do work: its table answers.
#[utoipa::path(get, path = "/v1/ready", tag = "platform",
    responses((status = 200, body = Status), Refusals), security(()))]
async fn ready(State(health): State<Arc<Health>>) -> Result<axum::Json<Status>, Problem> {
    health.requests.get(&Key::new("req#ready", "probe")).await?;
    Ok(OK)
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "platform",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"), Refusals), security(()))]
async fn description() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, docs::OPENAPI).into_response()
}

/// The API reference, a page.
#[utoipa::path(get, path = "/docs", tag = "platform",
    responses((status = 308, description = "To the page itself"), Refusals), security(()))]
async fn docs_index() -> Redirect {
    // Relative, so that it holds under whatever prefix the gateway has.
    Redirect::permanent("docs/index.html")
}

/// A file of the API reference.
#[utoipa::path(get, path = "/docs/{proxy}", tag = "platform", params(("proxy" = String, Path, description = "File name")),
    responses((status = 200, description = "The file", content_type = "text/html"), Refusals), security(()))]
async fn docs_file(Path(name): Path<String>) -> Result<Response, Problem> {
    let file = docs::file(&name).ok_or_else(|| Problem::new(&problem::NOT_FOUND))?;
    let headers = [
        (header::CONTENT_TYPE, file.content_type),
        (header::CACHE_CONTROL, "public, max-age=3600".to_owned()),
        (
            header::CONTENT_SECURITY_POLICY,
            docs::CONTENT_POLICY.to_owned(),
        ),
    ];
    Ok((StatusCode::OK, headers, file.bytes).into_response())
}
