//! Files that are larger than a function's memory, put together from parts (S3's multipart upload).

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Blob, MOST_PARTS, MemoryBlobs, SMALLEST_PART};
use crate::{Port, PortError};

/// A store that takes a file in parts. Until it is finished nothing is seen of it; what nobody finishes the
/// store forgets by its own rule.
#[async_trait]
pub trait Assembly: Send + Sync {
    /// Begins a file under this key and gives the name of the upload.
    async fn begin(&self, key: &str, content_type: &str) -> Result<String, PortError>;

    /// Keeps a part, counted from 1, over whatever was kept under that number; gives the tag that
    /// [`Self::finish`] wants.
    async fn part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        bytes: Vec<u8>,
    ) -> Result<String, PortError>;

    /// Puts the parts together in the order of their numbers, over whatever stood under the key. Finishing
    /// what is finished changes nothing.
    ///
    /// # Errors
    /// [`PortError::Refused`] if a tag is not its part's or a part before the last is smaller than
    /// [`SMALLEST_PART`].
    async fn finish(&self, key: &str, upload: &str, tags: &[String]) -> Result<(), PortError>;

    /// Forgets an upload with its parts; nothing happens if there is none.
    async fn abandon(&self, key: &str, upload: &str) -> Result<(), PortError>;
}

/// A file on its way.
#[derive(Debug)]
pub(super) struct Upload {
    key: String,
    content_type: String,
    parts: BTreeMap<u32, Vec<u8>>,
}

fn refused(cause: &str) -> PortError {
    PortError::Refused {
        port: Port::Blobs,
        cause: cause.to_owned(),
    }
}

/// As good as a checksum for telling parts apart, and the same for the same octets.
fn tag(number: u32, bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0_u64, |sum, octet| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*octet))
    });
    format!("{number}-{}-{sum:016x}", bytes.len())
}

impl Upload {
    fn whole(&self, tags: &[String]) -> Result<Blob, PortError> {
        let of_parts: Vec<String> = self
            .parts
            .iter()
            .map(|(number, bytes)| tag(*number, bytes))
            .collect();
        if tags.is_empty() || of_parts != tags {
            return Err(refused("a part is missing or is another"));
        }
        let sizes: Vec<u64> = self.parts.values().map(|part| part.len() as u64).collect();
        let before_the_last = sizes.split_last().map_or(&[][..], |(_, before)| before);
        if before_the_last.iter().any(|size| *size < SMALLEST_PART) {
            return Err(refused("a part is too small"));
        }
        Ok(Blob {
            bytes: self.parts.values().flatten().copied().collect(),
            content_type: self.content_type.clone(),
        })
    }
}

#[async_trait]
impl Assembly for MemoryBlobs {
    async fn begin(&self, key: &str, content_type: &str) -> Result<String, PortError> {
        let ending = self.faults.enter()?;
        let mut state = self.lock();
        state.begun += 1;
        let name = format!("upload-{}", state.begun);
        let upload = Upload {
            key: key.to_owned(),
            content_type: content_type.to_owned(),
            parts: BTreeMap::new(),
        };
        state.assemblies.insert(name.clone(), upload);
        drop(state);
        ending.answer(name)
    }

    async fn part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        bytes: Vec<u8>,
    ) -> Result<String, PortError> {
        let ending = self.faults.enter()?;
        if !(1..=u32::from(MOST_PARTS)).contains(&number) {
            return Err(refused("no such number of a part"));
        }
        let tag = tag(number, &bytes);
        let mut state = self.lock();
        let upload = state
            .assemblies
            .get_mut(upload)
            .filter(|upload| upload.key == key)
            .ok_or_else(|| refused("no such upload"))?;
        upload.parts.insert(number, bytes);
        drop(state);
        ending.answer(tag)
    }

    async fn finish(&self, key: &str, upload: &str, tags: &[String]) -> Result<(), PortError> {
        let ending = self.faults.enter()?;
        let mut state = self.lock();
        match state
            .assemblies
            .get(upload)
            .filter(|begun| begun.key == key)
        {
            Some(begun) => {
                let file = begun.whole(tags)?;
                state.files.insert(key.to_owned(), file);
                state.assemblies.remove(upload);
            }
            None if state.files.contains_key(key) => {}
            None => return Err(refused("no such upload")),
        }
        drop(state);
        ending.answer(())
    }

    async fn abandon(&self, key: &str, upload: &str) -> Result<(), PortError> {
        let ending = self.faults.enter()?;
        self.lock()
            .assemblies
            .retain(|name, begun| name != upload || begun.key != key);
        ending.answer(())
    }
}
