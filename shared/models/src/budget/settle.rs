//! Pays a call: its record first, then each of its counters, each exactly once.

use domain::Id;
use domain::id::Organisation;
use ports::PortError;
use ports::table::{Count, Counted, Guard, If, Item, Key, Numbers, WriteError};
use uuid::Uuid;

use super::ledger::{
    CALLS, Hold, IN_PASSING, INPUT, Ledger, OPEN, OUTPUT, SETTLED, Share, TAKEN, dead, name_of,
    record_key,
};
use super::record::{Bill, CallRecord, LOST, Spend, State};
use super::{Level, Notice, Period, Scope, counter_key};

/// Whether the whole of it was written down, and what there is to tell.
#[derive(Debug, Default)]
pub(crate) struct Paid {
    pub settled: bool,
    pub notices: Vec<Notice>,
}

impl Ledger {
    /// Pays a call. What cannot be written now is settled when the call's time is up: at what the record
    /// says if there is one, else at its bound. How the budgets stand is told once, with an answer: a call
    /// that has none leaves it to the next.
    pub(crate) async fn settle(&self, hold: Hold, bill: &Bill) -> Paid {
        let record = match self.close(&hold, bill).await {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(%error, "a call was not written down; its bound will be charged");
                return Paid::default();
            }
        };
        let name = name_of(hold.record.closes_at, hold.call);
        let mut paid = Paid {
            settled: true,
            notices: Vec::new(),
        };
        for share in &hold.shares {
            match self
                .pay(hold.org, &record, &share.spend, &name, share.amount)
                .await
            {
                Ok(Some(numbers)) if bill.has_answer() => {
                    let notice = self.notice(hold.org, share, &numbers).await;
                    paid.notices.extend(notice);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "a budget is settled later");
                    paid.settled = false;
                }
            }
        }
        paid
    }

    /// Writes what the call came to, and gives what counts: if somebody took the call for dead meanwhile,
    /// what they wrote.
    async fn close(&self, hold: &Hold, bill: &Bill) -> Result<CallRecord, PortError> {
        let record = hold.paid(bill, self.now());
        self.write_record(&hold.row, record).await
    }

    async fn write_record(&self, row: &Item, record: CallRecord) -> Result<CallRecord, PortError> {
        let next = row.next(&record);
        match self.put(next, If::VersionIs(row.version)).await {
            Ok(()) => Ok(record),
            Err(WriteError::Port(error)) => Err(error),
            Err(WriteError::Condition(_) | WriteError::Conflict) => {
                let written = self.table().get(&row.key).await?;
                written
                    .ok_or_else(|| missing("the record of a call is gone"))?
                    .parse()
            }
        }
    }

    /// Turns what one counter has set aside into what the record says. Gives the counter's numbers if this
    /// did it.
    async fn pay(
        &self,
        org: Id<Organisation>,
        record: &CallRecord,
        spend: &Spend,
        name: &str,
        mut amount: i64,
    ) -> Result<Option<Numbers>, PortError> {
        let key = counter_key(org, &spend.scope, &spend.period);
        let charged = record.charged(&spend.scope);
        let tokens = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        loop {
            let counted = self
                .count(|| Count {
                    key: key.clone(),
                    guards: vec![Guard::Is(name.to_owned(), amount)],
                    add: vec![
                        (TAKEN.to_owned(), charged - amount),
                        (SETTLED.to_owned(), charged),
                        (OPEN.to_owned(), -1),
                        (CALLS.to_owned(), 1),
                        (INPUT.to_owned(), tokens(record.usage.input)),
                        (OUTPUT.to_owned(), tokens(record.usage.output)),
                    ],
                    set: Vec::new(),
                    remove: vec![name.to_owned()],
                    expires_at: None,
                })
                .await?;
            match counted {
                Counted::Done(numbers) => return Ok(Some(numbers)),
                Counted::Refused(numbers) => match numbers.get(name) {
                    // It is paid: the answer was lost, or somebody else did it.
                    None => return Ok(None),
                    Some(other) => amount = *other,
                },
            }
        }
    }

    async fn notice(
        &self,
        org: Id<Organisation>,
        share: &Share,
        numbers: &Numbers,
    ) -> Option<Notice> {
        let limit = share.limit?;
        let settled = numbers.get(SETTLED).copied().unwrap_or(0);
        let level = if settled >= limit {
            Level::Exhausted
        } else if i128::from(settled) * 5 >= i128::from(limit) * 4 {
            Level::Near
        } else {
            return None;
        };
        let first = self
            .tell_once(org, &share.spend, level, share.revision)
            .await;
        first.then(|| Notice {
            scope: share.spend.scope.clone(),
            level,
            limit,
            settled,
        })
    }

    /// Settles what is dead among these numbers, and only warns if that fails: it is not the caller's call.
    pub(super) async fn settle_dead(&self, org: Id<Organisation>, key: &Key, numbers: &Numbers) {
        if let Err(error) = self.expire_some(org, key, numbers, IN_PASSING).await {
            tracing::warn!(%error, "calls that died wait to be settled");
        }
    }

    /// Settles calls that these numbers show to be dead, at most so many; gives how many.
    pub(super) async fn expire_some(
        &self,
        org: Id<Organisation>,
        key: &Key,
        numbers: &Numbers,
        most: usize,
    ) -> Result<usize, PortError> {
        let now = self.now();
        let dead = numbers
            .iter()
            .filter_map(|(name, amount)| Some((dead(name, now)?, name, *amount)));
        let mut settled = 0;
        for (call, name, amount) in dead.take(most) {
            if !self.expire(org, call).await? {
                // Only a call that was never opened has no record: nobody was asked.
                self.give_back(key, name, amount).await?;
            }
            settled += 1;
        }
        Ok(settled)
    }

    /// Settles all calls of an organisation whose processes died; gives how many. For a job that runs now
    /// and then: whoever reserves or reads does it in passing.
    pub async fn sweep(&self, org: Id<Organisation>) -> Result<usize, PortError> {
        let now = self.now();
        let this = Period::Month.name(now);
        let before = now
            .checked_sub(jiff::SignedDuration::from_hours(24))
            .map_or_else(|_| this.clone(), |at| Period::Month.name(at));
        let mut swept = 0;
        let mut periods = vec![this, before];
        periods.dedup();
        for period in periods {
            let key = counter_key(org, &Scope::Organisation, &period);
            let numbers = self.numbers(&key).await?;
            swept += self.expire_some(org, &key, &numbers, usize::MAX).await?;
        }
        Ok(swept)
    }

    /// Settles one dead call in all of its counters; false if there is no record of it.
    async fn expire(&self, org: Id<Organisation>, call: Uuid) -> Result<bool, PortError> {
        let Some(row) = self.table().get(&record_key(org, call)).await? else {
            return Ok(false);
        };
        let record: CallRecord = row.parse()?;
        let name = name_of(record.closes_at, call);
        let record = match record.state {
            State::Settled => record,
            State::Open => {
                let lost = self.lost(org, &name, &record).await?;
                self.write_record(&row, lost).await?
            }
        };
        for spend in &record.spends {
            let charged = record.charged(&spend.scope);
            self.pay(org, &record, spend, &name, charged).await?;
        }
        Ok(true)
    }

    /// What a dead call is settled at: its bound, because an endpoint may have been asked. The row that is
    /// taken last tells whether that can be.
    async fn lost(
        &self,
        org: Id<Organisation>,
        name: &str,
        record: &CallRecord,
    ) -> Result<CallRecord, PortError> {
        let mut amounts = Vec::new();
        let mut last = None;
        for spend in &record.spends {
            let key = counter_key(org, &spend.scope, &spend.period);
            last = self.numbers(&key).await?.get(name).copied();
            amounts.extend(last);
        }
        let micros = match last {
            Some(_) => amounts.into_iter().min().unwrap_or(0),
            None => 0,
        };
        Ok(CallRecord {
            state: State::Settled,
            outcome: LOST.to_owned(),
            settled_at: Some(self.now()),
            micros,
            usage: crate::reply::Usage {
                estimated: micros > 0,
                ..Default::default()
            },
            ..record.clone()
        })
    }
}

fn missing(cause: &str) -> PortError {
    PortError::Refused {
        port: ports::Port::Table,
        cause: cause.to_owned(),
    }
}
