//! Files that have arrived.

use std::time::Duration;

use domain::id::{File, Organisation, User};
use domain::{Caller, Event, Id};
use jiff::Timestamp;
use ports::blobs::Link;
use ports::table::{Cursor, If, Item, Page, Query, Write, WriteError};
use serde::{Deserialize, Serialize};

use crate::names::{FileName, Folder, Tags};
use crate::upload::{Facts, Upload};
use crate::{Files, FilesError, VALID, file_key, object_key};

/// The beginning of a file's sort key.
pub(crate) const ROW_PREFIX: &str = "file#";

/// How far a file is. Only [`Status::Clean`] leads to its octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Agreed; it has not arrived yet.
    Uploading,
    /// Arrived; it has not been looked at yet.
    Pending,
    /// Looked at; nothing was found.
    Clean,
    /// Something harmful was found.
    Infected,
    /// It is not what was agreed: another type, another checksum.
    Quarantined,
    /// Nobody could look into it.
    Error,
}

impl Status {
    /// The word for it, as events carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Pending => "pending",
            Self::Clean => "clean",
            Self::Infected => "infected",
            Self::Quarantined => "quarantined",
            Self::Error => "error",
        }
    }

    /// Whether it may still be looked at.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Error)
    }
}

/// The row of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its id.
    pub id: Id<File>,
    /// What was agreed of it.
    pub facts: Facts,
    /// How far it is.
    pub status: Status,
    /// What was found, as a stable word or the threat's name.
    pub finding: Option<String>,
    /// Whether the store proved the checksum when it took the file.
    pub is_proven: bool,
    /// Whether type and checksum were compared with what was agreed.
    pub is_checked: bool,
    /// Who uploaded it.
    pub created_by: Id<User>,
    /// When it was agreed.
    pub created_at: Timestamp,
    /// When it was looked at last.
    pub scanned_at: Option<Timestamp>,
}

impl FileRecord {
    /// The file that an upload became.
    pub(crate) fn of(upload: &Upload) -> Self {
        Self {
            id: upload.id,
            facts: upload.facts.clone(),
            status: Status::Pending,
            finding: None,
            is_proven: upload.is_proven(),
            is_checked: false,
            created_by: upload.created_by,
            created_at: upload.created_at,
            scanned_at: None,
        }
    }

    /// Its first row.
    pub(crate) fn row(&self, org: Id<Organisation>) -> Item {
        Item::new(file_key(org, self.id), self)
            .indexed(folder_partition(org, &self.facts.folder), self.id)
    }

    /// The row that follows another of the same file.
    pub(crate) fn following(&self, org: Id<Organisation>, row: &Item) -> Item {
        row.next(self)
            .indexed(folder_partition(org, &self.facts.folder), self.id)
    }
}

/// What changes; the rest stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// A new name.
    pub name: Option<FileName>,
    /// A new folder.
    pub folder: Option<Folder>,
    /// New tags, all of them.
    pub tags: Option<Tags>,
}

/// The index's partition of one folder.
pub(crate) fn folder_partition(org: Id<Organisation>, folder: &Folder) -> String {
    format!("{org}#folder#{}", folder.as_str())
}

impl Files {
    pub(crate) async fn row(
        &self,
        org: Id<Organisation>,
        id: Id<File>,
    ) -> Result<Option<(Item, FileRecord)>, FilesError> {
        let Some(row) = self.table.get(&file_key(org, id)).await? else {
            return Ok(None);
        };
        let record = row.parse()?;
        Ok(Some((row, record)))
    }

    /// A file of the caller's organisation and its version. One that is agreed and has not arrived is there
    /// too, as [`Status::Uploading`].
    ///
    /// # Errors
    /// [`FilesError::NotFound`], or a port's failure.
    pub async fn get(
        &self,
        caller: &Caller,
        id: Id<File>,
    ) -> Result<(FileRecord, u64), FilesError> {
        let org = caller.organisation;
        if let Some((row, record)) = self.row(org, id).await? {
            return Ok((record, row.version));
        }
        match self.upload(org, id).await {
            Ok((_, upload)) if upload.reserved_until > self.clock.now() => {
                let status = Status::Uploading;
                let record = FileRecord {
                    status,
                    ..FileRecord::of(&upload)
                };
                Ok((record, 0))
            }
            Ok(_) => Err(FilesError::NotFound),
            // Between the two reads it may have become a file.
            Err(FilesError::NotFound) => {
                let found = self.row(org, id).await?.ok_or(FilesError::NotFound)?;
                Ok((found.1, found.0.version))
            }
            Err(error) => Err(error),
        }
    }

    /// The files of an organisation, or of one folder of it, the newest first.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn list(
        &self,
        caller: &Caller,
        folder: Option<&Folder>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<FileRecord>, Option<Cursor>), FilesError> {
        let org = caller.organisation;
        let base = match folder {
            Some(folder) => Query {
                by_index: true,
                ..Query::prefix(folder_partition(org, folder), "fil_")
            },
            None => Query::prefix(org, ROW_PREFIX),
        };
        let query = Query {
            descending: true,
            limit,
            after,
            ..base
        };
        let Page { items, next } = self.table.query(&query).await?;
        let records = items.iter().map(Item::parse).collect::<Result<_, _>>()?;
        Ok((records, next))
    }

    /// Changes a file if it still has this version. A change that changes nothing writes nothing.
    ///
    /// # Errors
    /// [`FilesError::NotFound`], [`FilesError::VersionMismatch`], or a port's failure.
    pub async fn update(
        &self,
        caller: &Caller,
        id: Id<File>,
        version: u64,
        change: Change,
    ) -> Result<(FileRecord, u64), FilesError> {
        let org = caller.organisation;
        let (row, record) = self.row(org, id).await?.ok_or(FilesError::NotFound)?;
        if row.version != version {
            return Err(FilesError::VersionMismatch);
        }
        let facts = Facts {
            name: change.name.unwrap_or_else(|| record.facts.name.clone()),
            folder: change.folder.unwrap_or_else(|| record.facts.folder.clone()),
            tags: change.tags.unwrap_or_else(|| record.facts.tags.clone()),
            ..record.facts.clone()
        };
        if facts == record.facts {
            return Ok((record, version));
        }
        let next = FileRecord { facts, ..record };
        let following = next.following(org, &row);
        let version = following.version;
        let write = Write::Put(following, If::VersionIs(row.version));
        match self.write(vec![write]).await {
            Ok(()) => Ok((next, version)),
            Err(WriteError::Condition(_)) => Err(FilesError::VersionMismatch),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a file, its object first: if the second step fails, a repeat finds the row and goes on, and
    /// nothing is left that nobody counts. An upload under way is given up. `is_expected` says whether the
    /// version that stands there is the one that the caller means.
    ///
    /// # Errors
    /// [`FilesError::NotFound`], [`FilesError::VersionMismatch`], what `is_expected` says, or a port's failure.
    pub async fn delete<E: From<FilesError>>(
        &self,
        caller: &Caller,
        id: Id<File>,
        is_expected: impl Fn(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let org = caller.organisation;
        let Some((row, record)) = self.row(org, id).await? else {
            return Ok(self.abort(caller, id).await?);
        };
        is_expected(row.version)?;
        let deleted = self.blobs.delete(&object_key(org, id)).await;
        deleted.map_err(FilesError::from)?;
        Ok(self.forget(org, &row, &record).await?)
    }

    /// Deletes a file's row, says so, and counts it no more: all or nothing.
    async fn forget(
        &self,
        org: Id<Organisation>,
        row: &Item,
        record: &FileRecord,
    ) -> Result<(), FilesError> {
        let numbers = self.numbers(org).await?;
        let count = self.deleting(&numbers, org, record.id, record.facts.bytes);
        let parts = vec![
            Write::Delete(row.key.clone(), If::VersionIs(row.version)),
            self.announce(org, Event::FileDeleted { file: record.id }),
            Write::Count(count),
        ];
        match self.write(parts).await {
            Ok(()) => Ok(()),
            Err(WriteError::Condition(_)) => match self.row(org, record.id).await? {
                // A verdict came in between.
                Some(_) => Err(FilesError::VersionMismatch),
                // Somebody else deleted it, or this same write did and its answer was lost.
                None => Err(FilesError::NotFound),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// A clean file and its version.
    pub(crate) async fn clean(
        &self,
        caller: &Caller,
        id: Id<File>,
    ) -> Result<(FileRecord, u64), FilesError> {
        match self.get(caller, id).await? {
            found if found.0.status == Status::Clean => Ok(found),
            (record, _) => Err(FilesError::NotClean(record.status)),
        }
    }

    /// A link to a clean file's octets, under its name, valid that long and at most 15 minutes.
    ///
    /// # Errors
    /// [`FilesError::NotFound`], [`FilesError::NotClean`], or a port's failure.
    pub async fn link(
        &self,
        caller: &Caller,
        id: Id<File>,
        valid: Option<Duration>,
    ) -> Result<Link, FilesError> {
        let (record, _) = self.clean(caller, id).await?;
        let key = object_key(caller.organisation, id);
        let valid = valid.map_or(VALID, |valid| valid.min(VALID));
        let name = record.facts.name.as_str();
        Ok(self.blobs.link(&key, name, valid).await?)
    }
}
