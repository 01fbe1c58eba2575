//! One exchange with one endpoint, and what a failure means: whether asking again helps, whom, when, and
//! whether it may have cost something.

use std::time::Duration;

use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::target::Target;

/// The largest answer that is read, in octets.
const LARGEST: usize = 16 * 1024 * 1024;

/// The largest error that is read, in octets.
const LARGEST_ERROR: usize = 64 * 1024;

/// What an exchange came to instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}")]
pub(crate) struct Failure {
    /// A stable word for it.
    pub code: &'static str,
    /// What to do.
    pub then: Then,
    /// Whether the endpoint may bill for it.
    pub billed: Billed,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// When the endpoint wants to be asked again.
    pub retry_after: Option<Duration>,
    /// The endpoint's own code and words, for the caller.
    pub said: Option<Said>,
}

/// What helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The same target may answer next time; so may another.
    Retry,
    /// Only another target may answer.
    Fallback,
    /// The same, and nobody else need try this target for a while: key, quota, name.
    Bench,
    /// Only a target with more room may answer.
    Larger,
    /// Nobody will answer this.
    Stop,
    /// Nobody should answer this.
    Filtered,
}

/// Whether a failed exchange costs something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Billed {
    /// Certainly not: the endpoint refused, or was never reached.
    No,
    /// Perhaps: the question was sent, and what became of it is not known.
    Perhaps,
}

/// An endpoint's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub code: Option<String>,
    pub message: String,
}

impl Failure {
    pub(crate) const fn new(code: &'static str, then: Then, billed: Billed) -> Self {
        Self {
            code,
            then,
            billed,
            status: None,
            retry_after: None,
            said: None,
        }
    }

    /// Time ran out, which an endpoint may bill: it may be answering still.
    pub(crate) const fn slow(code: &'static str) -> Self {
        Self::new(code, Then::Fallback, Billed::Perhaps)
    }

    /// The answer is of no use, and was certainly made.
    pub(crate) const fn malformed() -> Self {
        Self::new("malformed", Then::Fallback, Billed::Perhaps)
    }
}

/// Sends a question and gives the response once its head is there and says that it is one.
pub(crate) async fn post(
    client: &reqwest::Client,
    target: &Target,
    path: &str,
    body: Vec<u8>,
    head: Duration,
    total: Duration,
    now: Timestamp,
) -> Result<reqwest::Response, Failure> {
    let mut request = client
        .post(format!("{}{path}", target.base_url))
        .header(header::CONTENT_TYPE, "application/json")
        .timeout(total)
        .body(body);
    if let Some(key) = &target.key {
        request = request.bearer_auth(key.expose_secret());
    }
    let response = tokio::time::timeout(head, request.send())
        .await
        .map_err(|_| Failure::slow("timeout"))?
        .map_err(|error| unreachable_by(&error))?;
    if response.status().is_success() {
        return Ok(response);
    }
    let (status, headers) = (response.status(), response.headers().clone());
    // An error that cannot be read is judged by its status alone.
    let body = tokio::time::timeout(head, read(response, LARGEST_ERROR))
        .await
        .ok()
        .and_then(Result::ok)
        .unwrap_or_default();
    Err(refusal(status, &headers, &body, now))
}

/// The whole body of a response.
pub(crate) async fn body(response: reqwest::Response) -> Result<Vec<u8>, Failure> {
    read(response, LARGEST).await
}

async fn read(response: reqwest::Response, most: usize) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    let mut pieces = std::pin::pin!(pieces(response, most));
    while let Some(piece) = pieces.next().await {
        octets.extend_from_slice(&piece?);
    }
    Ok(octets)
}

/// The body of a response as it arrives, up to its largest size.
pub(crate) fn pieces(
    response: reqwest::Response,
    most: usize,
) -> impl futures::Stream<Item = Result<Vec<u8>, Failure>> {
    let mut left = most;
    response.bytes_stream().map(move |piece| {
        let piece = piece.map_err(|error| broken_by(&error))?;
        left = left
            .checked_sub(piece.len())
            .ok_or_else(|| Failure::new("too_large", Then::Fallback, Billed::Perhaps))?;
        Ok(piece.to_vec())
    })
}

/// The largest stream that is read, in octets.
pub(crate) const LARGEST_STREAM: usize = LARGEST;

fn unreachable_by(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        Failure::new("connect", Then::Retry, Billed::No)
    } else if error.is_timeout() {
        Failure::slow("timeout")
    } else if error.is_builder() {
        Failure::new("request", Then::Bench, Billed::No)
    } else {
        Failure::new("reset", Then::Retry, Billed::Perhaps)
    }
}

fn broken_by(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        Failure::slow("timeout")
    } else {
        Failure::new("cut", Then::Retry, Billed::Perhaps)
    }
}

/// What an error response means.
pub(crate) fn refusal(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Failure {
    let said = said(body);
    let (code, then) = meaning(status.as_u16(), &said);
    // A gateway that gave up waiting does not know whether the model behind it did.
    let billed = match status.as_u16() {
        504 | 524 => Billed::Perhaps,
        _ => Billed::No,
    };
    Failure {
        code,
        then,
        billed,
        status: Some(status.as_u16()),
        retry_after: retry_after(headers, now),
        said: Some(said),
    }
}

/// What an error means that came with status 200, in a body or in the middle of a stream.
pub(crate) fn error_in(body: &Value) -> Option<Failure> {
    let error = body.get("error").filter(|error| !error.is_null())?;
    let said = said_in(body);
    let status = error["code"]
        .as_u64()
        .or_else(|| error["status"].as_u64())
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (400..600).contains(status));
    let (code, then) = match meaning(status.unwrap_or(500), &said) {
        // The question was taken, so the next one may be taken as well.
        (code, Then::Stop) if status.is_none() => (code, Then::Fallback),
        other => other,
    };
    Some(Failure {
        code,
        then,
        billed: Billed::Perhaps,
        status,
        retry_after: None,
        said: Some(said),
    })
}

fn meaning(status: u16, said: &Said) -> (&'static str, Then) {
    let code = said.code.as_deref().unwrap_or_default();
    if is_context(code, &said.message) {
        return ("context_length", Then::Larger);
    }
    if code.contains("content_filter") || code.contains("content_policy") {
        return ("content_filter", Then::Filtered);
    }
    if status == 402 || code == "insufficient_quota" || code == "billing_hard_limit_reached" {
        return ("quota", Then::Bench);
    }
    match status {
        401 | 403 => ("key_refused", Then::Bench),
        404 => ("model_missing", Then::Bench),
        408 | 409 | 425 => ("try_again", Then::Retry),
        413 => ("too_large", Then::Larger),
        429 => ("rate_limited", Then::Retry),
        504 | 524 => ("timeout", Then::Fallback),
        500.. => ("server_error", Then::Retry),
        400..500 => ("refused", Then::Stop),
        _ => ("unexpected_status", Then::Fallback),
    }
}

fn is_context(code: &str, message: &str) -> bool {
    if code == "context_length_exceeded" || code == "exceed_context_size_error" {
        return true;
    }
    let message = message.to_ascii_lowercase();
    [
        "maximum context length",
        "context window",
        "context length exceeded",
        "prompt is too long",
    ]
    .iter()
    .any(|words| message.contains(words))
}

fn said(body: &[u8]) -> Said {
    serde_json::from_slice(body).map_or_else(|_| Said::default(), |body| said_in(&body))
}

/// `{"error": {"message", "type", "code"}}`, `{"error": "…"}` or `{"message": "…"}`: all are seen.
fn said_in(body: &Value) -> Said {
    let error = body.get("error").unwrap_or(body);
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    Said {
        code: text("code")
            .or_else(|| text("type"))
            .map(|code| short(code, 64)),
        message: short(
            text("message")
                .or_else(|| error.as_str())
                .unwrap_or_default(),
            300,
        ),
    }
}

fn short(text: &str, most: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(most)
        .collect()
}

/// `Retry-After` in seconds or as a date (RFC 9110), or in milliseconds as some endpoints write it.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(ms) = text("retry-after-ms").and_then(|ms| ms.parse().ok()) {
        return Some(Duration::from_millis(ms));
    }
    let written = text("retry-after")?;
    if let Ok(seconds) = written.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(written)
        .ok()?;
    // A date that has passed means now.
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-01-02T03:04:05Z";

    fn meaning_of(status: u16, body: &Value) -> (&'static str, Then, Billed) {
        let status = StatusCode::from_u16(status).unwrap();
        let failure = refusal(
            status,
            &HeaderMap::new(),
            body.to_string().as_bytes(),
            NOW.parse().unwrap(),
        );
        (failure.code, failure.then, failure.billed)
    }

    #[test]
    fn each_refusal_means_one_thing() {
        let none = json!({});
        let coded = |code: &str| json!({"error": {"message": "m", "type": "t", "code": code}});
        for (status, body, code, then) in [
            (400, none.clone(), "refused", Then::Stop),
            (422, none.clone(), "refused", Then::Stop),
            (
                400,
                coded("context_length_exceeded"),
                "context_length",
                Then::Larger,
            ),
            (
                400,
                json!({"error": {"code": 400, "message": "m", "type": "exceed_context_size_error"}}),
                "context_length",
                Then::Larger,
            ),
            (
                400,
                json!({"error": {"message": "This model's maximum context length is 8192 tokens"}}),
                "context_length",
                Then::Larger,
            ),
            (
                400,
                coded("content_filter"),
                "content_filter",
                Then::Filtered,
            ),
            (401, none.clone(), "key_refused", Then::Bench),
            (402, none.clone(), "quota", Then::Bench),
            (403, none.clone(), "key_refused", Then::Bench),
            (404, none.clone(), "model_missing", Then::Bench),
            (408, none.clone(), "try_again", Then::Retry),
            (409, none.clone(), "try_again", Then::Retry),
            (413, none.clone(), "too_large", Then::Larger),
            (429, none.clone(), "rate_limited", Then::Retry),
            (429, coded("insufficient_quota"), "quota", Then::Bench),
            (500, none.clone(), "server_error", Then::Retry),
            (503, none.clone(), "server_error", Then::Retry),
            (302, none.clone(), "unexpected_status", Then::Fallback),
        ] {
            assert_eq!(
                meaning_of(status, &body),
                (code, then, Billed::No),
                "{status} {body}"
            );
        }
        assert_eq!(
            meaning_of(504, &none),
            ("timeout", Then::Fallback, Billed::Perhaps)
        );
    }

    #[test]
    fn an_error_may_hide_behind_a_status_200() {
        let said = error_in(&json!({"error": {"message": "overloaded", "code": 503}})).unwrap();

        assert_eq!((said.code, said.then), ("server_error", Then::Retry));
        assert_eq!(said.billed, Billed::Perhaps);
        assert_eq!(error_in(&json!({"error": null, "choices": []})), None);
        assert_eq!(
            error_in(&json!({"error": "the model is gone"}))
                .unwrap()
                .then,
            Then::Retry
        );
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        for (name, value, expected) in [
            ("retry-after", "7", Some(7_000)),
            ("retry-after", "Fri, 02 Jan 2026 03:04:15 GMT", Some(10_000)),
            ("retry-after", "Fri, 02 Jan 2026 03:00:00 GMT", Some(0)),
            ("retry-after-ms", "250", Some(250)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());

            assert_eq!(
                retry_after(&headers, NOW.parse().unwrap()),
                expected.map(Duration::from_millis),
                "{value}"
            );
        }
    }

    #[test]
    fn an_endpoints_words_are_shortened() {
        let body = json!({"error": {"message": format!("a\n{}", "b".repeat(1000))}});

        let said = said_in(&body);

        assert_eq!(said.message.chars().count(), 300);
        assert!(!said.message.contains('\n'));
    }
}
