//! `ETag` and `If-Match` (RFC 9110): a change made on an old reading is refused, not merged.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderName, header};

use crate::problem::{self, Problem};

/// The header that carries a resource's version.
pub fn etag(version: u64) -> (HeaderName, String) {
    (header::ETAG, format!("\"v{version}\""))
}

/// The caller's `If-Match`, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// Goes on if the header is absent, `*`, or names this version.
    pub fn check(&self, version: u64) -> Result<(), Problem> {
        let current = etag(version).1;
        let matches = |list: &str| {
            list.split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag == current)
        };
        match &self.0 {
            Some(list) if !matches(list) => Err(Problem::new(&problem::VERSION_MISMATCH)),
            _ => Ok(()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let value = parts
            .headers
            .get(header::IF_MATCH)
            .and_then(|v| v.to_str().ok());
        Ok(Self(value.map(str::to_owned)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_current_version_matches() {
        for (header, passes) in [
            (None, true),
            (Some("*"), true),
            (Some("\"v2\", \"v3\""), true),
            (Some("\"v2\""), false),
        ] {
            assert_eq!(
                IfMatch(header.map(str::to_owned)).check(3).is_ok(),
                passes,
                "{header:?}"
            );
        }
    }
}
