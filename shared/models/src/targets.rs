//! Where models are asked: the operator's list, read again every minute so that a new key or a new model
//! arrives without a deployment.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use ports::PortError;
use ports::clock::Clock;
use ports::secrets::Secrets;
use secrecy::{ExposeSecret, SecretString};

use crate::Gateway;
use crate::target::{self, Target};

/// How long a list is used before it is read again.
const KEPT: SignedDuration = SignedDuration::from_mins(1);

/// How long an empty list is: somebody is waiting for the first model.
const EMPTY_KEPT: SignedDuration = SignedDuration::from_secs(3);

/// Why there is no list.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TargetsError {
    /// The operator has named no model.
    #[error("no model is configured")]
    NoModel,
    /// The operator's list cannot be read.
    #[error("the list of models is not valid")]
    Broken,
    /// The store of secrets failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The gateway, kept at the present list.
pub struct Targets {
    secrets: Arc<dyn Secrets>,
    secret: String,
    clock: Arc<dyn Clock>,
    gateway: Arc<Gateway>,
    last: Mutex<Option<Read>>,
}

/// A list as it was read.
#[derive(Clone)]
struct Read {
    text: SecretString,
    at: Timestamp,
}

impl Targets {
    /// The list in this secret, for this gateway.
    pub fn new(
        secrets: Arc<dyn Secrets>,
        secret: impl Into<String>,
        clock: Arc<dyn Clock>,
        gateway: Gateway,
    ) -> Self {
        Self {
            secrets,
            secret: secret.into(),
            clock,
            gateway: Arc::new(gateway),
            last: Mutex::default(),
        }
    }

    /// The gateway, which has at least one target.
    ///
    /// # Errors
    /// [`TargetsError`].
    pub async fn gateway(&self) -> Result<&Gateway, TargetsError> {
        if self.list().await?.is_empty() {
            return Err(TargetsError::NoModel);
        }
        Ok(&self.gateway)
    }

    /// The gateway, for what needs no model: budgets and the records of calls.
    pub fn books(&self) -> &Gateway {
        &self.gateway
    }

    /// The list; it may be empty.
    ///
    /// # Errors
    /// [`TargetsError::Broken`], a port's failure.
    pub async fn list(&self) -> Result<Arc<[Arc<Target>]>, TargetsError> {
        let now = self.clock.now();
        let last = self.last();
        if last.as_ref().is_some_and(|read| self.is_fresh(read, now)) {
            return Ok(self.gateway.targets());
        }
        match (self.secrets.get(&self.secret).await, last) {
            (Ok(text), last) => self.take(text, last.as_ref(), now)?,
            // A list that was good a minute ago is better than none.
            (Err(error), Some(_)) => {
                tracing::warn!(%error, "the list of models could not be read again");
            }
            (Err(error), None) => return Err(error.into()),
        }
        Ok(self.gateway.targets())
    }

    fn take(
        &self,
        text: SecretString,
        last: Option<&Read>,
        now: Timestamp,
    ) -> Result<(), TargetsError> {
        let same = last.is_some_and(|read| read.text.expose_secret() == text.expose_secret());
        if !same {
            match target::parse(text.expose_secret()) {
                Ok(targets) => self.gateway.set_targets(targets),
                Err(error) => {
                    tracing::error!(%error, "the list of models is not valid");
                    return last.map(drop).ok_or(TargetsError::Broken);
                }
            }
        }
        *self.lock() = Some(Read { text, at: now });
        Ok(())
    }

    fn is_fresh(&self, read: &Read, now: Timestamp) -> bool {
        let kept = if self.gateway.targets().is_empty() {
            EMPTY_KEPT
        } else {
            KEPT
        };
        now.duration_since(read.at) < kept
    }

    fn last(&self) -> Option<Read> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Read>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
