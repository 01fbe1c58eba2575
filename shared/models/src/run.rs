//! One call from its first attempt to its last: whom to ask, how long, whether again, and what each
//! attempt costs.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use ports::PortError;
use serde_json::json;
use sse_stream::SseByteStream;

use crate::answer::{self, Assembly};
use crate::budget::{Bill, Hold};
use crate::error::ModelError;
use crate::gateway::{Flow, Gateway, Sink, outcome};
use crate::health::BENCHED;
use crate::price::Price;
use crate::reply::{Attempt, Cost, Delta, Finish, Usage};
use crate::request::ChatRequest;
use crate::target::Target;
use crate::wire::{self, Billed, Failure, Then};

/// The least time in which asking makes sense.
const LEAST: Duration = Duration::from_millis(20);

/// How long after its last token a stream may take to tell its usage and end.
const EPILOGUE: Duration = Duration::from_secs(2);

/// Tokens that an endpoint may have made beyond what was seen when a listener had enough.
const UNSEEN: u64 = 64;

/// What is asked.
pub(crate) enum Task<'a> {
    Chat(&'a ChatRequest),
    Embed(&'a [String]),
}

/// Who listens, if anybody does.
pub(crate) struct Listener<'a>(pub Option<&'a mut dyn Sink>);

/// What one exchange gave, text or vectors.
pub(crate) struct Answer {
    pub text: String,
    pub message: serde_json::Value,
    pub finish: Finish,
    pub model: Option<String>,
    pub vectors: Vec<Vec<f32>>,
    usage: Option<Usage>,
    refused: bool,
    octets: u64,
}

/// An answer and who gave it.
pub(crate) struct Asked {
    pub answer: Answer,
    pub target: Arc<Target>,
}

/// Why one exchange gave no answer.
enum Broken {
    /// The endpoint's doing, before anything was told.
    Failure(Failure),
    /// The endpoint's doing, after something was told.
    Interrupted(Failure),
    /// The listener could not be told; the octets are what was seen.
    Listener(PortError, u64),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Task<'_> {
    /// The most that it can cost at this price.
    pub(crate) fn bound(&self, price: &Price) -> i64 {
        let (input, output) = self.most();
        match self {
            Self::Chat(_) => price.bound(input, output),
            Self::Embed(_) => price.of_vectors(input),
        }
    }

    /// The most tokens of the question and of its answer.
    fn most(&self) -> (u64, u64) {
        match self {
            Self::Chat(request) => (request.input_bound(), u64::from(request.max_tokens)),
            Self::Embed(texts) => {
                let octets: usize = texts.iter().map(|text| text.len() + 8).sum();
                (octets as u64, 0)
            }
        }
    }

    /// What a target calls the model that is asked.
    pub(crate) fn model<'t>(&self, target: &'t Target) -> &'t str {
        match self {
            Self::Chat(_) => &target.model,
            Self::Embed(_) => target.embeddings.as_deref().unwrap_or(&target.model),
        }
    }

    fn cost(&self, price: &Price, usage: &Usage) -> i64 {
        match self {
            Self::Chat(_) => price.of(usage.input, usage.cached, usage.output),
            Self::Embed(_) => price.of_vectors(usage.input),
        }
    }
}

/// A call under way.
pub(crate) struct Run<'g> {
    gateway: &'g Gateway,
    pub hold: Hold,
    order: Vec<Arc<Target>>,
    currency: String,
    deadline: Timestamp,
    retries: u32,
    attempts: Vec<Attempt>,
    waited: u32,
}

/// How a target's turn ended without an answer.
enum Turn {
    /// Somebody else may answer.
    Next(Failure),
    /// Nobody will.
    Over(ModelError),
}

impl<'g> Run<'g> {
    pub(crate) fn new(
        gateway: &'g Gateway,
        hold: Hold,
        order: Vec<Arc<Target>>,
        currency: String,
        deadline: Timestamp,
    ) -> Self {
        Self {
            retries: gateway.patience.retries,
            gateway,
            hold,
            order,
            currency,
            deadline,
            attempts: Vec::new(),
            waited: 0,
        }
    }

    /// Asks this target first from now on.
    pub(crate) fn prefer(&mut self, target: &Arc<Target>) {
        self.order.sort_by_key(|other| other.name != target.name);
    }

    /// The model that was asked last.
    pub(crate) fn last_model(&self) -> String {
        self.attempts
            .last()
            .map(|a| a.model.clone())
            .unwrap_or_default()
    }

    pub(crate) fn bill(&mut self, error: Option<&ModelError>) -> Bill {
        Bill {
            outcome: outcome(error),
            attempts: std::mem::take(&mut self.attempts),
        }
    }

    pub(crate) fn cost(&self, bill: &Bill) -> Cost {
        Cost {
            micros: bill.micros(),
            currency: self.currency.clone(),
        }
    }

    /// Asks one target after the other until one answers.
    pub(crate) async fn ask(
        &mut self,
        task: &Task<'_>,
        listener: &mut Listener<'_>,
    ) -> Result<Asked, ModelError> {
        let order = self.order.clone();
        let mut failures: Vec<Failure> = Vec::new();
        // How much room the targets have that found the question too long.
        let mut too_small: Option<u32> = None;
        for (place, target) in order.iter().enumerate() {
            if let Some(room) = too_small
                && target.context.is_none_or(|context| context <= room)
            {
                continue;
            }
            let others = order.len() - place - 1;
            match self.turn(target, task, listener, others).await {
                Ok(answer) => {
                    self.gateway.health.answered(&target.name).await;
                    let target = Arc::clone(target);
                    return Ok(Asked { answer, target });
                }
                Err(Turn::Over(error)) => return Err(error),
                Err(Turn::Next(failure)) => {
                    if failure.then == Then::Larger {
                        // Of one that does not say how much room it has, nobody known has more.
                        let room = target.context.unwrap_or(0);
                        too_small = Some(too_small.map_or(room, |known| known.max(room)));
                    }
                    failures.push(failure);
                }
            }
        }
        Err(self.gave_up(&failures))
    }

    fn gave_up(&self, failures: &[Failure]) -> ModelError {
        if failures.iter().any(|failure| failure.then == Then::Larger) {
            return ModelError::ContextTooLong;
        }
        if self.left().is_none() {
            return ModelError::TimedOut;
        }
        let soonest = failures
            .iter()
            .filter_map(|failure| failure.retry_after)
            .min();
        ModelError::Failed {
            retry_after: soonest.map(|wait| wait.as_secs().max(1)),
        }
    }

    /// Asks one target, again if that may help.
    async fn turn(
        &mut self,
        target: &Arc<Target>,
        task: &Task<'_>,
        listener: &mut Listener<'_>,
        others: usize,
    ) -> Result<Answer, Turn> {
        let mut again = self.gateway.patience.retries_per_target;
        loop {
            let failure = match self.attempt(target, task, listener, others).await {
                Ok(answer) => return Ok(answer),
                Err(Turn::Over(error)) => return Err(Turn::Over(error)),
                Err(Turn::Next(failure)) => failure,
            };
            if failure.then == Then::Retry && again > 0 && self.retries > 0 {
                // Who is asked next costs nothing more than who is asked again, if this one may bill.
                let another = others > 0 && failure.billed == Billed::Perhaps;
                if let Some(wait) = self.wait(&failure, others).filter(|_| !another) {
                    again -= 1;
                    self.retries -= 1;
                    self.gateway.clock.sleep(wait).await;
                    continue;
                }
            }
            self.note_health(target, &failure).await;
            return Err(Turn::Next(failure));
        }
    }

    async fn note_health(&self, target: &Target, failure: &Failure) {
        let bench = match failure.then {
            Then::Larger | Then::Filtered | Then::Stop => return,
            Then::Bench => Some(failure.retry_after.unwrap_or(BENCHED)),
            Then::Retry | Then::Fallback => failure.retry_after,
        };
        self.gateway.health.failed(&target.name, bench).await;
    }

    /// How long to wait before the same target is asked again; nothing if that takes too long.
    fn wait(&mut self, failure: &Failure, others: usize) -> Option<Duration> {
        let patience = &self.gateway.patience;
        let most = if others > 0 {
            patience.short_wait
        } else {
            patience.longest_wait
        };
        let chance = f64::from(u32::from_be_bytes(self.gateway.ids.octets())) / f64::from(u32::MAX);
        let wait = if let Some(wished) = failure.retry_after {
            // Not before it, and not all at the same moment.
            wished.checked_add(patience.first_wait.mul_f64(chance))?
        } else {
            let full = patience.first_wait.saturating_mul(1 << self.waited.min(6));
            full.mul_f64(0.5 + chance / 2.0)
        };
        self.waited += 1;
        let fits = wait <= most && self.left()? > wait + LEAST;
        fits.then_some(wait)
    }

    /// What is left of the caller's time; nothing if that is too little to ask anybody.
    fn left(&self) -> Option<Duration> {
        let left = self.deadline.duration_since(self.gateway.clock.now());
        let left = Duration::try_from(left).ok()?;
        left.checked_sub(self.gateway.patience.margin)
            .filter(|left| *left >= LEAST)
    }

    /// Asks once. The bound of the attempt is set aside before, on top of what earlier ones cost.
    async fn attempt(
        &mut self,
        target: &Arc<Target>,
        task: &Task<'_>,
        listener: &mut Listener<'_>,
        others: usize,
    ) -> Result<Answer, Turn> {
        let price = target.price.at(self.gateway.clock.now());
        let bound = task.bound(&price);
        let spent: i64 = self.attempts.iter().map(|attempt| attempt.micros).sum();
        let needed = spent.saturating_add(bound);
        self.gateway
            .ledger
            .extend(&mut self.hold, needed)
            .await
            .map_err(Turn::Over)?;
        let left = self.left().ok_or(Turn::Over(ModelError::TimedOut))?;
        // One that does not answer leaves the others a third of the time.
        let share = if others > 0 {
            left.mul_f64(2.0 / 3.0)
        } else {
            left
        };
        let time = share.min(target.times.total);
        let done = self.exchange(target, task, listener, time).await;
        let (usage, charged, outcome, status) = charge(task, &price, bound, &done);
        self.attempts.push(Attempt {
            target: target.name.clone(),
            model: task.model(target).to_owned(),
            outcome: outcome.to_owned(),
            status,
            usage,
            price,
            micros: charged,
        });
        match done {
            Ok(answer) if answer.refused || answer.finish == Finish::ContentFilter => {
                Err(Turn::Over(ModelError::Filtered))
            }
            Ok(answer) => Ok(answer),
            Err(Broken::Listener(error, _)) => Err(Turn::Over(error.into())),
            Err(Broken::Interrupted(failure)) => {
                self.note_health(target, &failure).await;
                Err(Turn::Over(ModelError::Interrupted { code: failure.code }))
            }
            Err(Broken::Failure(failure)) => Err(judge(failure)),
        }
    }

    async fn exchange(
        &self,
        target: &Target,
        task: &Task<'_>,
        listener: &mut Listener<'_>,
        time: Duration,
    ) -> Result<Answer, Broken> {
        match (task, &mut listener.0) {
            (Task::Chat(request), Some(sink)) => {
                self.stream(target, request, &mut **sink, time).await
            }
            (Task::Chat(request), None) => {
                let body = request.body(target, false).to_string();
                let octets = self.whole(target, "/chat/completions", body, time).await?;
                Ok(answer::chat(&octets)?.into())
            }
            (Task::Embed(texts), _) => {
                let body = json!({"model": task.model(target), "input": texts, "encoding_format": "float"});
                let octets = self
                    .whole(target, "/embeddings", body.to_string(), time)
                    .await?;
                let (vectors, usage, model) = answer::vectors(&octets, texts.len())?;
                Ok(Answer {
                    text: String::new(),
                    message: serde_json::Value::Null,
                    finish: Finish::Stop,
                    model,
                    vectors,
                    usage,
                    refused: false,
                    octets: 0,
                })
            }
        }
    }

    async fn whole(
        &self,
        target: &Target,
        path: &str,
        body: String,
        time: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let (client, now) = (&self.gateway.client, self.gateway.clock.now());
        let response = wire::post(client, target, path, body.into_bytes(), time, time, now).await?;
        wire::body(response).await
    }

    async fn stream(
        &self,
        target: &Target,
        request: &ChatRequest,
        sink: &mut dyn Sink,
        time: Duration,
    ) -> Result<Answer, Broken> {
        let mut answer = Assembly::default();
        let body = request.body(target, true).to_string().into_bytes();
        let begin = async {
            let (client, now) = (&self.gateway.client, self.gateway.clock.now());
            let path = "/chat/completions";
            let response = wire::post(client, target, path, body, time, time, now).await?;
            let mut events = events(response);
            let first = loop {
                match next(&mut events, &mut answer).await? {
                    Next::Delta(delta) => break Some(delta),
                    Next::Nothing if answer.is_finished() => break None,
                    Next::Nothing => {}
                    Next::End => break None,
                }
            };
            Ok::<_, Failure>((events, first))
        };
        let (mut events, mut delta) =
            tokio::time::timeout(target.times.first_token.min(time), begin)
                .await
                .map_err(|_| Failure::slow("first_token_timeout"))??;
        // From here on somebody has been told, and nobody else can be asked.
        loop {
            if let Some(delta) = delta.take() {
                match sink.delta(&delta).await {
                    Ok(Flow::Continue) => {}
                    Ok(Flow::Stop) => return Ok(answer.ended(Finish::Cancelled).into()),
                    Err(error) => return Err(Broken::Listener(error, answer.octets())),
                }
            }
            let idle = if answer.is_finished() {
                target.times.idle.min(EPILOGUE)
            } else {
                target.times.idle
            };
            let read = tokio::time::timeout(idle, next(&mut events, &mut answer))
                .await
                .unwrap_or_else(|_| Err(Failure::slow("stalled")));
            match read {
                Ok(Next::Delta(more)) => delta = Some(more),
                Ok(Next::Nothing) => {}
                Ok(Next::End) => break,
                // It was complete: what follows is only its epilogue.
                Err(_) if answer.is_finished() => break,
                Err(failure) => return Err(broken(&answer, failure)),
            }
        }
        if answer.malformed > 0 {
            tracing::warn!(target = %target.name, pieces = answer.malformed, "a stream had malformed pieces");
        }
        let started = answer.started;
        answer.finish().map(Into::into).map_err(|failure| {
            if started {
                Broken::Interrupted(failure)
            } else {
                Broken::Failure(failure)
            }
        })
    }
}

fn broken(answer: &Assembly, failure: Failure) -> Broken {
    if answer.started {
        Broken::Interrupted(failure)
    } else {
        Broken::Failure(failure)
    }
}

/// What a failure that nobody was told means for the call.
fn judge(failure: Failure) -> Turn {
    match failure.then {
        Then::Stop => {
            let said = failure.said.unwrap_or_default();
            Turn::Over(ModelError::Refused {
                status: failure.status.unwrap_or(400),
                code: said.code,
                message: said.message,
            })
        }
        Then::Filtered => Turn::Over(ModelError::Filtered),
        _ => Turn::Next(failure),
    }
}

/// What an exchange costs: (tokens, micro-units, word, status). Never more than was set aside for it.
fn charge(
    task: &Task<'_>,
    price: &Price,
    bound: i64,
    done: &Result<Answer, Broken>,
) -> (Option<Usage>, i64, &'static str, Option<u16>) {
    let (input, most) = task.most();
    let seen = |octets: u64| Usage::bound(input, octets.min(most));
    let (usage, outcome, status) = match done {
        Ok(answer) if answer.finish == Finish::Cancelled => {
            let unseen = answer.octets.saturating_add(UNSEEN);
            let usage = answer.usage.clone().unwrap_or_else(|| seen(unseen));
            (Some(usage), "cancelled", Some(200))
        }
        Ok(answer) => {
            let usage = answer.usage.clone().unwrap_or_else(|| seen(answer.octets));
            (Some(usage), "ok", Some(200))
        }
        Err(Broken::Listener(_, octets)) => (
            Some(seen(octets.saturating_add(UNSEEN))),
            "not_told",
            Some(200),
        ),
        Err(Broken::Interrupted(failure)) => (
            Some(Usage::bound(input, most)),
            failure.code,
            failure.status,
        ),
        Err(Broken::Failure(failure)) => {
            let usage = match failure.billed {
                Billed::No => None,
                Billed::Perhaps => Some(Usage::bound(input, most)),
            };
            (usage, failure.code, failure.status)
        }
    };
    let micros = usage.as_ref().map_or(0, |usage| task.cost(price, usage));
    if micros > bound {
        tracing::warn!(
            micros,
            bound,
            "an endpoint counts more tokens than can be; the bound is charged"
        );
    }
    (usage, micros.min(bound), outcome, status)
}

impl From<answer::Reply> for Answer {
    fn from(reply: answer::Reply) -> Self {
        Self {
            text: reply.text,
            message: reply.message,
            finish: reply.finish,
            model: reply.model,
            vectors: Vec::new(),
            usage: reply.usage,
            refused: reply.refused,
            octets: reply.octets,
        }
    }
}

/// The data of a stream's events.
type Events = Pin<Box<dyn Stream<Item = Result<String, Failure>> + Send>>;

fn events(response: reqwest::Response) -> Events {
    let pieces = wire::pieces(response, wire::LARGEST_STREAM)
        // The last event may lack the empty line that ends it.
        .chain(futures::stream::once(async { Ok(b"\n\n".to_vec()) }))
        .map(|piece| piece.map(std::io::Cursor::new));
    let events = SseByteStream::new(Box::pin(pieces)).filter_map(|event| async {
        match event {
            Ok(event) => event.data.map(Ok),
            Err(sse_stream::Error::Body(error)) => Some(Err(error
                .downcast::<Failure>()
                .map_or_else(|_| Failure::malformed(), |failure| *failure))),
            Err(_) => Some(Err(Failure::malformed())),
        }
    });
    Box::pin(events)
}

enum Next {
    Delta(Delta),
    Nothing,
    End,
}

async fn next(events: &mut Events, answer: &mut Assembly) -> Result<Next, Failure> {
    match events.next().await {
        None => Ok(Next::End),
        Some(Ok(data)) if data.trim() == "[DONE]" => Ok(Next::End),
        Some(Ok(data)) => {
            let delta = answer.take(&data)?;
            Ok(delta.map_or(Next::Nothing, Next::Delta))
        }
        Some(Err(failure)) => Err(failure),
    }
}
