//! Somebody who signed up: the tries at their password and at their codes.

use domain::Locale;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::later;
use crate::identity::{Credentials, IdentityError};

/// That many wrong codes, and the code is worth nothing.
const CODE_TRIES: u32 = 5;
/// That many wrong passwords are free; each further one doubles the wait, from a second to 15 minutes.
const FREE_TRIES: u32 = 5;
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(15);

pub(super) struct Person {
    pub(super) subject: Uuid,
    pub(super) password: SecretString,
    pub(super) name: String,
    pub(super) locale: Locale,
    pub(super) confirmed: bool,
    pub(super) sign_up_code: Option<Code>,
    pub(super) reset_code: Option<Code>,
    pub(super) latest_code: String,
    pub(super) failures: u32,
    pub(super) failed_at: Timestamp,
    pub(super) totp_secret: Option<Vec<u8>>,
    pub(super) challenge: Option<(String, Timestamp)>,
}

pub(super) struct Code {
    pub(super) text: String,
    pub(super) expires_at: Timestamp,
    pub(super) wrong: u32,
}

impl Person {
    /// Somebody who was sent this code and has not confirmed it yet.
    pub(super) fn new(subject: Uuid, who: &Credentials, code: Code, now: Timestamp) -> Self {
        Self {
            subject,
            password: who.password.clone(),
            name: who.name.clone(),
            locale: who.locale,
            confirmed: false,
            latest_code: code.text.clone(),
            sign_up_code: Some(code),
            reset_code: None,
            failures: 0,
            failed_at: now,
            totp_secret: None,
            challenge: None,
        }
    }

    /// Whether this is the password, unless there were too many tries.
    pub(super) fn try_password(
        &mut self,
        password: &SecretString,
        now: Timestamp,
    ) -> Result<(), IdentityError> {
        if now < self.locked_until() {
            return Err(IdentityError::TooManyTries);
        }
        if self.password.expose_secret() != password.expose_secret() {
            self.failures += 1;
            self.failed_at = now;
            return Err(IdentityError::NotAuthorized);
        }
        self.failures = 0;
        if self.confirmed {
            Ok(())
        } else {
            Err(IdentityError::NotConfirmed)
        }
    }

    fn locked_until(&self) -> Timestamp {
        match self.failures.checked_sub(FREE_TRIES) {
            None => self.failed_at,
            Some(over) => {
                let wait = SignedDuration::from_secs(1_i64 << over.min(10)).min(LONGEST_WAIT);
                later(self.failed_at, wait)
            }
        }
    }
}

/// Uses up a code, or says why it cannot be used.
pub(super) fn redeem(
    slot: &mut Option<Code>,
    text: &str,
    now: Timestamp,
) -> Result<(), IdentityError> {
    let code = slot.as_mut().ok_or(IdentityError::CodeExpired)?;
    if code.wrong >= CODE_TRIES {
        return Err(IdentityError::TooManyTries);
    }
    if code.text != text {
        code.wrong += 1;
        return Err(IdentityError::CodeMismatch);
    }
    if code.expires_at <= now {
        return Err(IdentityError::CodeExpired);
    }
    *slot = None;
    Ok(())
}
