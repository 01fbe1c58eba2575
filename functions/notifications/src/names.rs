//! Channels as a client names them, and who may listen.

use domain::Id;
use domain::id::{Batch, Content, Document, Draft, Job, Organisation};
use ports::channels::Channel;

use crate::connection::Connection;

/// Why a name gives no channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoChannel {
    /// It is not the name of one.
    Unknown,
    /// Whoever asks may not listen to it.
    Denied,
}

/// The channel of this name, for whoever speaks on this connection. Whether anything of that id exists
/// is nobody's concern here: the channel begins with the connection's own organisation.
pub fn channel(name: &str, connection: &Connection) -> Result<Channel, NoChannel> {
    let org = connection.organisation;
    let (channel, allowed) = match name.split_once(':').unwrap_or((name, "")) {
        ("inbox", "") if name == "inbox" => (Channel::inbox(org, connection.user), true),
        ("job", id) => {
            let job = id.parse::<Id<Job>>().map(|id| Channel::job(org, id));
            let channel = job
                .or_else(|_| id.parse::<Id<Batch>>().map(|id| Channel::batch(org, id)))
                .or_else(|_| id.parse::<Id<Draft>>().map(|id| Channel::draft(org, id)));
            let readers = [
                "documents:read",
                "content:read",
                "ai:read",
                "collections:read",
            ];
            let allowed = readers.iter().any(|may| connection.may(may));
            (channel.map_err(|_| NoChannel::Unknown)?, allowed)
        }
        ("doc", id) => {
            let id: Id<Document> = id.parse().map_err(|_| NoChannel::Unknown)?;
            (Channel::document(org, id), connection.may("documents:read"))
        }
        ("content", id) => {
            let id: Id<Content> = id.parse().map_err(|_| NoChannel::Unknown)?;
            (Channel::content(org, id), connection.may("content:read"))
        }
        ("metrics", id) => {
            let of: Id<Organisation> = id.parse().map_err(|_| NoChannel::Unknown)?;
            let own = of == org && connection.may("organisations:read");
            (Channel::metrics(of), own || connection.may("ops:admin"))
        }
        _ => return Err(NoChannel::Unknown),
    };
    if allowed {
        Ok(channel)
    } else {
        Err(NoChannel::Denied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Locale, OrganisationRole, PlatformRole, role};
    use std::collections::BTreeSet;
    use uuid::Uuid;

    const ID: &str = "00000000000000000000000000000009";

    fn connection(platform: PlatformRole, member: Option<OrganisationRole>) -> Connection {
        Connection {
            user: Id::new(Uuid::from_u128(1)),
            organisation: Id::new(Uuid::from_u128(2)),
            permissions: role::permissions(platform, member),
            until: "2026-01-02T03:04:05Z".parse().unwrap(),
            locale: Locale::En,
            channels: BTreeSet::new(),
        }
    }

    #[test]
    fn every_kind_of_channel_has_its_name_and_is_ones_own() {
        let viewer = connection(PlatformRole::User, Some(OrganisationRole::Viewer));
        let own = viewer.organisation;
        for name in [
            "inbox".to_owned(),
            format!("job:job_{ID}"),
            format!("job:bat_{ID}"),
            format!("job:drf_{ID}"),
            format!("doc:doc_{ID}"),
            format!("content:con_{ID}"),
            format!("metrics:{own}"),
        ] {
            let channel = channel(&name, &viewer).unwrap();

            assert_eq!((channel.told_as(), channel.org), (name.as_str(), own));
        }
    }

    #[test]
    fn what_is_no_name_is_unknown() {
        let viewer = connection(PlatformRole::User, Some(OrganisationRole::Viewer));
        for name in [
            "",
            "inbox:",
            "inbox:usr_00000000000000000000000000000009",
            "content:",
            "content:doc_00000000000000000000000000000009",
            "doc:../content:con_00000000000000000000000000000009",
            "weather:madrid",
        ] {
            assert_eq!(channel(name, &viewer), Err(NoChannel::Unknown), "{name}");
        }
    }

    #[test]
    fn a_guest_has_an_inbox_and_nothing_else() {
        let guest = connection(PlatformRole::Guest, Some(OrganisationRole::Owner));
        assert!(channel("inbox", &guest).is_ok());
        for name in [
            format!("job:job_{ID}"),
            format!("doc:doc_{ID}"),
            format!("content:con_{ID}"),
            format!("metrics:{}", guest.organisation),
        ] {
            assert_eq!(channel(&name, &guest), Err(NoChannel::Denied), "{name}");
        }
    }

    #[test]
    fn another_organisations_figures_are_for_the_operators() {
        let other = format!("metrics:org_{ID}");
        let owner = connection(PlatformRole::User, Some(OrganisationRole::Owner));
        let operator = connection(PlatformRole::Admin, None);

        assert_eq!(channel(&other, &owner), Err(NoChannel::Denied));
        assert_eq!(
            channel(&other, &operator).unwrap().org.to_string(),
            format!("org_{ID}")
        );
    }
}
