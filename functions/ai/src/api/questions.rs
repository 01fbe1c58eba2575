//! `/v1/ai/search` and `/v1/ai/ask`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use domain::id::{Collection as CollectionKind, CollectionDocument};
use domain::{Id, Locale};
use models::Cost;
use models::failure::Reason;
use runtime::{Caller, Context, Json, Problem, Refusals, Seed};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Desk;
use crate::answer::{Answered, Citation, MOST_PASSAGES, Question, RELEVANCE, Silence, TOKENS};
use crate::search::{Found, Hit, Mode, Search, Wish};

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(search))
        .routes(routes!(ask))
}

/// What is looked for.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SearchRequest {
    /// 1 to 5 collections.
    #[schema(value_type = Vec<String>)]
    collection_ids: Vec<Id<CollectionKind>>,
    /// The words, 1 to 2000 characters.
    #[schema(example = "¿A qué hora abre el horno?")]
    query: String,
    /// At most that many passages, 1 to 50; 10 if absent.
    #[schema(minimum = 1, maximum = 50)]
    limit: Option<usize>,
    /// Only in these documents, at most 100; in all if absent.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    document_ids: Vec<Id<CollectionDocument>>,
    /// Only in documents that have all of these tags.
    #[serde(default)]
    tags: Vec<String>,
}

/// A question.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AskRequest {
    /// 1 to 5 collections.
    #[schema(value_type = Vec<String>)]
    collection_ids: Vec<Id<CollectionKind>>,
    /// The question, 1 to 2000 characters. It is answered in its language.
    #[schema(example = "¿A qué hora abre el horno?")]
    question: String,
    /// Only from these documents, at most 100; from all if absent.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    document_ids: Vec<Id<CollectionDocument>>,
    /// Only from documents that have all of these tags.
    #[serde(default)]
    tags: Vec<String>,
    /// At most that many tokens come back; 800 if absent.
    #[schema(minimum = 1, maximum = 4096)]
    max_tokens: Option<u32>,
    /// How much a passage has to be about the question: the part of the question's words that it names, or
    /// the cosine of the vectors, whichever is higher. 0.35 if absent. Below it no model is asked.
    #[schema(minimum = 0, maximum = 1)]
    min_relevance: Option<f64>,
    /// A model or target of `GET /v1/models`; the first that answers if absent.
    model: Option<String>,
}

/// A passage of a document, and where it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct PassageView {
    /// Its collection.
    #[schema(value_type = String)]
    collection_id: Id<CollectionKind>,
    /// Its document.
    #[schema(value_type = String)]
    document_id: Id<CollectionDocument>,
    /// The document's title.
    title: String,
    /// Where the document comes from.
    source: Option<String>,
    /// What the document is about.
    tags: BTreeSet<String>,
    /// Which passage of the document, from 0.
    passage: u32,
    /// Where it begins in the document's text, in Unicode code points.
    start: usize,
    /// Where it ends: the first code point behind it.
    end: usize,
    /// The words that stand there.
    text: String,
}

/// A passage that was found.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct HitView {
    /// The passage.
    #[serde(flatten)]
    passage: PassageView,
    /// By both rankings: the sum of 1 / (60 + rank). It compares the passages of one answer.
    score: f64,
    /// The part of the query's words that it names, 0 to 1.
    coverage: f64,
    /// The cosine of the vectors, -1 to 1; null where there are none to compare.
    similarity: Option<f64>,
}

/// What was found.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct SearchView {
    /// `hybrid`: by words and vectors. `keyword`: by words.
    mode: Mode,
    /// The passages, the best first.
    items: Vec<HitView>,
    /// Why vectors were not compared, though there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Reason>,
    /// What the query's vector cost, in millionths of the currency's unit.
    cost_micros: i64,
    /// ISO 4217; null if nothing was paid.
    currency: Option<String>,
}

/// What an answer rests on: the words that say so, and where they stand.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct CitationView {
    /// The words and their place.
    #[serde(flatten)]
    passage: PassageView,
}

/// Why there is no answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct SilenceView {
    /// For programs.
    code: Silence,
    /// For people, in the language of the request.
    detail: String,
}

/// An answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct AnswerView {
    /// The answer, in the language of the question; null if the documents do not hold it.
    answer: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<SilenceView>,
    /// What it rests on; at least one, if there is an answer. Each stands in the document as it is cited.
    citations: Vec<CitationView>,
    /// How many passages the model was given.
    passages: usize,
    /// By what they were found.
    mode: Mode,
    /// The model, if one was asked.
    model: Option<String>,
    /// What everything cost, in millionths of the currency's unit.
    cost_micros: i64,
    /// ISO 4217; null if nothing was paid.
    currency: Option<String>,
}

impl PassageView {
    fn of(hit: &Hit) -> Self {
        let shelved = &hit.shelved;
        Self {
            collection_id: shelved.collection,
            document_id: shelved.document,
            title: shelved.title.clone(),
            source: shelved.source.clone(),
            tags: shelved.tags.clone(),
            passage: shelved.passage.number,
            start: shelved.passage.start,
            end: shelved.passage.end,
            text: shelved.passage.text.clone(),
        }
    }
}

impl From<Hit> for HitView {
    fn from(hit: Hit) -> Self {
        Self {
            passage: PassageView::of(&hit),
            score: hit.score,
            coverage: hit.covered,
            similarity: hit.similarity,
        }
    }
}

impl SearchView {
    fn of(found: Found, reader: Locale) -> Self {
        let (cost_micros, currency) = paid(found.cost);
        Self {
            mode: found.mode,
            items: found.hits.into_iter().map(HitView::from).collect(),
            problem: found.problem.map(|kept| Reason::of(kept, reader)),
            cost_micros,
            currency,
        }
    }
}

impl AnswerView {
    fn of(answered: Answered, reader: Locale) -> Self {
        let hits = &answered.hits;
        let cited = answered.citations.into_iter().filter_map(|citation| {
            let Citation { hit, place, words } = citation;
            Some(CitationView {
                passage: PassageView {
                    start: place.start,
                    end: place.end,
                    text: words,
                    ..PassageView::of(hits.get(hit)?)
                },
            })
        });
        let citations = cited.collect();
        let (cost_micros, currency) = paid(answered.cost);
        let (answer, silence) = match answered.answer {
            Ok(answer) => (Some(answer), None),
            Err(silence) => (None, Some(silence)),
        };
        Self {
            answer,
            reason: silence.map(|code| SilenceView {
                detail: code.detail().get(reader).to_owned(),
                code,
            }),
            citations,
            passages: hits.len(),
            mode: answered.mode,
            model: answered.model,
            cost_micros,
            currency,
        }
    }
}

fn paid(cost: Option<Cost>) -> (i64, Option<String>) {
    cost.map_or((0, None), |cost| (cost.micros, Some(cost.currency)))
}

/// Finds passages in collections, by their words and, where there are vectors, by what they mean.
#[utoipa::path(
    post, path = "/v1/ai/search", tag = "ai",
    request_body = SearchRequest,
    responses((status = 200, body = SearchView), Refusals),
    security(("token" = ["collections:read"])),
)]
async fn search(
    State(search): State<Arc<Search>>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Json(asked): Json<SearchRequest>,
) -> Result<axum::Json<SearchView>, Problem> {
    let wish = Wish {
        collections: asked.collection_ids,
        text: asked.query,
        pointer: "/query",
        documents: asked.document_ids,
        tags: asked.tags,
        limit: asked.limit.unwrap_or(10),
    };
    let found = search
        .find(&caller, &wish, seed.0, context.deadline)
        .await?;
    Ok(axum::Json(SearchView::of(found, context.locale)))
}

/// Answers a question from the documents of collections, and says which words of which document say so.
///
/// Where the documents do not hold the answer, `answer` is null and `reason` says why. Every citation was
/// looked up in its document; an answer that cites nothing that stands there is not given.
#[utoipa::path(
    post, path = "/v1/ai/ask", tag = "ai",
    request_body = AskRequest,
    responses(
        (status = 200, body = AnswerView),
        (status = 402, description = "A budget is exhausted; the detail names its scope"),
        Refusals,
    ),
    security(("token" = ["ai:create", "collections:read"])),
)]
async fn ask(
    State(search): State<Arc<Search>>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Json(asked): Json<AskRequest>,
) -> Result<axum::Json<AnswerView>, Problem> {
    let question = Question {
        wish: Wish {
            collections: asked.collection_ids,
            text: asked.question,
            pointer: "/question",
            documents: asked.document_ids,
            tags: asked.tags,
            limit: MOST_PASSAGES,
        },
        max_tokens: asked.max_tokens.unwrap_or(TOKENS),
        relevance: asked.min_relevance.unwrap_or(RELEVANCE),
        model: asked.model,
    };
    let answered = search
        .answer(&caller, &question, seed.0, context.deadline)
        .await?;
    Ok(axum::Json(AnswerView::of(answered, context.locale)))
}
