//! A new password for whoever can read the mail of an address.

use domain::id::{Id, User};
use domain::{Email, Locale};
use ports::identity::IdentityError;
use secrecy::{ExposeSecret, SecretString};

use crate::account::Fact;
use crate::refusals::{ignore_limit, unexpected, wrong_code};
use crate::{Auth, AuthError, Fallback};

/// Length and nothing else (NIST SP 800-63B, 5.1.1.2), in characters; the same as the pool's policy.
/// Checked before the pool is asked, so that the answer cannot depend on whether the address is known.
const LENGTHS: std::ops::RangeInclusive<usize> = 12..=256;

/// The fleet's password policy.
pub(crate) fn check(password: &SecretString) -> Result<(), AuthError> {
    let length = password.expose_secret().chars().count();
    if LENGTHS.contains(&length) {
        Ok(())
    } else {
        Err(AuthError::WeakPassword)
    }
}

impl Auth {
    /// Sends a code for a new password, if somebody has confirmed the address.
    pub async fn forgot_password(&self, email: &Email) -> Result<(), AuthError> {
        self.send_reset_code(email).await
    }

    pub(crate) async fn send_reset_code(&self, email: &Email) -> Result<(), AuthError> {
        ignore_limit(self.identity.forgot_password(email).await)
    }

    /// Sets a new password with the code from the mail, and ends every session: whoever was in with the
    /// old password is out.
    ///
    /// That a reset began is written before the pool is asked, because the pool forgets the code once it
    /// was used: without that mark a cut between the pool and our row would leave a thief's session alive.
    pub async fn reset_password(
        &self,
        email: &Email,
        code: &str,
        password: &SecretString,
        locale: Locale,
    ) -> Result<(), AuthError> {
        check(password)?;
        let subject = self
            .identity
            .subject(email)
            .await
            .map_err(|error| unexpected("subject", error))?;
        let user = subject.map(Id::<User>::new);
        let before = match user {
            Some(user) => self.person(user).await?,
            None => None,
        };
        let fallback = Fallback { name: None, locale };
        let was_cut = before
            .as_ref()
            .is_some_and(|person| person.reset_started_at.is_some());
        if let (Some(user), Some(_)) = (user, &before) {
            self.settle(user, email, &fallback, Fact::ResetStarted)
                .await?;
        }
        let refusal = match self.identity.reset_password(email, code, password).await {
            Ok(()) => None,
            Err(IdentityError::Port(error)) => return Err(error.into()),
            Err(refusal) => Some(refusal),
        };
        let Some(user) = user else {
            return Err(AuthError::InvalidCode);
        };
        let was_set = match &refusal {
            None => true,
            Some(IdentityError::CodeExpired) => self.is_password(email, password).await,
            Some(_) => false,
        };
        match refusal {
            Some(refusal) if !was_set => {
                if before.is_some() && !was_cut {
                    self.settle(user, email, &fallback, Fact::ResetRefused)
                        .await?;
                }
                Err(wrong_code("reset_password", refusal))
            }
            // Also if an earlier request did all of it and only its answer was lost: from here that cannot be
            // told from a first try of this one, and a thief's session left alive is worse than a second event.
            _ => self.password_was_set(user, email, &fallback).await,
        }
    }

    async fn password_was_set(
        &self,
        user: Id<User>,
        email: &Email,
        fallback: &Fallback,
    ) -> Result<(), AuthError> {
        let settled = self
            .settle(user, email, fallback, Fact::PasswordChanged)
            .await?;
        self.tidy_up(&settled.person).await;
        Ok(())
    }

    /// Whether the password is this one already. A code that has been used may have been used by the same
    /// request, whose first try landed and whose answer was lost. Counted like a sign-in by whoever
    /// counts tries; the session that asking opens ends with all others.
    async fn is_password(&self, email: &Email, password: &SecretString) -> bool {
        self.identity.sign_in(email, password).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{World, address, later};
    use domain::Event;
    use ports::faults::Fault;

    const ANA: &str = "ana@example.com";
    const NEW: &str = "a new and better password";

    async fn reset(world: &World, email: &str, code: &str) -> Result<(), AuthError> {
        world
            .auth
            .reset_password(&address(email), code, &NEW.into(), Locale::En)
            .await
    }

    async fn signs_in(world: &World, password: &str) -> bool {
        world
            .auth
            .sign_in(&address(ANA), &password.into(), Locale::En)
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn a_new_password_ends_every_session() {
        let world = World::new();
        let user = world.member(ANA).await;
        let stolen = world.sign_in(ANA).await;
        later(&world.clock, 60);

        world.auth.forgot_password(&address(ANA)).await.unwrap();
        reset(&world, ANA, &world.code(ANA)).await.unwrap();

        assert!(matches!(
            world.refresh(&stolen).await,
            Err(AuthError::InvalidRefresh)
        ));
        assert_eq!(world.alive(user), 0);
        assert!(world.events().contains(&Event::PasswordChanged { user }));
        world.clock.advance(std::time::Duration::from_millis(1));
        assert!(signs_in(&world, NEW).await);
        assert_eq!(world.alive(user), 1);
    }

    #[tokio::test]
    async fn a_wrong_code_is_one_answer_and_ends_no_session() {
        let world = World::new();
        let user = world.member(ANA).await;
        world.sign_up("unconfirmed@example.com").await;
        world.sign_in(ANA).await;

        for email in [ANA, "unconfirmed@example.com", "nobody@example.com"] {
            world.auth.forgot_password(&address(email)).await.unwrap();
            for _ in 0..7 {
                assert!(
                    matches!(
                        reset(&world, email, "wrong").await,
                        Err(AuthError::InvalidCode)
                    ),
                    "{email}"
                );
            }
        }

        later(&world.clock, 3600);
        assert_eq!(world.alive(user), 1);
        assert!(
            !world
                .events()
                .iter()
                .any(|event| matches!(event, Event::PasswordChanged { .. }))
        );
    }

    /// Whatever call fails: the person tries again with the same code, and in the end signs in with the
    /// password that counts. If that is the new one, the sessions from before are over.
    #[tokio::test]
    async fn a_reset_that_was_cut_anywhere_leaves_no_old_session_behind() {
        for at_the_pool in [true, false] {
            for call in 0..6 {
                for fault in [Fault::Before, Fault::After] {
                    let world = World::new();
                    let user = world.member(ANA).await;
                    let stolen = world.sign_in(ANA).await;
                    later(&world.clock, 60);
                    world.auth.forgot_password(&address(ANA)).await.unwrap();
                    let code = world.code(ANA);
                    let faults = if at_the_pool {
                        world.identity.faults()
                    } else {
                        world.table.faults()
                    };
                    faults.fail_call(call, fault);

                    let first = reset(&world, ANA, &code).await;
                    later(&world.clock, 1);
                    let second = if first.is_err() {
                        reset(&world, ANA, &code).await
                    } else {
                        first
                    };

                    let context =
                        format!("at the pool: {at_the_pool}, call {call}, {fault:?}: {second:?}");
                    assert!(second.is_ok(), "{context}");
                    assert!(
                        signs_in(&world, NEW).await || signs_in(&world, NEW).await,
                        "{context}"
                    );
                    assert!(world.refresh(&stolen).await.is_err(), "{context}");
                    // Twice if the first try did everything and only its answer was lost.
                    let did_all = !at_the_pool && call == 4 && fault == Fault::After;
                    let changed = Event::PasswordChanged { user };
                    let events = world.events();
                    let announced = events.iter().filter(|event| **event == changed);
                    assert_eq!(announced.count(), 1 + usize::from(did_all), "{context}");
                }
            }
        }
    }

    /// The port's adapter tries again by itself: its second try meets the code that its first one used.
    #[tokio::test]
    async fn a_reset_whose_answer_was_lost_below_the_port_ends_the_sessions_too() {
        let world = World::new();
        let user = world.member(ANA).await;
        let stolen = world.sign_in(ANA).await;
        later(&world.clock, 60);
        world.auth.forgot_password(&address(ANA)).await.unwrap();
        let code = world.code(ANA);
        let pool: &dyn ports::identity::Identity = &*world.identity;
        pool.reset_password(&address(ANA), &code, &NEW.into())
            .await
            .unwrap();

        reset(&world, ANA, &code).await.unwrap();

        assert_eq!(world.alive(user), 0);
        assert!(world.refresh(&stolen).await.is_err());
    }

    #[tokio::test]
    async fn nobody_stays_in_if_a_cut_reset_is_never_tried_again() {
        let world = World::new();
        world.member(ANA).await;
        let stolen = world.sign_in(ANA).await;
        later(&world.clock, 60);
        world.auth.forgot_password(&address(ANA)).await.unwrap();
        world.table.faults().fail_call(4, Fault::Before);

        assert!(reset(&world, ANA, &world.code(ANA)).await.is_err());
        later(&world.clock, 31);

        assert!(matches!(
            world.refresh(&stolen).await,
            Err(AuthError::InvalidRefresh)
        ));
    }

    #[test]
    fn the_policy_is_a_length_in_characters() {
        for (password, passes) in [
            ("ñandú-ñandú", false),
            ("ñandú-ñandúñ", true),
            (&"x".repeat(256), true),
            (&"x".repeat(257), false),
        ] {
            assert_eq!(check(&password.into()).is_ok(), passes, "{password}");
        }
    }
}
