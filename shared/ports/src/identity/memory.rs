//! A user pool in memory, with the rules of the one in the template.

mod claims;
mod person;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::{Email, Locale};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::{Credentials, Identity, IdentityError, SignIn, Tokens, totp};
use crate::clock::Clock;
use crate::faults::{Ending, Faults};
use crate::ids::Ids;
use crate::{Port, PortError};

pub use claims::{AccessClaims, PoolSettings, TokenMint};
use person::{Code, Person, redeem};

/// How long a sign-up code is good for.
const SIGN_UP_CODE: SignedDuration = SignedDuration::from_hours(24);
/// How long a code for a new password is good for.
const RESET_CODE: SignedDuration = SignedDuration::from_hours(1);
/// How long a second factor may take (`AuthSessionValidity` in the template).
const CHALLENGE: SignedDuration = SignedDuration::from_mins(3);
/// `PasswordPolicy` in the template: a length and nothing else (NIST SP 800-63B, 5.1.1.2).
const PASSWORD_LENGTHS: std::ops::RangeInclusive<usize> = 12..=256;

/// A user pool in memory.
pub struct MemoryIdentity {
    faults: Faults,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    mint: TokenMint,
    settings: PoolSettings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    people: BTreeMap<Email, Person>,
    grants: BTreeMap<String, Grant>,
}

/// What a refresh token stands for.
struct Grant {
    email: Email,
    origin: Uuid,
    signed_in_at: Timestamp,
    expires_at: Timestamp,
}

impl MemoryIdentity {
    /// An empty pool with the settings of the template.
    pub fn shared(clock: Arc<dyn Clock>, ids: Arc<dyn Ids>, mint: TokenMint) -> Arc<Self> {
        Self::with_settings(clock, ids, mint, PoolSettings::default())
    }

    /// An empty pool with other settings.
    pub fn with_settings(
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        mint: TokenMint,
        settings: PoolSettings,
    ) -> Arc<Self> {
        Arc::new(Self {
            faults: Faults::of(Port::Identity),
            clock,
            ids,
            mint,
            settings,
            state: Mutex::default(),
        })
    }

    /// The failures that it is told to commit; each call of the port counts as one.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What the pool is set to, for whoever has to verify its tokens.
    pub fn settings(&self) -> &PoolSettings {
        &self.settings
    }

    /// The code in the newest message to this address.
    pub fn code_for(&self, email: &Email) -> Option<String> {
        self.lock()
            .people
            .get(email)
            .map(|person| person.latest_code.clone())
            .filter(|code| !code.is_empty())
    }

    /// What the person said of themselves when they signed up.
    pub fn profile(&self, email: &Email) -> Option<(String, Locale)> {
        self.lock()
            .people
            .get(email)
            .map(|person| (person.name.clone(), person.locale))
    }

    /// Asks this person for a second factor from now on, and gives the secret for [`totp::code`].
    ///
    /// # Panics
    /// If nobody signed up with this address.
    pub fn enrol_totp(&self, email: &Email) -> Vec<u8> {
        let secret = self.ids.octets::<20>().to_vec();
        let mut state = self.lock();
        let person = state.people.get_mut(email).expect("somebody who signed up");
        person.totp_secret = Some(secret.clone());
        secret
    }

    async fn enter(&self) -> Result<Ending, PortError> {
        tokio::task::yield_now().await;
        self.faults.enter()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_code(&self, valid: SignedDuration) -> Code {
        let number = u32::from_be_bytes(self.ids.octets()) % 1_000_000;
        Code {
            text: format!("{number:06}"),
            expires_at: later(self.clock.now(), valid),
            wrong: 0,
        }
    }

    /// Version 4, as the real subjects are.
    fn random_uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.ids.octets()).into_uuid()
    }

    fn new_secret(&self) -> String {
        self.random_uuid().simple().to_string()
    }

    /// A new grant and its first tokens.
    fn admit(&self, state: &mut State, email: &Email) -> Tokens {
        let now = self.clock.now();
        let refresh = self.new_secret();
        let grant = Grant {
            email: email.clone(),
            origin: self.ids.uuid(now),
            signed_in_at: now,
            expires_at: later(now, signed(self.settings.refresh_valid)),
        };
        let subject = state.people[email].subject;
        let tokens = Tokens {
            refresh: Some(refresh.clone().into()),
            ..self.tokens(subject, &grant)
        };
        state.grants.insert(refresh, grant);
        tokens
    }

    fn tokens(&self, subject: Uuid, grant: &Grant) -> Tokens {
        let now = self.clock.now();
        let claims = AccessClaims {
            sub: subject,
            iss: self.settings.issuer.clone(),
            client_id: self.settings.client_id.clone(),
            origin_jti: grant.origin,
            token_use: "access",
            scope: "aws.cognito.signin.user.admin",
            auth_time: grant.signed_in_at.as_second(),
            iat: now.as_second(),
            exp: later(now, signed(self.settings.access_valid)).as_second(),
            jti: self.ids.uuid(now),
            username: subject,
        };
        Tokens {
            access: (self.mint)(&claims).into(),
            refresh: None,
            expires_in: self.settings.access_valid,
        }
    }
}

#[async_trait]
impl Identity for MemoryIdentity {
    async fn sign_up(&self, who: &Credentials) -> Result<Uuid, IdentityError> {
        let ending = self.enter().await?;
        check_password(&who.password)?;
        let mut state = self.lock();
        if state.people.contains_key(&who.email) {
            return Err(IdentityError::Taken);
        }
        let subject = self.random_uuid();
        let code = self.new_code(SIGN_UP_CODE);
        let person = Person::new(subject, who, code, self.clock.now());
        state.people.insert(who.email.clone(), person);
        drop(state);
        Ok(ending.answer(subject)?)
    }

    async fn confirm(&self, email: &Email, code: &str) -> Result<(), IdentityError> {
        let ending = self.enter().await?;
        let mut state = self.lock();
        let person = state
            .people
            .get_mut(email)
            .ok_or(IdentityError::CodeMismatch)?;
        if person.confirmed {
            return Err(IdentityError::AlreadyConfirmed);
        }
        redeem(&mut person.sign_up_code, code, self.clock.now())?;
        person.confirmed = true;
        drop(state);
        Ok(ending.answer(())?)
    }

    async fn resend(&self, email: &Email) -> Result<(), IdentityError> {
        let ending = self.enter().await?;
        if let Some(person) = self.lock().people.get_mut(email) {
            if person.confirmed {
                return Err(IdentityError::AlreadyConfirmed);
            }
            let code = self.new_code(SIGN_UP_CODE);
            person.latest_code.clone_from(&code.text);
            person.sign_up_code = Some(code);
        }
        Ok(ending.answer(())?)
    }

    async fn subject(&self, email: &Email) -> Result<Option<Uuid>, IdentityError> {
        let ending = self.enter().await?;
        let subject = self.lock().people.get(email).map(|person| person.subject);
        Ok(ending.answer(subject)?)
    }

    async fn sign_in(
        &self,
        email: &Email,
        password: &SecretString,
    ) -> Result<SignIn, IdentityError> {
        let ending = self.enter().await?;
        let now = self.clock.now();
        let mut state = self.lock();
        let person = state
            .people
            .get_mut(email)
            .ok_or(IdentityError::NotAuthorized)?;
        person.try_password(password, now)?;
        let answer = if person.totp_secret.is_some() {
            let session = self.new_secret();
            person.challenge = Some((session.clone(), later(now, CHALLENGE)));
            SignIn::TotpChallenge {
                session: session.into(),
            }
        } else {
            SignIn::Tokens(self.admit(&mut state, email))
        };
        drop(state);
        Ok(ending.answer(answer)?)
    }

    async fn answer_totp(
        &self,
        email: &Email,
        session: &SecretString,
        code: &str,
    ) -> Result<Tokens, IdentityError> {
        let ending = self.enter().await?;
        let now = self.clock.now();
        let mut state = self.lock();
        let person = state
            .people
            .get_mut(email)
            .ok_or(IdentityError::NotAuthorized)?;
        let asked =
            |(asked, until): &(String, Timestamp)| asked == session.expose_secret() && *until > now;
        if !person.challenge.as_ref().is_some_and(asked) {
            return Err(IdentityError::NotAuthorized);
        }
        let secret = person
            .totp_secret
            .as_deref()
            .ok_or(IdentityError::NotAuthorized)?;
        if !totp::is_valid(secret, now, code) {
            return Err(IdentityError::CodeMismatch);
        }
        person.challenge = None;
        let tokens = self.admit(&mut state, email);
        drop(state);
        Ok(ending.answer(tokens)?)
    }

    async fn refresh(&self, refresh: &SecretString) -> Result<Tokens, IdentityError> {
        let ending = self.enter().await?;
        let state = self.lock();
        let grant = state
            .grants
            .get(refresh.expose_secret())
            .ok_or(IdentityError::NotAuthorized)?;
        if grant.expires_at <= self.clock.now() {
            return Err(IdentityError::NotAuthorized);
        }
        let tokens = self.tokens(state.people[&grant.email].subject, grant);
        drop(state);
        Ok(ending.answer(tokens)?)
    }

    async fn revoke(&self, refresh: &SecretString) -> Result<(), IdentityError> {
        let ending = self.enter().await?;
        self.lock().grants.remove(refresh.expose_secret());
        Ok(ending.answer(())?)
    }

    async fn sign_out_everywhere(&self, email: &Email) -> Result<(), IdentityError> {
        let ending = self.enter().await?;
        self.lock().grants.retain(|_, grant| grant.email != *email);
        Ok(ending.answer(())?)
    }

    async fn forgot_password(&self, email: &Email) -> Result<(), IdentityError> {
        let ending = self.enter().await?;
        if let Some(person) = self.lock().people.get_mut(email) {
            if !person.confirmed {
                return Err(IdentityError::NotConfirmed);
            }
            let code = self.new_code(RESET_CODE);
            person.latest_code.clone_from(&code.text);
            person.reset_code = Some(code);
        }
        Ok(ending.answer(())?)
    }

    async fn reset_password(
        &self,
        email: &Email,
        code: &str,
        password: &SecretString,
    ) -> Result<(), IdentityError> {
        let ending = self.enter().await?;
        check_password(password)?;
        let mut state = self.lock();
        let person = state
            .people
            .get_mut(email)
            .ok_or(IdentityError::CodeMismatch)?;
        redeem(&mut person.reset_code, code, self.clock.now())?;
        person.password = password.clone();
        person.failures = 0;
        drop(state);
        Ok(ending.answer(())?)
    }
}

fn check_password(password: &SecretString) -> Result<(), IdentityError> {
    let length = password.expose_secret().chars().count();
    if PASSWORD_LENGTHS.contains(&length) {
        Ok(())
    } else {
        Err(IdentityError::WeakPassword)
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
