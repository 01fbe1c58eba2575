//! A job and its rows.
//!
//! ```text
//! queued --begin--> running --step … step--> done | failed
//!    |                 |  ^ a lease that lapsed is taken over
//!    +---- cancel -----+----> cancelled
//! ```
//!
//! A step writes what became of one text, deletes that text and moves the job's row, all or nothing, and
//! demands the version that the step before it left. So the row says exactly which texts are done, and a
//! worker that takes over goes on at the next one.

use domain::id::{ApiKey, Job as JobKind, Organisation, User};
use domain::{Caller, Id, Locale, Text};
use jiff::{SignedDuration, Timestamp};
use models::failure::Kept;
use ports::queue::{Message, Queue};
use ports::table::{Cursor, If, Item, Key, Query, Write, WriteError};
use runtime::problem::FieldError;
use runtime::trace;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::task::{Options, Task};
use crate::{Ai, AiError};

/// The most texts of a job: they are taken on in one transaction.
pub const MOST_TEXTS: usize = 50;

/// The most octets of a text; fifty of them fit a transaction.
pub const LONGEST_TEXT: usize = 60_000;

/// How long a job and its answers are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A job that no worker has touched for that long is not coming: the queue gave it up.
const LOST_AFTER: SignedDuration = SignedDuration::from_hours(5);

/// How often a row that others write too is read and written again.
pub(crate) const TRIES: u32 = 10;

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits for a worker.
    Queued,
    /// A worker is at it.
    Running,
    /// Every text has an answer or a problem, and one has an answer at least.
    Done,
    /// No text has an answer.
    Failed,
    /// Somebody stopped it. What was done by then is kept.
    Cancelled,
}

impl Status {
    /// Whether nothing more happens.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: Id<JobKind>,
    /// What is done.
    pub task: Task,
    /// How.
    pub options: Options,
    /// How far it is.
    pub status: Status,
    /// How many texts it has.
    pub total: u32,
    /// Texts that have an answer.
    pub done: u32,
    /// Texts that have a problem. The first `done + failed` texts are finished.
    pub failed: u32,
    /// What it cost so far, in millionths of the currency's unit.
    pub cost_micros: i64,
    /// ISO 4217; nothing as long as nothing was paid.
    pub currency: Option<String>,
    /// Why there is no answer at all.
    pub problem: Option<Kept>,
    /// Who has the right to work on it, and until when.
    pub lease: Option<Lease>,
    /// The language of whoever asked, for a problem on the channel.
    pub reader: Locale,
    /// Who asked for it.
    pub created_by: Id<User>,
    /// The key that the request came with.
    pub key: Option<Id<ApiKey>>,
    /// When.
    pub created_at: Timestamp,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
}

impl Record {
    /// The place of the first text that is not finished.
    pub const fn next(&self) -> u32 {
        self.done + self.failed
    }

    /// Whether nobody works on it any more, for all that its row says.
    fn is_lost(&self, now: Timestamp) -> bool {
        let touched = self.lease.map_or(self.created_at, |lease| lease.until);
        let end = touched.saturating_add(LOST_AFTER).unwrap_or(Timestamp::MAX);
        !self.status.is_over() && end <= now
    }
}

/// The right to work on a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The delivery that has it.
    pub holder: Uuid,
    /// Until when.
    pub until: Timestamp,
}

/// A text that is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The text.
    pub text: String,
}

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which text, from 0.
    pub index: u32,
    /// The answer.
    pub result: Option<Value>,
    /// Who gave it: `offline` or `model`.
    pub engine: Option<String>,
    /// The model, if one was asked.
    pub model: Option<String>,
    /// Why there is none.
    pub problem: Option<Kept>,
    /// What it cost, in millionths of the currency's unit.
    pub cost_micros: i64,
    /// ISO 4217.
    pub currency: Option<String>,
}

/// A job with the version of its row.
#[derive(Clone, Debug)]
pub struct Held {
    /// The row as it was read or written.
    pub row: Item,
    /// What it says.
    pub record: Record,
}

/// What is sent through the queue: ids, and nothing that anybody wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Whose.
    pub org: Id<Organisation>,
    /// Which job.
    pub job: Id<JobKind>,
}

impl Order {
    /// The message that carries it, in the trace of this moment.
    pub(crate) fn message(self) -> Message {
        let body = serde_json::to_string(&self).unwrap_or_default();
        Message {
            trace: trace::current(),
            ..Message::new(body)
        }
    }
}

/// A job that somebody wants.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What is to be done.
    pub task: Task,
    /// With these.
    pub texts: Vec<String>,
    /// The JSON pointer of the text or, if there are several, of their list.
    pub pointer: &'static str,
    /// How.
    pub options: Options,
}

const JOBS: &str = "job#";

/// The row of a job.
pub fn key(org: Id<Organisation>, id: Id<JobKind>) -> Key {
    Key::new(org, format!("{JOBS}{id}"))
}

/// The row of a text that is to be read.
pub fn input_key(org: Id<Organisation>, id: Id<JobKind>, index: u32) -> Key {
    Key::new(org, format!("job-input#{id}#{index:04}"))
}

/// The row of what became of a text.
pub fn outcome_key(org: Id<Organisation>, id: Id<JobKind>, index: u32) -> Key {
    Key::new(org, format!("job-item#{id}#{index:04}"))
}

impl Wish {
    fn check(&self) -> Result<(), AiError> {
        let mut faults = self.options.faults(self.task);
        let mut fault = |pointer: String, es: &'static str, en: &'static str| {
            faults.push(FieldError {
                pointer,
                detail: Text::fixed(es, en),
            });
        };
        let several = self.pointer == "/input/texts";
        if !(1..=MOST_TEXTS).contains(&self.texts.len()) {
            fault(
                self.pointer.to_owned(),
                "Se esperan de 1 a 50 textos",
                "1 to 50 texts are expected",
            );
        }
        for (index, text) in self.texts.iter().enumerate().take(MOST_TEXTS) {
            if text.trim().is_empty() || text.len() > LONGEST_TEXT {
                let pointer = if several {
                    format!("{}/{index}", self.pointer)
                } else {
                    self.pointer.to_owned()
                };
                fault(
                    pointer,
                    "No puede estar vacío ni ocupar más de 60 000 octetos",
                    "Must not be empty or have more than 60,000 octets",
                );
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(AiError::Invalid(faults))
        }
    }
}

impl Ai {
    /// Takes on a job. The same request sent again finds the job that there is.
    ///
    /// # Errors
    /// [`AiError::Invalid`], a port's failure. After a failure of the queue the job is there and waits; the
    /// same request sent again sends its order.
    pub async fn take_on(
        &self,
        jobs: &dyn Queue,
        caller: &Caller,
        id: Id<JobKind>,
        wish: Wish,
        reader: Locale,
    ) -> Result<Record, AiError> {
        wish.check()?;
        let (org, now) = (caller.organisation, self.clock.now());
        let until = now.saturating_add(KEPT).unwrap_or(Timestamp::MAX);
        let record = Record {
            id,
            task: wish.task,
            options: wish.options,
            status: Status::Queued,
            total: u32::try_from(wish.texts.len()).unwrap_or(u32::MAX),
            done: 0,
            failed: 0,
            cost_micros: 0,
            currency: None,
            problem: None,
            lease: None,
            reader,
            created_by: caller.user,
            key: caller.key,
            created_at: now,
            finished_at: None,
        };
        let row = Item::new(key(org, id), &record).expiring(until);
        let mut parts = vec![Write::Put(row, If::Absent)];
        for (index, text) in (0..).zip(wish.texts) {
            let input = Item::new(input_key(org, id, index), &Input { text }).expiring(until);
            parts.push(Write::Put(input, If::Always));
        }
        let record = match self.table.write(parts).await {
            Ok(()) => record,
            Err(error) => match self.find(org, id).await? {
                Some(found) => found.record,
                None => return Err(error.into()),
            },
        };
        if record.status == Status::Queued {
            jobs.send(vec![Order { org, job: id }.message()]).await?;
        }
        Ok(record)
    }

    /// The job, if the organisation has one of this id that is not past its time.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn find(
        &self,
        org: Id<Organisation>,
        id: Id<JobKind>,
    ) -> Result<Option<Held>, AiError> {
        let row = self.table.get(&key(org, id)).await?;
        let now = self.clock.now();
        let held = row.filter(|row| !row.is_expired(now)).map(|row| {
            let record = row.parse()?;
            Ok::<_, AiError>(Held { row, record })
        });
        held.transpose()
    }

    /// A job as it is read: one whose work died for good is ended first.
    ///
    /// # Errors
    /// [`AiError::NotFound`], a port's failure.
    pub async fn look(&self, org: Id<Organisation>, id: Id<JobKind>) -> Result<Record, AiError> {
        for _ in 0..TRIES {
            let held = self.find(org, id).await?.ok_or(AiError::NotFound)?;
            if !held.record.is_lost(self.clock.now()) {
                return Ok(held.record);
            }
            let lost = Record {
                problem: Some(models::Failure::Interrupted.kept()),
                ..held.record.clone()
            };
            if let Some(ended) = self.finish(org, &held, lost, Status::Failed).await? {
                return Ok(ended.record);
            }
        }
        Err(AiError::Busy)
    }

    /// Ends a job: its row, what is announced of it, and no text of it is left. Nothing comes back if
    /// somebody else moved the row.
    pub(crate) async fn finish(
        &self,
        org: Id<Organisation>,
        held: &Held,
        record: Record,
        status: Status,
    ) -> Result<Option<Held>, AiError> {
        let (parts, ended) = self.ending(org, held, record, status);
        match self.table.write(parts).await {
            Ok(()) => Ok(Some(ended)),
            Err(WriteError::Condition(_) | WriteError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The parts of the transaction that ends a job, and the job afterwards.
    pub(crate) fn ending(
        &self,
        org: Id<Organisation>,
        held: &Held,
        record: Record,
        status: Status,
    ) -> (Vec<Write>, Held) {
        let ended = Record {
            status,
            lease: None,
            finished_at: Some(self.clock.now()),
            ..record
        };
        let row = held.row.next(&ended);
        let mut parts = vec![Write::Put(row.clone(), If::VersionIs(held.row.version))];
        for index in ended.next()..ended.total {
            parts.push(Write::Delete(input_key(org, ended.id, index), If::Always));
        }
        let (job, task) = (ended.id, ended.task.name().to_owned());
        let event = match status {
            Status::Done => Some(domain::Event::AiJobDone {
                job,
                task,
                done: ended.done,
                failed: ended.failed,
            }),
            Status::Failed => Some(domain::Event::AiJobFailed {
                job,
                task,
                code: ended
                    .problem
                    .as_ref()
                    .map(|kept| kept.code.clone())
                    .unwrap_or_default(),
            }),
            _ => None,
        };
        parts.extend(event.map(|event| self.event(org, event)));
        let record = ended;
        (parts, Held { row, record })
    }

    /// The jobs of an organisation, the newest first.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn list(
        &self,
        org: Id<Organisation>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<Record>, Option<Cursor>), AiError> {
        let query = Query {
            descending: true,
            limit,
            after,
            ..Query::prefix(org, JOBS)
        };
        let page = self.table.query(&query).await?;
        let now = self.clock.now();
        let kept = page.items.iter().filter(|row| !row.is_expired(now));
        let records = kept.map(Item::parse).collect::<Result<_, _>>()?;
        Ok((records, page.next))
    }

    /// What became of the texts of a job, in their order.
    ///
    /// # Errors
    /// [`AiError::NotFound`], a port's failure.
    pub async fn outcomes(
        &self,
        org: Id<Organisation>,
        id: Id<JobKind>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<Outcome>, Option<Cursor>), AiError> {
        self.find(org, id).await?.ok_or(AiError::NotFound)?;
        let query = Query {
            limit,
            after,
            ..Query::prefix(org, format!("job-item#{id}#"))
        };
        let page = self.table.query(&query).await?;
        let outcomes = page
            .items
            .iter()
            .map(Item::parse)
            .collect::<Result<_, _>>()?;
        Ok((outcomes, page.next))
    }

    /// What became of the only text of a job.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn only(
        &self,
        org: Id<Organisation>,
        record: &Record,
    ) -> Result<Option<Outcome>, AiError> {
        if record.total != 1 || record.next() == 0 {
            return Ok(None);
        }
        let row = self.table.get(&outcome_key(org, record.id, 0)).await?;
        Ok(row.map(|row| row.parse()).transpose()?)
    }

    /// Stops a job. What is done stays; a text that a model reads at this moment is still answered and paid,
    /// no other is begun.
    ///
    /// # Errors
    /// [`AiError::NotFound`], [`AiError::NotNow`] if it is over already, a port's failure.
    pub async fn cancel(&self, org: Id<Organisation>, id: Id<JobKind>) -> Result<Record, AiError> {
        for _ in 0..TRIES {
            let held = self.find(org, id).await?.ok_or(AiError::NotFound)?;
            match held.record.status {
                Status::Queued | Status::Running => {}
                Status::Cancelled => return Ok(held.record),
                status => return Err(AiError::NotNow(status)),
            }
            let record = held.record.clone();
            if let Some(ended) = self.finish(org, &held, record, Status::Cancelled).await? {
                return Ok(ended.record);
            }
        }
        Err(AiError::Busy)
    }
}
