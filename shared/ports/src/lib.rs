//! The outside world as the fleet sees it: one trait a file, each with its memory version beside it.
//!
//! A memory version is a first-class adapter: it obeys the same [`contract`] as the one on AWS, and it
//! can [fail on purpose](faults::Faults), before or after the effect, so that every crash point of a
//! use case can be tested.

pub mod blobs;
pub mod bus;
pub mod channels;
pub mod clock;
pub mod contract;
pub mod faults;
pub mod identity;
pub mod ids;
pub mod keys;
pub mod mailer;
pub mod outbox;
pub mod queue;
pub mod secrets;
pub mod sockets;
pub mod table;

use std::fmt;

/// A port did not do what it was asked, for a reason that lies outside the fleet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Too much at once; the same call may pass later.
    #[error("{port} throttled: {cause}")]
    Throttled {
        /// Which port.
        port: Port,
        /// What the service said; for logs only.
        cause: String,
    },
    /// No answer, or one that says nothing about the call's effect, which may have happened.
    #[error("{port} unavailable: {cause}")]
    Unavailable {
        /// Which port.
        port: Port,
        /// What the service said; for logs only.
        cause: String,
    },
    /// The call can never succeed as it is: missing permission, missing resource, too large.
    #[error("{port} refused: {cause}")]
    Refused {
        /// Which port.
        port: Port,
        /// What the service said; for logs only.
        cause: String,
    },
}

/// The name of a port, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// [`table::Table`].
    Table,
    /// [`blobs::Blobs`].
    Blobs,
    /// [`queue::Queue`].
    Queue,
    /// [`bus::Bus`].
    Bus,
    /// [`mailer::Mailer`].
    Mailer,
    /// [`identity::Identity`].
    Identity,
    /// [`secrets::Secrets`].
    Secrets,
    /// [`keys::Keys`].
    Keys,
    /// [`channels::Channels`].
    Channels,
    /// [`sockets::Sockets`].
    Sockets,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Blobs => "blobs",
            Self::Queue => "queue",
            Self::Bus => "bus",
            Self::Mailer => "mailer",
            Self::Identity => "identity",
            Self::Secrets => "secrets",
            Self::Keys => "keys",
            Self::Channels => "channels",
            Self::Sockets => "sockets",
        })
    }
}
