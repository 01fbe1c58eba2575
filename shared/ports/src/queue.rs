//! Messages to a worker, delivered at least once (SQS).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::faults::Faults;
use crate::{Port, PortError};

/// The most messages that one call of the service takes.
pub const BATCH: usize = 10;

/// The most octets of a message's body.
pub const LONGEST_BODY: usize = 256 * 1024;

/// A message: at most [`LONGEST_BODY`] of text.
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
        Self {
            body,
            group: None,
            deduplication: None,
            trace: None,
        }
    }
}

/// A queue to send to.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends all messages, in as few calls as the service allows.
    ///
    /// # Errors
    /// The first failure; messages before it may have been sent, so that a retry may send them again.
    /// [`PortError::Refused`], with nothing sent, if a message is too long or has a group that the queue
    /// does not take.
    async fn send(&self, messages: Vec<Message>) -> Result<(), PortError>;
}

/// What is wrong with a message for a queue of this kind, before anything is sent.
///
/// # Errors
/// [`PortError::Refused`] if it is empty or too long, or if its group does not suit the queue.
pub fn check(messages: &[Message], fifo: bool) -> Result<(), PortError> {
    let refused = |cause: &str| {
        Err(PortError::Refused {
            port: Port::Queue,
            cause: cause.into(),
        })
    };
    for message in messages {
        if message.body.is_empty() || message.body.len() > LONGEST_BODY {
            return refused("the body is empty or too long");
        }
        if message.group.is_some() != fifo || (message.deduplication.is_some() && !fifo) {
            return refused("a group belongs to a FIFO queue, and to no other");
        }
    }
    Ok(())
}

/// A queue in memory, which delivers once and in order.
#[derive(Debug)]
pub struct MemoryQueue {
    faults: Faults,
    fifo: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Message>,
    seen: BTreeSet<String>,
}

impl MemoryQueue {
    /// An empty standard queue.
    pub fn shared() -> Arc<Self> {
        Self::of_kind(false)
    }

    /// An empty FIFO queue. It drops a repeated deduplication id for ever, not for five minutes.
    pub fn fifo() -> Arc<Self> {
        Self::of_kind(true)
    }

    fn of_kind(fifo: bool) -> Arc<Self> {
        Arc::new(Self {
            faults: Faults::of(Port::Queue),
            fifo,
            state: Mutex::default(),
        })
    }

    /// The failures that it is told to commit; each [`BATCH`] counts as a call.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Takes every message that waits, in the order of sending.
    pub fn drain(&self) -> Vec<Message> {
        std::mem::take(&mut self.lock().waiting)
    }

    fn send_batch(&self, batch: &[Message]) -> Result<(), PortError> {
        let ending = self.faults.enter()?;
        let mut state = self.lock();
        for message in batch {
            let fresh = message
                .deduplication
                .clone()
                .is_none_or(|id| state.seen.insert(id));
            if fresh {
                state.waiting.push(message.clone());
            }
        }
        drop(state);
        ending.answer(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn send(&self, messages: Vec<Message>) -> Result<(), PortError> {
        check(&messages, self.fifo)?;
        messages
            .chunks(BATCH)
            .try_for_each(|batch| self.send_batch(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;

    #[tokio::test]
    async fn what_was_sent_before_a_failure_stays_sent() {
        let queue = MemoryQueue::shared();
        queue.faults().fail_call(1, Fault::Before);

        let answer = queue
            .send((0..15).map(|n| Message::new(n.to_string())).collect())
            .await;

        assert!(matches!(answer, Err(PortError::Unavailable { .. })));
        assert_eq!(queue.drain().len(), 10);
        assert_eq!(queue.drain(), vec![]);
    }

    #[tokio::test]
    async fn a_fifo_queue_drops_a_repeat() {
        let queue = MemoryQueue::fifo();
        let message = Message {
            group: Some("org_1".into()),
            deduplication: Some("evt_1".into()),
            ..Message::new("{}".into())
        };

        queue
            .send(vec![message.clone(), message.clone()])
            .await
            .unwrap();

        assert_eq!(queue.drain(), vec![message]);
    }
}
