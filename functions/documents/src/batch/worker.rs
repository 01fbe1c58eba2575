//! What makes the documents of a batch: orders from the queue of jobs, and the events that begin and end a
//! batch. Every message may come twice, late, or after its worker was killed anywhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::id::{Batch, Document, Draft, Organisation};
use domain::{Envelope, Event, Id};
use jiff::{SignedDuration, Timestamp};
use ports::PortError;
use ports::blobs::Assembly;
use ports::channels::{Channel, Channels, Frame};
use ports::queue::{Message, Queue};
use ports::table::{If, Item, Table, Write, WriteError};
use runtime::trace::{self, TraceParent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::RowError;
use super::finish::TRIES;
use super::rows::{self, Chunk, Row};
use super::{BatchError, BatchRecord, BatchState, Batches, ChunkRecord, Place, RowDocument};
use super::{chunk_key, document_key, document_of, error_key, input_key};
use crate::design::Design;
use crate::draft::{Drafts, Outcome};
use crate::job::TypesetError;
use crate::queued::Found;
use crate::{DocumentRecord, DocumentsError, Owner, file_of};

/// Rows that are done are written once this much time has passed, so that a chunk of slow documents that is
/// cut off begins where it was and not anew.
const WRITTEN_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// A message is put back into the queue after this time, half of what the function has.
pub(super) const ENOUGH: SignedDuration = SignedDuration::from_secs(30);

/// A process tells at most this often how far a batch is.
const TOLD_EVERY: SignedDuration = SignedDuration::from_secs(2);

/// How often a message is tried before it goes back to the queue, which hides it for minutes.
const ATTEMPTS: u32 = 3;

/// Makes the documents of batches.
pub struct Worker {
    /// What it shares with the API.
    pub batches: Batches,
    /// Where orders come from and go to.
    pub jobs: Arc<dyn Queue>,
    /// Who wants to know how far a batch is.
    pub channels: Arc<dyn Channels>,
    /// Where archives are put together.
    pub assembly: Arc<dyn Assembly>,
    /// The table in which `content` says what it wrote for drafts; only read.
    pub answers: Arc<dyn Table>,
    /// What was told last.
    pub told: Told,
}

/// When a process last told how far a batch is.
#[derive(Debug, Default)]
pub struct Told(Mutex<Option<(Id<Batch>, Timestamp)>>);

/// A message of the queue of jobs. It names what is to be done and carries nothing of it, so that no queue
/// and no dead letter holds anybody's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Some rows are to be made into documents.
    Chunk {
        /// Whose.
        org: Id<Organisation>,
        /// Which batch.
        batch: Id<Batch>,
        /// Which attempt; an order of an earlier one is void.
        attempt: u32,
        /// Which of its chunks.
        chunk: u32,
    },
    /// The documents are to be put into one file.
    Archive {
        /// Whose.
        org: Id<Organisation>,
        /// Which batch.
        batch: Id<Batch>,
        /// Which attempt; an order of an earlier one is void.
        attempt: u32,
    },
}

/// Why a message was not done.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// It is neither an order nor an event.
    #[error("not a message of this queue: {0}")]
    NotOurs(String),
    /// What it asks for did not come to its end.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

impl Order {
    /// The message that carries it.
    ///
    /// # Errors
    /// Never: an order is plain JSON.
    pub(super) fn message(&self) -> Result<Message, PortError> {
        let body = serde_json::to_string(self).map_err(|error| PortError::Refused {
            port: ports::Port::Queue,
            cause: error.to_string(),
        })?;
        Ok(Message {
            trace: trace::current(),
            ..Message::new(body)
        })
    }
}

/// What became of an attempt to make the rest of a chunk.
enum Made {
    /// All of it.
    Whole,
    /// As much as there was time for.
    Part,
    /// Somebody else moved the chunk's row in between.
    Lost,
}

/// What became of a row.
enum RowOutcome {
    Document(DocumentRecord),
    Error(RowError),
}

impl Worker {
    /// Does what a message asks for, trying again at once what may pass then.
    ///
    /// # Errors
    /// It was not done, and is to come again.
    pub async fn on(&self, body: &str) -> Result<(), WorkError> {
        let mut pause = Duration::from_millis(100);
        for _ in 1..ATTEMPTS {
            match self.once(body).await {
                Err(WorkError::Batch(error)) if error.may_pass() => {
                    tracing::warn!(%error, "a message is tried again");
                }
                done => return done,
            }
            self.batches.documents.clock.sleep(pause).await;
            pause *= 4;
        }
        self.once(body).await
    }

    /// Does what a message asks for.
    ///
    /// # Errors
    /// It was not done, and is to come again.
    pub async fn once(&self, body: &str) -> Result<(), WorkError> {
        if let Ok(order) = serde_json::from_str(body) {
            return Ok(self.obey(order).await?);
        }
        match runtime::serve::event_of(body).map_err(WorkError::NotOurs)? {
            Some(event) => Ok(self.react(&event).await?),
            None => Ok(()),
        }
    }

    /// Does what an order says.
    ///
    /// # Errors
    /// It was not done.
    pub async fn obey(&self, order: Order) -> Result<(), BatchError> {
        match order {
            Order::Chunk {
                org,
                batch,
                attempt,
                chunk,
            } => self.chunk(org, batch, attempt, chunk, order).await,
            Order::Archive {
                org,
                batch,
                attempt,
            } => self.archive(org, batch, attempt, order).await,
        }
    }

    /// Reacts to what happened, in the trace of the request that caused it.
    ///
    /// # Errors
    /// It was not done.
    pub async fn react(&self, happened: &Envelope) -> Result<(), BatchError> {
        let trace = happened.trace.as_deref();
        let work = self.on_event(happened);
        match trace.and_then(|trace| trace.parse::<TraceParent>().ok()) {
            Some(trace) => trace::within(trace, work).await,
            None => work.await,
        }
    }

    async fn on_event(&self, happened: &Envelope) -> Result<(), BatchError> {
        match happened.event {
            Event::BatchQueued { batch, attempt } => self.plan(happened.org, batch, attempt).await,
            Event::BatchDone {
                batch,
                attempt,
                ready,
                failed,
                cancelled,
            } => {
                let data = json!({ "ready": ready, "failed": failed, "cancelled": cancelled });
                self.tell(happened.org, batch, "batch.done", data).await;
                if ready > 0 {
                    let order = Order::Archive {
                        org: happened.org,
                        batch,
                        attempt,
                    };
                    self.jobs.send(vec![order.message()?]).await?;
                }
                Ok(())
            }
            Event::DocumentQueued { document } => self.late(happened.org, document).await,
            Event::DraftAnswered { draft } => Box::pin(self.drafted(happened.org, draft)).await,
            _ => Ok(()),
        }
    }

    /// Makes a document that its caller did not wait for.
    async fn late(&self, org: Id<Organisation>, document: Id<Document>) -> Result<(), BatchError> {
        let documents = &self.batches.documents;
        let made = documents
            .make_queued(org, document, trace::current())
            .await?;
        // Whoever made it may have died before it was told, so that it is told again.
        let found = match made {
            Some(found) => found,
            None => match documents.look(org, document).await {
                Ok(found) => found,
                Err(DocumentsError::NotFound) => return Ok(()),
                Err(error) => return Err(error.into()),
            },
        };
        let (kind, data) = match found {
            Found::Ready(_) => ("document.ready", json!({ "id": document })),
            Found::Queued(queued) if queued.error.is_some() => {
                ("document.failed", json!({ "id": document }))
            }
            // Another delivery is at it.
            Found::Queued(_) => return Ok(()),
        };
        self.publish(&Channel::document(org, document), kind, data)
            .await;
        Ok(())
    }

    /// Makes of a draft what its answer allows.
    async fn drafted(&self, org: Id<Organisation>, draft: Id<Draft>) -> Result<(), BatchError> {
        let drafts = Drafts {
            batches: self.batches.clone(),
        };
        let Some(record) = drafts.answered(&*self.answers, org, draft).await? else {
            return Ok(());
        };
        // Whoever finished it may have died before it was told, so that it is told again.
        let (kind, data) = match &record.outcome {
            Some(Outcome::Document(id)) => ("draft.ready", json!({ "id": draft, "document": id })),
            Some(Outcome::Batch(id)) => ("draft.ready", json!({ "id": draft, "batch": id })),
            Some(Outcome::Refused(refusal)) => {
                ("draft.failed", json!({ "id": draft, "code": refusal.code }))
            }
            None => return Ok(()),
        };
        self.publish(&Channel::draft(org, draft), kind, data).await;
        Ok(())
    }

    /// Sends the orders of a batch, and then says in its row that it runs.
    async fn plan(
        &self,
        org: Id<Organisation>,
        batch: Id<Batch>,
        attempt: u32,
    ) -> Result<(), BatchError> {
        let is_due = |record: &BatchRecord| {
            record.attempt == attempt && record.finished_at.is_none() && record.started_at.is_none()
        };
        let mut sent = false;
        for _ in 0..TRIES {
            let Some(row) = self.batches.row(org, batch).await? else {
                return Ok(());
            };
            let record: BatchRecord = row.parse()?;
            if !is_due(&record) {
                return Ok(());
            }
            if record.cancelled_at.is_some() {
                self.batches.close(org, &record).await?;
                self.batches
                    .finish(org, batch, attempt, trace::current())
                    .await?;
                return Ok(());
            }
            if !std::mem::replace(&mut sent, true) {
                self.send(org, &record).await?;
            }
            let started = BatchRecord {
                started_at: Some(self.batches.documents.clock.now()),
                ..record
            };
            let put = Write::Put(row.next(&started), If::VersionIs(row.version));
            match self.batches.documents.table.write(vec![put]).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(BatchError::Busy)
    }

    async fn send(&self, org: Id<Organisation>, record: &BatchRecord) -> Result<(), BatchError> {
        let orders = record.chunks().into_iter().map(|chunk| {
            let order = Order::Chunk {
                org,
                batch: record.id,
                attempt: record.attempt,
                chunk: chunk.number,
            };
            order.message()
        });
        Ok(self.jobs.send(orders.collect::<Result<_, _>>()?).await?)
    }

    /// Makes the rows of a chunk that have no outcome yet.
    async fn chunk(
        &self,
        org: Id<Organisation>,
        batch: Id<Batch>,
        attempt: u32,
        number: u32,
        order: Order,
    ) -> Result<(), BatchError> {
        let Some(row) = self.batches.row(org, batch).await? else {
            return Ok(());
        };
        let record: BatchRecord = row.parse()?;
        let chunk = record.chunks().get(number as usize).copied();
        let Some(chunk) = chunk.filter(|_| record.attempt == attempt) else {
            return Ok(());
        };
        let begun = self.batches.documents.clock.now();
        loop {
            let (item, state) = self.state(org, &record, chunk).await?;
            if state.is_closed() {
                self.forget(org, &record, chunk, state).await?;
                break;
            }
            if record.cancelled_at.is_some() {
                self.batches.close(org, &record).await?;
                continue;
            }
            match self.make(org, &record, chunk, (item, state), begun).await? {
                Made::Whole => break,
                Made::Lost => {}
                Made::Part => return Ok(self.jobs.send(vec![order.message()?]).await?),
            }
        }
        let ended = self
            .batches
            .finish(org, batch, attempt, trace::current())
            .await?;
        if let Some(state) = ended.filter(|state| state.record.finished_at.is_none()) {
            self.progress(org, &state).await;
        }
        Ok(())
    }

    async fn state(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
        chunk: Chunk,
    ) -> Result<(Option<Item>, ChunkRecord), BatchError> {
        let key = chunk_key(org, record.id, record.attempt, chunk.number);
        let item = self.batches.documents.table.get(&key).await?;
        let state = match &item {
            Some(item) => item.parse()?,
            None => ChunkRecord {
                rows: chunk.rows,
                ..ChunkRecord::default()
            },
        };
        Ok((item, state))
    }

    /// Makes what is left of a chunk, and writes it down in as few transactions as time allows.
    async fn make(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
        chunk: Chunk,
        (mut item, mut state): (Option<Item>, ChunkRecord),
        begun: Timestamp,
    ) -> Result<Made, BatchError> {
        let documents = &self.batches.documents;
        let design = documents.design_with(org, &record.template, record.brand.clone());
        let design = match design.await {
            Ok(design) => Some(design),
            Err(DocumentsError::UnknownTemplate) => None,
            Err(error) => return Err(error.into()),
        };
        let done = state.counts.sum();
        let rows = self
            .rows(
                org,
                record,
                chunk.segment,
                chunk.first + done,
                chunk.rows - done,
            )
            .await?;
        let (mut group, mut written) = (Vec::new(), documents.clock.now());
        let last = rows.len().saturating_sub(1);
        for (index, row) in rows.into_iter().enumerate() {
            group.push(self.outcome(org, record, design.as_ref(), row).await?);
            let now = documents.clock.now();
            if index < last && now.duration_since(written) < WRITTEN_AFTER {
                continue;
            }
            let outcomes = std::mem::take(&mut group);
            match self
                .write(org, record, chunk, (item, state), outcomes)
                .await?
            {
                Some(next) => (item, state) = (Some(next.0), next.1),
                None => return Ok(Made::Lost),
            }
            written = now;
            if index < last && now.duration_since(begun) >= ENOUGH {
                return Ok(Made::Part);
            }
        }
        Ok(Made::Whole)
    }

    /// Rows as they were kept.
    async fn rows(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
        segment: u32,
        first: u32,
        rows: u32,
    ) -> Result<Vec<Row>, BatchError> {
        let key = input_key(org, record.id, &record.begun_by, segment);
        let file = self.batches.documents.blobs.get(&key).await?;
        let octets = file.ok_or(BatchError::Forgotten)?.bytes;
        rows::read(&octets, first, rows).map_err(|_| BatchError::Forgotten)
    }

    /// Sets the document of a row. What is wrong with the row is its outcome; what is wrong with the world
    /// is an error.
    async fn outcome(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
        design: Option<&Design>,
        Row { row, data }: Row,
    ) -> Result<RowOutcome, BatchError> {
        let owner = Owner {
            org,
            user: record.created_by,
        };
        let id = document_of(record.id, row);
        let Some(design) = design else {
            let error = RowError::of(row, DocumentsError::UnknownTemplate);
            return Ok(RowOutcome::Error(error));
        };
        let documents = &self.batches.documents;
        let set = async |data: Value| {
            documents
                .make(&owner, id, design, data, record.format)
                .await
        };
        let made = match set(data.clone()).await {
            // It may have been killed for another's fault. A second time the row is to blame.
            Err(DocumentsError::Typeset(TypesetError::Crashed { .. })) => set(data).await,
            made => made,
        };
        match made {
            Ok(made) => Ok(RowOutcome::Document(DocumentRecord {
                batch: Some(Place {
                    batch: record.id,
                    row,
                }),
                ..made
            })),
            Err(error @ (DocumentsError::Port(_) | DocumentsError::Write(_))) => Err(error.into()),
            Err(error) => Ok(RowOutcome::Error(RowError::of(row, error))),
        }
    }

    /// Writes outcomes and the chunk's row, all or nothing; nothing comes back if the chunk was moved by
    /// somebody else.
    async fn write(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
        chunk: Chunk,
        (item, state): (Option<Item>, ChunkRecord),
        outcomes: Vec<RowOutcome>,
    ) -> Result<Option<(Item, ChunkRecord)>, BatchError> {
        let mut next = state;
        let mut parts = Vec::new();
        for outcome in &outcomes {
            match outcome {
                RowOutcome::Document(_) => next.counts.ready += 1,
                RowOutcome::Error(_) => next.counts.failed += 1,
            }
        }
        let key = chunk_key(org, record.id, record.attempt, chunk.number);
        let (moved, condition) = match &item {
            Some(item) => (item.next(&next), If::VersionIs(item.version)),
            None => (
                Item::new(key, &next).expiring(record.inputs_until),
                If::Absent,
            ),
        };
        parts.push(Write::Put(moved.clone(), condition));
        for outcome in outcomes {
            parts.extend(self.parts(org, record, outcome));
        }
        match self.batches.documents.table.write(parts).await {
            Ok(()) => Ok(Some((moved, next))),
            Err(WriteError::Condition(failed)) if failed.contains(&0) => Ok(None),
            Err(WriteError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn parts(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
        outcome: RowOutcome,
    ) -> Vec<Write> {
        match outcome {
            RowOutcome::Error(error) => {
                let key = error_key(org, record.id, error.row);
                vec![Write::Put(Item::new(key, &error), If::Always)]
            }
            RowOutcome::Document(made) => {
                let place = made.batch.as_ref().map_or(0, |place| place.row);
                let key = document_key(org, record.id, place);
                let noted = RowDocument {
                    row: place,
                    document: made.id,
                    bytes: made.bytes,
                    sha256: made.sha256.clone(),
                    crc32: made.crc32,
                };
                let mut parts = self.batches.documents.parts(org, &made, trace::current());
                parts.push(Write::Put(Item::new(key, &noted), If::Always));
                if record.attempt > 1 {
                    parts.push(Write::Delete(error_key(org, record.id, place), If::Always));
                }
                parts
            }
        }
    }

    /// Deletes the files that a worker may have left of rows that were given up. Nobody writes rows of a
    /// closed chunk any more.
    async fn forget(
        &self,
        org: Id<Organisation>,
        record: &BatchRecord,
        chunk: Chunk,
        state: ChunkRecord,
    ) -> Result<(), BatchError> {
        if state.given_up == 0 {
            return Ok(());
        }
        let first = chunk.first + state.rows - state.given_up;
        let rows = self
            .rows(org, record, chunk.segment, first, state.given_up)
            .await?;
        for Row { row, .. } in rows {
            let key = file_of(org, document_of(record.id, row), record.format);
            self.batches.documents.blobs.delete(&key).await?;
        }
        Ok(())
    }

    /// Tells how far a batch is, unless that was told a moment ago.
    async fn progress(&self, org: Id<Organisation>, state: &BatchState) {
        let now = self.batches.documents.clock.now();
        if !self.told.is_due(state.record.id, now) {
            return;
        }
        let data = json!({
            "ready": state.counts.ready, "failed": state.counts.failed, "total": state.record.total,
        });
        self.tell(org, state.record.id, "batch.progress", data)
            .await;
    }

    /// Whoever does not hear it can ask, so that a failure is only logged.
    pub(super) async fn tell(
        &self,
        org: Id<Organisation>,
        batch: Id<Batch>,
        kind: &str,
        data: Value,
    ) {
        self.publish(&Channel::batch(org, batch), kind, data).await;
    }

    async fn publish(&self, channel: &Channel, kind: &str, data: Value) {
        let told = self
            .channels
            .publish(channel, vec![Frame::new(kind, data)])
            .await;
        if let Err(error) = told {
            tracing::warn!(%error, "nobody was told what became of slow work");
        }
    }
}

impl Told {
    fn is_due(&self, batch: Id<Batch>, now: Timestamp) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent =
            last.is_some_and(|(told, at)| told == batch && now.duration_since(at) < TOLD_EVERY);
        if !recent {
            *last = Some((batch, now));
        }
        !recent
    }
}

impl BatchError {
    /// Whether the same may succeed a moment later.
    fn may_pass(&self) -> bool {
        let port = match self {
            Self::Busy | Self::Write(WriteError::Conflict) => return true,
            Self::Port(error) | Self::Write(WriteError::Port(error)) => error,
            _ => return false,
        };
        matches!(
            port,
            PortError::Throttled { .. } | PortError::Unavailable { .. }
        )
    }
}
