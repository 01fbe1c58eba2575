//! Who is asking, as the authorizer found out and every function relies on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{ApiKey, Id, Organisation, Session, User};
use crate::role::{self, OrganisationRole, PlatformRole};

/// A person who signed in, the organisation that they act for, and what they may do there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The person.
    pub user: Id<User>,
    /// The active organisation: every key that is read or written begins with it.
    pub organisation: Id<Organisation>,
    /// The sign-in that the token belongs to.
    pub session: Id<Session>,
    /// The key that the request came with, if a program sent it for that person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Id<ApiKey>>,
    /// What the person is on the platform.
    pub platform_role: PlatformRole,
    /// What the person is in the active organisation; nothing if they are no member of it.
    pub organisation_role: Option<OrganisationRole>,
    /// `resource:action` strings, resolved from the roles.
    pub permissions: BTreeSet<String>,
}

impl Caller {
    /// The caller with the permissions that the roles give.
    pub fn new(
        user: Id<User>,
        organisation: Id<Organisation>,
        session: Id<Session>,
        platform_role: PlatformRole,
        organisation_role: Option<OrganisationRole>,
    ) -> Self {
        let permissions = role::permissions(platform_role, organisation_role);
        Self {
            user,
            organisation,
            session,
            key: None,
            platform_role,
            organisation_role,
            permissions,
        }
    }

    /// Whether the caller may do this, for example `documents:create`.
    pub fn may(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }

    /// The names of the caller's roles, the platform's first.
    pub fn roles(&self) -> Vec<String> {
        let organisation = self.organisation_role.map(OrganisationRole::name);
        std::iter::once(self.platform_role.name())
            .chain(organisation)
            .map(str::to_owned)
            .collect()
    }
}
