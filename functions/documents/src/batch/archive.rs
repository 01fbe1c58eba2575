//! Puts the documents of a finished batch into one file, part by part. Each part that the store has is
//! noted, so that a worker that is killed or out of time is followed by one that goes on.

use domain::Id;
use domain::id::{Batch, Organisation};
use futures::{StreamExt, TryStreamExt, stream};
use ports::blobs::{MOST_PARTS, SMALLEST_PART};
use ports::table::{If, Item, Key, Write, WriteError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::finish::TRIES;
use super::worker::{ENOUGH, Order, Worker};
use super::zip::{Archive, Entry, Piece};
use super::{ARCHIVE_KEPT, ArchiveRecord, BatchError, BatchRecord, RowDocument};
use super::{archive_key, documents_of};
use crate::file_of;
use crate::format::Format;

/// How many documents are fetched at once.
const AT_ONCE: usize = 8;

/// The row of an archive on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// The store's name of it.
    upload: String,
    /// Octets of the whole, by which one notices that a document has gone in between.
    bytes: u64,
    /// The tags of the parts that the store has.
    tags: Vec<String>,
}

impl Worker {
    /// Makes the archive of a batch, or goes on with it.
    pub(super) async fn archive(
        &self,
        org: Id<Organisation>,
        batch: Id<Batch>,
        attempt: u32,
        order: Order,
    ) -> Result<(), BatchError> {
        let begun = self.batches.documents.clock.now();
        let Some(record) = self.without_archive(org, batch, attempt).await? else {
            return Ok(());
        };
        let (archive, documents) = self.planned(org, &record).await?;
        if documents.is_empty() {
            return Ok(());
        }
        let key = archive_key(org, batch, attempt);
        let (mut item, mut progress) = self.begun(org, &record, &key, archive.bytes()).await?;
        let part = part_of(archive.bytes());
        loop {
            let from = part * progress.tags.len() as u64;
            if from >= archive.bytes() {
                break;
            }
            let to = (from + part).min(archive.bytes());
            let octets = self
                .octets(org, record.format, &documents, archive.pieces(&(from..to)))
                .await?;
            let number = u32::try_from(progress.tags.len() + 1).unwrap_or(u32::MAX);
            let tag = self
                .assembly
                .part(&key, &progress.upload, number, octets)
                .await?;
            progress.tags.push(tag);
            let next = item.next(&progress);
            let put = Write::Put(next.clone(), If::VersionIs(item.version));
            match self.batches.documents.table.write(vec![put]).await {
                Ok(()) => item = next,
                // Another worker is at it too; it may have died since, so that this one looks again.
                Err(WriteError::Condition(_) | WriteError::Conflict) => {
                    return Err(BatchError::Busy);
                }
                Err(error) => return Err(error.into()),
            }
            let now = self.batches.documents.clock.now();
            if to < archive.bytes() && now.duration_since(begun) >= ENOUGH {
                return Ok(self.jobs.send(vec![order.message()?]).await?);
            }
        }
        self.assembly
            .finish(&key, &progress.upload, &progress.tags)
            .await?;
        self.note(org, batch, attempt, &archive, item.key).await
    }

    /// The batch, if it is finished and has no archive yet.
    async fn without_archive(
        &self,
        org: Id<Organisation>,
        batch: Id<Batch>,
        attempt: u32,
    ) -> Result<Option<BatchRecord>, BatchError> {
        let Some(row) = self.batches.row(org, batch).await? else {
            return Ok(None);
        };
        let record: BatchRecord = row.parse()?;
        let is_due =
            record.attempt == attempt && record.finished_at.is_some() && record.archive.is_none();
        Ok(is_due.then_some(record))
    }

    /// The archive of the documents that there are now.
    async fn planned(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
    ) -> Result<(Archive, Vec<RowDocument>), BatchError> {
        let items = self
            .batches
            .all_under(org, &documents_of(record.id))
            .await?;
        let documents: Vec<RowDocument> =
            items.iter().map(Item::parse).collect::<Result<_, _>>()?;
        let entries = documents.iter().map(|made| Entry {
            name: format!("{:05}-{}.{}", made.row, made.document, record.format.name()),
            bytes: u32::try_from(made.bytes).unwrap_or(u32::MAX),
            crc32: made.crc32,
        });
        Ok((Archive::new(entries.collect()), documents))
    }

    /// The upload under way, or a new one. One of another size is of other documents, and is begun anew.
    async fn begun(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
        key: &str,
        bytes: u64,
    ) -> Result<(Item, Progress), BatchError> {
        let at = Key::new(
            org,
            format!("batch-archive#{}#{:04}", record.id, record.attempt),
        );
        let known = self.batches.documents.table.get(&at).await?;
        if let Some(item) = &known {
            let progress: Progress = item.parse()?;
            if progress.bytes == bytes {
                return Ok((item.clone(), progress));
            }
            self.assembly.abandon(key, &progress.upload).await?;
        }
        let progress = Progress {
            upload: self.assembly.begin(key, "application/zip").await?,
            bytes,
            tags: Vec::new(),
        };
        let (item, condition) = match &known {
            Some(item) => (item.next(&progress), If::VersionIs(item.version)),
            None => (
                Item::new(at, &progress).expiring(record.inputs_until),
                If::Absent,
            ),
        };
        let put = Write::Put(item.clone(), condition);
        match self.batches.documents.table.write(vec![put]).await {
            Ok(()) => Ok((item, progress)),
            Err(WriteError::Condition(_) | WriteError::Conflict) => Err(BatchError::Busy),
            Err(error) => Err(error.into()),
        }
    }

    /// The octets of these pieces, in order.
    async fn octets(
        &self,
        org: Id<Organisation>,
        format: Format,
        documents: &[RowDocument],
        pieces: Vec<Piece>,
    ) -> Result<Vec<u8>, BatchError> {
        let fetched = stream::iter(pieces.into_iter().map(|piece| async move {
            match piece {
                Piece::Octets(octets) => Ok(octets),
                Piece::File { entry, range } => {
                    let key = file_of(org, documents[entry].document, format);
                    let file = self.batches.documents.blobs.get(&key).await?;
                    // Deleted while the archive was made: its row is gone too, and the next attempt sees it.
                    let mut octets = file.ok_or(BatchError::Busy)?.bytes;
                    if octets.len() as u64 != documents[entry].bytes {
                        return Err(BatchError::Busy);
                    }
                    octets.truncate(range.end);
                    octets.drain(..range.start);
                    Ok(octets)
                }
            }
        }));
        let pieces: Vec<Vec<u8>> = fetched.buffered(AT_ONCE).try_collect().await?;
        Ok(pieces.concat())
    }

    /// Says in the batch's row that there is an archive.
    async fn note(
        &self,
        org: Id<Organisation>,
        batch: Id<Batch>,
        attempt: u32,
        archive: &Archive,
        progress: Key,
    ) -> Result<(), BatchError> {
        let now = self.batches.documents.clock.now();
        let made = ArchiveRecord {
            bytes: archive.bytes(),
            documents: u32::try_from(archive.files()).unwrap_or(u32::MAX),
            until: now.saturating_add(ARCHIVE_KEPT).unwrap_or(now),
        };
        for _ in 0..TRIES {
            let Some(row) = self.batches.row(org, batch).await? else {
                return Ok(());
            };
            let record: BatchRecord = row.parse()?;
            if record.attempt != attempt || record.archive.is_some() {
                return Ok(());
            }
            let next = BatchRecord {
                archive: Some(made),
                ..record
            };
            let parts = vec![
                Write::Put(row.next(&next), If::VersionIs(row.version)),
                Write::Delete(progress.clone(), If::Always),
            ];
            match self.batches.documents.table.write(parts).await {
                Ok(()) => {
                    let data = json!({ "documents": made.documents, "bytes": made.bytes });
                    self.tell(org, batch, "batch.archived", data).await;
                    return Ok(());
                }
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(BatchError::Busy)
    }
}

/// The size of a part, so that there are not too many of them.
fn part_of(bytes: u64) -> u64 {
    bytes.div_ceil(u64::from(MOST_PARTS)).max(SMALLEST_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_archive_has_larger_parts_and_not_more() {
        let hundred_gigabytes = 100_u64 * 1024 * 1024 * 1024;

        assert_eq!(part_of(1), SMALLEST_PART);
        assert!(hundred_gigabytes.div_ceil(part_of(hundred_gigabytes)) <= u64::from(MOST_PARTS));
    }
}
