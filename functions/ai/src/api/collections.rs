//! `/v1/ai/collections`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::id::{Collection as CollectionKind, CollectionDocument};
use domain::{Id, Locale};
use runtime::page::{self, Listed, PageParams};
use runtime::{Caller, Context, Json, Path, Problem, Query, Refusals, Seed};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Desk;
use super::bodies::{CollectionView, CreateCollection, SendDocument, SourceDocumentView, TextView};
use crate::Ai;
use crate::collection::NewCollection;
use crate::document::{Record, Sender};
use crate::passage::joined;

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read, delete))
        .routes(routes!(add, documents))
        .routes(routes!(document, replace, delete_document))
        .routes(routes!(text))
}

/// Makes a collection of documents that are searched together.
#[utoipa::path(
    post, path = "/v1/ai/collections", tag = "ai",
    request_body = CreateCollection,
    responses((status = 201, body = CollectionView, description = "Made"), Refusals),
    security(("token" = ["collections:write"])),
)]
async fn create(
    State(ai): State<Arc<Ai>>,
    caller: Caller,
    seed: Seed,
    Json(new): Json<CreateCollection>,
) -> Result<(StatusCode, axum::Json<CollectionView>), Problem> {
    let new = NewCollection {
        name: new.name,
        description: new.description,
        embedding: new.embedding.unwrap_or(true),
    };
    let collection = ai.make_collection(&caller, seed.id(), new).await?;
    Ok((StatusCode::CREATED, axum::Json(collection.into())))
}

/// The collections of the organisation, the newest first.
#[utoipa::path(
    get, path = "/v1/ai/collections", tag = "ai",
    params(PageParams),
    responses((status = 200, body = Listed<CollectionView>), Refusals),
    security(("token" = ["collections:read"])),
)]
async fn list(
    State(ai): State<Arc<Ai>>,
    caller: Caller,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<CollectionView>>, Problem> {
    let org = caller.organisation;
    let after = params.after(&org.to_string())?;
    let (collections, next) = ai.collections(org, params.limit()?, after).await?;
    Ok(axum::Json(Listed {
        items: collections.into_iter().map(CollectionView::from).collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// A collection.
#[utoipa::path(
    get, path = "/v1/ai/collections/{id}", tag = "ai",
    params(("id" = String, Path, description = "The collection's id")),
    responses((status = 200, body = CollectionView), Refusals),
    security(("token" = ["collections:read"])),
)]
async fn read(
    State(ai): State<Arc<Ai>>,
    caller: Caller,
    Path(id): Path<Id<CollectionKind>>,
) -> Result<axum::Json<CollectionView>, Problem> {
    let collection = ai.collection(caller.organisation, id).await?;
    Ok(axum::Json(collection.into()))
}

/// Deletes a collection with everything in it. Nothing of it is found from now on.
#[utoipa::path(
    delete, path = "/v1/ai/collections/{id}", tag = "ai",
    params(("id" = String, Path, description = "The collection's id")),
    responses((status = 204, description = "Deleted"), Refusals),
    security(("token" = ["collections:write"])),
)]
async fn delete(
    State(desk): State<Desk>,
    caller: Caller,
    Path(id): Path<Id<CollectionKind>>,
) -> Result<StatusCode, Problem> {
    desk.ai
        .delete_collection(&*desk.jobs, caller.organisation, id)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Adds a document; how far it is is told on the channel of the answer.
///
/// Content that the collection has already is no second document: the answer is the one that has it, with
/// its own title. If that one failed, or lacks vectors, it is tried again.
#[utoipa::path(
    post, path = "/v1/ai/collections/{id}/documents", tag = "ai",
    params(("id" = String, Path, description = "The collection's id")),
    request_body = SendDocument,
    responses(
        (status = 202, body = SourceDocumentView, description = "It is going to be read"),
        (status = 200, body = SourceDocumentView, description = "The collection has this content already"),
        Refusals,
    ),
    security(("token" = ["collections:write"])),
)]
async fn add(
    State(desk): State<Desk>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Path(id): Path<Id<CollectionKind>>,
    Json(new): Json<SendDocument>,
) -> Result<(StatusCode, axum::Json<SourceDocumentView>), Problem> {
    let sender = desk.sender(&caller, &context, id);
    let added = desk
        .ai
        .add_document(sender, seed.id(), seed.nth(1), new.parse()?);
    Ok(sent(added.await?, context.locale))
}

/// Sends a document anew: its content, title, source and tags. What can be found of it stays until the new
/// revision is read; passages that are the same keep their vectors.
#[utoipa::path(
    put, path = "/v1/ai/collections/{id}/documents/{document_id}", tag = "ai",
    params(
        ("id" = String, Path, description = "The collection's id"),
        ("document_id" = String, Path, description = "The document's id"),
    ),
    request_body = SendDocument,
    responses((status = 202, body = SourceDocumentView, description = "It is going to be read"), Refusals),
    security(("token" = ["collections:write"])),
)]
async fn replace(
    State(desk): State<Desk>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Path((id, document)): Path<(Id<CollectionKind>, Id<CollectionDocument>)>,
    Json(new): Json<SendDocument>,
) -> Result<(StatusCode, axum::Json<SourceDocumentView>), Problem> {
    let new = new.parse()?;
    desk.ai.document(caller.organisation, id, document).await?;
    let sender = desk.sender(&caller, &context, id);
    let replaced = desk.ai.replace_document(sender, document, seed.nth(1), new);
    Ok(sent(replaced.await?, context.locale))
}

fn sent(record: Record, reader: Locale) -> (StatusCode, axum::Json<SourceDocumentView>) {
    let status = if record.status.is_over() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    (status, axum::Json(SourceDocumentView::of(record, reader)))
}

impl Desk {
    fn sender<'a>(
        &'a self,
        caller: &'a Caller,
        context: &Context,
        collection: Id<CollectionKind>,
    ) -> Sender<'a> {
        Sender {
            jobs: &*self.jobs,
            caller,
            reader: context.locale,
            collection,
        }
    }
}

/// The documents of a collection, the newest first.
#[utoipa::path(
    get, path = "/v1/ai/collections/{id}/documents", tag = "ai",
    params(("id" = String, Path, description = "The collection's id"), PageParams),
    responses((status = 200, body = Listed<SourceDocumentView>), Refusals),
    security(("token" = ["collections:read"])),
)]
async fn documents(
    State(ai): State<Arc<Ai>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<CollectionKind>>,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<SourceDocumentView>>, Problem> {
    let org = caller.organisation;
    let after = params.after(&org.to_string())?;
    let (records, next) = ai.documents(org, id, params.limit()?, after).await?;
    let views = records
        .into_iter()
        .map(|record| SourceDocumentView::of(record, context.locale));
    Ok(axum::Json(Listed {
        items: views.collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// A document.
#[utoipa::path(
    get, path = "/v1/ai/collections/{id}/documents/{document_id}", tag = "ai",
    params(
        ("id" = String, Path, description = "The collection's id"),
        ("document_id" = String, Path, description = "The document's id"),
    ),
    responses((status = 200, body = SourceDocumentView), Refusals),
    security(("token" = ["collections:read"])),
)]
async fn document(
    State(ai): State<Arc<Ai>>,
    caller: Caller,
    context: Context,
    Path((id, document)): Path<(Id<CollectionKind>, Id<CollectionDocument>)>,
) -> Result<axum::Json<SourceDocumentView>, Problem> {
    let held = ai.document(caller.organisation, id, document).await?;
    Ok(axum::Json(SourceDocumentView::of(
        held.record,
        context.locale,
    )))
}

/// Deletes a document. Nothing of it is found from now on.
#[utoipa::path(
    delete, path = "/v1/ai/collections/{id}/documents/{document_id}", tag = "ai",
    params(
        ("id" = String, Path, description = "The collection's id"),
        ("document_id" = String, Path, description = "The document's id"),
    ),
    responses((status = 204, description = "Deleted"), Refusals),
    security(("token" = ["collections:write"])),
)]
async fn delete_document(
    State(ai): State<Arc<Ai>>,
    caller: Caller,
    Path((id, document)): Path<(Id<CollectionKind>, Id<CollectionDocument>)>,
) -> Result<StatusCode, Problem> {
    ai.delete_document(caller.organisation, id, document)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The text of a document that can be found, as it was taken out of what was sent.
#[utoipa::path(
    get, path = "/v1/ai/collections/{id}/documents/{document_id}/text", tag = "ai",
    params(
        ("id" = String, Path, description = "The collection's id"),
        ("document_id" = String, Path, description = "The document's id"),
    ),
    responses((status = 200, body = TextView), Refusals),
    security(("token" = ["collections:read"])),
)]
async fn text(
    State(ai): State<Arc<Ai>>,
    caller: Caller,
    Path((id, document)): Path<(Id<CollectionKind>, Id<CollectionDocument>)>,
) -> Result<axum::Json<TextView>, Problem> {
    let (revision, passages) = ai.passages(caller.organisation, id, document).await?;
    Ok(axum::Json(TextView {
        id: document,
        revision,
        text: joined(&passages),
    }))
}
