//! Reads documents into their collections: text, passages, vectors, and then all of it at once.
//!
//! # Frames on `job:job_…`
//!
//! | frame | data |
//! |---|---|
//! | `ai.document_progress` | `{id, collection_id, revision, status, passages, embedded}` |
//! | `ai.document_ready` | the same, of what can be found, with `problem` if vectors are missing |
//! | `ai.document_failed` | `{id, collection_id, revision, status, problem}` |
//!
//! The last frame may come twice, and always says the same.
//!
//! # When a worker dies, or its time is over
//!
//! Vectors are asked for in portions. Each portion but the last is written down before the next is asked
//! for, so that whoever takes over asks for at most one portion a second time, in a call of its own. A
//! document whose workers were never heard of again three times is what kills them, and fails.

mod vectors;

use std::time::Duration;

use domain::Event;
use jiff::{SignedDuration, Timestamp};
use models::Failure;
use models::failure::Kept;
use ports::channels::{Channel, Frame};
use ports::table::{Guard, If, Item, Write, WriteError};
use serde_json::json;
use uuid::Uuid;

use crate::collection::{self, MOST_OCTETS, counting};
use crate::document::{
    Held, Order, Pack, Packed, Published, Record, Status, input_keys, key, passages_key,
};
use crate::job::{Lease, TRIES};
use crate::passage::{self, Extracted, Passage};
use crate::read::{self, Refusal};
use crate::worker::Worker;
use crate::{Ai, AiError};

use vectors::Vectors;
pub(crate) use vectors::space_of;

/// How long a lease lasts: as long as the function may run.
const LEASE: SignedDuration = SignedDuration::from_mins(5);

/// How often a document may be what its worker was last heard of with.
const MOST_DEATHS: u32 = 3;

/// The most passages of a document.
const MOST_PASSAGES: usize = 1000;

/// How much of passages and vectors stands in one row, in octets.
const ROW: usize = 250_000;

/// How much a document's passages and vectors may measure together, in octets: they are written at once.
const LARGEST: usize = 3_500_000;

/// What a passage costs beside its words and its vector, in octets.
const BESIDE: usize = 200;

impl Worker {
    /// Reads a revision, however often its order is delivered.
    pub(crate) async fn ingest(
        &self,
        order: Order,
        holder: Uuid,
        begun: Timestamp,
    ) -> Result<(), AiError> {
        let Some(held) = self.take_up(order, holder).await? else {
            return self.tell_end(order).await;
        };
        if held.record.deaths >= MOST_DEATHS {
            return self.refuse(order, Refusal::Unreadable.kept()).await;
        }
        let Some(octets) = self.ai.input(order, held.record.inputs).await? else {
            return self.refuse(order, Failure::Interrupted.kept()).await;
        };
        let extracted = match read::read(held.record.media_type, &octets, &*self.ai.clock) {
            Ok(extracted) => extracted,
            Err(refusal) => return self.refuse(order, refusal.kept()).await,
        };
        let passages = passage::cut(&extracted);
        if passages.len() > MOST_PASSAGES {
            return self.refuse(order, Refusal::TooLarge.kept()).await;
        }
        // Asked before anything is paid; whether there still is room is settled with the publication.
        match self.has_room(order, &held, &extracted).await {
            Ok(true) => {}
            Ok(false) => return self.refuse(order, Kept::of(&crate::api::full())).await,
            // What lies under it is deleted by an order of its own.
            Err(AiError::NotFound) => return Ok(()),
            Err(error) => return Err(error),
        }
        match self.vectors(order, &held, &passages, begun).await? {
            None => self.put_back(order, holder).await,
            Some(vectors) => self.publish(order, &extracted, passages, vectors).await,
        }
    }

    /// Takes the document, if this revision of it still is to be read.
    async fn take_up(&self, order: Order, holder: Uuid) -> Result<Option<Held>, AiError> {
        for _ in 0..TRIES {
            let Some(held) = self.ai.waiting(order).await? else {
                return Ok(None);
            };
            let now = self.ai.clock.now();
            let others = held.record.lease.filter(|lease| lease.holder != holder);
            if others.is_some_and(|lease| lease.until > now) {
                return Err(AiError::AtWork);
            }
            let record = Record {
                status: Status::Reading,
                lease: Some(Lease {
                    holder,
                    until: now.saturating_add(LEASE).unwrap_or(Timestamp::MAX),
                }),
                attempts: held.record.attempts + 1,
                deaths: held.record.deaths + u32::from(others.is_some()),
                ..held.record.clone()
            };
            let row = held.row.next(&record);
            let put = Write::Put(row.clone(), If::VersionIs(held.row.version));
            match self.ai.table.write(vec![put]).await {
                Ok(()) => return Ok(Some(Held { row, record })),
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AiError::Busy)
    }

    /// Gives the document back, so that the next delivery goes on at once.
    async fn put_back(&self, order: Order, holder: Uuid) -> Result<(), AiError> {
        if let Some(held) = self.ai.waiting(order).await?
            && held
                .record
                .lease
                .is_some_and(|lease| lease.holder == holder)
        {
            let record = Record {
                lease: None,
                ..held.record.clone()
            };
            let put = Write::Put(held.row.next(&record), If::VersionIs(held.row.version));
            match self.ai.table.write(vec![put]).await {
                Ok(()) | Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.jobs.send(vec![collection::message(&order)]).await?)
    }

    /// Makes the revision what can be found, in one transaction. What was read is paid: a table that does
    /// not answer is worth some patience.
    async fn publish(
        &self,
        order: Order,
        extracted: &Extracted,
        passages: Vec<Passage>,
        vectors: Vectors,
    ) -> Result<(), AiError> {
        let mut lost = None;
        for _ in 0..TRIES {
            let held = match self.ai.waiting(order).await {
                Ok(Some(held)) => held,
                Ok(None) => return self.tell_end(order).await,
                Err(error) if error.may_pass() => {
                    lost = Some(error);
                    self.ai.clock.sleep(Duration::from_millis(100)).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let packs = packed(&held.record, &passages, &vectors);
            let Some(packs) = packs else {
                return self.refuse(order, Refusal::TooLarge.kept()).await;
            };
            let (record, parts) = self.publishing(order, &held, extracted, packs, &vectors);
            match self.ai.table.write(parts).await {
                Ok(()) => return self.tell(order.org, end(&record), record.job).await,
                Err(WriteError::Condition(parts)) if parts.contains(&COUNTED) => {
                    match self.has_room(order, &held, extracted).await {
                        // What lies under it is deleted by an order of its own.
                        Err(AiError::NotFound) => return Ok(()),
                        Ok(false) => {
                            return self.refuse(order, Kept::of(&crate::api::full())).await;
                        }
                        Ok(true) => lost = Some(AiError::Busy),
                        Err(error) => lost = Some(error),
                    }
                }
                // Looked at again, and the row says whether it was written.
                Err(error) => lost = Some(error.into()),
            }
            self.ai.clock.sleep(Duration::from_millis(50)).await;
        }
        Err(lost.unwrap_or(AiError::Busy))
    }

    /// Whether the collection's texts have room for this one.
    async fn has_room(
        &self,
        order: Order,
        held: &Held,
        extracted: &Extracted,
    ) -> Result<bool, AiError> {
        let collection = self.ai.collection(order.org, order.collection).await?;
        Ok(collection.octets + grown(&held.record, extracted) <= MOST_OCTETS)
    }

    fn publishing(
        &self,
        order: Order,
        held: &Held,
        extracted: &Extracted,
        packs: Vec<Pack>,
        vectors: &Vectors,
    ) -> (Record, Vec<Write>) {
        let published = published(order, extracted, &packs);
        let old_rows = held.record.published.as_ref().map_or(0, |old| old.rows);
        let (new_rows, passages, embedded) =
            (published.rows, published.passages, published.embedded);
        let record = Record {
            status: Status::Ready,
            lease: None,
            inputs: 0,
            published: Some(published),
            problem: vectors.problem.clone(),
            cost_micros: held.record.cost_micros.saturating_add(vectors.cost_micros),
            currency: vectors.currency.clone().or(held.record.currency.clone()),
            ..held.record.clone()
        };
        let more = grown(&held.record, extracted);
        let mut count = counting(order.org, order.collection);
        count
            .guards
            .push(Guard::AtMost("octets".into(), MOST_OCTETS - more));
        count.add = vec![("octets".into(), more), ("edition".into(), 1)];
        let mut parts = vec![
            Write::Put(held.row.next(&record), If::VersionIs(held.row.version)),
            Write::Count(count),
        ];
        let rows = (0..)
            .zip(packs)
            .map(|(row, pack)| Write::Put(Item::new(passages_key(order, row), &pack), If::Always));
        parts.extend(rows);
        let old = (new_rows..old_rows).map(|row| passages_key(order, row));
        let used = input_keys(order, held.record.inputs).chain(vectors.staged.clone());
        parts.extend(old.chain(used).map(|key| Write::Delete(key, If::Always)));
        let ready = Event::AiDocumentReady {
            collection: order.collection,
            document: order.document,
            passages,
            embedded,
        };
        let events = vectors.events.iter().cloned().chain([ready]);
        parts.extend(events.map(|event| self.ai.event(order.org, event)));
        (record, parts)
    }

    /// Ends a revision that cannot be read.
    async fn refuse(&self, order: Order, problem: Kept) -> Result<(), AiError> {
        for _ in 0..TRIES {
            let Some(held) = self.ai.waiting(order).await? else {
                return self.tell_end(order).await;
            };
            let record = Record {
                status: Status::Failed,
                lease: None,
                inputs: 0,
                problem: Some(problem.clone()),
                ..held.record.clone()
            };
            let event = Event::AiDocumentFailed {
                collection: order.collection,
                document: order.document,
                code: problem.code.clone(),
            };
            let mut parts = vec![
                Write::Put(held.row.next(&record), If::VersionIs(held.row.version)),
                self.ai.event(order.org, event),
            ];
            let inputs = input_keys(order, held.record.inputs);
            parts.extend(inputs.map(|key| Write::Delete(key, If::Always)));
            match self.ai.table.write(parts).await {
                Ok(()) => return self.tell(order.org, end(&record), record.job).await,
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AiError::Busy)
    }

    /// Says how a revision ended, if it did.
    async fn tell_end(&self, order: Order) -> Result<(), AiError> {
        let held = self
            .ai
            .find_document(order.org, order.collection, order.document)
            .await?;
        match held.map(|held| held.record) {
            Some(record) if record.revision == order.revision && record.status.is_over() => {
                self.tell(order.org, end(&record), record.job).await
            }
            _ => Ok(()),
        }
    }

    async fn tell_progress(&self, order: Order, held: &Held, passages: usize, embedded: usize) {
        let frame = Frame::new(
            "ai.document_progress",
            json!({
                "id": order.document, "collection_id": order.collection, "revision": order.revision,
                "status": Status::Reading, "passages": passages, "embedded": embedded,
            }),
        );
        let channel = Channel::job(order.org, held.record.job);
        // The end is told with every count; until then a listener only knows less.
        if let Err(error) = self.channels.publish(&channel, vec![frame]).await {
            tracing::warn!(%error, "how far a document is was not told");
        }
    }
}

/// The part of the transaction that counts.
const COUNTED: usize = 1;

impl Ai {
    /// The document, if this revision of it is neither over nor followed by another.
    async fn waiting(&self, order: Order) -> Result<Option<Held>, AiError> {
        let row = self
            .table
            .get(&key(order.org, order.collection, order.document))
            .await?;
        let Some(row) = row else { return Ok(None) };
        let record: Record = row.parse()?;
        let waits = record.revision == order.revision && !record.status.is_over();
        Ok(waits.then_some(Held { row, record }))
    }
}

/// The passages in rows; nothing if they are too much to be written at once.
fn packed(record: &Record, passages: &[Passage], vectors: &Vectors) -> Option<Vec<Pack>> {
    let empty = || Pack {
        document: record.id,
        title: record.title.clone(),
        source: record.source.clone(),
        tags: record.tags.clone(),
        passages: Vec::new(),
    };
    let (mut packs, mut filled, mut total) = (vec![empty()], 0, 0);
    for passage in passages {
        let vector = vectors.by_hash.get(&passage.hash).cloned();
        let octets = vector.as_ref().map_or(0, |vector| vector.octets.len());
        let size = passage.text.len() + octets + BESIDE;
        if filled + size > ROW && filled > 0 {
            packs.push(empty());
            filled = 0;
        }
        (filled, total) = (filled + size, total + size);
        if let Some(pack) = packs.last_mut() {
            pack.passages.push(Packed {
                passage: passage.clone(),
                vector,
            });
        }
    }
    (total <= LARGEST).then_some(packs)
}

fn published(order: Order, extracted: &Extracted, packs: &[Pack]) -> Published {
    let count = |passages: usize| u32::try_from(passages).unwrap_or(u32::MAX);
    let passages = || packs.iter().flat_map(|pack| &pack.passages);
    let embedded = passages().filter(|packed| packed.vector.is_some());
    Published {
        revision: order.revision,
        rows: count(packs.len()),
        passages: count(passages().count()),
        embedded: count(embedded.count()),
        characters: extracted.text.chars().count(),
        octets: octets_of(extracted),
    }
}

fn octets_of(extracted: &Extracted) -> i64 {
    i64::try_from(extracted.text.len()).unwrap_or(i64::MAX)
}

/// By how much the collection's texts grow.
fn grown(record: &Record, extracted: &Extracted) -> i64 {
    octets_of(extracted) - record.published.as_ref().map_or(0, |old| old.octets)
}

/// The frame that says how a revision ended.
fn end(record: &Record) -> Frame {
    let mut data = json!({
        "id": record.id, "collection_id": record.collection, "revision": record.revision,
        "status": record.status,
    });
    let published = record.published.as_ref();
    if let (Status::Ready, Some(published)) = (record.status, published) {
        data["passages"] = published.passages.into();
        data["embedded"] = published.embedded.into();
    }
    if let Some(kept) = &record.problem {
        data["problem"] = json!({"code": kept.code, "detail": kept.detail(record.reader)});
    }
    let kind = match record.status {
        Status::Failed => "ai.document_failed",
        _ => "ai.document_ready",
    };
    Frame::new(kind, data)
}
