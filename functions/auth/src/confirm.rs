//! Proving an address with the code that was sent there.

use domain::id::Id;
use domain::{Email, Locale};
use ports::identity::IdentityError;

use crate::account::Fact;
use crate::refusals::{ignore_limit, unexpected, wrong_code};
use crate::{Auth, AuthError, Fallback};

impl Auth {
    /// Confirms an address. `locale` is used if signing up was cut before our row was written.
    ///
    /// An address that was confirmed before answers like a wrong code, so that it cannot be told from an
    /// unknown one; unless the pool confirmed it and we were cut before our row said so.
    pub async fn confirm(
        &self,
        email: &Email,
        code: &str,
        locale: Locale,
    ) -> Result<(), AuthError> {
        let is_repeat = match self.identity.confirm(email, code).await {
            Ok(()) => false,
            Err(IdentityError::AlreadyConfirmed) => true,
            Err(error) => return Err(wrong_code("confirm", error)),
        };
        let subject = self
            .identity
            .subject(email)
            .await
            .map_err(|error| unexpected("subject", error))?;
        let user = Id::new(subject.ok_or(AuthError::InvalidCode)?);
        let fallback = Fallback { name: None, locale };
        let settled = self.settle(user, email, &fallback, Fact::Confirmed).await?;
        if is_repeat && !settled.is_news {
            Err(AuthError::InvalidCode)
        } else {
            Ok(())
        }
    }

    /// Sends the code again, if there is somebody who waits for one.
    pub async fn resend(&self, email: &Email) -> Result<(), AuthError> {
        ignore_limit(self.identity.resend(email).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{World, address};
    use domain::Event;
    use ports::faults::Fault;

    const ANA: &str = "ana@example.com";

    #[tokio::test]
    async fn the_code_from_the_mail_confirms_once() {
        let world = World::new();
        let user = world.sign_up(ANA).await;

        let code = world.code(ANA);
        world
            .auth
            .confirm(&address(ANA), &code, Locale::En)
            .await
            .unwrap();

        assert!(world.account(user).unwrap().confirmed_at.is_some());
        assert_eq!(
            world.events(),
            [Event::UserSignedUp { user }, Event::UserConfirmed { user }]
        );
        let again = world.auth.confirm(&address(ANA), &code, Locale::En).await;
        assert!(matches!(again, Err(AuthError::InvalidCode)));
    }

    #[tokio::test]
    async fn wrong_used_and_unknown_are_one_answer() {
        let world = World::new();
        world.sign_up(ANA).await;
        world.member("bea@example.com").await;

        for email in [ANA, "bea@example.com", "nobody@example.com"] {
            for _ in 0..7 {
                let refused = world
                    .auth
                    .confirm(&address(email), "wrong", Locale::En)
                    .await;
                assert!(matches!(refused, Err(AuthError::InvalidCode)), "{email}");
            }
            world.auth.resend(&address(email)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_confirmation_that_was_cut_anywhere_heals_when_it_is_sent_again() {
        for call in 0..2 {
            for fault in [Fault::Before, Fault::After] {
                for at_the_pool in [true, false] {
                    let world = World::new();
                    let user = world.sign_up(ANA).await;
                    let code = world.code(ANA);
                    let faults = if at_the_pool {
                        world.identity.faults()
                    } else {
                        world.table.faults()
                    };
                    faults.fail_call(call, fault);
                    let context = format!("call {call}, {fault:?}, at the pool: {at_the_pool}");

                    let cut = world.auth.confirm(&address(ANA), &code, Locale::En).await;
                    assert!(matches!(cut, Err(AuthError::Port(_))), "{context}");
                    let again = world.auth.confirm(&address(ANA), &code, Locale::En).await;

                    // Only after a write that landed although its answer was lost is the repeat a used code.
                    let landed = !at_the_pool && call == 1 && fault == Fault::After;
                    assert_eq!(again.is_ok(), !landed, "{context}");
                    assert!(
                        world.account(user).unwrap().confirmed_at.is_some(),
                        "{context}"
                    );
                    let expected = [Event::UserSignedUp { user }, Event::UserConfirmed { user }];
                    assert_eq!(world.events(), expected, "{context}");
                }
            }
        }
    }
}
