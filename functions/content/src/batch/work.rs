//! What the worker does for a batch: sends its orders, makes its texts, ends it.

use domain::id::{Batch, Organisation};
use domain::{Event, Id};
use jiff::{SignedDuration, Timestamp};
use ports::channels::{Channel, Channels, Frame};
use ports::queue::{Message, Queue};
use ports::table::{If, Item, Query, Write, WriteError};
use runtime::trace;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{BatchRecord, Outcome, Question};
use super::{content_of, item_key, items_of, outcome_key};
use crate::ask::Ask;
use crate::failure::Failure;
use crate::record::{Record, Status};
use crate::stream::NotDone;
use crate::{Content, ContentError};

/// How often a row that others write too is read and written again.
pub(super) const TRIES: u32 = 10;

/// The longest that one text may take; the worker's own time is more than twice as much.
const LONGEST: SignedDuration = SignedDuration::from_secs(120);

/// That one text of a batch is to be made: ids, and nothing that anybody wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Whose.
    pub org: Id<Organisation>,
    /// Which batch.
    pub batch: Id<Batch>,
    /// Which of its texts, counted from 0.
    pub item: u32,
}

impl Content {
    /// Sends an order for every text of a batch that has no outcome, or gives all of them up if somebody
    /// stopped it.
    ///
    /// # Errors
    /// It was not done, and is to come again.
    pub(crate) async fn plan_batch(
        &self,
        jobs: &dyn Queue,
        channels: &dyn Channels,
        org: Id<Organisation>,
        batch: Id<Batch>,
    ) -> Result<(), NotDone> {
        let found = self.find_batch(org, batch).await;
        let Some((batch_row, record)) = found.map_err(ContentError::from)? else {
            return Ok(());
        };
        let left = self.rows_under(org, &items_of(batch)).await;
        let left: Vec<u32> = left
            .map_err(ContentError::from)?
            .iter()
            .filter_map(index_of)
            .collect();
        if record.cancelled_at.is_some() {
            for index in left {
                self.write_outcome(org, &batch_row, batch, &cancelled(index))
                    .await?;
            }
            return self.finish_batch(channels, org, batch).await;
        }
        let orders = left.into_iter().map(|item| Order { org, batch, item });
        let messages = orders.map(|order| Message {
            trace: trace::current(),
            ..Message::new(serde_json::to_string(&order).unwrap_or_default())
        });
        jobs.send(messages.collect()).await?;
        Ok(())
    }

    /// Makes one text of a batch, however often it is asked for.
    ///
    /// # Errors
    /// It was not done, and is to come again.
    pub(crate) async fn make_item(
        &self,
        channels: &dyn Channels,
        order: Order,
    ) -> Result<(), NotDone> {
        let Order { org, batch, item } = order;
        let found = self.find_batch(org, batch).await;
        let Some((batch_row, record)) = found.map_err(ContentError::from)? else {
            return Ok(());
        };
        let row = self.table.get(&item_key(org, batch, item)).await;
        if let Some(row) = row.map_err(ContentError::from)? {
            let question: Question = row.parse().map_err(ContentError::from)?;
            let outcome = if record.cancelled_at.is_some() {
                cancelled(item)
            } else {
                self.made_item(org, &record, item, question).await?
            };
            if self.write_outcome(org, &batch_row, batch, &outcome).await? {
                tell(channels, org, batch, item_frame(&outcome)).await;
            }
        }
        self.finish_batch(channels, org, batch).await
    }

    /// The text, made now or found. One whose work died is not begun again: it may have been paid.
    async fn made_item(
        &self,
        org: Id<Organisation>,
        batch: &BatchRecord,
        index: u32,
        question: Question,
    ) -> Result<Outcome, NotDone> {
        let id = content_of(batch.id, index);
        let now = self.clock.now();
        let mut refused = None;
        if self
            .find(org, id)
            .await
            .map_err(ContentError::from)?
            .is_none()
        {
            let ask = Ask {
                system: question.system,
                user: question.user,
                ..batch.ask.clone()
            };
            let until = now.saturating_add(LONGEST).unwrap_or(Timestamp::MAX);
            let spender = batch.spender(org);
            match Box::pin(self.make(&spender, id, &ask, batch.reader, until)).await {
                Ok(_) | Err(ContentError::Ended(_) | ContentError::VersionMismatch) => {}
                Err(ContentError::Failed(failure)) => refused = Some(failure),
                Err(ContentError::InProgress) => return Err(NotDone::AtWork),
                Err(error) => return Err(error.into()),
            }
        }
        let found = self.find(org, id).await.map_err(ContentError::from)?;
        let Some(held) = found else {
            return Ok(without(index, &refused.unwrap_or(INTERRUPTED)));
        };
        if held.record.is_leased(self.clock.now()) {
            return Err(NotDone::AtWork);
        }
        let held = self.settle_lost(org, held).await?;
        Ok(outcome_of(index, held.record))
    }

    /// Writes what became of a text, to be forgotten with its batch, and takes its question away; says whether
    /// it was this one who did.
    async fn write_outcome(
        &self,
        org: Id<Organisation>,
        batch_row: &Item,
        batch: Id<Batch>,
        outcome: &Outcome,
    ) -> Result<bool, ContentError> {
        let row = Item {
            expires_at: batch_row.expires_at,
            ..Item::new(outcome_key(org, batch, outcome.index), outcome)
        };
        let parts = vec![
            Write::Delete(item_key(org, batch, outcome.index), If::Present),
            Write::Put(row, If::Absent),
        ];
        match self.table.write(parts).await {
            Ok(()) => Ok(true),
            Err(WriteError::Condition(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a batch that has no question left, and tells its end; whoever comes later tells it again.
    async fn finish_batch(
        &self,
        channels: &dyn Channels,
        org: Id<Organisation>,
        batch: Id<Batch>,
    ) -> Result<(), NotDone> {
        let query = Query {
            limit: 1,
            ..Query::prefix(org, items_of(batch))
        };
        let left = self.table.query(&query).await;
        if !left.map_err(ContentError::from)?.items.is_empty() {
            return Ok(());
        }
        for _ in 0..TRIES {
            let found = self.find_batch(org, batch).await;
            let Some((row, record)) = found.map_err(ContentError::from)? else {
                return Ok(());
            };
            let totals = self.counted(org, record.clone()).await?.totals;
            let (done, failed, cancelled) = (totals.done, totals.failed, totals.cancelled);
            let frame = Frame::new(
                "batch.done",
                json!({"done": done, "failed": failed, "cancelled": cancelled}),
            );
            if record.finished_at.is_some() {
                tell(channels, org, batch, frame).await;
                return Ok(());
            }
            let finished = BatchRecord {
                finished_at: Some(self.clock.now()),
                totals: Some(totals),
                ..record
            };
            let event = Event::TextsDone {
                batch,
                done,
                failed,
                cancelled,
            };
            let parts = vec![
                Write::Put(row.next(&finished), If::VersionIs(row.version)),
                self.event(org, event),
            ];
            match self.table.write(parts).await {
                Ok(()) => {
                    tell(channels, org, batch, frame).await;
                    return Ok(());
                }
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => return Err(ContentError::from(error).into()),
            }
        }
        Err(ContentError::Write(WriteError::Conflict).into())
    }
}

const INTERRUPTED: Failure = Failure::Models(models::Failure::Interrupted);

/// What becomes of a text that is not begun.
fn cancelled(index: u32) -> Outcome {
    Outcome {
        index,
        status: Status::Cancelled,
        content: None,
        problem: None,
        cost: None,
    }
}

fn without(index: u32, failure: &Failure) -> Outcome {
    Outcome {
        index,
        status: Status::Failed,
        content: None,
        problem: Some(failure.kept()),
        cost: None,
    }
}

fn outcome_of(index: u32, record: Record) -> Outcome {
    Outcome {
        index,
        status: record.status,
        content: Some(record.id),
        problem: record.problem,
        cost: record.cost,
    }
}

fn index_of(row: &Item) -> Option<u32> {
    row.key.sk.rsplit('#').next()?.parse().ok()
}

fn item_frame(outcome: &Outcome) -> Frame {
    Frame::new(
        "batch.item",
        json!({"index": outcome.index, "status": outcome.status, "content": outcome.content}),
    )
}

/// Whoever does not hear it can ask, so that a failure is only logged.
async fn tell(channels: &dyn Channels, org: Id<Organisation>, batch: Id<Batch>, frame: Frame) {
    let channel = Channel::batch(org, batch);
    if let Err(error) = channels.publish(&channel, vec![frame]).await {
        tracing::warn!(%error, "nobody was told what became of a batch");
    }
}
