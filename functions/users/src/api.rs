//! `/v1/users/me` and `/v1/orgs`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse};
use domain::id::{Id, Organisation, User};
use domain::{Locale, Membership, OrganisationRole, Text};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ports::table::Query as TableQuery;
use runtime::etag::{IfMatch, etag};
use runtime::page::{self, PageParams};
use runtime::{Caller, Fields, Json, Listed, Problem, Query, Refusals, problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::profile::{Change, Profile};
use crate::{Users, UsersError};

/// The routes of this capability.
pub fn routes(users: Arc<Users>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(me, update_me))
        .routes(routes!(my_organisations))
        .with_state(users)
}

/// The person who asks.
#[derive(Debug, Serialize, ToSchema)]
struct Me {
    /// The person's id.
    #[schema(value_type = String, example = "usr_0193a1b2c3d4e5f60718293a4b5c6d7e")]
    id: Id<User>,
    /// The confirmed address.
    email: String,
    /// What the person calls themselves.
    name: String,
    /// The language of messages.
    locale: Locale,
    /// IANA name.
    #[schema(example = "Europe/Madrid")]
    time_zone: String,
    /// On the platform, then in the active organisation.
    roles: Vec<String>,
    /// The active organisation.
    #[schema(value_type = String, example = "org_0193a1b2c3d4e5f60718293a4b5c6d7e")]
    organisation: Id<Organisation>,
    /// When the person signed up.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl Me {
    fn of(profile: Profile, caller: &Caller) -> Self {
        Self {
            id: profile.user,
            email: profile.email.into(),
            name: profile.name,
            locale: profile.locale,
            time_zone: profile.time_zone,
            roles: caller.roles(),
            organisation: caller.organisation,
            created_at: profile.created_at,
        }
    }
}

/// Merge patch (RFC 7396) of a profile.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MePatch {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// `es` or `en`.
    locale: Option<Locale>,
    /// IANA name.
    time_zone: Option<String>,
}

impl MePatch {
    fn parse(self) -> Result<Change, Problem> {
        let mut fields = Fields::new();
        let name = self.name.map(|name| name.trim().to_owned());
        if let Some(name) = &name {
            let plain = !name.chars().any(char::is_control);
            fields.check(
                plain && (1..=100).contains(&name.chars().count()),
                "/name",
                Text::fixed(
                    "De 1 a 100 caracteres, sin caracteres de control",
                    "1 to 100 characters, no control characters",
                ),
            );
        }
        if let Some(zone) = &self.time_zone {
            let known = TimeZone::get(zone).is_ok();
            fields.check(
                known,
                "/time_zone",
                Text::fixed("No es una zona horaria IANA", "Not an IANA time zone"),
            );
        }
        fields.finish()?;
        Ok(Change {
            name,
            locale: self.locale,
            time_zone: self.time_zone,
        })
    }
}

/// Who am I?
#[utoipa::path(get, path = "/v1/users/me", tag = "users",
    responses((status = 200, body = Me), Refusals), security(("token" = ["profile:read"])))]
async fn me(State(users): State<Arc<Users>>, caller: Caller) -> Result<impl IntoResponse, Problem> {
    let (profile, version) = users.me(&caller).await?;
    Ok((
        AppendHeaders([etag(version)]),
        axum::Json(Me::of(profile, &caller)),
    ))
}

/// Changes my profile. With `If-Match`, only if it still is what was read.
#[utoipa::path(patch, path = "/v1/users/me", tag = "users", request_body = MePatch,
    responses((status = 200, body = Me), (status = 412, description = "The profile has changed meanwhile"), Refusals),
    security(("token" = ["profile:update"])))]
async fn update_me(
    State(users): State<Arc<Users>>,
    caller: Caller,
    expected: IfMatch,
    Json(patch): Json<MePatch>,
) -> Result<impl IntoResponse, Problem> {
    let change = patch.parse()?;
    let (_, version) = users.me(&caller).await?;
    expected.check(version)?;
    let (profile, version) = users.update(&caller, version, change).await?;
    Ok((
        AppendHeaders([etag(version)]),
        axum::Json(Me::of(profile, &caller)),
    ))
}

/// An organisation that the caller belongs to.
#[derive(Debug, Serialize, ToSchema)]
struct MyOrganisation {
    /// Its id; sent as `X-Organisation` it becomes the active one.
    #[schema(value_type = String)]
    id: Id<Organisation>,
    /// Its name.
    name: String,
    /// Made by signing up.
    personal: bool,
    /// What the caller is in it.
    role: OrganisationRole,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    joined_at: Timestamp,
}

/// Which organisations do I belong to?
#[utoipa::path(get, path = "/v1/orgs", tag = "users", params(PageParams),
    responses((status = 200, body = Listed<MyOrganisation>), Refusals), security(("token" = ["profile:read"])))]
async fn my_organisations(
    State(users): State<Arc<Users>>,
    caller: Caller,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<MyOrganisation>>, Problem> {
    let partition = caller.user.to_string();
    let query = TableQuery {
        by_index: true,
        limit: params.limit()?,
        after: params.after(&partition)?,
        ..TableQuery::prefix(&partition, "org_")
    };
    let found = users.memberships(&query).await?;
    let mut items = Vec::with_capacity(found.items.len());
    for row in &found.items {
        let membership: Membership = row.parse()?;
        if let Some(organisation) = users.organisation(membership.organisation).await? {
            items.push(MyOrganisation {
                id: organisation.id,
                name: organisation.name,
                personal: organisation.personal,
                role: membership.role,
                joined_at: membership.joined_at,
            });
        }
    }
    Ok(axum::Json(Listed {
        items,
        next_cursor: page::encode(found.next.as_ref()),
    }))
}

impl From<UsersError> for Problem {
    fn from(error: UsersError) -> Self {
        match error {
            UsersError::NoAccount(user) => {
                tracing::warn!(%user, "a caller without an account");
                Self::new(&problem::SESSION_REVOKED)
            }
            UsersError::VersionMismatch => Self::new(&problem::VERSION_MISMATCH),
            UsersError::Port(error) | UsersError::Write(ports::table::WriteError::Port(error)) => {
                error.into()
            }
            UsersError::Write(_) => Self::new(&problem::UNAVAILABLE).retry_after(1),
        }
    }
}
