//! Open connections to clients (WebSocket), by the id that the gateway gave them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::faults::Faults;
use crate::{Port, PortError};

/// The longest text that a connection takes, in octets.
pub const LARGEST_TEXT: usize = 128 * 1024;

/// Why a text did not reach a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// The connection is closed, or never was open.
    #[error("the connection is gone")]
    Gone,
    /// The gateway failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Speaks to clients.
#[async_trait]
pub trait Sockets: Send + Sync {
    /// Sends a text. Texts that are sent one after the other arrive in that order.
    async fn send(&self, connection: &str, text: &str) -> Result<(), SocketError>;

    /// Closes a connection; one that is gone already is closed too.
    async fn close(&self, connection: &str) -> Result<(), PortError>;
}

/// Whether a connection takes a text of this length.
///
/// # Errors
/// [`PortError::Refused`] if not.
pub fn check(text: &str) -> Result<(), PortError> {
    if (1..=LARGEST_TEXT).contains(&text.len()) {
        return Ok(());
    }
    Err(PortError::Refused {
        port: Port::Sockets,
        cause: format!("a text of {} octets", text.len()),
    })
}

/// Connections in memory: a test opens them and reads what they were sent.
#[derive(Debug)]
pub struct MemorySockets {
    faults: Faults,
    open: Mutex<BTreeMap<String, Vec<String>>>,
}

impl MemorySockets {
    /// No connection is open.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self {
            faults: Faults::of(Port::Sockets),
            open: Mutex::default(),
        })
    }

    /// The failures that it is told to commit.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// A client opens this connection.
    pub fn open(&self, connection: &str) {
        self.lock().insert(connection.to_owned(), vec![]);
    }

    /// A client vanishes without a word.
    pub fn vanish(&self, connection: &str) {
        self.lock().remove(connection);
    }

    /// Whether the connection is open.
    pub fn is_open(&self, connection: &str) -> bool {
        self.lock().contains_key(connection)
    }

    /// Takes what a connection was sent since it was last asked, in order.
    pub fn take(&self, connection: &str) -> Vec<String> {
        self.lock()
            .get_mut(connection)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<String>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sockets for MemorySockets {
    async fn send(&self, connection: &str, text: &str) -> Result<(), SocketError> {
        // Others run in between, as during a network call.
        tokio::task::yield_now().await;
        let ending = self.faults.enter()?;
        check(text)?;
        match self.lock().get_mut(connection) {
            Some(texts) => texts.push(text.to_owned()),
            None => return Err(SocketError::Gone),
        }
        Ok(ending.answer(())?)
    }

    async fn close(&self, connection: &str) -> Result<(), PortError> {
        let ending = self.faults.enter()?;
        self.vanish(connection);
        ending.answer(())
    }
}
