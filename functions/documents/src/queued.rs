//! Documents that take longer than a caller waits: kept with their data, made by the worker, and until then
//! found under the id that they will have.
//!
//! | table row | pk | sk |
//! |---|---|---|
//! | a document that is to be made, or could not be | `org_…` | `document-queued#doc_…` |

use std::time::Duration;

use domain::id::{Document, Organisation, User};
use domain::{Event, Id};
use jiff::Timestamp;
use ports::PortError;
use ports::blobs::Blob;
use ports::table::{If, Item, Key, Write, WriteError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::brand::Brand;
use crate::format::Format;
use crate::refusal::Refusal;
use crate::{DocumentRecord, Documents, DocumentsError, NewDocument, Owner, file_of};

/// How long a caller waits for a document.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The row of a document that is to be made, or could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedDocument {
    /// Its id.
    pub id: Id<Document>,
    /// The template's name or id.
    pub template: String,
    /// The kind of file.
    pub format: Format,
    /// The brand that it wears, as it was when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Brand>,
    /// Who asked for it.
    pub created_by: Id<User>,
    /// When.
    pub created_at: Timestamp,
    /// Why it could not be made, if it could not.
    pub error: Option<Refusal>,
}

/// What there is of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// All of it.
    Ready(Box<DocumentRecord>),
    /// It is to be made, or could not be.
    Queued(QueuedDocument),
}

impl Documents {
    /// Makes a document at once if that takes no longer than the caller waits, else leaves it to the worker.
    ///
    /// # Errors
    /// As [`Documents::create`].
    pub async fn create_or_queue(
        &self,
        owner: &Owner,
        id: Id<Document>,
        new: NewDocument,
        trace: Option<String>,
    ) -> Result<Found, DocumentsError> {
        let design = self.design(owner.org, &new.template).await?;
        let format = design.layout.format(new.format)?;
        let data = new.data.clone();
        let at_once = self.create_with(owner, id, &design, data, format, trace.clone());
        if let Ok(made) = tokio::time::timeout(self.patience, at_once).await {
            return Ok(Found::Ready(Box::new(made?)));
        }
        let queued = QueuedDocument {
            id,
            template: new.template,
            format,
            brand: design.brand(),
            created_by: owner.user,
            created_at: self.clock.now(),
            error: None,
        };
        self.queue(owner.org, queued, &new.data, trace).await
    }

    async fn queue(
        &self,
        org: Id<Organisation>,
        queued: QueuedDocument,
        data: &Value,
        trace: Option<String>,
    ) -> Result<Found, DocumentsError> {
        let id = queued.id;
        let file = Blob {
            bytes: data.to_string().into_bytes(),
            content_type: "application/json".to_owned(),
        };
        self.blobs.put(&data_key(org, id), file).await?;
        let parts = vec![
            // What was made in the last moment needs no worker.
            Write::Check(crate::row_key(org, id), If::Absent),
            Write::Put(Item::new(queued_key(org, id), &queued), If::Absent),
            self.event(org, Event::DocumentQueued { document: id }, trace),
        ];
        match self.table.write(parts).await {
            Ok(()) => Ok(Found::Queued(queued)),
            Err(error) => match self.look(org, id).await {
                Err(DocumentsError::NotFound) => Err(error.into()),
                found => found,
            },
        }
    }

    /// What there is of a document.
    ///
    /// # Errors
    /// [`DocumentsError::NotFound`], or a port's failure.
    pub async fn look(
        &self,
        org: Id<Organisation>,
        id: Id<Document>,
    ) -> Result<Found, DocumentsError> {
        if let Some(record) = self.find(org, id).await? {
            return Ok(Found::Ready(Box::new(record)));
        }
        match self.table.get(&queued_key(org, id)).await? {
            Some(row) => Ok(Found::Queued(row.parse()?)),
            // It may have become ready between the two questions.
            None => match self.find(org, id).await? {
                Some(record) => Ok(Found::Ready(Box::new(record))),
                None => Err(DocumentsError::NotFound),
            },
        }
    }

    /// Makes a document that was queued, if nobody has. What is wrong with it becomes its error; nothing
    /// comes back if there was nothing to do.
    ///
    /// # Errors
    /// What may pass.
    pub async fn make_queued(
        &self,
        org: Id<Organisation>,
        id: Id<Document>,
        trace: Option<String>,
    ) -> Result<Option<Found>, DocumentsError> {
        let Some(row) = self.table.get(&queued_key(org, id)).await? else {
            return Ok(None);
        };
        let queued: QueuedDocument = row.parse()?;
        if queued.error.is_some() {
            return Ok(None);
        }
        let format = queued.format;
        let (found, parts) = match self.try_queued(org, &queued).await {
            Ok(record) => {
                let mut parts = self.parts(org, &record, trace);
                parts.push(Write::Delete(row.key.clone(), If::VersionIs(row.version)));
                (Found::Ready(Box::new(record)), parts)
            }
            Err(error @ (DocumentsError::Port(_) | DocumentsError::Write(_))) => return Err(error),
            Err(error) => {
                let failed = QueuedDocument {
                    error: Some(Refusal::of(error)),
                    ..queued
                };
                let put = Write::Put(row.next(&failed), If::VersionIs(row.version));
                (Found::Queued(failed), vec![put])
            }
        };
        match self.table.write(parts).await {
            Ok(()) => {
                self.blobs.delete(&data_key(org, id)).await?;
                Ok(Some(found))
            }
            // Somebody else was faster, and its outcome is the same; unless it was deleted meanwhile.
            Err(WriteError::Condition(_)) => {
                if let Err(DocumentsError::NotFound) = self.look(org, id).await {
                    self.blobs.delete(&file_of(org, id, format)).await?;
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a document that is to be made, or could not be. A worker that is at it finds its row gone.
    pub(crate) async fn delete_queued(
        &self,
        org: Id<Organisation>,
        id: Id<Document>,
        trace: Option<String>,
    ) -> Result<(), DocumentsError> {
        if let Found::Ready(_) = self.look(org, id).await? {
            return Err(DocumentsError::Write(WriteError::Conflict));
        }
        self.blobs.delete(&data_key(org, id)).await?;
        let parts = vec![
            Write::Check(crate::row_key(org, id), If::Absent),
            Write::Delete(queued_key(org, id), If::Present),
            self.event(org, Event::DocumentDeleted { document: id }, trace),
        ];
        Ok(self.table.write(parts).await?)
    }

    async fn try_queued(
        &self,
        org: Id<Organisation>,
        queued: &QueuedDocument,
    ) -> Result<DocumentRecord, DocumentsError> {
        let owner = Owner {
            org,
            user: queued.created_by,
        };
        let lost = || PortError::Refused {
            port: ports::Port::Blobs,
            cause: "the data of a queued document is gone".to_owned(),
        };
        let file = self
            .blobs
            .get(&data_key(org, queued.id))
            .await?
            .ok_or_else(lost)?;
        let data: Value = serde_json::from_slice(&file.bytes).map_err(|_| lost())?;
        let design = self
            .design_with(org, &queued.template, queued.brand.clone())
            .await?;
        self.make(&owner, queued.id, &design, data, queued.format)
            .await
    }
}

fn queued_key(org: Id<Organisation>, id: Id<Document>) -> Key {
    Key::new(org, format!("document-queued#{id}"))
}

/// The data of a document that is to be made: under the prefix of the rows of batches, because it is
/// forgotten by the same rule if nobody deletes it.
fn data_key(org: Id<Organisation>, id: Id<Document>) -> String {
    format!("batch-inputs/{org}/{id}.json")
}
