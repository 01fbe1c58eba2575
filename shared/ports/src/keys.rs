//! Encryption under a key that never leaves its service (KMS).

use std::sync::Arc;

use async_trait::async_trait;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::faults::Faults;
use crate::ids::{Ids, RandomIds};
use crate::{Port, PortError};

/// The most octets that are encrypted at once.
pub const LONGEST_PLAINTEXT: usize = 4096;

/// A key to encrypt small secrets with.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Encrypts 1 to [`LONGEST_PLAINTEXT`] octets. `context` is bound to the result: decrypting under another one fails, so
    /// that a ciphertext moved to another row is worthless.
    async fn encrypt(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, PortError>;

    /// The plaintext.
    ///
    /// # Errors
    /// [`PortError::Refused`] if the ciphertext or its context was changed.
    async fn decrypt(&self, context: &str, ciphertext: &[u8]) -> Result<Vec<u8>, PortError>;
}

/// A key in memory: AES-256-GCM with the context as associated data, the nonce before the ciphertext.
pub struct MemoryKeys {
    faults: Faults,
    key: LessSafeKey,
    random: Arc<dyn Ids>,
}

impl MemoryKeys {
    /// A new key.
    pub fn shared() -> Arc<Self> {
        let random = RandomIds::shared();
        let key = UnboundKey::new(&AES_256_GCM, &random.octets::<32>())
            .expect("32 octets are an AES-256 key");
        Arc::new(Self {
            faults: Faults::of(Port::Keys),
            key: LessSafeKey::new(key),
            random,
        })
    }

    /// The failures that it is told to commit; each call of the port counts as one.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    fn open(&self, context: &str, ciphertext: &[u8]) -> Result<Vec<u8>, PortError> {
        let changed = || refused("the ciphertext or its context was changed");
        let (nonce, sealed) = ciphertext.split_at_checked(NONCE_LEN).ok_or_else(changed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| changed())?;
        let mut buffer = sealed.to_vec();
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(context), &mut buffer)
            .map_err(|_| changed())?;
        Ok(opened.to_vec())
    }
}

#[async_trait]
impl Keys for MemoryKeys {
    async fn encrypt(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, PortError> {
        let ending = self.faults.enter()?;
        if !(1..=LONGEST_PLAINTEXT).contains(&plaintext.len()) {
            return Err(refused("nothing or too much to encrypt"));
        }
        let nonce = self.random.octets::<NONCE_LEN>();
        let mut sealed = plaintext.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context),
                &mut sealed,
            )
            .map_err(|_| refused("the plaintext could not be sealed"))?;
        ending.answer([nonce.as_slice(), &sealed].concat())
    }

    async fn decrypt(&self, context: &str, ciphertext: &[u8]) -> Result<Vec<u8>, PortError> {
        let ending = self.faults.enter()?;
        let plaintext = self.open(context, ciphertext)?;
        ending.answer(plaintext)
    }
}

fn refused(cause: &str) -> PortError {
    PortError::Refused {
        port: Port::Keys,
        cause: cause.into(),
    }
}
