//! Files that come straight from whoever has them: a ticket for exactly one file, which the store itself
//! checks, and large files in parts.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use data_encoding::BASE64;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};

use super::{Blob, Blobs, MemoryBlobs, SMALLEST_PART, expiry};
use crate::{Port, PortError};

/// A SHA-256, as it is.
pub type Sha256 = [u8; 32];

/// The one file that a ticket lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Its length in octets.
    pub bytes: u64,
    /// Its media type.
    pub content_type: String,
    /// Its checksum.
    pub sha256: Sha256,
}

/// Leave for anybody who has it to send the agreed octets, until it expires. The store refuses any other
/// length, type or content, and any other header than the ones that stand here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The HTTP method.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Headers to be sent as they are, names in lower case. A browser sends `content-length` by itself.
    pub headers: BTreeMap<String, String>,
    /// From then on the store refuses it.
    pub expires_at: Timestamp,
}

/// What the store says of a file without handing it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its length in octets.
    pub bytes: u64,
    /// Its media type.
    pub content_type: String,
}

/// A part that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1.
    pub number: u16,
    /// Its length in octets.
    pub bytes: u64,
    /// The store's own name for what it got (`ETag`).
    pub tag: String,
    /// Its checksum, in base64.
    pub sha256: String,
}

/// A store that takes files without a function in between.
#[async_trait]
pub trait Uploads: Blobs {
    /// A ticket for exactly this file under this key.
    ///
    /// # Errors
    /// [`PortError::Refused`] if it would be valid for longer than [`super::LONGEST_LINK`].
    async fn ticket(&self, key: &str, file: &Agreed, valid: Duration) -> Result<Ticket, PortError>;

    /// What is known of the file, if there is one.
    async fn head(&self, key: &str) -> Result<Option<Head>, PortError>;

    /// At most that many octets from a place on; none beyond the end. Nothing if there is no file.
    async fn read(&self, key: &str, from: u64, at_most: u64) -> Result<Option<Vec<u8>>, PortError>;

    /// Begins a file of parts, and gives the store's name for the undertaking.
    async fn begin_parts(&self, key: &str, content_type: &str) -> Result<String, PortError>;

    /// A ticket for exactly one part. Whether the undertaking still stands shows when it is used.
    ///
    /// # Errors
    /// [`PortError::Refused`] if it would be valid for longer than [`super::LONGEST_LINK`].
    async fn part_ticket(
        &self,
        key: &str,
        upload: &str,
        number: u16,
        part: (u64, Sha256),
        valid: Duration,
    ) -> Result<Ticket, PortError>;

    /// The parts that have arrived, by number; nothing if there is no such undertaking (any more).
    async fn parts(&self, key: &str, upload: &str) -> Result<Option<Vec<Part>>, PortError>;

    /// Makes the file of these parts. Nothing happens if there is no such undertaking (any more): it may have
    /// been finished by a call whose answer was lost.
    ///
    /// # Errors
    /// [`PortError::Refused`] if a part is unknown or, but for the last, smaller than [`SMALLEST_PART`].
    async fn finish_parts(&self, key: &str, upload: &str, parts: &[Part]) -> Result<(), PortError>;

    /// Gives the undertaking up and forgets its parts; nothing happens if there is none.
    async fn abort_parts(&self, key: &str, upload: &str) -> Result<(), PortError>;

    /// Copies a file inside the store, with its type. False if there is none.
    async fn copy(&self, from: &str, to: &str) -> Result<bool, PortError>;
}

/// The headers of a ticket, as S3 names them.
pub fn headers(
    bytes: u64,
    content_type: Option<&str>,
    sha256: &Sha256,
) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::from([
        ("content-length".to_owned(), bytes.to_string()),
        ("x-amz-checksum-sha256".to_owned(), BASE64.encode(sha256)),
    ]);
    headers.extend(content_type.map(|kind| ("content-type".to_owned(), kind.to_owned())));
    headers
}

/// What [`MemoryBlobs`] keeps for [`Uploads`].
#[derive(Default)]
pub(super) struct State {
    tickets: BTreeMap<String, Handed>,
    undertakings: BTreeMap<String, Undertaking>,
    begun: usize,
}

#[derive(Clone)]
struct Handed {
    key: String,
    part: Option<(String, u16)>,
    headers: BTreeMap<String, String>,
    expires_at: Timestamp,
}

struct Undertaking {
    key: String,
    content_type: String,
    parts: BTreeMap<u16, (Part, Vec<u8>)>,
}

/// Why a store does not take what somebody sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It never handed this ticket out, or the headers are others than the ticket's.
    #[error("the signature does not fit")]
    Signature,
    /// The ticket's time is over.
    #[error("the ticket has expired")]
    Expired,
    /// The octets are not the agreed ones.
    #[error("the checksum does not fit")]
    Checksum,
    /// The undertaking that the part belongs to was finished or given up.
    #[error("no such upload")]
    Gone,
}

impl SendError {
    /// The status that S3 answers with.
    pub const fn status(self) -> u16 {
        match self {
            Self::Signature | Self::Expired => 403,
            Self::Checksum => 400,
            Self::Gone => 404,
        }
    }
}

impl MemoryBlobs {
    /// What the store does when somebody sends octets to a ticket's URL, as plain HTTP would.
    ///
    /// # Errors
    /// [`SendError`] where the real store answers with a refusal; nothing is stored then.
    pub fn receive(
        &self,
        url: &str,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Result<(), SendError> {
        let now = self.clock.now();
        let mut state = self.lock();
        let handed = state.uploads.tickets.get(url).cloned();
        let handed = handed.ok_or(SendError::Signature)?;
        if handed.expires_at <= now {
            return Err(SendError::Expired);
        }
        let length = headers.get("content-length").and_then(|n| n.parse().ok());
        if *headers != handed.headers || length != Some(body.len()) {
            return Err(SendError::Signature);
        }
        let sha256 = BASE64.encode(digest(&SHA256, body).as_ref());
        if headers.get("x-amz-checksum-sha256") != Some(&sha256) {
            return Err(SendError::Checksum);
        }
        match handed.part {
            None => {
                let blob = Blob {
                    bytes: body.to_vec(),
                    content_type: headers.get("content-type").cloned().unwrap_or_default(),
                };
                state.files.insert(handed.key, blob);
            }
            Some((upload, number)) => {
                let undertakings = &mut state.uploads.undertakings;
                let undertaking = undertakings.get_mut(&upload).ok_or(SendError::Gone)?;
                let part = Part {
                    number,
                    bytes: body.len() as u64,
                    tag: format!("\"{sha256}\""),
                    sha256,
                };
                undertaking.parts.insert(number, (part, body.to_vec()));
            }
        }
        Ok(())
    }

    /// How many files of parts are begun and neither finished nor given up.
    pub fn undertakings(&self) -> usize {
        self.lock().uploads.undertakings.len()
    }

    fn hand_out(
        &self,
        key: &str,
        part: Option<(String, u16)>,
        headers: BTreeMap<String, String>,
        expires_at: Timestamp,
    ) -> Ticket {
        let mut state = self.lock();
        let url = format!(
            "memory://blobs/{key}?ticket={}",
            state.uploads.tickets.len() + 1
        );
        let handed = Handed {
            key: key.to_owned(),
            part,
            headers: headers.clone(),
            expires_at,
        };
        state.uploads.tickets.insert(url.clone(), handed);
        Ticket {
            method: "PUT".to_owned(),
            url,
            headers,
            expires_at,
        }
    }
}

#[async_trait]
impl Uploads for MemoryBlobs {
    async fn ticket(&self, key: &str, file: &Agreed, valid: Duration) -> Result<Ticket, PortError> {
        let ending = self.faults.enter()?;
        let expires_at = expiry(self.clock.now(), valid)?;
        let headers = headers(file.bytes, Some(&file.content_type), &file.sha256);
        ending.answer(self.hand_out(key, None, headers, expires_at))
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, PortError> {
        let ending = self.faults.enter()?;
        let head = self.lock().files.get(key).map(|blob| Head {
            bytes: blob.bytes.len() as u64,
            content_type: blob.content_type.clone(),
        });
        ending.answer(head)
    }

    async fn read(&self, key: &str, from: u64, at_most: u64) -> Result<Option<Vec<u8>>, PortError> {
        let ending = self.faults.enter()?;
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let octets = self.lock().files.get(key).map(|blob| {
            let rest = blob.bytes.get(place(from)..).unwrap_or_default();
            rest[..rest.len().min(place(at_most))].to_vec()
        });
        ending.answer(octets)
    }

    async fn begin_parts(&self, key: &str, content_type: &str) -> Result<String, PortError> {
        let ending = self.faults.enter()?;
        let mut state = self.lock();
        state.uploads.begun += 1;
        let upload = format!("upload-{}", state.uploads.begun);
        let undertaking = Undertaking {
            key: key.to_owned(),
            content_type: content_type.to_owned(),
            parts: BTreeMap::new(),
        };
        state
            .uploads
            .undertakings
            .insert(upload.clone(), undertaking);
        drop(state);
        ending.answer(upload)
    }

    async fn part_ticket(
        &self,
        key: &str,
        upload: &str,
        number: u16,
        (bytes, sha256): (u64, Sha256),
        valid: Duration,
    ) -> Result<Ticket, PortError> {
        let ending = self.faults.enter()?;
        let expires_at = expiry(self.clock.now(), valid)?;
        let part = Some((upload.to_owned(), number));
        ending.answer(self.hand_out(key, part, headers(bytes, None, &sha256), expires_at))
    }

    async fn parts(&self, key: &str, upload: &str) -> Result<Option<Vec<Part>>, PortError> {
        let ending = self.faults.enter()?;
        let state = self.lock();
        let parts = state.undertaking(key, upload).map(|undertaking| {
            let parts = undertaking.parts.values();
            parts.map(|(part, _)| part.clone()).collect()
        });
        drop(state);
        ending.answer(parts)
    }

    async fn finish_parts(&self, key: &str, upload: &str, parts: &[Part]) -> Result<(), PortError> {
        let ending = self.faults.enter()?;
        let mut state = self.lock();
        let Some(undertaking) = state.undertaking(key, upload) else {
            drop(state);
            return ending.answer(());
        };
        let mut bytes = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let here = undertaking.parts.get(&part.number);
            let (_, octets) = here
                .filter(|(arrived, _)| arrived == part)
                .ok_or_else(|| refused("InvalidPart"))?;
            if index + 1 < parts.len() && part.bytes < SMALLEST_PART {
                return Err(refused("EntityTooSmall"));
            }
            bytes.extend_from_slice(octets);
        }
        if parts.is_empty() || !parts.is_sorted_by_key(|part| part.number) {
            return Err(refused("InvalidPartOrder"));
        }
        let content_type = undertaking.content_type.clone();
        state.uploads.undertakings.remove(upload);
        let blob = Blob {
            bytes,
            content_type,
        };
        state.files.insert(key.to_owned(), blob);
        drop(state);
        ending.answer(())
    }

    async fn abort_parts(&self, key: &str, upload: &str) -> Result<(), PortError> {
        let ending = self.faults.enter()?;
        let mut state = self.lock();
        if state.undertaking(key, upload).is_some() {
            state.uploads.undertakings.remove(upload);
        }
        drop(state);
        ending.answer(())
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool, PortError> {
        let ending = self.faults.enter()?;
        let mut state = self.lock();
        let file = state.files.get(from).cloned();
        let found = file.is_some();
        state.files.extend(file.map(|file| (to.to_owned(), file)));
        drop(state);
        ending.answer(found)
    }
}

impl super::State {
    fn undertaking(&self, key: &str, upload: &str) -> Option<&Undertaking> {
        let found = self.uploads.undertakings.get(upload);
        found.filter(|undertaking| undertaking.key == key)
    }
}

fn refused(cause: &str) -> PortError {
    PortError::Refused {
        port: Port::Blobs,
        cause: cause.to_owned(),
    }
}
