//! The ports on AWS: the only crate that names an SDK.
//!
//! [`Clients`] loads region, credentials and endpoint once and hands out ports. Each service stands in a
//! module of its own and its client is made where the port is asked for, so that the linker drops the
//! services that a binary does not use.

pub mod blobs;
pub mod bus;
pub mod clients;
pub mod identity;
pub mod keys;
pub mod mailer;
pub mod queue;
pub mod secrets;
pub mod sockets;
pub mod table;

mod failure;

pub use clients::Clients;
