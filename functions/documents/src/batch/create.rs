//! Takes a batch on: its rows first, then its row and its event at once.

use domain::id::{Batch, Organisation};
use domain::{Event, Id};
use futures::{StreamExt, TryStreamExt, stream};
use ports::blobs::Blob;
use ports::table::{If, Item, Write};

use super::rows::{Row, Segments};
use super::{BatchError, BatchRecord, BatchState, Batches, Counts, INPUTS_KEPT, RowError};
use super::{batch_key, input_key};
use crate::brand::Brand;
use crate::format::Format;
use crate::layout::Layout;
use crate::{DocumentsError, Owner};

/// How many objects are written at once.
const AT_ONCE: usize = 8;

/// What a batch is made from.
#[derive(Debug)]
pub struct NewBatch {
    /// The name of a built-in template, or the id of one of the organisation's own.
    pub template: String,
    /// The kind of file, if it is not the template's own.
    pub format: Option<Format>,
    /// The brand that the documents wear, if the template shows one.
    pub brand: Option<Brand>,
    /// The rows, in order.
    pub rows: Segments,
}

impl Batches {
    /// Takes a batch on. The id comes from the request, so that a request that is sent again finds the same
    /// batch.
    ///
    /// # Errors
    /// [`BatchError::NoRows`], what [`crate::Documents::layout`] refuses, or a port's failure.
    pub async fn create(
        &self,
        owner: &Owner,
        id: Id<Batch>,
        new: NewBatch,
        trace: Option<String>,
    ) -> Result<BatchState, BatchError> {
        let (layout, format) = self.layout(owner.org, &new.template, new.format).await?;
        let total = new.rows.rows();
        let segments = self.keep(owner.org, id, &id.to_string(), new.rows).await?;
        let now = self.documents.clock.now();
        let record = BatchRecord {
            id,
            template: layout.name(),
            template_version: layout.version(),
            format,
            brand: new.brand.filter(|_| layout.shows_brand()),
            total,
            attempt: 1,
            segments,
            settled: Counts::default(),
            begun_by: id.to_string(),
            created_by: owner.user,
            created_at: now,
            started_at: None,
            cancelled_at: None,
            finished_at: None,
            inputs_until: now.saturating_add(INPUTS_KEPT).unwrap_or(now),
            archive: None,
        };
        let queued = Event::BatchQueued {
            batch: id,
            attempt: 1,
        };
        let parts = vec![
            Write::Put(Item::new(batch_key(owner.org, id), &record), If::Absent),
            self.documents.event(owner.org, queued, trace),
        ];
        match self.documents.table.write(parts).await {
            Ok(()) => Ok(BatchState {
                record,
                counts: Counts::default(),
            }),
            // An earlier attempt of the same request wrote it, and only its answer was lost.
            Err(error) => match self.row(owner.org, id).await? {
                Some(row) => Ok(self.counted(owner.org, row.parse()?).await?),
                None => Err(error.into()),
            },
        }
    }

    /// The template of a batch, and the kind of file that it becomes.
    ///
    /// # Errors
    /// [`DocumentsError::UnknownTemplate`], [`DocumentsError::UnsupportedFormat`], or a port's failure.
    pub async fn layout(
        &self,
        org: Id<Organisation>,
        template: &str,
        format: Option<Format>,
    ) -> Result<(Layout, Format), DocumentsError> {
        let layout = self.documents.layout(org, template).await?;
        let format = layout.format(format)?;
        Ok((layout, format))
    }

    /// What is wrong with a row before it is set; nothing if it fits.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn unfit(&self, layout: &Layout, row: Row) -> Result<Option<RowError>, BatchError> {
        let Row { row, data } = row;
        match self.documents.check(layout, data).await {
            Ok(()) => Ok(None),
            Err(error @ DocumentsError::Unfit(_)) => Ok(Some(RowError::of(row, error))),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the rows to the bucket and gives the number in each object.
    pub(super) async fn keep(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
        begun_by: &str,
        rows: Segments,
    ) -> Result<Vec<u32>, BatchError> {
        let segments = rows.finish()?;
        let counts = segments.iter().map(|(rows, _)| *rows).collect();
        let writes = (0_u32..).zip(segments).map(|(segment, (_, bytes))| {
            let key = input_key(org, id, begun_by, segment);
            let file = Blob {
                bytes,
                content_type: "application/jsonl".to_owned(),
            };
            async move { self.documents.blobs.put(&key, file).await }
        });
        stream::iter(writes)
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(counts)
    }
}
