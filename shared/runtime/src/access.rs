//! Who may call which route, read from the API's own description and enforced before any handler.

use std::collections::HashMap;

use domain::Caller;
use http::Method;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;

use crate::context::{Context, Verdict};
use crate::problem::{self, Code, Problem};

/// The security scheme of a route that people and programs may call: what a handler declares.
pub const SCHEME: &str = "token";

/// The security scheme of a route that is for people only: about their sessions, or about keys.
pub const PEOPLE_SCHEME: &str = "session";

/// The other half of [`SCHEME`]: the description says it wherever `token` stands.
pub const KEY_SCHEME: &str = "api_key";

/// What a route asks of its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Somebody with all of these permissions; with none listed, anybody who signed in or has a key.
    Needs(Vec<String>),
    /// The same, but a person who signed in: no key opens it.
    NeedsPerson(Vec<String>),
}

/// A route that the description says nothing about, or something that cannot be enforced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{method} {path} declares no security; write security(()) if it is for everybody")]
pub struct Undeclared {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
}

/// The access rule of every route of an API.
#[derive(Clone, Debug, Default)]
pub struct AccessTable(HashMap<(Method, String), Access>);

impl AccessTable {
    /// Reads the rules from a description.
    pub fn read(description: &OpenApi) -> Result<Self, Undeclared> {
        let mut table = HashMap::new();
        for (method, path, operation) in operations(description) {
            let access = declared(operation).ok_or_else(|| Undeclared {
                method: method.to_string(),
                path: path.to_owned(),
            })?;
            table.insert((method, path.to_owned()), access);
        }
        Ok(Self(table))
    }

    /// Every route with its rule, for the matrix test of role by route.
    pub fn rows(&self) -> impl Iterator<Item = (&Method, &str, &Access)> {
        self.0
            .iter()
            .map(|((method, path), access)| (method, path.as_str(), access))
    }

    /// Whether the request may go on. What is not in the table may not.
    pub(crate) fn check(&self, context: &Context, route: &str) -> Result<(), Problem> {
        match self.0.get(&(context.method.clone(), route.to_owned())) {
            Some(Access::Public) => Ok(()),
            Some(Access::Needs(permissions)) => authorise(context, permissions),
            Some(Access::NeedsPerson(permissions)) => person(context, permissions),
            None => Err(self.no_such_method(route)),
        }
    }

    fn no_such_method(&self, route: &str) -> Problem {
        let mut allowed: Vec<&str> = self
            .0
            .keys()
            .filter(|(_, path)| path == route)
            .map(|(method, _)| method.as_str())
            .collect();
        allowed.sort_unstable();
        Problem::new(&problem::METHOD_NOT_ALLOWED).header(http::header::ALLOW, &allowed.join(", "))
    }
}

/// All operations of a description.
pub fn operations(description: &OpenApi) -> Vec<(Method, &str, &Operation)> {
    let mut found = Vec::new();
    for (path, item) in &description.paths.paths {
        for (method, operation) in [
            (Method::GET, &item.get),
            (Method::POST, &item.post),
            (Method::PUT, &item.put),
            (Method::PATCH, &item.patch),
            (Method::DELETE, &item.delete),
        ] {
            if let Some(operation) = operation {
                found.push((method, path.as_str(), operation));
            }
        }
    }
    found
}

/// The crate's requirement type hides its content, so it is read in the form in which it is published.
pub(crate) fn declared(operation: &Operation) -> Option<Access> {
    let requirements = serde_json::to_value(operation.security.as_ref()?).ok()?;
    let first = requirements.as_array()?.first()?.as_object()?;
    if first.is_empty() {
        return Some(Access::Public);
    }
    let needs = |scheme| serde_json::from_value(first.get(scheme)?.clone()).ok();
    needs(SCHEME)
        .map(Access::Needs)
        .or_else(|| needs(PEOPLE_SCHEME).map(Access::NeedsPerson))
}

/// The kind of credential first: whoever holds a key has to hear that no permission would help.
fn person(context: &Context, permissions: &[String]) -> Result<(), Problem> {
    if context
        .caller()
        .is_some_and(|caller| caller.session.is_none())
    {
        return Err(Problem::new(&problem::PERSON_REQUIRED));
    }
    authorise(context, permissions)
}

fn authorise(context: &Context, permissions: &[String]) -> Result<(), Problem> {
    let caller = match &context.authorizer {
        Some(Verdict::Caller(caller)) => caller,
        Some(Verdict::Refused(code)) => {
            return Err(Problem::new(refusal(code)).header(CHALLENGE, BEARER));
        }
        None => return Err(Problem::new(&problem::TOKEN_MISSING).header(CHALLENGE, BEARER)),
    };
    if permissions.iter().all(|permission| caller.may(permission)) {
        Ok(())
    } else {
        Err(denied(caller))
    }
}

const CHALLENGE: http::HeaderName = http::header::WWW_AUTHENTICATE;
const BEARER: &str = "Bearer";

/// The authorizer names a code; one that this function does not know refuses all the same.
fn refusal(code: &str) -> &'static Code {
    [
        &problem::TOKEN_MISSING,
        &problem::TOKEN_EXPIRED,
        &problem::WRONG_TOKEN_USE,
        &problem::API_KEY_INVALID,
        &problem::CREDENTIALS_AMBIGUOUS,
        &problem::SESSION_REVOKED,
        &problem::NOT_A_MEMBER,
    ]
    .into_iter()
    .find(|known| known.code == code)
    .unwrap_or(&problem::TOKEN_INVALID)
}

fn denied(caller: &Caller) -> Problem {
    tracing::info!(actor = caller.actor(), "permission denied");
    Problem::new(&problem::PERMISSION_DENIED)
}
