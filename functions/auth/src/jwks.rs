//! The user pool's keys as a process keeps them: fetched when first needed, fetched again when a token
//! names a key that is not among them, and kept while their source does not answer.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use ports::clock::Clock;

use crate::token::{AccessToken, Jwks, TokenError, Verifier};

/// Where the key set is published.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The document, of at most [`crate::token::MAX_KEY_SET`] octets.
    ///
    /// # Errors
    /// What went wrong, for the log.
    async fn fetch(&self) -> Result<Vec<u8>, String>;
}

/// No two fetches are closer together. Whoever invents key names can make us ask that often and no more.
const PENALTY: SignedDuration = SignedDuration::from_secs(10);

/// Older keys are fetched again, so that a key that was withdrawn goes.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// Still older ones are not used even if their source is down: somebody may have withdrawn one for a reason.
const USABLE: SignedDuration = SignedDuration::from_hours(24);

/// There are no keys to verify with. It says nothing about the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the user pool's keys are not available")]
pub struct NoKeys;

/// The cached key set.
pub struct KeySet {
    source: Box<dyn KeySource>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    keys: Option<(Arc<Jwks>, Timestamp)>,
    asked_at: Option<Timestamp>,
}

impl KeySet {
    /// The set at this source; nothing is fetched yet.
    pub fn new(source: impl KeySource + 'static, clock: Arc<dyn Clock>) -> Self {
        Self {
            source: Box::new(source),
            clock,
            state: Mutex::default(),
        }
    }

    /// Verifies a token, with fresher keys if it names one that is not known.
    ///
    /// # Errors
    /// The outer one if there are no keys, the inner one if the token is refused.
    pub async fn verify(
        &self,
        verifier: &Verifier,
        token: &str,
    ) -> Result<Result<AccessToken, TokenError>, NoKeys> {
        let now = self.clock.now();
        let keys = self.current(now).await?;
        let verdict = verifier.verify(token, &keys, now);
        if verdict != Err(TokenError::UnknownKey) || !self.fetch(now).await {
            return Ok(verdict);
        }
        Ok(verifier.verify(token, &*self.known(now).ok_or(NoKeys)?, now))
    }

    async fn current(&self, now: Timestamp) -> Result<Arc<Jwks>, NoKeys> {
        if !self.lock().is_fresh(now) {
            self.fetch(now).await;
        }
        self.known(now).ok_or(NoKeys)
    }

    fn known(&self, now: Timestamp) -> Option<Arc<Jwks>> {
        let state = self.lock();
        let (keys, fetched_at) = state.keys.as_ref()?;
        (now.duration_since(*fetched_at) < USABLE).then(|| keys.clone())
    }

    /// Fetches the set, unless that was tried a moment ago. Says whether there is a newer one.
    async fn fetch(&self, now: Timestamp) -> bool {
        if !self.lock().may_ask(now) {
            return false;
        }
        let fetched = self.source.fetch().await;
        match fetched.and_then(|document| Jwks::parse(&document).map_err(|error| error.to_string()))
        {
            Ok(keys) => {
                self.lock().keys = Some((Arc::new(keys), now));
                true
            }
            Err(cause) => {
                tracing::warn!(cause, "the user pool's keys could not be fetched");
                false
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.keys
            .as_ref()
            .is_some_and(|(_, fetched_at)| now.duration_since(*fetched_at) < FRESH)
    }

    /// Whether it is time to ask; if so, now counts as asked.
    fn may_ask(&mut self, now: Timestamp) -> bool {
        let due = self
            .asked_at
            .is_none_or(|asked_at| now.duration_since(asked_at) >= PENALTY);
        if due {
            self.asked_at = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::forge::{self, Forge, claims, header, with};
    use ports::clock::ManualClock;
    use serde_json::{Value, json};
    use std::time::Duration;

    /// A source that says what it is told to say, and counts.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<(Option<Value>, usize)>>);

    impl Told {
        fn say(&self, keys: impl Into<Option<Value>>) {
            self.0.lock().unwrap().0 = keys.into().map(|keys: Value| json!({ "keys": [keys] }));
        }

        fn asked(&self) -> usize {
            self.0.lock().unwrap().1
        }
    }

    #[async_trait]
    impl KeySource for Told {
        async fn fetch(&self) -> Result<Vec<u8>, String> {
            let mut told = self.0.lock().unwrap();
            told.1 += 1;
            told.0
                .as_ref()
                .map(|document| document.to_string().into_bytes())
                .ok_or_else(|| "down on purpose".into())
        }
    }

    fn set() -> (Told, Arc<ManualClock>, KeySet) {
        let (told, clock) = (Told::default(), ManualClock::at(forge::now()));
        let set = KeySet::new(told.clone(), clock.clone());
        (told, clock, set)
    }

    fn token_of(forge: &Forge, kid: &str, clock: &ManualClock) -> String {
        let now = clock.now().as_second();
        let claims = with(
            with(with(claims(), "iat", json!(now)), "auth_time", json!(now)),
            "exp",
            json!(now + 900),
        );
        forge.token(&with(header(), "kid", json!(kid)), &claims)
    }

    #[tokio::test]
    async fn keys_are_fetched_once_and_kept() {
        let (told, clock, set) = set();
        told.say(Forge::pool().jwk());

        for _ in 0..5 {
            let token = token_of(&Forge::pool(), forge::KID, &clock);
            assert!(
                set.verify(&forge::verifier(), &token)
                    .await
                    .unwrap()
                    .is_ok()
            );
            clock.advance(Duration::from_mins(1));
        }

        assert_eq!(told.asked(), 1);
    }

    #[tokio::test]
    async fn a_new_key_is_found_when_a_token_names_it() {
        let (told, clock, set) = set();
        told.say(Forge::pool().jwk());
        let old = token_of(&Forge::pool(), forge::KID, &clock);
        assert!(set.verify(&forge::verifier(), &old).await.unwrap().is_ok());

        told.say(with(Forge::stranger().jwk(), "kid", json!("new")));
        clock.advance(Duration::from_secs(11));
        let new = token_of(&Forge::stranger(), "new", &clock);

        assert!(set.verify(&forge::verifier(), &new).await.unwrap().is_ok());
        assert_eq!(
            set.verify(&forge::verifier(), &old).await,
            Ok(Err(TokenError::UnknownKey))
        );
    }

    #[tokio::test]
    async fn invented_key_names_do_not_make_us_ask_all_the_time() {
        let (told, clock, set) = set();
        told.say(Forge::pool().jwk());

        for n in 0..1000 {
            let token = token_of(&Forge::stranger(), &format!("invented-{n}"), &clock);
            assert_eq!(
                set.verify(&forge::verifier(), &token).await,
                Ok(Err(TokenError::UnknownKey))
            );
            clock.advance(Duration::from_millis(100));
        }

        assert!(told.asked() <= 11, "{}", told.asked());
    }

    #[tokio::test]
    async fn old_keys_are_used_while_their_source_is_down_but_not_for_ever() {
        let (told, clock, set) = set();
        told.say(Forge::pool().jwk());
        let verify = async || {
            let token = token_of(&Forge::pool(), forge::KID, &clock);
            set.verify(&forge::verifier(), &token)
                .await
                .map(|verdict| verdict.is_ok())
        };
        assert_eq!(verify().await, Ok(true));

        told.say(None);
        clock.advance(Duration::from_hours(23));
        assert_eq!(verify().await, Ok(true));
        assert_eq!(told.asked(), 2);

        clock.advance(Duration::from_hours(1));
        assert_eq!(verify().await, Err(NoKeys));
    }

    #[tokio::test]
    async fn a_document_without_a_usable_key_does_not_replace_the_keys() {
        let (told, clock, set) = set();
        told.say(Forge::pool().jwk());
        let token = token_of(&Forge::pool(), forge::KID, &clock);
        assert!(
            set.verify(&forge::verifier(), &token)
                .await
                .unwrap()
                .is_ok()
        );

        told.say(json!({"kty": "oct", "kid": "x", "k": "AAAA"}));
        clock.advance(Duration::from_secs(20));
        let invented = token_of(&Forge::stranger(), "x", &clock);

        assert_eq!(
            set.verify(&forge::verifier(), &invented).await,
            Ok(Err(TokenError::UnknownKey))
        );
        assert!(
            set.verify(&forge::verifier(), &token)
                .await
                .unwrap()
                .is_ok()
        );
    }
}
