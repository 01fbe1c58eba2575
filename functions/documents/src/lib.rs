//! Documents: a template and data become a PDF that anybody can archive and read.
//!
//! A request is checked, set by a child process, stored, and answered with a link that expires. What takes
//! longer than a caller waits ([`queued`]), what there is much of ([`batch`]) and what a model writes first
//! ([`draft`]) is left to `documents-worker`.
//!
//! Events out: `documents.rendered`, `documents.deleted`, `documents.queued`, `documents.batch_queued`,
//! `documents.batch_done`, `documents.draft_queued`, `documents.template_version_added`,
//! `documents.template_published`, `documents.template_deleted`. Events in: `documents.queued`,
//! `documents.batch_queued`, `documents.batch_done`, `content.draft_answered`.
//!
//! | table row | pk | sk |
//! |---|---|---|
//! | a document | `org_…` | `document#doc_…` |
//! | a template | `org_…` | `template#tpl_…` |
//! | a version of it | `org_…` | `template-version#tpl_…#000001` |
//! | the brand and its logo | `org_…` | `brand`, `brand-logo#` and a hash |
//! | an event of the outbox | `org_…` | `event#evt_…` |
//!
//! The rows of what comes later are named in those modules. Files stand in the bucket under `org_…/doc_…` and
//! the end of their kind, Word files that templates are made of under `org_…/tpl_…/` and their hash. Every key
//! begins with the organisation of the caller, so another tenant's id names nothing.

pub mod api;
pub mod batch;
pub mod batch_api;
pub mod brand;
pub mod check;
pub mod derive;
pub mod design;
pub mod draft;
pub mod flow;
pub mod format;
pub mod iban;
pub mod invoice;
pub mod job;
pub mod layout;
pub mod overlay;
pub mod own;
pub mod pdf;
pub mod picture;
pub mod queued;
pub mod refusal;
pub mod renderer;
pub mod template;
pub mod typeset;
pub mod write;

use std::sync::Arc;
use std::time::Duration;

use domain::id::{Document, Organisation, User};
use domain::{Caller, Event, Id};
use jiff::Timestamp;
use ports::PortError;
use ports::blobs::{Blob, Blobs, Link};
use ports::clock::Clock;
use ports::ids::Ids;
use ports::outbox::{Origin, announce};
use ports::table::{Cursor, If, Item, Key, Page, Query, Table, Write, WriteError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use brand::{Brand, Logos};
use check::Fault;
use design::Design;
use format::Format;
use job::{Job, Output, Rendered, TypesetError};
use layout::Layout;
use own::Refusal;
use renderer::Renderer;
use template::Template;

/// How long a download link is valid: the longest that the fleet allows.
const LINK_VALID: Duration = Duration::from_mins(15);

/// Where previews stand in the bucket, which forgets them after a day.
const PREVIEWS: &str = "previews";

/// Makes, finds and deletes documents.
pub struct Documents {
    /// Rows and events.
    pub table: Arc<dyn Table>,
    /// Files.
    pub blobs: Arc<dyn Blobs>,
    /// The child that sets them.
    pub renderer: Renderer,
    /// Logos that this process has read.
    pub logos: Logos,
    /// How long a caller waits before a document is left to the worker; see [`queued::PATIENCE`].
    pub patience: Duration,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of events.
    pub ids: Arc<dyn Ids>,
}

/// For whom a document is made: the organisation that owns it, and the person who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The tenant; every key begins with it.
    pub org: Id<Organisation>,
    /// The person.
    pub user: Id<User>,
}

impl From<&Caller> for Owner {
    fn from(caller: &Caller) -> Self {
        Self {
            org: caller.organisation,
            user: caller.user,
        }
    }
}

/// What a document is to be made from.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDocument {
    /// The name of a built-in template, or the id of one of the organisation's own: then its live version,
    /// or its draft as long as none is live. `tpl_…@3`, `tpl_…@draft` and `tpl_…@live` name another one.
    #[schema(example = "invoice")]
    pub template: String,
    /// What the template's schema describes.
    #[schema(value_type = Object)]
    pub data: Value,
    /// The kind of file; PDF if absent, or DOCX if the template is a Word file.
    #[serde(default)]
    pub format: Option<Format>,
}

/// What is kept of a document beside its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRecord {
    /// Its id.
    pub id: Id<Document>,
    /// The template's name or id.
    pub template: String,
    /// The version of the template that it was made with.
    #[serde(default = "first")]
    pub template_version: u32,
    /// The kind of file.
    #[serde(default)]
    pub format: Format,
    /// Pages; nothing if the format has none.
    pub pages: Option<u32>,
    /// Octets of the file.
    pub bytes: u64,
    /// SHA-256 of the file in lower-case hexadecimal.
    pub sha256: String,
    /// CRC-32 of the file, which an archive asks for; rows of before batches have none.
    #[serde(default)]
    pub crc32: u32,
    /// Which row of which batch it was made from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<batch::Place>,
    /// What it was made from, if that was other documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_from: Option<derive::Origin>,
    /// Who asked for it.
    pub created_by: Id<User>,
    /// When.
    pub created_at: Timestamp,
}

impl DocumentRecord {
    /// Whether the file keeps to PDF/A-2b and PDF/UA-1.
    pub fn conforms(&self) -> bool {
        let kept = self.made_from.as_ref().is_none_or(|origin| origin.conforms);
        self.format == Format::Pdf && kept
    }
}

/// Rows that were written before templates had versions are of the first.
const fn first() -> u32 {
    1
}

/// Why a use case did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// There is no template of this name.
    #[error("no such template")]
    UnknownTemplate,
    /// The template cannot become a file of this kind.
    #[error("the template has no such format")]
    UnsupportedFormat(Format),
    /// The data does not fit the template.
    #[error("{} faults in the data", .0.len())]
    Unfit(Vec<Fault>),
    /// The caller's organisation has no such document.
    #[error("no such document")]
    NotFound,
    /// A template is not taken on.
    #[error("template refused: {} faults", .1.len())]
    BadTemplate(Refusal, Vec<Fault>),
    /// A brand is not taken on.
    #[error("brand refused: {} faults", .0.len())]
    BadBrand(Vec<Fault>),
    /// A template has as many versions as it may have.
    #[error("too many versions")]
    TooManyVersions,
    /// The template has no such version.
    #[error("no such version")]
    UnknownVersion,
    /// A document that something was to be made of cannot serve for it.
    #[error("a source document does not serve: {1:?}")]
    BadSource(derive::Place, derive::Unfit),
    /// A template of an organisation does not become a document with this data.
    #[error("the organisation's template: {0}")]
    OwnTemplate(TypesetError),
    /// It could not be set.
    #[error(transparent)]
    Typeset(#[from] TypesetError),
    /// The row could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Something outside failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Documents {
    /// Makes a document at once that wears this brand. The id comes from the request, so that a request that is
    /// sent again makes the same document and not a second one.
    ///
    /// # Errors
    /// Everything of [`DocumentsError`] but [`DocumentsError::NotFound`].
    pub async fn create(
        &self,
        owner: &Owner,
        id: Id<Document>,
        new: NewDocument,
        brand: Option<Brand>,
        trace: Option<String>,
    ) -> Result<DocumentRecord, DocumentsError> {
        let design = self.design_with(owner.org, &new.template, brand).await?;
        let format = design.layout.format(new.format)?;
        self.create_with(owner, id, &design, new.data, format, trace)
            .await
    }

    async fn create_with(
        &self,
        owner: &Owner,
        id: Id<Document>,
        design: &Design,
        data: Value,
        format: Format,
        trace: Option<String>,
    ) -> Result<DocumentRecord, DocumentsError> {
        let record = self.make(owner, id, design, data, format).await?;
        self.keep(owner.org, record, trace).await
    }

    /// The template that a request of this organisation names: the name of a built-in one or the id of one
    /// of its own, which may be followed by `@live`, `@draft` or `@` and the number of a version.
    ///
    /// # Errors
    /// [`DocumentsError::UnknownTemplate`], or a port's failure.
    pub async fn layout(
        &self,
        org: Id<Organisation>,
        template: &str,
    ) -> Result<Layout, DocumentsError> {
        if let Some(template) = Template::named(template) {
            return Ok(Layout::BuiltIn(template));
        }
        let (id, reference) = match template.split_once('@') {
            Some((id, reference)) => (id, Some(reference)),
            None => (template, None),
        };
        let id = id.parse().map_err(|_| DocumentsError::UnknownTemplate)?;
        let version = self.version(org, id, reference).await?;
        Ok(Layout::Own(Box::new(version)))
    }

    /// Whether the data fits the template, without making anything of it.
    ///
    /// # Errors
    /// [`DocumentsError::Unfit`] with every fault, or a failure of the renderer.
    pub async fn check(&self, layout: &Layout, data: Value) -> Result<(), DocumentsError> {
        let checked = layout.prepare(data).map_err(DocumentsError::Unfit)?;
        match layout {
            Layout::BuiltIn(_) => Ok(()),
            Layout::Own(_) => {
                let job = layout.job(checked, Output::Verdict);
                self.set(layout, &job).await.map(|_| ())
            }
        }
    }

    /// Sends a job to the renderer; what it says of the template is told apart by whose template it is.
    async fn set(&self, layout: &Layout, job: &Job) -> Result<Rendered, DocumentsError> {
        let error = match self.renderer.render(job).await {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        Err(match (layout, error) {
            (_, TypesetError::Unfit { faults }) => {
                DocumentsError::Unfit(faults.into_iter().map(Fault::from).collect())
            }
            (
                Layout::Own(_),
                error @ (TypesetError::Refused { .. }
                | TypesetError::Unfillable { .. }
                | TypesetError::TimedOut
                | TypesetError::Aborted),
            ) => DocumentsError::OwnTemplate(error),
            (_, error) => DocumentsError::Typeset(error),
        })
    }

    /// Checks the data and sends its job to the renderer.
    async fn set_data(
        &self,
        design: &Design,
        data: Value,
        output: Output,
    ) -> Result<Rendered, DocumentsError> {
        let checked = design.layout.prepare(data).map_err(DocumentsError::Unfit)?;
        self.set(&design.layout, &design.job(checked, output)).await
    }

    /// A look at a document that is not kept: it costs no row, and its link leads to a file that the bucket
    /// forgets after a day. The same template and data give the same file in the same place.
    ///
    /// # Errors
    /// As for [`Self::make`].
    pub async fn preview(
        &self,
        org: Id<Organisation>,
        design: &Design,
        data: Value,
        output: Output,
    ) -> Result<(Rendered, Link), DocumentsError> {
        let made = self.set_data(design, data, output).await?;
        let (end, content_type) = match output {
            Output::Png { .. } => ("png", "image/png"),
            Output::File(format) => (format.name(), format.content_type()),
            Output::Verdict => ("txt", "text/plain"),
        };
        let key = format!("{PREVIEWS}/{org}/{}.{end}", made.sha256);
        let file = Blob {
            bytes: made.file.clone(),
            content_type: content_type.to_owned(),
        };
        self.blobs.put(&key, file).await?;
        let name = format!("preview.{end}");
        let link = self.blobs.link(&key, &name, LINK_VALID).await?;
        Ok((made, link))
    }

    /// Checks the data, sets the document and stores its file; the row is still to be written, with
    /// [`Self::parts`]. Doing it again with the same id and data stores the same octets in the same place.
    ///
    /// # Errors
    /// [`DocumentsError::UnsupportedFormat`], [`DocumentsError::Unfit`], [`DocumentsError::Typeset`], or a
    /// port's failure.
    pub async fn make(
        &self,
        owner: &Owner,
        id: Id<Document>,
        design: &Design,
        data: Value,
        format: Format,
    ) -> Result<DocumentRecord, DocumentsError> {
        let layout = &design.layout;
        if !layout.takes(format) {
            return Err(DocumentsError::UnsupportedFormat(format));
        }
        let made = self.set_data(design, data, Output::File(format)).await?;
        let record = DocumentRecord {
            id,
            template: layout.name(),
            template_version: layout.version(),
            format,
            pages: made.pages,
            bytes: made.file.len() as u64,
            sha256: made.sha256,
            crc32: crc32fast::hash(&made.file),
            batch: None,
            made_from: None,
            created_by: owner.user,
            created_at: self.clock.now(),
        };
        let file = Blob {
            bytes: made.file,
            content_type: format.content_type().to_owned(),
        };
        self.blobs.put(&file_key(owner.org, &record), file).await?;
        Ok(record)
    }

    /// The writes that make a document known: its row, and the event that announces it. Whoever has more
    /// to write about it puts them into one transaction.
    pub fn parts(
        &self,
        org: Id<Organisation>,
        record: &DocumentRecord,
        trace: Option<String>,
    ) -> Vec<Write> {
        let event = Event::DocumentRendered {
            document: record.id,
            template: record.template.clone(),
            format: record.format.name().to_owned(),
            pages: record.pages.unwrap_or(0),
            bytes: record.bytes,
        };
        let row = Item::new(row_key(org, record.id), record);
        vec![Write::Put(row, If::Absent), self.event(org, event, trace)]
    }

    /// Writes the row and its event. If the row is already there, an earlier attempt of the same request wrote it,
    /// and only its answer was lost. What the document is made by may have changed since, a brand or the version of
    /// a template: the file is then this attempt's, and so its row becomes.
    async fn keep(
        &self,
        org: Id<Organisation>,
        record: DocumentRecord,
        trace: Option<String>,
    ) -> Result<DocumentRecord, DocumentsError> {
        let Err(error) = self.table.write(self.parts(org, &record, trace)).await else {
            return Ok(record);
        };
        let Some(row) = self.table.get(&row_key(org, record.id)).await? else {
            return Err(DocumentsError::Write(error));
        };
        let kept: DocumentRecord = row.parse()?;
        if kept.sha256 == record.sha256 {
            return Ok(kept);
        }
        let put = Write::Put(row.next(&record), If::VersionIs(row.version));
        self.table.write(vec![put]).await?;
        Ok(record)
    }

    pub(crate) fn event(
        &self,
        org: Id<Organisation>,
        event: Event,
        trace: Option<String>,
    ) -> Write {
        announce(
            &*self.ids,
            self.clock.now(),
            org,
            Origin {
                org,
                trace,
                causation: None,
            },
            event,
        )
    }

    async fn find(
        &self,
        org: Id<Organisation>,
        id: Id<Document>,
    ) -> Result<Option<DocumentRecord>, PortError> {
        self.table
            .get(&row_key(org, id))
            .await?
            .map(|row| row.parse())
            .transpose()
    }

    /// A document of the caller's organisation.
    ///
    /// # Errors
    /// [`DocumentsError::NotFound`], or a port's failure.
    pub async fn get(
        &self,
        caller: &Caller,
        id: Id<Document>,
    ) -> Result<DocumentRecord, DocumentsError> {
        self.find(caller.organisation, id)
            .await?
            .ok_or(DocumentsError::NotFound)
    }

    /// The documents of the caller's organisation, the newest first.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn list(
        &self,
        caller: &Caller,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<DocumentRecord>, Option<Cursor>), DocumentsError> {
        let query = Query {
            descending: true,
            limit,
            after,
            ..Query::prefix(caller.organisation, ROW_PREFIX)
        };
        let Page { items, next } = self.table.query(&query).await?;
        let records = items.iter().map(Item::parse).collect::<Result<_, _>>()?;
        Ok((records, next))
    }

    /// A fresh link to a document's file.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn link(
        &self,
        caller: &Caller,
        record: &DocumentRecord,
    ) -> Result<Link, DocumentsError> {
        let name = format!("{}-{}.{}", record.template, record.id, record.format.name());
        Ok(self
            .blobs
            .link(&file_key(caller.organisation, record), &name, LINK_VALID)
            .await?)
    }

    /// Deletes a document, its file first: if the second step fails, a repeat finds the row and goes on,
    /// and no file is left that nothing leads to.
    ///
    /// # Errors
    /// [`DocumentsError::NotFound`], or a port's failure.
    pub async fn delete(
        &self,
        caller: &Caller,
        id: Id<Document>,
        trace: Option<String>,
    ) -> Result<(), DocumentsError> {
        let org = caller.organisation;
        let Some(record) = self.find(org, id).await? else {
            return self.delete_queued(org, id, trace).await;
        };
        self.blobs.delete(&file_key(org, &record)).await?;
        let event = self.event(org, Event::DocumentDeleted { document: id }, trace);
        let mut parts = vec![Write::Delete(row_key(org, id), If::Present), event];
        // Its batch lists it no longer, and no archive that is still to be made looks for its file.
        parts.extend(record.batch.map(|place| {
            Write::Delete(batch::document_key(org, place.batch, place.row), If::Always)
        }));
        match self.table.write(parts).await {
            Ok(()) => Ok(()),
            // Somebody else deleted it in the meantime.
            Err(WriteError::Condition(_)) => Err(DocumentsError::NotFound),
            Err(error) => Err(error.into()),
        }
    }
}

const ROW_PREFIX: &str = "document#";

/// Where a document's row stands.
pub fn row_key(org: Id<Organisation>, id: Id<Document>) -> Key {
    Key::new(org, format!("{ROW_PREFIX}{id}"))
}

/// Where a document's file stands.
pub fn file_key(org: Id<Organisation>, record: &DocumentRecord) -> String {
    file_of(org, record.id, record.format)
}

/// Where the file of a document of this id and kind stands.
pub fn file_of(org: Id<Organisation>, id: Id<Document>, format: Format) -> String {
    format!("{org}/{id}.{}", format.name())
}
