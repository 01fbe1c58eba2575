//! The end of a batch: once every chunk is closed, its numbers and its event are written at once.

use domain::id::{Batch, Organisation};
use domain::{Event, Id};
use ports::table::{If, Write, WriteError};

use super::{BatchError, BatchRecord, BatchState, Batches, rows};

/// How often a change of a batch's row is tried when others change it at the same moment.
pub(super) const TRIES: usize = 5;

impl Batches {
    /// Ends the batch if its last chunk is closed; whoever comes second changes nothing. Gives the batch as
    /// it stands then, or nothing if there is none, or none of this attempt.
    ///
    /// # Errors
    /// A port's failure, or [`BatchError::Busy`].
    pub(super) async fn finish(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
        attempt: u32,
        trace: Option<String>,
    ) -> Result<Option<BatchState>, BatchError> {
        for _ in 0..TRIES {
            let Some(row) = self.row(org, id).await? else {
                return Ok(None);
            };
            let record: BatchRecord = row.parse()?;
            if record.attempt != attempt {
                return Ok(None);
            }
            let state = self.counted(org, record).await?;
            if state.record.finished_at.is_some() || state.counts.sum() < state.record.total {
                return Ok(Some(state));
            }
            let ended = BatchRecord {
                finished_at: Some(self.documents.clock.now()),
                settled: state.counts,
                ..state.record
            };
            let done = Event::BatchDone {
                batch: id,
                attempt,
                ready: state.counts.ready,
                failed: state.counts.failed,
                cancelled: state.counts.cancelled,
            };
            let parts = vec![
                Write::Put(row.next(&ended), If::VersionIs(row.version)),
                self.documents.event(org, done, trace.clone()),
            ];
            match self.documents.table.write(parts).await {
                Ok(()) => {
                    return Ok(Some(BatchState {
                        record: ended,
                        counts: state.counts,
                    }));
                }
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(BatchError::Busy)
    }
}

impl BatchRecord {
    /// The chunks of this attempt.
    pub fn chunks(&self) -> Vec<rows::Chunk> {
        rows::chunks(&self.segments)
    }
}
