//! Signing up, and what happens when somebody already has.

use domain::id::{Id, User};
use domain::{Email, Locale};
use ports::identity::{Credentials, IdentityError};
use secrecy::SecretString;
use uuid::Uuid;

use crate::account::Fact;
use crate::password;
use crate::refusals::{ignore_limit, unexpected};
use crate::{Auth, AuthError, Fallback};

/// Who wants an account.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// To be proven by the code that is sent there.
    pub email: Email,
    /// 12 to 256 characters.
    pub password: SecretString,
    /// What the person calls themselves.
    pub name: String,
    /// The language of messages.
    pub locale: Locale,
}

/// The bits of a made-up subject that are taken from the real one. The pool writes its region and
/// version into some places of a subject, and an id without them would be known for made up.
const SHAPE: u128 = 0x0000_0000_0f0f_ff00_c000_0000_0000_0000;

impl Auth {
    /// Makes an unconfirmed account; a code goes to its address. The id is the new person's.
    ///
    /// If the address is taken, the caller must not learn it: the answer is the same with an id that
    /// nobody has, and the owner of the address gets a message that tells them what they can do.
    pub async fn sign_up(&self, new: NewUser) -> Result<Id<User>, AuthError> {
        password::check(&new.password)?;
        let NewUser {
            email,
            password,
            name,
            locale,
        } = new;
        let credentials = Credentials {
            email: email.clone(),
            password,
            name: name.clone(),
            locale,
        };
        let fallback = Fallback {
            name: Some(name),
            locale,
        };
        match self.identity.sign_up(&credentials).await {
            Ok(subject) => {
                self.settle(Id::new(subject), &email, &fallback, Fact::SignedUp)
                    .await?;
                Ok(Id::new(subject))
            }
            Err(IdentityError::Taken) => self.tell_owner(&email, &fallback).await,
            Err(IdentityError::WeakPassword) => Err(AuthError::WeakPassword),
            Err(error) => Err(unexpected("sign_up", error)),
        }
    }

    /// Sends what helps the owner of an address: the code again if it was never confirmed, otherwise a
    /// code for a new password, in a message that says that there is an account.
    async fn tell_owner(&self, email: &Email, fallback: &Fallback) -> Result<Id<User>, AuthError> {
        let subject = self
            .identity
            .subject(email)
            .await
            .map_err(|error| unexpected("subject", error))?;
        match self.identity.resend(email).await {
            Err(IdentityError::AlreadyConfirmed) => self.send_reset_code(email).await?,
            sent => {
                ignore_limit(sent)?;
                // An account without our row is what a cut leaves behind: this is its owner, again.
                if let Some(user) = subject.map(Id::new)
                    && self.person(user).await?.is_none()
                {
                    self.settle(user, email, fallback, Fact::SignedUp).await?;
                    return Ok(user);
                }
            }
        }
        let shape = subject.unwrap_or_default().as_u128() & SHAPE;
        let chance = u128::from_be_bytes(self.ids.octets()) & !SHAPE;
        Ok(Id::new(Uuid::from_u128(chance | shape)))
    }
}

#[cfg(test)]
mod tests {
    use crate::AuthError;
    use crate::world::{World, address, new_user};
    use domain::Event;
    use ports::faults::Fault;

    const ANA: &str = "ana@example.com";

    #[tokio::test]
    async fn the_account_and_its_event_are_one_write() {
        let world = World::new();

        let user = world.sign_up(ANA).await;

        let account = world.account(user).unwrap();
        assert_eq!((account.email, account.confirmed_at), (address(ANA), None));
        assert_eq!(world.events(), [Event::UserSignedUp { user }]);
        assert_eq!(world.table.faults().calls(), 2);
    }

    #[tokio::test]
    async fn whoever_signs_up_again_unconfirmed_gets_a_new_code_and_learns_nothing() {
        let world = World::new();
        let user = world.sign_up(ANA).await;
        let first = world.code(ANA);

        let made_up = world.sign_up(ANA).await;

        assert_ne!(made_up, user);
        assert_ne!(world.code(ANA), first);
        assert!(world.account(made_up).is_none());
    }

    #[tokio::test]
    async fn the_owner_of_a_confirmed_address_gets_a_way_back_in() {
        let world = World::new();
        world.member(ANA).await;
        let first = world.code(ANA);

        let (one, two) = (world.sign_up(ANA).await, world.sign_up(ANA).await);

        assert_ne!(one, two);
        assert_ne!(world.code(ANA), first);
        let password = "another good password".into();
        world
            .auth
            .reset_password(
                &address(ANA),
                &world.code(ANA),
                &password,
                domain::Locale::En,
            )
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_weak_password_is_refused_whether_the_address_is_known_or_not() {
        let world = World::new();
        world.member(ANA).await;
        let calls = world.identity.faults().calls();

        for email in [ANA, "bea@example.com"] {
            let weak = crate::NewUser {
                password: "short".into(),
                ..new_user(email)
            };
            assert!(matches!(
                world.auth.sign_up(weak).await,
                Err(AuthError::WeakPassword)
            ));
        }

        assert_eq!(world.identity.faults().calls(), calls);
    }

    /// Every call of every port fails once, before and after its effect; the person tries again and goes on.
    #[tokio::test]
    async fn a_sign_up_that_was_cut_anywhere_heals() {
        for call in 0..3 {
            for fault in [Fault::Before, Fault::After] {
                for at_the_pool in [true, false] {
                    let world = World::new();
                    let faults = if at_the_pool {
                        world.identity.faults()
                    } else {
                        world.table.faults()
                    };
                    faults.fail_call(call, fault);
                    let cut = world.auth.sign_up(new_user(ANA)).await.is_err();

                    if cut {
                        world.sign_up(ANA).await;
                    }
                    confirm_patiently(&world).await;
                    let user = crate::world::origin(&world.sign_in(ANA).await).0;

                    let context = format!("call {call}, {fault:?}, at the pool: {at_the_pool}");
                    assert!(
                        world.account(user).unwrap().confirmed_at.is_some(),
                        "{context}"
                    );
                    let events = world.events();
                    assert_eq!(
                        events,
                        [Event::UserSignedUp { user }, Event::UserConfirmed { user }],
                        "{context}"
                    );
                }
            }
        }
    }

    /// A fault that signing up has not used up meets the confirmation.
    async fn confirm_patiently(world: &World) {
        for _ in 0..3 {
            let code = world.code(ANA);
            if world
                .auth
                .confirm(&address(ANA), &code, domain::Locale::En)
                .await
                .is_ok()
            {
                return;
            }
        }
    }
}
