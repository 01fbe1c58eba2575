//! The routes of templates: those that every organisation has, and its own.

mod trial;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::AppendHeaders;
use domain::Id;
use domain::id::{self, Organisation};
use jiff::Timestamp;
use ports::blobs::Link;
use ports::table::{Cursor, Key};
use runtime::etag::{IfMatch, etag};
use runtime::page::{self, Listed, PageParams};
use runtime::problem::{self, Problem};
use runtime::{Caller, Context, Json, Path, Query, Refusals, Seed};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::layout::Layout;
use crate::own::{
    Alias, Body, NewTemplate, NewVersion, OwnVersion, TemplateRecord, VersionSummary,
};
use crate::template::Template;
use crate::{Documents, DocumentsError, Owner};

/// The routes of templates.
pub(super) fn routes() -> OpenApiRouter<Arc<Documents>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, rename, delete))
        .routes(routes!(add_version))
        .routes(routes!(get_version))
        .merge(trial::routes())
        .routes(routes!(point))
}

/// A template, as lists show it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TemplateSummary {
    /// Its id; that of a built-in template is its name.
    #[schema(example = "invoice")]
    pub id: String,
    /// Its name.
    #[schema(example = "invoice")]
    pub name: String,
    /// Whether it is part of the fleet.
    pub builtin: bool,
    /// The version that new documents are made with; null until one is published, and until then they are
    /// made with the draft.
    pub live: Option<u32>,
    /// The version that is being worked on.
    pub draft: u32,
}

/// A template with what its data must look like.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TemplateView {
    /// Its names.
    #[serde(flatten)]
    pub summary: TemplateSummary,
    /// The version that schema and samples are of: the live one, else the draft.
    pub version: u32,
    /// JSON Schema 2020-12 of `data`.
    #[schema(value_type = Object)]
    pub schema: Value,
    /// Data that it accepts.
    #[schema(value_type = Vec<Object>)]
    pub samples: Vec<Value>,
    /// Its versions, the first first; a built-in template has none to choose from.
    pub versions: Vec<VersionSummary>,
}

/// A version with all that it holds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VersionView {
    /// The template.
    #[schema(example = "tpl_019a0000000070008000000000000000")]
    pub id: String,
    /// The version.
    pub version: u32,
    /// JSON Schema 2020-12 of `data`.
    #[schema(value_type = Object)]
    pub schema: Value,
    /// Typst source, if it is made of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The Word file, if it is made of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docx: Option<WordFileView>,
    /// Data that it accepts.
    #[schema(value_type = Vec<Object>)]
    pub samples: Vec<Value>,
    /// SHA-256 of schema, source or Word file, and samples, in lower-case hexadecimal.
    pub sha256: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// The Word file of a version.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WordFileView {
    /// Octets.
    pub bytes: usize,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Where it is, for anybody who has this link, for 15 minutes.
    pub download_url: String,
}

/// A template was taken on, or has one more version.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AddedVersion {
    /// The template.
    #[schema(value_type = String, example = "tpl_019a0000000070008000000000000000")]
    pub id: Id<id::Template>,
    /// The version.
    #[schema(example = 1)]
    pub version: u32,
}

/// Another name.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renaming {
    /// For people; 1 to 120 characters.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
}

/// Which version an alias is to name.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pointing {
    /// The version; null lets `draft` be the newest again, and is not for `live`.
    #[schema(example = 1)]
    pub version: Option<u32>,
}

/// The aliases of a template.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Aliases {
    /// What documents are made with.
    pub live: Option<u32>,
    /// What is being worked on.
    pub draft: u32,
}

impl TemplateSummary {
    /// A built-in template changes only with the fleet, so its version is always the first.
    fn built_in(template: Template) -> Self {
        let name = template.name().to_owned();
        Self {
            id: name.clone(),
            name,
            builtin: true,
            live: Some(1),
            draft: 1,
        }
    }

    fn own(record: &TemplateRecord) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.clone(),
            builtin: false,
            live: record.live,
            draft: record.draft(),
        }
    }
}

impl TemplateView {
    fn of(summary: TemplateSummary, versions: Vec<VersionSummary>, layout: &Layout) -> Self {
        Self {
            summary,
            version: layout.version(),
            schema: layout.schema().clone(),
            samples: layout.samples(),
            versions,
        }
    }
}

/// Where a list goes on among the built-in templates, which stand before all others.
const BUILT_IN_PREFIX: &str = "builtin#";

/// The templates that documents can be made from: the built-in ones, then the organisation's own, the
/// newest first.
#[utoipa::path(
    get, path = "/v1/document-templates", tag = "documents",
    params(PageParams),
    responses((status = 200, body = Listed<TemplateSummary>), Refusals),
    security(("token" = ["templates:read"])),
)]
async fn list(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<TemplateSummary>>, Problem> {
    let org = caller.organisation;
    let limit = params.limit()?;
    let after = params.after(&org.to_string())?;
    let begun = match &after {
        None => Some(0),
        Some(cursor) => cursor.key.sk.strip_prefix(BUILT_IN_PREFIX).map(place_of),
    };
    let Some(begun) = begun else {
        let (records, next) = documents.templates(org, limit, after).await?;
        return Ok(listed(vec![], &records, next.as_ref()));
    };
    let room = usize::try_from(limit).unwrap_or(usize::MAX);
    let some: Vec<Template> = Template::ALL.into_iter().skip(begun).take(room).collect();
    let items = some
        .iter()
        .copied()
        .map(TemplateSummary::built_in)
        .collect();
    if some.len() == room {
        let next = some.last().map(|last| built_in_cursor(org, *last));
        return Ok(listed(items, &[], next.as_ref()));
    }
    let left = u32::try_from(room - some.len()).unwrap_or(limit);
    let (records, next) = documents.templates(org, left, None).await?;
    Ok(listed(items, &records, next.as_ref()))
}

/// The place after the built-in template of this name.
fn place_of(name: &str) -> usize {
    Template::named(name).map_or(Template::ALL.len(), |template| template.index() + 1)
}

fn built_in_cursor(org: Id<Organisation>, last: Template) -> Cursor {
    Cursor {
        key: Key::new(org, format!("{BUILT_IN_PREFIX}{}", last.name())),
        index: None,
    }
}

fn listed(
    mut items: Vec<TemplateSummary>,
    records: &[TemplateRecord],
    next: Option<&Cursor>,
) -> axum::Json<Listed<TemplateSummary>> {
    items.extend(records.iter().map(TemplateSummary::own));
    axum::Json(Listed {
        items,
        next_cursor: page::encode(next),
    })
}

/// Takes on a template of the organisation's own: Typst source, or a Word file with placeholders.
///
/// The source is Typst. It finds what a document is made from in the dictionary `data` (also as
/// `sys.inputs.data` and `json("/data.json")`); texts of it are never markup. What the
/// organisation's documents wear is in `brand`: `none`, or `accent`, `font` and `logo` (`none`, or `path` and `alt` for
/// `image`). It may import `/frame.typ` and `/locale.typ`, the page, the dates and the amounts of the built-in templates, and reaches
/// no other file, no package, no network, no plug-in, no `eval` and no clock.
///
/// A Word file is filled and becomes DOCX. `{{ customer.name }}` prints a value as text;
/// `{% for line in lines %}` … `{% endfor %}` and `{% if paid %}` … `{% elif … %}` … `{% else %}` … `{% endif %}` repeat and
/// choose what stands between them: in one paragraph the text, in several the whole paragraphs, in the cells of
/// a row the row. Body, headers, footers and notes are filled. Filters print in the language that `data.locale`
/// names, `es` or `en`: `date`, `money("EUR")` of minor units, `percent` of basis points, `number(2)`; others are
/// `upper`, `lower`, `title`, `trim`, `default(…)`, `first`, `last`, `length`, `join(…)`, `sort`, `sum`. A field that the data
/// does not have is an error; `is defined` asks for it. Macros, embedded files, remote parts and fields that reach
/// outside the document are refused.
///
/// Each sample has to fit the schema and to become a document within the limits before the template is taken
/// on: 4 seconds, 1 GiB, 200 pages, 10 MiB; a PDF has to keep to PDF/A-2b and PDF/UA-1. What is wrong is named:
/// `/schema/…`, `/samples/0/…`, `/source` with line and column, or `/docx` with the placeholder.
#[utoipa::path(
    post, path = "/v1/document-templates", tag = "documents",
    request_body = NewTemplate,
    responses((status = 201, body = AddedVersion), Refusals),
    security(("token" = ["templates:write"])),
)]
async fn create(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Json(new): Json<NewTemplate>,
) -> Result<(StatusCode, axum::Json<AddedVersion>), Problem> {
    let trace = Some(context.trace.to_string());
    let record = documents
        .add_template(&Owner::from(&*caller), seed.id(), new, trace)
        .await?;
    let added = AddedVersion {
        id: record.id,
        version: 1,
    };
    Ok((StatusCode::CREATED, axum::Json(added)))
}

/// A template: the schema of its data, and samples to begin with.
#[utoipa::path(
    get, path = "/v1/document-templates/{id}", tag = "documents",
    params(("id" = String, Path, description = "The name of a built-in template, or an id")),
    responses((status = 200, body = TemplateView), Refusals),
    security(("token" = ["templates:read"])),
)]
async fn get(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(AppendHeaders<Tag>, axum::Json<TemplateView>), Problem> {
    if let Some(template) = Template::named(&id) {
        let layout = Layout::BuiltIn(template);
        let view = TemplateView::of(TemplateSummary::built_in(template), vec![], &layout);
        return Ok((AppendHeaders([etag(1)]), axum::Json(view)));
    }
    let org = caller.organisation;
    let (record, row) = documents.template(org, own_id(&id)?).await?;
    let layout = found(&documents, org, &id, None).await?;
    let view = TemplateView::of(TemplateSummary::own(&record), record.versions, &layout);
    Ok((AppendHeaders([etag(row.version)]), axum::Json(view)))
}

/// The header that carries a template's version.
type Tag = [(axum::http::HeaderName, String); 1];

/// Only an organisation's own template has an id; a built-in one can be read and not be changed.
fn own_id(id: &str) -> Result<Id<id::Template>, Problem> {
    id.parse().map_err(|_| Problem::new(&problem::NOT_FOUND))
}

/// The template in the path, with a version of it; what is not there is a 404.
async fn found(
    documents: &Documents,
    org: Id<Organisation>,
    id: &str,
    version: Option<&str>,
) -> Result<Layout, Problem> {
    let layout = match (Template::named(id), version) {
        (Some(template), None | Some("1" | "live" | "draft")) => Ok(Layout::BuiltIn(template)),
        (Some(_), Some(_)) => Err(DocumentsError::UnknownTemplate),
        (None, version) => documents
            .version(org, own_id(id)?, version)
            .await
            .map(|version| Layout::Own(Box::new(version))),
    };
    layout.map_err(|error| match error {
        DocumentsError::UnknownTemplate => Problem::new(&problem::NOT_FOUND),
        other => other.into(),
    })
}

/// Gives a template another name. With `If-Match`, only if it still is what was read.
#[utoipa::path(
    patch, path = "/v1/document-templates/{id}", tag = "documents",
    params(("id" = String, Path, description = "The template's id")),
    request_body = Renaming,
    responses((status = 200, body = TemplateSummary), Refusals),
    security(("token" = ["templates:write"])),
)]
async fn rename(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    if_match: IfMatch,
    Path(id): Path<String>,
    Json(Renaming { name }): Json<Renaming>,
) -> Result<(AppendHeaders<Tag>, axum::Json<TemplateSummary>), Problem> {
    let (record, row) = documents
        .template(caller.organisation, own_id(&id)?)
        .await?;
    if_match.check(row.version)?;
    let (record, version) = documents.rename_template(&row, record, name).await?;
    Ok((
        AppendHeaders([etag(version)]),
        axum::Json(TemplateSummary::own(&record)),
    ))
}

/// Deletes a template with all its versions. Documents that were made with it stay.
#[utoipa::path(
    delete, path = "/v1/document-templates/{id}", tag = "documents",
    params(("id" = String, Path, description = "The template's id")),
    responses((status = 204, description = "Deleted"), Refusals),
    security(("token" = ["templates:write"])),
)]
async fn delete(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    context: Context,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let trace = Some(context.trace.to_string());
    documents
        .delete_template(caller.organisation, own_id(&id)?, trace)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Adds a version to a template. It is checked as a new template is; what is already a version is not
/// added a second time.
#[utoipa::path(
    post, path = "/v1/document-templates/{id}/versions", tag = "documents",
    params(("id" = String, Path, description = "The template's id")),
    request_body = NewVersion,
    responses((status = 201, body = AddedVersion), Refusals),
    security(("token" = ["templates:write"])),
)]
async fn add_version(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    context: Context,
    Path(id): Path<String>,
    Json(new): Json<NewVersion>,
) -> Result<(StatusCode, axum::Json<AddedVersion>), Problem> {
    let id = own_id(&id)?;
    let trace = Some(context.trace.to_string());
    let version = documents
        .add_version(&Owner::from(&*caller), id, new, trace)
        .await?;
    Ok((
        StatusCode::CREATED,
        axum::Json(AddedVersion { id, version }),
    ))
}

/// A version of a template with its source; those of the built-in templates are not shown.
#[utoipa::path(
    get, path = "/v1/document-templates/{id}/versions/{version}", tag = "documents",
    params(
        ("id" = String, Path, description = "The template's id"),
        ("version" = String, Path, description = "A number, `live` or `draft`"),
    ),
    responses((status = 200, body = VersionView), Refusals),
    security(("token" = ["templates:read"])),
)]
async fn get_version(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    Path((id, version)): Path<(String, String)>,
) -> Result<axum::Json<VersionView>, Problem> {
    match found(&documents, caller.organisation, &id, Some(&version)).await? {
        // The sources of the built-in templates are only in the companion program.
        Layout::BuiltIn(_) => Err(Problem::new(&problem::NOT_FOUND)),
        Layout::Own(own) => {
            let link = documents.word_link(caller.organisation, &own).await?;
            Ok(axum::Json(VersionView::of(*own, link)))
        }
    }
}

impl VersionView {
    fn of(own: OwnVersion, link: Option<Link>) -> Self {
        let (source, docx) = match own.body {
            Body::Typst(source) => (Some(source), None),
            Body::Docx(word) => {
                let file = link.map(|link| WordFileView {
                    bytes: word.file.len(),
                    sha256: word.sha256,
                    download_url: link.url,
                });
                (None, file)
            }
        };
        Self {
            id: own.template.to_string(),
            version: own.number,
            schema: own.schema,
            source,
            docx,
            samples: own.samples,
            sha256: own.sha256,
            created_at: own.created_at,
        }
    }
}

/// Lets `live` or `draft` name a version: to publish is to name it `live`, to go back is to name an earlier
/// one. With `If-Match`, only if the template still is what was read.
#[utoipa::path(
    put, path = "/v1/document-templates/{id}/aliases/{alias}", tag = "documents",
    params(
        ("id" = String, Path, description = "The template's id"),
        ("alias" = Alias, Path, description = "`live` or `draft`"),
    ),
    request_body = Pointing,
    responses((status = 200, body = Aliases), Refusals),
    security(("token" = ["templates:write"])),
)]
async fn point(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    context: Context,
    if_match: IfMatch,
    Path((id, alias)): Path<(String, Alias)>,
    Json(Pointing { version }): Json<Pointing>,
) -> Result<(AppendHeaders<Tag>, axum::Json<Aliases>), Problem> {
    let (record, row) = documents
        .template(caller.organisation, own_id(&id)?)
        .await?;
    if_match.check(row.version)?;
    let trace = Some(context.trace.to_string());
    let (record, version) = documents
        .point(&Owner::from(&*caller), &row, record, alias, version, trace)
        .await?;
    let aliases = Aliases {
        live: record.live,
        draft: record.draft(),
    };
    Ok((AppendHeaders([etag(version)]), axum::Json(aliases)))
}
