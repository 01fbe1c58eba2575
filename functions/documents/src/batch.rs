//! Batches: one template and up to ten thousand rows, a document for each row that fits.
//!
//! ```text
//! POST -> rows to the bucket, then the batch with documents.batch_queued in one transaction
//! documents.batch_queued -> one order a chunk of twenty rows on the queue of jobs
//! order -> each row checked and set; the chunk's documents, their events, the errors and the chunk's own
//!          count in ONE transaction, fenced by the version of the chunk's row
//! the last chunk -> the batch with documents.batch_done in one transaction
//! documents.batch_done -> one ZIP, in parts of constant size
//! ```
//!
//! Nothing is counted in a row that chunks share, so that they never wait for each other; the numbers of a
//! batch under way are the sum over its chunks, and are written into its own row when the last is closed.
//!
//! A document's id comes from its batch and its row, so that whatever is killed, delivered twice or late
//! makes the same document. Whoever loses the race for a chunk's row has written nothing.
//!
//! | table row | pk | sk |
//! |---|---|---|
//! | a batch | `org_…` | `batch#bat_…` |
//! | a chunk of its attempt | `org_…` | `batch-chunk#bat_…#0001#00000` |
//! | the document of a row | `org_…` | `batch-document#bat_…#00000` |
//! | why a row has none | `org_…` | `batch-error#bat_…#00000` |
//! | an archive on its way | `org_…` | `batch-archive#bat_…#0001` |
//!
//! The rows stand in the bucket under `batch-inputs/org_…/bat_…/` for 30 days, the archive under
//! `batch-archives/org_…/` for 7; the prefix comes first, because the bucket's rules for forgetting go by it.

mod archive;
mod cancel;
mod create;
mod finish;
mod retry;
pub mod rows;
pub mod sheet;
pub mod worker;
pub mod zip;

use std::sync::Arc;

use domain::id::{Batch, Document, Organisation, User};
use domain::{Id, Text};
use jiff::{SignedDuration, Timestamp};
use ports::PortError;
use ports::blobs::Link;
use ports::table::{Cursor, Item, Key, Page, Query, WriteError};
use ring::digest::{Context as Hash, SHA256};
use serde::{Deserialize, Serialize};
use uuid::Builder;

use crate::brand::Brand;
use crate::format::Format;
use crate::refusal::Refusal;
use crate::{Documents, DocumentsError};

pub use create::NewBatch;
pub use rows::{Chunk, Row};

/// The most rows of a batch.
pub const MOST_ROWS: u32 = 10_000;

/// How long the rows of a batch are kept, for its retries; the bucket's rule says the same.
const INPUTS_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How long an archive is kept; the bucket's rule says the same.
const ARCHIVE_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Makes, follows, cancels and repeats batches.
#[derive(Clone)]
pub struct Batches {
    /// What makes a single document, with the table and the bucket that batches stand in too.
    pub documents: Arc<Documents>,
}

/// What became of rows so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// They are documents.
    pub ready: u32,
    /// They could not be one.
    pub failed: u32,
    /// They were not begun.
    pub cancelled: u32,
}

impl Counts {
    /// All of them.
    pub fn sum(self) -> u32 {
        self.ready + self.failed + self.cancelled
    }

    fn plus(self, other: Self) -> Self {
        Self {
            ready: self.ready + other.ready,
            failed: self.failed + other.failed,
            cancelled: self.cancelled + other.cancelled,
        }
    }
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its rows are kept; nothing is made yet.
    Queued,
    /// Its rows are being made into documents.
    Running,
    /// Every row has its outcome.
    Done,
    /// Every row has its outcome, and somebody stopped it before that.
    Cancelled,
}

/// The row of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRecord {
    /// Its id.
    pub id: Id<Batch>,
    /// The template's name or id.
    pub template: String,
    /// The template's version, fixed when the batch was made.
    pub template_version: u32,
    /// The kind of file.
    pub format: Format,
    /// The brand that its documents wear, as it was when the batch was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Brand>,
    /// All rows.
    pub total: u32,
    /// 1 for all rows; each retry of the failed ones counts one more.
    pub attempt: u32,
    /// The rows in each object of this attempt's input.
    pub segments: Vec<u32>,
    /// What earlier attempts leave as it is; once this one has ended, everything.
    pub settled: Counts,
    /// The request that began this attempt.
    pub begun_by: String,
    /// Who asked for it.
    pub created_by: Id<User>,
    /// When.
    pub created_at: Timestamp,
    /// When its orders were sent.
    pub started_at: Option<Timestamp>,
    /// When somebody stopped it.
    pub cancelled_at: Option<Timestamp>,
    /// When the last row had its outcome.
    pub finished_at: Option<Timestamp>,
    /// When its rows are forgotten.
    pub inputs_until: Timestamp,
    /// The file with all its documents.
    pub archive: Option<ArchiveRecord>,
}

/// A finished archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveRecord {
    /// Octets.
    pub bytes: u64,
    /// Documents in it.
    pub documents: u32,
    /// From then on it is gone.
    pub until: Timestamp,
}

/// A batch with its numbers at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchState {
    /// Its row.
    pub record: BatchRecord,
    /// What became of its rows so far.
    pub counts: Counts,
}

impl BatchState {
    /// How far it is.
    pub fn stage(&self) -> Stage {
        match (self.record.finished_at, self.record.cancelled_at) {
            (Some(_), Some(_)) => Stage::Cancelled,
            (Some(_), None) => Stage::Done,
            // A planner that died before it said that the batch runs has sent its orders all the same.
            (None, _) if self.record.started_at.is_some() || self.has_begun() => Stage::Running,
            (None, _) => Stage::Queued,
        }
    }

    /// Whether a row of this attempt has its outcome.
    fn has_begun(&self) -> bool {
        self.counts.sum() > self.record.settled.sum()
    }
}

/// The row of a chunk: it exists once a first row of the chunk has its outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ChunkRecord {
    /// All rows of the chunk.
    rows: u32,
    /// What became of them, in their order.
    #[serde(flatten)]
    counts: Counts,
    /// Rows at its end that were not begun when somebody stopped the batch.
    #[serde(default)]
    given_up: u32,
}

impl ChunkRecord {
    fn is_closed(self) -> bool {
        self.counts.sum() >= self.rows
    }
}

/// The document of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDocument {
    /// The row, counted from 0.
    pub row: u32,
    /// Its document.
    pub document: Id<Document>,
    /// Octets of the file.
    pub bytes: u64,
    /// SHA-256 of the file in lower-case hexadecimal.
    pub sha256: String,
    /// CRC-32 of the file, which an archive asks for.
    pub crc32: u32,
}

/// Where a document comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The batch.
    pub batch: Id<Batch>,
    /// The row, counted from 0.
    pub row: u32,
}

/// Why a row has no document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowError {
    /// The row, counted from 0.
    pub row: u32,
    /// What is wrong with it; the pointers begin with `/rows/` and the row.
    #[serde(flatten)]
    pub refusal: Refusal,
}

impl RowError {
    /// What a row is refused for is what a single document would be refused for.
    pub fn of(row: u32, error: DocumentsError) -> Self {
        Self {
            row,
            refusal: Refusal::of(error).at(&format!("/rows/{row}")),
        }
    }
}

/// Why a use case did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The caller's organisation has no such batch.
    #[error("no such batch")]
    NotFound,
    /// There is not a single row.
    #[error("no rows")]
    NoRows,
    /// There are more than [`MOST_ROWS`].
    #[error("too many rows")]
    TooManyRows,
    /// All rows together are larger than [`rows::LARGEST_INPUT`].
    #[error("the rows are too large together")]
    TooLarge,
    /// A row is larger than [`rows::LARGEST_ROW`], or no object.
    #[error("row {row} cannot be taken")]
    BadRow {
        /// Which, counted from 0.
        row: u32,
        /// What is wrong with it.
        detail: Text,
    },
    /// A table cannot be read.
    #[error("the table cannot be read")]
    BadTable(Text),
    /// It has not come to its end, so that it cannot be repeated yet.
    #[error("the batch is not finished")]
    Unfinished,
    /// It has come to its end, so that nothing is left to be stopped.
    #[error("the batch is finished")]
    Finished,
    /// No row has failed.
    #[error("no row has failed")]
    NothingFailed,
    /// A corrected row is none that has failed.
    #[error("row {0} has not failed")]
    NotFailed(String),
    /// Its rows have been forgotten.
    #[error("the rows are gone")]
    Forgotten,
    /// There is no archive yet, or none any more.
    #[error("no archive")]
    NoArchive,
    /// Others were faster each time.
    #[error("others changed the batch each time")]
    Busy,
    /// What a single document would be refused for.
    #[error(transparent)]
    Documents(DocumentsError),
    /// A transaction did not happen.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Something outside failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<DocumentsError> for BatchError {
    fn from(error: DocumentsError) -> Self {
        match error {
            DocumentsError::Port(error) => Self::Port(error),
            DocumentsError::Write(error) => Self::Write(error),
            error => Self::Documents(error),
        }
    }
}

impl Batches {
    /// A batch of an organisation, with its numbers at this moment.
    ///
    /// # Errors
    /// [`BatchError::NotFound`], or a port's failure.
    pub async fn get(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
    ) -> Result<BatchState, BatchError> {
        let row = self.row(org, id).await?.ok_or(BatchError::NotFound)?;
        Ok(self.counted(org, row.parse()?).await?)
    }

    /// The batches of an organisation, the newest first.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn list(
        &self,
        org: Id<Organisation>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<BatchState>, Option<Cursor>), BatchError> {
        let query = Query {
            descending: true,
            limit,
            after,
            ..Query::prefix(org, "batch#")
        };
        let Page { items, next } = self.documents.table.query(&query).await?;
        let mut states = Vec::with_capacity(items.len());
        for item in &items {
            states.push(self.counted(org, item.parse()?).await?);
        }
        Ok((states, next))
    }

    /// The documents of a batch, in the order of their rows.
    ///
    /// # Errors
    /// [`BatchError::NotFound`], or a port's failure.
    pub async fn made(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<RowDocument>, Option<Cursor>), BatchError> {
        self.row(org, id).await?.ok_or(BatchError::NotFound)?;
        self.rows_under(org, &documents_of(id), limit, after).await
    }

    /// The rows of a batch that have failed, in their order.
    ///
    /// # Errors
    /// [`BatchError::NotFound`], or a port's failure.
    pub async fn errors(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<RowError>, Option<Cursor>), BatchError> {
        self.row(org, id).await?.ok_or(BatchError::NotFound)?;
        self.rows_under(org, &errors_of(id), limit, after).await
    }

    /// A fresh link to the archive.
    ///
    /// # Errors
    /// [`BatchError::NoArchive`] if it is not made yet or gone by now, or a port's failure.
    pub async fn archive_link(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
    ) -> Result<Link, BatchError> {
        let now = self.documents.clock.now();
        record
            .archive
            .filter(|archive| archive.until > now)
            .ok_or(BatchError::NoArchive)?;
        let name = format!("{}-{}.zip", record.template, record.id);
        let key = archive_key(org, record.id, record.attempt);
        Ok(self
            .documents
            .blobs
            .link(&key, &name, crate::LINK_VALID)
            .await?)
    }

    async fn row(&self, org: Id<Organisation>, id: Id<Batch>) -> Result<Option<Item>, PortError> {
        self.documents.table.get(&batch_key(org, id)).await
    }

    async fn counted(
        &self,
        org: Id<Organisation>,
        record: BatchRecord,
    ) -> Result<BatchState, PortError> {
        let mut counts = record.settled;
        if record.finished_at.is_none() {
            for (_, chunk) in self.chunk_rows(org, &record).await? {
                counts = counts.plus(chunk.counts);
            }
        }
        Ok(BatchState { record, counts })
    }

    /// The rows of this attempt's chunks, in order.
    async fn chunk_rows(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
    ) -> Result<Vec<(Item, ChunkRecord)>, PortError> {
        let items = self
            .all_under(org, &chunks_of(record.id, record.attempt))
            .await?;
        items
            .into_iter()
            .map(|item| Ok((item.clone(), item.parse()?)))
            .collect()
    }

    async fn rows_under<T: serde::de::DeserializeOwned>(
        &self,
        org: Id<Organisation>,
        prefix: &str,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<T>, Option<Cursor>), BatchError> {
        let query = Query {
            limit,
            after,
            ..Query::prefix(org, prefix)
        };
        let Page { items, next } = self.documents.table.query(&query).await?;
        Ok((
            items.iter().map(Item::parse).collect::<Result<_, _>>()?,
            next,
        ))
    }

    /// Every row under a prefix, page after page.
    async fn all_under(&self, org: Id<Organisation>, prefix: &str) -> Result<Vec<Item>, PortError> {
        let mut query = Query {
            limit: 1000,
            ..Query::prefix(org, prefix)
        };
        let mut found = Vec::new();
        loop {
            let page = self.documents.table.query(&query).await?;
            found.extend(page.items);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(found),
            }
        }
    }
}

/// The id of a row's document: of the batch's moment, so that it stands among the others of that time, and
/// else nothing but the batch and the row.
pub fn document_of(batch: Id<Batch>, row: u32) -> Id<Document> {
    let mut hash = Hash::new(&SHA256);
    hash.update(batch.uuid().as_bytes());
    hash.update(&row.to_be_bytes());
    let mut rest = [0; 10];
    rest.copy_from_slice(&hash.finish().as_ref()[..10]);
    let millis = batch.uuid().as_u128() >> 80;
    Id::new(
        Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or(0), &rest).into_uuid(),
    )
}

fn batch_key(org: Id<Organisation>, id: Id<Batch>) -> Key {
    Key::new(org, format!("batch#{id}"))
}

fn chunks_of(id: Id<Batch>, attempt: u32) -> String {
    format!("batch-chunk#{id}#{attempt:04}#")
}

fn chunk_key(org: Id<Organisation>, id: Id<Batch>, attempt: u32, chunk: u32) -> Key {
    Key::new(org, format!("{}{chunk:05}", chunks_of(id, attempt)))
}

fn documents_of(id: Id<Batch>) -> String {
    format!("batch-document#{id}#")
}

/// Where the document of a row is noted.
pub(crate) fn document_key(org: Id<Organisation>, id: Id<Batch>, row: u32) -> Key {
    Key::new(org, format!("{}{row:05}", documents_of(id)))
}

fn errors_of(id: Id<Batch>) -> String {
    format!("batch-error#{id}#")
}

fn error_key(org: Id<Organisation>, id: Id<Batch>, row: u32) -> Key {
    Key::new(org, format!("{}{row:05}", errors_of(id)))
}

/// Where the rows of an attempt stand. The request that began it is part of the name: of two that want to
/// begin the same attempt, the one that is refused must not have written over the rows of the other.
fn input_key(org: Id<Organisation>, id: Id<Batch>, begun_by: &str, segment: u32) -> String {
    format!("batch-inputs/{org}/{id}/{begun_by}/{segment:04}.jsonl")
}

fn archive_key(org: Id<Organisation>, id: Id<Batch>, attempt: u32) -> String {
    format!("batch-archives/{org}/{id}-{attempt:04}.zip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rows_document_is_always_the_same_and_no_other_rows() {
        let one: Id<Batch> = "bat_0194fe2a4c8d7e11a0b3c5d7e9f10213".parse().unwrap();
        let other: Id<Batch> = "bat_0194fe2a4c8d7e11a0b3c5d7e9f10214".parse().unwrap();
        let mut ids: Vec<_> = (0..1000)
            .flat_map(|row| [document_of(one, row), document_of(other, row)])
            .collect();

        assert_eq!(ids[0], document_of(one, 0));
        assert!(
            ids.iter()
                .all(|id| id.to_string().starts_with("doc_0194fe2a4c8d7"))
        );
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 2000);
    }
}
