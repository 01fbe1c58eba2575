//! Repeats the rows of a batch that have failed, as they were or corrected. The batch stays the same one;
//! its failed rows become an attempt of their own.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::{Batch, Organisation};
use domain::{Event, Id};
use ports::table::{If, Write, WriteError};
use serde_json::Value;

use super::rows::{self, Row, Segments};
use super::{BatchError, BatchRecord, BatchState, Batches, Counts, RowError, errors_of, input_key};

impl Batches {
    /// Queues the failed rows again. `request` names the request, so that one that is sent again finds what
    /// it began.
    ///
    /// # Errors
    /// [`BatchError::NotFound`], [`BatchError::Unfinished`], [`BatchError::NothingFailed`],
    /// [`BatchError::NotFailed`], [`BatchError::BadRow`], [`BatchError::Forgotten`], or a port's failure.
    pub async fn retry(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
        request: &str,
        corrected: BTreeMap<String, Value>,
        trace: Option<String>,
    ) -> Result<BatchState, BatchError> {
        let row = self.row(org, id).await?.ok_or(BatchError::NotFound)?;
        let record: BatchRecord = row.parse()?;
        if record.begun_by == request {
            return Ok(self.counted(org, record).await?);
        }
        let now = self.documents.clock.now();
        if record.finished_at.is_none() {
            return Err(BatchError::Unfinished);
        }
        if record.inputs_until <= now {
            return Err(BatchError::Forgotten);
        }
        let failed = self.failed(org, id).await?;
        let mut corrected = parsed(corrected, &failed)?;
        let mut again = Segments::default();
        for row in self.kept(org, &record, &failed).await? {
            let data = corrected.remove(&row.row).unwrap_or(row.data);
            again.push(&Row { data, ..row })?;
        }
        let attempt = record.attempt + 1;
        let retried = again.rows();
        let segments = self.keep(org, id, request, again).await?;
        let next = BatchRecord {
            attempt,
            segments,
            settled: Counts {
                failed: record.settled.failed.saturating_sub(retried),
                ..record.settled
            },
            begun_by: request.to_owned(),
            started_at: None,
            cancelled_at: None,
            finished_at: None,
            archive: None,
            ..record
        };
        let queued = Event::BatchQueued { batch: id, attempt };
        let parts = vec![
            Write::Put(row.next(&next), If::VersionIs(row.version)),
            self.documents.event(org, queued, trace),
        ];
        match self.documents.table.write(parts).await {
            Ok(()) => Ok(self.counted(org, next).await?),
            // Somebody else repeats it, or this very request did and its answer was lost.
            Err(WriteError::Condition(_) | WriteError::Conflict) => Err(BatchError::Unfinished),
            Err(error) => {
                let state = self.get(org, id).await?;
                if state.record.begun_by == request {
                    Ok(state)
                } else {
                    Err(error.into())
                }
            }
        }
    }

    /// The rows that have failed.
    async fn failed(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
    ) -> Result<BTreeSet<u32>, BatchError> {
        let items = self.all_under(org, &errors_of(id)).await?;
        let failed: BTreeSet<u32> = items
            .iter()
            .map(|item| item.parse::<RowError>().map(|error| error.row))
            .collect::<Result<_, _>>()?;
        if failed.is_empty() {
            return Err(BatchError::NothingFailed);
        }
        Ok(failed)
    }

    /// These rows as they were last tried, in order. The last attempt has them all: the first has every row,
    /// and each other one every row that had failed.
    async fn kept(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
        wanted: &BTreeSet<u32>,
    ) -> Result<Vec<Row>, BatchError> {
        let mut found = Vec::new();
        for (segment, lines) in (0_u32..).zip(&record.segments) {
            let key = input_key(org, record.id, &record.begun_by, segment);
            let file = self.documents.blobs.get(&key).await?;
            let octets = file.ok_or(BatchError::Forgotten)?.bytes;
            let rows = rows::read(&octets, 0, *lines).map_err(|_| BatchError::Forgotten)?;
            found.extend(rows.into_iter().filter(|row| wanted.contains(&row.row)));
        }
        Ok(found)
    }
}

/// Corrected rows by their place; each must be one that has failed.
fn parsed(
    corrected: BTreeMap<String, Value>,
    failed: &BTreeSet<u32>,
) -> Result<BTreeMap<u32, Value>, BatchError> {
    corrected
        .into_iter()
        .map(|(place, data)| {
            let row = place.parse().ok().filter(|row| failed.contains(row));
            row.map(|row| (row, data))
                .ok_or(BatchError::NotFailed(place))
        })
        .collect()
}
