//! Who calls: the word that every function relies on.
//!
//! API Gateway asks before each request that is not public. The answer is always "authorised", with a
//! context that says who calls or why nobody does: the gateway's own refusal would be no problem
//! document, and the function refuses whatever has no caller. If something of ours fails there is no
//! answer at all, which the gateway turns into a 500; there is no way from a failure to a caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::id::{ApiKey, Id, IdError, Organisation, Session, User};
use domain::{Account, Caller, Membership, OrganisationRole};
use jiff::{SignedDuration, Timestamp};
use ports::PortError;
use ports::clock::Clock;
use ports::secrets::Secrets;
use ports::table::{Item, Key, Table};
use serde::{Deserialize, Serialize};

use crate::account::{self, Person};
use crate::api_key::{self, ApiKeyRow, Hash, KeyText};
use crate::api_keys;
use crate::jwks::{KeySet, NoKeys};
use crate::session::{self, SessionRow};
use crate::token::{TokenError, Verifier};

/// How long what was read about a session or a key is believed. Revocation has to arrive within five seconds; the
/// fifth is for the request that was on its way.
const BELIEVED: SignedDuration = SignedDuration::from_secs(4);

/// Sessions and keys that one process remembers; beyond that it begins anew, which costs reads and nothing else.
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
    /// A table or a secret failed.
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
    /// Accounts, sessions and keys; read only.
    pub accounts: Arc<dyn Table>,
    /// Memberships; read only.
    pub members: Arc<dyn Table>,
    /// Where it is noted when a key was used.
    pub usage: Arc<dyn Table>,
    /// Holds the secret that keys are hashed with.
    pub secrets: Arc<dyn Secrets>,
    /// That secret's id.
    pub key_secret_id: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What was read a moment ago.
    pub recent: Recent,
}

/// What was read about sessions, keys and members in the last seconds.
#[derive(Debug, Default)]
pub struct Recent {
    found: Mutex<HashMap<Asked, (Timestamp, Found)>>,
    /// The hour in which this process last noted that a key was used.
    noted: Mutex<HashMap<Id<ApiKey>, i64>>,
}

/// What was asked about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asked {
    /// A session, and the organisation that it wants to act for.
    Session(Id<Session>, Option<Id<Organisation>>),
    /// A key: nothing but its hash, since one that has another secret is another.
    Key(Hash),
}

/// What a request shows to prove who sends it.
enum Credential<'a> {
    Token(&'a str),
    Key(&'a str),
}

/// What the tables say of a session or a key: who its person is and what they are.
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
        match question.credential() {
            Err(code) => Ok(Err(code)),
            Ok(Credential::Token(token)) => self.person(question, token).await,
            Ok(Credential::Key(text)) => self.program(question, text).await,
        }
    }

    async fn person(&self, question: &Question, token: &str) -> Result<Found, AuthorizerError> {
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
        let Ok(organisation) = question.organisation() else {
            return Ok(Err("not_a_member"));
        };
        let now = self.clock.now();
        let asked = Asked::Session(session, organisation);
        if let Some(known) = self.recent.get(&asked, now) {
            return Ok(known.and_then(|caller| {
                if caller.user == token.user {
                    Ok(caller)
                } else {
                    Err("session_revoked")
                }
            }));
        }
        let found = self.find(token.user, session, organisation, now).await?;
        self.recent.put(asked, now, found.clone());
        Ok(found)
    }

    /// Unknown, revoked, past its time, of somebody who left: one answer, and until the secret is proven one
    /// amount of work, so that an id tells nothing.
    async fn program(&self, question: &Question, text: &str) -> Result<Found, AuthorizerError> {
        let Some(key) = KeyText::parse(text) else {
            return Ok(Err(NO_KEY));
        };
        match question.organisation() {
            Ok(None) => {}
            Ok(Some(organisation)) if organisation == key.organisation => {}
            _ => return Ok(Err("not_a_member")),
        }
        let hash = key.hash(&self.secrets.get(&self.key_secret_id).await?);
        let now = self.clock.now();
        let asked = Asked::Key(hash.clone());
        if let Some(known) = self.recent.get(&asked, now) {
            return Ok(known);
        }
        let row = self
            .accounts
            .get(&api_key::key(key.organisation, key.id))
            .await?;
        let row: Option<ApiKeyRow> = row.as_ref().map(Item::parse).transpose()?;
        let admitted = row.and_then(|row| Some((row.admits(&hash, now)?, row)));
        let Some((person, row)) = admitted else {
            tracing::info!(key = %key.id, "an API key was refused");
            return Ok(Err(NO_KEY));
        };
        let found = self.find_key(&row, person, now).await?;
        // A refusal is not kept: whoever sends many wrong keys must not push the right ones out.
        if found.is_ok() {
            self.recent.put(asked, now, found.clone());
        }
        Ok(found)
    }

    /// Reads what the person behind a key is, and notes that the key is used.
    async fn find_key(
        &self,
        row: &ApiKeyRow,
        person: Id<User>,
        now: Timestamp,
    ) -> Result<Found, AuthorizerError> {
        let account_key = account::key(person);
        let (account, membership, ()) = tokio::join!(
            self.accounts.get(&account_key),
            self.membership(person, Some(row.organisation)),
            self.note_use(row, now),
        );
        let (account, membership) = (account?, membership?);
        let account: Option<Person> = account.as_ref().map(Item::parse).transpose()?;
        let Some(Person { account, .. }) = account else {
            return Ok(Err(NO_KEY));
        };
        let role = role_in(&account, row.organisation, membership.as_ref());
        Ok(role.ok_or(NO_KEY).map(|role| {
            Caller::with_key(
                person,
                row.organisation,
                row.id,
                &row.permissions,
                account.platform_role,
                role,
            )
        }))
    }

    /// Once an hour and process. If it fails the request goes on: it is a hint for people who look for keys
    /// that nobody needs any more.
    async fn note_use(&self, row: &ApiKeyRow, now: Timestamp) {
        if self.recent.is_noted(row.id, now) {
            return;
        }
        match self
            .usage
            .count(api_keys::used(row.organisation, row.id, now))
            .await
        {
            Ok(_) => self.recent.note(row.id, now),
            Err(error) => tracing::warn!(%error, key = %row.id, "the use of a key was not noted"),
        }
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
        let active = organisation.unwrap_or(account.organisation);
        let Some(role) = role_in(&account, active, membership.as_ref()) else {
            return Ok(Err("not_a_member"));
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

/// The one refusal of a key.
const NO_KEY: &str = "api_key_invalid";

/// What a person is in an organisation. Whoever signed up owns the organisation that signing up made.
fn role_in(
    account: &Account,
    organisation: Id<Organisation>,
    membership: Option<&Membership>,
) -> Option<OrganisationRole> {
    if organisation == account.organisation {
        return Some(OrganisationRole::Owner);
    }
    membership.map(|membership| membership.role)
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
    /// The one thing that the request shows. With two of them it would be up to us whose word counts, and a
    /// proxy that checks one might have meant the other.
    fn credential(&self) -> Result<Credential<'_>, &'static str> {
        match (self.header("x-api-key"), self.header("authorization")) {
            (Some(_), Some(_)) => Err("credentials_ambiguous"),
            (Some(key), None) => Ok(Credential::Key(key)),
            (None, _) => match self.bearer() {
                None => Err("token_missing"),
                Some(key) if key.starts_with(api_key::PREFIX) => Ok(Credential::Key(key)),
                Some(token) => Ok(Credential::Token(token)),
            },
        }
    }

    /// The organisation that the caller wants to act for, if the request names one.
    fn organisation(&self) -> Result<Option<Id<Organisation>>, IdError> {
        self.header("x-organisation").map(str::parse).transpose()
    }

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
    fn get(&self, asked: &Asked, now: Timestamp) -> Option<Found> {
        let recent = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, found) = recent.get(asked)?;
        let age = now.duration_since(*read_at);
        (SignedDuration::ZERO..BELIEVED)
            .contains(&age)
            .then(|| found.clone())
    }

    fn put(&self, asked: Asked, now: Timestamp, found: Found) {
        let mut recent = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= REMEMBERED {
            recent.clear();
        }
        recent.insert(asked, (now, found));
    }

    fn is_noted(&self, key: Id<ApiKey>, now: Timestamp) -> bool {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get(&key) == Some(&api_keys::hour(now))
    }

    fn note(&self, key: Id<ApiKey>, now: Timestamp) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= REMEMBERED {
            noted.clear();
        }
        noted.insert(key, api_keys::hour(now));
    }
}

#[cfg(test)]
mod tests;
