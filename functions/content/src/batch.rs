//! Batches: up to a thousand texts of one request, made in the background.
//!
//! ```text
//! POST -> the questions, then the batch with content.batch_queued in one transaction
//! content.batch_queued -> one order for each question on the queue of jobs
//! order -> a text like any other; its outcome is written and its question deleted in one transaction
//! the last question -> the batch with content.batch_done in one transaction
//! ```
//!
//! A text's id comes from its batch and its place, so that whatever is killed, delivered twice or late asks
//! for the same text, and a text is paid at most once: one whose process died while a model talked ends as
//! `interrupted`. Nothing is counted in a row that workers share; the questions that are left are the work
//! that is left.
//!
//! | table row | pk | sk |
//! |---|---|---|
//! | a batch | `org_…` | `batch#bat_…` |
//! | a question, until it is answered | `org_…` | `batch-item#bat_…#0000` |
//! | what became of it | `org_…` | `batch-outcome#bat_…#0000` |
//!
//! The rows are forgotten after 30 days; the texts stay. On the channel `job:bat_…` each text is told as
//! `batch.item` (`{index, status, content}`) and the end as `batch.done` (`{done, failed, cancelled}`).

mod work;

use domain::id::{ApiKey, Batch, Content as ContentKind, Organisation, User};
use domain::{Event, Id, Locale, Text};
use jiff::{SignedDuration, Timestamp};
use models::Spender;
use models::failure::Kept;
use ports::PortError;
use ports::table::{Cursor, If, Item, Key, Page, Query, Write, WriteError};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use uuid::Builder;

use crate::ask::{Ask, Frame, Wish};
use crate::record::{Cost, Kind, Status};
use crate::{Content, ContentError, Fault};

pub use work::Order;

/// The most texts of a batch.
pub const MOST_ITEMS: usize = 1000;

/// The most octets of all questions together, with the prompts filled in.
pub const LARGEST: usize = 8 * 1024 * 1024;

/// How long a batch and its outcomes are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Questions that are written together; with the longest texts they stay below what a transaction takes.
const TOGETHER: usize = 16;

/// What is to be made.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// What all texts have in common; its prompt and its variables are those of the items.
    pub common: Wish,
    /// The texts.
    pub items: Vec<NewItem>,
}

/// One text of a batch.
#[derive(Clone, Debug, Default)]
pub struct NewItem {
    /// The prompt, where the batch has no template.
    pub prompt: Option<String>,
    /// What stands in the template's places.
    pub variables: serde_json::Map<String, serde_json::Value>,
}

/// The row of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchRecord {
    /// Its id.
    pub id: Id<Batch>,
    /// All texts.
    pub total: u32,
    /// What a model is asked for each, without the question itself.
    pub ask: Ask,
    /// The language of whoever asked.
    pub reader: Locale,
    /// Who asked for it, and pays.
    pub created_by: Id<User>,
    /// The key that the request came with.
    pub key: Option<Id<ApiKey>>,
    /// When.
    pub created_at: Timestamp,
    /// When somebody stopped it.
    pub cancelled_at: Option<Timestamp>,
    /// When the last text had its outcome.
    pub finished_at: Option<Timestamp>,
    /// What became of all of them, once it is finished: nobody need count again then.
    pub totals: Option<Totals>,
}

impl BatchRecord {
    fn spender(&self, org: Id<Organisation>) -> Spender {
        Spender {
            org,
            user: self.created_by,
            key: self.key,
        }
    }
}

/// The part of an ask that each text has for itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Question {
    system: Option<String>,
    user: String,
}

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its place in the batch, counted from 0.
    pub index: u32,
    /// How it ended.
    pub status: Status,
    /// The text, if a model was asked.
    pub content: Option<Id<ContentKind>>,
    /// Why there is none.
    pub problem: Option<Kept>,
    /// What it cost.
    pub cost: Option<Cost>,
}

/// What became of the texts so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// They are there.
    pub done: u32,
    /// There is none; the outcome says why.
    pub failed: u32,
    /// They were not begun.
    pub cancelled: u32,
    /// What they cost together, in millionths of the currency's unit.
    pub micros: i64,
    /// ISO 4217, once something was paid.
    pub currency: Option<String>,
}

/// A batch with its numbers at this moment.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchState {
    /// Its row.
    pub record: BatchRecord,
    /// What became of its texts so far.
    pub totals: Totals,
}

impl Content {
    /// Takes a batch on. The id comes from the request, so that a request that is sent again finds the same
    /// batch.
    ///
    /// # Errors
    /// [`ContentError::Invalid`] with everything that is wrong, that there is no model, a port's failure.
    pub async fn create_batch(
        &self,
        spender: &Spender,
        id: Id<Batch>,
        new: NewBatch,
        reader: Locale,
    ) -> Result<BatchState, ContentError> {
        let org = spender.org;
        if let Some(found) = self.find_batch(org, id).await? {
            return self.counted(org, found.1).await;
        }
        new.common.check_settings()?;
        let frame = self.frame(org, &new.common).await?;
        let asks = asks(&frame, &new, reader)?;
        self.targets.gateway().await?;
        let now = self.clock.now();
        let until = now.saturating_add(KEPT).unwrap_or(Timestamp::MAX);
        let record = BatchRecord {
            id,
            total: u32::try_from(asks.len()).unwrap_or(u32::MAX),
            ask: asks.first().map(skeleton).unwrap_or_default(),
            reader,
            created_by: spender.user,
            key: spender.key,
            created_at: now,
            cancelled_at: None,
            finished_at: None,
            totals: None,
        };
        self.write_questions(org, id, asks, until).await?;
        let parts = vec![
            Write::Put(
                Item::new(batch_key(org, id), &record).expiring(until),
                If::Absent,
            ),
            self.event(org, Event::TextsQueued { batch: id }),
        ];
        match self.table.write(parts).await {
            Ok(()) => self.counted(org, record).await,
            Err(error) => match self.find_batch(org, id).await? {
                Some((_, found)) => self.counted(org, found).await,
                None => Err(error.into()),
            },
        }
    }

    async fn write_questions(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
        asks: Vec<Ask>,
        until: Timestamp,
    ) -> Result<(), ContentError> {
        let mut rows = (0..).zip(asks).map(|(index, ask)| {
            let question = Question {
                system: ask.system,
                user: ask.user,
            };
            let row = Item::new(item_key(org, id, index), &question).expiring(until);
            // An earlier attempt of the same request wrote the same.
            Write::Put(row, If::Always)
        });
        loop {
            let parts: Vec<Write> = rows.by_ref().take(TOGETHER).collect();
            if parts.is_empty() {
                return Ok(());
            }
            self.table.write(parts).await?;
        }
    }

    /// A batch of the organisation, with its numbers at this moment.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], a port's failure.
    pub async fn batch(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
    ) -> Result<BatchState, ContentError> {
        let (_, record) = self
            .find_batch(org, id)
            .await?
            .ok_or(ContentError::NotFound)?;
        self.counted(org, record).await
    }

    /// The batches of the organisation, the newest first.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn batches(
        &self,
        org: Id<Organisation>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<BatchState>, Option<Cursor>), ContentError> {
        let query = Query {
            descending: true,
            limit,
            after,
            ..Query::prefix(org, BATCHES)
        };
        let Page { items, next } = self.table.query(&query).await?;
        let mut states = Vec::with_capacity(items.len());
        for item in &items {
            states.push(self.counted(org, item.parse()?).await?);
        }
        Ok((states, next))
    }

    /// What became of the texts of a batch, in their order; those that are not finished are not among them.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], a port's failure.
    pub async fn outcomes(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<Outcome>, Option<Cursor>), ContentError> {
        self.find_batch(org, id)
            .await?
            .ok_or(ContentError::NotFound)?;
        let query = Query {
            limit,
            after,
            ..Query::prefix(org, outcomes_of(id))
        };
        let Page { items, next } = self.table.query(&query).await?;
        let outcomes = items.iter().map(Item::parse).collect::<Result<_, _>>()?;
        Ok((outcomes, next))
    }

    /// Stops a batch: what is under way comes to its end, and nothing more is begun.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], [`ContentError::NotNow`] if it is over, a port's failure.
    pub async fn cancel_batch(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
    ) -> Result<BatchState, ContentError> {
        for _ in 0..work::TRIES {
            let found = self.find_batch(org, id).await?;
            let (row, record) = found.ok_or(ContentError::NotFound)?;
            if record.cancelled_at.is_some() {
                return self.counted(org, record).await;
            }
            if record.finished_at.is_some() {
                return Err(ContentError::NotNow(Status::Done));
            }
            let stopped = BatchRecord {
                cancelled_at: Some(self.clock.now()),
                ..record
            };
            let parts = vec![
                Write::Put(row.next(&stopped), If::VersionIs(row.version)),
                // The planner gives up what is left, also where no order is left for it.
                self.event(org, Event::TextsQueued { batch: id }),
            ];
            match self.table.write(parts).await {
                Ok(()) => return self.counted(org, stopped).await,
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ContentError::Write(WriteError::Conflict))
    }

    async fn find_batch(
        &self,
        org: Id<Organisation>,
        id: Id<Batch>,
    ) -> Result<Option<(Item, BatchRecord)>, PortError> {
        let Some(row) = self.table.get(&batch_key(org, id)).await? else {
            return Ok(None);
        };
        let record = row.parse()?;
        Ok(Some((row, record)))
    }

    async fn counted(
        &self,
        org: Id<Organisation>,
        record: BatchRecord,
    ) -> Result<BatchState, ContentError> {
        let totals = match record.totals.clone() {
            Some(totals) => totals,
            None => self.totals(org, record.id).await?,
        };
        Ok(BatchState { record, totals })
    }

    async fn totals(&self, org: Id<Organisation>, id: Id<Batch>) -> Result<Totals, ContentError> {
        let mut totals = Totals::default();
        for row in self.rows_under(org, &outcomes_of(id)).await? {
            let outcome: Outcome = row.parse()?;
            match outcome.status {
                Status::Done => totals.done += 1,
                Status::Cancelled => totals.cancelled += 1,
                Status::Failed | Status::Running => totals.failed += 1,
            }
            if let Some(cost) = outcome.cost {
                let micros = cost.amount_micros.unwrap_or(0);
                totals.micros = totals.micros.saturating_add(micros);
                totals.currency.get_or_insert(cost.currency);
            }
        }
        Ok(totals)
    }

    async fn rows_under(
        &self,
        org: Id<Organisation>,
        prefix: &str,
    ) -> Result<Vec<Item>, PortError> {
        let mut query = Query {
            limit: 1000,
            ..Query::prefix(org, prefix)
        };
        let mut found = Vec::new();
        loop {
            let page = self.table.query(&query).await?;
            found.extend(page.items);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(found),
            }
        }
    }
}

/// What a model is asked for each item, or everything that is wrong with the items.
fn asks(frame: &Frame, new: &NewBatch, reader: Locale) -> Result<Vec<Ask>, ContentError> {
    if !(1..=MOST_ITEMS).contains(&new.items.len()) {
        return Err(ContentError::invalid(
            "/items",
            Text::with(
                format!("Debe haber entre 1 y {MOST_ITEMS}"),
                format!("There must be 1 to {MOST_ITEMS}"),
            ),
        ));
    }
    let (mut asks, mut faults, mut octets) = (Vec::new(), Vec::new(), 0);
    for (index, item) in new.items.iter().enumerate() {
        let wish = Wish {
            prompt: item.prompt.clone(),
            variables: item.variables.clone(),
            ..new.common.clone()
        };
        let asked = wish
            .check_source()
            .and_then(|()| frame.ask(Kind::Generate, wish, reader.tag()));
        match asked {
            Ok(ask) => {
                octets += ask.user.len() + ask.system.as_ref().map_or(0, String::len);
                asks.push(ask);
            }
            Err(ContentError::Invalid(wrong)) => {
                faults.extend(wrong.into_iter().map(|fault| at_item(index, fault)));
            }
            Err(error) => return Err(error),
        }
        if octets > LARGEST {
            let most = LARGEST / 1024 / 1024;
            let detail = Text::with(
                format!("Ocupan juntos más de {most} MiB"),
                format!("They are larger than {most} MiB together"),
            );
            return Err(ContentError::invalid("/items", detail));
        }
    }
    if faults.is_empty() {
        Ok(asks)
    } else {
        Err(ContentError::Invalid(faults))
    }
}

/// The faults of an item stand below it, except that the template is the whole batch's.
fn at_item(index: usize, fault: Fault) -> Fault {
    if fault.pointer.starts_with("/template") {
        return fault;
    }
    Fault {
        pointer: format!("/items/{index}{}", fault.pointer),
        ..fault
    }
}

fn skeleton(ask: &Ask) -> Ask {
    Ask {
        system: None,
        user: String::new(),
        ..ask.clone()
    }
}

/// The id of a text: of the batch's moment, and else nothing but the batch and its place.
fn content_of(batch: Id<Batch>, index: u32) -> Id<ContentKind> {
    let input = [&batch.uuid().as_bytes()[..], &index.to_be_bytes()].concat();
    let mut rest = [0; 10];
    rest.copy_from_slice(&digest(&SHA256, &input).as_ref()[..10]);
    let millis = u64::try_from(batch.uuid().as_u128() >> 80).unwrap_or(0);
    Id::new(Builder::from_unix_timestamp_millis(millis, &rest).into_uuid())
}

const BATCHES: &str = "batch#";

fn batch_key(org: Id<Organisation>, id: Id<Batch>) -> Key {
    Key::new(org, format!("{BATCHES}{id}"))
}

fn items_of(id: Id<Batch>) -> String {
    format!("batch-item#{id}#")
}

fn item_key(org: Id<Organisation>, id: Id<Batch>, index: u32) -> Key {
    Key::new(org, format!("{}{index:04}", items_of(id)))
}

fn outcomes_of(id: Id<Batch>) -> String {
    format!("batch-outcome#{id}#")
}

fn outcome_key(org: Id<Organisation>, id: Id<Batch>, index: u32) -> Key {
    Key::new(org, format!("{}{index:04}", outcomes_of(id)))
}
