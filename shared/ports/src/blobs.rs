//! Files by key, encrypted at rest by the store, handed out by links that expire.

mod assembly;
pub mod uploads;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::faults::Faults;
use crate::{Port, PortError};

pub use assembly::Assembly;

/// The least that a part of a file may have, in octets; the last part may have less.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub const SMALLEST_PART: u64 = 5 * 1024 * 1024;

/// The most parts of one file; they are numbered from 1.
pub const MOST_PARTS: u16 = 10_000;

/// The longest that a link is valid, by the fleet's rule.
pub const LONGEST_LINK: Duration = Duration::from_mins(15);

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

    /// A link to download the file under a name, valid that long. Whether there is a file shows when the
    /// link is followed.
    ///
    /// # Errors
    /// [`PortError::Refused`] if it would be valid for longer than [`LONGEST_LINK`].
    async fn link(&self, key: &str, file_name: &str, valid: Duration) -> Result<Link, PortError>;
}

/// When a link made now expires.
///
/// # Errors
/// [`PortError::Refused`] if that is more than [`LONGEST_LINK`] away.
pub fn expiry(now: Timestamp, valid: Duration) -> Result<Timestamp, PortError> {
    let refused = |cause: String| PortError::Refused {
        port: Port::Blobs,
        cause,
    };
    if valid > LONGEST_LINK {
        return Err(refused(format!("a link of {} seconds", valid.as_secs())));
    }
    SignedDuration::try_from(valid)
        .and_then(|valid| now.checked_add(valid))
        .map_err(|e| refused(e.to_string()))
}

/// Files in memory.
pub struct MemoryBlobs {
    faults: Faults,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Blob>,
    links: BTreeMap<String, Handed>,
    uploads: uploads::State,
    begun: usize,
    assemblies: BTreeMap<String, assembly::Upload>,
}

/// A link as it was handed out.
struct Handed {
    key: String,
    file_name: String,
    expires_at: Timestamp,
}

/// A file that a link led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The file.
    pub blob: Blob,
    /// The name that a browser saves it under.
    pub file_name: String,
}

/// Why a link leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// This store never handed it out.
    #[error("no such link")]
    Unknown,
    /// Its time is over.
    #[error("the link has expired")]
    Expired,
    /// The file is gone.
    #[error("no file behind the link")]
    Missing,
}

impl MemoryBlobs {
    /// No files yet; links expire by this clock.
    pub fn shared(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            faults: Faults::of(Port::Blobs),
            clock,
            state: Mutex::default(),
        })
    }

    /// The failures that it is told to commit; each call of the port counts as one.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The keys of all files, in order.
    pub fn keys(&self) -> Vec<String> {
        self.lock().files.keys().cloned().collect()
    }

    /// What a browser gets for a link at this moment.
    ///
    /// # Errors
    /// [`FollowError`] where the real store answers 403 or 404.
    pub fn follow(&self, url: &str, now: Timestamp) -> Result<Download, FollowError> {
        let state = self.lock();
        let handed = state.links.get(url).ok_or(FollowError::Unknown)?;
        if handed.expires_at <= now {
            return Err(FollowError::Expired);
        }
        let blob = state
            .files
            .get(&handed.key)
            .cloned()
            .ok_or(FollowError::Missing)?;
        Ok(Download {
            blob,
            file_name: handed.file_name.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, key: &str, blob: Blob) -> Result<(), PortError> {
        let ending = self.faults.enter()?;
        self.lock().files.insert(key.to_owned(), blob);
        ending.answer(())
    }

    async fn get(&self, key: &str) -> Result<Option<Blob>, PortError> {
        let ending = self.faults.enter()?;
        let file = self.lock().files.get(key).cloned();
        ending.answer(file)
    }

    async fn delete(&self, key: &str) -> Result<(), PortError> {
        let ending = self.faults.enter()?;
        self.lock().files.remove(key);
        ending.answer(())
    }

    async fn link(&self, key: &str, file_name: &str, valid: Duration) -> Result<Link, PortError> {
        let ending = self.faults.enter()?;
        let expires_at = expiry(self.clock.now(), valid)?;
        let mut state = self.lock();
        let url = format!("memory://blobs/{key}?link={}", state.links.len() + 1);
        let handed = Handed {
            key: key.to_owned(),
            file_name: file_name.to_owned(),
            expires_at,
        };
        state.links.insert(url.clone(), handed);
        drop(state);
        ending.answer(Link { url, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn a_link_leads_to_the_file_until_it_expires() {
        let clock = ManualClock::at_text("2026-01-02T03:04:05Z");
        let blobs = MemoryBlobs::shared(clock.clone());
        let blob = Blob {
            bytes: b"%PDF".to_vec(),
            content_type: "application/pdf".into(),
        };
        blobs.put("org_1/doc_1.pdf", blob.clone()).await.unwrap();
        let link = blobs
            .link("org_1/doc_1.pdf", "factura.pdf", Duration::from_mins(1))
            .await
            .unwrap();

        let download = blobs.follow(&link.url, clock.now()).unwrap();
        assert_eq!(
            download,
            Download {
                blob,
                file_name: "factura.pdf".into()
            }
        );

        clock.advance(Duration::from_mins(1));
        assert_eq!(
            blobs.follow(&link.url, clock.now()),
            Err(FollowError::Expired)
        );
        assert_eq!(
            blobs.follow("memory://blobs/other", clock.now()),
            Err(FollowError::Unknown)
        );
    }
}
