//! Budgets of an organisation, and what was spent.

use domain::id::{ApiKey, Organisation, User};
use domain::{Event, Id};
use jiff::Timestamp;
use models::budget::{BudgetError, CallRecord, Level, Notice, Period, Scope, Spent, Standing};
use ports::table::Cursor;

use crate::{Content, ContentError};

/// The event that announces how a budget stands.
pub fn event_of(notice: &Notice) -> Event {
    let scope = notice.scope.to_string();
    match notice.level {
        Level::Near => Event::BudgetLow { scope },
        Level::Exhausted => Event::BudgetExhausted { scope },
    }
}

/// What an organisation spent in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// The period's name: `2026-11`.
    pub period: String,
    /// What was spent.
    pub spent: Spent,
}

/// Which calls are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whose {
    /// Only this person's.
    pub user: Option<Id<User>>,
    /// Only those with this key.
    pub key: Option<Id<ApiKey>>,
}

impl Whose {
    fn fits(&self, call: &CallRecord) -> bool {
        self.user.is_none_or(|user| call.user == user)
            && self.key.is_none_or(|key| call.key == Some(key))
    }
}

impl Content {
    /// A budget and how it stands.
    ///
    /// # Errors
    /// [`ContentError::NotFound`] if none is set for this scope, a port's failure.
    pub async fn budget(
        &self,
        org: Id<Organisation>,
        scope: &Scope,
    ) -> Result<Standing, ContentError> {
        let standing = self.targets.books().ledger().get(org, scope).await?;
        standing.ok_or(ContentError::NotFound)
    }

    /// Sets a budget. `expected` is the version that the caller has seen.
    ///
    /// # Errors
    /// [`ContentError::VersionMismatch`] if it has changed since, a port's failure.
    pub async fn set_budget(
        &self,
        org: Id<Organisation>,
        scope: &Scope,
        limit: i64,
        period: Period,
        expected: Option<u64>,
    ) -> Result<Standing, ContentError> {
        let ledger = self.targets.books().ledger();
        ledger
            .set(org, scope, limit, period, expected)
            .await
            .map_err(refused)?;
        self.budget(org, scope).await
    }

    /// Takes a budget away.
    ///
    /// # Errors
    /// [`ContentError::NotFound`] if there is none, [`ContentError::VersionMismatch`] if it has changed
    /// since `expected` was read, a port's failure.
    pub async fn remove_budget(
        &self,
        org: Id<Organisation>,
        scope: &Scope,
        expected: Option<u64>,
    ) -> Result<(), ContentError> {
        self.budget(org, scope).await?;
        let ledger = self.targets.books().ledger();
        ledger.remove(org, scope, expected).await.map_err(refused)
    }

    /// The organisation's budgets, by scope.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn budgets(
        &self,
        org: Id<Organisation>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<Standing>, Option<Cursor>), ContentError> {
        Ok(self
            .targets
            .books()
            .ledger()
            .list(org, limit, after)
            .await?)
    }

    /// What the organisation spent in the month of a moment.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn month(&self, org: Id<Organisation>, at: Timestamp) -> Result<Total, ContentError> {
        let period = Period::Month.name(at);
        let ledger = self.targets.books().ledger();
        let spent = ledger.spent(org, &Scope::Organisation, &period).await?;
        Ok(Total { period, spent })
    }

    /// The organisation's calls, the newest first; a page may be short where others' calls stand between.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn calls(
        &self,
        org: Id<Organisation>,
        whose: Whose,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<CallRecord>, Option<Cursor>), ContentError> {
        let (calls, next) = self
            .targets
            .books()
            .ledger()
            .calls(org, limit, after)
            .await?;
        let mine = calls.into_iter().filter(|call| whose.fits(call));
        Ok((mine.collect(), next))
    }
}

fn refused(error: BudgetError) -> ContentError {
    match error {
        BudgetError::Changed => ContentError::VersionMismatch,
        BudgetError::Negative => ContentError::invalid(
            "/limit_micros",
            domain::Text::fixed("No puede ser negativo", "Must not be negative"),
        ),
        BudgetError::Port(error) => error.into(),
    }
}
