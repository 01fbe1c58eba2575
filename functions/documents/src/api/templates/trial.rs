//! The routes that try a version out and keep nothing.

use std::sync::Arc;

use axum::extract::State;
use domain::Text;
use jiff::Timestamp;
use runtime::problem::{self, Problem};
use runtime::{Caller, Context, Json, Path, Refusals};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::found;
use crate::check::Fault;
use crate::format::Format;
use crate::job::Output;
use crate::layout::{Layout, no_such_format};
use crate::{Documents, DocumentsError};

/// The routes over a version.
pub(super) fn routes() -> OpenApiRouter<Arc<Documents>> {
    OpenApiRouter::new()
        .routes(routes!(validate))
        .routes(routes!(preview))
}

/// Data to be tried.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// What a document would be made from.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// What came of a trial.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Verdict {
    /// Whether a document could be asked for with this data.
    pub valid: bool,
    /// Every place that is wrong.
    pub errors: Vec<Mistake>,
}

/// One place that is wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Mistake {
    /// JSON Pointer into the request's body.
    #[schema(example = "/data/lines/0/quantity")]
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

/// What a look at a document is to show.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPreview {
    /// The data; without it, a sample's.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Value>,
    /// Which sample, from 0 on; the first if neither it nor data is given.
    #[serde(default)]
    pub sample: Option<usize>,
    /// The kind of file; PDF if absent, or DOCX if the template is a Word file.
    #[serde(default)]
    pub format: Option<PreviewFormat>,
    /// Which page a picture shows, from 1 on; beyond the last, the last.
    #[serde(default)]
    #[schema(minimum = 1, default = 1)]
    pub page: Option<u32>,
}

/// A kind of file to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PreviewFormat {
    /// The whole document.
    Pdf,
    /// The whole document as a Word file.
    Docx,
    /// A picture of one page.
    Png,
}

/// A look at a document; nothing of it is kept but a file for a day.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PreviewView {
    /// The kind of file.
    pub format: PreviewFormat,
    /// Pages of the document.
    pub pages: Option<u32>,
    /// Octets of the file.
    pub bytes: usize,
    /// SHA-256 of the file in lower-case hexadecimal.
    pub sha256: String,
    /// Where the file is, for anybody who has this link.
    pub download_url: String,
    /// From then on the link leads nowhere.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// Whether data fits a version, without making anything of it.
#[utoipa::path(
    post, path = "/v1/document-templates/{id}/versions/{version}/validate", tag = "documents",
    params(
        ("id" = String, Path, description = "The name of a built-in template, or an id"),
        ("version" = String, Path, description = "A number, `live` or `draft`"),
    ),
    request_body = Trial,
    responses((status = 200, body = Verdict), Refusals),
    security(("token" = ["templates:read"])),
)]
async fn validate(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    context: Context,
    Path((id, version)): Path<(String, String)>,
    Json(Trial { data }): Json<Trial>,
) -> Result<axum::Json<Verdict>, Problem> {
    let layout = found(&documents, caller.organisation, &id, Some(&version)).await?;
    let faults = match documents.check(&layout, data).await {
        Ok(()) => vec![],
        Err(DocumentsError::Unfit(faults)) => faults,
        Err(error) => return Err(error.into()),
    };
    let mistake = |fault: Fault| Mistake {
        pointer: fault.pointer,
        detail: fault.detail.get(context.locale).to_owned(),
    };
    Ok(axum::Json(Verdict {
        valid: faults.is_empty(),
        errors: faults.into_iter().map(mistake).collect(),
    }))
}

/// A look at a document of a version, with data of one's own or with a sample. Nothing is kept of it but
/// a file for a day.
#[utoipa::path(
    post, path = "/v1/document-templates/{id}/versions/{version}/preview", tag = "documents",
    params(
        ("id" = String, Path, description = "The name of a built-in template, or an id"),
        ("version" = String, Path, description = "A number, `live` or `draft`"),
    ),
    request_body = NewPreview,
    responses((status = 200, body = PreviewView), Refusals),
    security(("token" = ["templates:write"])),
)]
async fn preview(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    Path((id, version)): Path<(String, String)>,
    Json(new): Json<NewPreview>,
) -> Result<axum::Json<PreviewView>, Problem> {
    let org = caller.organisation;
    let layout = found(&documents, org, &id, Some(&version)).await?;
    let data = data_of(&layout, new.data, new.sample)?;
    let format = preview_format(&layout, new.format)?;
    let output = match format {
        PreviewFormat::Pdf => Output::File(Format::Pdf),
        PreviewFormat::Docx => Output::File(Format::Docx),
        PreviewFormat::Png => Output::Png {
            page: page_of(new.page)?,
        },
    };
    let brand = documents.brand(org).await?;
    let design = documents.worn(org, layout, brand).await?;
    let (made, link) = documents.preview(org, &design, data, output).await?;
    Ok(axum::Json(PreviewView {
        format,
        pages: made.pages,
        bytes: made.file.len(),
        sha256: made.sha256,
        download_url: link.url,
        expires_at: link.expires_at,
    }))
}

/// A picture shows a page, so only what has pages can be one.
fn preview_format(layout: &Layout, asked: Option<PreviewFormat>) -> Result<PreviewFormat, Problem> {
    let format = match asked {
        Some(PreviewFormat::Png) if !layout.takes(Format::Pdf) => {
            return Err(
                Problem::new(&problem::VALIDATION_FAILED).field("/format", no_such_format("png"))
            );
        }
        Some(PreviewFormat::Png) => return Ok(PreviewFormat::Png),
        Some(PreviewFormat::Pdf) => Some(Format::Pdf),
        Some(PreviewFormat::Docx) => Some(Format::Docx),
        None => None,
    };
    Ok(match layout.format(format)? {
        Format::Docx => PreviewFormat::Docx,
        _ => PreviewFormat::Pdf,
    })
}

fn data_of(layout: &Layout, data: Option<Value>, sample: Option<usize>) -> Result<Value, Problem> {
    match (data, sample) {
        (Some(data), None) => Ok(data),
        (Some(_), Some(_)) => Err(Problem::new(&problem::VALIDATION_FAILED).field(
            "/sample",
            Text::fixed(
                "Indica los datos o un ejemplo, no ambos",
                "Give data or a sample, not both",
            ),
        )),
        (None, sample) => layout
            .samples()
            .into_iter()
            .nth(sample.unwrap_or(0))
            .ok_or_else(|| {
                Problem::new(&problem::VALIDATION_FAILED).field(
                    "/sample",
                    Text::fixed(
                        "La plantilla no tiene este ejemplo",
                        "The template has no such sample",
                    ),
                )
            }),
    }
}

fn page_of(page: Option<u32>) -> Result<u32, Problem> {
    match page.unwrap_or(1) {
        0 => Err(Problem::new(&problem::VALIDATION_FAILED).field(
            "/page",
            Text::fixed("Debe ser 1 como mínimo", "Must be at least 1"),
        )),
        page => Ok(page),
    }
}
