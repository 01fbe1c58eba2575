//! New documents of old ones: merged, split, marked, encrypted. The old ones stay as they are.
//!
//! What is made keeps the template's name of the first document that it was made from. A watermark leaves
//! a file as archivable and as accessible as it was; whatever is merged, split or encrypted claims neither
//! any more: its tags and its metadata do not go along.

use domain::Id;
use domain::id::{Document, Organisation};
use ports::PortError;
use ports::blobs::Blob;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::format::Format;
use crate::job::{Rendered, TypesetError};
use crate::pdf::{self, Edit};
use crate::{DocumentRecord, Documents, DocumentsError, Owner, file_key};

/// The most documents that become one.
pub const MOST_SOURCES: usize = 50;

/// The most documents that one becomes.
pub const MOST_PARTS: usize = 20;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Several documents became one.
    Merge,
    /// Some pages of a document became one of their own.
    Split,
    /// A text was painted across each page.
    Watermark,
    /// It opens with a password only.
    Encrypt,
}

/// What a document was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// What was done.
    pub operation: Operation,
    /// The documents that it was done to.
    pub documents: Vec<Id<Document>>,
    /// Whether the file still keeps to PDF/A-2b and PDF/UA-1.
    pub conforms: bool,
}

/// Which document of a request: the one in its path, or one of those in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// That in the path.
    Path,
    /// One of the body's list, counted from 0.
    With(usize),
}

impl Place {
    /// The place of a source by its number: the first is that in the path.
    fn of(number: usize) -> Self {
        number.checked_sub(1).map_or(Self::Path, Self::With)
    }
}

/// Why a document cannot serve as a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The organisation has no such document.
    Missing,
    /// Its format is not PDF.
    NotPdf,
    /// It opens with a password only.
    Protected,
    /// Its file cannot be worked on within the limits.
    Unreadable,
}

/// Documents that something is made of.
#[derive(Clone, Debug)]
pub struct Sources(Vec<DocumentRecord>);

impl Sources {
    /// Pages of the first document, which every PDF has.
    pub fn pages(&self) -> u32 {
        self.0.first().and_then(|first| first.pages).unwrap_or(0)
    }
}

impl Documents {
    /// The documents, if each of them can serve as a source.
    ///
    /// # Errors
    /// [`DocumentsError::NotFound`] for the first, [`DocumentsError::BadSource`],
    /// [`DocumentsError::Typeset`] if they are too large together, or a port's failure.
    pub async fn sources(
        &self,
        org: Id<Organisation>,
        ids: &[Id<Document>],
    ) -> Result<Sources, DocumentsError> {
        let mut found = Vec::with_capacity(ids.len());
        for (number, id) in ids.iter().enumerate() {
            let place = Place::of(number);
            let record = match (self.find(org, *id).await?, place) {
                (Some(record), _) => record,
                (None, Place::Path) => return Err(DocumentsError::NotFound),
                (None, place) => return Err(DocumentsError::BadSource(place, Unfit::Missing)),
            };
            if record.format != Format::Pdf {
                return Err(DocumentsError::BadSource(place, Unfit::NotPdf));
            }
            let origin = record.made_from.as_ref();
            if origin.is_some_and(|origin| origin.operation == Operation::Encrypt) {
                return Err(DocumentsError::BadSource(place, Unfit::Protected));
            }
            found.push(record);
        }
        let bytes = found.iter().map(|record| record.bytes).sum();
        let limit = pdf::LIMITS.bytes;
        if bytes > limit {
            return Err(TypesetError::TooBig { bytes, limit }.into());
        }
        Ok(Sources(found))
    }

    /// Makes one document for each edit, all of them or none. What an earlier attempt of the same request
    /// made stays as it is: an encryption would not give the same file again.
    ///
    /// # Errors
    /// As for [`Self::sources`]; [`DocumentsError::Typeset`] if a result cannot be made or is too large.
    pub async fn derive(
        &self,
        owner: &Owner,
        operation: Operation,
        sources: &Sources,
        edits: &[(Id<Document>, Edit)],
        trace: Option<String>,
    ) -> Result<Vec<DocumentRecord>, DocumentsError> {
        if let Some(made) = self.made(owner.org, edits).await? {
            return Ok(made);
        }
        let files = self.files(owner.org, sources).await?;
        let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        let mut records = Vec::with_capacity(edits.len());
        for (id, edit) in edits {
            let made = self.edited(edit, &files).await?;
            let record = self.record(owner, *id, operation, sources, &made)?;
            let file = Blob {
                bytes: made.file,
                content_type: Format::Pdf.content_type().to_owned(),
            };
            self.blobs.put(&file_key(owner.org, &record), file).await?;
            records.push(record);
        }
        let parts = records
            .iter()
            .flat_map(|record| self.parts(owner.org, record, trace.clone()))
            .collect();
        match self.table.write(parts).await {
            Ok(()) => Ok(records),
            // The rows may be there although the answer was lost.
            Err(error) => match self.made(owner.org, edits).await? {
                Some(made) => Ok(made),
                None => Err(error.into()),
            },
        }
    }

    /// The documents if they are there; they were written in one transaction.
    async fn made(
        &self,
        org: Id<Organisation>,
        edits: &[(Id<Document>, Edit)],
    ) -> Result<Option<Vec<DocumentRecord>>, PortError> {
        let mut made = Vec::with_capacity(edits.len());
        for (id, _) in edits {
            match self.find(org, *id).await? {
                Some(record) => made.push(record),
                None => return Ok(None),
            }
        }
        Ok(Some(made))
    }

    async fn files(
        &self,
        org: Id<Organisation>,
        sources: &Sources,
    ) -> Result<Vec<Vec<u8>>, DocumentsError> {
        let mut files = Vec::with_capacity(sources.0.len());
        for (number, record) in sources.0.iter().enumerate() {
            match self.blobs.get(&file_key(org, record)).await? {
                Some(file) => files.push(file.bytes),
                // Deleted since its row was read.
                None if number == 0 => return Err(DocumentsError::NotFound),
                None => {
                    return Err(DocumentsError::BadSource(Place::of(number), Unfit::Missing));
                }
            }
        }
        Ok(files)
    }

    async fn edited(&self, edit: &Edit, files: &[&[u8]]) -> Result<Rendered, DocumentsError> {
        let bad = |file: u32, unfit| {
            let number = usize::try_from(file).unwrap_or(0);
            DocumentsError::BadSource(Place::of(number), unfit)
        };
        match self.renderer.edit(edit, files, pdf::LIMITS).await {
            Ok(made) => Ok(made),
            Err(TypesetError::Protected { file }) => Err(bad(file, Unfit::Protected)),
            Err(TypesetError::Unreadable { file }) => Err(bad(file, Unfit::Unreadable)),
            // A file that eats up memory will do so again.
            Err(TypesetError::Aborted) => Err(bad(0, Unfit::Unreadable)),
            Err(other) => Err(other.into()),
        }
    }

    fn record(
        &self,
        owner: &Owner,
        id: Id<Document>,
        operation: Operation,
        Sources(sources): &Sources,
        made: &Rendered,
    ) -> Result<DocumentRecord, DocumentsError> {
        let first = sources.first().ok_or(DocumentsError::NotFound)?;
        Ok(DocumentRecord {
            id,
            template: first.template.clone(),
            template_version: first.template_version,
            format: Format::Pdf,
            pages: made.pages,
            bytes: made.file.len() as u64,
            sha256: made.sha256.clone(),
            crc32: crc32fast::hash(&made.file),
            batch: None,
            made_from: Some(Origin {
                operation,
                documents: sources.iter().map(|source| source.id).collect(),
                conforms: operation == Operation::Watermark && first.conforms(),
            }),
            created_by: owner.user,
            created_at: self.clock.now(),
        })
    }
}
