//! Files by key, encrypted at rest by the store, handed out by links that expire.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::PortError;

/// A file with what the store says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The octets.
    pub bytes: Vec<u8>,
    /// Media type (RFC 6838).
    pub content_type: String,
}

/// A link that anybody who has it may GET until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Absolute.
    pub url: String,
    /// From then on the store refuses it.
    pub expires_at: Timestamp,
}

/// A store of files.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores the file under this key, over whatever stood there.
    async fn put(&self, key: &str, blob: Blob) -> Result<(), PortError>;

    /// The file, if there is one.
    async fn get(&self, key: &str) -> Result<Option<Blob>, PortError>;

    /// Deletes the file; nothing happens if there is none.
    async fn delete(&self, key: &str) -> Result<(), PortError>;

    /// A link to download the file under a name, valid that long (15 minutes at most, by the fleet's rule).
    async fn link(&self, key: &str, file_name: &str, valid: Duration) -> Result<Link, PortError>;
}
