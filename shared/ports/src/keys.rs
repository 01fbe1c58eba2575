//! Encryption under a key that never leaves its service (KMS).

use async_trait::async_trait;

use crate::PortError;

/// A key to encrypt small secrets with.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Encrypts at most 4 KB. `context` is bound to the result: decrypting under another one fails, so
    /// that a ciphertext moved to another row is worthless.
    async fn encrypt(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, PortError>;

    /// The plaintext.
    ///
    /// # Errors
    /// [`PortError::Refused`] if the ciphertext or its context was changed.
    async fn decrypt(&self, context: &str, ciphertext: &[u8]) -> Result<Vec<u8>, PortError>;
}
