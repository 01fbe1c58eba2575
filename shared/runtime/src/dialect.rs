//! The shape in which a route's refusals are written: a problem document, or what clients of another API
//! expect of a route that speaks that API.
//!
//! A route says so in its own description: `extensions(("x-errors" = json!("openai")))`. Then the refusals
//! of the platform itself (no token, no permission, too many requests) have that shape too.

use std::collections::HashMap;

use http::Method;
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

use crate::access::operations;
use crate::problem::ProblemBody;

/// The extension of a route's description.
const EXTENSION: &str = "x-errors";

/// A shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// RFC 9457.
    #[default]
    Problem,
    /// `{"error": {"message", "type", "param", "code"}}`.
    OpenAi,
}

/// The routes that have another shape than the usual one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dialects(HashMap<(Method, String), Dialect>);

impl Dialects {
    /// Reads them from a description.
    pub fn read(description: &OpenApi) -> Self {
        let spoken = operations(description)
            .into_iter()
            .filter(|(_, _, operation)| {
                let extensions = operation.extensions.as_ref();
                extensions.and_then(|all| all.get(EXTENSION)) == Some(&json!("openai"))
            });
        Self(
            spoken
                .map(|(method, path, _)| ((method, path.to_owned()), Dialect::OpenAi))
                .collect(),
        )
    }

    /// That of a route.
    pub fn of(&self, method: &Method, route: Option<&str>) -> Dialect {
        let known = route.and_then(|route| self.0.get(&(method.clone(), route.to_owned())));
        known.copied().unwrap_or_default()
    }
}

impl Dialect {
    /// The media type of a refusal.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Problem => "application/problem+json",
            Self::OpenAi => "application/json",
        }
    }

    /// The octets of a refusal.
    pub fn write(self, body: &ProblemBody) -> Vec<u8> {
        let written = match self {
            Self::Problem => serde_json::to_vec(body),
            Self::OpenAi => serde_json::to_vec(&openai(body)),
        };
        written.unwrap_or_default()
    }
}

fn openai(body: &ProblemBody) -> Value {
    let kind = match body.status {
        402 => "insufficient_quota",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let param = body.errors.first().map(|error| error.pointer.as_str());
    json!({"error": {"message": body.detail, "type": kind, "param": param, "code": body.code}})
}
