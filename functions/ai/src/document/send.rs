//! Sends documents: new ones, and new revisions.

use std::collections::BTreeSet;

use data_encoding::{BASE64, HEXLOWER};
use domain::id::{Collection as CollectionKind, CollectionDocument, Job, Organisation};
use domain::{Caller, Id, Locale, Text};
use jiff::{SignedDuration, Timestamp};
use ports::queue::Queue;
use ports::table::{Guard, If, Item, Write, WriteError};
use ring::digest::{Context, SHA256};
use runtime::problem::FieldError;

use super::{Claim, Held, Order, Part, Record, Status, claim_key, input_key, input_keys, key};
use crate::collection::{self, MOST_DOCUMENTS, check_length, counting};
use crate::job::TRIES;
use crate::read::MediaType;
use crate::{Ai, AiError};

/// The most octets of a file or text as it is sent; in Base64 they fit a request.
pub const LARGEST_INPUT: usize = 750_000;

/// The most tags of a document.
pub const MOST_TAGS: usize = 10;

/// How much of an input stands in one row, in octets of Base64.
const INPUT_ROW: usize = 300_000;

/// How long an input waits to be read.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDocument {
    /// 1 to 200 characters.
    pub title: String,
    /// At most 1000 characters.
    pub source: Option<String>,
    /// At most [`MOST_TAGS`] of at most 50 characters.
    pub tags: BTreeSet<String>,
    /// What it is.
    pub media_type: MediaType,
    /// The text or the file, at most [`LARGEST_INPUT`] octets.
    pub octets: Vec<u8>,
    /// The JSON pointer of the text or the file.
    pub pointer: &'static str,
}

/// Who sends a document, and where.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    /// Where orders go.
    pub jobs: &'a dyn Queue,
    /// Who.
    pub caller: &'a Caller,
    /// In which language they read.
    pub reader: Locale,
    /// Into which collection.
    pub collection: Id<CollectionKind>,
}

impl NewDocument {
    fn check(&self) -> Result<(), AiError> {
        let mut faults = Vec::new();
        check_length(&mut faults, "/title", &self.title, 200);
        if let Some(source) = &self.source {
            check_length(&mut faults, "/source", source, 1000);
        }
        if self.tags.len() > MOST_TAGS {
            faults.push(FieldError {
                pointer: "/tags".into(),
                detail: Text::with(
                    format!("Como máximo {MOST_TAGS} etiquetas"),
                    format!("At most {MOST_TAGS} tags"),
                ),
            });
        }
        for tag in self.tags.iter().take(MOST_TAGS) {
            check_length(&mut faults, "/tags", tag, 50);
        }
        if self.octets.is_empty() || self.octets.len() > LARGEST_INPUT {
            faults.push(FieldError {
                pointer: self.pointer.into(),
                detail: Text::with(
                    format!("De 1 a {LARGEST_INPUT} octetos"),
                    format!("1 to {LARGEST_INPUT} octets"),
                ),
            });
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(AiError::Invalid(faults))
        }
    }

    fn sha256(&self) -> String {
        let mut context = Context::new(&SHA256);
        context.update(format!("{:?}\0", self.media_type).as_bytes());
        context.update(&self.octets);
        HEXLOWER.encode(context.finish().as_ref())
    }

    /// The rows in which it waits to be read.
    fn inputs(&self, order: Order, until: Timestamp) -> Vec<Write> {
        let base64 = BASE64.encode(&self.octets);
        let parts = base64.as_bytes().chunks(INPUT_ROW);
        let rows = (0..).zip(parts).map(|(number, part)| {
            let base64 = String::from_utf8_lossy(part).into_owned();
            Item::new(input_key(order, number), &Part { base64 }).expiring(until)
        });
        rows.map(|row| Write::Put(row, If::Always)).collect()
    }
}

impl Ai {
    /// Adds a document. Content that the collection has already is given as the document that has it,
    /// whatever its title; if that one failed, or lacks its vectors, it is tried again.
    ///
    /// # Errors
    /// [`AiError::Invalid`], [`AiError::NotFound`], [`AiError::LimitReached`], a port's failure. After a
    /// failure of the queue the document is there and waits; the same request sent again sends its order.
    pub async fn add_document(
        &self,
        sender: Sender<'_>,
        id: Id<CollectionDocument>,
        job: Id<Job>,
        new: NewDocument,
    ) -> Result<Record, AiError> {
        new.check()?;
        let (org, collection) = (sender.caller.organisation, sender.collection);
        let sha256 = new.sha256();
        for _ in 0..TRIES {
            if let Some(found) = self.document_with(org, collection, &sha256).await? {
                if found.record.is_worth_a_try() {
                    return self
                        .replace_document(sender, found.record.id, job, new)
                        .await;
                }
                return self.sent(sender, found.record).await;
            }
            let record = fresh(sender, id, job, &new, self.clock.now());
            match self.table.write(self.adding(org, &record, &new)).await {
                Ok(()) => return self.sent(sender, record).await,
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => match self.find_document(org, collection, id).await? {
                    Some(found) => return self.sent(sender, found.record).await,
                    None => return Err(error.into()),
                },
            }
            let there = self.collection(org, collection).await?;
            if there.documents >= MOST_DOCUMENTS {
                return Err(AiError::LimitReached(Text::with(
                    format!("Una colección puede tener {MOST_DOCUMENTS} documentos"),
                    format!("A collection may have {MOST_DOCUMENTS} documents"),
                )));
            }
        }
        Err(AiError::Busy)
    }

    fn adding(&self, org: Id<Organisation>, record: &Record, new: &NewDocument) -> Vec<Write> {
        let (id, collection) = (record.id, record.collection);
        let mut count = counting(org, collection);
        count
            .guards
            .push(Guard::AtMost("documents".into(), MOST_DOCUMENTS - 1));
        count.add.push(("documents".into(), 1));
        let row = Item::new(key(org, collection, id), record);
        let claim = Item::new(
            claim_key(org, collection, &record.sha256),
            &Claim { document: id },
        );
        let mut parts = vec![
            Write::Put(row, If::Absent),
            Write::Put(claim, If::Absent),
            Write::Count(count),
        ];
        parts.extend(new.inputs(record.order(org), self.until()));
        parts
    }

    fn until(&self) -> Timestamp {
        let until = self.clock.now().saturating_add(KEPT);
        until.unwrap_or(Timestamp::MAX)
    }

    /// Sends the order of a document that waits.
    async fn sent(&self, sender: Sender<'_>, record: Record) -> Result<Record, AiError> {
        if record.status == Status::Queued {
            let order = record.order(sender.caller.organisation);
            let message = collection::message(&order);
            sender.jobs.send(vec![message]).await?;
        }
        Ok(record)
    }

    /// Sends a document's content, title, source and tags anew. What can be found of it stays until the new
    /// revision is read; passages that are the same keep their vectors.
    ///
    /// # Errors
    /// [`AiError::Invalid`], [`AiError::NotFound`], [`AiError::Duplicate`] if another document of the
    /// collection has this content, a port's failure.
    pub async fn replace_document(
        &self,
        sender: Sender<'_>,
        id: Id<CollectionDocument>,
        job: Id<Job>,
        new: NewDocument,
    ) -> Result<Record, AiError> {
        new.check()?;
        let (org, collection) = (sender.caller.organisation, sender.collection);
        for _ in 0..TRIES {
            let held = self.find_document(org, collection, id).await?;
            let held = held.ok_or(AiError::NotFound)?;
            let record = Record {
                revision: held.record.revision + 1,
                published: held.record.published.clone(),
                cost_micros: held.record.cost_micros,
                currency: held.record.currency.clone(),
                created_at: held.record.created_at,
                ..fresh(sender, id, job, &new, self.clock.now())
            };
            let parts = self.replacing(org, &held, &record, &new);
            match self.table.write(parts).await {
                Ok(()) => return self.sent(sender, record).await,
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
            let other = self.document_with(org, collection, &record.sha256).await?;
            if let Some(other) = other.filter(|other| other.record.id != id) {
                return Err(AiError::Duplicate(other.record.id));
            }
        }
        Err(AiError::Busy)
    }

    fn replacing(
        &self,
        org: Id<Organisation>,
        held: &Held,
        record: &Record,
        new: &NewDocument,
    ) -> Vec<Write> {
        let collection = record.collection;
        let mut parts = vec![Write::Put(
            held.row.next(record),
            If::VersionIs(held.row.version),
        )];
        if held.record.sha256 != record.sha256 {
            let claim = claim_key(org, collection, &record.sha256);
            let claim = Item::new(
                claim,
                &Claim {
                    document: record.id,
                },
            );
            parts.push(Write::Put(claim, If::Absent));
            let old = claim_key(org, collection, &held.record.sha256);
            parts.push(Write::Delete(old, If::Always));
        }
        let old = input_keys(held.record.order(org), held.record.inputs);
        parts.extend(old.map(|key| Write::Delete(key, If::Always)));
        parts.extend(new.inputs(record.order(org), self.until()));
        parts
    }
}

/// A first revision that waits.
fn fresh(
    sender: Sender<'_>,
    id: Id<CollectionDocument>,
    job: Id<Job>,
    new: &NewDocument,
    now: Timestamp,
) -> Record {
    let base64 = BASE64.encode_len(new.octets.len());
    Record {
        id,
        collection: sender.collection,
        title: new.title.clone(),
        source: new.source.clone(),
        tags: new.tags.clone(),
        media_type: new.media_type,
        sha256: new.sha256(),
        revision: 1,
        job,
        status: Status::Queued,
        inputs: u32::try_from(base64.div_ceil(INPUT_ROW)).unwrap_or(u32::MAX),
        published: None,
        problem: None,
        cost_micros: 0,
        currency: None,
        lease: None,
        attempts: 0,
        deaths: 0,
        reader: sender.reader,
        sent_by: sender.caller.user,
        key: sender.caller.key,
        created_at: now,
        updated_at: now,
    }
}
