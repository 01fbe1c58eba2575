//! What the user pool's refusals mean here, so that each use case says the same of the same.

use ports::identity::IdentityError;
use ports::{Port, PortError};

use crate::AuthError;

/// The pool sends one person only so many messages. Who asked must not learn that there is such a person.
pub(crate) fn ignore_limit(sent: Result<(), IdentityError>) -> Result<(), AuthError> {
    match sent {
        Ok(())
        | Err(
            IdentityError::TooManyTries
            | IdentityError::NotConfirmed
            | IdentityError::AlreadyConfirmed,
        ) => Ok(()),
        Err(error) => Err(unexpected("send", error)),
    }
}

/// A refusal that the call should not meet counts as a failure of the pool's.
pub(crate) fn unexpected(call: &str, error: IdentityError) -> AuthError {
    match error {
        IdentityError::Port(error) => error.into(),
        refusal => PortError::Refused {
            port: Port::Identity,
            cause: format!("{call}: {refusal}"),
        }
        .into(),
    }
}

/// Every way in which a code does not fit is the same to whoever sent it: wrong, used, too old, tried
/// too often, for nobody.
pub(crate) fn wrong_code(call: &str, error: IdentityError) -> AuthError {
    match error {
        IdentityError::CodeMismatch
        | IdentityError::CodeExpired
        | IdentityError::TooManyTries
        | IdentityError::NotAuthorized
        | IdentityError::NotConfirmed
        | IdentityError::AlreadyConfirmed => AuthError::InvalidCode,
        IdentityError::WeakPassword => AuthError::WeakPassword,
        IdentityError::Taken | IdentityError::Port(_) => unexpected(call, error),
    }
}
