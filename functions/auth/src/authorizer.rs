//! Who calls: the word that every function relies on.
//!
//! API Gateway asks before each request that is not public. The answer is always "authorised", with a
//! context that says who calls or why nobody does: the gateway's own refusal would be no problem
//! document, and the function refuses whatever has no caller. If something of ours fails there is no
//! answer at all, which the gateway turns into a 500; there is no way from a failure to a caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::id::{Id, Organisation, Session, User};
use domain::{Caller, Membership, OrganisationRole};
use jiff::{SignedDuration, Timestamp};
use ports::PortError;
use ports::clock::Clock;
use ports::table::{Item, Key, Table};
use serde::{Deserialize, Serialize};

use crate::account::{self, Person};
use crate::jwks::{KeySet, NoKeys};
use crate::session::{self, SessionRow};
use crate::token::{TokenError, Verifier};

/// How long what was read about a session is believed. Revocation has to arrive within five seconds; the
/// fifth is for the request that was on its way.
const BELIEVED: SignedDuration = SignedDuration::from_secs(4);

/// Sessions that one process remembers; beyond that it begins anew, which costs reads and nothing else.
const REMEMBERED: usize = 10_000;

/// The part of the gateway's question (payload 2.0) that the answer depends on.
#[derive(Clone, Debug, Deserialize)]
pub struct Question {
    /// Header names are lower case.
    #[serde(default)]
    pub headers: HashMap<String, String>,
}

/// The answer (simple response).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Always; see above.
    pub is_authorized: bool,
    /// Who calls, or why nobody does.
    pub context: Verdict,
}

/// What the function gets to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// A [`Caller`] as JSON.
    Caller(String),
    /// The code of the problem that the function answers with.
    Refused(&'static str),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizerError {
    /// The user pool's keys cannot be had.
    #[error(transparent)]
    NoKeys(#[from] NoKeys),
    /// A table failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A caller cannot be written as JSON, which is a mistake in the program.
    #[error("a caller cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
}

/// Answers the gateway's questions.
pub struct Authorizer {
    /// The strict verifier.
    pub verifier: Verifier,
    /// The user pool's keys.
    pub keys: KeySet,
    /// Accounts and sessions; read only.
    pub accounts: Arc<dyn Table>,
    /// Memberships; read only.
    pub members: Arc<dyn Table>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What was read a moment ago.
    pub recent: Recent,
}

/// What was read about sessions and members in the last seconds.
#[derive(Debug, Default)]
pub struct Recent(Mutex<HashMap<Asked, (Timestamp, Found)>>);

/// What was asked: a session, and the organisation that it wants to act for.
type Asked = (Id<Session>, Option<Id<Organisation>>);

/// What the tables say of a session: who its person is and what they are.
type Found = Result<Caller, &'static str>;

impl Authorizer {
    /// Says who calls.
    ///
    /// # Errors
    /// If it cannot be known. The gateway answers the request with a 500.
    pub async fn answer(&self, question: &Question) -> Result<Answer, AuthorizerError> {
        let context = match self.caller(question).await? {
            Ok(caller) => Verdict::Caller(serde_json::to_string(&caller)?),
            Err(code) => Verdict::Refused(code),
        };
        Ok(Answer {
            is_authorized: true,
            context,
        })
    }

    async fn caller(&self, question: &Question) -> Result<Found, AuthorizerError> {
        let Some(token) = question.bearer() else {
            return Ok(Err("token_missing"));
        };
        let token = match self.keys.verify(&self.verifier, token).await? {
            Ok(token) => token,
            Err(error) => {
                // The exact reason is for whoever runs the fleet; an attacker needs no advice.
                tracing::info!(reason = error.code(), "an access token was refused");
                return Ok(Err(refusal(error)));
            }
        };
        let Some(session) = token.session_id() else {
            return Ok(Err("session_revoked"));
        };
        let organisation = match question.header("x-organisation").map(str::parse) {
            None => None,
            Some(Ok(organisation)) => Some(organisation),
            Some(Err(_)) => return Ok(Err("not_a_member")),
        };
        let now = self.clock.now();
        if let Some(known) = self.recent.get((session, organisation), now) {
            return Ok(known.and_then(|caller| {
                if caller.user == token.user {
                    Ok(caller)
                } else {
                    Err("session_revoked")
                }
            }));
        }
        let found = self.find(token.user, session, organisation, now).await?;
        self.recent.put((session, organisation), now, found.clone());
        Ok(found)
    }

    /// Reads who the person is, all rows at once.
    async fn find(
        &self,
        user: Id<User>,
        session: Id<Session>,
        organisation: Option<Id<Organisation>>,
        now: Timestamp,
    ) -> Result<Found, AuthorizerError> {
        let (session_key, account_key) = (session::key(user, session), account::key(user));
        let (session_row, account_row, membership) = tokio::join!(
            self.accounts.get(&session_key),
            self.accounts.get(&account_key),
            self.membership(user, organisation),
        );
        let membership = membership?;
        let (Some(session_row), Some(account_row)) = (session_row?, account_row?) else {
            return Ok(Err("session_revoked"));
        };
        let person: Person = account_row.parse()?;
        if !session_row
            .parse::<SessionRow>()?
            .is_alive(now, person.cut_off(now))
        {
            return Ok(Err("session_revoked"));
        }
        let account = person.account;
        let (active, role) = match organisation {
            // Whoever signed up owns the organisation that signing up made.
            None => (account.organisation, OrganisationRole::Owner),
            Some(personal) if personal == account.organisation => {
                (personal, OrganisationRole::Owner)
            }
            Some(other) => match membership {
                Some(membership) => (other, membership.role),
                None => return Ok(Err("not_a_member")),
            },
        };
        Ok(Ok(Caller::new(
            user,
            active,
            session,
            account.platform_role,
            Some(role),
        )))
    }

    async fn membership(
        &self,
        user: Id<User>,
        organisation: Option<Id<Organisation>>,
    ) -> Result<Option<Membership>, PortError> {
        let Some(organisation) = organisation else {
            return Ok(None);
        };
        let row = self
            .members
            .get(&Key::new(organisation, Membership::sort(user)))
            .await?;
        row.as_ref().map(Item::parse).transpose()
    }
}

/// What the function tells the caller. The finer reasons are one to them: not a token of ours.
fn refusal(error: TokenError) -> &'static str {
    match error {
        TokenError::Expired => "token_expired",
        TokenError::TokenUse => "wrong_token_use",
        _ => "token_invalid",
    }
}

impl Question {
    /// The bearer token (RFC 6750, 2.1). The scheme knows no case (RFC 9110, 11.1).
    fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl Recent {
    fn get(&self, key: (Id<Session>, Option<Id<Organisation>>), now: Timestamp) -> Option<Found> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, found) = recent.get(&key)?;
        let age = now.duration_since(*read_at);
        (SignedDuration::ZERO..BELIEVED)
            .contains(&age)
            .then(|| found.clone())
    }

    fn put(&self, key: (Id<Session>, Option<Id<Organisation>>), now: Timestamp, found: Found) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= REMEMBERED {
            recent.clear();
        }
        recent.insert(key, (now, found));
    }
}

#[cfg(test)]
mod tests;
