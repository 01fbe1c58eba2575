//! What does the jobs.
//!
//! # Frames on `job:job_…`
//!
//! | frame | data |
//! |---|---|
//! | `ai.job_progress` | `{id, total, done, failed}` |
//! | `ai.done` | `{id, status, total, done, failed, cost_micros, currency}` |
//! | `ai.failed` | the same with `problem`: its code, and its words in the language of whoever asked |
//! | `ai.cancelled` | like `ai.done` |
//!
//! The last frame may come twice, and always says the same.
//!
//! # When a worker dies, or its time is over
//!
//! Every text has a model call of its own, whose id follows from the job's and the text's place. The gateway
//! opens a call once, so that no death, repetition or delay makes a text paid twice. What was written is not
//! done again. The one text whose answer was under way ends as `interrupted`, and the job goes on with the
//! next. A worker that has no time for another text lets the job go and puts its order back into the queue.

use std::sync::Arc;
use std::time::Duration;

use domain::id::{Job as JobKind, Organisation};
use domain::{Event, Id};
use jiff::{SignedDuration, Timestamp};
use models::budget::{Level, Notice};
use models::{Failure, Gateway, ModelError, Spender, Targets, TargetsError};
use ports::channels::{Channel, Channels, Frame};
use ports::queue::Queue;
use ports::table::{If, Item, Write, WriteError};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::{Builder, Uuid};

use crate::job::{
    Held, Input, Lease, Order, Outcome, Record, Status, TRIES, input_key, outcome_key,
};
use crate::task::{self, MODEL, OFFLINE, Task};
use crate::{Ai, AiError, collection, document};

/// The longest that one text may take.
const LONGEST: SignedDuration = SignedDuration::from_secs(60);

/// How long a lease lasts from the beginning of a text: longer than the text may take.
const LEASE: SignedDuration = SignedDuration::from_secs(90);

/// No text is begun after this time; with [`LONGEST`] it is less than the function has.
const ENOUGH: SignedDuration = SignedDuration::from_secs(200);

/// How often a message is tried before it goes back to the queue, which hides it for minutes.
const ATTEMPTS: u32 = 3;

/// What an order asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Work {
    /// A job over texts.
    Job(Order),
    /// A document is to be read into its collection.
    Document(document::Order),
    /// What lay under a collection is to be deleted.
    Collection(collection::Order),
}

/// Does the jobs, and reads documents ([`crate::ingest`]).
pub struct Worker {
    /// The use cases.
    pub ai: Arc<Ai>,
    /// The models, with the budgets of the organisation.
    pub targets: Targets,
    /// Where orders come from and go back to.
    pub jobs: Arc<dyn Queue>,
    /// Where it is told how far a job is.
    pub channels: Arc<dyn Channels>,
}

/// An answer with what it cost.
struct Answer {
    outcome: Outcome,
    events: Vec<Event>,
}

impl Worker {
    /// Does what an order asks for, however often it is delivered. A message that is no order is dropped: no
    /// delivery would make it one.
    ///
    /// # Errors
    /// It was not done, and is to come again.
    pub async fn on(&self, body: &str) -> Result<(), AiError> {
        let Ok(order) = serde_json::from_str::<Work>(body) else {
            tracing::error!("a message that is no order was dropped");
            return Ok(());
        };
        let holder = self.ai.ids.uuid(self.ai.clock.now());
        let begun = self.ai.clock.now();
        let mut pause = Duration::from_millis(100);
        for _ in 1..ATTEMPTS {
            match self.does(order, holder, begun).await {
                Err(error) if error.may_pass() => {
                    tracing::warn!(%error, "a message is tried again");
                }
                done => return done,
            }
            self.ai.clock.sleep(pause).await;
            pause *= 4;
        }
        self.does(order, holder, begun).await
    }

    async fn does(&self, work: Work, holder: Uuid, begun: Timestamp) -> Result<(), AiError> {
        match work {
            Work::Job(order) => self.obey(order, holder, begun).await,
            Work::Document(order) => self.ingest(order, holder, begun).await,
            Work::Collection(order) => self.purge(order, begun).await,
        }
    }

    /// Deletes what lay under a deleted collection.
    async fn purge(&self, order: collection::Order, begun: Timestamp) -> Result<(), AiError> {
        while self.ai.purge(order).await? {
            if self.ai.clock.now().duration_since(begun) >= ENOUGH {
                return Ok(self.jobs.send(vec![order.message()]).await?);
            }
        }
        Ok(())
    }

    async fn obey(&self, order: Order, holder: Uuid, begun: Timestamp) -> Result<(), AiError> {
        let Order { org, job } = order;
        loop {
            let Some(held) = self.ai.find(org, job).await? else {
                return Ok(());
            };
            if held.record.status.is_over() {
                return self.tell(org, last_frame(&held.record), job).await;
            }
            let now = self.ai.clock.now();
            let lease = held.record.lease.filter(|lease| lease.until > now);
            if lease.is_some_and(|lease| lease.holder != holder) {
                return Err(AiError::AtWork);
            }
            if now.duration_since(begun) >= ENOUGH {
                return self.let_go(order, &held).await;
            }
            let Some(held) = self.lease(&held, holder, now).await? else {
                continue;
            };
            let index = held.record.next();
            let input = self.ai.table.get(&input_key(org, job, index)).await?;
            let answer = match input {
                Some(input) => {
                    self.answer(org, &held.record, index, input.parse()?)
                        .await?
                }
                // Its time is over, or somebody ended the job: the row says which.
                None => refused(index, &Failure::Interrupted),
            };
            self.step(org, job, answer).await?;
        }
    }

    /// Takes the job, or keeps it. Nothing comes back if its row was moved.
    async fn lease(
        &self,
        held: &Held,
        holder: Uuid,
        now: Timestamp,
    ) -> Result<Option<Held>, AiError> {
        let record = Record {
            status: Status::Running,
            lease: Some(Lease {
                holder,
                until: now.saturating_add(LEASE).unwrap_or(Timestamp::MAX),
            }),
            ..held.record.clone()
        };
        let row = held.row.next(&record);
        let put = Write::Put(row.clone(), If::VersionIs(held.row.version));
        match self.ai.table.write(vec![put]).await {
            Ok(()) => Ok(Some(Held { row, record })),
            Err(WriteError::Condition(_) | WriteError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the job back, so that the next delivery goes on at once.
    async fn let_go(&self, order: Order, held: &Held) -> Result<(), AiError> {
        let record = Record {
            lease: None,
            ..held.record.clone()
        };
        let put = Write::Put(held.row.next(&record), If::VersionIs(held.row.version));
        match self.ai.table.write(vec![put]).await {
            Ok(()) | Err(WriteError::Condition(_) | WriteError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.jobs.send(vec![order.message()]).await?)
    }

    /// Reads one text.
    async fn answer(
        &self,
        org: Id<Organisation>,
        record: &Record,
        index: u32,
        Input { text }: Input,
    ) -> Result<Answer, AiError> {
        let offline = || task::offline(record.task, &record.options, &text);
        if record.task == Task::Language {
            return Ok(without_model(index, offline()));
        }
        let gateway = match self.targets.gateway().await {
            Ok(gateway) => gateway,
            Err(TargetsError::Port(error)) => return Err(error.into()),
            Err(TargetsError::NoModel) if record.options.model.is_none() => {
                return Ok(without_model(index, offline()));
            }
            Err(error) => return Ok(refused(index, &error.into())),
        };
        match self.ask(gateway, org, record, index, &text).await {
            Ok(answer) => Ok(answer),
            Err(ModelError::Port(error)) => Err(error.into()),
            Err(error) => Ok(self.unanswered(gateway, org, record, index, &error).await),
        }
    }

    async fn ask(
        &self,
        gateway: &Gateway,
        org: Id<Organisation>,
        record: &Record,
        index: u32,
        text: &str,
    ) -> Result<Answer, ModelError> {
        let spender = Spender {
            org,
            user: record.created_by,
            key: record.key,
        };
        let now = self.ai.clock.now();
        let deadline = now.saturating_add(LONGEST).unwrap_or(Timestamp::MAX);
        let call = call_of(record.id, index);
        let (result, model, cost, notices) = if record.task == Task::Embed {
            let made = gateway
                .embed(&spender, call, &[text.to_owned()], deadline)
                .await?;
            let vector = made.vectors.first().map(Vec::as_slice).unwrap_or_default();
            (task::packed(vector), made.model, made.cost, made.notices)
        } else {
            let asked = task::question(record.task, &record.options, text);
            let made = gateway.complete(&spender, call, &asked, deadline).await?;
            let data = task::finished(record.task, text, made.data.unwrap_or_default());
            (data, made.model, made.cost, made.notices)
        };
        Ok(Answer {
            outcome: Outcome {
                index,
                result: Some(result),
                engine: Some(MODEL.to_owned()),
                model: Some(model),
                problem: None,
                cost_micros: cost.micros,
                currency: Some(cost.currency),
            },
            events: notices.iter().map(event_of).collect(),
        })
    }

    /// The text's problem, with what endpoints billed all the same.
    async fn unanswered(
        &self,
        gateway: &Gateway,
        org: Id<Organisation>,
        record: &Record,
        index: u32,
        error: &ModelError,
    ) -> Answer {
        let failure = Failure::from(error);
        tracing::info!(
            code = failure.problem().code().code,
            "a model gave no answer"
        );
        let mut answer = refused(index, &failure);
        if let ModelError::Exhausted {
            scope, first: true, ..
        } = error
        {
            answer.events.push(Event::BudgetExhausted {
                scope: scope.to_string(),
            });
        }
        let call = call_of(record.id, index);
        let billed = gateway.ledger().call(org, call).await.ok().flatten();
        if let Some(billed) = billed.filter(|billed| billed.micros > 0) {
            answer.outcome.cost_micros = billed.micros;
            answer.outcome.currency = Some(billed.currency);
        }
        answer
    }

    /// Writes what became of a text; with the last one the job is over. Whoever was faster stays right: an
    /// answer that another delivery wrote is not written again, and a job that was cancelled in the
    /// meantime stays cancelled and keeps the answer.
    async fn step(
        &self,
        org: Id<Organisation>,
        job: Id<JobKind>,
        answer: Answer,
    ) -> Result<(), AiError> {
        let Answer { outcome, events } = answer;
        let index = outcome.index;
        let mut lost = None;
        for _ in 0..TRIES {
            let held = match self.ai.find(org, job).await {
                Ok(Some(held)) => held,
                Ok(None) => return Ok(()),
                // What was answered is paid: it is worth some patience.
                Err(error) if error.may_pass() => {
                    lost = Some(error);
                    self.ai.clock.sleep(Duration::from_millis(100)).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if held.record.next() != index {
                return Ok(());
            }
            let record = counted(&held.record, &outcome);
            let status = match record.status {
                Status::Running | Status::Queued if record.next() == record.total => {
                    if record.done > 0 {
                        Status::Done
                    } else {
                        Status::Failed
                    }
                }
                status => status,
            };
            let kept = Item::new(outcome_key(org, job, index), &outcome);
            let kept = match held.row.expires_at {
                Some(at) => kept.expiring(at),
                None => kept,
            };
            let (mut parts, next) = if status.is_over() && !record.status.is_over() {
                self.ai.ending(org, &held, record, status)
            } else {
                let row = held.row.next(&record);
                let put = Write::Put(row.clone(), If::VersionIs(held.row.version));
                (vec![put], Held { row, record })
            };
            parts.push(Write::Put(kept, If::Absent));
            parts.push(Write::Delete(input_key(org, job, index), If::Always));
            parts.extend(events.iter().map(|event| self.ai.event(org, event.clone())));
            match self.ai.table.write(parts).await {
                Ok(()) => {
                    if !next.record.status.is_over() {
                        // The end is told with every count; until then a listener only knows less.
                        if let Err(error) = self.tell(org, progress(&next.record), job).await {
                            tracing::warn!(%error, "how far a job is was not told");
                        }
                    }
                    return Ok(());
                }
                // Looked at again, and the row says whether it was written.
                Err(error) => lost = Some(error.into()),
            }
            self.ai.clock.sleep(Duration::from_millis(50)).await;
        }
        Err(lost.unwrap_or(AiError::Busy))
    }

    pub(crate) async fn tell(
        &self,
        org: Id<Organisation>,
        frame: Frame,
        job: Id<JobKind>,
    ) -> Result<(), AiError> {
        let channel = Channel::job(org, job);
        let told = self.channels.publish(&channel, vec![frame]).await;
        Ok(told.map(drop)?)
    }
}

/// The job with one more text that is finished.
fn counted(record: &Record, outcome: &Outcome) -> Record {
    let done = outcome.problem.is_none();
    Record {
        done: record.done + u32::from(done),
        failed: record.failed + u32::from(!done),
        cost_micros: record.cost_micros.saturating_add(outcome.cost_micros),
        currency: record.currency.clone().or_else(|| outcome.currency.clone()),
        // Why there is no answer at all, should there be none: what became of the last one.
        problem: match (done || record.done > 0, &outcome.problem) {
            (false, Some(problem)) => Some(problem.clone()),
            _ => None,
        },
        ..record.clone()
    }
}

fn without_model(index: u32, result: Option<serde_json::Value>) -> Answer {
    match result {
        None => refused(index, &Failure::NoModel),
        Some(result) => Answer {
            outcome: Outcome {
                index,
                result: Some(result),
                engine: Some(OFFLINE.to_owned()),
                model: None,
                problem: None,
                cost_micros: 0,
                currency: None,
            },
            events: Vec::new(),
        },
    }
}

fn refused(index: u32, failure: &Failure) -> Answer {
    Answer {
        outcome: Outcome {
            index,
            result: None,
            engine: None,
            model: None,
            problem: Some(failure.kept()),
            cost_micros: 0,
            currency: None,
        },
        events: Vec::new(),
    }
}

/// The id of the one model call that a text of a job has.
fn call_of(job: Id<JobKind>, index: u32) -> Uuid {
    let input = [
        b"ai".as_slice(),
        job.uuid().as_bytes(),
        &index.to_be_bytes(),
    ]
    .concat();
    let mut octets = [0; 16];
    octets.copy_from_slice(&digest(&SHA256, &input).as_ref()[..16]);
    Builder::from_custom_bytes(octets).into_uuid()
}

pub(crate) fn event_of(notice: &Notice) -> Event {
    let scope = notice.scope.to_string();
    match notice.level {
        Level::Near => Event::BudgetLow { scope },
        Level::Exhausted => Event::BudgetExhausted { scope },
    }
}

fn progress(record: &Record) -> Frame {
    let Record {
        id,
        total,
        done,
        failed,
        ..
    } = record;
    Frame::new(
        "ai.job_progress",
        json!({"id": id, "total": total, "done": done, "failed": failed}),
    )
}

/// The frame that says how it ended.
fn last_frame(record: &Record) -> Frame {
    let kind = match record.status {
        Status::Failed => "ai.failed",
        Status::Cancelled => "ai.cancelled",
        _ => "ai.done",
    };
    let problem = record
        .problem
        .as_ref()
        .map(|kept| json!({"code": kept.code, "detail": kept.detail(record.reader)}));
    let mut data = json!({
        "id": record.id, "status": record.status, "total": record.total, "done": record.done,
        "failed": record.failed, "cost_micros": record.cost_micros, "currency": record.currency,
    });
    if let Some(problem) = problem {
        data["problem"] = problem;
    }
    Frame::new(kind, data)
}
