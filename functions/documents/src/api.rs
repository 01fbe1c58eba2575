//! The routes of documents and of the templates that they are made from.

mod brand;
mod derive;
mod drafts;
mod templates;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::id::Document;
use domain::{Id, Locale, Text};
use jiff::Timestamp;
use ports::table::WriteError;
use runtime::page::{self, Listed, PageParams};
use runtime::problem::{self, Code, FieldError, Problem};
use runtime::{Caller, Context, Json, Path, Query, Refusals, Seed};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::batch::Batches;
use crate::check::{Fault, text};
use crate::derive::{Operation, Origin};
use crate::draft::Drafts;
use crate::format::Format;
use crate::job::TypesetError;
use crate::layout::no_such_format;
use crate::own::{MOST_VERSIONS, Refusal, intake};
use crate::queued::{Found, QueuedDocument};
use crate::{DocumentRecord, Documents, DocumentsError, NewDocument, Owner, refusal};

/// The routes over these use cases.
pub fn routes(documents: Arc<Documents>) -> OpenApiRouter {
    let batches = Batches {
        documents: documents.clone(),
    };
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, delete))
        .routes(routes!(download))
        .merge(derive::routes())
        .merge(templates::routes())
        .merge(brand::routes())
        .with_state(documents)
        .merge(drafts::routes(Drafts { batches }))
}

/// How far a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its file can be downloaded.
    Ready,
}

/// A document.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DocumentView {
    /// Its id.
    #[schema(value_type = String, example = "doc_019a0000000070008000000000000000")]
    pub id: Id<Document>,
    /// How far it is.
    pub status: Status,
    /// The template's name or id.
    #[schema(example = "invoice")]
    pub template: String,
    /// The version of the template that it was made with.
    pub template_version: u32,
    /// The kind of file.
    pub format: Format,
    /// Pages; null if the format has none.
    pub pages: Option<u32>,
    /// Octets of the file.
    pub bytes: u64,
    /// SHA-256 of the file in lower-case hexadecimal.
    pub sha256: String,
    /// The standards that the file keeps to; null if it keeps to none, as after a merge, a split or an
    /// encryption, and for formats other than PDF.
    #[schema(example = json!(["PDF/A-2b", "PDF/UA-1"]))]
    pub conformance: Option<Vec<&'static str>>,
    /// What it was made from, if that was other documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_from: Option<OriginView>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Where the file is, for anybody who has this link, for 15 minutes. Lists have none; ask for a
    /// document to get one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_url: Option<String>,
}

/// What documents are made to keep to.
const CONFORMANCE: [&str; 2] = ["PDF/A-2b", "PDF/UA-1"];

/// What a document was made from.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OriginView {
    /// What was done.
    pub operation: Operation,
    /// The documents that it was done to; they may be gone by now.
    #[schema(value_type = Vec<String>)]
    pub documents: Vec<Id<Document>>,
}

impl From<Origin> for OriginView {
    fn from(origin: Origin) -> Self {
        Self {
            operation: origin.operation,
            documents: origin.documents,
        }
    }
}

impl DocumentView {
    fn of(record: DocumentRecord, download_url: Option<String>) -> Self {
        let conformance = record.conforms().then(|| CONFORMANCE.into());
        Self {
            id: record.id,
            status: Status::Ready,
            template: record.template,
            template_version: record.template_version,
            format: record.format,
            pages: record.pages,
            bytes: record.bytes,
            conformance,
            made_from: record.made_from.map(OriginView::from),
            sha256: record.sha256,
            created_at: record.created_at,
            download_url,
        }
    }
}

/// How far a document is that takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueuedStatus {
    /// It will be made.
    Queued,
    /// It could not be made.
    Failed,
}

/// A document that is still to be made, or could not be.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueuedView {
    /// Its id.
    #[schema(value_type = String, example = "doc_019a0000000070008000000000000000")]
    pub id: Id<Document>,
    /// How far it is.
    pub status: QueuedStatus,
    /// The template's name or id.
    #[schema(example = "invoice")]
    pub template: String,
    /// The kind of file.
    pub format: Format,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Why it could not be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RefusalView>,
}

/// Why a document could not be made: what a problem would say.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RefusalView {
    /// The kind of problem.
    #[schema(example = "validation_failed")]
    pub code: String,
    /// Every place that is wrong.
    pub errors: Vec<FaultView>,
}

/// One place that is wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FaultView {
    /// JSON Pointer (RFC 6901) into the request's body.
    #[schema(example = "/data/lines/0/quantity")]
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl RefusalView {
    fn of(refusal: refusal::Refusal, locale: Locale) -> Self {
        let errors = refusal.faults.into_iter().map(|fault| FaultView {
            detail: fault.detail(locale).to_owned(),
            pointer: fault.pointer,
        });
        Self {
            code: refusal.code,
            errors: errors.collect(),
        }
    }
}

impl QueuedView {
    fn of(queued: QueuedDocument, locale: Locale) -> Self {
        let error = queued.error.map(|refusal| RefusalView::of(refusal, locale));
        Self {
            id: queued.id,
            status: match error {
                None => QueuedStatus::Queued,
                Some(_) => QueuedStatus::Failed,
            },
            template: queued.template,
            format: queued.format,
            created_at: queued.created_at,
            error,
        }
    }
}

/// A document, ready or not.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum DocumentAnswer {
    /// It is ready.
    Ready(DocumentView),
    /// It is not.
    Queued(QueuedView),
}

/// A fresh link.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DownloadView {
    /// Where the file is, for anybody who has this link.
    pub download_url: String,
    /// From then on the link leads nowhere.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// Makes a document and answers when it is ready, or after two seconds that it will be: then ask for it
/// again, or listen on the channel `doc:` and its id.
#[utoipa::path(
    post, path = "/v1/documents", tag = "documents",
    request_body = NewDocument,
    responses(
        (status = 201, body = DocumentView),
        (status = 202, description = "It takes longer, and will be ready later", body = QueuedView),
        Refusals,
    ),
    security(("token" = ["documents:create"])),
)]
async fn create(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Json(new): Json<NewDocument>,
) -> Result<(StatusCode, axum::Json<DocumentAnswer>), Problem> {
    let trace = Some(context.trace.to_string());
    let found = documents
        .create_or_queue(&Owner::from(&*caller), seed.id(), new, trace)
        .await?;
    let status = match found {
        Found::Ready(_) => StatusCode::CREATED,
        Found::Queued(_) => StatusCode::ACCEPTED,
    };
    let answer = answer(&documents, &caller, found, context.locale).await?;
    Ok((status, axum::Json(answer)))
}

async fn answer(
    documents: &Documents,
    caller: &Caller,
    found: Found,
    locale: Locale,
) -> Result<DocumentAnswer, Problem> {
    Ok(match found {
        Found::Ready(record) => DocumentAnswer::Ready(linked(documents, caller, *record).await?),
        Found::Queued(queued) => DocumentAnswer::Queued(QueuedView::of(queued, locale)),
    })
}

async fn linked(
    documents: &Documents,
    caller: &Caller,
    record: DocumentRecord,
) -> Result<DocumentView, Problem> {
    let link = documents.link(caller, &record).await?;
    Ok(DocumentView::of(record, Some(link.url)))
}

/// The documents of the organisation, the newest first.
#[utoipa::path(
    get, path = "/v1/documents", tag = "documents",
    params(PageParams),
    responses((status = 200, body = Listed<DocumentView>), Refusals),
    security(("token" = ["documents:read"])),
)]
async fn list(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<DocumentView>>, Problem> {
    let after = params.after(&caller.organisation.to_string())?;
    let (records, next) = documents.list(&caller, params.limit()?, after).await?;
    let items = records
        .into_iter()
        .map(|record| DocumentView::of(record, None))
        .collect();
    Ok(axum::Json(Listed {
        items,
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// A document, with a fresh link to its file once it is ready.
#[utoipa::path(
    get, path = "/v1/documents/{id}", tag = "documents",
    params(("id" = String, Path, description = "The document's id")),
    responses((status = 200, body = DocumentAnswer), Refusals),
    security(("token" = ["documents:read"])),
)]
async fn get(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<Document>>,
) -> Result<axum::Json<DocumentAnswer>, Problem> {
    let found = documents.look(caller.organisation, id).await?;
    let answer = answer(&documents, &caller, found, context.locale).await?;
    Ok(axum::Json(answer))
}

/// Deletes a document and its file. Links that were handed out lead nowhere from then on.
#[utoipa::path(
    delete, path = "/v1/documents/{id}", tag = "documents",
    params(("id" = String, Path, description = "The document's id")),
    responses((status = 204, description = "Deleted"), Refusals),
    security(("token" = ["documents:delete"])),
)]
async fn delete(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    context: Context,
    Path(id): Path<Id<Document>>,
) -> Result<StatusCode, Problem> {
    documents
        .delete(&caller, id, Some(context.trace.to_string()))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A fresh link to a document's file, valid for 15 minutes.
#[utoipa::path(
    get, path = "/v1/documents/{id}/download", tag = "documents",
    params(("id" = String, Path, description = "The document's id")),
    responses((status = 200, body = DownloadView), Refusals),
    security(("token" = ["documents:read"])),
)]
async fn download(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    Path(id): Path<Id<Document>>,
) -> Result<axum::Json<DownloadView>, Problem> {
    let record = documents.get(&caller, id).await?;
    let link = documents.link(&caller, &record).await?;
    Ok(axum::Json(DownloadView {
        download_url: link.url,
        expires_at: link.expires_at,
    }))
}

/// The document has more pages or octets than a document may have.
pub static DOCUMENT_TOO_LARGE: Code = Code {
    code: "document_too_large",
    status: 422,
    title: Text::fixed(
        "El documento sería demasiado grande",
        "The document would be too large",
    ),
};

/// An organisation's template is wrong, or does not become a document with this data.
pub static TEMPLATE_REFUSED: Code = Code {
    code: "template_refused",
    status: 422,
    title: Text::fixed(
        "La plantilla no produce un documento",
        "The template does not become a document",
    ),
};

/// An organisation's template takes longer than one may.
pub static TEMPLATE_TOO_SLOW: Code = Code {
    code: "template_too_slow",
    status: 422,
    title: Text::fixed(
        "La plantilla tarda demasiado",
        "The template takes too long",
    ),
};

/// A template has as many versions as one may have.
pub static TOO_MANY_VERSIONS: Code = Code {
    code: "too_many_versions",
    status: 409,
    title: Text::fixed(
        "La plantilla tiene demasiadas versiones",
        "The template has too many versions",
    ),
};

impl From<DocumentsError> for Problem {
    fn from(error: DocumentsError) -> Self {
        match error {
            DocumentsError::UnknownTemplate => Self::new(&problem::VALIDATION_FAILED).field(
                "/template",
                Text::fixed("Esta plantilla no existe", "There is no such template"),
            ),
            DocumentsError::UnsupportedFormat(format) => Self::new(&problem::VALIDATION_FAILED)
                .field("/format", no_such_format(format.name())),
            DocumentsError::Unfit(faults) | DocumentsError::BadBrand(faults) => {
                invalid(&problem::VALIDATION_FAILED, faults)
            }
            DocumentsError::BadTemplate(refusal, faults) => invalid(code_of(&refusal), faults),
            DocumentsError::TooManyVersions => Self::new(&TOO_MANY_VERSIONS).detail(Text::with(
                format!("Tiene {MOST_VERSIONS}, el máximo"),
                format!("It has {MOST_VERSIONS}, the most there can be"),
            )),
            DocumentsError::UnknownVersion => Self::new(&problem::VALIDATION_FAILED).field(
                "/version",
                Text::fixed(
                    "La plantilla no tiene esta versión",
                    "The template has no such version",
                ),
            ),
            DocumentsError::BadSource(place, unfit) => derive::bad_source(place, unfit),
            DocumentsError::OwnTemplate(error) => own_problem(error),
            DocumentsError::NotFound => Self::new(&problem::NOT_FOUND),
            DocumentsError::Typeset(error) => typeset_problem(error),
            DocumentsError::Write(WriteError::Port(error)) | DocumentsError::Port(error) => {
                error.into()
            }
            DocumentsError::Write(error @ (WriteError::Condition(_) | WriteError::Conflict)) => {
                tracing::warn!(%error, "a document's row was not written");
                Self::new(&problem::UNAVAILABLE).retry_after(1)
            }
        }
    }
}

fn invalid(code: &'static Code, faults: Vec<Fault>) -> Problem {
    let errors = faults.into_iter().map(|fault| FieldError {
        pointer: fault.pointer,
        detail: fault.detail,
    });
    Problem::new(code).fields(errors.collect())
}

fn code_of(refusal: &Refusal) -> &'static Code {
    match refusal {
        Refusal::Invalid => &problem::VALIDATION_FAILED,
        Refusal::Source => &TEMPLATE_REFUSED,
        Refusal::Slow => &TEMPLATE_TOO_SLOW,
    }
}

/// An organisation's template that does not become a document: its author has to see to it, so the
/// answer says as much as there is to say.
fn own_problem(error: TypesetError) -> Problem {
    match error {
        TypesetError::TimedOut => {
            Problem::new(&TEMPLATE_TOO_SLOW).field("/template", intake::too_slow())
        }
        TypesetError::Aborted => {
            Problem::new(&TEMPLATE_REFUSED).field("/template", intake::too_hungry())
        }
        TypesetError::Refused { message, place } => Problem::new(&TEMPLATE_REFUSED)
            .field("/template", intake::source_detail(&message, place)),
        TypesetError::Unfillable { detail } => {
            Problem::new(&TEMPLATE_REFUSED).field("/template", Text::from(detail))
        }
        other => typeset_problem(other),
    }
}

fn typeset_problem(error: TypesetError) -> Problem {
    match error {
        TypesetError::MissingGlyph { pointer, character } => {
            Problem::new(&problem::VALIDATION_FAILED).field(pointer, text::unprintable(character))
        }
        TypesetError::TooManyPages { pages, limit } => {
            Problem::new(&DOCUMENT_TOO_LARGE).detail(Text::with(
                format!("Tendría {pages} páginas; el máximo es {limit}"),
                format!("It would have {pages} pages; at most {limit} are allowed"),
            ))
        }
        TypesetError::TooBig { bytes, limit } => {
            Problem::new(&DOCUMENT_TOO_LARGE).detail(Text::with(
                format!("Ocuparía {bytes} octetos; el máximo es {limit}"),
                format!("It would have {bytes} octets; at most {limit} are allowed"),
            ))
        }
        TypesetError::TimedOut => Problem::new(&problem::TIMED_OUT),
        error @ (TypesetError::Crashed { .. } | TypesetError::Aborted) => {
            tracing::error!(%error, "the renderer crashed");
            Problem::new(&problem::UNAVAILABLE).retry_after(1)
        }
        TypesetError::Refused { .. }
        | TypesetError::Unfillable { .. }
        | TypesetError::BadSchema { .. }
        | TypesetError::Protected { .. }
        | TypesetError::Unreadable { .. }
        | TypesetError::BadPicture { .. }
        | TypesetError::Unfit { .. } => {
            // What the compiler says may quote a template, so it is not logged.
            tracing::error!("a template that was checked refused data that fits its schema");
            Problem::new(&problem::INTERNAL_ERROR)
        }
    }
}
