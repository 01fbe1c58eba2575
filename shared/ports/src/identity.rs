//! Credentials and the tokens that they buy (a Cognito user pool with a public client).

pub mod memory;
pub mod totp;

use std::time::Duration;

use async_trait::async_trait;
use domain::{Email, Locale};
use secrecy::SecretString;
use uuid::Uuid;

use crate::PortError;

pub use memory::{AccessClaims, MemoryIdentity, PoolSettings, TokenMint};

/// What a person gives to sign up.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user name.
    pub email: Email,
    /// 12 to 256 characters; the pool's policy decides.
    pub password: SecretString,
    /// Shown in messages.
    pub name: String,
    /// The language of messages.
    pub locale: Locale,
}

/// What signing in with a password gives.
#[derive(Clone, Debug)]
pub enum SignIn {
    /// In.
    Tokens(Tokens),
    /// Not yet: a second factor is asked for.
    TotpChallenge {
        /// To be sent back with the code; valid for a few minutes.
        session: SecretString,
    },
}

/// Tokens of the provider.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// A JWT of at most an hour, for the `Authorization` header.
    pub access: SecretString,
    /// Buys new access tokens; absent when it was used itself and stays valid.
    pub refresh: Option<SecretString>,
    /// How long the access token lives.
    pub expires_in: Duration,
}

/// Why the provider said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Somebody has signed up with this address before; after a lost answer that may have been this caller.
    #[error("the address is taken")]
    Taken,
    /// Wrong password, unknown address, disabled or expired account: which, it does not say.
    #[error("the credentials are not valid")]
    NotAuthorized,
    /// The password is right but the address was never confirmed.
    #[error("the address is not confirmed")]
    NotConfirmed,
    /// The account was confirmed before.
    #[error("the address is confirmed already")]
    AlreadyConfirmed,
    /// The code is wrong.
    #[error("the code is wrong")]
    CodeMismatch,
    /// The code was right once.
    #[error("the code has expired")]
    CodeExpired,
    /// The password does not satisfy the pool's policy.
    #[error("the password is too weak")]
    WeakPassword,
    /// Too many tries; the pool counts them.
    #[error("too many tries")]
    TooManyTries,
    /// The provider failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The provider that keeps credentials.
///
/// Adapters try again when an answer is lost, and the second try meets what the first one did: an account
/// that is taken, an address that is confirmed, a code that has been used.
#[async_trait]
pub trait Identity: Send + Sync {
    /// Makes an unconfirmed account and sends a code. Gives the subject, a UUID that never changes.
    async fn sign_up(&self, who: &Credentials) -> Result<Uuid, IdentityError>;

    /// Confirms the address with the code from the mail. Gives nothing back: see [`Identity::subject`].
    ///
    /// # Errors
    /// [`IdentityError::CodeMismatch`] also for an address that nobody has.
    async fn confirm(&self, email: &Email, code: &str) -> Result<(), IdentityError>;

    /// Sends the confirmation code again; to an address that nobody has, it only seems so.
    async fn resend(&self, email: &Email) -> Result<(), IdentityError>;

    /// The subject behind an address, if somebody has it.
    async fn subject(&self, email: &Email) -> Result<Option<Uuid>, IdentityError>;

    /// Checks a password.
    async fn sign_in(
        &self,
        email: &Email,
        password: &SecretString,
    ) -> Result<SignIn, IdentityError>;

    /// Answers [`SignIn::TotpChallenge`].
    async fn answer_totp(
        &self,
        email: &Email,
        session: &SecretString,
        code: &str,
    ) -> Result<Tokens, IdentityError>;

    /// New access token for a refresh token.
    async fn refresh(&self, refresh: &SecretString) -> Result<Tokens, IdentityError>;

    /// Kills a refresh token and what it bought. One that is worth nothing already is no error (RFC 7009, 2.2).
    async fn revoke(&self, refresh: &SecretString) -> Result<(), IdentityError>;

    /// Kills every refresh token of the account, if there is one.
    async fn sign_out_everywhere(&self, email: &Email) -> Result<(), IdentityError>;

    /// Sends a code with which a new password can be set; to an address that nobody has, it only seems so.
    ///
    /// # Errors
    /// [`IdentityError::NotConfirmed`] if nobody proved yet that the address is theirs.
    async fn forgot_password(&self, email: &Email) -> Result<(), IdentityError>;

    /// Sets a new password with that code. Refresh tokens stay alive: see [`Identity::sign_out_everywhere`].
    ///
    /// # Errors
    /// [`IdentityError::CodeMismatch`] also for an address that nobody has.
    async fn reset_password(
        &self,
        email: &Email,
        code: &str,
        password: &SecretString,
    ) -> Result<(), IdentityError>;
}
