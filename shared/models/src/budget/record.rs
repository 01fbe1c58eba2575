//! What a call may cost, and what it did.

use domain::Id;
use domain::id::{ApiKey, User};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Scope;
use crate::reply::{Attempt, Usage};

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is under way, or its process has died.
    Open,
    /// It is paid.
    Settled,
}

/// One call: the usage record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Who asked.
    pub user: Id<User>,
    /// With which key.
    pub key: Option<Id<ApiKey>>,
    /// Where it stands.
    pub state: State,
    /// `ok`, or a stable word for why there was no answer; `lost` if its process died.
    pub outcome: String,
    /// When it began.
    pub opened_at: Timestamp,
    /// From when on it counts as dead if it is still open.
    pub closes_at: Timestamp,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
    /// What it cost, in micro-units; 0 while it is open.
    pub micros: i64,
    /// ISO 4217.
    pub currency: String,
    /// Tokens that are paid for.
    pub usage: Usage,
    /// What was tried, with the price that each was paid at.
    pub attempts: Vec<Attempt>,
    /// Whether it was answered from memory.
    pub cached: bool,
    /// Which budgets it is counted in.
    pub spends: Vec<Spend>,
    /// Tells this call from another of the same id.
    pub(crate) nonce: Uuid,
}

/// A counter that a call is counted in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// Whose.
    pub scope: Scope,
    /// The name of the period.
    pub period: String,
}

/// The outcome of a call that was answered.
pub(crate) const ANSWERED: &str = "ok";

/// The outcome of a call whose process died.
pub(crate) const LOST: &str = "lost";

impl CallRecord {
    /// What it cost a budget: a model's pays only for what that model was asked. Of a call whose process
    /// died it is not known which model was asked, so each may have been.
    pub fn charged(&self, scope: &Scope) -> i64 {
        match scope {
            Scope::Model(model) if self.outcome != LOST => self
                .attempts
                .iter()
                .filter(|attempt| attempt.model == *model)
                .map(|attempt| attempt.micros)
                .sum(),
            _ => self.micros,
        }
    }
}

/// What a call came to.
#[derive(Clone, Debug)]
pub(crate) struct Bill {
    pub outcome: &'static str,
    pub attempts: Vec<Attempt>,
}

impl Bill {
    /// Whether somebody gets an answer, and with it what there is to tell.
    pub(crate) fn has_answer(&self) -> bool {
        self.outcome == ANSWERED
    }

    pub(crate) fn micros(&self) -> i64 {
        self.attempts.iter().map(|attempt| attempt.micros).sum()
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for usage in self.attempts.iter().filter_map(|a| a.usage.as_ref()) {
            sum.add(usage);
        }
        sum
    }
}
