//! Secrets that are kept outside the code and the environment.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::PortError;

/// Reads secrets.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The current value. Adapters keep it for at most five minutes, so that a rotation arrives.
    async fn get(&self, id: &str) -> Result<SecretString, PortError>;
}
