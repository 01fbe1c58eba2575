//! Authority as an argument: a handler that acts for somebody takes the [`Caller`].

use std::convert::Infallible;
use std::ops::Deref;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::Context;
use crate::problem::{self, Problem};

/// The person or program that asks, already checked for the route's permission.
#[derive(Clone, Debug)]
pub struct Caller(pub domain::Caller);

impl Deref for Caller {
    type Target = domain::Caller;

    fn deref(&self) -> &domain::Caller {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let context = parts.extensions.get::<Context>();
        let caller = context.and_then(Context::caller);
        caller
            .cloned()
            .map(Self)
            .ok_or_else(|| Problem::new(&problem::TOKEN_MISSING))
    }
}

impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = Infallible;

    #[expect(
        clippy::expect_used,
        reason = "only Api serves handlers, and it always sets the context"
    )]
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts
            .extensions
            .get::<Self>()
            .cloned()
            .expect("a request that came through Api"))
    }
}
