//! One sign-in on one device, alive over many refreshes.
//!
//! Its id is the pool's `origin_jti`, which every access token of that sign-in carries: the authorizer
//! finds the row without anything being added to the token.

use domain::id::{Id, Session, User};
use jiff::{SignedDuration, Timestamp};
use ports::table::Key;
use serde::{Deserialize, Serialize};

/// The beginning of a session's sort key.
pub const SORT_PREFIX: &str = "session#";

/// A session ends that long after the sign-in, whatever happens; the pool's own token ends then too.
pub const TIMEBOX: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A session ends when nobody refreshed it for that long.
pub const INACTIVITY: SignedDuration = SignedDuration::from_hours(14 * 24);

/// How long a refresh token is still taken after its successor was used: two tabs of one browser wake up
/// together and both send the one that they had, and the faster one may be a step ahead.
pub const GRACE: SignedDuration = SignedDuration::from_secs(10);

/// How many exchanged generations are remembered for their grace.
const REMEMBERED: usize = 16;

/// The row of a session. Nothing in it can be replayed: the pool's token is encrypted, and our refresh
/// tokens are not stored at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Which.
    pub session: Id<Session>,
    /// Whose.
    pub user: Id<User>,
    /// When the password was given.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub refreshed_at: Timestamp,
    /// The refresh token that counts is that many exchanges old; the first is 1.
    pub generation: u32,
    /// The generations that were exchanged within the grace, oldest first.
    #[serde(default)]
    pub exchanged: Vec<Exchanged>,
    /// The pool's refresh token, encrypted under this session's id, in base64. Gone once the session ends.
    pub pool_token: String,
    /// When it was ended.
    pub ended_at: Option<Timestamp>,
}

/// A generation that gave way to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchanged {
    /// Which.
    pub generation: u32,
    /// When.
    pub at: Timestamp,
}

/// What a refresh token of some generation deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the current one: exchange it.
    Exchange,
    /// It was exchanged, and its holder may honestly not know: hand out the current one again.
    HandOutAgain,
    /// Its rightful holder has used the successor: somebody else has a copy.
    Reuse,
    /// There has never been such a generation.
    Unknown,
}

/// The key of a session's row.
pub fn key(user: Id<User>, session: Id<Session>) -> Key {
    Key::new(user, format!("{SORT_PREFIX}{session}"))
}

impl SessionRow {
    /// Whether access tokens of this session are still good, given the account's cut-off.
    pub fn is_alive(&self, now: Timestamp, not_before: Option<Timestamp>) -> bool {
        self.ended_at.is_none() && !self.is_cut_off(not_before) && now < self.ends_at()
    }

    /// Whether the person signed out everywhere, or set a new password, after this sign-in.
    pub(crate) fn is_cut_off(&self, not_before: Option<Timestamp>) -> bool {
        not_before.is_some_and(|cut| self.created_at <= cut)
    }

    /// When it is over if nobody refreshes it.
    pub(crate) fn ends_at(&self) -> Timestamp {
        let timebox = self
            .created_at
            .saturating_add(TIMEBOX)
            .unwrap_or(Timestamp::MAX);
        let inactivity = self
            .refreshed_at
            .saturating_add(INACTIVITY)
            .unwrap_or(Timestamp::MAX);
        timebox.min(inactivity)
    }

    /// Judges by evidence. That the parent of the current generation comes back, and the current one
    /// never did, means that the answer which carried the current one was lost. That an older one comes
    /// back means that somebody used its successor, so two hold the session; only tabs that woke up in
    /// the same moment as the one that used it do that honestly.
    pub(crate) fn judge(&self, generation: u32, now: Timestamp) -> Verdict {
        if generation == self.generation {
            return Verdict::Exchange;
        }
        if generation == 0 || generation > self.generation {
            return Verdict::Unknown;
        }
        let just_now = self
            .exchanged
            .iter()
            .any(|old| old.generation == generation + 1 && now.duration_since(old.at) <= GRACE);
        if generation + 1 == self.generation || just_now {
            Verdict::HandOutAgain
        } else {
            Verdict::Reuse
        }
    }

    /// The row after an exchange.
    pub(crate) fn exchange(&self, now: Timestamp) -> Self {
        let recent = |old: &&Exchanged| now.duration_since(old.at) <= GRACE;
        let mut exchanged: Vec<_> = self.exchanged.iter().filter(recent).copied().collect();
        exchanged.push(Exchanged {
            generation: self.generation,
            at: now,
        });
        let forgotten = exchanged.len().saturating_sub(REMEMBERED);
        exchanged.drain(..forgotten);
        Self {
            generation: self.generation.saturating_add(1),
            refreshed_at: now,
            exchanged,
            ..self.clone()
        }
    }

    /// The row after the session was ended.
    pub(crate) fn end(&self, now: Timestamp) -> Self {
        Self {
            ended_at: Some(now),
            pool_token: String::new(),
            exchanged: Vec::new(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_323_045 + second).unwrap()
    }

    fn row() -> SessionRow {
        SessionRow {
            session: Id::new(Uuid::from_u128(2)),
            user: Id::new(Uuid::from_u128(1)),
            created_at: at(0),
            refreshed_at: at(0),
            generation: 1,
            exchanged: vec![],
            pool_token: "x".into(),
            ended_at: None,
        }
    }

    #[test]
    fn the_parent_of_an_unused_token_is_a_lost_answer_however_late() {
        let row = row().exchange(at(900));

        assert_eq!(row.judge(2, at(901)), Verdict::Exchange);
        assert_eq!(row.judge(1, at(900 + 13 * 86_400)), Verdict::HandOutAgain);
    }

    #[test]
    fn an_older_token_is_reuse_unless_its_successor_was_used_this_moment() {
        let row = row().exchange(at(0)).exchange(at(4)).exchange(at(8));

        assert_eq!(row.judge(2, at(18)), Verdict::HandOutAgain);
        assert_eq!(row.judge(1, at(14)), Verdict::HandOutAgain);
        assert_eq!(row.judge(1, at(15)), Verdict::Reuse);
        assert_eq!(row.judge(5, at(15)), Verdict::Unknown);
        assert_eq!(row.judge(0, at(15)), Verdict::Unknown);
    }

    #[test]
    fn a_tab_that_wakes_up_after_a_lost_answer_may_be_behind_a_faster_one() {
        let lost = row().exchange(at(0));
        let faster = lost.exchange(at(3600));

        assert_eq!(faster.judge(1, at(3601)), Verdict::HandOutAgain);
        assert_eq!(faster.judge(1, at(3611)), Verdict::Reuse);
    }

    #[test]
    fn a_row_does_not_grow_with_its_refreshes() {
        let row = (0..100).fold(row(), |row, n| row.exchange(at(n / 50)));

        assert_eq!(row.generation, 101);
        assert_eq!(row.exchanged.len(), REMEMBERED);
    }

    #[test]
    fn a_session_ends_by_age_by_rest_and_by_the_accounts_cut_off() {
        let row = row();

        assert!(row.is_alive(at(14 * 86_400 - 1), None));
        assert!(!row.is_alive(at(14 * 86_400), None));
        let busy = SessionRow {
            refreshed_at: at(29 * 86_400),
            ..row.clone()
        };
        assert!(busy.is_alive(at(30 * 86_400 - 1), None));
        assert!(!busy.is_alive(at(30 * 86_400), None));
        assert!(row.is_alive(at(1), Some(at(-1))));
        assert!(!row.is_alive(at(1), Some(at(0))));
        assert!(!row.end(at(1)).is_alive(at(1), None));
    }
}
