//! From the agreement to the object's arrival, or to the end of its time.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use domain::id::{File, Organisation, User};
use domain::{Caller, Id};
use jiff::{SignedDuration, Timestamp};
use ports::blobs::uploads::{Agreed, Part, Sha256, Ticket};
use ports::table::{If, Item, Page, Query, Write, WriteError};
use serde::{Deserialize, Serialize};

use crate::file::FileRecord;
use crate::names::{FileName, Folder, Tags};
use crate::quota::{self, Move, Usage, change};
use crate::{Files, FilesError, VALID, file_key, object_key, upload_key};

/// The beginning of an upload's sort key.
pub(crate) const ROW_PREFIX: &str = "upload#";

/// How long room is set aside for a file that is sent in one piece: its ticket's time, and as much again
/// as a slow line may need for what it began in time.
const WHOLE: SignedDuration = SignedDuration::from_hours(1);

/// How long room is set aside for a file in parts; the bucket's own rule forgets parts after a day.
const IN_PARTS: SignedDuration = SignedDuration::from_hours(24);

/// How long an upload's row may stay after its time, for the sweep to find; then the table forgets it.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How many expired uploads one request clears away.
const SWEPT_AT_ONCE: usize = 25;

/// What is agreed of a file before it arrives, and stays true of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What it is called.
    pub name: FileName,
    /// Where it is shown.
    pub folder: Folder,
    /// What its owner attached to it.
    pub tags: Tags,
    /// Its octets.
    pub bytes: u64,
    /// Its media type.
    pub content_type: String,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// What a caller wants to upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The file.
    pub facts: Facts,
    /// In how many parts it is sent; nothing for one piece.
    pub parts: Option<u16>,
}

/// How a large file is cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// How many.
    pub count: u16,
    /// Octets of each but the last.
    pub bytes: u64,
    /// The store's name of the undertaking, once it is begun.
    pub upload: Option<String>,
}

/// The row of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The file's id.
    pub id: Id<File>,
    /// The file.
    pub facts: Facts,
    /// How it is cut, if it is.
    pub parts: Option<Parts>,
    /// The clean file that it is a copy of, if it is one.
    pub copy_of: Option<Id<File>>,
    /// Until when its room is set aside.
    pub reserved_until: Timestamp,
    /// Who asked.
    pub created_by: Id<User>,
    /// When.
    pub created_at: Timestamp,
}

/// An upload that may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// What was agreed.
    pub upload: Upload,
    /// For a file in one piece.
    pub ticket: Option<Ticket>,
}

impl Parts {
    fn of(bytes: u64, count: u16) -> Self {
        Self {
            count,
            bytes: bytes.div_ceil(u64::from(count.max(1))),
            upload: None,
        }
    }

    /// The octets of one part of a file; nothing if it has no such part.
    pub fn length(&self, number: u16, whole: u64) -> Option<u64> {
        let before = self.bytes * u64::from(number.checked_sub(1)?);
        (number <= self.count && before < whole).then(|| self.bytes.min(whole - before))
    }
}

impl Upload {
    fn new(
        caller: &Caller,
        id: Id<File>,
        agreement: Agreement,
        copy_of: Option<Id<File>>,
        now: Timestamp,
    ) -> Self {
        let bytes = agreement.facts.bytes;
        let time = if agreement.parts.is_some() {
            IN_PARTS
        } else {
            WHOLE
        };
        Self {
            id,
            parts: agreement.parts.map(|count| Parts::of(bytes, count)),
            facts: agreement.facts,
            copy_of,
            reserved_until: now.saturating_add(time).unwrap_or(Timestamp::MAX),
            created_by: caller.user,
            created_at: now,
        }
    }

    fn row(&self, org: Id<Organisation>) -> Item {
        let forgotten = self.reserved_until.saturating_add(KEPT);
        Item::new(upload_key(org, self.id), self).expiring(forgotten.unwrap_or(Timestamp::MAX))
    }

    /// Whether the store itself proves the file's checksum: it does for one piece, and for a copy of what was
    /// proven; for parts it proves each part's, and nobody the whole.
    pub(crate) fn is_proven(&self) -> bool {
        self.parts.is_none()
    }

    fn begun(&self) -> Option<(&Parts, &str)> {
        let parts = self.parts.as_ref()?;
        Some((parts, parts.upload.as_deref()?))
    }
}

impl Files {
    /// Agrees on a file, sets its room aside and signs its ticket. The id comes from the request, so that a
    /// request that is sent again begins the same upload.
    ///
    /// # Errors
    /// [`FilesError::QuotaExceeded`], [`FilesError::TooManyOpen`], or a port's failure.
    pub async fn start(
        &self,
        caller: &Caller,
        id: Id<File>,
        agreement: Agreement,
    ) -> Result<Started, FilesError> {
        let org = caller.organisation;
        let upload = Upload::new(caller, id, agreement, None, self.clock.now());
        let (row, upload) = self.open(org, upload).await?;
        if upload.parts.is_some() {
            let upload = self.begin(org, row, upload).await?;
            let ticket = None;
            return Ok(Started { upload, ticket });
        }
        let file = Agreed {
            bytes: upload.facts.bytes,
            content_type: upload.facts.content_type.clone(),
            sha256: parse_sha256(&upload.facts.sha256).unwrap_or_default(),
        };
        let ticket = self
            .blobs
            .ticket(&object_key(org, id), &file, VALID)
            .await?;
        Ok(Started {
            upload,
            ticket: Some(ticket),
        })
    }

    /// Writes an upload's row, then sets its room aside; an earlier attempt's row is taken up.
    async fn open(
        &self,
        org: Id<Organisation>,
        upload: Upload,
    ) -> Result<(Item, Upload), FilesError> {
        let row = upload.row(org);
        let (row, upload) = match self.write(vec![Write::Put(row.clone(), If::Absent)]).await {
            Ok(()) => (row, upload),
            Err(WriteError::Condition(_)) => {
                let row = self
                    .table
                    .get(&row.key)
                    .await?
                    .ok_or(FilesError::NotFound)?;
                let upload = row.parse()?;
                (row, upload)
            }
            Err(error) => return Err(error.into()),
        };
        let bytes = upload.facts.bytes;
        let mut answer = self.reserve(org, upload.id, bytes).await;
        let is_full = matches!(
            answer,
            Err(FilesError::QuotaExceeded { .. } | FilesError::TooManyOpen)
        );
        if is_full && self.sweep(org).await? > 0 {
            answer = self.reserve(org, upload.id, bytes).await;
        }
        if let Err(error @ (FilesError::QuotaExceeded { .. } | FilesError::TooManyOpen)) = answer {
            self.write(vec![Write::Delete(row.key, If::Always)]).await?;
            return Err(error);
        }
        answer.map(|()| (row, upload))
    }

    /// Begins a file of parts at the store, once.
    async fn begin(
        &self,
        org: Id<Organisation>,
        row: Item,
        mut upload: Upload,
    ) -> Result<Upload, FilesError> {
        let Some(parts) = upload.parts.as_mut().filter(|parts| parts.upload.is_none()) else {
            return Ok(upload);
        };
        let key = object_key(org, upload.id);
        let name = self
            .blobs
            .begin_parts(&key, &upload.facts.content_type)
            .await?;
        parts.upload = Some(name.clone());
        let next = row.next(&upload);
        match self
            .write(vec![Write::Put(next, If::VersionIs(row.version))])
            .await
        {
            Ok(()) => Ok(upload),
            Err(WriteError::Condition(_)) => {
                // This same write, whose answer was lost, or another attempt that was faster.
                let (_, stored) = self.upload(org, upload.id).await?;
                if stored.begun().map(|(_, upload)| upload) != Some(name.as_str()) {
                    self.blobs.abort_parts(&key, &name).await?;
                }
                Ok(stored)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tickets for parts, each by its number and its checksum.
    ///
    /// # Errors
    /// [`FilesError::NotFound`], [`FilesError::Expired`], [`FilesError::NoSuchPart`], or a port's failure.
    pub async fn part_tickets(
        &self,
        caller: &Caller,
        id: Id<File>,
        wanted: &[(u16, Sha256)],
    ) -> Result<Vec<(u16, Ticket)>, FilesError> {
        let org = caller.organisation;
        let (_, upload) = self.upload(org, id).await?;
        let first = wanted.first().map_or(1, |(number, _)| *number);
        let (parts, name) = upload.begun().ok_or(FilesError::NoSuchPart(first))?;
        if upload.reserved_until <= self.clock.now() {
            return Err(FilesError::Expired);
        }
        let key = object_key(org, id);
        let mut tickets = Vec::with_capacity(wanted.len());
        for (number, sha256) in wanted {
            let bytes = parts
                .length(*number, upload.facts.bytes)
                .ok_or(FilesError::NoSuchPart(*number))?;
            let ticket = self
                .blobs
                .part_ticket(&key, name, *number, (bytes, *sha256), VALID)
                .await?;
            tickets.push((*number, ticket));
        }
        Ok(tickets)
    }

    /// Makes the file of its parts if it has any, and gives it its row without waiting for the store's word.
    /// The parts are the ones that the store has, so that nobody has to remember what it answered.
    ///
    /// # Errors
    /// [`FilesError::NotFound`], [`FilesError::Incomplete`], or a port's failure.
    pub async fn complete(
        &self,
        caller: &Caller,
        id: Id<File>,
    ) -> Result<(FileRecord, u64), FilesError> {
        let org = caller.organisation;
        let (row, upload) = match self.upload(org, id).await {
            Ok(found) => found,
            // It may have arrived, and been counted, a moment ago.
            Err(FilesError::NotFound) => return self.get(caller, id).await,
            Err(error) => return Err(error),
        };
        let key = object_key(org, id);
        if let Some((parts, name)) = upload.begun()
            && let Some(arrived) = self.blobs.parts(&key, name).await?
        {
            let whole = upload.facts.bytes;
            check_parts(&arrived, parts, whole)?;
            self.blobs.finish_parts(&key, name, &arrived).await?;
        }
        let row = self.settle(org, row, &upload).await?;
        let row = row.ok_or(FilesError::Incomplete {
            arrived: 0,
            agreed: upload.facts.bytes,
        })?;
        Ok((row.parse()?, row.version))
    }

    /// Gives an upload up: its parts, its room and its row.
    ///
    /// # Errors
    /// [`FilesError::NotFound`], or a port's failure.
    pub async fn abort(&self, caller: &Caller, id: Id<File>) -> Result<(), FilesError> {
        let org = caller.organisation;
        let (row, upload) = self.upload(org, id).await?;
        self.blobs_of(org, &upload).await?;
        // Its row goes first: a notice that comes from now on finds nothing, and deletes what it is about.
        self.release(org, &row, &upload).await?;
        self.blobs.delete(&object_key(org, id)).await?;
        Ok(())
    }

    /// Gives up what the store keeps for an upload in parts.
    async fn blobs_of(&self, org: Id<Organisation>, upload: &Upload) -> Result<(), FilesError> {
        if let Some((_, name)) = upload.begun() {
            self.blobs
                .abort_parts(&object_key(org, upload.id), name)
                .await?;
        }
        Ok(())
    }

    /// Gives the room back and deletes the row, both or neither. A row that has no room goes alone.
    async fn release(
        &self,
        org: Id<Organisation>,
        row: &Item,
        upload: &Upload,
    ) -> Result<(), FilesError> {
        let delete = Write::Delete(row.key.clone(), If::VersionIs(row.version));
        let room = change(org, upload.id, upload.facts.bytes, Move::Release);
        match self.write(vec![delete.clone(), Write::Count(room)]).await {
            Err(WriteError::Condition(failed)) if failed == [1] => {
                self.write(vec![delete]).await.or_else(gone)
            }
            answer => answer.or_else(gone),
        }
    }

    /// What an organisation's files take up, once everything whose time is over is cleared away.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn usage(&self, caller: &Caller) -> Result<Usage, FilesError> {
        let org = caller.organisation;
        let mut numbers = self.numbers(org).await?;
        if quota::rooms(&numbers).next().is_some() && self.sweep(org).await? > 0 {
            numbers = self.numbers(org).await?;
        }
        Ok(self.usage_of(&numbers))
    }

    /// Clears away uploads whose time is over, and rooms that have no upload. What has arrived meanwhile is
    /// kept: its notice is only late. Gives how many rooms became free or settled.
    pub(crate) async fn sweep(&self, org: Id<Organisation>) -> Result<usize, FilesError> {
        // The numbers before the rows: a row always stands before its room, so that a room that was seen and
        // whose row is not there any more belongs to nobody.
        let numbers = self.numbers(org).await?;
        let mut open = BTreeSet::new();
        let mut cleared = 0;
        let mut query = Query::prefix(org, ROW_PREFIX);
        loop {
            let Page { items, next } = self.table.query(&query).await?;
            for row in items {
                let upload: Upload = row.parse()?;
                open.insert(upload.id);
                if upload.reserved_until <= self.clock.now() && cleared < SWEPT_AT_ONCE {
                    self.expire(org, row, &upload).await?;
                    cleared += 1;
                }
            }
            match next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        for (id, bytes) in quota::rooms(&numbers).filter(|(id, _)| !open.contains(id)) {
            self.give_back(org, id, bytes).await?;
            cleared += 1;
        }
        Ok(cleared)
    }

    async fn expire(
        &self,
        org: Id<Organisation>,
        row: Item,
        upload: &Upload,
    ) -> Result<(), FilesError> {
        if self.settle(org, row.clone(), upload).await?.is_some() {
            return Ok(());
        }
        self.blobs_of(org, upload).await?;
        self.release(org, &row, upload).await
    }

    /// Copies a clean file. The copy is looked at like everything that arrives.
    ///
    /// # Errors
    /// [`FilesError::NotFound`], [`FilesError::NotClean`], [`FilesError::QuotaExceeded`],
    /// [`FilesError::TooManyOpen`], or a port's failure.
    pub async fn copy(
        &self,
        caller: &Caller,
        from: Id<File>,
        id: Id<File>,
        name: Option<FileName>,
        folder: Option<Folder>,
    ) -> Result<(FileRecord, u64), FilesError> {
        let org = caller.organisation;
        let (source, _) = self.clean(caller, from).await?;
        if let Some(row) = self.table.get(&file_key(org, id)).await? {
            // The copy of an earlier attempt.
            return Ok((row.parse()?, row.version));
        }
        let facts = Facts {
            name: name.unwrap_or(source.facts.name),
            folder: folder.unwrap_or(source.facts.folder),
            ..source.facts
        };
        let agreement = Agreement { facts, parts: None };
        let upload = Upload::new(caller, id, agreement, Some(from), self.clock.now());
        let (row, upload) = self.open(org, upload).await?;
        if !self
            .blobs
            .copy(&object_key(org, from), &object_key(org, id))
            .await?
        {
            self.release(org, &row, &upload).await?;
            return Err(FilesError::NotFound);
        }
        let row = self.settle(org, row, &upload).await?;
        let row = row.ok_or(FilesError::NotFound)?;
        Ok((row.parse()?, row.version))
    }

    /// An upload of an organisation with its row.
    pub(crate) async fn upload(
        &self,
        org: Id<Organisation>,
        id: Id<File>,
    ) -> Result<(Item, Upload), FilesError> {
        let row = self.table.get(&upload_key(org, id)).await?;
        let row = row.ok_or(FilesError::NotFound)?;
        let upload = row.parse()?;
        Ok((row, upload))
    }
}

/// Somebody else was faster.
fn gone(error: WriteError) -> Result<(), FilesError> {
    match error {
        WriteError::Condition(_) => Ok(()),
        error => Err(error.into()),
    }
}

/// Whether exactly the agreed parts have arrived. Each is as long as its ticket said.
fn check_parts(arrived: &[Part], parts: &Parts, whole: u64) -> Result<(), FilesError> {
    let bytes: u64 = arrived.iter().map(|part| part.bytes).sum();
    if arrived.len() == usize::from(parts.count) && bytes == whole {
        Ok(())
    } else {
        Err(FilesError::Incomplete {
            arrived: bytes,
            agreed: whole,
        })
    }
}

/// A checksum of 64 hexadecimal digits.
pub fn parse_sha256(text: &str) -> Option<Sha256> {
    let octets = HEXLOWER.decode(text.as_bytes()).ok()?;
    octets.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_file_are_the_file() {
        const MIB: u64 = 1024 * 1024;
        for (whole, count) in [
            (5 * MIB + 1, 2),
            (10 * MIB, 2),
            (100 * MIB - 7, 13),
            (5_000_000_000, 900),
            (5_000_000_000, 953),
            (9, 1),
        ] {
            let parts = Parts::of(whole, count);
            let lengths: Vec<u64> = (1..=count)
                .map(|number| parts.length(number, whole).unwrap())
                .collect();

            assert_eq!(lengths.iter().sum::<u64>(), whole, "{whole} in {count}");
            assert!(lengths.iter().all(|bytes| *bytes > 0));
            assert_eq!(parts.length(0, whole), None);
            assert_eq!(parts.length(count + 1, whole), None);
        }
    }
}
