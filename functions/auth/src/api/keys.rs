//! `/v1/api-keys*`: people manage the keys of their organisation; a key may only ask who it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse};
use domain::id::{ApiKey, Id, Organisation, User};
use domain::{Text, role};
use http::StatusCode;
use jiff::Timestamp;
use runtime::etag::{IfMatch, etag};
use runtime::page::{self, PageParams};
use runtime::{Caller, Fields, Json, Listed, Path, Problem, Query, Refusals, Seed};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api_key::ApiKeyRow;
use crate::api_keys::{ApiKeys, KeyChange, Minted, NewKey};
use crate::problems;

/// The routes of keys.
pub(super) fn routes(keys: ApiKeys) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(whoami))
        .routes(routes!(get, update, revoke))
        .routes(routes!(reroll))
        .with_state(Arc::new(keys))
}

/// The longest that a key may go on beside the next one.
const LONGEST_GRACE: u32 = 7 * 24 * 3600;

/// A key that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewApiKey {
    /// What you call it: 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100, example = "Nightly invoices")]
    name: String,
    /// What it may do: permissions that you have yourself, at least one.
    #[schema(min_items = 1, max_items = 100, example = json!(["documents:create", "documents:read"]))]
    permissions: Vec<String>,
    /// When it stops by itself; never, if absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// What changes of a key; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApiKeyPatch {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// All that it may do from now on: permissions that you have yourself, at least one.
    #[schema(min_items = 1, max_items = 100)]
    permissions: Option<Vec<String>>,
}

/// How the present key ends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reroll {
    /// For that many seconds the present key goes on beside the new one; 0 ends it at once.
    #[schema(minimum = 0, maximum = 604_800, example = 86_400)]
    grace_seconds: u32,
}

/// A key and its secret. The secret is shown here and never again.
#[derive(Serialize, ToSchema)]
struct MintedView {
    /// The key's id.
    #[schema(value_type = String, example = "key_019a0000000070008000000000000000")]
    id: Id<ApiKey>,
    /// For `X-Api-Key` or `Authorization: Bearer`.
    #[schema(example = "flt_live_…")]
    key: String,
}

impl MintedView {
    fn of(minted: &Minted) -> Self {
        Self {
            id: minted.row.id,
            key: minted.text.expose_secret().to_owned(),
        }
    }
}

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
struct ApiKeyView {
    /// Its id.
    #[schema(value_type = String, example = "key_019a0000000070008000000000000000")]
    id: Id<ApiKey>,
    /// What its makers call it.
    name: String,
    /// What it was given; of that it may do what its maker may do too.
    permissions: BTreeSet<String>,
    /// Who made it.
    #[schema(value_type = String, example = "usr_0b5f3a526b0c4f5e9f3e2a3d1c9b7e11")]
    created_by: Id<User>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Since when it has its present secret.
    #[schema(value_type = String, format = DateTime)]
    minted_at: Timestamp,
    /// When it stops by itself; null for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The hour in which it was last used; null for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

impl ApiKeyView {
    fn of(row: ApiKeyRow, last_used_at: Option<Timestamp>) -> Self {
        Self {
            id: row.id,
            name: row.name,
            permissions: row.permissions,
            created_by: row.created_by,
            created_at: row.created_at,
            minted_at: row.secret.at,
            expires_at: row.expires_at,
            last_used_at,
        }
    }
}

/// What a key is.
#[derive(Serialize, ToSchema)]
struct WhoAmI {
    /// Its id.
    #[schema(value_type = String, example = "key_019a0000000070008000000000000000")]
    id: Id<ApiKey>,
    /// What its makers call it.
    name: String,
    /// Whose data it opens.
    #[schema(value_type = String, example = "org_0194fe2a4c8d7e11a0b3c5d7e9f10214")]
    organisation: Id<Organisation>,
    /// Who made it.
    #[schema(value_type = String, example = "usr_0b5f3a526b0c4f5e9f3e2a3d1c9b7e11")]
    created_by: Id<User>,
    /// What it may do at this moment.
    permissions: BTreeSet<String>,
    /// When it stops by itself; null for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

impl NewApiKey {
    fn parse(self, caller: &Caller, now: Timestamp) -> Result<NewKey, Problem> {
        let mut fields = Fields::new();
        let name = name(&self.name, &mut fields);
        let permissions = permissions(self.permissions, caller, &mut fields);
        if let Some(end) = self.expires_at {
            fields.check(
                end > now,
                "/expires_at",
                Text::fixed("Debe estar en el futuro", "Must be in the future"),
            );
        }
        fields.finish()?;
        Ok(NewKey {
            name,
            permissions,
            expires_at: self.expires_at,
        })
    }
}

impl ApiKeyPatch {
    fn parse(self, caller: &Caller) -> Result<KeyChange, Problem> {
        let mut fields = Fields::new();
        let change = KeyChange {
            name: self.name.map(|text| name(&text, &mut fields)),
            permissions: self
                .permissions
                .map(|list| permissions(list, caller, &mut fields)),
        };
        fields.finish()?;
        Ok(change)
    }
}

fn name(text: &str, fields: &mut Fields) -> String {
    let name = text.trim().to_owned();
    fields.check(
        (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control),
        "/name",
        Text::fixed(
            "Entre 1 y 100 caracteres, en una línea",
            "1 to 100 characters, on one line",
        ),
    );
    name
}

/// Nobody gives away what they do not have.
fn permissions(list: Vec<String>, caller: &Caller, fields: &mut Fields) -> BTreeSet<String> {
    fields.check(
        (1..=100).contains(&list.len()),
        "/permissions",
        Text::fixed("Entre 1 y 100 permisos", "1 to 100 permissions"),
    );
    for (index, permission) in list.iter().enumerate() {
        let refused = if !role::is_known(permission) {
            Text::fixed("No existe este permiso", "There is no such permission")
        } else if !role::is_grantable(permission) {
            Text::fixed(
                "Una clave de API no puede tener este permiso",
                "An API key cannot have this permission",
            )
        } else if !caller.may(permission) {
            Text::fixed(
                "No tienes este permiso, así que no puedes darlo",
                "You do not have this permission, so you cannot give it",
            )
        } else {
            continue;
        };
        fields.wrong(format!("/permissions/{index}"), refused);
    }
    list.into_iter().collect()
}

/// Makes a key for a program. Its secret is in this answer and in no other.
#[utoipa::path(
    post, path = "/v1/api-keys", tag = "api-keys", request_body = NewApiKey,
    responses((status = 201, body = MintedView, description = "The key with its secret"), Refusals),
    security(("session" = ["api-keys:manage"])),
)]
async fn create(
    State(keys): State<Arc<ApiKeys>>,
    caller: Caller,
    seed: Seed,
    Json(body): Json<NewApiKey>,
) -> Result<(StatusCode, axum::Json<MintedView>), Problem> {
    let new = body.parse(&caller, keys.now())?;
    let minted = keys.create(&caller, seed.0, new).await?;
    Ok((StatusCode::CREATED, axum::Json(MintedView::of(&minted))))
}

/// The organisation's keys, the newest first.
#[utoipa::path(
    get, path = "/v1/api-keys", tag = "api-keys", params(PageParams),
    responses((status = 200, body = Listed<ApiKeyView>), Refusals),
    security(("session" = ["api-keys:manage"])),
)]
async fn list(
    State(keys): State<Arc<ApiKeys>>,
    caller: Caller,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<ApiKeyView>>, Problem> {
    let after = params.after(&caller.organisation.to_string())?;
    let (rows, next) = keys.list(&caller, params.limit()?, after).await?;
    let uses = keys.last_uses(&caller).await?;
    let items = rows
        .into_iter()
        .map(|row| {
            let used = uses.get(&row.id).copied();
            ApiKeyView::of(row, used)
        })
        .collect();
    Ok(axum::Json(Listed {
        items,
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// A key, without its secret.
#[utoipa::path(
    get, path = "/v1/api-keys/{id}", tag = "api-keys",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 200, body = ApiKeyView), Refusals),
    security(("session" = ["api-keys:manage"])),
)]
async fn get(
    State(keys): State<Arc<ApiKeys>>,
    caller: Caller,
    Path(id): Path<Id<ApiKey>>,
) -> Result<impl IntoResponse, Problem> {
    let (row, version) = keys.get(&caller, id).await?;
    view(&keys, &caller, row, version).await
}

async fn view(
    keys: &ApiKeys,
    caller: &Caller,
    row: ApiKeyRow,
    version: u64,
) -> Result<impl IntoResponse + use<>, Problem> {
    let used = keys.last_uses(caller).await?.get(&row.id).copied();
    Ok((
        AppendHeaders([etag(version)]),
        axum::Json(ApiKeyView::of(row, used)),
    ))
}

/// Changes a key's name or what it may do. With `If-Match`, only if it still is what was read.
#[utoipa::path(
    patch, path = "/v1/api-keys/{id}", tag = "api-keys", request_body = ApiKeyPatch,
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 200, body = ApiKeyView),
        (status = 412, description = "The key has changed meanwhile"),
        Refusals,
    ),
    security(("session" = ["api-keys:manage"])),
)]
async fn update(
    State(keys): State<Arc<ApiKeys>>,
    caller: Caller,
    Path(id): Path<Id<ApiKey>>,
    expected: IfMatch,
    Json(patch): Json<ApiKeyPatch>,
) -> Result<impl IntoResponse, Problem> {
    let change = patch.parse(&caller)?;
    let (_, version) = keys.get(&caller, id).await?;
    expected.check(version)?;
    let (row, version) = keys.update(&caller, id, version, change).await?;
    view(&keys, &caller, row, version).await
}

/// Revokes a key. It opens nothing any more within five seconds.
#[utoipa::path(
    delete, path = "/v1/api-keys/{id}", tag = "api-keys",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 204, description = "Revoked"), Refusals),
    security(("session" = ["api-keys:manage"])),
)]
async fn revoke(
    State(keys): State<Arc<ApiKeys>>,
    caller: Caller,
    Path(id): Path<Id<ApiKey>>,
) -> Result<StatusCode, Problem> {
    keys.revoke(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a key a new secret. The present one goes on for the grace that is given.
#[utoipa::path(
    post, path = "/v1/api-keys/{id}/reroll", tag = "api-keys", request_body = Reroll,
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 200, body = MintedView, description = "The key with its new secret"), Refusals),
    security(("session" = ["api-keys:manage"])),
)]
async fn reroll(
    State(keys): State<Arc<ApiKeys>>,
    caller: Caller,
    seed: Seed,
    Path(id): Path<Id<ApiKey>>,
    Json(Reroll { grace_seconds }): Json<Reroll>,
) -> Result<axum::Json<MintedView>, Problem> {
    let mut fields = Fields::new();
    fields.check(
        grace_seconds <= LONGEST_GRACE,
        "/grace_seconds",
        Text::fixed("Como máximo 604800 (7 días)", "At most 604800 (7 days)"),
    );
    fields.finish()?;
    let grace = Duration::from_secs(grace_seconds.into());
    let minted = keys.reroll(&caller, id, seed.0, grace).await?;
    Ok(axum::Json(MintedView::of(&minted)))
}

/// What the key that this request is made with is, and what it may do.
#[utoipa::path(
    get, path = "/v1/api-keys/whoami", tag = "api-keys",
    responses((status = 200, body = WhoAmI), Refusals),
    security(("token" = [])),
)]
async fn whoami(
    State(keys): State<Arc<ApiKeys>>,
    caller: Caller,
) -> Result<axum::Json<WhoAmI>, Problem> {
    let id = caller
        .key
        .ok_or_else(|| Problem::new(&problems::API_KEY_REQUIRED))?;
    let (row, _) = keys.get(&caller, id).await?;
    Ok(axum::Json(WhoAmI {
        id,
        name: row.name,
        organisation: row.organisation,
        created_by: row.created_by,
        permissions: caller.permissions.clone(),
        expires_at: row.expires_at,
    }))
}
