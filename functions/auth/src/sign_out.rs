//! Signing out: here, everywhere else, or everywhere.

use domain::Caller;
use domain::id::{Id, User};
use ports::table::Query;
use serde::Deserialize;

use crate::account::{Fact, Person};
use crate::refresh::replace;
use crate::refusals::unexpected;
use crate::session::{self, SessionRow};
use crate::{Auth, AuthError, Fallback, Step};

/// Which sessions end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The one that asks.
    #[default]
    Local,
    /// All but the one that asks.
    Others,
    /// All.
    Global,
}

impl Auth {
    /// Ends sessions of the caller's. Their access tokens are dead as soon as the authorizer looks again,
    /// within five seconds.
    pub async fn sign_out(&self, caller: &Caller, scope: Scope) -> Result<(), AuthError> {
        // A key is no session: it can neither end itself this way nor put its maker out.
        let session = caller.session.ok_or(AuthError::NoSession)?;
        // Without an account there is nobody to sign out.
        let Some(person) = self.person(caller.user).await? else {
            return Ok(());
        };
        match scope {
            Scope::Global => self.sign_out_everywhere(&person).await,
            Scope::Local => {
                self.sign_out_some(&person, |row| row.session == session)
                    .await
            }
            Scope::Others => {
                self.sign_out_some(&person, |row| row.session != session)
                    .await
            }
        }
    }

    async fn sign_out_some(
        &self,
        person: &Person,
        chosen: impl Fn(&SessionRow) -> bool,
    ) -> Result<(), AuthError> {
        for row in self
            .sessions(person.account.user)
            .await?
            .into_iter()
            .filter(chosen)
        {
            if let Some(ended) = self.end_session(&row, &person.account).await? {
                self.revoke_at_pool(&ended).await;
            }
        }
        Ok(())
    }

    /// One write ends them all: whatever began before it is over, for the authorizer and for a refresh.
    async fn sign_out_everywhere(&self, person: &Person) -> Result<(), AuthError> {
        let account = &person.account;
        let fallback = Fallback {
            name: Some(account.name.clone()),
            locale: account.locale,
        };
        let settled = self
            .settle(account.user, &account.email, &fallback, Fact::SignedOut)
            .await?;
        self.tidy_up(&settled.person).await;
        Ok(())
    }

    /// Marks as ended what a cut-off has ended already, and tells the pool. Best effort, since nothing
    /// depends on it.
    pub(crate) async fn tidy_up(&self, person: &Person) {
        let user = person.account.user;
        if let Err(error) = self.end_rows(person).await {
            tracing::warn!(%error, %user, "sessions that are over were not marked as ended");
        }
        let signed_out = self
            .identity
            .sign_out_everywhere(&person.account.email)
            .await;
        if let Err(error) = signed_out.map_err(|error| unexpected("sign_out_everywhere", error)) {
            tracing::warn!(%error, %user, "the user pool did not end its sessions");
        }
    }

    async fn end_rows(&self, person: &Person) -> Result<(), AuthError> {
        for row in self.sessions(person.account.user).await? {
            if row.ended_at.is_none() && row.is_cut_off(person.account.not_before) {
                self.change(&session::key(row.user, row.session), |item| {
                    let Some(item) = item else {
                        return Ok(Step::Done(()));
                    };
                    let known: SessionRow = item.parse()?;
                    if known.ended_at.is_some() {
                        return Ok(Step::Done(()));
                    }
                    Ok(Step::Write(
                        vec![replace(&item, &known.end(self.clock.now()))],
                        (),
                    ))
                })
                .await?;
            }
        }
        Ok(())
    }

    /// Every session of a person that the table still has.
    pub(crate) async fn sessions(&self, user: Id<User>) -> Result<Vec<SessionRow>, AuthError> {
        let mut sessions = Vec::new();
        let mut query = Query::prefix(user, session::SORT_PREFIX);
        loop {
            let page = self.table.query(&query).await?;
            for item in &page.items {
                sessions.push(item.parse()?);
            }
            match page.next {
                None => return Ok(sessions),
                next => query.after = next,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{World, caller, later, origin};
    use domain::Event;
    use ports::faults::Fault;

    const ANA: &str = "ana@example.com";

    async fn three_sessions(world: &World) -> (Id<User>, [crate::Tokens; 3]) {
        let user = world.member(ANA).await;
        let tokens = [
            world.sign_in(ANA).await,
            world.sign_in(ANA).await,
            world.sign_in(ANA).await,
        ];
        later(&world.clock, 60);
        (user, tokens)
    }

    #[tokio::test]
    async fn each_scope_ends_what_it_names() {
        for (scope, survivors) in [
            (Scope::Local, vec![false, true, true]),
            (Scope::Others, vec![true, false, false]),
            (Scope::Global, vec![false; 3]),
        ] {
            let world = World::new();
            let (user, tokens) = three_sessions(&world).await;

            world
                .auth
                .sign_out(&caller(&tokens[0]), scope)
                .await
                .unwrap();

            let mut alive = Vec::new();
            for tokens in &tokens {
                alive.push(world.refresh(tokens).await.is_ok());
            }
            assert_eq!(alive, survivors, "{scope:?}");
            assert_eq!(
                world.alive(user),
                survivors.iter().filter(|alive| **alive).count()
            );
            let revoked = world
                .events()
                .iter()
                .filter(|event| matches!(event, Event::SessionRevoked { .. }))
                .count();
            assert_eq!(
                revoked,
                if scope == Scope::Others { 2 } else { 1 },
                "{scope:?}"
            );
        }
    }

    #[tokio::test]
    async fn signing_in_after_a_sign_out_everywhere_works_at_once() {
        let world = World::new();
        let (user, tokens) = three_sessions(&world).await;
        world
            .auth
            .sign_out(&caller(&tokens[0]), Scope::Global)
            .await
            .unwrap();
        world.clock.advance(std::time::Duration::from_millis(1));

        let fresh = world.sign_in(ANA).await;

        assert_eq!(world.alive(user), 1);
        assert!(world.refresh(&fresh).await.is_ok());
    }

    #[tokio::test]
    async fn signing_out_twice_announces_it_once() {
        let world = World::new();
        let (user, tokens) = three_sessions(&world).await;
        let session = origin(&tokens[0]).1;

        for _ in 0..2 {
            world
                .auth
                .sign_out(&caller(&tokens[0]), Scope::Local)
                .await
                .unwrap();
        }

        let revoked = Event::SessionRevoked {
            user,
            session: Some(session),
        };
        assert_eq!(
            world
                .events()
                .iter()
                .filter(|event| **event == revoked)
                .count(),
            1
        );
    }

    /// The row is what counts: once it is written, no failure brings a session back, and until it is
    /// written the caller hears that it was not.
    #[tokio::test]
    async fn a_sign_out_that_says_so_has_ended_the_sessions_whatever_failed() {
        for scope in [Scope::Local, Scope::Others, Scope::Global] {
            for port in 0..3 {
                for call in 0..8 {
                    for fault in [Fault::Before, Fault::After] {
                        let world = World::new();
                        let (user, tokens) = three_sessions(&world).await;
                        let faults = [
                            world.identity.faults(),
                            world.table.faults(),
                            world.keys.faults(),
                        ][port];
                        faults.fail_call(call, fault);

                        let said = world
                            .auth
                            .sign_out(&caller(&tokens[0]), scope)
                            .await
                            .is_ok();

                        let expected = match scope {
                            Scope::Local => 2,
                            Scope::Others => 1,
                            Scope::Global => 0,
                        };
                        assert!(
                            !said || world.alive(user) == expected,
                            "{scope:?}, port {port}, call {call}, {fault:?}"
                        );
                        world.auth.sign_out(&caller(&tokens[0]), scope).await.ok();
                        assert!(world.alive(user) <= expected || call > 3);
                    }
                }
            }
        }
    }
}
