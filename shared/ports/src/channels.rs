//! What happens to one thing, told in order to whoever listens (WebSocket).
//!
//! A capability needs [`Channels`] and says `publish`. [`StoredChannels`] is the one that lives: frames
//! in a table, then pushed to open [sockets](crate::sockets); [`MemoryChannels`] is for the tests of
//! whoever publishes.

pub mod memory;
pub mod stored;
pub mod wire;

use std::fmt;

use async_trait::async_trait;
use domain::Id;
use domain::id::{Batch, Content, Document, Draft, Job, Organisation, User};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Port, PortError};

pub use memory::MemoryChannels;
pub use stored::{Seat, StoredChannels};

/// The longest frame, in octets of its JSON: with its address it has to fit a message of the gateway (128 KB).
pub const LARGEST_FRAME: usize = 96 * 1024;

/// A channel of one organisation. Another organisation's channel of the same name is another channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel {
    /// Whose it is.
    pub org: Id<Organisation>,
    /// Its name, as a subscriber writes it: `content:con_…`.
    pub name: String,
}

impl Channel {
    /// The progress of slow work.
    pub fn job(org: Id<Organisation>, id: Id<Job>) -> Self {
        Self::named(org, format!("job:{id}"))
    }

    /// The progress of a batch of documents or of texts, which is slow work too.
    pub fn batch(org: Id<Organisation>, id: Id<Batch>) -> Self {
        Self::named(org, format!("job:{id}"))
    }

    /// What becomes of a draft, which is slow work too.
    pub fn draft(org: Id<Organisation>, id: Id<Draft>) -> Self {
        Self::named(org, format!("job:{id}"))
    }

    /// What becomes of a document.
    pub fn document(org: Id<Organisation>, id: Id<Document>) -> Self {
        Self::named(org, format!("doc:{id}"))
    }

    /// The tokens of a text that is being made.
    pub fn content(org: Id<Organisation>, id: Id<Content>) -> Self {
        Self::named(org, format!("content:{id}"))
    }

    /// What a person is told; they subscribe to it as `inbox`.
    pub fn inbox(org: Id<Organisation>, user: Id<User>) -> Self {
        Self::named(org, format!("inbox:{user}"))
    }

    /// The figures of an organisation as they move.
    pub fn metrics(org: Id<Organisation>) -> Self {
        Self::named(org, format!("metrics:{org}"))
    }

    /// The name by which subscribers know it: a person's inbox is `inbox` to them, every other channel
    /// has its own [name](Self::name).
    pub fn told_as(&self) -> &str {
        match self.name.split_once(':') {
            Some((inbox @ "inbox", _)) => inbox,
            _ => &self.name,
        }
    }

    fn named(org: Id<Organisation>, name: String) -> Self {
        Self { org, name }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.name)
    }
}

/// One thing that is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// What happened, for example `content.delta` or `batch.progress`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What of it.
    pub data: Value,
}

impl Frame {
    /// This kind of frame with this content.
    pub fn new(kind: &str, data: Value) -> Self {
        Self {
            kind: kind.to_owned(),
            data,
        }
    }

    /// The frame as the JSON that is kept.
    ///
    /// # Errors
    /// [`PortError::Refused`] if it is longer than [`LARGEST_FRAME`].
    pub fn to_text(&self) -> Result<String, PortError> {
        let refused = |cause: String| PortError::Refused {
            port: Port::Channels,
            cause,
        };
        let text = serde_json::to_string(self).map_err(|error| refused(error.to_string()))?;
        if text.len() > LARGEST_FRAME {
            return Err(refused(format!("a frame of {} octets", text.len())));
        }
        Ok(text)
    }
}

/// What was told on a channel behind a cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Frames with their cursors, in order. A hole before the first or after the last of them has expired.
    pub frames: Vec<(u64, Frame)>,
    /// The cursor of the last frame that was ever told; 0 on a channel that nobody has spoken on.
    pub end: u64,
}

/// Tells subscribers.
#[async_trait]
pub trait Channels: Send + Sync {
    /// Keeps frames at the channel's end, in this order, and passes them on to whoever listens now. Whoever
    /// comes later asks for what is behind a cursor. Gives the cursor of the last frame; a channel's cursors
    /// count from 1 without a gap.
    ///
    /// # Errors
    /// [`PortError::Refused`] for a frame longer than [`LARGEST_FRAME`], of which nothing is kept. Otherwise
    /// the frames may or may not be kept. A subscriber that cannot be reached is no error.
    async fn publish(&self, channel: &Channel, frames: Vec<Frame>) -> Result<u64, PortError>;

    /// At most `limit` of the frames behind a cursor (0 is before the first). They are kept for a day.
    ///
    /// # Errors
    /// If the store fails.
    async fn since(&self, channel: &Channel, cursor: u64, limit: u32) -> Result<Told, PortError>;
}
