//! What an access token claims (RFC 7519, 4), read only after its signature was found right.

use domain::Id;
use domain::id::User;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{AccessToken, TokenError};

/// How far another clock may run ahead of ours. It stretches no lifetime: `exp` has no leeway.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// The longest access token that a user pool can be told to issue.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// Whose tokens we take.
#[derive(Clone, Debug)]
pub struct Expected {
    pub issuer: String,
    pub client_id: String,
}

/// The token behind these claims, if it is one of ours and of this moment.
pub fn accept(
    claims: &Map<String, Value>,
    expected: &Expected,
    now: Timestamp,
) -> Result<AccessToken, TokenError> {
    require(claims, "iss", &expected.issuer).ok_or(TokenError::Issuer)?;
    require(claims, "token_use", "access").ok_or(TokenError::TokenUse)?;
    require(claims, "client_id", &expected.client_id).ok_or(TokenError::Client)?;
    if !claims
        .get("aud")
        .is_none_or(|audience| is_only(audience, &expected.client_id))
    {
        return Err(TokenError::Audience);
    }
    let user = claims
        .get("sub")
        .and_then(subject)
        .ok_or(TokenError::Subject)?;
    let session = origin(claims).ok_or(TokenError::Session)?;
    let (issued_at, expires_at) = lifetime(claims, now)?;
    Ok(AccessToken {
        user,
        session,
        issued_at,
        expires_at,
    })
}

/// The claim is this text and no other kind of value: an array that holds it is something else.
/// An expectation that was left empty is met by nothing.
fn require(claims: &Map<String, Value>, name: &str, expected: &str) -> Option<()> {
    (!expected.is_empty() && claims.get(name)? == expected).then_some(())
}

/// A user pool writes no audience into access tokens. One that is there must be us and nobody else: a
/// token that a second service accepts too could be replayed to us by that service.
fn is_only(audience: &Value, client_id: &str) -> bool {
    match audience {
        Value::Array(all) => all.len() == 1 && all[0] == client_id,
        one => one == client_id,
    }
}

/// A subject as the user pool writes it: hyphens and lower case, so that one person has one spelling.
fn subject(value: &Value) -> Option<Id<User>> {
    let text = value.as_str()?;
    let uuid = Uuid::try_parse(text).ok()?;
    (uuid.hyphenated().to_string() == text).then(|| Id::new(uuid))
}

/// `origin_jti` names the sign-in that all tokens of a session come from, and revoking ends it by name.
/// Nothing reads `jti`, but a token whose `jti` is no text (RFC 7519, 4.1.7) was not made by the pool.
fn origin(claims: &Map<String, Value>) -> Option<String> {
    if claims.get("jti").is_some_and(|jti| !jti.is_string()) {
        return None;
    }
    let origin = claims.get("origin_jti")?.as_str()?;
    (!origin.is_empty()).then(|| origin.to_owned())
}

/// From when to when the token is valid, if that is now.
fn lifetime(
    claims: &Map<String, Value>,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), TokenError> {
    let issued_at = moment(claims, "iat")?.ok_or(TokenError::Moment)?;
    let expires_at = moment(claims, "exp")?.ok_or(TokenError::Moment)?;
    let not_before = moment(claims, "nbf")?.unwrap_or(issued_at);
    let signed_in_at = moment(claims, "auth_time")?.unwrap_or(issued_at);
    let life = expires_at.duration_since(issued_at);
    if life <= SignedDuration::ZERO || life > LONGEST_LIFE {
        return Err(TokenError::Lifetime);
    }
    if expires_at <= now {
        return Err(TokenError::Expired);
    }
    if [issued_at, not_before, signed_in_at]
        .iter()
        .any(|begin| begin.duration_since(now) > LEEWAY)
    {
        return Err(TokenError::NotYetValid);
    }
    Ok((issued_at, expires_at))
}

/// A claim that is a `NumericDate` (RFC 7519, 2). Whole seconds only: the pool writes no others, and
/// `1.5`, `1e9` and `"1"` are where parsers begin to disagree.
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, TokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value
        .as_i64()
        .filter(|seconds| *seconds >= 0)
        .ok_or(TokenError::Moment)?;
    Timestamp::from_second(seconds)
        .map(Some)
        .map_err(|_| TokenError::Moment)
}
