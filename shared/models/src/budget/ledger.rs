//! Sets money aside before a call: in each of its budgets, or in none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use domain::Id;
use domain::id::Organisation;
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use ports::PortError;
use ports::clock::Clock;
use ports::ids::Ids;
use ports::table::{
    Count, Counted, Guard, If, Item, Key, Numbers, Query, Table, Write, WriteError,
};
use uuid::Uuid;

use super::record::{Bill, CallRecord, Spend, State};
use super::{Defined, Level, Period, Scope, Spender, counter_key, defined};
use crate::error::ModelError;
use crate::reply::Usage;

/// What is settled and what is set aside, together.
pub(super) const TAKEN: &str = "taken";
/// What is settled.
pub(super) const SETTLED: &str = "settled";
/// Calls that are settled.
pub(super) const CALLS: &str = "calls";
/// Tokens of questions.
pub(super) const INPUT: &str = "input";
/// Tokens of answers.
pub(super) const OUTPUT: &str = "output";
/// Calls that are open.
pub(super) const OPEN: &str = "open";
/// The version of the limit that the counter was last moved under.
pub(super) const REVISION: &str = "rev";

/// The most open calls of one counter: their names have to fit its row.
const MOST_OPEN: i64 = 4_000;

/// How long after its deadline a call counts as dead.
const GRACE: SignedDuration = SignedDuration::from_mins(5);

/// How long a record is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Tries of one change before the table counts as out of reach.
const TRIES: u32 = 6;

/// Changes of a plan, because others moved the row, before it counts as busy.
const PLANS: usize = 24;

/// Dead calls that are settled in passing.
pub(super) const IN_PASSING: usize = 3;

/// The budgets of all organisations, and the record of every call.
#[derive(Clone)]
pub struct Ledger {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

/// What a call is opened with.
pub(crate) struct Opening<'a> {
    pub spender: &'a Spender,
    pub call: Uuid,
    /// The most that it can cost at first, in micro-units.
    pub bound: i64,
    /// The models that may be asked.
    pub models: BTreeSet<&'a str>,
    pub currency: &'a str,
    pub deadline: Timestamp,
}

/// Money that is set aside for one call.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(super) org: Id<Organisation>,
    pub(super) call: Uuid,
    pub(super) row: Item,
    pub(super) record: CallRecord,
    pub(super) shares: Vec<Share>,
    /// The least that is set aside in each of its budgets.
    pub reserved: i64,
    /// Models whose budget has too little left.
    pub refused: Vec<String>,
}

/// What one counter has set aside for a call.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub spend: Spend,
    pub limit: Option<i64>,
    pub revision: i64,
    pub amount: i64,
}

/// Why a counter did not set money aside.
enum Refusal {
    /// It has too little left.
    Exhausted {
        limit: i64,
        left: i64,
        revision: i64,
    },
    Error(ModelError),
}

impl From<PortError> for Refusal {
    fn from(error: PortError) -> Self {
        Self::Error(error.into())
    }
}

impl Ledger {
    /// The ledger in this table.
    pub fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { table, clock, ids }
    }

    pub(super) fn table(&self) -> &dyn Table {
        &*self.table
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sets the bound aside in every budget that the call falls under.
    pub(crate) async fn open(&self, opening: Opening<'_>) -> Result<Hold, ModelError> {
        let now = self.now();
        let wanted = self.wanted(&opening, now).await?;
        let record = CallRecord {
            user: opening.spender.user,
            key: opening.spender.key,
            state: State::Open,
            outcome: "open".to_owned(),
            opened_at: now,
            closes_at: opening
                .deadline
                .saturating_add(GRACE)
                .unwrap_or(Timestamp::MAX),
            settled_at: None,
            micros: 0,
            currency: opening.currency.to_owned(),
            usage: Usage::default(),
            attempts: Vec::new(),
            cached: false,
            spends: wanted.iter().map(|share| share.spend.clone()).collect(),
            nonce: self.ids.uuid(now),
        };
        let org = opening.spender.org;
        let row = self.begin(org, opening.call, &record).await?;
        let mut hold = Hold {
            org,
            call: opening.call,
            row,
            record,
            shares: Vec::new(),
            reserved: opening.bound,
            refused: Vec::new(),
        };
        match self.reserve_all(&mut hold, wanted, &opening).await {
            Ok(numbers) => {
                if let Some(share) = hold.shares.last() {
                    let key = counter_key(org, &share.spend.scope, &share.spend.period);
                    self.settle_dead(org, &key, &numbers).await;
                }
                Ok(hold)
            }
            Err(error) => {
                self.abandon(hold).await;
                Err(error)
            }
        }
    }

    /// The counters that a call falls under, the narrow ones first, the organisation's month last.
    async fn wanted(
        &self,
        opening: &Opening<'_>,
        now: Timestamp,
    ) -> Result<Vec<Share>, ModelError> {
        let spender = opening.spender;
        let mut scopes: Vec<Scope> = spender.key.map(Scope::Key).into_iter().collect();
        scopes.push(Scope::User(spender.user));
        scopes.extend(opening.models.iter().map(|m| Scope::Model((*m).to_owned())));
        scopes.push(Scope::Organisation);
        let limits = scopes
            .iter()
            .map(|scope| defined(self.table(), spender.org, scope));
        let limits = try_join_all(limits).await?;
        let mut wanted = Vec::new();
        for (
            scope,
            Defined {
                definition,
                revision,
            },
        ) in scopes.into_iter().zip(limits)
        {
            let limited = definition.and_then(|d| Some((d.limit?, d.period)));
            let share = |period: Period, limit| Share {
                spend: Spend {
                    scope: scope.clone(),
                    period: period.name(now),
                },
                limit,
                revision,
                amount: opening.bound,
            };
            let of_month = matches!(limited, Some((_, Period::Month)));
            if let Some((limit, period)) = limited {
                wanted.push(share(period, Some(limit)));
            }
            if scope == Scope::Organisation && !of_month {
                wanted.push(share(Period::Month, None));
            }
        }
        Ok(wanted)
    }

    /// Writes the record of a call that begins, unless there is one.
    async fn begin(
        &self,
        org: Id<Organisation>,
        call: Uuid,
        record: &CallRecord,
    ) -> Result<Item, ModelError> {
        let row = record_row(org, call, record);
        match self.put(row.clone(), If::Absent).await {
            Ok(()) => Ok(row),
            Err(WriteError::Port(error)) => Err(error.into()),
            Err(WriteError::Condition(_) | WriteError::Conflict) => {
                // Perhaps it is this very call, whose answer was lost.
                match self.table.get(&row.key).await? {
                    Some(known) if known.parse::<CallRecord>()?.nonce == record.nonce => Ok(known),
                    _ => Err(ModelError::CallUsed),
                }
            }
        }
    }

    /// Sets the bound aside in one counter after the other; gives the last one's numbers.
    async fn reserve_all(
        &self,
        hold: &mut Hold,
        wanted: Vec<Share>,
        opening: &Opening<'_>,
    ) -> Result<Numbers, ModelError> {
        let mut last = Numbers::new();
        for mut share in wanted {
            match self.reserve(hold, &mut share).await {
                Ok(numbers) => {
                    hold.shares.push(share);
                    last = numbers;
                }
                Err(Refusal::Error(error)) => {
                    // It may have happened all the same.
                    hold.shares.push(share);
                    return Err(error);
                }
                Err(Refusal::Exhausted {
                    limit,
                    left,
                    revision,
                }) => {
                    if let Scope::Model(model) = &share.spend.scope
                        && hold.refused.len() + 1 < opening.models.len()
                    {
                        hold.refused.push(model.clone());
                        continue;
                    }
                    return Err(self
                        .exhausted(hold.org, &share, limit, left, revision)
                        .await);
                }
            }
        }
        Ok(last)
    }

    async fn exhausted(
        &self,
        org: Id<Organisation>,
        share: &Share,
        limit: i64,
        left: i64,
        revision: i64,
    ) -> ModelError {
        let first = self
            .tell_once(org, &share.spend, Level::Exhausted, revision)
            .await;
        let period = [Period::Day, Period::Month]
            .into_iter()
            .find(|period| period.name(self.now()) == share.spend.period);
        ModelError::Exhausted {
            scope: share.spend.scope.clone(),
            limit,
            left,
            needed: share.amount,
            resets_at: period.and_then(|period| period.ends(self.now())),
            first,
        }
    }

    /// Sets a call's bound aside in one counter.
    async fn reserve(&self, hold: &Hold, share: &mut Share) -> Result<Numbers, Refusal> {
        let key = counter_key(hold.org, &share.spend.scope, &share.spend.period);
        let name = name_of(hold.record.closes_at, hold.call);
        let mut known = Some(share.revision);
        for _ in 0..PLANS {
            if let Some(limit) = share.limit.filter(|limit| *limit < share.amount) {
                let numbers = self.numbers(&key).await?;
                return Err(too_little(limit, &numbers, share.revision));
            }
            let counted = self
                .count(|| set_aside(hold, &key, &name, share, known))
                .await?;
            let numbers = match counted {
                Counted::Done(numbers) => return Ok(numbers),
                Counted::Refused(numbers) => numbers,
            };
            if numbers.contains_key(&name) {
                return Ok(numbers);
            }
            let revision = numbers.get(REVISION).copied();
            if revision != known {
                known = revision;
                if revision.is_some_and(|revision| revision > share.revision) {
                    self.define_again(hold.org, share).await?;
                }
                continue;
            }
            if self
                .expire_some(hold.org, &key, &numbers, IN_PASSING)
                .await?
                > 0
            {
                continue;
            }
            let taken = numbers.get(TAKEN).copied().unwrap_or(0);
            if let Some(limit) = share.limit.filter(|limit| taken > limit - share.amount) {
                return Err(too_little(limit, &numbers, share.revision));
            }
            if numbers.get(OPEN).copied().unwrap_or(0) >= MOST_OPEN {
                break;
            }
        }
        Err(Refusal::Error(ModelError::Busy))
    }

    /// The limit has changed since it was read.
    async fn define_again(
        &self,
        org: Id<Organisation>,
        share: &mut Share,
    ) -> Result<(), PortError> {
        let Defined {
            definition,
            revision,
        } = defined(self.table(), org, &share.spend.scope).await?;
        share.revision = revision;
        // A limit of another period does not bind this one.
        share.limit = definition
            .filter(|d| d.period.name(self.now()) == share.spend.period)
            .and_then(|d| d.limit);
        Ok(())
    }

    /// Sets more aside, so that another attempt can be paid too: `to` is the sum that is needed.
    pub(crate) async fn extend(&self, hold: &mut Hold, to: i64) -> Result<(), ModelError> {
        if to <= hold.reserved {
            return Ok(());
        }
        // The organisation's row, which tells whether anybody was asked, goes last here too.
        for index in 0..hold.shares.len() {
            let mut share = hold.shares[index].clone();
            let from = share.amount;
            share.amount = to;
            let raised = self.raise(hold, &mut share, from).await;
            if raised.is_ok() {
                hold.shares[index] = share;
                continue;
            }
            // What was raised already stays set aside until the call is settled, in a moment.
            return match raised {
                Err(Refusal::Exhausted {
                    limit,
                    left,
                    revision,
                }) => Err(self
                    .exhausted(hold.org, &share, limit, left, revision)
                    .await),
                Err(Refusal::Error(error)) => Err(error),
                Ok(()) => Ok(()),
            };
        }
        hold.reserved = to;
        Ok(())
    }

    async fn raise(&self, hold: &Hold, share: &mut Share, from: i64) -> Result<(), Refusal> {
        let key = counter_key(hold.org, &share.spend.scope, &share.spend.period);
        let name = name_of(hold.record.closes_at, hold.call);
        let more = share.amount - from;
        let mut known = share.revision;
        for _ in 0..PLANS {
            if let Some(limit) = share.limit.filter(|limit| *limit < more) {
                let numbers = self.numbers(&key).await?;
                return Err(too_little(limit, &numbers, share.revision));
            }
            let mut guards = vec![
                Guard::Is(REVISION.to_owned(), known),
                Guard::Is(name.clone(), from),
            ];
            guards.extend(
                share
                    .limit
                    .map(|limit| Guard::AtMost(TAKEN.to_owned(), limit - more)),
            );
            let counted = self
                .count(|| Count {
                    key: key.clone(),
                    guards: guards.clone(),
                    add: vec![(TAKEN.to_owned(), more)],
                    set: vec![(name.clone(), share.amount)],
                    remove: Vec::new(),
                    expires_at: None,
                })
                .await?;
            let Counted::Refused(numbers) = counted else {
                return Ok(());
            };
            match numbers.get(&name) {
                Some(amount) if *amount == share.amount => return Ok(()),
                Some(_) => {}
                // Somebody took it for dead.
                None => return Err(Refusal::Error(ModelError::TimedOut)),
            }
            let revision = numbers.get(REVISION).copied().unwrap_or(0);
            if revision == known {
                let limit = share.limit.unwrap_or(i64::MAX);
                return Err(too_little(limit, &numbers, share.revision));
            }
            known = revision;
            self.define_again(hold.org, share).await?;
        }
        Err(Refusal::Error(ModelError::Busy))
    }

    /// Leaves nothing behind of a call that was not opened. Where that fails, the call's time ends it.
    async fn abandon(&self, hold: Hold) {
        for share in &hold.shares {
            if let Err(error) = self.release(&hold, share).await {
                tracing::warn!(%error, "money that was set aside waits for its time to end");
                return;
            }
        }
        let gone = Write::Delete(hold.row.key.clone(), If::VersionIs(hold.row.version));
        if let Err(error) = self.table.write(vec![gone]).await {
            tracing::warn!(%error, "a call that was not opened leaves its record");
        }
    }

    async fn release(&self, hold: &Hold, share: &Share) -> Result<(), PortError> {
        let name = name_of(hold.record.closes_at, hold.call);
        let key = counter_key(hold.org, &share.spend.scope, &share.spend.period);
        self.give_back(&key, &name, share.amount).await
    }

    /// Takes a name away as if it had never been set.
    pub(super) async fn give_back(
        &self,
        key: &Key,
        name: &str,
        mut amount: i64,
    ) -> Result<(), PortError> {
        loop {
            let counted = self
                .count(|| Count {
                    key: key.clone(),
                    guards: vec![Guard::Is(name.to_owned(), amount)],
                    add: vec![(TAKEN.to_owned(), -amount), (OPEN.to_owned(), -1)],
                    set: Vec::new(),
                    remove: vec![name.to_owned()],
                    expires_at: None,
                })
                .await?;
            match counted {
                Counted::Done(_) => return Ok(()),
                Counted::Refused(numbers) => match numbers.get(name) {
                    None => return Ok(()),
                    Some(other) => amount = *other,
                },
            }
        }
    }

    /// Whether this is the first to tell that a budget has come so far, under this limit.
    pub(super) async fn tell_once(
        &self,
        org: Id<Organisation>,
        spend: &Spend,
        level: Level,
        revision: i64,
    ) -> bool {
        let name = match level {
            Level::Near => "told_near",
            Level::Exhausted => "told_exhausted",
        };
        let count = Count {
            key: counter_key(org, &spend.scope, &spend.period),
            guards: vec![Guard::AtMost(name.to_owned(), revision - 1)],
            add: Vec::new(),
            set: vec![(name.to_owned(), revision)],
            remove: Vec::new(),
            expires_at: None,
        };
        // Not sent again: who told it could not be told apart.
        matches!(self.table.count(count).await, Ok(Counted::Done(_)))
    }

    /// Notes a call that was answered from memory: it cost nothing.
    pub(crate) async fn note_free(
        &self,
        spender: &Spender,
        call: Uuid,
        currency: &str,
    ) -> Result<(), ModelError> {
        let now = self.now();
        let record = CallRecord {
            user: spender.user,
            key: spender.key,
            state: State::Settled,
            outcome: "ok".to_owned(),
            opened_at: now,
            closes_at: now,
            settled_at: Some(now),
            micros: 0,
            currency: currency.to_owned(),
            usage: Usage::default(),
            attempts: Vec::new(),
            cached: true,
            spends: Vec::new(),
            nonce: self.ids.uuid(now),
        };
        self.begin(spender.org, call, &record).await.map(drop)
    }

    /// The numbers of a counter.
    pub(super) async fn numbers(&self, key: &Key) -> Result<Numbers, PortError> {
        let row = self.table.get(key).await?;
        let numbers = row.map(|row| row.attributes).unwrap_or_default();
        Ok(numbers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_i64()?)))
            .collect())
    }

    /// Moves a counter; a change whose answer is lost is sent again, because its guards let it happen once.
    pub(super) async fn count(&self, change: impl Fn() -> Count) -> Result<Counted, PortError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.table.count(change()).await {
                Err(PortError::Throttled { .. } | PortError::Unavailable { .. })
                    if tries < TRIES =>
                {
                    self.pause(tries).await;
                }
                answer => return answer,
            }
        }
    }

    /// Writes a row; after a lost answer the condition refuses, and the caller reads back.
    pub(super) async fn put(&self, row: Item, condition: If) -> Result<(), WriteError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let part = Write::Put(row.clone(), condition.clone());
            match self.table.write(vec![part]).await {
                Err(
                    WriteError::Conflict
                    | WriteError::Port(PortError::Throttled { .. } | PortError::Unavailable { .. }),
                ) if tries < TRIES => self.pause(tries).await,
                answer => return answer,
            }
        }
    }

    /// Waits a little, each process differently.
    async fn pause(&self, tries: u32) {
        let [chance] = self.ids.octets::<1>();
        let most = 10_u64 << tries.min(6);
        let millis = 1 + most * u64::from(chance) / 255;
        self.clock.sleep(Duration::from_millis(millis)).await;
    }

    /// The records of an organisation's calls, newest first, and where the next page begins.
    pub async fn calls(
        &self,
        org: Id<Organisation>,
        limit: u32,
        after: Option<ports::table::Cursor>,
    ) -> Result<(Vec<CallRecord>, Option<ports::table::Cursor>), PortError> {
        let query = Query {
            limit,
            after,
            descending: true,
            ..Query::prefix(Self::calls_partition(org), "")
        };
        let page = self.table.query(&query).await?;
        let records = page
            .items
            .iter()
            .map(Item::parse)
            .collect::<Result<_, _>>()?;
        Ok((records, page.next))
    }

    /// The partition that [`Self::calls`] pages through, which its cursors point into.
    pub fn calls_partition(org: Id<Organisation>) -> String {
        format!("{org}#calls")
    }

    /// The record of one call.
    pub async fn call(
        &self,
        org: Id<Organisation>,
        call: Uuid,
    ) -> Result<Option<CallRecord>, PortError> {
        let row = self.table.get(&record_key(org, call)).await?;
        row.map(|row| row.parse()).transpose()
    }

    /// What a budget's calls cost by their records: the sum that the counter has to show.
    pub async fn recompute(
        &self,
        org: Id<Organisation>,
        scope: &Scope,
        period: &str,
    ) -> Result<i64, PortError> {
        let mut sum = 0;
        let mut after = None;
        loop {
            let (records, next) = self.calls(org, 100, after).await?;
            sum += records
                .iter()
                .filter(|record| record.state == State::Settled)
                .filter(|record| {
                    let mut spends = record.spends.iter();
                    spends.any(|spend| spend.scope == *scope && spend.period == period)
                })
                .map(|record| record.charged(scope))
                .sum::<i64>();
            match next {
                None => return Ok(sum),
                next => after = next,
            }
        }
    }
}

impl Hold {
    /// The record as it will be once this bill is paid.
    pub(super) fn paid(&self, bill: &Bill, now: Timestamp) -> CallRecord {
        CallRecord {
            state: State::Settled,
            outcome: bill.outcome.to_owned(),
            settled_at: Some(now),
            micros: bill.micros(),
            usage: bill.usage(),
            attempts: bill.attempts.clone(),
            ..self.record.clone()
        }
    }
}

/// The change that sets a bound aside. `known` is the revision that the row is thought to have.
fn set_aside(hold: &Hold, key: &Key, name: &str, share: &Share, known: Option<i64>) -> Count {
    let revision = || REVISION.to_owned();
    let mut guards = vec![
        Guard::Absent(name.to_owned()),
        known.map_or_else(
            || Guard::Absent(revision()),
            |known| Guard::Is(revision(), known),
        ),
        Guard::AtMost(OPEN.to_owned(), MOST_OPEN - 1),
    ];
    guards.extend(
        share
            .limit
            .map(|limit| Guard::AtMost(TAKEN.to_owned(), limit - share.amount)),
    );
    Count {
        key: key.clone(),
        guards,
        add: vec![(TAKEN.to_owned(), share.amount), (OPEN.to_owned(), 1)],
        set: vec![
            (name.to_owned(), share.amount),
            (revision(), share.revision),
        ],
        remove: Vec::new(),
        expires_at: (share.spend.period != Period::Total.name(hold.record.opened_at))
            .then(|| kept_until(hold.record.opened_at)),
    }
}

fn too_little(limit: i64, numbers: &Numbers, revision: i64) -> Refusal {
    let taken = numbers.get(TAKEN).copied().unwrap_or(0);
    Refusal::Exhausted {
        limit,
        left: (limit - taken).max(0),
        revision,
    }
}

pub(super) fn record_key(org: Id<Organisation>, call: Uuid) -> Key {
    Key::new(Ledger::calls_partition(org), call.simple())
}

pub(super) fn record_row(org: Id<Organisation>, call: Uuid, record: &CallRecord) -> Item {
    Item::new(record_key(org, call), record).expiring(kept_until(record.opened_at))
}

fn kept_until(opened_at: Timestamp) -> Timestamp {
    opened_at.saturating_add(KEPT).unwrap_or(Timestamp::MAX)
}

/// The name of what is set aside for a call: until when, and which call.
pub(super) fn name_of(closes_at: Timestamp, call: Uuid) -> String {
    let seconds = closes_at.as_second().clamp(0, i64::from(u32::MAX));
    format!("r{seconds:08x}{}", BASE64URL_NOPAD.encode(call.as_bytes()))
}

/// The call that a name is of, if its time was up before this moment.
pub(super) fn dead(name: &str, now: Timestamp) -> Option<Uuid> {
    let rest = name.strip_prefix('r').filter(|rest| rest.len() == 30)?;
    let (seconds, call) = rest.split_at_checked(8)?;
    let closes_at = i64::from_str_radix(seconds, 16).ok()?;
    if closes_at >= now.as_second() {
        return None;
    }
    let octets = BASE64URL_NOPAD.decode(call.as_bytes()).ok()?;
    Uuid::from_slice(&octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_call_once_its_time_is_up() {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let call = Uuid::from_u128(7);
        let name = name_of(at, call);

        assert_eq!(name.len(), 31);
        assert_eq!(dead(&name, at), None);
        assert_eq!(dead(&name, at + SignedDuration::from_secs(1)), Some(call));
        for other in [
            TAKEN,
            REVISION,
            "told_near",
            "r",
            "rxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ] {
            assert_eq!(dead(other, Timestamp::MAX), None, "{other}");
        }
    }
}
