//! The way in: one question, whichever endpoint answers it, paid once.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use domain::Id;
use domain::id::Organisation;
use jiff::Timestamp;
use jsonschema::Validator;
use ports::PortError;
use ports::clock::Clock;
use ports::ids::Ids;
use ports::table::{Key, Table};
use uuid::Uuid;

use crate::budget::{Ledger, Opening, Spender};
use crate::cache::{self, Kept};
use crate::error::ModelError;
use crate::health::Health;
use crate::reply::{Completion, Cost, Delta, Embeddings, Finish, Usage};
use crate::request::{ChatRequest, Message};
use crate::run::{Asked, Listener, Run, Task};
use crate::shapes::{self, Shapes};
use crate::target::Target;

/// The most texts of one request for vectors.
pub const MOST_TEXTS: usize = 2_048;

/// How patient the gateway is, whatever the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Questions that are asked again of the same target, over all targets together.
    pub retries: u32,
    /// Questions that are asked again of one target.
    pub retries_per_target: u32,
    /// About how long it waits before the first of them; twice as long before each further one.
    pub first_wait: Duration,
    /// The longest wait when nobody else is left to ask.
    pub longest_wait: Duration,
    /// The longest wait while somebody else is left.
    pub short_wait: Duration,
    /// What is kept back of the caller's time, to settle and to answer.
    pub margin: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            retries: 3,
            retries_per_target: 2,
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(20),
            short_wait: Duration::from_secs(1),
            margin: Duration::from_millis(300),
        }
    }
}

/// What a gateway stands on.
#[derive(Clone)]
pub struct Parts {
    /// The process's HTTP client, from [`runtime::outbound`].
    pub client: reqwest::Client,
    /// Where budgets, records, answers and the targets' health are kept.
    pub table: Arc<dyn Table>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub ids: Arc<dyn Ids>,
}

/// Whether a listener wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It has had enough: the connection is closed and what was used is paid.
    Stop,
}

/// Who listens to an answer while it is made.
#[async_trait]
pub trait Sink: Send {
    /// One more piece. The first comes only when the endpoint has really begun, so that whatever failed
    /// before it was told to nobody.
    ///
    /// # Errors
    /// The answer is given up, and what was used is paid.
    async fn delta(&mut self, delta: &Delta) -> Result<Flow, PortError>;
}

/// Models behind any number of endpoints, within budgets.
pub struct Gateway {
    pub(crate) client: reqwest::Client,
    pub(crate) table: Arc<dyn Table>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) ledger: Ledger,
    pub(crate) health: Health,
    pub(crate) patience: Patience,
    targets: RwLock<Arc<[Arc<Target>]>>,
    shapes: Shapes,
}

/// A call that was opened: who may be asked, and the currency.
struct Plan {
    candidates: Vec<Arc<Target>>,
    currency: String,
}

impl Gateway {
    /// A gateway to these targets.
    pub fn new(parts: Parts, targets: Vec<Arc<Target>>) -> Self {
        let Parts {
            client,
            table,
            clock,
            ids,
        } = parts;
        Self {
            ledger: Ledger::new(Arc::clone(&table), Arc::clone(&clock), Arc::clone(&ids)),
            health: Health::new(Arc::clone(&table), Arc::clone(&clock)),
            patience: Patience::default(),
            targets: RwLock::new(targets.into()),
            shapes: Shapes::default(),
            client,
            table,
            clock,
            ids,
        }
    }

    /// The same gateway, more or less patient.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Replaces the targets, for calls that begin from now on.
    pub fn set_targets(&self, targets: Vec<Arc<Target>>) {
        *self.targets.write().unwrap_or_else(PoisonError::into_inner) = targets.into();
    }

    /// The targets, in order of preference.
    pub fn targets(&self) -> Arc<[Arc<Target>]> {
        Arc::clone(&self.targets.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The budgets and the records of calls.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The most that a question can cost as it is asked the first time: what is set aside for it.
    pub fn estimate(&self, request: &ChatRequest) -> Result<Cost, ModelError> {
        request.check().map_err(ModelError::Invalid)?;
        let plan = self.plan(request.model.as_deref(), |_| true)?;
        Ok(Cost {
            micros: self.bound(&plan.candidates, &Task::Chat(request)),
            currency: plan.currency,
        })
    }

    /// Asks, and gives the whole answer. `call` names it for good: a second call of the same id is refused,
    /// so that a message that is delivered twice is not paid twice.
    pub async fn complete(
        &self,
        spender: &Spender,
        call: Uuid,
        request: &ChatRequest,
        deadline: Timestamp,
    ) -> Result<Completion, ModelError> {
        self.chat(spender, call, request, deadline, Listener(None))
            .await
    }

    /// Asks, and tells the answer piece by piece; gives it whole in the end. With a schema the whole answer
    /// is checked, and as it was told already nothing is repaired.
    pub async fn stream(
        &self,
        spender: &Spender,
        call: Uuid,
        request: &ChatRequest,
        deadline: Timestamp,
        sink: &mut dyn Sink,
    ) -> Result<Completion, ModelError> {
        self.chat(spender, call, request, deadline, Listener(Some(sink)))
            .await
    }

    /// Turns texts into vectors, by the targets that have a model for that.
    pub async fn embed(
        &self,
        spender: &Spender,
        call: Uuid,
        texts: &[String],
        deadline: Timestamp,
    ) -> Result<Embeddings, ModelError> {
        if texts.is_empty() || texts.len() > MOST_TEXTS {
            return Err(ModelError::Invalid(crate::request::Mistake {
                param: "input".to_owned(),
                reason: "1 to 2048 texts are expected",
            }));
        }
        let plan = self.plan(None, |target| target.embeddings.is_some())?;
        let task = Task::Embed(texts);
        let mut run = self.open(spender, call, plan, &task, deadline).await?;
        let asked = run.ask(&task, &mut Listener(None)).await;
        let model = run.last_model();
        let (ledger, bill) = (&self.ledger, run.bill(asked.as_ref().err()));
        let cost = run.cost(&bill);
        let paid = ledger.settle(run.hold, &bill).await;
        let Asked { answer, target } = asked?;
        Ok(Embeddings {
            vectors: answer.vectors,
            model: answer.model.unwrap_or(model),
            target: target.name.clone(),
            usage: bill.usage(),
            cost,
            attempts: bill.attempts,
            notices: paid.notices,
            settled: paid.settled,
        })
    }

    async fn chat(
        &self,
        spender: &Spender,
        call: Uuid,
        request: &ChatRequest,
        deadline: Timestamp,
        mut listener: Listener<'_>,
    ) -> Result<Completion, ModelError> {
        request.check().map_err(ModelError::Invalid)?;
        let shape = request
            .schema
            .as_ref()
            .map(|schema| self.shapes.of(&schema.schema))
            .transpose()?;
        let plan = self.plan(request.model.as_deref(), |_| true)?;
        let memory = memory(spender.org, request, &plan);
        if let Some(kept) = self.remembered(memory.as_ref()).await {
            return self.free(spender, call, plan, kept, &mut listener).await;
        }
        let task = Task::Chat(request);
        let mut run = self.open(spender, call, plan, &task, deadline).await?;
        let outcome = self
            .answer(&mut run, request, shape.as_deref(), &mut listener)
            .await;
        let model = run.last_model();
        let bill = run.bill(outcome.as_ref().err());
        let cost = run.cost(&bill);
        let paid = self.ledger.settle(run.hold, &bill).await;
        let (Asked { answer, target }, data) = outcome?;
        let completion = Completion {
            text: answer.text,
            data,
            message: answer.message,
            finish: answer.finish,
            model: answer.model.unwrap_or(model),
            target: target.name.clone(),
            usage: bill.usage(),
            cost,
            attempts: bill.attempts,
            cached: false,
            notices: paid.notices,
            settled: paid.settled,
        };
        if let Some(key) = memory.filter(|_| completion.finish == Finish::Stop) {
            self.remember(key, request, &completion).await;
        }
        Ok(completion)
    }

    /// Asks until the answer fits: once more with twice the tokens if they were too few, once more with its
    /// mistakes named if it does not fit the schema.
    async fn answer(
        &self,
        run: &mut Run<'_>,
        request: &ChatRequest,
        shape: Option<&Validator>,
        listener: &mut Listener<'_>,
    ) -> Result<(Asked, Option<serde_json::Value>), ModelError> {
        let streamed = listener.0.is_some();
        let mut asked = run.ask(&Task::Chat(request), listener).await?;
        let Some(shape) = shape else {
            return Ok((asked, None));
        };
        if matches!(asked.answer.finish, Finish::ToolCalls | Finish::Cancelled) {
            return Ok((asked, None));
        }
        let mut request = request.clone();
        if asked.answer.finish == Finish::Length {
            // With the same tokens it would end at the same place, and be paid again.
            if streamed {
                return Err(ModelError::TooShort);
            }
            request.max_tokens = request
                .max_tokens
                .saturating_mul(2)
                .min(crate::request::MOST_TOKENS);
            run.prefer(&asked.target);
            asked = run.ask(&Task::Chat(&request), listener).await?;
            if asked.answer.finish == Finish::Length {
                return Err(ModelError::TooShort);
            }
        }
        let wrong = match shapes::fit(shape, &asked.answer.text) {
            Ok(data) => return Ok((asked, Some(data))),
            Err(wrong) => wrong,
        };
        let unfit = |wrong: Vec<shapes::Misfit>| {
            let first = wrong.into_iter().next();
            let (path, reason) = first.map_or_else(Default::default, |m| (m.path, m.reason));
            ModelError::Unfit { path, reason }
        };
        if streamed {
            return Err(unfit(wrong));
        }
        request
            .messages
            .push(Message::assistant(&asked.answer.text));
        request.messages.push(Message::user(shapes::repair(&wrong)));
        run.prefer(&asked.target);
        asked = run.ask(&Task::Chat(&request), listener).await?;
        match shapes::fit(shape, &asked.answer.text) {
            Ok(data) => Ok((asked, Some(data))),
            Err(wrong) => Err(unfit(wrong)),
        }
    }

    /// Who may be asked.
    fn plan(&self, name: Option<&str>, can: impl Fn(&Target) -> bool) -> Result<Plan, ModelError> {
        let all: Vec<Arc<Target>> = self
            .targets()
            .iter()
            .filter(|target| can(target))
            .cloned()
            .collect();
        let first = all.first().ok_or(ModelError::NoTarget)?;
        let currency = first.price.currency().to_owned();
        let candidates: Vec<Arc<Target>> = match name {
            None => all,
            Some(name) => all.into_iter().filter(|t| t.answers_to(name)).collect(),
        };
        if candidates.is_empty() {
            return Err(ModelError::UnknownModel);
        }
        Ok(Plan {
            candidates,
            currency,
        })
    }

    /// What the dearest of them may cost.
    fn bound(&self, candidates: &[Arc<Target>], task: &Task<'_>) -> i64 {
        let now = self.clock.now();
        let bounds = candidates
            .iter()
            .map(|target| task.bound(&target.price.at(now)));
        bounds.max().unwrap_or(0)
    }

    async fn open(
        &self,
        spender: &Spender,
        call: Uuid,
        plan: Plan,
        task: &Task<'_>,
        deadline: Timestamp,
    ) -> Result<Run<'_>, ModelError> {
        let models: BTreeSet<&str> = plan.candidates.iter().map(|t| task.model(t)).collect();
        let opening = Opening {
            spender,
            call,
            bound: self.bound(&plan.candidates, task),
            models,
            currency: &plan.currency,
            deadline,
        };
        let hold = self.ledger.open(opening).await?;
        let mut candidates = plan.candidates;
        candidates.retain(|target| !hold.refused.iter().any(|m| m == task.model(target)));
        let order = self.health.order(candidates).await;
        Ok(Run::new(self, hold, order, plan.currency, deadline))
    }

    /// An answer that cannot be read is asked for again.
    async fn remembered(&self, key: Option<&Key>) -> Option<Kept> {
        match cache::read(&*self.table, key?, self.clock.now()).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(%error, "an answer could not be remembered");
                None
            }
        }
    }

    async fn remember(&self, key: Key, request: &ChatRequest, completion: &Completion) {
        let Some(kept) = request.cache else { return };
        let until = cache::until(self.clock.now(), kept);
        if let Err(error) = cache::write(&*self.table, key, &Kept::of(completion), until).await {
            tracing::warn!(%error, "an answer was not kept");
        }
    }

    /// An answer from memory, told like any other.
    async fn free(
        &self,
        spender: &Spender,
        call: Uuid,
        plan: Plan,
        kept: Kept,
        listener: &mut Listener<'_>,
    ) -> Result<Completion, ModelError> {
        self.ledger.note_free(spender, call, &plan.currency).await?;
        if let Some(sink) = &mut listener.0 {
            let delta = Delta {
                text: kept.text.clone(),
                raw: kept.message.clone(),
            };
            sink.delta(&delta).await?;
        }
        Ok(Completion {
            text: kept.text,
            data: kept.data,
            message: kept.message,
            finish: kept.finish,
            model: kept.model,
            target: kept.target,
            usage: Usage::default(),
            cost: Cost {
                micros: 0,
                currency: plan.currency,
            },
            attempts: Vec::new(),
            cached: true,
            notices: Vec::new(),
            settled: true,
        })
    }
}

/// Where the answer is kept, if it may be.
fn memory(org: Id<Organisation>, request: &ChatRequest, plan: &Plan) -> Option<Key> {
    request.cache?;
    let targets = plan.candidates.iter().map(|target| &**target);
    Some(cache::key(org, request, targets))
}

impl ModelError {
    /// The stable word that a record keeps of it.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::NoTarget => "no_target",
            Self::UnknownModel => "unknown_model",
            Self::Invalid(_) => "invalid",
            Self::BadSchema { .. } => "bad_schema",
            Self::Exhausted { .. } => "budget_exhausted",
            Self::CallUsed => "call_used",
            Self::Busy => "busy",
            Self::Refused { .. } => "refused",
            Self::ContextTooLong => "context_too_long",
            Self::Filtered => "filtered",
            Self::Unfit { .. } => "unfit",
            Self::TooShort => "too_short",
            Self::Interrupted { .. } => "interrupted",
            Self::TimedOut => "timed_out",
            Self::Failed { .. } => "failed",
            Self::Port(_) => "not_told",
        }
    }
}

pub(crate) fn outcome(error: Option<&ModelError>) -> &'static str {
    error.map_or(crate::budget::ANSWERED, ModelError::outcome)
}
