//! What happens to one thing, told in order to whoever listens (WebSocket).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::Id;
use domain::id::{Batch, Content, Document, Job, Organisation, User};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::faults::Faults;
use crate::{Port, PortError};

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

    /// The progress of a batch of documents, which is slow work too.
    pub fn batch(org: Id<Organisation>, id: Id<Batch>) -> Self {
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
}

/// Tells subscribers.
#[async_trait]
pub trait Channels: Send + Sync {
    /// Keeps frames at the channel's end, in this order, and passes them on to whoever listens now. Whoever
    /// comes later asks for what is behind a cursor. Gives the cursor of the last frame; a channel's cursors
    /// count from 1 without a gap.
    ///
    /// # Errors
    /// The frames may or may not be kept. A subscriber that cannot be reached is no error.
    async fn publish(&self, channel: &Channel, frames: Vec<Frame>) -> Result<u64, PortError>;
}

/// Channels that remember what was told.
#[derive(Debug)]
pub struct MemoryChannels {
    faults: Faults,
    told: Mutex<BTreeMap<Channel, Vec<Frame>>>,
}

impl MemoryChannels {
    /// Channels on which nothing was told.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self {
            faults: Faults::of(Port::Channels),
            told: Mutex::default(),
        })
    }

    /// The failures that it is told to commit.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What was told on a channel.
    pub fn told(&self, channel: &Channel) -> Vec<Frame> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(channel).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl Channels for MemoryChannels {
    async fn publish(&self, channel: &Channel, frames: Vec<Frame>) -> Result<u64, PortError> {
        let ending = self.faults.enter()?;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let log = told.entry(channel.clone()).or_default();
        log.extend(frames);
        ending.answer(log.len() as u64)
    }
}
