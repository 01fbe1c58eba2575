//! Who belongs to which organisation as what: published by `users`, read by the authorizer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::OrganisationRole;
use crate::id::{Id, Organisation, User};

/// The row `pk = org_…`, `sk = member#usr_…` of the users table; the table's index turns it round
/// (`gsi1pk = usr_…`, `gsi1sk = org_…`), which lists the organisations of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The organisation.
    pub organisation: Id<Organisation>,
    /// The member.
    pub user: Id<User>,
    /// What the member may do there.
    pub role: OrganisationRole,
    /// Since when.
    pub joined_at: Timestamp,
}

impl Membership {
    /// The sort key of the row of this member.
    pub fn sort(user: Id<User>) -> String {
        format!("member#{user}")
    }
}
