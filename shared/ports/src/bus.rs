//! Events to whoever listens (`EventBridge`), at least once and in no order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::Envelope;

use crate::faults::Faults;
use crate::{Port, PortError};

/// The most events that one call of the service takes.
pub const BATCH: usize = 10;

/// A bus to publish on.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes events in their order, in as few calls as the service allows.
    ///
    /// # Errors
    /// How many were published before the first one that was not, and why it was not.
    async fn publish(&self, events: &[Envelope]) -> Result<(), PublishError>;
}

/// A publication that stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped after {published} events: {cause}")]
pub struct PublishError {
    /// That many, from the front, are on the bus; some behind the failed one may be too.
    pub published: usize,
    /// Why.
    pub cause: PortError,
}

/// A bus that remembers what went by.
#[derive(Debug)]
pub struct MemoryBus {
    faults: Faults,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    published: Vec<Envelope>,
    taken: usize,
}

impl MemoryBus {
    /// A bus that nothing was published on.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self {
            faults: Faults::of(Port::Bus),
            state: Mutex::default(),
        })
    }

    /// The failures that it is told to commit; each [`BATCH`] counts as a call.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Every event that was published, in order, repeats included.
    pub fn published(&self) -> Vec<Envelope> {
        self.lock().published.clone()
    }

    /// The [published](Self::published) events that were not taken before.
    pub fn take_published(&self) -> Vec<Envelope> {
        let mut state = self.lock();
        let fresh = state.published[state.taken..].to_vec();
        state.taken = state.published.len();
        fresh
    }

    fn publish_batch(&self, events: &[Envelope]) -> Result<(), PortError> {
        let ending = self.faults.enter()?;
        self.lock().published.extend_from_slice(events);
        ending.answer(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, events: &[Envelope]) -> Result<(), PublishError> {
        for (index, batch) in events.chunks(BATCH).enumerate() {
            self.publish_batch(batch).map_err(|cause| PublishError {
                published: index * BATCH,
                cause,
            })?;
        }
        Ok(())
    }
}
