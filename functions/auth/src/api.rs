//! `/v1/auth/*`: sign-up, confirmation, sign-in, refresh, sign-out, forgotten passwords. And the API keys of programs.

mod keys;

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use domain::{Email, Locale, Text};
use http::StatusCode;
use runtime::{Caller, Context, Json, Platform, Problem, Query, Refusals, problem};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api_keys::ApiKeys;
use crate::pace::{self, paced};
use crate::{Auth, Limits, NewUser, Scope, SignedIn, Tokens};

/// What the handlers share.
struct Shared {
    auth: Arc<Auth>,
    limits: Limits,
}

/// The routes of this capability.
pub fn routes(auth: Arc<Auth>, platform: &Platform) -> OpenApiRouter {
    let api_keys = ApiKeys::new(&auth, platform.requests.clone());
    let shared = Shared {
        auth,
        limits: Limits::new(platform),
    };
    OpenApiRouter::new()
        .routes(routes!(sign_up))
        .routes(routes!(confirm))
        .routes(routes!(resend))
        .routes(routes!(login))
        .routes(routes!(challenge))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(forgot_password))
        .routes(routes!(reset_password))
        .with_state(Arc::new(shared))
        .merge(keys::routes(api_keys))
}

/// Who wants an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignUp {
    /// The code is sent there.
    #[schema(value_type = String, format = Email, example = "ana@example.com")]
    email: Email,
    /// 12 to 256 characters.
    #[schema(min_length = 12, max_length = 256, format = Password)]
    password: String,
    /// What the person calls themselves: 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100, example = "Ana Pérez")]
    name: String,
    /// The language of messages, as a language tag of Spanish or English; by `Accept-Language` if absent.
    #[schema(example = "es")]
    locale: Option<String>,
}

/// An account that waits for its code.
#[derive(Serialize, ToSchema)]
struct SignedUp {
    /// The person's id.
    #[schema(example = "usr_0b5f3a526b0c4f5e9f3e2a3d1c9b7e11")]
    user_id: String,
    /// `unconfirmed`.
    #[schema(example = "unconfirmed")]
    status: &'static str,
}

/// An address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Address {
    /// Known or not: the answer is the same.
    #[schema(value_type = String, format = Email, example = "ana@example.com")]
    email: Email,
}

/// An address and the code that was sent there.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    /// The address.
    #[schema(value_type = String, format = Email, example = "ana@example.com")]
    email: Email,
    /// Six digits.
    #[schema(example = "123456")]
    code: String,
}

/// How an account stands, or what was done for it.
#[derive(Serialize, ToSchema)]
struct Status {
    /// `confirmed` or `sent`.
    #[schema(example = "confirmed")]
    status: &'static str,
}

/// Credentials.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// The address.
    #[schema(value_type = String, format = Email, example = "ana@example.com")]
    email: Email,
    /// The password.
    #[schema(format = Password)]
    password: String,
}

/// Tokens (RFC 6749, 5.1).
#[derive(Serialize, ToSchema)]
struct TokenAnswer {
    /// For `Authorization: Bearer`.
    access_token: String,
    /// For `POST /v1/auth/token/refresh`; each works once.
    refresh_token: String,
    /// `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds that the access token lives.
    #[schema(example = 900)]
    expires_in: u64,
}

impl From<Tokens> for TokenAnswer {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access.expose_secret().to_owned(),
            refresh_token: tokens.refresh.expose_secret().to_owned(),
            token_type: "Bearer",
            expires_in: tokens.expires_in.as_secs(),
        }
    }
}

/// A second factor is asked for.
#[derive(Serialize, ToSchema)]
struct ChallengeAnswer {
    /// What is asked for.
    challenge: AskedFor,
}

/// What is asked for.
#[derive(Serialize, ToSchema)]
struct AskedFor {
    /// `totp`: a code of the authenticator app.
    #[schema(example = "totp")]
    kind: &'static str,
    /// To be sent back with the code within five minutes.
    session: String,
}

/// Tokens, or what is missing to get them.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum LoginAnswer {
    Tokens(TokenAnswer),
    Challenge(ChallengeAnswer),
}

/// The answer to a challenge.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChallengeReply {
    /// As it was handed out.
    session: String,
    /// Six digits.
    #[schema(example = "123456")]
    code: String,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    /// The newest one.
    refresh_token: String,
}

/// A new password with the code from the mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reset {
    /// The address.
    #[schema(value_type = String, format = Email, example = "ana@example.com")]
    email: Email,
    /// Six digits.
    #[schema(example = "123456")]
    code: String,
    /// 12 to 256 characters.
    #[schema(min_length = 12, max_length = 256, format = Password)]
    password: String,
}

/// Which sessions end.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct LogoutParams {
    /// `local` (the one that asks, the default), `others`, or `global`.
    #[serde(default)]
    #[param(inline)]
    scope: Scope,
}

type Answer<T> = Result<(StatusCode, axum::Json<T>), Problem>;

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is the last word of every handler, whose type says that it may fail"
)]
fn answer<T>(status: StatusCode, body: T) -> Answer<T> {
    Ok((status, axum::Json(body)))
}

/// Signs up; a code is sent to the address.
///
/// The answer is the same for an address that has an account: its owner gets a message instead.
#[utoipa::path(
    post, path = "/v1/auth/signup", tag = "auth", request_body = SignUp,
    responses((status = 201, body = SignedUp, description = "A code was sent"), Refusals),
    security(()),
)]
async fn sign_up(
    State(shared): State<Arc<Shared>>,
    context: Context,
    Json(body): Json<SignUp>,
) -> Answer<SignedUp> {
    let new = body.parse(context.locale)?;
    shared
        .limits
        .ask_for_mail(&new.email, &context.source_ip)
        .await?;
    let user = paced(&*shared.auth.clock, pace::SENDING, shared.auth.sign_up(new)).await?;
    answer(
        StatusCode::CREATED,
        SignedUp {
            user_id: user.to_string(),
            status: "unconfirmed",
        },
    )
}

impl SignUp {
    fn parse(self, asked: Locale) -> Result<NewUser, Problem> {
        let name = self.name.trim().to_owned();
        let invalid = |pointer, es, en| {
            Problem::new(&problem::VALIDATION_FAILED).field(pointer, Text::fixed(es, en))
        };
        if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(invalid(
                "/name",
                "Entre 1 y 100 caracteres, en una línea",
                "1 to 100 characters, on one line",
            ));
        }
        let locale = match self.locale.as_deref() {
            None => asked,
            Some(tag) => Locale::from_tag(tag).ok_or_else(|| {
                invalid(
                    "/locale",
                    "Solo español (es) o inglés (en)",
                    "Spanish (es) or English (en) only",
                )
            })?,
        };
        Ok(NewUser {
            email: self.email,
            password: self.password.into(),
            name,
            locale,
        })
    }
}

/// Confirms an address with the code from the mail.
#[utoipa::path(
    post, path = "/v1/auth/confirm", tag = "auth", request_body = Confirmation,
    responses((status = 200, body = Status, description = "The account can be used"), Refusals),
    security(()),
)]
async fn confirm(
    State(shared): State<Arc<Shared>>,
    context: Context,
    Json(body): Json<Confirmation>,
) -> Answer<Status> {
    shared
        .limits
        .try_secret(&body.email, &context.source_ip)
        .await?;
    let work = shared.auth.confirm(&body.email, &body.code, context.locale);
    paced(&*shared.auth.clock, pace::SENDING, work).await?;
    answer(
        StatusCode::OK,
        Status {
            status: "confirmed",
        },
    )
}

/// Sends the code again, if somebody waits for one.
#[utoipa::path(
    post, path = "/v1/auth/resend", tag = "auth", request_body = Address,
    responses((status = 202, body = Status, description = "Sent, if there is such an account"), Refusals),
    security(()),
)]
async fn resend(
    State(shared): State<Arc<Shared>>,
    context: Context,
    Json(body): Json<Address>,
) -> Answer<Status> {
    shared
        .limits
        .ask_for_mail(&body.email, &context.source_ip)
        .await?;
    paced(
        &*shared.auth.clock,
        pace::SENDING,
        shared.auth.resend(&body.email),
    )
    .await?;
    answer(StatusCode::ACCEPTED, Status { status: "sent" })
}

/// Signs in with a password.
#[utoipa::path(
    post, path = "/v1/auth/login", tag = "auth", request_body = Login,
    responses((status = 200, body = LoginAnswer, description = "Tokens, or a challenge"), Refusals),
    security(()),
)]
async fn login(
    State(shared): State<Arc<Shared>>,
    context: Context,
    Json(body): Json<Login>,
) -> Answer<LoginAnswer> {
    shared
        .limits
        .try_secret(&body.email, &context.source_ip)
        .await?;
    let password = body.password.into();
    let work = shared.auth.sign_in(&body.email, &password, context.locale);
    let signed_in = paced(&*shared.auth.clock, pace::COMPARING, work).await?;
    answer(
        StatusCode::OK,
        match signed_in {
            SignedIn::Tokens(tokens) => LoginAnswer::Tokens(tokens.into()),
            SignedIn::Totp { session } => LoginAnswer::Challenge(ChallengeAnswer {
                challenge: AskedFor {
                    kind: "totp",
                    session: session.expose_secret().to_owned(),
                },
            }),
        },
    )
}

/// Answers the challenge of a login.
#[utoipa::path(
    post, path = "/v1/auth/challenge", tag = "auth", request_body = ChallengeReply,
    responses((status = 200, body = TokenAnswer, description = "Tokens"), Refusals),
    security(()),
)]
async fn challenge(
    State(shared): State<Arc<Shared>>,
    context: Context,
    Json(body): Json<ChallengeReply>,
) -> Answer<TokenAnswer> {
    let email = shared.auth.challenged(&body.session).await?;
    shared.limits.try_secret(&email, &context.source_ip).await?;
    let tokens = shared
        .auth
        .answer_challenge(&body.session, &body.code, context.locale)
        .await?;
    answer(StatusCode::OK, tokens.into())
}

/// Exchanges a refresh token for new tokens.
///
/// A token works once. One that comes back because an answer was lost, or because two tabs sent it in the
/// same moment, gets the current tokens; one that comes back later ends the session (`refresh_reused`).
#[utoipa::path(
    post, path = "/v1/auth/token/refresh", tag = "auth", request_body = Refresh,
    responses((status = 200, body = TokenAnswer, description = "Tokens"), Refusals),
    security(()),
)]
async fn refresh(
    State(shared): State<Arc<Shared>>,
    Json(body): Json<Refresh>,
) -> Answer<TokenAnswer> {
    let tokens = shared.auth.refresh(&body.refresh_token).await?;
    answer(StatusCode::OK, tokens.into())
}

/// Signs out.
#[utoipa::path(
    post, path = "/v1/auth/logout", tag = "auth", params(LogoutParams),
    responses((status = 204, description = "The sessions have ended"), Refusals),
    security(("session" = [])),
)]
async fn logout(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Query(LogoutParams { scope }): Query<LogoutParams>,
) -> Result<impl IntoResponse, Problem> {
    shared.auth.sign_out(&caller, scope).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a code for a new password, if the address has a confirmed account.
#[utoipa::path(
    post, path = "/v1/auth/password/forgot", tag = "auth", request_body = Address,
    responses((status = 202, body = Status, description = "Sent, if there is such an account"), Refusals),
    security(()),
)]
async fn forgot_password(
    State(shared): State<Arc<Shared>>,
    context: Context,
    Json(body): Json<Address>,
) -> Answer<Status> {
    shared
        .limits
        .ask_for_mail(&body.email, &context.source_ip)
        .await?;
    paced(
        &*shared.auth.clock,
        pace::SENDING,
        shared.auth.forgot_password(&body.email),
    )
    .await?;
    answer(StatusCode::ACCEPTED, Status { status: "sent" })
}

/// Sets a new password; every session of the account ends.
#[utoipa::path(
    post, path = "/v1/auth/password/reset", tag = "auth", request_body = Reset,
    responses((status = 204, description = "The password was set and every session has ended"), Refusals),
    security(()),
)]
async fn reset_password(
    State(shared): State<Arc<Shared>>,
    context: Context,
    Json(body): Json<Reset>,
) -> Result<impl IntoResponse, Problem> {
    shared
        .limits
        .try_secret(&body.email, &context.source_ip)
        .await?;
    let password = body.password.into();
    let work = shared
        .auth
        .reset_password(&body.email, &body.code, &password, context.locale);
    paced(&*shared.auth.clock, pace::SENDING, work).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests;
