//! E-mail to one person (SES).

use async_trait::async_trait;
use domain::Email;

use crate::PortError;

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
    async fn send(&self, mail: Mail) -> Result<(), PortError>;
}
