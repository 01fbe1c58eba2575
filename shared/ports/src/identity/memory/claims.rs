//! What an access token of the memory pool says, and how long it lives.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

/// Makes the token of these claims: signed by a test's key, or plain JSON where nobody verifies.
pub type TokenMint = Arc<dyn Fn(&AccessClaims) -> String + Send + Sync>;

/// The claims of an access token, named as Cognito names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccessClaims {
    /// The subject: who.
    pub sub: Uuid,
    /// The pool's address.
    pub iss: String,
    /// The application that asked.
    pub client_id: String,
    /// The same in every token that one sign-in bought; revoking the refresh token kills them by it.
    pub origin_jti: Uuid,
    /// `access`.
    pub token_use: &'static str,
    /// What the token may do in the pool itself.
    pub scope: &'static str,
    /// When the password was given, in epoch seconds.
    pub auth_time: i64,
    /// When the token was made, in epoch seconds.
    pub iat: i64,
    /// From then on it is worth nothing, in epoch seconds.
    pub exp: i64,
    /// This token's own id.
    pub jti: Uuid,
    /// The subject again, because people sign in by an alias.
    pub username: Uuid,
}

/// What a pool and its client are set to.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// `iss` of the tokens.
    pub issuer: String,
    /// `client_id` of the tokens.
    pub client_id: String,
    /// How long an access token lives.
    pub access_valid: Duration,
    /// How long a sign-in lives.
    pub refresh_valid: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            issuer: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Memory".into(),
            client_id: "memory-client".into(),
            access_valid: Duration::from_mins(15),
            refresh_valid: Duration::from_hours(30 * 24),
        }
    }
}
