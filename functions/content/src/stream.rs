//! Texts that are told while they grow: a job on a queue, its worker, and the frames on the channel.
//!
//! # Frames on `content:con_…`
//!
//! | frame | data |
//! |---|---|
//! | `content.delta` | `{text, offset}`: more of the text, which begins at this character of it |
//! | `content.done` | `{id, status, model, finish, characters, usage, cost, cached}` |
//! | `content.failed` | `{id, status, problem}`: the problem as the API would answer it |
//! | `content.cancelled` | `{id, status, characters, usage, cost}` |
//!
//! The first token goes out at once; after that whatever has arrived goes out together, every
//! [`GAP`] at most. `offset` counts Unicode code points: a listener that sees a piece twice, or misses one,
//! can tell, and `GET /v1/content/{id}` gives what there is. The last frame may come twice, and always
//! says the same.
//!
//! # When a worker dies
//!
//! Its lease lapses within [`LEASE`]. The job is **not** begun again by itself: the tokens of the first
//! attempt are paid for, and whether they are worth paying for again is for whoever asked to say. The
//! record is ended as `interrupted`, by the job's next delivery or by the first person who looks at it;
//! the text so far is kept, and the money is settled by the gateway at what the call may have cost. A job
//! that was never begun is simply begun by its next delivery. So a text is paid at most once.
//!
//! # Cancelling
//!
//! `cancel` changes the row. The worker, which renews its lease in the same row every [`BEAT`], finds that
//! it lost the right to it and stops the model; what was used by then is settled and kept.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::{Content as ContentKind, Organisation};
use domain::{Caller, Envelope, Event, Id, Locale};
use jiff::{SignedDuration, Timestamp};
use models::{Delta, Finish, Flow, ModelError, Sink, Spender};
use ports::PortError;
use ports::channels::{Channel, Channels, Frame};
use ports::queue::{Message, Queue};
use ports::table::{If, Item, Table, Write, WriteError};
use runtime::serve::event_of;
use runtime::trace::{self, TraceParent};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

use crate::ask::Ask;
use crate::batch::Order;
use crate::failure::{Failure, Kept};
use crate::guard::TERMS;
use crate::make::{Outcome, Prepared, spender_of};
use crate::outlet::Outlet;
use crate::record::{Held, Record, Status, key, request_key};
use crate::{Content, ContentError};

/// The longest that pieces wait for each other.
pub const GAP: Duration = Duration::from_millis(30);

/// How often a worker renews its lease and keeps the text so far.
pub const BEAT: Duration = Duration::from_secs(1);

/// How long a lease lasts: several beats, so that a slow table ends nothing.
pub const LEASE: SignedDuration = SignedDuration::from_secs(20);

/// The longest that a model may talk: the worker's own time is a little more.
pub const LONGEST: SignedDuration = SignedDuration::from_secs(280);

/// The most characters of one frame: API Gateway takes 32 KB at a time.
const LONGEST_PIECE: usize = 4000;

/// How often the end of a text is told before that is left to the last frame, which says how long it is.
const LAST_TRIES: u32 = 4;

/// What is sent through the queue: ids, and nothing that anybody wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Whose.
    pub org: Id<Organisation>,
    /// Which text.
    pub content: Id<ContentKind>,
}

impl Content {
    /// Takes on a text that is to be streamed.
    ///
    /// # Errors
    /// That there is no model, [`Failure::Blocked`], a port's failure. After a failure of the queue the
    /// record is there and no job; the same request sent again sends the job.
    pub async fn take_on(
        &self,
        jobs: &dyn Queue,
        caller: &Caller,
        id: Id<ContentKind>,
        ask: &Ask,
        reader: Locale,
    ) -> Result<Record, ContentError> {
        self.targets.gateway().await.map_err(ContentError::from)?;
        let org = caller.organisation;
        self.prepare(org, id, ask).await?;
        let record = self.record(&Spender::from(caller), id, ask, reader);
        let parts = vec![
            Write::Put(Item::new(key(org, id), &record), If::Absent),
            Write::Put(Item::new(request_key(org, id), ask), If::Absent),
        ];
        let record = match self.table.write(parts).await {
            Ok(()) => record,
            Err(error) => match self.find(org, id).await? {
                Some(found) => found.record,
                None => return Err(error.into()),
            },
        };
        // Begun already, or over: a second job would find nothing to do.
        if record.status == Status::Running && record.lease.is_none() {
            let body = serde_json::to_string(&Job { org, content: id }).unwrap_or_default();
            let message = Message {
                trace: trace::current(),
                ..Message::new(body)
            };
            jobs.send(vec![message]).await?;
        }
        Ok(record)
    }

    /// Stops a text that is being made. One that came to its end in the meantime stays as it is.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], [`ContentError::NotNow`] if it is over already, a port's failure.
    pub async fn cancel(&self, caller: &Caller, id: Id<ContentKind>) -> Result<Held, ContentError> {
        let org = caller.organisation;
        // The worker writes the same row every second: whoever comes second looks again.
        for _ in 0..10 {
            let held = self.find(org, id).await?.ok_or(ContentError::NotFound)?;
            match held.record.status {
                Status::Running => {}
                Status::Cancelled => return Ok(held),
                status => return Err(ContentError::NotNow(status)),
            }
            let record = Record {
                status: Status::Cancelled,
                finished_at: Some(self.clock.now()),
                ..held.record.clone()
            };
            let row = held.row.next(&record);
            let mut parts = vec![
                Write::Put(row.clone(), If::VersionIs(held.version())),
                // A worker that is at it has read it; nobody else needs it any more.
                Write::Delete(request_key(org, id), If::Always),
            ];
            parts.extend(self.answer(org, &record));
            match self.table.write(parts).await {
                Ok(()) => return Ok(Held { row, record }),
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ContentError::Write(WriteError::Conflict))
    }

    /// Ends a record whose work died, if it is one.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn settle_lost(
        &self,
        org: Id<Organisation>,
        held: Held,
    ) -> Result<Held, ContentError> {
        if !held.record.is_lost(self.clock.now()) {
            return Ok(held);
        }
        self.end_lost(org, held).await
    }

    async fn end_lost(&self, org: Id<Organisation>, held: Held) -> Result<Held, ContentError> {
        let id = held.record.id;
        let record = Record {
            status: Status::Failed,
            problem: Some(models::Failure::Interrupted.kept()),
            lease: None,
            finished_at: Some(self.clock.now()),
            ..held.record.clone()
        };
        let row = held.row.next(&record);
        let mut parts = vec![
            Write::Put(row.clone(), If::VersionIs(held.version())),
            Write::Delete(request_key(org, id), If::Always),
        ];
        parts.extend(self.answer(org, &record));
        match self.table.write(parts).await {
            Ok(()) => Ok(Held { row, record }),
            // Somebody else ended it, or it was not dead after all.
            Err(WriteError::Condition(_) | WriteError::Conflict) => {
                self.find(org, id).await?.ok_or(ContentError::NotFound)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Does the jobs.
pub struct Worker {
    /// The use cases.
    pub content: Arc<Content>,
    /// Where the text is told.
    pub channels: Arc<dyn Channels>,
    /// Where orders of batches go to.
    pub jobs: Arc<dyn Queue>,
    /// The table in which `documents` says what is to be written for it; only read.
    pub wishes: Arc<dyn Table>,
}

/// Why a job was not done; it will come again.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// Another delivery of it is at work.
    #[error("another delivery is at work")]
    AtWork,
    /// The use case failed.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The last frame could not be told.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What the first steps of a job found.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Found {
    /// It is this delivery's.
    Mine(Held, Ask),
    /// It is over; its last frame is told (again).
    Over(Held),
    /// There is no such text any more.
    Gone,
}

impl Worker {
    /// Does a job, however often it is delivered. A message that is no job is dropped: no delivery would
    /// make it one.
    ///
    /// # Errors
    /// [`NotDone`].
    pub async fn on(&self, body: &str) -> Result<(), NotDone> {
        if let Ok(job) = serde_json::from_str(body) {
            return Box::pin(self.stream(job)).await;
        }
        if let Ok(order) = serde_json::from_str::<Order>(body) {
            let made = self.content.make_item(&*self.channels, order);
            return Box::pin(made).await;
        }
        match event_of(body) {
            Ok(Some(happened)) => Box::pin(self.react(happened)).await,
            Ok(None) => Ok(()),
            Err(_) => {
                tracing::error!("a message that is no job was dropped");
                Ok(())
            }
        }
    }

    /// Reacts to what happened, in the trace of the request that caused it.
    async fn react(&self, happened: Envelope) -> Result<(), NotDone> {
        let Envelope {
            org, event, trace, ..
        } = happened;
        let work = async {
            match event {
                Event::DraftQueued { draft } => {
                    match self.content.begin_draft(&*self.wishes, org, draft).await? {
                        Some(content) => Box::pin(self.stream(Job { org, content })).await,
                        None => Ok(()),
                    }
                }
                Event::TextsQueued { batch } => {
                    let (jobs, channels) = (&*self.jobs, &*self.channels);
                    self.content.plan_batch(jobs, channels, org, batch).await
                }
                _ => Ok(()),
            }
        };
        match trace.and_then(|trace| trace.parse::<TraceParent>().ok()) {
            Some(trace) => trace::within(trace, work).await,
            None => work.await,
        }
    }

    async fn stream(&self, job: Job) -> Result<(), NotDone> {
        let held = match self.begin(job).await? {
            Found::Gone => return Ok(()),
            Found::Over(held) => held,
            Found::Mine(held, ask) => self.work(job.org, held, &ask).await?,
        };
        // Somebody else goes on with it after all, and tells its end.
        if held.record.status == Status::Running {
            return Err(NotDone::AtWork);
        }
        self.tell_end(job.org, &held.record).await?;
        Ok(())
    }

    async fn begin(&self, job: Job) -> Result<Found, NotDone> {
        let Job { org, content: id } = job;
        let content = &self.content;
        let Some(held) = content.find(org, id).await.map_err(ContentError::from)? else {
            return Ok(Found::Gone);
        };
        let now = content.clock.now();
        if held.record.status != Status::Running {
            return Ok(Found::Over(held));
        }
        if held.record.is_leased(now) {
            return Err(NotDone::AtWork);
        }
        let at = request_key(org, id);
        let request = content.table.get(&at).await.map_err(ContentError::from)?;
        let (None, Some(request)) = (held.record.lease, request) else {
            return Ok(Found::Over(content.end_lost(org, held).await?));
        };
        let ask: Ask = request.parse().map_err(ContentError::from)?;
        let call = content.ids.uuid(now);
        let record = Record {
            lease: Some(until(now)),
            call: Some(call),
            ..held.record.clone()
        };
        let row = held.row.next(&record);
        let parts = vec![Write::Put(row.clone(), If::VersionIs(held.version()))];
        match content.table.write(parts).await {
            Ok(()) => Ok(Found::Mine(Held { row, record }, ask)),
            Err(error) => {
                let found = content.find(org, id).await.map_err(ContentError::from)?;
                match found {
                    None => Ok(Found::Gone),
                    Some(found) if found.record.call == Some(call) => Ok(Found::Mine(found, ask)),
                    Some(found) if found.record.status != Status::Running => Ok(Found::Over(found)),
                    Some(_) if matches!(error, WriteError::Condition(_)) => Err(NotDone::AtWork),
                    Some(_) => Err(ContentError::from(error).into()),
                }
            }
        }
    }

    async fn work(&self, org: Id<Organisation>, held: Held, ask: &Ask) -> Result<Held, NotDone> {
        let content = &self.content;
        let id = held.record.id;
        let prepared = match content.prepare(org, id, ask).await {
            Ok(prepared) => prepared,
            Err(ContentError::Failed(failure)) => {
                return self.fail(org, held, ask, failure).await;
            }
            Err(error) => return Err(error.into()),
        };
        let gateway = match content.targets.gateway().await.map_err(ContentError::from) {
            Ok(gateway) => gateway,
            Err(ContentError::Failed(failure)) => {
                return self.fail(org, held, ask, failure).await;
            }
            Err(error) => return Err(error.into()),
        };
        let call = held.record.call.unwrap_or_default();
        let deadline = content
            .clock
            .now()
            .saturating_add(LONGEST)
            .unwrap_or(Timestamp::MAX);
        if let Err(failure) = content.admitted(gateway, &prepared, deadline).await {
            return self.fail(org, held, ask, failure).await;
        }
        let spender = spender_of(&held.record, org);
        let (sender, receiver) = mpsc::unbounded_channel();
        let stop = AtomicBool::new(false);
        let mut pieces = Pieces {
            sender,
            stop: &stop,
        };
        let asked = async {
            let answer = gateway
                .stream(&spender, call, &prepared.request, deadline, &mut pieces)
                .await;
            drop(pieces);
            answer
        };
        let teller = Teller {
            worker: self,
            channel: Channel::content(org, id),
            org,
            stop: &stop,
            holds: prepared.rules.moderate,
        };
        let (answer, told) = tokio::join!(asked, teller.tell(receiver, held, &prepared, ask));
        let Told {
            held,
            end,
            mut untold,
        } = told;
        let outcome = match (answer, end) {
            (Ok(completion), End::Blocked) => Outcome::Blocked(Box::new(completion), TERMS),
            (Ok(completion), _) if completion.finish == Finish::Cancelled => {
                Outcome::Stopped(Box::new(completion))
            }
            (Ok(completion), _) => {
                let looked_at = content.looked_at(gateway, &prepared, completion, deadline);
                let outcome = Box::pin(looked_at).await;
                if let Outcome::Made(_) = outcome {
                    teller.tell_rest(&mut untold).await;
                }
                outcome
            }
            (Err(ModelError::Port(error)), _) => return Err(ContentError::from(error).into()),
            (Err(error), _) => content.reason(org, gateway, call, error).await?,
        };
        self.finish(org, held, ask, &prepared, outcome).await
    }

    async fn fail(
        &self,
        org: Id<Organisation>,
        held: Held,
        ask: &Ask,
        failure: Failure,
    ) -> Result<Held, NotDone> {
        let nothing = Prepared::default();
        self.finish(org, held, ask, &nothing, Outcome::Failed(failure, None))
            .await
    }

    /// Ends the record. If it was cancelled in the meantime, it stays cancelled and learns what was spent.
    async fn finish(
        &self,
        org: Id<Organisation>,
        held: Held,
        ask: &Ask,
        prepared: &Prepared,
        outcome: Outcome,
    ) -> Result<Held, NotDone> {
        let content = &self.content;
        let (id, call) = (held.record.id, held.record.call);
        let mut looked = 0;
        loop {
            looked += 1;
            let latest = content.find(org, id).await.map_err(ContentError::from)?;
            let (held, outcome) = match latest {
                None => return Err(ContentError::NotFound.into()),
                Some(found) if found.record.status == Status::Cancelled => match &outcome {
                    Outcome::Made(completion)
                    | Outcome::Stopped(completion)
                    | Outcome::Blocked(completion, _) => {
                        (found, Outcome::Stopped(completion.clone()))
                    }
                    Outcome::Failed(_, Some(spent)) | Outcome::Spent(spent) => {
                        (found, Outcome::Spent(spent.clone()))
                    }
                    Outcome::Failed(_, None) => return Ok(found),
                },
                Some(found) if found.record.call == call => (found, outcome.clone()),
                Some(found) => return Ok(found),
            };
            match content.end(org, held, ask, prepared, outcome).await {
                // It was cancelled between the two steps: it learns what was spent all the same.
                Err(ContentError::VersionMismatch) if looked < 2 => {}
                ended => return Ok(ended?),
            }
        }
    }

    /// Tells the last frame.
    async fn tell_end(&self, org: Id<Organisation>, record: &Record) -> Result<(), PortError> {
        let channel = Channel::content(org, record.id);
        let frame = last_frame(record);
        self.channels.publish(&channel, vec![frame]).await.map(drop)
    }
}

/// The gateway's side: hands on what arrives, and stops when nobody wants more.
struct Pieces<'a> {
    sender: mpsc::UnboundedSender<String>,
    stop: &'a AtomicBool,
}

#[async_trait]
impl Sink for Pieces<'_> {
    async fn delta(&mut self, delta: &Delta) -> Result<Flow, PortError> {
        let listens = self.sender.send(delta.text.clone()).is_ok();
        if listens && !self.stop.load(Ordering::Relaxed) {
            Ok(Flow::Continue)
        } else {
            Ok(Flow::Stop)
        }
    }
}

/// The channel's side.
struct Teller<'a> {
    worker: &'a Worker,
    channel: Channel,
    org: Id<Organisation>,
    stop: &'a AtomicBool,
    /// Whether nothing is told before all of it was looked at.
    holds: bool,
}

/// What the teller leaves.
struct Told {
    held: Held,
    end: End,
    untold: Untold,
}

/// Why the teller stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The model did.
    Complete,
    /// The row is somebody else's now.
    Lost,
    /// A blocked term would have gone out.
    Blocked,
}

impl Teller<'_> {
    /// Tells what arrives until nothing more does.
    async fn tell(
        &self,
        mut arriving: mpsc::UnboundedReceiver<String>,
        mut held: Held,
        prepared: &Prepared,
        ask: &Ask,
    ) -> Told {
        let mut outlet = Outlet::new(&prepared.redaction, &prepared.rules, &ask.locale);
        let mut untold = Untold::default();
        let mut beaten = self.now();
        let mut open = true;
        let mut end = End::Complete;
        while open {
            match tokio::time::timeout(BEAT, arriving.recv()).await {
                Ok(Some(text)) => {
                    outlet.push(&text);
                    while let Ok(more) = arriving.try_recv() {
                        outlet.push(&more);
                    }
                }
                Ok(None) => open = false,
                Err(_) => {}
            }
            if end != End::Complete {
                continue;
            }
            match outlet.take(!open) {
                Ok(fresh) => untold.add(fresh),
                Err(_) => end = self.stop(End::Blocked),
            }
            if !self.holds {
                self.publish(&mut untold).await;
            }
            if open && self.now().duration_since(beaten) >= beat() {
                beaten = self.now();
                let shown = if self.holds { "" } else { outlet.out() };
                if !self.beat(&mut held, shown).await {
                    end = self.stop(End::Lost);
                }
            }
            if open {
                self.worker.content.clock.sleep(GAP).await;
            }
        }
        if !self.holds {
            self.tell_rest(&mut untold).await;
        }
        Told { held, end, untold }
    }

    /// Tells what is left, with some patience.
    async fn tell_rest(&self, untold: &mut Untold) {
        for _ in 0..LAST_TRIES {
            self.publish(untold).await;
            if untold.text.is_empty() {
                return;
            }
            self.worker.content.clock.sleep(BEAT / 4).await;
        }
    }

    fn stop(&self, end: End) -> End {
        self.stop.store(true, Ordering::Relaxed);
        end
    }

    fn now(&self) -> Timestamp {
        self.worker.content.clock.now()
    }

    /// What cannot be told now is told with what comes next; the offset says where it begins.
    async fn publish(&self, untold: &mut Untold) {
        let frames = untold.frames();
        if frames.is_empty() {
            return;
        }
        match self.worker.channels.publish(&self.channel, frames).await {
            Ok(_) => untold.told(),
            Err(error) => tracing::warn!(%error, "a piece of a text was not told yet"),
        }
    }

    /// Renews the lease and keeps the text so far. Says whether the row is still ours.
    async fn beat(&self, held: &mut Held, text: &str) -> bool {
        let content = &self.worker.content;
        let record = Record {
            lease: Some(until(self.now())),
            text: Some(text.to_owned()).filter(|text| !text.is_empty()),
            ..held.record.clone()
        };
        let row = held.row.next(&record);
        let parts = vec![Write::Put(row.clone(), If::VersionIs(held.version()))];
        match content.table.write(parts).await {
            Ok(()) => *held = Held { row, record },
            Err(error) => {
                tracing::debug!(%error, "a lease was not renewed");
                match content.find(self.org, held.record.id).await {
                    // An acknowledgement that was lost.
                    Ok(Some(found))
                        if found.record.call == held.record.call
                            && found.record.status == Status::Running =>
                    {
                        *held = found;
                    }
                    Ok(_) => return false,
                    // The table does not answer. The lease still runs for a while.
                    Err(_) => return held.record.is_leased(self.now()),
                }
            }
        }
        true
    }
}

/// Text that waits to be told.
#[derive(Default)]
struct Untold {
    text: String,
    /// The characters that were told before it.
    offset: usize,
}

impl Untold {
    fn add(&mut self, fresh: Option<String>) {
        self.text.extend(fresh);
    }

    fn frames(&self) -> Vec<Frame> {
        let characters: Vec<char> = self.text.chars().collect();
        let mut offset = self.offset;
        characters
            .chunks(LONGEST_PIECE)
            .map(|piece| {
                let text: String = piece.iter().collect();
                let frame = Frame::new("content.delta", json!({"text": text, "offset": offset}));
                offset += piece.len();
                frame
            })
            .collect()
    }

    fn told(&mut self) {
        self.offset += self.text.chars().count();
        self.text.clear();
    }
}

fn beat() -> SignedDuration {
    SignedDuration::try_from(BEAT).unwrap_or(SignedDuration::ZERO)
}

fn until(now: Timestamp) -> Timestamp {
    now.saturating_add(LEASE).unwrap_or(Timestamp::MAX)
}

/// The frame that says how it ended.
fn last_frame(record: &Record) -> Frame {
    let characters = record.text.as_deref().unwrap_or_default().chars().count();
    let (id, usage, cost) = (record.id, record.usage, &record.cost);
    match record.status {
        Status::Done | Status::Running => Frame::new(
            "content.done",
            json!({
                "id": id, "status": "done", "model": record.model, "finish": record.finish,
                "characters": characters, "usage": usage, "cost": cost, "cached": record.cached,
            }),
        ),
        Status::Cancelled => Frame::new(
            "content.cancelled",
            json!({
                "id": id, "status": "cancelled", "characters": characters, "usage": usage, "cost": cost,
            }),
        ),
        Status::Failed => Frame::new(
            "content.failed",
            json!({
                "id": id, "status": "failed", "cost": cost,
                "problem": record.problem.as_ref().map(|kept| problem(kept, record.reader)),
            }),
        ),
    }
}

/// A reason as the channel tells it.
pub fn problem(kept: &Kept, reader: Locale) -> serde_json::Value {
    json!({
        "type": format!("urn:fleet:problem:{}", kept.code),
        "code": kept.code,
        "detail": kept.detail(reader),
        "places": kept.places.iter().map(|place| &place.pointer).collect::<Vec<_>>(),
    })
}
