//! What a client says.

use std::collections::BTreeMap;

use domain::Text;
use runtime::{Problem, json};
use serde::Deserialize;

use crate::problems;

/// The longest message, in octets.
const LARGEST: usize = 8 * 1024;

/// A message.
#[derive(Debug)]
pub enum Message {
    Ping,
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Ack(Ack),
    Auth(Auth),
}

impl Message {
    /// The name of what it asks for.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Subscribe(_) => "subscribe",
            Self::Unsubscribe(_) => "unsubscribe",
            Self::Ack(_) => "ack",
            Self::Auth(_) => "auth",
        }
    }
}

/// What every message has.
#[derive(Debug, Deserialize)]
struct Action {
    action: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ping {
    #[serde(rename = "action")]
    _action: String,
}

/// To listen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    #[serde(rename = "action")]
    _action: String,
    /// To what.
    pub channels: Vec<String>,
    /// From where on.
    since: Option<Since>,
}

/// From where on, for all channels or for each.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a cursor, \"ack\", \"now\", or one of these for each channel"
)]
enum Since {
    All(From),
    Each(BTreeMap<String, From>),
}

/// From where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum From {
    /// Behind this cursor.
    Cursor(u64),
    /// From a place that is not known by number.
    Place(Place),
}

/// A place in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Behind what the person acknowledged.
    Ack,
    /// Its end.
    Now,
}

impl Subscribe {
    /// From where on a channel is to be told: everything that is kept, if nothing was said.
    pub fn from(&self, name: &str) -> From {
        match &self.since {
            Some(Since::All(from)) => Some(*from),
            Some(Since::Each(each)) => each.get(name).copied(),
            None => None,
        }
        .unwrap_or(From::Cursor(0))
    }

    /// The channels that `since` names and `channels` does not.
    pub fn strays(&self) -> Vec<&String> {
        match &self.since {
            Some(Since::Each(each)) => each
                .keys()
                .filter(|name| !self.channels.contains(name))
                .collect(),
            _ => vec![],
        }
    }
}

/// To listen no longer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsubscribe {
    #[serde(rename = "action")]
    _action: String,
    /// To what.
    pub channels: Vec<String>,
}

/// To have read so far.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    #[serde(rename = "action")]
    _action: String,
    /// How far.
    pub cursor: u64,
    /// Of what; may be left out by whoever listens to one channel.
    pub channel: Option<String>,
}

/// To go on with a new ticket.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    #[serde(rename = "action")]
    _action: String,
    /// The ticket.
    pub ticket: String,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth")
    }
}

/// Reads a message; with a problem, the action if there was one.
#[expect(
    clippy::result_large_err,
    reason = "it is looked at once and kept nowhere"
)]
pub fn read(text: &str) -> Result<Message, (Problem, Option<String>)> {
    let octets = text.as_bytes();
    if octets.len() > LARGEST {
        let detail = Text::fixed("Como máximo 8 KiB", "At most 8 KiB");
        return Err((
            Problem::new(&problems::MESSAGE_TOO_LARGE).detail(detail),
            None,
        ));
    }
    let Action { action } = json::parse(octets).map_err(|problem| (problem, None))?;
    let message = match action.as_str() {
        "ping" => json::parse::<Ping>(octets).map(|_| Message::Ping),
        "subscribe" => json::parse(octets).map(Message::Subscribe),
        "unsubscribe" => json::parse(octets).map(Message::Unsubscribe),
        "ack" => json::parse(octets).map(Message::Ack),
        "auth" => json::parse(octets).map(Message::Auth),
        _ => {
            let known = "ping, subscribe, unsubscribe, ack, auth";
            let detail = Text::with(
                format!("Las acciones son: {known}"),
                format!("The actions are: {known}"),
            );
            let problem = Problem::new(&problems::ACTION_UNKNOWN).field("/action", detail);
            return Err((problem, None));
        }
    };
    message.map_err(|problem| (problem, Some(action)))
}
