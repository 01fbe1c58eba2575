//! Drafts: a brief becomes the data of a document through a model, and then the document; with a list of
//! recipients, a document for each of them.
//!
//! ```text
//! POST -> what is known to the bucket; the draft, its wish and documents.draft_queued in one transaction
//! documents.draft_queued -> content writes the data by the template's schema, once for all recipients
//! content.draft_answered -> what is known is laid over it; a document, or a batch
//! ```
//!
//! A model fills strings that a schema bounds, and nothing of it is ever markup. It sees what is known of
//! every document; what is known of one recipient it never sees. Document and batch have the draft's own
//! number, so that an answer that comes twice makes neither twice.
//!
//! | table row | pk | sk |
//! |---|---|---|
//! | a draft | `org_…` | `draft#drf_…` |
//! | what content is to write ([`DraftWish`]) | `org_…` | `draft-wish#drf_…` |
//!
//! What is known stands in the bucket under `batch-inputs/org_…/`. Brief and what is known are deleted once the
//! draft has its outcome, the draft itself is forgotten after 30 days, and the documents stay.

pub mod asked;

use std::sync::Arc;

use domain::draft::{DraftAnswer, DraftWish, Unwritten};
use domain::id::{ApiKey, Batch, Document, Draft, Organisation, User, Voice};
use domain::{Event, Id, Locale};
use jiff::{SignedDuration, Timestamp};
use ports::PortError;
use ports::blobs::Blob;
use ports::table::{Cursor, If, Item, Key, Page, Query, Table, Write, WriteError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::rows::Segments;
use crate::batch::{BatchError, Batches, NewBatch, Row};
use crate::brand::Brand;
use crate::format::Format;
use crate::layout::Layout;
use crate::overlay::laid_over;
use crate::refusal::{Fault, Refusal};
use crate::{Documents, DocumentsError, NewDocument, Owner};

/// The most octets of a brief.
pub const LONGEST_BRIEF: usize = 8 * 1024;

/// The most octets of what is known of every document, as JSON: the model reads all of it.
pub const MOST_KNOWN: usize = 16 * 1024;

/// The most tokens that may be asked for.
pub const MOST_TOKENS: u32 = 8192;

/// Tokens if a request does not say.
pub const TOKENS: u32 = 2048;

/// How long a draft and what it was made from are kept; the bucket's rule says the same.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A draft that was not answered by then will not be: the queue gave its job up.
const LOST_AFTER: SignedDuration = SignedDuration::from_hours(6);

/// What a draft is to be made from.
#[derive(Clone, Debug)]
pub struct NewDraft {
    /// The template as a request names it.
    pub template: String,
    /// The kind of file, if it is not the template's own.
    pub format: Option<Format>,
    /// What the document is to say, in the words of whoever asks.
    pub brief: String,
    /// What is known of every document.
    pub known: Map<String, Value>,
    /// What is known of each recipient; none means one document.
    pub recipients: Option<Vec<Value>>,
    /// The language of the texts, a tag.
    pub locale: String,
    /// Whose voice they are written in.
    pub voice: Option<Id<Voice>>,
    /// The model or target, if not the first that is there.
    pub model: Option<String>,
    /// At most that many tokens come back.
    pub max_tokens: u32,
    /// The key that the request came with.
    pub key: Option<Id<ApiKey>>,
    /// The language of whoever asks.
    pub reader: Locale,
}

/// The row of a draft.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftRecord {
    /// Its id.
    pub id: Id<Draft>,
    /// The template's name, or its id with the version that the data is written for.
    pub template: String,
    /// The kind of file.
    pub format: Format,
    /// The brand that its documents wear, as it was when the draft was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Brand>,
    /// How many recipients it has; nothing if it is one document.
    pub recipients: Option<u32>,
    /// What became of it; nothing until then.
    pub outcome: Option<Outcome>,
    /// What the model wrote, with what is known of every document laid over it.
    pub data: Option<Value>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// What it cost, in millionths of the currency's unit.
    pub cost_micros: Option<i64>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// Who asked for it.
    pub created_by: Id<User>,
    /// When.
    pub created_at: Timestamp,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
}

/// What became of a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A document.
    Document(Id<Document>),
    /// A document for each recipient, each on its way.
    Batch(Id<Batch>),
    /// Neither.
    Refused(Refusal),
}

impl DraftRecord {
    /// Whether nobody will answer it any more.
    pub fn is_lost(&self, now: Timestamp) -> bool {
        let until = self.created_at.saturating_add(LOST_AFTER);
        self.outcome.is_none() && until.is_ok_and(|until| until <= now)
    }

    fn owner(&self, org: Id<Organisation>) -> Owner {
        Owner {
            org,
            user: self.created_by,
        }
    }
}

/// What is known, as it waits in the bucket.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    all: Map<String, Value>,
    recipients: Option<Vec<Value>>,
}

/// Why a draft was not taken on.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The caller's organisation has no such draft.
    #[error("no such draft")]
    NotFound,
    /// The template asks for nothing that is not known.
    #[error("nothing is left to be written")]
    NothingToWrite,
    /// The recipients cannot be taken as rows of a batch.
    #[error(transparent)]
    Recipients(BatchError),
    /// What a single document would be refused for.
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    /// A transaction did not happen.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Something outside failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Takes on, finds and finishes drafts.
#[derive(Clone)]
pub struct Drafts {
    /// What makes the documents.
    pub batches: Batches,
}

impl Drafts {
    /// This moment.
    pub fn now(&self) -> Timestamp {
        self.documents().clock.now()
    }

    fn documents(&self) -> &Arc<Documents> {
        &self.batches.documents
    }

    /// Takes a draft on. The id comes from the request, so that a request that is sent again finds the same
    /// draft and asks no model again.
    ///
    /// # Errors
    /// [`DraftError`].
    pub async fn create(
        &self,
        owner: &Owner,
        id: Id<Draft>,
        new: NewDraft,
        trace: Option<String>,
    ) -> Result<DraftRecord, DraftError> {
        let (layout, format) = self
            .batches
            .layout(owner.org, &new.template, new.format)
            .await?;
        let mut all = new.known;
        name_language(&mut all, layout.schema(), &new.locale);
        let recipients = new.recipients;
        rows(
            &Value::Object(Map::new()),
            recipients.as_deref().unwrap_or_default(),
        )
        .map_err(DraftError::Recipients)?;
        let of_each = asked::in_all(recipients.iter().flatten());
        let known = laid_over(Value::Object(all.clone()), of_each);
        let schema = asked::asked(layout.schema(), &known).ok_or(DraftError::NothingToWrite)?;
        let documents = self.documents();
        let now = documents.clock.now();
        let record = DraftRecord {
            id,
            template: pinned(&layout),
            format,
            brand: documents.brand(owner.org).await?,
            recipients: recipients
                .as_ref()
                .map(|list| u32::try_from(list.len()).unwrap_or(u32::MAX)),
            outcome: None,
            data: None,
            model: None,
            cost_micros: None,
            currency: None,
            created_by: owner.user,
            created_at: now,
            finished_at: None,
        };
        let wish = DraftWish {
            draft: id,
            brief: new.brief,
            known: Value::Object(all.clone()),
            schema,
            locale: new.locale,
            voice: new.voice,
            model: new.model,
            max_tokens: new.max_tokens,
            reader: new.reader,
            user: owner.user,
            key: new.key,
        };
        self.remember(owner.org, id, &Known { all, recipients })
            .await?;
        let until = now.saturating_add(KEPT).unwrap_or(now);
        let event = Event::DraftQueued { draft: id };
        let parts = vec![
            Write::Put(
                Item::new(key(owner.org, id), &record).expiring(until),
                If::Absent,
            ),
            Write::Put(
                Item::new(wish_key(owner.org, id), &wish).expiring(until),
                If::Absent,
            ),
            documents.event(owner.org, event, trace),
        ];
        match documents.table.write(parts).await {
            Ok(()) => Ok(record),
            // An earlier attempt of the same request wrote it, and only its answer was lost.
            Err(error) => match self.row(owner.org, id).await? {
                Some(row) => Ok(row.parse()?),
                None => Err(error.into()),
            },
        }
    }

    /// A draft of an organisation.
    ///
    /// # Errors
    /// [`DraftError::NotFound`], or a port's failure.
    pub async fn get(
        &self,
        org: Id<Organisation>,
        id: Id<Draft>,
    ) -> Result<DraftRecord, DraftError> {
        let row = self.row(org, id).await?.ok_or(DraftError::NotFound)?;
        Ok(row.parse()?)
    }

    /// The drafts of an organisation, the newest first.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn list(
        &self,
        org: Id<Organisation>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<DraftRecord>, Option<Cursor>), DraftError> {
        let query = Query {
            descending: true,
            limit,
            after,
            ..Query::prefix(org, DRAFTS)
        };
        let Page { items, next } = self.documents().table.query(&query).await?;
        let records = items.iter().map(Item::parse).collect::<Result<_, _>>()?;
        Ok((records, next))
    }

    /// Makes of a draft what its answer allows, if nobody has. `answers` is the table that `content`
    /// publishes in. Nothing comes back if there is no such draft.
    ///
    /// # Errors
    /// What may pass.
    pub async fn answered(
        &self,
        answers: &dyn Table,
        org: Id<Organisation>,
        id: Id<Draft>,
    ) -> Result<Option<DraftRecord>, BatchError> {
        let Some(row) = self.row(org, id).await? else {
            return Ok(None);
        };
        let record: DraftRecord = row.parse()?;
        if record.outcome.is_some() {
            return Ok(Some(record));
        }
        let answer = answers.get(&Key::new(org, DraftAnswer::sort(id))).await?;
        let Some(answer) = answer else {
            tracing::error!("the answer to a draft is gone");
            return Ok(None);
        };
        let answer: DraftAnswer = answer.parse()?;
        let (outcome, data) = match answer.outcome {
            Ok(written) => self.finished(org, &record, written).await?,
            Err(unwritten) => (Outcome::Refused(refusal(unwritten)), None),
        };
        let finished = DraftRecord {
            outcome: Some(outcome),
            data,
            model: answer.model,
            cost_micros: answer.cost_micros,
            currency: answer.currency,
            finished_at: Some(self.documents().clock.now()),
            ..record
        };
        let parts = vec![
            Write::Put(row.next(&finished), If::VersionIs(row.version)),
            Write::Delete(wish_key(org, id), If::Always),
        ];
        match self.documents().table.write(parts).await {
            Ok(()) => {
                self.documents().blobs.delete(&known_key(org, id)).await?;
                Ok(Some(finished))
            }
            // Somebody else was faster, and its outcome is the same.
            Err(error) => match self
                .row(org, id)
                .await?
                .map(|row| row.parse::<DraftRecord>())
            {
                Some(Ok(found)) if found.outcome.is_some() => Ok(Some(found)),
                _ => Err(error.into()),
            },
        }
    }

    /// The document or the batch of what was written, with the data that all of them have.
    async fn finished(
        &self,
        org: Id<Organisation>,
        record: &DraftRecord,
        written: Value,
    ) -> Result<(Outcome, Option<Value>), BatchError> {
        let known = self.known(org, record.id).await?;
        let data = laid_over(written, Value::Object(known.all));
        let made = match known.recipients {
            None => self.document(org, record, data.clone()).await,
            Some(recipients) => self.batch(org, record, &data, &recipients).await,
        };
        let outcome = match made {
            Ok(outcome) => outcome,
            Err(error @ (BatchError::Port(_) | BatchError::Write(_) | BatchError::Busy)) => {
                return Err(error);
            }
            Err(error) => Outcome::Refused(Refusal::of_problem(&error.into())),
        };
        Ok((outcome, Some(data)))
    }

    async fn document(
        &self,
        org: Id<Organisation>,
        record: &DraftRecord,
        data: Value,
    ) -> Result<Outcome, BatchError> {
        let new = NewDocument {
            template: record.template.clone(),
            data,
            format: Some(record.format),
        };
        let id = Id::new(record.id.uuid());
        let made = self
            .documents()
            .create(
                &record.owner(org),
                id,
                new,
                record.brand.clone(),
                runtime::trace::current(),
            )
            .await?;
        Ok(Outcome::Document(made.id))
    }

    async fn batch(
        &self,
        org: Id<Organisation>,
        record: &DraftRecord,
        data: &Value,
        recipients: &[Value],
    ) -> Result<Outcome, BatchError> {
        let new = NewBatch {
            template: record.template.clone(),
            format: Some(record.format),
            brand: record.brand.clone(),
            rows: rows(data, recipients)?,
        };
        let id = Id::new(record.id.uuid());
        let made = self
            .batches
            .create(&record.owner(org), id, new, runtime::trace::current())
            .await?;
        Ok(Outcome::Batch(made.record.id))
    }

    async fn row(&self, org: Id<Organisation>, id: Id<Draft>) -> Result<Option<Item>, PortError> {
        self.documents().table.get(&key(org, id)).await
    }

    async fn remember(
        &self,
        org: Id<Organisation>,
        id: Id<Draft>,
        known: &Known,
    ) -> Result<(), PortError> {
        let bytes = serde_json::to_vec(known).map_err(|error| refused(&error.to_string()))?;
        let file = Blob {
            bytes,
            content_type: "application/json".to_owned(),
        };
        self.documents().blobs.put(&known_key(org, id), file).await
    }

    async fn known(&self, org: Id<Organisation>, id: Id<Draft>) -> Result<Known, PortError> {
        let file = self.documents().blobs.get(&known_key(org, id)).await?;
        let file = file.ok_or_else(|| refused("what is known for a draft is gone"))?;
        serde_json::from_slice(&file.bytes).map_err(|error| refused(&error.to_string()))
    }
}

fn refused(cause: &str) -> PortError {
    PortError::Refused {
        port: ports::Port::Blobs,
        cause: cause.to_owned(),
    }
}

/// Templates with a member `locale` lay out dates and labels by it: it is the language of the texts, where
/// the template has that language.
fn name_language(known: &mut Map<String, Value>, schema: &Value, tag: &str) {
    let languages = schema["properties"]["locale"]["enum"].as_array();
    let named = Locale::from_tag(tag).map(|locale| Value::from(locale.tag()));
    if let (Some(languages), Some(named)) = (languages, named)
        && languages.contains(&named)
    {
        known.entry("locale").or_insert(named);
    }
}

/// The template with its version, so that the document is made with the one that the data is written for.
fn pinned(layout: &Layout) -> String {
    match layout {
        Layout::BuiltIn(_) => layout.name(),
        Layout::Own(_) => format!("{}@{}", layout.name(), layout.version()),
    }
}

/// The recipients as rows of a batch, each laid over what all have in common; what is no object takes the
/// place of all and is refused.
fn rows(data: &Value, recipients: &[Value]) -> Result<Segments, BatchError> {
    let mut rows = Segments::default();
    for (row, recipient) in (0..).zip(recipients) {
        let data = laid_over(data.clone(), recipient.clone());
        rows.push(&Row { row, data })?;
    }
    Ok(rows)
}

/// The reasons of content, at the places of the request for a draft.
fn refusal(unwritten: Unwritten) -> Refusal {
    let faults = unwritten.places.into_iter().map(|place| Fault {
        pointer: match place.pointer.as_str() {
            "" => "/brief".to_owned(),
            pointer if pointer.starts_with("/schema") => "/template".to_owned(),
            pointer => pointer.to_owned(),
        },
        es: place.es,
        en: place.en,
    });
    Refusal {
        code: unwritten.code,
        faults: faults.collect(),
    }
}

/// What is said of a draft that nobody will answer.
pub fn lost() -> Refusal {
    Refusal {
        code: "interrupted".to_owned(),
        faults: vec![Fault {
            pointer: "/brief".to_owned(),
            es: "No se ha redactado a tiempo; puedes pedirlo de nuevo".to_owned(),
            en: "It was not written in time; you may ask again".to_owned(),
        }],
    }
}

const DRAFTS: &str = "draft#";

fn key(org: Id<Organisation>, id: Id<Draft>) -> Key {
    Key::new(org, format!("{DRAFTS}{id}"))
}

fn wish_key(org: Id<Organisation>, id: Id<Draft>) -> Key {
    Key::new(org, DraftWish::sort(id))
}

/// Under the prefix of the rows of batches, because it is forgotten by the same rule.
fn known_key(org: Id<Organisation>, id: Id<Draft>) -> String {
    format!("batch-inputs/{org}/{id}.json")
}
