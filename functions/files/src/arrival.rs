//! What the store says has arrived becomes a file, once, whatever the number and order of the notices.

use domain::id::{File, Organisation};
use domain::{Event, Id};
use ports::table::{If, Item, Write, WriteError};

use crate::file::FileRecord;
use crate::notice::Notice;
use crate::scan::{Engine, Verdict};
use crate::upload::Upload;
use crate::{Files, FilesError, TRIES, file_key, object_key};

/// Which delivery of a notice is the last before it goes to the dead letters.
pub const LAST_DELIVERY: u32 = 5;

impl Files {
    /// Reacts to a notice; this engine looks into what has arrived. When the last delivery fails too, the file says so to whoever waits for it; the
    /// notice still goes to the dead letters, and looks at the file again when it is sent from there.
    ///
    /// # Errors
    /// A port's failure: the notice has to come again.
    pub async fn on(
        &self,
        engine: &dyn Engine,
        notice: &Notice,
        delivery: u32,
    ) -> Result<(), FilesError> {
        let (org, id) = (notice.org, notice.file);
        let answer = self.handle(engine, org, id, notice.verdict.clone()).await;
        if answer.is_err() && delivery >= LAST_DELIVERY {
            self.give_up(org, id).await?;
        }
        answer
    }

    async fn handle(
        &self,
        engine: &dyn Engine,
        org: Id<Organisation>,
        id: Id<File>,
        verdict: Option<Verdict>,
    ) -> Result<(), FilesError> {
        let (row, record) = match self.row(org, id).await? {
            Some(found) => found,
            None => match self.arrived(org, id).await? {
                Some(row) => {
                    let record = row.parse()?;
                    (row, record)
                }
                None => return Ok(()),
            },
        };
        self.inspect(engine, org, row, record, verdict).await
    }

    /// The row of what has arrived. What belongs to no upload (any more) is deleted: nobody would count it,
    /// and nobody could find it.
    async fn arrived(
        &self,
        org: Id<Organisation>,
        id: Id<File>,
    ) -> Result<Option<Item>, FilesError> {
        match self.upload(org, id).await {
            Ok((row, upload)) => self.settle(org, row, &upload).await,
            Err(FilesError::NotFound) => {
                // It became a file between the two reads, or it is nobody's.
                let file = self.table.get(&file_key(org, id)).await?;
                if file.is_none() {
                    self.blobs.delete(&object_key(org, id)).await?;
                    tracing::info!(org = %org, file = %id, "an object without an upload was deleted");
                }
                Ok(file)
            }
            Err(error) => Err(error),
        }
    }

    /// Turns an upload whose object is there into a file: its row, its event and what it takes up change in
    /// one transaction. Nothing if the object is not there, or the upload was given up meanwhile.
    pub(crate) async fn settle(
        &self,
        org: Id<Organisation>,
        row: Item,
        upload: &Upload,
    ) -> Result<Option<Item>, FilesError> {
        if self
            .blobs
            .head(&object_key(org, upload.id))
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let file = FileRecord::of(upload).row(org);
        let mut row = row;
        let mut tries = 0;
        loop {
            tries += 1;
            let parts = self.birth(org, &row, &file, upload).await?;
            match self.write(parts).await {
                Ok(()) => return Ok(Some(file)),
                // The counters moved between reading and writing, or somebody else was faster.
                Err(WriteError::Condition(_)) if tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(stored) = self.table.get(&file.key).await? {
                return Ok(Some(stored));
            }
            match self.table.get(&row.key).await? {
                Some(stored) => row = stored,
                None => return Ok(None),
            }
        }
    }

    async fn birth(
        &self,
        org: Id<Organisation>,
        row: &Item,
        file: &Item,
        upload: &Upload,
    ) -> Result<Vec<Write>, FilesError> {
        let numbers = self.numbers(org).await?;
        let bytes = upload.facts.bytes;
        let (count, is_near) = self.settling(&numbers, org, upload.id, bytes);
        let uploaded = Event::FileUploaded {
            file: upload.id,
            content_type: upload.facts.content_type.clone(),
            bytes,
        };
        let mut parts = vec![
            Write::Delete(row.key.clone(), If::VersionIs(row.version)),
            Write::Put(file.clone(), If::Absent),
            self.announce(org, uploaded),
            Write::Count(count),
        ];
        if is_near {
            let near = Event::FilesQuotaNear {
                bytes: self.usage_of(&numbers).bytes + bytes,
                quota: self.quota,
            };
            parts.push(self.announce(org, near));
        }
        Ok(parts)
    }
}
