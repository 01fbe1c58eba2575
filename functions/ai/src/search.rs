//! Finds passages in collections.
//!
//! What a collection holds is read whole, ranked in memory, and kept there until its edition moves: it is
//! bounded, and so exact. A process keeps some collections at most, so that its memory is bounded too.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use domain::id::{Collection as CollectionKind, CollectionDocument, Organisation};
use domain::{Caller, Event, Id, Text};
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use models::failure::Kept;
use models::{Cost, Failure, Gateway, ModelError, Spender, Targets, TargetsError};
use ports::table::Write;
use runtime::problem::FieldError;
use serde::Serialize;
use uuid::Uuid;

use crate::document::{Pack, Packed};
use crate::find::vectors::cosine;
use crate::find::words::{Counts, Weighed};
use crate::find::{fused, ranked};
use crate::ingest::space_of;
use crate::passage::Passage;
use crate::worker::event_of;
use crate::{Ai, AiError};

/// The most collections that one question is asked of.
pub const MOST_COLLECTIONS: usize = 5;

/// The most characters of a question.
pub const LONGEST_QUESTION: usize = 2000;

/// The most values of a filter.
pub const MOST_FILTERED: usize = 100;

/// Passages that a process keeps: some 50 MB with their vectors.
const KEPT: usize = 12_000;

/// How long the vector of a question is waited for at most; without it words are enough.
const PATIENCE: SignedDuration = SignedDuration::from_secs(8);

/// A passage as it is searched.
#[derive(Clone, Debug)]
pub struct Shelved {
    /// In which collection.
    pub collection: Id<CollectionKind>,
    /// Of which document.
    pub document: Id<CollectionDocument>,
    /// The document's title.
    pub title: String,
    /// Where the document comes from.
    pub source: Option<String>,
    /// What the document is about.
    pub tags: BTreeSet<String>,
    /// The passage.
    pub passage: Passage,
    counts: Counts,
    vector: Option<(String, Vec<i8>)>,
}

/// A collection as it was at one edition.
#[derive(Clone)]
struct Shelf {
    collection: Id<CollectionKind>,
    edition: i64,
    passages: Arc<[Arc<Shelved>]>,
}

/// The collections that a process keeps, the last used at the end.
#[derive(Default)]
pub struct Shelves(Mutex<Vec<Shelf>>);

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// 1 to [`MOST_COLLECTIONS`] collections.
    pub collections: Vec<Id<CollectionKind>>,
    /// The words.
    pub text: String,
    /// The JSON pointer of the words.
    pub pointer: &'static str,
    /// Only in these documents; in all if there is none.
    pub documents: Vec<Id<CollectionDocument>>,
    /// Only in documents that have all of these tags.
    pub tags: Vec<String>,
    /// At most that many passages.
    pub limit: usize,
}

/// By what passages were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// By their words and by their vectors.
    Hybrid,
    /// By their words.
    Keyword,
}

/// A passage that was found.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The passage.
    pub shelved: Arc<Shelved>,
    /// Its score by both rankings, comparable within one answer.
    pub score: f64,
    /// The part of the question's words that it names, 0 to 1.
    pub covered: f64,
    /// How near its vector is to that of the question, -1 to 1.
    pub similarity: Option<f64>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// By what.
    pub mode: Mode,
    /// The passages, the best first.
    pub hits: Vec<Hit>,
    /// Why vectors were not compared, though there are some.
    pub problem: Option<Kept>,
    /// What the vector of the question cost.
    pub cost: Option<Cost>,
}

/// Finds passages.
pub struct Search {
    /// The use cases.
    pub ai: Arc<Ai>,
    /// The models, with the budgets of the organisation.
    pub targets: Targets,
    /// What the process keeps.
    pub shelves: Shelves,
}

impl Wish {
    fn check(&self) -> Result<(), AiError> {
        let mut faults = Vec::new();
        let mut demand = |holds: bool, pointer: &str, detail: Text| {
            if !holds {
                faults.push(FieldError {
                    pointer: pointer.to_owned(),
                    detail,
                });
            }
        };
        let different: BTreeSet<_> = self.collections.iter().collect();
        demand(
            (1..=MOST_COLLECTIONS).contains(&self.collections.len())
                && different.len() == self.collections.len(),
            "/collection_ids",
            Text::with(
                format!("De 1 a {MOST_COLLECTIONS} colecciones distintas"),
                format!("1 to {MOST_COLLECTIONS} different collections"),
            ),
        );
        let characters = self.text.chars().count();
        demand(
            !self.text.trim().is_empty() && characters <= LONGEST_QUESTION,
            self.pointer,
            Text::with(
                format!("De 1 a {LONGEST_QUESTION} caracteres"),
                format!("1 to {LONGEST_QUESTION} characters"),
            ),
        );
        let filters = [
            (self.documents.len(), "/document_ids"),
            (self.tags.len(), "/tags"),
        ];
        for (count, pointer) in filters {
            demand(
                count <= MOST_FILTERED,
                pointer,
                Text::with(
                    format!("Como máximo {MOST_FILTERED}"),
                    format!("At most {MOST_FILTERED}"),
                ),
            );
        }
        demand(
            (1..=50).contains(&self.limit),
            "/limit",
            Text::fixed("Debe estar entre 1 y 50", "Must be between 1 and 50"),
        );
        if faults.is_empty() {
            Ok(())
        } else {
            Err(AiError::Invalid(faults))
        }
    }

    /// Whether a passage may be found at all: what may not has no part in any score.
    fn admits(&self, shelved: &Shelved) -> bool {
        let documents = self.documents.is_empty() || self.documents.contains(&shelved.document);
        documents && self.tags.iter().all(|tag| shelved.tags.contains(tag))
    }
}

impl Search {
    /// The passages that fit best. `call` names the call for the question's vector.
    ///
    /// # Errors
    /// [`AiError::Invalid`], [`AiError::NotFound`] if one of the collections is not there, a port's failure.
    pub async fn find(
        &self,
        caller: &Caller,
        wish: &Wish,
        call: Uuid,
        deadline: Timestamp,
    ) -> Result<Found, AiError> {
        wish.check()?;
        let org = caller.organisation;
        let shelves = wish.collections.iter().map(|id| self.shelf(org, *id));
        let shelves = try_join_all(shelves).await?;
        let passages = shelves.iter().flat_map(|shelf| shelf.passages.iter());
        let admitted: Vec<Arc<Shelved>> = passages
            .filter(|shelved| wish.admits(shelved))
            .cloned()
            .collect();
        let asked = if admitted.iter().any(|shelved| shelved.vector.is_some()) {
            self.vector(caller, &wish.text, call, deadline).await?
        } else {
            Asked::default()
        };
        Ok(by_both(wish, &admitted, asked))
    }

    async fn shelf(&self, org: Id<Organisation>, id: Id<CollectionKind>) -> Result<Shelf, AiError> {
        let collection = self.ai.collection(org, id).await?;
        if let Some(shelf) = self.shelves.kept(id, collection.edition) {
            return Ok(shelf);
        }
        let packs = self.ai.packs(org, id, None).await?;
        let shelf = Shelf {
            collection: id,
            edition: collection.edition,
            passages: packs
                .into_iter()
                .flat_map(|pack| shelved(id, pack))
                .collect(),
        };
        self.shelves.keep(shelf.clone());
        Ok(shelf)
    }

    /// The vector of a question. Whatever prevents it is no reason not to search by words.
    async fn vector(
        &self,
        caller: &Caller,
        text: &str,
        call: Uuid,
        deadline: Timestamp,
    ) -> Result<Asked, AiError> {
        let gateway = match self.targets.gateway().await {
            Ok(gateway) => gateway,
            Err(TargetsError::NoModel) => return Ok(Asked::default()),
            Err(error) => return Ok(Asked::without(&error.into())),
        };
        let until = self.ai.clock.now().saturating_add(PATIENCE);
        let until = until.unwrap_or(deadline).min(deadline);
        let texts = [text.to_owned()];
        let made = gateway
            .embed(&spender_of(caller), call, &texts, until)
            .await;
        match made {
            Ok(made) => {
                let events = made.notices.iter().map(event_of).collect();
                self.ai.announce_all(caller.organisation, events).await;
                Ok(Asked {
                    space: space_of(gateway, &made.target, &made.model),
                    vector: made.vectors.into_iter().next().unwrap_or_default(),
                    cost: Some(made.cost),
                    problem: None,
                })
            }
            Err(ModelError::NoTarget) => Ok(Asked::default()),
            Err(error) => {
                self.ai
                    .announce_all(caller.organisation, exhausted(&error))
                    .await;
                let cost = billed(gateway, caller.organisation, call).await;
                Ok(Asked {
                    cost,
                    ..Asked::without(&Failure::from(&error))
                })
            }
        }
    }
}

/// What endpoints billed for a call that gave no answer.
pub(crate) async fn billed(gateway: &Gateway, org: Id<Organisation>, call: Uuid) -> Option<Cost> {
    let record = gateway.ledger().call(org, call).await.ok().flatten()?;
    (record.micros > 0).then_some(Cost {
        micros: record.micros,
        currency: record.currency,
    })
}

/// Who pays for what is asked at once.
pub(crate) fn spender_of(caller: &Caller) -> Spender {
    Spender {
        org: caller.organisation,
        user: caller.user,
        key: caller.key,
    }
}

/// What is announced of a call that no budget had room for.
pub(crate) fn exhausted(error: &ModelError) -> Vec<Event> {
    match error {
        ModelError::Exhausted {
            scope, first: true, ..
        } => vec![Event::BudgetExhausted {
            scope: scope.to_string(),
        }],
        _ => Vec::new(),
    }
}

impl Ai {
    /// Announces what an answer that is not kept brought about.
    pub(crate) async fn announce_all(&self, org: Id<Organisation>, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let parts: Vec<Write> = events
            .into_iter()
            .map(|event| self.event(org, event))
            .collect();
        // The answer is paid: it is given though a budget's notice is lost.
        if let Err(error) = self.table.write(parts).await {
            tracing::error!(%error, "the notice of a budget was not announced");
        }
    }
}

/// The vector of a question, or why there is none.
#[derive(Default)]
struct Asked {
    space: String,
    vector: Vec<f32>,
    cost: Option<Cost>,
    problem: Option<Kept>,
}

impl Asked {
    fn without(failure: &Failure) -> Self {
        Self {
            problem: Some(failure.kept()),
            ..Self::default()
        }
    }

    /// How near a passage is; nothing if the two cannot be compared.
    fn similarity(&self, shelved: &Shelved) -> Option<f64> {
        let (space, vector) = shelved.vector.as_ref()?;
        (*space == self.space && vector.len() == self.vector.len())
            .then(|| cosine(&self.vector, vector))
    }
}

fn by_both(wish: &Wish, admitted: &[Arc<Shelved>], asked: Asked) -> Found {
    let weighed = Weighed::by(&wish.text, admitted.iter().map(|shelved| &shelved.counts));
    let words = ranked(
        admitted
            .iter()
            .map(|shelved| weighed.score(&shelved.counts)),
    );
    let similarities: Vec<Option<f64>> = admitted
        .iter()
        .map(|shelved| asked.similarity(shelved))
        .collect();
    let mut rankings = vec![words];
    let mut mode = Mode::Keyword;
    if similarities.iter().any(Option::is_some) {
        mode = Mode::Hybrid;
        rankings.push(ranked(similarities.iter().map(|near| near.unwrap_or(0.0))));
    }
    let hits = fused(&rankings)
        .into_iter()
        .take(wish.limit)
        .map(|(place, score)| Hit {
            shelved: admitted[place].clone(),
            score,
            covered: weighed.covered(&admitted[place].counts),
            similarity: similarities[place],
        });
    Found {
        mode,
        hits: hits.collect(),
        problem: asked.problem,
        cost: asked.cost,
    }
}

fn shelved(collection: Id<CollectionKind>, pack: Pack) -> impl Iterator<Item = Arc<Shelved>> {
    let Pack {
        document,
        title,
        source,
        tags,
        passages,
    } = pack;
    passages.into_iter().map(move |Packed { passage, vector }| {
        Arc::new(Shelved {
            collection,
            document,
            title: title.clone(),
            source: source.clone(),
            tags: tags.clone(),
            counts: Counts::of(&passage.text),
            vector: vector.and_then(|vector| Some((vector.model.clone(), vector.numbers()?))),
            passage,
        })
    })
}

impl Shelves {
    fn kept(&self, id: Id<CollectionKind>, edition: i64) -> Option<Shelf> {
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = shelves
            .iter()
            .position(|shelf| shelf.collection == id && shelf.edition == edition)?;
        let shelf = shelves.remove(place);
        shelves.push(shelf.clone());
        Some(shelf)
    }

    fn keep(&self, shelf: Shelf) {
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelves.retain(|other| other.collection != shelf.collection);
        shelves.push(shelf);
        let count =
            |shelves: &[Shelf]| -> usize { shelves.iter().map(|shelf| shelf.passages.len()).sum() };
        while count(&shelves) > KEPT {
            shelves.remove(0);
        }
    }
}
