//! Keys for programs: made, changed, given a new secret and revoked by people; never by a key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::id::{ApiKey, Id, Organisation};
use domain::{Caller, Event};
use jiff::{SignedDuration, Timestamp};
use ports::PortError;
use ports::clock::Clock;
use ports::ids::Ids;
use ports::outbox::{self, Origin};
use ports::secrets::Secrets;
use ports::table::{Count, Cursor, If, Item, Key, Query, Table, Write, WriteError};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api_key::{self, ApiKeyRow, KeyText, Secret};
use crate::{Auth, AuthError, Step};

/// Keys that one organisation may have at a time.
pub const MOST: u32 = 100;

/// What people do with keys.
pub struct ApiKeys {
    table: Arc<dyn Table>,
    usage: Arc<dyn Table>,
    secrets: Arc<dyn Secrets>,
    secret_id: String,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

/// A key that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// 1 to 100 characters.
    pub name: String,
    /// No more than its maker has.
    pub permissions: BTreeSet<String>,
    /// When it stops by itself.
    pub expires_at: Option<Timestamp>,
}

/// What changes of a key; the rest stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// A new name.
    pub name: Option<String>,
    /// What it may do from now on; no more than who changes it has.
    pub permissions: Option<BTreeSet<String>>,
}

/// A key with its secret, which nobody sees again.
#[derive(Clone, Debug)]
pub struct Minted {
    /// The key.
    pub row: ApiKeyRow,
    /// Its text.
    pub text: SecretString,
}

/// How many keys an organisation has: moved in one transaction with them, so that the limit is exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    keys: u32,
}

/// The rows that decide.
struct Rows {
    key: Option<Item>,
    tally: Option<Item>,
    /// An earlier write of this call may have happened: its answer was lost.
    again: bool,
}

/// Tries before the rows count as busy.
const TRIES: u32 = 10;

impl ApiKeys {
    /// The use cases over the ports of `auth`, and over the table in which the authorizer notes when a key
    /// was used.
    pub fn new(auth: &Auth, usage: Arc<dyn Table>) -> Self {
        Self {
            table: auth.table.clone(),
            usage,
            secrets: auth.secrets.clone(),
            secret_id: auth.refresh_secret_id.clone(),
            clock: auth.clock.clone(),
            ids: auth.ids.clone(),
        }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Makes a key. The same request again makes no second one: it gives the first a new secret, since the
    /// answer that carried the old one was lost.
    ///
    /// # Errors
    /// [`AuthError::TooManyKeys`], [`AuthError::Busy`], or a port's failure.
    pub async fn create(
        &self,
        caller: &Caller,
        request: Uuid,
        new: NewKey,
    ) -> Result<Minted, AuthError> {
        let (org, id) = (caller.organisation, Id::new(request));
        let (text, secret) = self.mint(caller, id, request).await?;
        let row = self
            .change(org, id, |rows| {
                if let Some(item) = &rows.key {
                    let known: ApiKeyRow = item.parse()?;
                    return mint_again(item, known, &secret);
                }
                let row = ApiKeyRow {
                    id,
                    organisation: org,
                    name: new.name.clone(),
                    permissions: new.permissions.clone(),
                    created_by: caller.user,
                    created_at: secret.at,
                    expires_at: new.expires_at,
                    secret: secret.clone(),
                    retired: Vec::new(),
                };
                let event = Event::ApiKeyCreated {
                    key: id,
                    user: caller.user,
                };
                let writes = vec![
                    Write::Put(Item::new(api_key::key(org, id), &row), If::Absent),
                    rows.counted(org, 1)?,
                    self.announce(org, event),
                ];
                Ok(Step::Write(writes, row))
            })
            .await?;
        Ok(Minted { row, text })
    }

    /// The organisation's keys, the newest first.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn list(
        &self,
        caller: &Caller,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<ApiKeyRow>, Option<Cursor>), AuthError> {
        let query = Query {
            descending: true,
            limit,
            after,
            ..Query::prefix(caller.organisation, api_key::SORT_PREFIX)
        };
        let page = self.table.query(&query).await?;
        let rows = page
            .items
            .iter()
            .map(Item::parse)
            .collect::<Result<_, _>>()?;
        Ok((rows, page.next))
    }

    /// A key of the caller's organisation and the version of its row.
    ///
    /// # Errors
    /// [`AuthError::NoSuchKey`], or a port's failure.
    pub async fn get(
        &self,
        caller: &Caller,
        id: Id<ApiKey>,
    ) -> Result<(ApiKeyRow, u64), AuthError> {
        let row = self
            .table
            .get(&api_key::key(caller.organisation, id))
            .await?;
        let row = row.ok_or(AuthError::NoSuchKey)?;
        Ok((row.parse()?, row.version))
    }

    /// Changes a key if it still has the version that was read; what it has already is not changed again.
    ///
    /// # Errors
    /// [`AuthError::NoSuchKey`], [`AuthError::VersionMismatch`], [`AuthError::Busy`], or a port's failure.
    pub async fn update(
        &self,
        caller: &Caller,
        id: Id<ApiKey>,
        version: u64,
        change: KeyChange,
    ) -> Result<(ApiKeyRow, u64), AuthError> {
        let org = caller.organisation;
        self.change(org, id, |rows| {
            let item = rows.key.as_ref().ok_or(AuthError::NoSuchKey)?;
            let known: ApiKeyRow = item.parse()?;
            let (row, fields) = known.changed(&change);
            if fields.is_empty() {
                return Ok(Step::Done((row, item.version)));
            }
            if item.version != version {
                return Err(AuthError::VersionMismatch);
            }
            let writes = vec![
                replace(item, &row),
                self.announce_change(caller, id, fields),
            ];
            Ok(Step::Write(writes, (row, item.version + 1)))
        })
        .await
    }

    /// Gives a key a new secret, which acts for the caller; the present one opens for `grace` longer. The
    /// same request again gives no third one.
    ///
    /// # Errors
    /// [`AuthError::NoSuchKey`], [`AuthError::KeyBeyondCaller`], [`AuthError::Busy`], or a port's failure.
    pub async fn reroll(
        &self,
        caller: &Caller,
        id: Id<ApiKey>,
        request: Uuid,
        grace: Duration,
    ) -> Result<Minted, AuthError> {
        let org = caller.organisation;
        let (text, secret) = self.mint(caller, id, request).await?;
        let row = self
            .change(org, id, |rows| {
                let item = rows.key.as_ref().ok_or(AuthError::NoSuchKey)?;
                let known: ApiKeyRow = item.parse()?;
                if known.secret.request == request {
                    return mint_again(item, known, &secret);
                }
                if !known.permissions.is_subset(&caller.permissions) {
                    return Err(AuthError::KeyBeyondCaller);
                }
                let until = secret.at.saturating_add(grace).unwrap_or(Timestamp::MAX);
                let row = known.reroll(secret.clone(), until);
                let fields = vec!["secret".to_owned()];
                let writes = vec![
                    replace(item, &row),
                    self.announce_change(caller, id, fields),
                ];
                Ok(Step::Write(writes, row))
            })
            .await?;
        Ok(Minted { row, text })
    }

    /// Revokes a key: it is dead as soon as the authorizer looks again, within five seconds.
    ///
    /// # Errors
    /// [`AuthError::NoSuchKey`], [`AuthError::Busy`], or a port's failure.
    pub async fn revoke(&self, caller: &Caller, id: Id<ApiKey>) -> Result<(), AuthError> {
        let org = caller.organisation;
        self.change(org, id, |rows| {
            let Some(item) = &rows.key else {
                return if rows.again {
                    Ok(Step::Done(()))
                } else {
                    Err(AuthError::NoSuchKey)
                };
            };
            let event = Event::ApiKeyRevoked {
                key: id,
                user: caller.user,
            };
            let writes = vec![
                Write::Delete(item.key.clone(), If::VersionIs(item.version)),
                rows.counted(org, -1)?,
                self.announce(org, event),
            ];
            Ok(Step::Write(writes, ()))
        })
        .await
    }

    /// When the organisation's keys were last used, to the hour.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn last_uses(
        &self,
        caller: &Caller,
    ) -> Result<BTreeMap<Id<ApiKey>, Timestamp>, AuthError> {
        let mut uses = BTreeMap::new();
        let mut query = Query::prefix(caller.organisation, USE_PREFIX);
        loop {
            let page = self.usage.query(&query).await?;
            uses.extend(page.items.iter().filter_map(last_use));
            match page.next {
                None => return Ok(uses),
                next => query.after = next,
            }
        }
    }

    /// Reads, decides and writes; again from the start if somebody was in between, and once more if the
    /// answer to a write was lost: what it wrote is then found.
    async fn change<T>(
        &self,
        org: Id<Organisation>,
        id: Id<ApiKey>,
        decide: impl Fn(&Rows) -> Result<Step<T>, AuthError> + Send + Sync,
    ) -> Result<T, AuthError> {
        let (at, tally) = (api_key::key(org, id), tally_key(org));
        let mut again = false;
        for attempt in 0..TRIES {
            let (key, tally) = tokio::join!(self.table.get(&at), self.table.get(&tally));
            let rows = Rows {
                key: key?,
                tally: tally?,
                again,
            };
            let (writes, outcome) = match decide(&rows)? {
                Step::Done(outcome) => return Ok(outcome),
                Step::Write(writes, outcome) => (writes, outcome),
            };
            match self.table.write(writes).await {
                Ok(()) => return Ok(outcome),
                Err(WriteError::Condition(_) | WriteError::Conflict) => {
                    self.clock.sleep(Duration::from_millis(2 << attempt)).await;
                }
                Err(WriteError::Port(PortError::Unavailable { .. })) if !again => again = true,
                Err(WriteError::Port(error)) => return Err(error.into()),
            }
        }
        Err(AuthError::Busy)
    }

    /// A new secret: its text for the caller, and what the row keeps.
    async fn mint(
        &self,
        caller: &Caller,
        id: Id<ApiKey>,
        request: Uuid,
    ) -> Result<(SecretString, Secret), AuthError> {
        let key = self.secrets.get(&self.secret_id).await?;
        let minted = KeyText::mint(caller.organisation, id, &*self.ids);
        let secret = Secret {
            hash: minted.hash(&key),
            person: caller.user,
            at: self.clock.now(),
            request,
        };
        Ok((minted.text(), secret))
    }

    fn announce_change(&self, caller: &Caller, key: Id<ApiKey>, fields: Vec<String>) -> Write {
        let event = Event::ApiKeyChanged {
            key,
            user: caller.user,
            fields,
        };
        self.announce(caller.organisation, event)
    }

    fn announce(&self, org: Id<Organisation>, event: Event) -> Write {
        let origin = Origin {
            org,
            trace: runtime::trace::current(),
            causation: None,
        };
        outbox::announce(&*self.ids, self.clock.now(), org, origin, event)
    }
}

impl Rows {
    /// The write that counts a key more or less.
    fn counted(&self, org: Id<Organisation>, by: i32) -> Result<Write, AuthError> {
        let known: Tally = match &self.tally {
            None => Tally::default(),
            Some(item) => item.parse()?,
        };
        let keys = known.keys.saturating_add_signed(by);
        if keys > MOST {
            return Err(AuthError::TooManyKeys);
        }
        Ok(match &self.tally {
            None => Write::Put(Item::new(tally_key(org), &Tally { keys }), If::Absent),
            Some(item) => replace(item, &Tally { keys }),
        })
    }
}

impl ApiKeyRow {
    /// The row after a change, and the names of the fields that differ.
    fn changed(&self, change: &KeyChange) -> (Self, Vec<String>) {
        let next = Self {
            name: change.name.clone().unwrap_or_else(|| self.name.clone()),
            permissions: change
                .permissions
                .clone()
                .unwrap_or_else(|| self.permissions.clone()),
            ..self.clone()
        };
        let differs = [
            ("name", next.name != self.name),
            ("permissions", next.permissions != self.permissions),
        ];
        let fields = differs
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(name, _)| name.to_owned());
        let fields = fields.collect();
        (next, fields)
    }
}

/// This request has been here before: either its write is found again, or the secret that an earlier
/// attempt made was in an answer that nobody got, and gives way to this one.
fn mint_again(
    item: &Item,
    known: ApiKeyRow,
    secret: &Secret,
) -> Result<Step<ApiKeyRow>, AuthError> {
    if known.secret == *secret {
        return Ok(Step::Done(known));
    }
    let row = known.mint_again(secret.clone()).ok_or(AuthError::Busy)?;
    Ok(Step::Write(vec![replace(item, &row)], row))
}

fn replace(item: &Item, record: &impl Serialize) -> Write {
    Write::Put(item.next(record), If::VersionIs(item.version))
}

fn tally_key(org: Id<Organisation>) -> Key {
    Key::new(org, "keys")
}

/// The beginning of the sort key under which the authorizer notes that a key was used.
const USE_PREFIX: &str = "used#";

/// The number in that row: hours since 1970.
const HOUR: &str = "hour";

/// How long it is known that a key was used.
const USE_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// The hour of a moment, as the note counts it.
pub(crate) fn hour(now: Timestamp) -> i64 {
    now.as_second().div_euclid(3600)
}

/// The note that a key was used in this hour. It stands apart from the key's row, so that using a key
/// disturbs nobody who changes it.
pub(crate) fn used(org: Id<Organisation>, id: Id<ApiKey>, now: Timestamp) -> Count {
    Count {
        key: Key::new(org, format!("{USE_PREFIX}{id}")),
        guards: Vec::new(),
        add: Vec::new(),
        set: vec![(HOUR.to_owned(), hour(now))],
        remove: Vec::new(),
        expires_at: now.saturating_add(USE_KEPT).ok(),
    }
}

fn last_use(item: &Item) -> Option<(Id<ApiKey>, Timestamp)> {
    let id = item.key.sk.strip_prefix(USE_PREFIX)?.parse().ok()?;
    let hours = item.attributes.get(HOUR)?.as_i64()?;
    let at = Timestamp::from_second(hours.checked_mul(3600)?).ok()?;
    Some((id, at))
}

#[cfg(test)]
mod tests;
