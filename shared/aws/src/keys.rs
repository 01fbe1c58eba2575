//! Encryption under a KMS key.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use ports::keys::{Keys, LONGEST_PLAINTEXT};
use ports::{Port, PortError};

use crate::failure;

/// The name in the encryption context under which ours stands; it shows in `CloudTrail`.
const CONTEXT: &str = "for";

/// A key.
pub struct KmsKeys {
    client: Client,
    key: String,
}

impl KmsKeys {
    /// The key of this id or ARN.
    pub fn new(config: &SdkConfig, key: String) -> Self {
        Self {
            client: Client::new(config),
            key,
        }
    }
}

#[async_trait]
impl Keys for KmsKeys {
    async fn encrypt(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, PortError> {
        if !(1..=LONGEST_PLAINTEXT).contains(&plaintext.len()) {
            return Err(refused("nothing or too much to encrypt"));
        }
        let answer = self
            .client
            .encrypt()
            .key_id(&self.key)
            .encryption_context(CONTEXT, context)
            .plaintext(Blob::new(plaintext))
            .send()
            .await
            .map_err(|error| failure::of_call(Port::Keys, &error))?;
        answer
            .ciphertext_blob
            .map(Blob::into_inner)
            .ok_or_else(|| refused("an answer without a ciphertext"))
    }

    async fn decrypt(&self, context: &str, ciphertext: &[u8]) -> Result<Vec<u8>, PortError> {
        if ciphertext.is_empty() {
            return Err(refused("nothing to decrypt"));
        }
        // The key is named although the ciphertext knows its own: one that another key made is refused.
        let answer = self
            .client
            .decrypt()
            .key_id(&self.key)
            .encryption_context(CONTEXT, context)
            .ciphertext_blob(Blob::new(ciphertext))
            .send()
            .await
            .map_err(|error| failure::of_call(Port::Keys, &error))?;
        answer
            .plaintext
            .map(Blob::into_inner)
            .ok_or_else(|| refused("an answer without a plaintext"))
    }
}

fn refused(cause: &str) -> PortError {
    PortError::Refused {
        port: Port::Keys,
        cause: cause.into(),
    }
}
