//! Stops a batch: every chunk that is not closed is closed at once, so that the numbers hold from the answer
//! on. A worker that is at a chunk's rows at that moment loses the race for the chunk's row, and what it
//! made is forgotten.

use std::collections::BTreeMap;

use domain::Id;
use domain::id::{Batch, Organisation};
use ports::table::{If, Item, Write, WriteError};

use super::finish::TRIES;
use super::rows::Chunk;
use super::{BatchError, BatchRecord, BatchState, Batches, ChunkRecord, Counts, chunk_key};

/// Chunks that are closed in one transaction.
const AT_ONCE: usize = 100;

impl Batches {
    /// Stops what has not come to its end. Stopping what was stopped changes nothing.
    ///
    /// # Errors
    /// [`BatchError::NotFound`], [`BatchError::Finished`] if it has come to its end by itself, or a port's
    /// failure.
    pub async fn cancel(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
        trace: Option<String>,
    ) -> Result<BatchState, BatchError> {
        let record = self.mark(org, id).await?;
        if record.finished_at.is_some() {
            return Ok(self.counted(org, record).await?);
        }
        self.close(org, &record).await?;
        self.finish(org, id, record.attempt, trace)
            .await?
            .ok_or(BatchError::NotFound)
    }

    /// Says in the batch's row that it is stopped.
    async fn mark(&self, org: Id<Organisation>, id: Id<Batch>) -> Result<BatchRecord, BatchError> {
        for _ in 0..TRIES {
            let row = self.row(org, id).await?.ok_or(BatchError::NotFound)?;
            let record: BatchRecord = row.parse()?;
            match (record.cancelled_at, record.finished_at) {
                (Some(_), _) => return Ok(record),
                (None, Some(_)) => return Err(BatchError::Finished),
                (None, None) => {}
            }
            let stopped = BatchRecord {
                cancelled_at: Some(self.documents.clock.now()),
                ..record
            };
            let put = Write::Put(row.next(&stopped), If::VersionIs(row.version));
            match self.documents.table.write(vec![put]).await {
                Ok(()) => return Ok(stopped),
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(BatchError::Busy)
    }

    /// Closes every chunk that is still open. A chunk that moved in between is looked at again; that ends,
    /// because a worker that comes later sees that the batch is stopped.
    pub(super) async fn close(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
    ) -> Result<(), BatchError> {
        let chunks = record.chunks();
        loop {
            let open = self.open(org, record, &chunks).await?;
            if open.is_empty() {
                return Ok(());
            }
            for parts in open.chunks(AT_ONCE) {
                match self.documents.table.write(parts.to_vec()).await {
                    Ok(()) | Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    /// The writes that close what is open.
    async fn open(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
        chunks: &[Chunk],
    ) -> Result<Vec<Write>, BatchError> {
        let rows = self.chunk_rows(org, record).await?;
        let known: BTreeMap<_, _> = rows
            .into_iter()
            .map(|(item, chunk)| (item.key.clone(), (item, chunk)))
            .collect();
        let closing = chunks.iter().filter_map(|chunk| {
            let key = chunk_key(org, record.id, record.attempt, chunk.number);
            match known.get(&key) {
                Some((_, state)) if state.is_closed() => None,
                Some((item, state)) => {
                    let closed = state.given_up(record.attempt);
                    Some(Write::Put(item.next(&closed), If::VersionIs(item.version)))
                }
                None => {
                    let untouched = ChunkRecord {
                        rows: chunk.rows,
                        ..ChunkRecord::default()
                    };
                    let item = Item::new(key, &untouched.given_up(record.attempt))
                        .expiring(record.inputs_until);
                    Some(Write::Put(item, If::Absent))
                }
            }
        });
        Ok(closing.collect())
    }
}

impl ChunkRecord {
    /// The same chunk, its open rows given up. A row that is tried again has failed before, and stays so.
    fn given_up(self, attempt: u32) -> Self {
        let open = self.rows.saturating_sub(self.counts.sum());
        let counts = if attempt == 1 {
            Counts {
                cancelled: self.counts.cancelled + open,
                ..self.counts
            }
        } else {
            Counts {
                failed: self.counts.failed + open,
                ..self.counts
            }
        };
        Self {
            counts,
            given_up: open,
            ..self
        }
    }
}
