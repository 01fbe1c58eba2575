//! The account row: made, confirmed and cut off by whichever use case finds that it is due.

use domain::id::{Id, User};
use domain::{Account, Email, Event, PlatformRole};
use jiff::{SignedDuration, Timestamp};
use ports::outbox::{self, Origin};
use ports::table::{If, Item, Key, Write};
use serde::{Deserialize, Serialize};

use crate::{Auth, AuthError, Fallback, Step};

/// The account with what only `auth` has to know of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Person {
    /// What others read.
    #[serde(flatten)]
    pub account: Account,
    /// A new password was on its way to the pool at this moment, and nobody knows yet whether it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_started_at: Option<Timestamp>,
}

/// What has become certain of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// The pool knows the address.
    SignedUp,
    /// The address was proven.
    Confirmed,
    /// The password was proven, and so the address before it. A reset that nobody finished is finished.
    SignedIn,
    /// A new password was set.
    PasswordChanged,
    /// The person signed out everywhere.
    SignedOut,
    /// A new password is about to be set.
    ResetStarted,
    /// It was not.
    ResetRefused,
}

/// The account after a fact, and whether the fact was news.
pub(crate) struct Settled {
    pub person: Person,
    pub is_news: bool,
}

pub(crate) fn key(user: Id<User>) -> Key {
    Key::new(user, Account::SORT)
}

impl Auth {
    /// The account, if there is one.
    pub(crate) async fn person(&self, user: Id<User>) -> Result<Option<Person>, AuthError> {
        let row = self.table.get(&key(user)).await?;
        Ok(row.map(|row| row.parse()).transpose()?)
    }

    /// Writes what follows from a fact, with its events, in one transaction; the row is made if it is
    /// absent. Repeats change nothing.
    pub(crate) async fn settle(
        &self,
        user: Id<User>,
        email: &Email,
        fallback: &Fallback,
        fact: Fact,
    ) -> Result<Settled, AuthError> {
        let now = self.clock.now();
        self.change(&key(user), |row| {
            let before = row.as_ref().map(Item::parse::<Person>).transpose()?;
            let mut person = before
                .clone()
                .unwrap_or_else(|| self.new_person(user, email, fallback, now));
            let mut events = person.learn(fact, now);
            if before.is_none() {
                events.insert(0, Event::UserSignedUp { user });
            }
            let is_news = !events.is_empty();
            if before.is_some_and(|before| before == person) {
                return Ok(Step::Done(Settled {
                    person,
                    is_news: false,
                }));
            }
            let put = match row {
                None => Write::Put(Item::new(key(user), &person), If::Absent),
                Some(row) => Write::Put(row.next(&person), If::VersionIs(row.version)),
            };
            let events = events
                .into_iter()
                .map(|event| self.announce(&person.account, now, event));
            Ok(Step::Write(
                std::iter::once(put).chain(events).collect(),
                Settled { person, is_news },
            ))
        })
        .await
    }

    /// The write that announces an event of this person's.
    pub(crate) fn announce(&self, account: &Account, now: Timestamp, event: Event) -> Write {
        let origin = Origin {
            org: account.organisation,
            trace: runtime::trace::current(),
            causation: None,
        };
        outbox::announce(&*self.ids, now, account.user, origin, event)
    }

    fn new_person(
        &self,
        user: Id<User>,
        email: &Email,
        fallback: &Fallback,
        now: Timestamp,
    ) -> Person {
        let local_part = || {
            email
                .as_str()
                .split('@')
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let account = Account {
            user,
            organisation: self.ids.next(now),
            email: email.clone(),
            name: fallback.name.clone().unwrap_or_else(local_part),
            locale: fallback.locale,
            platform_role: PlatformRole::User,
            created_at: now,
            confirmed_at: None,
            not_before: None,
        };
        Person {
            account,
            reset_started_at: None,
        }
    }
}

/// A reset that takes longer was cut: no function runs for that long.
const RESET_TAKES: SignedDuration = SignedDuration::from_secs(30);

impl Person {
    /// Sessions that began up to this moment are over. A reset that was cut may have set the new password,
    /// and whoever asked for it wants the others out: as long as nobody knows, they are.
    pub fn cut_off(&self, now: Timestamp) -> Option<Timestamp> {
        self.account.not_before.max(self.abandoned_reset(now))
    }

    fn abandoned_reset(&self, now: Timestamp) -> Option<Timestamp> {
        self.reset_started_at
            .filter(|started| now.duration_since(*started) > RESET_TAKES)
    }

    /// Takes in a fact and gives what there is to announce.
    fn learn(&mut self, fact: Fact, now: Timestamp) -> Vec<Event> {
        let user = self.account.user;
        let mut events = Vec::new();
        if matches!(
            fact,
            Fact::Confirmed | Fact::SignedIn | Fact::PasswordChanged
        ) && self.account.confirmed_at.is_none()
        {
            self.account.confirmed_at = Some(now);
            events.push(Event::UserConfirmed { user });
        }
        match fact {
            Fact::SignedUp | Fact::Confirmed => {}
            Fact::SignedIn => {
                if let Some(started) = self.abandoned_reset(now) {
                    self.reset_started_at = None;
                    self.account.not_before = self.account.not_before.max(Some(started));
                    events.push(Event::PasswordChanged { user });
                }
            }
            Fact::PasswordChanged => {
                self.reset_started_at = None;
                self.account.not_before = Some(now);
                events.push(Event::PasswordChanged { user });
            }
            Fact::SignedOut => {
                self.account.not_before = Some(now);
                events.push(Event::SessionRevoked {
                    user,
                    session: None,
                });
            }
            Fact::ResetStarted => self.reset_started_at = self.abandoned_reset(now).or(Some(now)),
            Fact::ResetRefused => self.reset_started_at = None,
        }
        events
    }
}
