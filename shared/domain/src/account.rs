//! What `auth` knows of a person and publishes: read by `users`, written by `auth` alone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Id, Organisation, User};
use crate::{Email, Locale, PlatformRole};

/// The row `pk = usr_…`, `sk = account` of the auth table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Equal to the identity provider's subject.
    pub user: Id<User>,
    /// The personal organisation that signing up made; its owner is this person by definition.
    pub organisation: Id<Organisation>,
    /// Confidential.
    pub email: Email,
    /// Confidential. What the person calls themselves.
    pub name: String,
    /// The language that messages are written in.
    pub locale: Locale,
    /// What the person is on the platform.
    pub platform_role: PlatformRole,
    /// When the person signed up.
    pub created_at: Timestamp,
    /// When the e-mail address was confirmed.
    pub confirmed_at: Option<Timestamp>,
    /// Tokens issued before this moment are dead: set by a sign-out everywhere and a password reset.
    pub not_before: Option<Timestamp>,
}

impl Account {
    /// The sort key of the row.
    pub const SORT: &'static str = "account";
}
