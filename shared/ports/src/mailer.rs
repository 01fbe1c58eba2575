//! E-mail to one person (SES).

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::Email;

use crate::faults::Faults;
use crate::{Port, PortError};

/// A message to one recipient; the sender is the adapter's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// To whom.
    pub to: Email,
    /// One line, no line break.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// Sends e-mail.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands the message to the mail service.
    ///
    /// # Errors
    /// [`PortError::Refused`] if the subject is empty or holds a line break, which would let whoever
    /// chose it write headers.
    async fn send(&self, mail: Mail) -> Result<(), PortError>;
}

/// What is wrong with a message, before it is sent.
///
/// # Errors
/// [`PortError::Refused`] if the subject is empty or holds a control character.
pub fn check(mail: &Mail) -> Result<(), PortError> {
    if mail.subject.is_empty() || mail.subject.chars().any(char::is_control) {
        return Err(PortError::Refused {
            port: Port::Mailer,
            cause: "the subject is not one line of text".into(),
        });
    }
    Ok(())
}

/// A mail service that keeps what it should send.
#[derive(Debug)]
pub struct MemoryMailer {
    faults: Faults,
    sent: Mutex<Vec<Mail>>,
}

impl MemoryMailer {
    /// Nothing was sent yet.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self {
            faults: Faults::of(Port::Mailer),
            sent: Mutex::default(),
        })
    }

    /// The failures that it is told to commit; each call of the port counts as one.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Every message, in order.
    pub fn sent(&self) -> Vec<Mail> {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl Mailer for MemoryMailer {
    async fn send(&self, mail: Mail) -> Result<(), PortError> {
        let ending = self.faults.enter()?;
        check(&mail)?;
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(mail);
        ending.answer(())
    }
}
