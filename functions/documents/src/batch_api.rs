//! The routes of batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use domain::id::{Batch, Document};
use domain::{Id, Locale, Text};
use jiff::Timestamp;
use ports::table::WriteError;
use runtime::page::{self, Listed, PageParams};
use runtime::problem::{self, Code, Problem};
use runtime::{Caller, Context, Json, Path, Query, Refusals, Seed};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::batch::rows::{self, LARGEST_INPUT, Row, Segments};
use crate::batch::sheet::{self, Sink};
use crate::batch::{self, BatchError, BatchState, Batches, MOST_ROWS, RowDocument, RowError};
use crate::format::Format;
use crate::layout::Layout;
use crate::overlay::laid_over;
use crate::{DocumentsError, Owner};

/// The routes over these use cases.
pub fn routes(batches: Batches) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get))
        .routes(routes!(errors))
        .routes(routes!(documents))
        .routes(routes!(zip))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .with_state(Arc::new(batches))
}

/// What a batch is to be made from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBatch {
    /// The name of a built-in template, or the id of one of your own.
    #[schema(example = "invoice")]
    template: String,
    /// The kind of file; PDF if absent, or DOCX if the template is a Word file.
    #[serde(default)]
    format: Option<Format>,
    /// The data of each document, 1 to 10 000; or `csv`, or `xlsx`.
    #[schema(value_type = Option<Vec<Object>>)]
    rows: Option<Vec<Value>>,
    /// The rows as CSV (RFC 4180, UTF-8) with a header. A column's name is the way to its value, with dots:
    /// `buyer.name`, `lines.0.quantity`. Commas, semicolons or tabs separate cells; empty cells are no values.
    #[schema(example = "number,buyer.name\n2026-001,Ana")]
    csv: Option<String>,
    /// The rows as the first sheet of an XLSX workbook in base64, with the header of `csv`.
    xlsx: Option<String>,
    /// What all rows have in common: a row's own fields are laid over it, object by object.
    #[schema(value_type = Option<Object>)]
    common: Option<Map<String, Value>>,
}

/// Whether a request is only tried.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Trial {
    /// Checks every row and makes nothing.
    #[serde(default)]
    dry_run: bool,
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum BatchStatus {
    /// Its rows are kept; nothing is made yet.
    Queued,
    /// Its rows are being made into documents.
    Running,
    /// Every row has its outcome.
    Done,
    /// It was stopped; every row has its outcome.
    Cancelled,
}

/// A batch.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct BatchView {
    /// Its id.
    #[schema(value_type = String, example = "bat_019a0000000070008000000000000000")]
    id: Id<Batch>,
    /// How far it is.
    status: BatchStatus,
    /// The template's name or id.
    #[schema(example = "invoice")]
    template: String,
    /// The template's version.
    template_version: u32,
    /// The kind of file.
    format: Format,
    /// All rows.
    total: u32,
    /// Rows that are documents.
    ready: u32,
    /// Rows that could not be one; see its errors.
    failed: u32,
    /// Rows that were not begun when it was stopped.
    cancelled: u32,
    /// 1, and one more for each retry of its failed rows.
    attempt: u32,
    /// When it was taken on.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its last row had its outcome.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// Where the file with all documents is, for anybody who has this link, for 15 minutes; absent until it
    /// is made, and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    zip_url: Option<String>,
}

impl BatchView {
    fn of(state: BatchState, zip_url: Option<String>) -> Self {
        let status = match state.stage() {
            batch::Stage::Queued => BatchStatus::Queued,
            batch::Stage::Running => BatchStatus::Running,
            batch::Stage::Done => BatchStatus::Done,
            batch::Stage::Cancelled => BatchStatus::Cancelled,
        };
        let BatchState { record, counts } = state;
        Self {
            id: record.id,
            status,
            template: record.template,
            template_version: record.template_version,
            format: record.format,
            total: record.total,
            ready: counts.ready,
            failed: counts.failed,
            cancelled: counts.cancelled,
            attempt: record.attempt,
            created_at: record.created_at,
            finished_at: record.finished_at,
            zip_url,
        }
    }
}

/// What a batch would meet.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct BatchCheck {
    /// All rows.
    total: u32,
    /// Rows that fit the template.
    valid: u32,
    /// Rows that do not.
    invalid: u32,
    /// What is wrong with the first hundred of them.
    errors: Vec<RowErrorView>,
}

/// Why a row has no document.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct RowErrorView {
    /// The row, counted from 0.
    row: u32,
    /// The kind of error.
    #[schema(example = "validation_failed")]
    code: String,
    /// JSON Pointer (RFC 6901) of the first place that is wrong, as if the row stood in the request's body.
    #[schema(example = "/rows/7/lines/0/quantity")]
    pointer: String,
    /// What is wrong with it.
    detail: String,
    /// Every place that is wrong, the first included.
    errors: Vec<RowFaultView>,
}

/// One place of a row that is wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct RowFaultView {
    /// JSON Pointer (RFC 6901), as if the row stood in the request's body.
    pointer: String,
    /// What is wrong with it.
    detail: String,
}

impl RowErrorView {
    fn of(error: RowError, locale: Locale) -> Self {
        let errors: Vec<RowFaultView> = error
            .refusal
            .faults
            .into_iter()
            .map(|fault| RowFaultView {
                detail: fault.detail(locale).to_owned(),
                pointer: fault.pointer,
            })
            .collect();
        let (pointer, detail) = errors.first().map_or_else(Default::default, |first| {
            (first.pointer.clone(), first.detail.clone())
        });
        Self {
            row: error.row,
            code: error.refusal.code,
            pointer,
            detail,
            errors,
        }
    }
}

/// The document of a row.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct RowDocumentView {
    /// The row, counted from 0.
    row: u32,
    /// Its document.
    #[schema(value_type = String, example = "doc_019a0000000070008000000000000000")]
    id: Id<Document>,
    /// Octets of the file.
    bytes: u64,
    /// SHA-256 of the file in lower-case hexadecimal.
    sha256: String,
}

/// A fresh link to an archive.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ZipView {
    /// Where the archive is, for anybody who has this link.
    zip_url: String,
    /// From then on the link leads nowhere.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Octets of the archive.
    bytes: u64,
    /// Documents in it.
    documents: u32,
}

/// How failed rows are to be tried again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Again {
    /// Corrected rows by their number; the other failed rows are tried as they were.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({"7": {"number": "2026-007"}}))]
    rows: BTreeMap<String, Value>,
}

/// Takes on a batch: a document for each row. Rows that do not fit become errors of the batch and stop no
/// other. With `dry_run=true` every row is checked and nothing is made.
#[utoipa::path(
    post, path = "/v1/document-batches", tag = "documents",
    params(Trial),
    request_body = NewBatch,
    responses(
        (status = 200, description = "What the rows would meet (dry_run)", body = BatchCheck),
        (status = 202, description = "Taken on", body = BatchView),
        Refusals,
    ),
    security(("token" = ["documents:create"])),
)]
async fn create(
    State(batches): State<Arc<Batches>>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Query(trial): Query<Trial>,
    Json(new): Json<NewBatch>,
) -> Result<Response, Problem> {
    let (layout, _) = batches
        .layout(caller.organisation, &new.template, new.format)
        .await?;
    let mut found = Found::over(new.common);
    Source::of(new.rows, new.csv, new.xlsx)?.read(layout.schema(), &mut found)?;
    let rows = found.finish()?;
    if trial.dry_run {
        let checked = checked(&batches, &layout, rows, context.locale).await?;
        return Ok(axum::Json(checked).into_response());
    }
    let new = batch::NewBatch {
        template: new.template,
        format: new.format,
        brand: batches.documents.brand(caller.organisation).await?,
        rows,
    };
    let trace = Some(context.trace.to_string());
    let state = batches
        .create(&Owner::from(&*caller), seed.id(), new, trace)
        .await?;
    Ok((StatusCode::ACCEPTED, axum::Json(BatchView::of(state, None))).into_response())
}

/// Where the rows of a request stand.
enum Source {
    Rows(Vec<Value>),
    Csv(Vec<u8>),
    Xlsx(Vec<u8>),
}

impl Source {
    /// The one that a request has.
    fn of(
        rows: Option<Vec<Value>>,
        csv: Option<String>,
        xlsx: Option<String>,
    ) -> Result<Self, Problem> {
        match (rows, csv, xlsx) {
            (Some(rows), None, None) => Ok(Self::Rows(rows)),
            (None, Some(csv), None) => Ok(Self::Csv(csv.into_bytes())),
            (None, None, Some(xlsx)) => BASE64
                .decode(xlsx.as_bytes())
                .map(Self::Xlsx)
                .map_err(|_| wrong("/xlsx", Text::fixed("No es base64", "Not base64"))),
            _ => Err(wrong(
                "/rows",
                Text::fixed(
                    "Debe haber filas, CSV o XLSX, y solo uno de ellos",
                    "There must be rows, CSV or XLSX, and only one of them",
                ),
            )),
        }
    }

    fn read(self, schema: &Value, found: &mut Found) -> Result<(), Problem> {
        let (pointer, read) = match self {
            Self::Rows(rows) => {
                let read = rows.into_iter().try_for_each(|row| found.take(row));
                ("/rows", read)
            }
            Self::Csv(octets) => ("/csv", sheet::csv(&octets, schema, found)),
            Self::Xlsx(octets) => ("/xlsx", sheet::xlsx(&octets, schema, found)),
        };
        match read {
            Ok(()) => Ok(()),
            Err(BatchError::BadTable(detail)) => Err(wrong(pointer, detail)),
            Err(BatchError::TooLarge) if found.common.is_none() => Err(wrong(pointer, too_large())),
            Err(error) => Err(error.into()),
        }
    }
}

/// The rows of a request, each laid over what all have in common as it comes: what they have in common is
/// there ten thousand times otherwise, before anybody has looked how much that is.
#[derive(Default)]
struct Found {
    common: Option<Value>,
    rows: u32,
    segments: Segments,
}

impl Found {
    fn over(common: Option<Map<String, Value>>) -> Self {
        Self {
            common: common.map(Value::Object),
            ..Self::default()
        }
    }

    fn finish(self) -> Result<Segments, BatchError> {
        if self.rows == 0 {
            return Err(BatchError::NoRows);
        }
        Ok(self.segments)
    }
}

impl Sink for Found {
    fn take(&mut self, data: Value) -> Result<(), BatchError> {
        let row = self.rows;
        self.segments.push(&Row {
            row,
            data: match &self.common {
                Some(common) => laid_over(common.clone(), data),
                None => data,
            },
        })?;
        self.rows += 1;
        Ok(())
    }
}

fn too_large() -> Text {
    let most = LARGEST_INPUT / 1024 / 1024;
    Text::with(
        format!("Las filas ocupan juntas más de {most} MiB"),
        format!("The rows are larger than {most} MiB together"),
    )
}

fn wrong(pointer: impl Into<String>, detail: Text) -> Problem {
    Problem::new(&problem::VALIDATION_FAILED).field(pointer, detail)
}

/// The most rows of which a trial says what is wrong.
const MOST_SAID: usize = 100;

async fn checked(
    batches: &Batches,
    layout: &Layout,
    rows: Segments,
    locale: Locale,
) -> Result<BatchCheck, BatchError> {
    let total = rows.rows();
    let mut errors = Vec::new();
    let mut invalid = 0;
    for (count, octets) in rows.finish()? {
        let rows = rows::read(&octets, 0, count).map_err(|_| BatchError::Forgotten)?;
        for row in rows {
            if let Some(error) = batches.unfit(layout, row).await? {
                invalid += 1;
                if errors.len() < MOST_SAID {
                    errors.push(RowErrorView::of(error, locale));
                }
            }
        }
    }
    Ok(BatchCheck {
        total,
        valid: total - invalid,
        invalid,
        errors,
    })
}

/// The batches of the organisation, the newest first.
#[utoipa::path(
    get, path = "/v1/document-batches", tag = "documents",
    params(PageParams),
    responses((status = 200, body = Listed<BatchView>), Refusals),
    security(("token" = ["documents:read"])),
)]
async fn list(
    State(batches): State<Arc<Batches>>,
    caller: Caller,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<BatchView>>, Problem> {
    let org = caller.organisation;
    let after = params.after(&org.to_string())?;
    let (states, next) = batches.list(org, params.limit()?, after).await?;
    Ok(axum::Json(Listed {
        items: states
            .into_iter()
            .map(|state| BatchView::of(state, None))
            .collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// How far a batch is, and once all is made a fresh link to the file with all documents.
#[utoipa::path(
    get, path = "/v1/document-batches/{id}", tag = "documents",
    params(("id" = String, Path, description = "The batch's id")),
    responses((status = 200, body = BatchView), Refusals),
    security(("token" = ["documents:read"])),
)]
async fn get(
    State(batches): State<Arc<Batches>>,
    caller: Caller,
    Path(id): Path<Id<Batch>>,
) -> Result<axum::Json<BatchView>, Problem> {
    let state = batches.get(caller.organisation, id).await?;
    let link = match batches
        .archive_link(caller.organisation, &state.record)
        .await
    {
        Ok(link) => Some(link.url),
        Err(BatchError::NoArchive) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(axum::Json(BatchView::of(state, link)))
}

/// The rows of a batch that have failed, in their order, and why.
#[utoipa::path(
    get, path = "/v1/document-batches/{id}/errors", tag = "documents",
    params(("id" = String, Path, description = "The batch's id"), PageParams),
    responses((status = 200, body = Listed<RowErrorView>), Refusals),
    security(("token" = ["documents:read"])),
)]
async fn errors(
    State(batches): State<Arc<Batches>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<Batch>>,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<RowErrorView>>, Problem> {
    let org = caller.organisation;
    let after = params.after(&org.to_string())?;
    let (errors, next) = batches.errors(org, id, params.limit()?, after).await?;
    Ok(axum::Json(Listed {
        items: errors
            .into_iter()
            .map(|error| RowErrorView::of(error, context.locale))
            .collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// The documents of a batch, in the order of its rows.
#[utoipa::path(
    get, path = "/v1/document-batches/{id}/documents", tag = "documents",
    params(("id" = String, Path, description = "The batch's id"), PageParams),
    responses((status = 200, body = Listed<RowDocumentView>), Refusals),
    security(("token" = ["documents:read"])),
)]
async fn documents(
    State(batches): State<Arc<Batches>>,
    caller: Caller,
    Path(id): Path<Id<Batch>>,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<RowDocumentView>>, Problem> {
    let org = caller.organisation;
    let after = params.after(&org.to_string())?;
    let (made, next) = batches.made(org, id, params.limit()?, after).await?;
    let view = |made: RowDocument| RowDocumentView {
        row: made.row,
        id: made.document,
        bytes: made.bytes,
        sha256: made.sha256,
    };
    Ok(axum::Json(Listed {
        items: made.into_iter().map(view).collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// A fresh link to the file with all documents of a batch, valid for 15 minutes.
#[utoipa::path(
    get, path = "/v1/document-batches/{id}/zip", tag = "documents",
    params(("id" = String, Path, description = "The batch's id")),
    responses((status = 200, body = ZipView), Refusals),
    security(("token" = ["documents:read"])),
)]
async fn zip(
    State(batches): State<Arc<Batches>>,
    caller: Caller,
    Path(id): Path<Id<Batch>>,
) -> Result<axum::Json<ZipView>, Problem> {
    let state = batches.get(caller.organisation, id).await?;
    let link = batches
        .archive_link(caller.organisation, &state.record)
        .await?;
    let archive = state.record.archive.ok_or(BatchError::NoArchive)?;
    Ok(axum::Json(ZipView {
        zip_url: link.url,
        expires_at: link.expires_at,
        bytes: archive.bytes,
        documents: archive.documents,
    }))
}

/// Stops a batch: rows that are not made yet are not made any more. The numbers of the answer hold.
#[utoipa::path(
    post, path = "/v1/document-batches/{id}/cancel", tag = "documents",
    params(("id" = String, Path, description = "The batch's id")),
    responses((status = 200, body = BatchView), Refusals),
    security(("token" = ["documents:create"])),
)]
async fn cancel(
    State(batches): State<Arc<Batches>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<Batch>>,
) -> Result<axum::Json<BatchView>, Problem> {
    let trace = Some(context.trace.to_string());
    let state = batches.cancel(caller.organisation, id, trace).await?;
    Ok(axum::Json(BatchView::of(state, None)))
}

/// Tries the failed rows of a finished batch again, corrected or as they were.
#[utoipa::path(
    post, path = "/v1/document-batches/{id}/retry", tag = "documents",
    params(("id" = String, Path, description = "The batch's id")),
    request_body = Again,
    responses((status = 202, description = "Taken on", body = BatchView), Refusals),
    security(("token" = ["documents:create"])),
)]
async fn retry(
    State(batches): State<Arc<Batches>>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Path(id): Path<Id<Batch>>,
    Json(again): Json<Again>,
) -> Result<(StatusCode, axum::Json<BatchView>), Problem> {
    let trace = Some(context.trace.to_string());
    let request = seed.0.to_string();
    let state = batches
        .retry(caller.organisation, id, &request, again.rows, trace)
        .await?;
    Ok((StatusCode::ACCEPTED, axum::Json(BatchView::of(state, None))))
}

/// A batch cannot be tried again before it has come to its end.
pub static BATCH_UNFINISHED: Code = Code {
    code: "batch_unfinished",
    status: 409,
    title: Text::fixed("El lote no ha terminado", "The batch has not finished"),
};

/// A batch that has come to its end cannot be stopped.
pub static BATCH_FINISHED: Code = Code {
    code: "batch_finished",
    status: 409,
    title: Text::fixed("El lote ya ha terminado", "The batch has finished"),
};

/// No row of the batch has failed.
pub static NOTHING_FAILED: Code = Code {
    code: "nothing_failed",
    status: 409,
    title: Text::fixed("No ha fallado ninguna fila", "No row has failed"),
};

/// The rows of a batch are kept for 30 days.
pub static BATCH_FORGOTTEN: Code = Code {
    code: "batch_forgotten",
    status: 410,
    title: Text::fixed(
        "Las filas del lote ya se han borrado",
        "The rows of the batch have been deleted",
    ),
};

/// The archive is not made yet, or it was deleted after seven days.
pub static ARCHIVE_NOT_THERE: Code = Code {
    code: "archive_not_there",
    status: 409,
    title: Text::fixed(
        "El archivo del lote no existe todavía, o ya no existe",
        "The batch's archive does not exist yet, or not any more",
    ),
};

impl From<BatchError> for Problem {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::NotFound => Self::new(&problem::NOT_FOUND),
            BatchError::NoRows => wrong(
                "/rows",
                Text::fixed(
                    "Debe haber al menos una fila",
                    "There must be at least one row",
                ),
            ),
            BatchError::TooManyRows => wrong(
                "/rows",
                Text::with(
                    format!("Debe haber como máximo {MOST_ROWS} filas"),
                    format!("There must be at most {MOST_ROWS} rows"),
                ),
            ),
            BatchError::TooLarge => wrong("/common", too_large()),
            BatchError::BadRow { row, detail } => wrong(format!("/rows/{row}"), detail),
            BatchError::NotFailed(place) => wrong(
                format!("/rows/{}", place.replace('~', "~0").replace('/', "~1")),
                Text::fixed("Esta fila no ha fallado", "This row has not failed"),
            ),
            BatchError::BadTable(detail) => wrong("/csv", detail),
            BatchError::Unfinished => Self::new(&BATCH_UNFINISHED),
            BatchError::Finished => Self::new(&BATCH_FINISHED),
            BatchError::NothingFailed => Self::new(&NOTHING_FAILED),
            BatchError::Forgotten => Self::new(&BATCH_FORGOTTEN),
            BatchError::NoArchive => Self::new(&ARCHIVE_NOT_THERE),
            BatchError::Busy => Self::new(&problem::UNAVAILABLE).retry_after(1),
            BatchError::Documents(error) => error.into(),
            BatchError::Write(WriteError::Port(error)) | BatchError::Port(error) => error.into(),
            BatchError::Write(error @ (WriteError::Condition(_) | WriteError::Conflict)) => {
                DocumentsError::Write(error).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_all_have_in_common_is_counted_with_each_row() {
        let common = json!({ "text": "x".repeat(200 * 1024) });
        let mut found = Found::over(common.as_object().cloned());

        let taken = (0..10_000).try_for_each(|_| found.take(json!({})));

        assert!(matches!(taken, Err(BatchError::TooLarge)));
        assert!(found.rows < 400, "it stops where it is too much");
        let problem = Problem::from(BatchError::TooLarge);
        let body = problem.body(Locale::En, "", "");
        assert_eq!(body.errors[0].pointer, "/common");
    }
}
