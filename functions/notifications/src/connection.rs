//! The row of an open connection.

use std::collections::BTreeSet;

use domain::Locale;
use domain::id::{Id, Organisation, User};
use jiff::{SignedDuration, Timestamp};
use ports::channels::Channel;
use ports::table::{Item, Key};
use serde::{Deserialize, Serialize};

use crate::tickets::Pass;

/// Channels that one connection may listen to.
pub const MOST_CHANNELS: usize = 50;

/// How long the row stays if nobody takes it away: the gateway ends a connection after two hours.
const KEPT: SignedDuration = SignedDuration::from_hours(3);

/// Who speaks on a connection, and what they listen to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Who.
    pub user: Id<User>,
    /// The organisation whose channels are theirs.
    pub organisation: Id<Organisation>,
    /// What they may do there.
    pub permissions: BTreeSet<String>,
    /// When their access token expires.
    pub until: Timestamp,
    /// The language of what is wrong.
    pub locale: Locale,
    /// What they listen to.
    pub channels: BTreeSet<Name>,
}

/// A channel's whole name, as a row keeps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name {
    /// Whose it is: the connection's own organisation, but for the platform's operators.
    pub org: Id<Organisation>,
    /// Its name.
    pub name: String,
}

impl From<&Channel> for Name {
    fn from(channel: &Channel) -> Self {
        Self {
            org: channel.org,
            name: channel.name.clone(),
        }
    }
}

impl From<&Name> for Channel {
    fn from(name: &Name) -> Self {
        Self {
            org: name.org,
            name: name.name.clone(),
        }
    }
}

impl Connection {
    /// A connection that was just opened with this pass.
    pub fn of(pass: Pass, locale: Locale) -> Self {
        Self {
            user: pass.user,
            organisation: pass.organisation,
            permissions: pass.permissions,
            until: pass.until,
            locale,
            channels: BTreeSet::new(),
        }
    }

    /// Where the row of a connection stands.
    pub fn key(id: &str) -> Key {
        Key::new(format!("connection#{id}"), "connection")
    }

    /// Its first row.
    pub fn row(&self, id: &str, now: Timestamp) -> Item {
        Item::new(Self::key(id), self).expiring(now.saturating_add(KEPT).unwrap_or(now))
    }

    /// Whether whoever speaks may do this.
    pub fn may(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }
}
