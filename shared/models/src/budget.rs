//! Budgets that cannot be overspent.
//!
//! # How
//!
//! A budget is a limit of micro-units for a person, a key, a model or an organisation, in a day, a month or
//! for good. Its spending stands in a counter row:
//!
//! ```text
//! {org}#budgets          {scope}           the limit; its version counts the changes
//! {org}#spend#{scope}    2026-11           taken, settled, calls, input, output, open, rev, r…
//! {org}#calls            {call}            what a call may cost, then what it did: the usage record
//! ```
//!
//! `taken` is what is settled and what is set aside. A call sets its bound aside (`taken += bound`, guard
//! `taken <= limit - bound`) before anybody is asked, under a name of its own (`r{until}{call}`) in the same
//! atomic change; it settles by taking that name away (`taken += cost - bound`, `settled += cost`, and the
//! cost is never more than the bound). So each step happens once however often it is sent, nothing is ever
//! read and written back, and `settled <= taken <= limit` holds at every moment with any number of
//! processes.
//!
//! The rows of one call (key, person, models, organisation) are taken in that order, the narrow ones first,
//! and given back if a wider one refuses. One transaction over them would do the same, but transactions on
//! a row that a thousand streams share cancel each other, and single changes queue.
//!
//! # What may cost nothing yet, or more than is known
//!
//! * An attempt that an endpoint refused, or that never reached it, costs nothing.
//! * An attempt whose end is not known (silence, a cut connection, a time-out of the endpoint's gateway)
//!   costs its bound: the endpoint may have answered and bill for it. Another attempt is made only after
//!   its bound is set aside too.
//! * A listener that has had enough costs the bound of the question and what was seen of the answer, with
//!   a margin: the connection is closed, and endpoints stop then.
//! * A process that dies leaves its call open. Five minutes after the call's deadline whoever moves or reads
//!   the same budget settles it at its bound, or at nothing if the organisation's row, which is taken last,
//!   shows that nobody was asked yet. The record of the call is written before any counter, under a
//!   condition, so that everybody settles the same amount.
//!
//! Because the record of every settled call is kept, each sum can be computed again
//! ([`Ledger::recompute`]).
//!
//! # What is not promised
//!
//! A budget counts from when it is set, except an organisation's month, which always counts. A call is
//! counted in the period that it began in. A limit that is lowered does not end calls that run. A record
//! is kept for 400 days.

mod ledger;
mod record;
mod settle;

use std::fmt;
use std::str::FromStr;

use domain::id::{ApiKey, Organisation, User};
use domain::{Caller, Id};
use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use ports::PortError;
use ports::table::{Cursor, If, Item, Key, Numbers, Query, Table, Write, WriteError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use ledger::Ledger;
pub(crate) use ledger::{Hold, Opening};
pub(crate) use record::{ANSWERED, Bill};
pub use record::{CallRecord, State};

/// Whose budget it is, inside one organisation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everybody's together.
    Organisation,
    /// One person's.
    User(Id<User>),
    /// One program's.
    Key(Id<ApiKey>),
    /// One model's, as the endpoint calls it.
    Model(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation => f.write_str("org"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Model(name) => write!(f, "model:{name}"),
        }
    }
}

/// Why a text is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected org, user:usr_…, key:key_… or model:NAME")]
pub struct ScopeError;

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        match text.split_once(':') {
            None if text == "org" => Ok(Self::Organisation),
            Some(("user", id)) => id.parse().map(Self::User).map_err(|_| ScopeError),
            Some(("key", id)) => id.parse().map(Self::Key).map_err(|_| ScopeError),
            Some(("model", name)) if (1..=128).contains(&name.len()) => {
                Ok(Self::Model(name.to_owned()))
            }
            _ => Err(ScopeError),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How long a limit holds before it begins anew, by the calendar in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day.
    Day,
    /// A month.
    Month,
    /// For good.
    Total,
}

impl Period {
    /// The name of the period that a moment is in: `2026-11-24`, `2026-11` or `total`.
    pub fn name(self, at: Timestamp) -> String {
        let date = Offset::UTC.to_datetime(at).date();
        match self {
            Self::Day => date.to_string(),
            Self::Month => format!("{:04}-{:02}", date.year(), date.month()),
            Self::Total => "total".to_owned(),
        }
    }

    /// When the next one begins.
    pub fn ends(self, at: Timestamp) -> Option<Timestamp> {
        let today = Offset::UTC.to_datetime(at).date();
        let next: Date = match self {
            Self::Day => today.tomorrow().ok()?,
            Self::Month => today.first_of_month().checked_add(1.month()).ok()?,
            Self::Total => return None,
        };
        Offset::UTC.to_timestamp(next.at(0, 0, 0, 0)).ok()
    }
}

/// A limit that was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Whose.
    pub scope: Scope,
    /// Micro-units of the currency of the targets, at least 0.
    pub limit: i64,
    /// Of what period.
    pub period: Period,
    /// Counts the changes, for `ETag`.
    pub version: u64,
}

/// A budget and how it stands in the present period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The limit.
    pub budget: Budget,
    /// What is spent.
    pub spent: Spent,
    /// When the period ends; nothing if it never does.
    pub resets_at: Option<Timestamp>,
}

/// What is spent in one period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Micro-units of finished calls.
    pub settled: i64,
    /// Micro-units that calls under way have set aside.
    pub reserved: i64,
    /// Finished calls.
    pub calls: i64,
    /// Tokens of what was asked.
    pub input: i64,
    /// Tokens of what was answered.
    pub output: i64,
}

impl Spent {
    fn of(numbers: &Numbers) -> Self {
        let number = |name: &str| numbers.get(name).copied().unwrap_or(0);
        Self {
            settled: number(ledger::SETTLED),
            reserved: number(ledger::TAKEN) - number(ledger::SETTLED),
            calls: number(ledger::CALLS),
            input: number(ledger::INPUT),
            output: number(ledger::OUTPUT),
        }
    }
}

/// A budget that comes to its end; told once for each limit and period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Whose.
    pub scope: Scope,
    /// How far it is.
    pub level: Level,
    /// The limit, in micro-units.
    pub limit: i64,
    /// What is settled of it, in micro-units.
    pub settled: i64,
}

/// How far a budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Four fifths are settled.
    Near,
    /// All of it is settled.
    Exhausted,
}

/// Who pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spender {
    /// The organisation.
    pub org: Id<Organisation>,
    /// The person.
    pub user: Id<User>,
    /// The key, if a program asks for that person.
    pub key: Option<Id<ApiKey>>,
}

impl From<&Caller> for Spender {
    fn from(caller: &Caller) -> Self {
        Self {
            org: caller.organisation,
            user: caller.user,
            key: caller.key,
        }
    }
}

/// Why a budget was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// The limit is below 0.
    #[error("a limit is at least 0")]
    Negative,
    /// It has changed since it was read.
    #[error("the budget has changed meanwhile")]
    Changed,
    /// The table did not do it.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The row of a limit. A removed one stays, so that its version goes on counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definition {
    pub limit: Option<i64>,
    pub period: Period,
}

fn definition_key(org: Id<Organisation>, scope: &Scope) -> Key {
    Key::new(format!("{org}#budgets"), scope)
}

fn counter_key(org: Id<Organisation>, scope: &Scope, period: &str) -> Key {
    Key::new(format!("{org}#spend#{scope}"), period)
}

/// A limit as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defined {
    pub definition: Option<Definition>,
    /// 0 if it was never set.
    pub revision: i64,
}

pub(crate) async fn defined(
    table: &dyn Table,
    org: Id<Organisation>,
    scope: &Scope,
) -> Result<Defined, PortError> {
    let row = table.get(&definition_key(org, scope)).await?;
    Ok(match row {
        None => Defined {
            definition: None,
            revision: 0,
        },
        Some(row) => Defined {
            definition: Some(row.parse()?),
            revision: i64::try_from(row.version).unwrap_or(i64::MAX),
        },
    })
}

impl Ledger {
    /// Sets a limit. `expected` is the version that the caller has read; nothing means whichever.
    pub async fn set(
        &self,
        org: Id<Organisation>,
        scope: &Scope,
        limit: i64,
        period: Period,
        expected: Option<u64>,
    ) -> Result<Budget, BudgetError> {
        if limit < 0 {
            return Err(BudgetError::Negative);
        }
        let definition = Definition {
            limit: Some(limit),
            period,
        };
        let version = self.define(org, scope, definition, expected).await?;
        Ok(Budget {
            scope: scope.clone(),
            limit,
            period,
            version,
        })
    }

    /// Takes a limit away; nothing happens if there is none. What was spent is not forgotten.
    pub async fn remove(
        &self,
        org: Id<Organisation>,
        scope: &Scope,
        expected: Option<u64>,
    ) -> Result<(), BudgetError> {
        let Some(standing) = self.get(org, scope).await? else {
            return Ok(());
        };
        let none = Definition {
            limit: None,
            period: standing.budget.period,
        };
        self.define(org, scope, none, expected).await.map(drop)
    }

    async fn define(
        &self,
        org: Id<Organisation>,
        scope: &Scope,
        definition: Definition,
        expected: Option<u64>,
    ) -> Result<u64, BudgetError> {
        let key = definition_key(org, scope);
        let known = self.table().get(&key).await?;
        let (row, condition) = match &known {
            None => (Item::new(key, &definition), If::Absent),
            Some(row) => (row.next(&definition), If::VersionIs(row.version)),
        };
        let visible = match &known {
            Some(row) if row.parse::<Definition>()?.limit.is_some() => Some(row.version),
            _ => None,
        };
        if expected.is_some() && expected != visible {
            return Err(BudgetError::Changed);
        }
        let version = row.version;
        match self.table().write(vec![Write::Put(row, condition)]).await {
            Ok(()) => Ok(version),
            Err(WriteError::Condition(_) | WriteError::Conflict) => Err(BudgetError::Changed),
            Err(WriteError::Port(error)) => Err(error.into()),
        }
    }

    /// A limit and how it stands. Calls that died are settled on the way.
    pub async fn get(
        &self,
        org: Id<Organisation>,
        scope: &Scope,
    ) -> Result<Option<Standing>, PortError> {
        let defined = defined(self.table(), org, scope).await?;
        let Some(definition) = defined.definition else {
            return Ok(None);
        };
        let version = u64::try_from(defined.revision).unwrap_or(0);
        self.standing(org, scope.clone(), definition, version).await
    }

    async fn standing(
        &self,
        org: Id<Organisation>,
        scope: Scope,
        definition: Definition,
        version: u64,
    ) -> Result<Option<Standing>, PortError> {
        let Some(limit) = definition.limit else {
            return Ok(None);
        };
        let now = self.now();
        let spent = self
            .spent(org, &scope, &definition.period.name(now))
            .await?;
        Ok(Some(Standing {
            budget: Budget {
                scope,
                limit,
                period: definition.period,
                version,
            },
            spent,
            resets_at: definition.period.ends(now),
        }))
    }

    /// The limits of an organisation, by scope, and where the next page begins. A page may be short.
    pub async fn list(
        &self,
        org: Id<Organisation>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<Standing>, Option<Cursor>), PortError> {
        let query = Query {
            limit,
            after,
            ..Query::prefix(Self::budgets_partition(org), "")
        };
        let page = self.table().query(&query).await?;
        let mut standings = Vec::new();
        for row in page.items {
            let Ok(scope) = row.key.sk.parse() else {
                continue;
            };
            let standing = self.standing(org, scope, row.parse()?, row.version);
            standings.extend(standing.await?);
        }
        Ok((standings, page.next))
    }

    /// The partition that [`Self::list`] pages through, which its cursors point into.
    pub fn budgets_partition(org: Id<Organisation>) -> String {
        format!("{org}#budgets")
    }

    /// What is spent in a period, by its [name](Period::name): always known for an organisation's months,
    /// else while a budget counts it.
    pub async fn spent(
        &self,
        org: Id<Organisation>,
        scope: &Scope,
        period: &str,
    ) -> Result<Spent, PortError> {
        let key = counter_key(org, scope, period);
        let mut numbers = self.numbers(&key).await?;
        if self.expire_some(org, &key, &numbers, usize::MAX).await? > 0 {
            numbers = self.numbers(&key).await?;
        }
        Ok(Spent::of(&numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_survives_its_text() {
        for text in [
            "org",
            "user:usr_00000000000000000000000000000001",
            "key:key_00000000000000000000000000000001",
            "model:vendor/small-1:free",
        ] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "org:",
            "user:",
            "user:key_00000000000000000000000000000001",
            "model:",
            "team:1",
        ] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_period_ends_when_the_next_begins() {
        let at: Timestamp = "2026-12-31T23:59:59Z".parse().unwrap();
        for (period, name, next) in [
            (Period::Day, "2026-12-31", Some("2027-01-01T00:00:00Z")),
            (Period::Month, "2026-12", Some("2027-01-01T00:00:00Z")),
            (Period::Total, "total", None),
        ] {
            assert_eq!(period.name(at), name);
            assert_eq!(period.ends(at), next.map(|next| next.parse().unwrap()));
        }
    }
}
