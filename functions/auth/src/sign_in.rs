//! Signing in with a password, and with a second factor if the account asks for one.

use std::time::Duration;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use domain::{Email, Locale};
use jiff::{SignedDuration, Timestamp};
use ports::identity::{IdentityError, SignIn, Tokens as PoolTokens};
use ports::table::{If, Item, Write, WriteError};
use ports::{Port, PortError};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::account::Fact;
use crate::refresh_token::RefreshToken;
use crate::refusals::unexpected;
use crate::session::{self, SessionRow, TIMEBOX};
use crate::{Auth, AuthError, Fallback, Tokens, token};

/// What signing in gives.
#[derive(Clone, Debug)]
pub enum SignedIn {
    /// In.
    Tokens(Tokens),
    /// A code of the authenticator app is asked for.
    Totp {
        /// To be sent back with the code within five minutes.
        session: SecretString,
    },
}

/// A challenge is good for that long; the pool may end its own part sooner.
const CHALLENGE: SignedDuration = SignedDuration::from_mins(5);

/// What the challenge is encrypted for, so that no other ciphertext can stand in its place.
const CHALLENGE_CONTEXT: &str = "challenge";

/// What a challenge begins with.
const CHALLENGE_PREFIX: &str = "ch_";

/// What the pool needs to go on, carried by the caller and readable only by us.
#[derive(Serialize, Deserialize)]
struct Challenge {
    email: Email,
    session: String,
    until: Timestamp,
}

impl Auth {
    /// Checks a password.
    ///
    /// Wrong password, unknown address, unconfirmed address and an account that was tried too often are
    /// one refusal. The pool says "unconfirmed" whatever the password, so that passing it on would tell
    /// everybody who has begun to sign up.
    pub async fn sign_in(
        &self,
        email: &Email,
        password: &SecretString,
        locale: Locale,
    ) -> Result<SignedIn, AuthError> {
        match self.identity.sign_in(email, password).await {
            Ok(SignIn::Tokens(tokens)) => self
                .open_session(email, tokens, locale)
                .await
                .map(SignedIn::Tokens),
            Ok(SignIn::TotpChallenge { session }) => self.seal(email, &session).await,
            Err(
                IdentityError::NotAuthorized
                | IdentityError::NotConfirmed
                | IdentityError::TooManyTries
                | IdentityError::WeakPassword,
            ) => Err(AuthError::InvalidCredentials),
            Err(error) => Err(unexpected("sign_in", error)),
        }
    }

    /// Whose challenge this is, for counting tries before the code is looked at.
    pub async fn challenged(&self, challenge: &str) -> Result<Email, AuthError> {
        self.open(challenge).await.map(|challenge| challenge.email)
    }

    /// Answers a challenge with the code of the authenticator app.
    pub async fn answer_challenge(
        &self,
        challenge: &str,
        code: &str,
        locale: Locale,
    ) -> Result<Tokens, AuthError> {
        let Challenge { email, session, .. } = self.open(challenge).await?;
        match self
            .identity
            .answer_totp(&email, &session.into(), code)
            .await
        {
            Ok(tokens) => self.open_session(&email, tokens, locale).await,
            Err(
                IdentityError::CodeMismatch
                | IdentityError::CodeExpired
                | IdentityError::TooManyTries,
            ) => Err(AuthError::InvalidCode),
            Err(IdentityError::NotAuthorized) => Err(AuthError::InvalidChallenge),
            Err(error) => Err(unexpected("answer_totp", error)),
        }
    }

    /// Writes the session of a sign-in. The account is made or confirmed first if a cut has left it behind.
    async fn open_session(
        &self,
        email: &Email,
        tokens: PoolTokens,
        locale: Locale,
    ) -> Result<Tokens, AuthError> {
        let (user, session) = token::origin_of(tokens.access.expose_secret())
            .ok_or_else(|| odd("an access token without an origin"))?;
        let refresh = tokens
            .refresh
            .as_ref()
            .ok_or_else(|| odd("a sign-in without a refresh token"))?;
        self.settle(
            user,
            email,
            &Fallback { name: None, locale },
            Fact::SignedIn,
        )
        .await?;
        // Later than every cut-off that the account has by now.
        let now = self.clock.now();
        let row = SessionRow {
            session,
            user,
            created_at: now,
            refreshed_at: now,
            generation: 1,
            exchanged: Vec::new(),
            pool_token: self
                .encrypt_pool_token(&session.to_string(), refresh)
                .await?,
            ended_at: None,
        };
        let item = Item::new(session::key(user, session), &row).expiring(kept_until(now));
        match self.table.write(vec![Write::Put(item, If::Absent)]).await {
            // The pool gives each sign-in an origin of its own: a row that is there is this one.
            Ok(()) | Err(WriteError::Condition(_)) => {
                self.hand_out(&row, tokens.access, tokens.expires_in).await
            }
            Err(WriteError::Conflict) => Err(AuthError::Busy),
            Err(WriteError::Port(error)) => Err(error.into()),
        }
    }

    /// The answer that carries the current refresh token of a session.
    pub(crate) async fn hand_out(
        &self,
        row: &SessionRow,
        access: SecretString,
        expires_in: Duration,
    ) -> Result<Tokens, AuthError> {
        let secret = self.secrets.get(&self.refresh_secret_id).await?;
        let token = RefreshToken {
            user: row.user,
            session: row.session,
            generation: row.generation,
        };
        Ok(Tokens {
            access,
            refresh: token.mint(&secret),
            expires_in,
        })
    }

    pub(crate) async fn encrypt_pool_token(
        &self,
        session: &str,
        token: &SecretString,
    ) -> Result<String, AuthError> {
        let sealed = self
            .keys
            .encrypt(session, token.expose_secret().as_bytes())
            .await?;
        Ok(BASE64.encode(&sealed))
    }

    async fn seal(&self, email: &Email, session: &SecretString) -> Result<SignedIn, AuthError> {
        let until = self
            .clock
            .now()
            .saturating_add(CHALLENGE)
            .unwrap_or(Timestamp::MAX);
        let challenge = Challenge {
            email: email.clone(),
            session: session.expose_secret().to_owned(),
            until,
        };
        let plain =
            serde_json::to_vec(&challenge).map_err(|_| odd("a challenge that is no JSON"))?;
        let sealed = self.keys.encrypt(CHALLENGE_CONTEXT, &plain).await?;
        Ok(SignedIn::Totp {
            session: format!("{CHALLENGE_PREFIX}{}", BASE64URL_NOPAD.encode(&sealed)).into(),
        })
    }

    async fn open(&self, challenge: &str) -> Result<Challenge, AuthError> {
        let sealed = challenge
            .strip_prefix(CHALLENGE_PREFIX)
            .and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok())
            .ok_or(AuthError::InvalidChallenge)?;
        let plain = match self.keys.decrypt(CHALLENGE_CONTEXT, &sealed).await {
            Ok(plain) => plain,
            Err(PortError::Refused { .. }) => return Err(AuthError::InvalidChallenge),
            Err(error) => return Err(error.into()),
        };
        let challenge: Challenge =
            serde_json::from_slice(&plain).map_err(|_| AuthError::InvalidChallenge)?;
        if challenge.until > self.clock.now() {
            Ok(challenge)
        } else {
            Err(AuthError::InvalidChallenge)
        }
    }
}

/// A day longer than the session can live, for whoever has to look back.
fn kept_until(now: Timestamp) -> Timestamp {
    now.saturating_add(TIMEBOX + SignedDuration::from_hours(24))
        .unwrap_or(Timestamp::MAX)
}

/// The pool answered with something that it never answers with.
pub(crate) fn odd(cause: &str) -> AuthError {
    PortError::Refused {
        port: Port::Identity,
        cause: cause.into(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{PASSWORD, World, address, later, new_user, origin};
    use domain::Event;
    use ports::clock::Clock;
    use ports::faults::Fault;
    use ports::identity::totp;

    const ANA: &str = "ana@example.com";

    #[tokio::test]
    async fn nothing_that_could_be_replayed_is_stored() {
        let world = World::new();
        world.member(ANA).await;

        let tokens = world.sign_in(ANA).await;

        let stored = format!("{:?}", world.table.rows());
        assert!(!stored.contains(tokens.access.expose_secret()));
        assert!(!stored.contains(tokens.refresh.expose_secret()));
        assert!(!stored.contains(PASSWORD));
        let (user, session) = origin(&tokens);
        assert_eq!(world.sessions(user)[0].session, session);
    }

    #[tokio::test]
    async fn every_reason_not_to_let_somebody_in_is_one_answer() {
        let world = World::new();
        world.member(ANA).await;
        world.sign_up("unconfirmed@example.com").await;
        let wrong = || SecretString::from("not the right password");

        for email in [ANA, "unconfirmed@example.com", "nobody@example.com"] {
            for _ in 0..8 {
                let refused = world
                    .auth
                    .sign_in(&address(email), &wrong(), Locale::En)
                    .await;
                assert!(
                    matches!(refused, Err(AuthError::InvalidCredentials)),
                    "{email}"
                );
            }
        }
        let unconfirmed = world
            .auth
            .sign_in(
                &address("unconfirmed@example.com"),
                &PASSWORD.into(),
                Locale::En,
            )
            .await;
        assert!(matches!(unconfirmed, Err(AuthError::InvalidCredentials)));
    }

    #[tokio::test]
    async fn a_sign_in_makes_the_account_that_signing_up_and_confirming_left_out() {
        let world = World::new();
        world.table.faults().fail_call(1, Fault::Before);
        assert!(world.auth.sign_up(new_user(ANA)).await.is_err());
        world.table.faults().fail_call(0, Fault::Before);
        assert!(
            world
                .auth
                .confirm(&address(ANA), &world.code(ANA), Locale::Es)
                .await
                .is_err()
        );

        let (user, _) = origin(&world.sign_in(ANA).await);

        let account = world.account(user).unwrap();
        assert_eq!(
            (account.name.as_str(), account.confirmed_at.is_some()),
            ("ana", true)
        );
        assert_eq!(
            world.events(),
            [Event::UserSignedUp { user }, Event::UserConfirmed { user }]
        );
    }

    #[tokio::test]
    async fn a_sign_in_that_was_cut_anywhere_works_the_next_time() {
        for port in 0..4 {
            for call in 0..3 {
                for fault in [Fault::Before, Fault::After, Fault::Throttled] {
                    let world = World::new();
                    let user = world.member(ANA).await;
                    let faults = [
                        world.identity.faults(),
                        world.table.faults(),
                        world.keys.faults(),
                        world.secrets.faults(),
                    ][port];
                    faults.fail_call(call, fault);
                    let mut tries = 0;
                    let tokens = loop {
                        tries += 1;
                        match world
                            .auth
                            .sign_in(&address(ANA), &PASSWORD.into(), Locale::En)
                            .await
                        {
                            Ok(SignedIn::Tokens(tokens)) => break tokens,
                            other => assert!(matches!(other, Err(AuthError::Port(_))) && tries < 3),
                        }
                    };

                    assert_eq!(origin(&tokens).0, user);
                    assert!(
                        world
                            .auth
                            .refresh(tokens.refresh.expose_secret())
                            .await
                            .is_ok()
                            || tries == 1
                    );
                }
            }
        }
    }

    async fn challenged(world: &World) -> String {
        match world
            .auth
            .sign_in(&address(ANA), &PASSWORD.into(), Locale::En)
            .await
            .unwrap()
        {
            SignedIn::Totp { session } => session.expose_secret().to_owned(),
            SignedIn::Tokens(_) => panic!("no second factor was asked for"),
        }
    }

    #[tokio::test]
    async fn a_second_factor_is_asked_for_and_checked() {
        let world = World::new();
        let user = world.member(ANA).await;
        let secret = world.identity.enrol_totp(&address(ANA));

        let challenge = challenged(&world).await;
        let wrong = world
            .auth
            .answer_challenge(&challenge, "000000", Locale::En)
            .await;
        let code = totp::code(&secret, world.clock.now());
        let tokens = world
            .auth
            .answer_challenge(&challenge, &code, Locale::En)
            .await
            .unwrap();

        assert!(matches!(wrong, Err(AuthError::InvalidCode)));
        assert_eq!(origin(&tokens).0, user);
        assert!(
            !challenge.contains(ANA)
                && world.auth.challenged(&challenge).await.unwrap() == address(ANA)
        );
        let again = world
            .auth
            .answer_challenge(&challenge, &code, Locale::En)
            .await;
        assert!(matches!(again, Err(AuthError::InvalidChallenge)));
    }

    #[tokio::test]
    async fn a_challenge_that_is_old_changed_or_another_kind_of_thing_is_refused() {
        let world = World::new();
        world.member(ANA).await;
        let secret = world.identity.enrol_totp(&address(ANA));
        let challenge = challenged(&world).await;
        let mut changed = challenge.clone().into_bytes();
        changed[40] ^= 1;
        later(&world.clock, 301);
        let code = totp::code(&secret, world.clock.now());

        for other in [
            challenge.as_str(),
            &String::from_utf8(changed).unwrap(),
            "",
            "ch_",
            "ch_AAAA",
            "rt_AAAA",
        ] {
            let refused = world.auth.answer_challenge(other, &code, Locale::En).await;
            assert!(
                matches!(refused, Err(AuthError::InvalidChallenge)),
                "{other}"
            );
        }
    }
}
