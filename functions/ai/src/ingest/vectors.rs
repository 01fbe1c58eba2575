//! Vectors of a document's passages, portion by portion.

use std::collections::{HashMap, HashSet};

use domain::Event;
use jiff::{SignedDuration, Timestamp};
use models::failure::Kept;
use models::{Cost, Failure, Gateway, ModelError, Spender, TargetsError};
use ports::table::{If, Item, Key, Query, Write};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::collection::inside;
use crate::document::{Held, Order, Packed};
use crate::find::vectors::Vector;
use crate::passage::Passage;
use crate::search::billed;
use crate::worker::{Worker, event_of};
use crate::{Ai, AiError};

/// No portion is begun after this time.
const ENOUGH: SignedDuration = SignedDuration::from_secs(200);

/// The longest that one portion may take.
const LONGEST: SignedDuration = SignedDuration::from_secs(60);

/// Passages that one call turns into vectors.
const PORTION: usize = 64;

/// How long vectors wait to be published.
const STAGED: SignedDuration = SignedDuration::from_hours(24);

/// A portion of vectors that was paid and is not published yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Staged {
    vectors: HashMap<String, Vector>,
    cost_micros: i64,
    currency: Option<String>,
}

/// What is known of a document's vectors.
#[derive(Default)]
pub(super) struct Vectors {
    /// By the hash of their passage.
    pub(super) by_hash: HashMap<String, Vector>,
    /// Rows of portions that are not published yet.
    pub(super) staged: Vec<Key>,
    /// What was paid for this revision, in millionths of the currency's unit.
    pub(super) cost_micros: i64,
    /// ISO 4217.
    pub(super) currency: Option<String>,
    /// What is still to be announced.
    pub(super) events: Vec<Event>,
    /// Why some passages have none.
    pub(super) problem: Option<Kept>,
}

impl Worker {
    /// Vectors for the passages: those that are known, and those that a model makes now. Nothing comes back
    /// if the time is over and something is left.
    pub(super) async fn vectors(
        &self,
        order: Order,
        held: &Held,
        passages: &[Passage],
        begun: Timestamp,
    ) -> Result<Option<Vectors>, AiError> {
        match self.ai.collection(order.org, order.collection).await {
            Ok(collection) if collection.embedding => {}
            Ok(_) | Err(AiError::NotFound) => return Ok(Some(Vectors::default())),
            Err(error) => return Err(error),
        }
        let gateway = match self.targets.gateway().await {
            Ok(gateway) => gateway,
            Err(TargetsError::NoModel) => return Ok(Some(Vectors::default())),
            Err(TargetsError::Port(error)) => return Err(error.into()),
            Err(error) => return Ok(Some(without(&error.into()))),
        };
        match first_space(gateway) {
            Some(space) => {
                self.portions(gateway, &space, order, held, passages, begun)
                    .await
            }
            None => Ok(Some(Vectors::default())),
        }
    }

    async fn portions(
        &self,
        gateway: &Gateway,
        space: &str,
        order: Order,
        held: &Held,
        passages: &[Passage],
        begun: Timestamp,
    ) -> Result<Option<Vectors>, AiError> {
        let mut vectors = self.ai.known_vectors(order).await?;
        vectors.by_hash.retain(|_, vector| vector.model == space);
        let missing = missing(passages, &vectors);
        let mut portions = (0..).zip(missing.chunks(PORTION)).peekable();
        while let Some((number, portion)) = portions.next() {
            if self.ai.clock.now().duration_since(begun) >= ENOUGH {
                return Ok(None);
            }
            let (staged, events) = match self.portion(gateway, order, held, number, portion).await {
                Ok(made) => made,
                Err(ModelError::Port(error)) if vectors.events.is_empty() => {
                    return Err(error.into());
                }
                Err(error) => {
                    let call = call_of(order, held.record.attempts, number);
                    vectors.fail(&error, billed(gateway, order.org, call).await);
                    break;
                }
            };
            let key = match portions.peek() {
                Some(_) => self.stage(order, held, number, &staged, &events).await,
                None => None,
            };
            vectors.take(staged);
            match key {
                Some(key) => vectors.staged.push(key),
                None => vectors.events.extend(events),
            }
            let embedded = vectors.by_hash.len();
            self.tell_progress(order, held, passages.len(), embedded)
                .await;
        }
        Ok(Some(vectors))
    }

    async fn portion(
        &self,
        gateway: &Gateway,
        order: Order,
        held: &Held,
        number: u32,
        portion: &[&Passage],
    ) -> Result<(Staged, Vec<Event>), ModelError> {
        let spender = Spender {
            org: order.org,
            user: held.record.sent_by,
            key: held.record.key,
        };
        let texts: Vec<String> = portion.iter().map(|passage| passage.text.clone()).collect();
        let deadline = self.ai.clock.now().saturating_add(LONGEST);
        let call = call_of(order, held.record.attempts, number);
        let made = gateway
            .embed(&spender, call, &texts, deadline.unwrap_or(Timestamp::MAX))
            .await?;
        let space = space_of(gateway, &made.target, &made.model);
        let vectors = portion
            .iter()
            .zip(&made.vectors)
            .map(|(passage, vector)| (passage.hash.clone(), Vector::of(&space, vector)));
        let staged = Staged {
            vectors: vectors.collect(),
            cost_micros: made.cost.micros,
            currency: Some(made.cost.currency),
        };
        Ok((staged, made.notices.iter().map(event_of).collect()))
    }

    /// Writes a portion down with what it announces. If that fails both are still in hand: only a death
    /// makes it be paid again.
    async fn stage(
        &self,
        order: Order,
        held: &Held,
        number: u32,
        staged: &Staged,
        events: &[Event],
    ) -> Option<Key> {
        let prefix = staged_of(order);
        let attempt = held.record.attempts;
        let key = Key::new(order.org, format!("{prefix}{attempt:04}#{number:04}"));
        let until = self.ai.clock.now().saturating_add(STAGED);
        let row = Item::new(key.clone(), staged).expiring(until.unwrap_or(Timestamp::MAX));
        let mut parts = vec![
            Write::Put(row, If::Always),
            Write::Check(held.row.key.clone(), If::VersionIs(held.row.version)),
        ];
        let events = events.iter().cloned();
        parts.extend(events.map(|event| self.ai.event(order.org, event)));
        match self.ai.table.write(parts).await {
            Ok(()) => Some(key),
            Err(error) => {
                tracing::warn!(%error, "a portion of vectors was not written down");
                None
            }
        }
    }
}

impl Ai {
    /// The vectors of the published passages, and those that wait to be published.
    async fn known_vectors(&self, order: Order) -> Result<Vectors, AiError> {
        let mut vectors = Vectors::default();
        for pack in self
            .packs(order.org, order.collection, Some(order.document))
            .await?
        {
            for Packed { passage, vector } in pack.passages {
                vectors
                    .by_hash
                    .extend(vector.map(|vector| (passage.hash, vector)));
            }
        }
        let mut query = Query::prefix(order.org, staged_of(order));
        loop {
            let page = self.table.query(&query).await?;
            for row in page.items {
                vectors.take(row.parse()?);
                vectors.staged.push(row.key);
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(vectors);
            }
        }
    }
}

impl Vectors {
    fn take(&mut self, staged: Staged) {
        self.by_hash.extend(staged.vectors);
        self.cost_micros = self.cost_micros.saturating_add(staged.cost_micros);
        self.currency = staged.currency.or(self.currency.take());
    }

    /// What is left goes without: it is found by its words, and the document says why.
    fn fail(&mut self, error: &ModelError, billed: Option<Cost>) {
        if let Some(billed) = billed {
            self.cost_micros = self.cost_micros.saturating_add(billed.micros);
            self.currency = Some(billed.currency);
        }
        let failure = Failure::from(error);
        tracing::info!(
            code = failure.problem().code().code,
            "passages have no vectors"
        );
        if let ModelError::Exhausted {
            scope, first: true, ..
        } = error
        {
            self.events.push(Event::BudgetExhausted {
                scope: scope.to_string(),
            });
        }
        self.problem = Some(failure.kept());
    }
}

fn without(failure: &Failure) -> Vectors {
    Vectors {
        problem: Some(failure.kept()),
        ..Vectors::default()
    }
}

/// The passages that have no vector, each text once.
fn missing<'a>(passages: &'a [Passage], vectors: &Vectors) -> Vec<&'a Passage> {
    let mut seen = HashSet::new();
    passages
        .iter()
        .filter(|passage| !vectors.by_hash.contains_key(&passage.hash))
        .filter(|passage| seen.insert(&passage.hash))
        .collect()
}

/// What the vectors of a target are compared with: only one another.
pub(crate) fn space_of(gateway: &Gateway, target: &str, model: &str) -> String {
    let targets = gateway.targets();
    let named = targets.iter().find(|known| known.name == target);
    let model = named
        .and_then(|known| known.embeddings.as_deref())
        .unwrap_or(model);
    format!("{target}/{model}")
}

/// The space of the target that is asked first; nothing if none makes vectors.
fn first_space(gateway: &Gateway) -> Option<String> {
    gateway.targets().iter().find_map(|target| {
        let model = target.embeddings.as_ref()?;
        Some(format!("{}/{model}", target.name))
    })
}

fn staged_of(order: Order) -> String {
    let Order {
        collection,
        document,
        revision,
        ..
    } = order;
    format!("{}staged#{document}#{revision:06}#", inside(collection))
}

/// The id of the call that a portion has in an attempt.
fn call_of(order: Order, attempt: u32, portion: u32) -> Uuid {
    let input = [
        b"ai-document".as_slice(),
        order.document.uuid().as_bytes(),
        &order.revision.to_be_bytes(),
        &attempt.to_be_bytes(),
        &portion.to_be_bytes(),
    ]
    .concat();
    let mut octets = [0; 16];
    octets.copy_from_slice(&digest(&SHA256, &input).as_ref()[..16]);
    Builder::from_custom_bytes(octets).into_uuid()
}
