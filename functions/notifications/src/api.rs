//! `/v1/ws/tickets`.

use std::sync::Arc;

use axum::extract::State;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use runtime::{Caller, Problem, Refusals};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::tickets::Tickets;

/// What the routes of this capability need.
pub struct Desk {
    /// Makes tickets.
    pub tickets: Tickets,
    /// The address of the WebSocket API, without a query.
    pub url: String,
}

/// The routes of this capability.
pub fn routes(desk: Arc<Desk>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(issue)).with_state(desk)
}

/// The address of the WebSocket API whose connections are managed at this endpoint: the same, over `ws`.
pub fn url_of(endpoint: &str) -> String {
    endpoint.replacen("http", "ws", 1)
}

/// A ticket.
#[derive(Serialize, ToSchema)]
struct Admission {
    /// Opens one WebSocket, within a minute.
    #[schema(example = "AZOhssPU5fYHGCk6S1xtfgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    ticket: String,
    /// Until when it can be used.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The whole address to open.
    #[schema(example = "wss://abcdef1234.execute-api.eu-west-1.amazonaws.com/v1?ticket=AZOh…")]
    url: String,
}

/// Gives a ticket that opens a WebSocket.
///
/// The connection acts as the caller for the caller's organisation, until the access token of this request
/// expires; before that, `{"action": "auth", "ticket"}` with a new ticket prolongs it. A ticket works once,
/// for 60 seconds. A browser cannot send a header with a WebSocket, and a token does not belong in an address.
#[utoipa::path(post, path = "/v1/ws/tickets", tag = "notifications",
    responses((status = 201, body = Admission), Refusals), security(("token" = [])))]
async fn issue(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<(StatusCode, axum::Json<Admission>), Problem> {
    let expires = caller
        .key
        .is_none()
        .then(|| token_expiry(&headers))
        .flatten();
    let issued = desk.tickets.issue(&caller, expires).await?;
    let url = format!("{}?ticket={}", desk.url, issued.ticket);
    Ok((
        StatusCode::CREATED,
        axum::Json(Admission {
            ticket: issued.ticket,
            expires_at: issued.expires_at,
            url,
        }),
    ))
}

/// When the token of this request expires. The authorizer has verified the token, or there would be no caller.
fn token_expiry(headers: &HeaderMap) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let (_, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    let payload = token.split('.').nth(1)?;
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    Timestamp::from_second(claims.exp).ok()
}
