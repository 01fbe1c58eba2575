//! Sign-up, sign-in, sessions, keys for programs, and who a caller is.
//!
//! A Cognito user pool keeps the credentials and nothing else: the account is ours, and so is the session.
//!
//! **In:** nothing. **Out:** `auth.user_signed_up`, `auth.user_confirmed`, `auth.session_revoked`,
//! `auth.refresh_reuse`, `auth.password_changed`, `auth.api_key_created`, `auth.api_key_changed`,
//! `auth.api_key_revoked`.
//!
//! | `pk` | `sk` | row |
//! |---|---|---|
//! | `usr_…` | `account` | [`domain::Account`] |
//! | `usr_…` | `session#ses_…` | [`session::SessionRow`] |
//! | `org_…` | `key#key_…` | [`api_key::ApiKeyRow`] |
//! | `org_…` | `keys` | how many of them there are |
//! | `usr_…`, `org_…` | `event#evt_…` | outbox |
//!
//! In the table of the platform, `org_…` `used#key_…` says in which hour a key was used last.
//!
//! Three functions: `auth-api` answers `/v1/auth/*` and `/v1/api-keys*`, `authorizer` says who calls every other route,
//! `auth-triggers` words the pool's mail.
//!
//! **Nobody learns whether an address has an account.** Signing up, confirming, asking for codes,
//! signing in and resetting a password answer alike for known and unknown addresses, and [`pace`] makes
//! them take alike.
//!
//! **A crash anywhere heals.** The pool acts first and our row follows; whichever call comes next for
//! that person (the retry, a confirmation, a sign-in) makes what is missing.

pub mod api;
pub mod api_key;
pub mod api_keys;
pub mod authorizer;
pub mod http_keys;
pub mod jwks;
pub mod pace;
pub mod problems;
pub mod session;
pub mod token;
pub mod triggers;

mod account;
mod confirm;
mod limits;
mod password;
mod refresh;
mod refresh_token;
mod refusals;
mod sign_in;
mod sign_out;
mod sign_up;

#[cfg(test)]
mod world;

use std::sync::Arc;
use std::time::Duration;

use domain::Locale;
use ports::PortError;
use ports::clock::Clock;
use ports::identity::Identity;
use ports::ids::Ids;
use ports::keys::Keys;
use ports::secrets::Secrets;
use ports::table::{Item, Key, Table, Write, WriteError};
use secrecy::SecretString;

pub use limits::Limits;
pub use sign_in::SignedIn;
pub use sign_out::Scope;
pub use sign_up::NewUser;

/// What this capability does, over the ports that it needs.
pub struct Auth {
    /// Where credentials are kept.
    pub identity: Arc<dyn Identity>,
    /// Its own table.
    pub table: Arc<dyn Table>,
    /// Encrypts the pool's tokens inside a session.
    pub keys: Arc<dyn Keys>,
    /// Holds the secret that refresh tokens are signed with.
    pub secrets: Arc<dyn Secrets>,
    /// That secret's id.
    pub refresh_secret_id: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub ids: Arc<dyn Ids>,
}

/// What a session's holder carries: the shape of an OAuth token response (RFC 6749, 5.1).
#[derive(Clone, Debug)]
pub struct Tokens {
    /// For the `Authorization` header.
    pub access: SecretString,
    /// For the next refresh; each works once.
    pub refresh: SecretString,
    /// How long the access token lives.
    pub expires_in: Duration,
}

/// Why a use case did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Wrong password, unknown address, or an address that was never confirmed: which, nobody learns.
    #[error("the credentials are not valid")]
    InvalidCredentials,
    /// A code that is wrong, used, too old, tried too often, or for nobody.
    #[error("the code is not valid")]
    InvalidCode,
    /// The password is shorter or longer than the policy allows.
    #[error("the password does not satisfy the policy")]
    WeakPassword,
    /// The second factor was asked for too long ago, or not by us.
    #[error("the challenge is over")]
    InvalidChallenge,
    /// Not a refresh token of ours, or its session has ended.
    #[error("the refresh token is not valid")]
    InvalidRefresh,
    /// The session is over by age or by not being used.
    #[error("the session has expired")]
    ExpiredSession,
    /// The refresh token had been exchanged and its successor used: the session was ended.
    #[error("the refresh token was used before")]
    ReusedRefresh,
    /// A key was sent where only a session counts.
    #[error("the caller has no session")]
    NoSession,
    /// The organisation has no such key.
    #[error("there is no such key")]
    NoSuchKey,
    /// The key may do what the caller may not, who therefore must not hold its secret.
    #[error("the key may do more than the caller")]
    KeyBeyondCaller,
    /// The organisation has as many keys as it may have.
    #[error("the organisation has too many keys")]
    TooManyKeys,
    /// The key was changed since it was read.
    #[error("the key has another version")]
    VersionMismatch,
    /// Everybody was writing the same row.
    #[error("the row is busy")]
    Busy,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What is written when nothing is known: the pool gives no name back.
#[derive(Clone, Debug)]
pub(crate) struct Fallback {
    pub name: Option<String>,
    pub locale: Locale,
}

/// What to do with a row that was read.
pub(crate) enum Step<T> {
    /// Nothing is to be written.
    Done(T),
    /// This, if nobody was in between.
    Write(Vec<Write>, T),
}

/// Tries before a row counts as busy. Tabs of one browser are the most that compete here.
const TRIES: u32 = 10;

impl Auth {
    /// Reads a row, decides, and writes; again from the start if somebody was in between.
    pub(crate) async fn change<T>(
        &self,
        key: &Key,
        decide: impl Fn(Option<Item>) -> Result<Step<T>, AuthError> + Send + Sync,
    ) -> Result<T, AuthError> {
        for attempt in 0..TRIES {
            let (writes, outcome) = match decide(self.table.get(key).await?)? {
                Step::Done(outcome) => return Ok(outcome),
                Step::Write(writes, outcome) => (writes, outcome),
            };
            match self.table.write(writes).await {
                Ok(()) => return Ok(outcome),
                Err(WriteError::Condition(_) | WriteError::Conflict) => {
                    self.clock.sleep(Duration::from_millis(2 << attempt)).await;
                }
                Err(WriteError::Port(error)) => return Err(error.into()),
            }
        }
        Err(AuthError::Busy)
    }
}
