//! Profiles, organisations and their members.
//!
//! **In:** `auth.user_confirmed`. **Out:** `users.created`, `users.updated`.
//!
//! | `pk` | `sk` | row |
//! |---|---|---|
//! | `usr_…` | `profile` | [`Profile`] |
//! | `org_…` | `organisation` | [`Organisation`] |
//! | `org_…` | `member#usr_…` | [`domain::Membership`], turned round by the index |
//! | `usr_…` | `event#evt_…` | outbox |
//!
//! A profile is made from the account that `auth` publishes, by whichever comes first: the event that
//! the address was confirmed, or the person's first request. Both run [`Users::ensure`], so that nobody
//! has to wait for an event and no event is needed twice.

pub mod api;
mod ensure;
mod profile;

use std::sync::Arc;

use domain::id::{self, Id};
use domain::{Account, Envelope, Event};
use jiff::Timestamp;
use ports::PortError;
use ports::clock::Clock;
use ports::ids::Ids;
use ports::table::{Item, Key, Page, Query, Table, WriteError};
use serde::{Deserialize, Serialize};

pub use profile::{Change, Profile};

/// The row of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organisation {
    /// Its id.
    pub id: Id<id::Organisation>,
    /// Shown to its members.
    pub name: String,
    /// Made by signing up; has one owner for ever.
    pub personal: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What this capability does, over the ports that it needs.
pub struct Users {
    /// Its own table.
    pub table: Arc<dyn Table>,
    /// The table of `auth`, for reading [`Account`]s.
    pub accounts: Arc<dyn Table>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn Ids>,
}

/// Why a use case did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// Nobody has signed up with this id.
    #[error("{0} has no account")]
    NoAccount(Id<id::User>),
    /// The profile was changed between reading and writing.
    #[error("the profile has another version by now")]
    VersionMismatch,
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A transaction did not happen.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Users {
    /// Reacts to what happened elsewhere. Repeats change nothing.
    pub async fn on(&self, happened: &Envelope) -> Result<(), UsersError> {
        match happened.event {
            Event::UserConfirmed { user } => self.ensure(user, Some(happened.id)).await.map(drop),
            _ => Ok(()),
        }
    }

    /// A page of the organisations that a person belongs to.
    pub async fn memberships(&self, query: &Query) -> Result<Page, UsersError> {
        Ok(self.table.query(query).await?)
    }

    /// An organisation, for a member who was just found in it.
    pub async fn organisation(
        &self,
        id: Id<id::Organisation>,
    ) -> Result<Option<Organisation>, UsersError> {
        let row = self.table.get(&Key::new(id, "organisation")).await?;
        Ok(row.map(|row| row.parse()).transpose()?)
    }

    async fn account(&self, user: Id<id::User>) -> Result<Account, UsersError> {
        let row = self.accounts.get(&Key::new(user, Account::SORT)).await?;
        Ok(row.ok_or(UsersError::NoAccount(user))?.parse()?)
    }

    async fn profile_row(&self, user: Id<id::User>) -> Result<Option<Item>, UsersError> {
        Ok(self.table.get(&Profile::key(user)).await?)
    }
}
