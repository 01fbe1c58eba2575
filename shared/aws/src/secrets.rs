//! Secrets from Secrets Manager, kept for five minutes or not at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use jiff::{SignedDuration, Timestamp};
use ports::clock::Clock;
use ports::secrets::Secrets;
use ports::{Port, PortError};
use secrecy::SecretString;

use crate::failure;

/// A rotation arrives within this time; a call for every request would cost more than the function.
const KEPT: SignedDuration = SignedDuration::from_mins(5);

/// Secrets Manager.
pub struct ManagerSecrets {
    client: Client,
    clock: Arc<dyn Clock>,
    keep_for: SignedDuration,
    kept: Mutex<HashMap<String, (SecretString, Timestamp)>>,
}

impl ManagerSecrets {
    /// Nothing read yet; what is read ages by this clock.
    pub fn new(config: &SdkConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            client: Client::new(config),
            clock,
            keep_for: KEPT,
            kept: Mutex::default(),
        }
    }

    /// The same secrets, read anew each time, for whoever keeps them by a rule of its own.
    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.keep_for = SignedDuration::ZERO;
        self
    }

    fn kept(&self, id: &str) -> Option<SecretString> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, read_at) = kept.get(id)?;
        (self.clock.now().duration_since(*read_at) < self.keep_for).then(|| value.clone())
    }

    fn keep(&self, id: &str, value: SecretString) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(id.to_owned(), (value, self.clock.now()));
    }
}

#[async_trait]
impl Secrets for ManagerSecrets {
    async fn get(&self, id: &str) -> Result<SecretString, PortError> {
        if let Some(value) = self.kept(id) {
            return Ok(value);
        }
        let answer = self
            .client
            .get_secret_value()
            .secret_id(id)
            .send()
            .await
            .map_err(|error| failure::of_call(Port::Secrets, &error))?;
        let binary = || PortError::Refused {
            port: Port::Secrets,
            cause: format!("{id} is not a text"),
        };
        let value: SecretString = answer.secret_string.ok_or_else(binary)?.into();
        self.keep(id, value.clone());
        Ok(value)
    }
}
