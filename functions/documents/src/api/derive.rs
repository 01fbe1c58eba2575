//! The routes that make new documents of old ones.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use data_encoding::BASE64URL_NOPAD;
use domain::id::Document;
use domain::{Id, Text};
use runtime::problem::{self, Code, FieldError, Problem};
use runtime::{Caller, Context, Json, Path, Refusals, Seed};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{DocumentView, linked};
use crate::check;
use crate::derive::{MOST_PARTS, MOST_SOURCES, Operation, Place, Unfit};
use crate::pdf::{Edit, Lock, Pages, Permission};
use crate::{Documents, DocumentsError, Owner};

/// The most characters of a watermark.
const LONGEST_TEXT: usize = 80;

/// The fewest characters of a password. Whoever has the file may try as many as they like.
const SHORTEST_PASSWORD: usize = 8;

/// The most octets of a password that a PDF file takes (ISO 32000-2, 7.6.4.3.3).
const LONGEST_PASSWORD: usize = 127;

pub(super) fn routes() -> OpenApiRouter<Arc<Documents>> {
    OpenApiRouter::new()
        .routes(routes!(merge))
        .routes(routes!(split))
        .routes(routes!(watermark))
        .routes(routes!(encrypt))
}

/// What a document is merged with.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMerge {
    /// The documents that follow it, in this order; one may come more than once.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 49)]
    pub with: Vec<Id<Document>>,
}

/// How a document is taken apart.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSplit {
    /// Pages, counted from 1: one, or the first and the last with a hyphen between them. Each becomes a
    /// document of its own.
    #[schema(min_items = 1, max_items = 20, example = json!(["1-2", "3"]))]
    pub ranges: Vec<String>,
}

/// What is painted across each page.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWatermark {
    /// One line.
    #[schema(min_length = 1, max_length = 80, example = "Borrador")]
    pub text: String,
    /// From 0.05, hardly seen, to 1, which hides what is below it.
    #[serde(default = "faint")]
    #[schema(minimum = 0.05, maximum = 1, default = 0.15)]
    pub opacity: f64,
}

const fn faint() -> f64 {
    0.15
}

/// How a document is locked.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEncryption {
    /// Opens the file. It is not kept: whoever forgets it has lost the file.
    #[schema(min_length = 8, max_length = 127, format = Password)]
    pub user_password: String,
    /// Opens the file without restrictions; without one nobody can. It must be another one.
    #[schema(min_length = 8, max_length = 127, format = Password)]
    pub owner_password: Option<String>,
    /// What whoever has the first password may do beside reading; without this list, everything. Readers
    /// keep to it as they please.
    pub permissions: Option<Vec<Permission>>,
}

/// The documents that one has become.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SplitView {
    /// In the order of the ranges.
    pub items: Vec<DocumentView>,
}

/// Puts documents together into a new one. It is no longer PDF/A nor PDF/UA, because the tags of its parts do
/// not fit together: `conformance` is null.
#[utoipa::path(
    post, path = "/v1/documents/{id}/merge", tag = "documents",
    params(("id" = String, Path, description = "The document's id")),
    request_body = NewMerge,
    responses((status = 201, body = DocumentView), Refusals),
    security(("token" = ["documents:create", "documents:read"])),
)]
async fn merge(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Path(id): Path<Id<Document>>,
    Json(new): Json<NewMerge>,
) -> Result<(StatusCode, axum::Json<DocumentView>), Problem> {
    if new.with.is_empty() || new.with.len() >= MOST_SOURCES {
        let most = MOST_SOURCES - 1;
        return Err(invalid("/with", between(1, most)));
    }
    let ids: Vec<_> = std::iter::once(id).chain(new.with).collect();
    let sources = documents.sources(caller.organisation, &ids).await?;
    let asked = Asked {
        documents: &documents,
        caller: &caller,
        trace: context.trace.to_string(),
    };
    asked
        .one(Operation::Merge, &sources, seed.id(), Edit::Merge)
        .await
}

/// Makes a document of each range of pages. They are no longer PDF/A nor PDF/UA: `conformance` is null. Nothing
/// of the other pages is left in them.
#[utoipa::path(
    post, path = "/v1/documents/{id}/split", tag = "documents",
    params(("id" = String, Path, description = "The document's id")),
    request_body = NewSplit,
    responses((status = 201, body = SplitView), Refusals),
    security(("token" = ["documents:create", "documents:read"])),
)]
async fn split(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Path(id): Path<Id<Document>>,
    Json(new): Json<NewSplit>,
) -> Result<(StatusCode, axum::Json<SplitView>), Problem> {
    if new.ranges.is_empty() || new.ranges.len() > MOST_PARTS {
        return Err(invalid("/ranges", between(1, MOST_PARTS)));
    }
    let sources = documents.sources(caller.organisation, &[id]).await?;
    let edits = edits(&new.ranges, sources.pages(), seed)?;
    let trace = Some(context.trace.to_string());
    let owner = Owner::from(&*caller);
    let made = documents
        .derive(&owner, Operation::Split, &sources, &edits, trace)
        .await?;
    let mut items = Vec::with_capacity(made.len());
    for record in made {
        items.push(linked(&documents, &caller, record).await?);
    }
    Ok((StatusCode::CREATED, axum::Json(SplitView { items })))
}

/// Paints a text across each page of a copy of the document. The copy is as archivable and as accessible
/// as the document.
#[utoipa::path(
    post, path = "/v1/documents/{id}/watermark", tag = "documents",
    params(("id" = String, Path, description = "The document's id")),
    request_body = NewWatermark,
    responses((status = 201, body = DocumentView), Refusals),
    security(("token" = ["documents:create", "documents:read"])),
)]
async fn watermark(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Path(id): Path<Id<Document>>,
    Json(new): Json<NewWatermark>,
) -> Result<(StatusCode, axum::Json<DocumentView>), Problem> {
    let edit = painted(&new)?;
    let sources = documents.sources(caller.organisation, &[id]).await?;
    let asked = Asked {
        documents: &documents,
        caller: &caller,
        trace: context.trace.to_string(),
    };
    asked
        .one(Operation::Watermark, &sources, seed.id(), edit)
        .await
}

/// Encrypts a copy of the document with AES-256. It is no longer PDF/A, which forbids encryption: `conformance`
/// is null.
#[utoipa::path(
    post, path = "/v1/documents/{id}/encrypt", tag = "documents",
    params(("id" = String, Path, description = "The document's id")),
    request_body = NewEncryption,
    responses((status = 201, body = DocumentView), Refusals),
    security(("token" = ["documents:create", "documents:read"])),
)]
async fn encrypt(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    context: Context,
    seed: Seed,
    Path(id): Path<Id<Document>>,
    Json(new): Json<NewEncryption>,
) -> Result<(StatusCode, axum::Json<DocumentView>), Problem> {
    let edit = Edit::Encrypt(locked(new, &documents)?);
    let sources = documents.sources(caller.organisation, &[id]).await?;
    let asked = Asked {
        documents: &documents,
        caller: &caller,
        trace: context.trace.to_string(),
    };
    asked
        .one(Operation::Encrypt, &sources, seed.id(), edit)
        .await
}

/// A request that makes one document.
struct Asked<'a> {
    documents: &'a Documents,
    caller: &'a Caller,
    trace: String,
}

impl Asked<'_> {
    async fn one(
        self,
        operation: Operation,
        sources: &crate::derive::Sources,
        id: Id<Document>,
        edit: Edit,
    ) -> Result<(StatusCode, axum::Json<DocumentView>), Problem> {
        let owner = Owner::from(&**self.caller);
        let made = self
            .documents
            .derive(&owner, operation, sources, &[(id, edit)], Some(self.trace))
            .await
            .map_err(in_the_body)?;
        let record = made.into_iter().next().ok_or(DocumentsError::NotFound)?;
        let view = linked(self.documents, self.caller, record).await?;
        Ok((StatusCode::CREATED, axum::Json(view)))
    }
}

/// The text of a watermark stands elsewhere in the request than the data of a template.
fn in_the_body(error: DocumentsError) -> Problem {
    use crate::job::TypesetError;
    match error {
        DocumentsError::Typeset(TypesetError::MissingGlyph { character, .. }) => {
            invalid("/text", crate::check::text::unprintable(character))
        }
        other => other.into(),
    }
}

fn edits(ranges: &[String], pages: u32, seed: Seed) -> Result<Vec<(Id<Document>, Edit)>, Problem> {
    let mut edits = Vec::with_capacity(ranges.len());
    let mut wrong = Vec::new();
    for (number, range) in (0_u32..).zip(ranges) {
        match pages_of(range).filter(|range| range.last <= pages) {
            Some(range) => edits.push((seed.nth(number), Edit::Take(range))),
            None => wrong.push(FieldError {
                pointer: format!("/ranges/{number}"),
                detail: Text::with(
                    format!(
                        "Debe ser una página o un intervalo como 1-2; el documento tiene {pages}"
                    ),
                    format!("Must be a page or a range such as 1-2; the document has {pages}"),
                ),
            }),
        }
    }
    if wrong.is_empty() {
        Ok(edits)
    } else {
        Err(Problem::new(&problem::VALIDATION_FAILED).fields(wrong))
    }
}

fn pages_of(range: &str) -> Option<Pages> {
    let page = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (page(first)?, page(last)?);
    (1 <= first && first <= last).then_some(Pages { first, last })
}

fn painted(new: &NewWatermark) -> Result<Edit, Problem> {
    let length = new.text.chars().count();
    if new.text.trim().is_empty() || length > LONGEST_TEXT || new.text.contains(char::is_control) {
        return Err(invalid(
            "/text",
            Text::with(
                format!("Debe ser una línea de 1 a {LONGEST_TEXT} caracteres"),
                format!("Must be one line of 1 to {LONGEST_TEXT} characters"),
            ),
        ));
    }
    let faults = check::text::faults_below(&new.text.clone().into(), "/text");
    if let Some(fault) = faults.into_iter().next() {
        return Err(invalid("/text", fault.detail));
    }
    let thousandths = (1..=1000_u16).find(|n| f64::from(*n) / 1000.0 >= new.opacity);
    match thousandths.filter(|_| new.opacity >= 0.05) {
        Some(opacity) => Ok(Edit::Watermark {
            text: new.text.clone(),
            opacity,
        }),
        None => Err(invalid(
            "/opacity",
            Text::fixed("Debe estar entre 0,05 y 1", "Must be between 0.05 and 1"),
        )),
    }
}

fn locked(new: NewEncryption, documents: &Documents) -> Result<Lock, Problem> {
    let mut wrong = Vec::new();
    for (pointer, password) in [
        ("/user_password", Some(&new.user_password)),
        ("/owner_password", new.owner_password.as_ref()),
    ] {
        if let Some(detail) = password.and_then(|password| weakness(password)) {
            wrong.push(FieldError {
                pointer: pointer.to_owned(),
                detail,
            });
        }
    }
    if new.owner_password.as_ref() == Some(&new.user_password) {
        wrong.push(FieldError {
            pointer: "/owner_password".to_owned(),
            detail: Text::fixed(
                "Debe ser distinta de la otra contraseña",
                "Must not be the other password",
            ),
        });
    }
    if !wrong.is_empty() {
        return Err(Problem::new(&problem::VALIDATION_FAILED).fields(wrong));
    }
    let nobodys = || BASE64URL_NOPAD.encode(&documents.ids.octets::<32>());
    Ok(Lock {
        user_password: new.user_password,
        owner_password: new.owner_password.unwrap_or_else(nobodys),
        permissions: new.permissions.unwrap_or_else(|| Permission::ALL.into()),
        key: documents.ids.octets(),
    })
}

fn weakness(password: &str) -> Option<Text> {
    if password.chars().count() < SHORTEST_PASSWORD || password.len() > LONGEST_PASSWORD {
        return Some(Text::with(
            format!("Debe tener de {SHORTEST_PASSWORD} caracteres a {LONGEST_PASSWORD} octetos"),
            format!("Must have {SHORTEST_PASSWORD} characters to {LONGEST_PASSWORD} octets"),
        ));
    }
    // Readers differ in what they make of these (RFC 4013), and then the file would not open.
    password.contains(char::is_control).then_some(Text::fixed(
        "Contiene un carácter de control",
        "Contains a control character",
    ))
}

fn invalid(pointer: &str, detail: Text) -> Problem {
    Problem::new(&problem::VALIDATION_FAILED).field(pointer, detail)
}

fn between(fewest: usize, most: usize) -> Text {
    Text::with(
        format!("Debe tener de {fewest} a {most} elementos"),
        format!("Must have {fewest} to {most} items"),
    )
}

/// Nothing can be made of a document that opens with a password only.
pub static DOCUMENT_PROTECTED: Code = Code {
    code: "document_protected",
    status: 422,
    title: Text::fixed(
        "El documento está protegido con contraseña",
        "The document is protected by a password",
    ),
};

/// Only a PDF can be merged, split, marked or encrypted.
pub static DOCUMENT_NOT_PDF: Code = Code {
    code: "document_not_pdf",
    status: 422,
    title: Text::fixed("El documento no es un PDF", "The document is not a PDF"),
};

/// A file that cannot be worked on within the limits of time and memory.
pub static DOCUMENT_UNREADABLE: Code = Code {
    code: "document_unreadable",
    status: 422,
    title: Text::fixed(
        "El documento no se puede procesar",
        "The document cannot be processed",
    ),
};

pub(super) fn bad_source(place: Place, unfit: Unfit) -> Problem {
    let (code, detail) = match unfit {
        Unfit::Missing => (
            &problem::VALIDATION_FAILED,
            Text::fixed("Este documento no existe", "There is no such document"),
        ),
        Unfit::NotPdf => (&DOCUMENT_NOT_PDF, DOCUMENT_NOT_PDF.title.clone()),
        Unfit::Protected => (&DOCUMENT_PROTECTED, DOCUMENT_PROTECTED.title.clone()),
        Unfit::Unreadable => (&DOCUMENT_UNREADABLE, DOCUMENT_UNREADABLE.title.clone()),
    };
    match place {
        Place::Path => Problem::new(code).detail(detail),
        Place::With(number) => Problem::new(code).field(format!("/with/{number}"), detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_page_or_two_in_their_order() {
        let of = |range| pages_of(range).map(|Pages { first, last }| (first, last));

        assert_eq!(of("3"), Some((3, 3)));
        assert_eq!(of("1-2"), Some((1, 2)));
        for wrong in [
            "",
            "0",
            "2-1",
            "1-",
            "-1",
            "1-2-3",
            "+1",
            " 1",
            "a",
            "99999999999",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
