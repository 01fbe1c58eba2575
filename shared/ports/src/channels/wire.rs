//! Frames as they stand on the wire, for whoever pushes them.
//!
//! On one connection a channel's cursors come in order and without a hole that is not named by a `gap`.
//! A client that has seen cursor `n` ignores whatever comes with a cursor up to `n`: a deliverer that died
//! between pushing a frame and noting it down is the one case in which a frame comes twice.

use serde_json::json;

use super::{Channel, Frame};

/// Something was told: `{"type": "event", "channel", "id", "cursor", "event", "data"}`. The id is the same
/// for every subscriber and in every repetition.
pub fn event(channel: &Channel, cursor: u64, frame: &Frame) -> String {
    let name = channel.told_as();
    json!({
        "type": "event",
        "channel": name,
        "id": format!("{name}/{cursor}"),
        "cursor": cursor,
        "event": frame.kind,
        "data": frame.data,
    })
    .to_string()
}

/// The frames from one cursor to another, both included, are no longer kept:
/// `{"type": "gap", "channel", "from", "to"}`.
pub fn gap(channel: &Channel, from: u64, to: u64) -> String {
    json!({"type": "gap", "channel": channel.told_as(), "from": from, "to": to}).to_string()
}

/// The access token has expired; what is told waits until a new ticket comes: `{"type": "reauth"}`.
pub fn reauth() -> String {
    json!({"type": "reauth"}).to_string()
}
