//! What the server says of itself; what is told on a channel is [`ports::channels::wire`]'s.

use domain::Locale;
use jiff::Timestamp;
use ports::channels::Channel;
use runtime::Problem;
use serde_json::{Value, json};

/// The answer to `ping`.
pub fn pong(until: Timestamp) -> String {
    json!({"type": "pong", "expires_at": until}).to_string()
}

/// The answer to `subscribe`: from where on each channel is told.
pub fn subscribed<'a>(seats: impl Iterator<Item = (&'a Channel, u64)>, until: Timestamp) -> String {
    let channels: Vec<Value> = seats
        .map(|(channel, cursor)| json!({"channel": channel.told_as(), "cursor": cursor}))
        .collect();
    json!({"type": "subscribed", "channels": channels, "expires_at": until}).to_string()
}

/// The answer to `unsubscribe`.
pub fn unsubscribed(channels: &[String]) -> String {
    json!({"type": "unsubscribed", "channels": channels}).to_string()
}

/// The answer to `auth`.
pub fn authenticated(until: Timestamp) -> String {
    json!({"type": "authenticated", "expires_at": until}).to_string()
}

/// A message was not done.
pub fn error(problem: &Problem, action: Option<&str>, locale: Locale) -> String {
    let body = problem.body(locale, "", "");
    let mut frame = json!({"type": "error", "code": body.code, "detail": body.detail});
    if let Some(action) = action {
        frame["action"] = json!(action);
    }
    if !body.errors.is_empty() {
        frame["errors"] = json!(body.errors);
    }
    frame.to_string()
}
