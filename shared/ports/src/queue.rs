//! Messages to a worker, delivered at least once (SQS).

use async_trait::async_trait;

use crate::PortError;

/// A message: at most 256 KB of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// JSON.
    pub body: String,
    /// First in, first out inside one group; a FIFO queue needs it, another refuses it.
    pub group: Option<String>,
    /// Repeats within five minutes are dropped; FIFO only.
    pub deduplication: Option<String>,
    /// W3C `traceparent`, carried as a message attribute.
    pub trace: Option<String>,
}

impl Message {
    /// A message of a standard queue.
    pub fn new(body: String) -> Self {
        Self { body, group: None, deduplication: None, trace: None }
    }
}

/// A queue to send to.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends all messages, in as few calls as the service allows.
    ///
    /// # Errors
    /// The first failure; messages before it may have been sent, so that a retry may send them again.
    async fn send(&self, messages: Vec<Message>) -> Result<(), PortError>;
}
