//! Makes a profile and a personal organisation once, however often it is asked.

use domain::id::{Happening, Id, User};
use domain::{Account, Event, Membership, OrganisationRole};
use ports::outbox::{self, Origin};
use ports::table::{If, Item, Key, Write, WriteError};
use runtime::trace;

use crate::profile::Profile;
use crate::{Organisation, Users, UsersError};

impl Users {
    /// The person's profile row, made from their account if there is none yet.
    pub async fn ensure(
        &self,
        user: Id<User>,
        cause: Option<Id<Happening>>,
    ) -> Result<Item, UsersError> {
        if let Some(row) = self.profile_row(user).await? {
            return Ok(row);
        }
        let account = self.account(user).await?;
        match self.table.write(self.birth(&account, cause)).await {
            // Made by us, or by the event and the first request at the same moment.
            Ok(()) | Err(WriteError::Condition(_) | WriteError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        self.profile_row(user)
            .await?
            .ok_or(UsersError::Write(WriteError::Conflict))
    }

    fn birth(&self, account: &Account, cause: Option<Id<Happening>>) -> Vec<Write> {
        let (user, organisation, now) = (account.user, account.organisation, self.clock.now());
        let profile = Profile::of(account);
        let home = Organisation {
            id: organisation,
            name: account.name.clone(),
            personal: true,
            created_at: now,
        };
        let owner = Membership {
            organisation,
            user,
            role: OrganisationRole::Owner,
            joined_at: now,
        };
        let origin = Origin {
            org: organisation,
            trace: trace::current(),
            causation: cause,
        };
        vec![
            Write::Put(Item::new(Profile::key(user), &profile), If::Absent),
            Write::Put(
                Item::new(Key::new(organisation, "organisation"), &home),
                If::Absent,
            ),
            Write::Put(
                Item::new(Key::new(organisation, Membership::sort(user)), &owner)
                    .indexed(user, organisation),
                If::Absent,
            ),
            outbox::announce(
                &*self.ids,
                now,
                user,
                origin,
                Event::UserCreated { user, organisation },
            ),
        ]
    }
}
