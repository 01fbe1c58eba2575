//! Roles and what they permit. A permission is a string `resource:action`; whoever has none may nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a member may do inside one organisation; each role includes the ones below it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OrganisationRole {
    /// Reads.
    Viewer,
    /// Creates, changes and deletes what the products make.
    Editor,
    /// Manages members and settings.
    Admin,
    /// Owns the organisation, its money and its end.
    Owner,
}

impl OrganisationRole {
    /// All of them, lowest first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Editor, Self::Admin, Self::Owner];

    /// The name that answers and events carry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// What this role adds to the one below it.
    const fn own(self) -> &'static [&'static str] {
        match self {
            Self::Viewer => &[
                "organisations:read",
                "documents:read",
                "templates:read",
                "content:read",
                "files:read",
                "ai:read",
                "collections:read",
            ],
            Self::Editor => &[
                "documents:create",
                "documents:delete",
                "templates:write",
                "content:create",
                "content:delete",
                "prompts:write",
                "files:create",
                "files:delete",
                "ai:create",
                "collections:write",
            ],
            Self::Admin => &[
                "members:manage",
                "organisations:update",
                "api-keys:manage",
                "budgets:manage",
                "guardrails:manage",
            ],
            Self::Owner => &["organisations:delete", "billing:manage"],
        }
    }
}

/// What a person may do on the platform, whatever the organisation; each includes the ones below it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PlatformRole {
    /// Has an account, and may look at it.
    Guest,
    /// Uses the products.
    User,
    /// Operates the platform.
    Admin,
}

impl PlatformRole {
    /// All of them, lowest first.
    pub const ALL: [Self; 3] = [Self::Guest, Self::User, Self::Admin];

    /// The name that answers carry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    const fn own(self) -> &'static [&'static str] {
        match self {
            Self::Guest => &["profile:read"],
            Self::User => &["profile:update"],
            Self::Admin => &["users:admin", "ops:admin"],
        }
    }
}

/// What no key may have: a program that could make keys would outlive its own.
const OF_PEOPLE: [&str; 1] = ["api-keys:manage"];

/// Whether there is such a permission at all.
pub fn is_known(permission: &str) -> bool {
    let of_platform = PlatformRole::ALL.into_iter().map(PlatformRole::own);
    of_platform
        .chain(of_organisations())
        .any(|own| own.contains(&permission))
}

/// Whether an API key may have it. A key acts in an organisation: what belongs to a person's own account or
/// to the platform is nothing for a program.
pub fn is_grantable(permission: &str) -> bool {
    of_organisations().any(|own| own.contains(&permission)) && !OF_PEOPLE.contains(&permission)
}

fn of_organisations() -> impl Iterator<Item = &'static [&'static str]> {
    OrganisationRole::ALL.into_iter().map(OrganisationRole::own)
}

/// Everything that these roles permit together, inheritance included.
pub fn permissions(
    platform: PlatformRole,
    organisation: Option<OrganisationRole>,
) -> BTreeSet<String> {
    let of_platform = PlatformRole::ALL
        .into_iter()
        .filter(|role| *role <= platform)
        .map(PlatformRole::own);
    // A guest has no part in any organisation's products: the platform role caps the organisation's.
    let member_as = organisation.filter(|_| platform >= PlatformRole::User);
    let of_organisation = OrganisationRole::ALL
        .into_iter()
        .filter(|role| member_as.is_some_and(|mine| *role <= mine))
        .map(OrganisationRole::own);
    of_platform
        .chain(of_organisation)
        .flatten()
        .map(|p| (*p).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_includes_the_ones_below_it() {
        for pair in OrganisationRole::ALL.windows(2) {
            let below = permissions(PlatformRole::User, Some(pair[0]));
            let above = permissions(PlatformRole::User, Some(pair[1]));
            assert!(
                above.is_superset(&below) && above.len() > below.len(),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn a_viewer_reads_and_does_not_create() {
        let viewer = permissions(PlatformRole::User, Some(OrganisationRole::Viewer));

        assert!(viewer.contains("documents:read"));
        assert!(!viewer.contains("documents:create"));
    }

    #[test]
    fn a_guest_gains_nothing_from_a_membership() {
        let guest = permissions(PlatformRole::Guest, Some(OrganisationRole::Owner));

        assert_eq!(guest, BTreeSet::from(["profile:read".to_owned()]));
    }

    #[test]
    fn a_key_may_have_what_an_organisation_gives_and_nothing_of_a_person() {
        for (permission, known, grantable) in [
            ("documents:create", true, true),
            ("organisations:delete", true, true),
            ("api-keys:manage", true, false),
            ("profile:read", true, false),
            ("ops:admin", true, false),
            ("documents:*", false, false),
            ("", false, false),
        ] {
            assert_eq!(
                (is_known(permission), is_grantable(permission)),
                (known, grantable),
                "{permission}"
            );
        }
    }

    #[test]
    fn running_the_platform_opens_no_organisation() {
        assert!(!permissions(PlatformRole::Admin, None).contains("documents:read"));
    }
}
