//! Events to whoever listens (`EventBridge`), at least once and in no order.

use async_trait::async_trait;
use domain::Envelope;

use crate::PortError;

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
