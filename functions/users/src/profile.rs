//! What a person tells about themselves.

use domain::id::{Id, User};
use domain::{Account, Caller, Email, Event, Locale};
use jiff::Timestamp;
use ports::outbox::{self, Origin};
use ports::table::{If, Key, Write, WriteError};
use runtime::trace;
use serde::{Deserialize, Serialize};

use crate::{Users, UsersError};

/// The row of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Who.
    pub user: Id<User>,
    /// Confidential.
    pub email: Email,
    /// Confidential. 1 to 100 characters.
    pub name: String,
    /// The language of messages and documents.
    pub locale: Locale,
    /// IANA name.
    pub time_zone: String,
    /// When the person signed up.
    pub created_at: Timestamp,
}

/// What changes; the rest stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// A new name.
    pub name: Option<String>,
    /// A new language.
    pub locale: Option<Locale>,
    /// A new time zone.
    pub time_zone: Option<String>,
}

impl Profile {
    pub(crate) fn key(user: Id<User>) -> Key {
        Key::new(user, "profile")
    }

    /// The first profile of a person, from what they said when they signed up.
    pub(crate) fn of(account: &Account) -> Self {
        Self {
            user: account.user,
            email: account.email.clone(),
            name: account.name.clone(),
            locale: account.locale,
            time_zone: "Etc/UTC".to_owned(),
            created_at: account.created_at,
        }
    }

    /// The profile after a change, and the names of the fields that differ.
    fn changed(&self, change: Change) -> (Self, Vec<String>) {
        let next = Self {
            name: change.name.unwrap_or_else(|| self.name.clone()),
            locale: change.locale.unwrap_or(self.locale),
            time_zone: change.time_zone.unwrap_or_else(|| self.time_zone.clone()),
            ..self.clone()
        };
        let differs = [
            ("name", next.name != self.name),
            ("locale", next.locale != self.locale),
            ("time_zone", next.time_zone != self.time_zone),
        ];
        let fields = differs
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(name, _)| name.to_owned());
        (next, fields.collect())
    }
}

impl Users {
    /// The caller's profile and its version.
    pub async fn me(&self, caller: &Caller) -> Result<(Profile, u64), UsersError> {
        let row = self.ensure(caller.user, None).await?;
        Ok((row.parse()?, row.version))
    }

    /// Changes the caller's profile if it still has this version. A change that changes nothing writes nothing.
    pub async fn update(
        &self,
        caller: &Caller,
        version: u64,
        change: Change,
    ) -> Result<(Profile, u64), UsersError> {
        let row = self.ensure(caller.user, None).await?;
        if row.version != version {
            return Err(UsersError::VersionMismatch);
        }
        let (profile, fields) = row.parse::<Profile>()?.changed(change);
        if fields.is_empty() {
            return Ok((profile, version));
        }
        let origin = Origin {
            org: caller.organisation,
            trace: trace::current(),
            causation: None,
        };
        let event = Event::UserUpdated {
            user: caller.user,
            fields,
        };
        let next = row.next(&profile);
        let parts = vec![
            Write::Put(next.clone(), If::VersionIs(version)),
            outbox::announce(&*self.ids, self.clock.now(), caller.user, origin, event),
        ];
        match self.table.write(parts).await {
            Ok(()) => Ok((profile, next.version)),
            Err(WriteError::Condition(_) | WriteError::Conflict) => {
                Err(UsersError::VersionMismatch)
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_only_what_differs() {
        let profile = Profile {
            user: "usr_00000000000000000000000000000001".parse().unwrap(),
            email: "ana@example.com".parse().unwrap(),
            name: "Ana".into(),
            locale: Locale::Es,
            time_zone: "Europe/Madrid".into(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        let change = Change {
            name: Some("Ana".into()),
            locale: Some(Locale::En),
            time_zone: None,
        };

        let (next, fields) = profile.changed(change);

        assert_eq!(fields, ["locale"]);
        assert_eq!(
            next,
            Profile {
                locale: Locale::En,
                ..profile
            }
        );
    }
}
