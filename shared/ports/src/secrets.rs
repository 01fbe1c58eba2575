//! Secrets that are kept outside the code and the environment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use secrecy::SecretString;

use crate::faults::Faults;
use crate::{Port, PortError};

/// Reads secrets.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The current value. Adapters keep it for at most five minutes, so that a rotation arrives.
    ///
    /// # Errors
    /// [`PortError::Refused`] if there is no such secret.
    async fn get(&self, id: &str) -> Result<SecretString, PortError>;
}

/// Secrets in memory.
#[derive(Debug)]
pub struct MemorySecrets {
    faults: Faults,
    values: Mutex<BTreeMap<String, SecretString>>,
}

impl MemorySecrets {
    /// No secrets yet.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self {
            faults: Faults::of(Port::Secrets),
            values: Mutex::default(),
        })
    }

    /// The failures that it is told to commit; each call of the port counts as one.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Makes or rotates a secret.
    pub fn set(&self, id: &str, value: impl Into<SecretString>) {
        self.values
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), value.into());
    }
}

#[async_trait]
impl Secrets for MemorySecrets {
    async fn get(&self, id: &str) -> Result<SecretString, PortError> {
        let ending = self.faults.enter()?;
        let value = self
            .values
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned();
        let missing = || PortError::Refused {
            port: Port::Secrets,
            cause: format!("no secret {id}"),
        };
        ending.answer(value.ok_or_else(missing)?)
    }
}
