//! Who is asking, as the authorizer found out and every function relies on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{ApiKey, Id, Organisation, Session, User};
use crate::role::{self, OrganisationRole, PlatformRole};

/// A person who signed in or a program that acts for one, the organisation that they act for, and what they
/// may do there. Either [`Self::session`] or [`Self::key`] says what the request came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The person.
    pub user: Id<User>,
    /// The active organisation: every key that is read or written begins with it.
    pub organisation: Id<Organisation>,
    /// The sign-in that the token belongs to; none if the request came with a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Id<Session>>,
    /// The key that the request came with, if a program sent it; the person is whoever made the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Id<ApiKey>>,
    /// What the person is on the platform.
    pub platform_role: PlatformRole,
    /// What the person is in the active organisation; nothing if they are no member of it.
    pub organisation_role: Option<OrganisationRole>,
    /// `resource:action` strings, resolved from the roles; of a key, no more than it was given.
    pub permissions: BTreeSet<String>,
}

impl Caller {
    /// A person who signed in, with the permissions that the roles give.
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
            session: Some(session),
            key: None,
            platform_role,
            organisation_role,
            permissions,
        }
    }

    /// A program with a key: it may do what it was given, as far as whoever made the key may still do it,
    /// and as far as any key may.
    pub fn with_key(
        user: Id<User>,
        organisation: Id<Organisation>,
        key: Id<ApiKey>,
        given: &BTreeSet<String>,
        platform_role: PlatformRole,
        organisation_role: OrganisationRole,
    ) -> Self {
        let mut permissions = role::permissions(platform_role, Some(organisation_role));
        permissions
            .retain(|permission| given.contains(permission) && role::is_grantable(permission));
        Self {
            user,
            organisation,
            session: None,
            key: Some(key),
            platform_role,
            organisation_role: Some(organisation_role),
            permissions,
        }
    }

    /// The id of what acts: the key if there is one, else the person. Quotas and repeated requests are
    /// counted by it, so that a program does not use up what its maker has.
    pub fn actor(&self) -> String {
        self.key
            .map_or_else(|| self.user.to_string(), |key| key.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn with_key(given: &[&str], role: OrganisationRole) -> Caller {
        let given = given.iter().map(|&permission| permission.to_owned());
        Caller::with_key(
            Id::new(Uuid::from_u128(1)),
            Id::new(Uuid::from_u128(2)),
            Id::new(Uuid::from_u128(3)),
            &given.collect(),
            PlatformRole::Admin,
            role,
        )
    }

    #[test]
    fn a_key_may_do_what_it_was_given_and_its_maker_may_still_do() {
        let given = ["documents:read", "documents:create"];

        let editor = with_key(&given, OrganisationRole::Editor);
        let demoted = with_key(&given, OrganisationRole::Viewer);

        assert_eq!(editor.permissions, given.map(str::to_owned).into());
        assert_eq!(demoted.permissions, ["documents:read".to_owned()].into());
    }

    #[test]
    fn no_key_manages_keys_or_acts_as_a_person_whatever_its_row_says() {
        let given = ["api-keys:manage", "profile:update", "users:admin"];

        assert!(
            with_key(&given, OrganisationRole::Owner)
                .permissions
                .is_empty()
        );
    }

    #[test]
    fn a_caller_on_the_wire_says_what_it_came_with() {
        let key = with_key(&[], OrganisationRole::Owner);
        let person = Caller::new(
            key.user,
            key.organisation,
            Id::new(Uuid::from_u128(4)),
            PlatformRole::User,
            None,
        );

        for (caller, has, lacks) in [(&key, "key", "session"), (&person, "session", "key")] {
            let wire = serde_json::to_value(caller).unwrap();

            assert!(wire[has].is_string() && wire.get(lacks).is_none(), "{wire}");
            assert_eq!(serde_json::from_value::<Caller>(wire).unwrap(), *caller);
        }
        assert_eq!(key.actor(), key.key.unwrap().to_string());
        assert_eq!(person.actor(), person.user.to_string());
    }
}
