//! `/v1/files`.

mod bodies;
mod problems;
mod views;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse};
use domain::Id;
use domain::id::File;
use runtime::etag::{IfMatch, etag};
use runtime::page;
use runtime::{Caller, Json, Listed, Path, Problem, Query, Refusals, Seed};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{Files, FilesError};
use bodies::{FilePatch, ListParams, NewCopy, NewUpload, SignLinks, SignParts};
pub use problems::{
    FILE_NOT_CLEAN, QUOTA_EXCEEDED, TOO_MANY_UPLOADS, UPLOAD_EXPIRED, UPLOAD_INCOMPLETE,
};
use views::{DownloadView, FileView, PartTicketView, ScanView, SignedView, UploadView, UsageView};

/// The routes of this capability.
pub fn routes(files: Arc<Files>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(sign_parts))
        .routes(routes!(complete))
        .routes(routes!(abort))
        .routes(routes!(list))
        .routes(routes!(usage))
        .routes(routes!(sign))
        .routes(routes!(get, update, delete))
        .routes(routes!(download))
        .routes(routes!(scan))
        .routes(routes!(copy))
        .with_state(files)
}

/// Agrees on a file and says where to send it: exactly the agreed octets, straight to the store, with the
/// headers of the answer. A file of more than 100 MiB is sent in parts.
#[utoipa::path(
    post, path = "/v1/files/uploads", tag = "files",
    request_body = NewUpload,
    responses(
        (status = 201, body = UploadView),
        (status = 409, description = "The organisation has no room left, or too many open uploads"),
        Refusals,
    ),
    security(("token" = ["files:create"])),
)]
async fn start(
    State(files): State<Arc<Files>>,
    caller: Caller,
    seed: Seed,
    Json(new): Json<NewUpload>,
) -> Result<(StatusCode, axum::Json<UploadView>), Problem> {
    let started = files.start(&caller, seed.id(), new.parse()?).await?;
    Ok((StatusCode::CREATED, axum::Json(UploadView::of(started))))
}

/// Says where to send parts of a file, each by its number and checksum. The same part may be asked for
/// again: the last that arrives counts.
#[utoipa::path(
    post, path = "/v1/files/uploads/{id}/parts", tag = "files",
    params(("id" = String, Path, description = "The file's id")),
    request_body = SignParts,
    responses(
        (status = 200, body = Listed<PartTicketView>),
        (status = 409, description = "The upload's time is over"),
        Refusals,
    ),
    security(("token" = ["files:create"])),
)]
async fn sign_parts(
    State(files): State<Arc<Files>>,
    caller: Caller,
    Path(id): Path<Id<File>>,
    Json(wanted): Json<SignParts>,
) -> Result<axum::Json<Listed<PartTicketView>>, Problem> {
    let tickets = files.part_tickets(&caller, id, &wanted.parse()?).await?;
    Ok(axum::Json(Listed {
        items: tickets.into_iter().map(PartTicketView::of).collect(),
        next_cursor: None,
    }))
}

/// Says that everything was sent. A file in parts is made of them now; one in one piece arrives by itself,
/// and this only spares the wait.
#[utoipa::path(
    post, path = "/v1/files/uploads/{id}/complete", tag = "files",
    params(("id" = String, Path, description = "The file's id")),
    responses(
        (status = 200, body = FileView),
        (status = 409, description = "What was agreed has not arrived yet"),
        Refusals,
    ),
    security(("token" = ["files:create"])),
)]
async fn complete(
    State(files): State<Arc<Files>>,
    caller: Caller,
    Path(id): Path<Id<File>>,
) -> Result<impl IntoResponse, Problem> {
    let (record, version) = files.complete(&caller, id).await?;
    Ok((
        AppendHeaders([etag(version)]),
        axum::Json(FileView::of(record)),
    ))
}

/// Gives an upload up. Its room is free again, and what was sent is forgotten.
#[utoipa::path(
    post, path = "/v1/files/uploads/{id}/abort", tag = "files",
    params(("id" = String, Path, description = "The file's id")),
    responses((status = 204, description = "Given up"), Refusals),
    security(("token" = ["files:create"])),
)]
async fn abort(
    State(files): State<Arc<Files>>,
    caller: Caller,
    Path(id): Path<Id<File>>,
) -> Result<StatusCode, Problem> {
    files.abort(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The files of the organisation, or of one of its folders, the newest first. Uploads under way are not
/// among them.
#[utoipa::path(
    get, path = "/v1/files", tag = "files",
    params(ListParams),
    responses((status = 200, body = Listed<FileView>), Refusals),
    security(("token" = ["files:read"])),
)]
async fn list(
    State(files): State<Arc<Files>>,
    caller: Caller,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<Listed<FileView>>, Problem> {
    let folder = params.folder()?;
    let page = params.page();
    let after = page.after(&ListParams::partition(caller.organisation, folder.as_ref()))?;
    let (records, next) = files
        .list(&caller, folder.as_ref(), page.limit()?, after)
        .await?;
    Ok(axum::Json(Listed {
        items: records.into_iter().map(FileView::of).collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// What the organisation's files take up, and what they may.
#[utoipa::path(
    get, path = "/v1/files/usage", tag = "files",
    responses((status = 200, body = UsageView), Refusals),
    security(("token" = ["files:read"])),
)]
async fn usage(
    State(files): State<Arc<Files>>,
    caller: Caller,
) -> Result<axum::Json<UsageView>, Problem> {
    Ok(axum::Json(UsageView::of(files.usage(&caller).await?)))
}

/// Links to many files at once. What has no link says why.
#[utoipa::path(
    post, path = "/v1/files/sign", tag = "files",
    request_body = SignLinks,
    responses((status = 200, body = Listed<SignedView>), Refusals),
    security(("token" = ["files:read"])),
)]
async fn sign(
    State(files): State<Arc<Files>>,
    caller: Caller,
    Json(wanted): Json<SignLinks>,
) -> Result<axum::Json<Listed<SignedView>>, Problem> {
    let (ids, seconds) = wanted.parse()?;
    let valid = Duration::from_secs(seconds);
    let mut items = Vec::with_capacity(ids.len());
    for text in ids {
        let link = match text.parse() {
            Ok(id) => files.link(&caller, id, Some(valid)).await,
            Err(_) => Err(FilesError::NotFound),
        };
        items.push(match link {
            Ok(link) => SignedView::link(text, link),
            Err(error) => SignedView::refusal(text, error)?,
        });
    }
    Ok(axum::Json(Listed {
        items,
        next_cursor: None,
    }))
}

/// A file. One that was agreed and has not arrived yet is `uploading`.
#[utoipa::path(
    get, path = "/v1/files/{id}", tag = "files",
    params(("id" = String, Path, description = "The file's id")),
    responses((status = 200, body = FileView), Refusals),
    security(("token" = ["files:read"])),
)]
async fn get(
    State(files): State<Arc<Files>>,
    caller: Caller,
    Path(id): Path<Id<File>>,
) -> Result<impl IntoResponse, Problem> {
    let (record, version) = files.get(&caller, id).await?;
    Ok((
        AppendHeaders([etag(version)]),
        axum::Json(FileView::of(record)),
    ))
}

/// Changes name, folder or tags of a file. With `If-Match`, only if it still is what was read.
#[utoipa::path(
    patch, path = "/v1/files/{id}", tag = "files",
    params(("id" = String, Path, description = "The file's id")),
    request_body = FilePatch,
    responses(
        (status = 200, body = FileView),
        (status = 412, description = "The file has changed meanwhile"),
        Refusals,
    ),
    security(("token" = ["files:create"])),
)]
async fn update(
    State(files): State<Arc<Files>>,
    caller: Caller,
    expected: IfMatch,
    Path(id): Path<Id<File>>,
    Json(patch): Json<FilePatch>,
) -> Result<impl IntoResponse, Problem> {
    let change = patch.parse()?;
    let (_, version) = files.get(&caller, id).await?;
    expected.check(version)?;
    let (record, version) = files.update(&caller, id, version, change).await?;
    Ok((
        AppendHeaders([etag(version)]),
        axum::Json(FileView::of(record)),
    ))
}

/// Deletes a file, or gives up its upload. Links that were handed out lead nowhere from then on. With
/// `If-Match`, only if it still is what was read.
#[utoipa::path(
    delete, path = "/v1/files/{id}", tag = "files",
    params(("id" = String, Path, description = "The file's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 412, description = "The file has changed meanwhile"),
        Refusals,
    ),
    security(("token" = ["files:delete"])),
)]
async fn delete(
    State(files): State<Arc<Files>>,
    caller: Caller,
    expected: IfMatch,
    Path(id): Path<Id<File>>,
) -> Result<StatusCode, Problem> {
    files
        .delete(&caller, id, |version| expected.check(version))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A link to a clean file's octets, valid for 15 minutes.
#[utoipa::path(
    get, path = "/v1/files/{id}/download", tag = "files",
    params(("id" = String, Path, description = "The file's id")),
    responses(
        (status = 200, body = DownloadView),
        (status = 409, description = "The file is not clean, or not known to be"),
        Refusals,
    ),
    security(("token" = ["files:read"])),
)]
async fn download(
    State(files): State<Arc<Files>>,
    caller: Caller,
    Path(id): Path<Id<File>>,
) -> Result<axum::Json<DownloadView>, Problem> {
    let link = files.link(&caller, id, None).await?;
    Ok(axum::Json(DownloadView::of(link)))
}

/// What looking at a file found.
#[utoipa::path(
    get, path = "/v1/files/{id}/scan", tag = "files",
    params(("id" = String, Path, description = "The file's id")),
    responses((status = 200, body = ScanView), Refusals),
    security(("token" = ["files:read"])),
)]
async fn scan(
    State(files): State<Arc<Files>>,
    caller: Caller,
    Path(id): Path<Id<File>>,
) -> Result<axum::Json<ScanView>, Problem> {
    let (record, _) = files.get(&caller, id).await?;
    Ok(axum::Json(ScanView::of(record)))
}

/// Copies a clean file inside the store. The copy is looked at like everything that arrives.
#[utoipa::path(
    post, path = "/v1/files/{id}/copy", tag = "files",
    params(("id" = String, Path, description = "The file's id")),
    request_body = NewCopy,
    responses(
        (status = 201, body = FileView),
        (status = 409, description = "The file is not clean, or the organisation has no room left"),
        Refusals,
    ),
    security(("token" = ["files:create"])),
)]
async fn copy(
    State(files): State<Arc<Files>>,
    caller: Caller,
    seed: Seed,
    Path(id): Path<Id<File>>,
    Json(new): Json<NewCopy>,
) -> Result<impl IntoResponse, Problem> {
    let (name, folder) = new.parse()?;
    let (record, version) = files.copy(&caller, id, seed.id(), name, folder).await?;
    Ok((
        StatusCode::CREATED,
        AppendHeaders([etag(version)]),
        axum::Json(FileView::of(record)),
    ))
}
