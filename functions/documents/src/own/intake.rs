//! What a template has to be before it is taken on.

use data_encoding::BASE64;
use domain::Id;
use domain::Text;
use domain::id::Template;
use serde_json::Value;

use super::{Body, LIMITS, OwnVersion, WordFile, hash};
use crate::check::{Fault, below, text};
use crate::job::{Output, TypesetError};
use crate::layout::Layout;
use crate::{Documents, DocumentsError};

/// Octets of a source.
const LONGEST_SOURCE: usize = 128 * 1024;
/// Octets of a Word file: with schema and samples it fits a request of 1 MiB, base64 and all.
const LARGEST_DOCX: usize = 512 * 1024;
/// Octets of a schema as JSON text.
const LONGEST_SCHEMA: usize = 64 * 1024;
/// Octets of all samples as JSON text.
const LONGEST_SAMPLES: usize = 128 * 1024;
/// Samples.
const MOST_SAMPLES: usize = 4;
/// Characters of a name.
const LONGEST_NAME: usize = 120;
/// What the schema may say that it is written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Why a template is not taken on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A part of it is not acceptable.
    Invalid,
    /// Its source does not become a document.
    Source,
    /// Its source takes too long.
    Slow,
}

/// What a version is made of.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) name: String,
    pub(super) schema: Value,
    pub(super) body: Body,
    pub(super) samples: Vec<Value>,
}

/// The one of source and Word file that a request has.
///
/// # Errors
/// [`DocumentsError::BadTemplate`] if it has both or none, or if the file cannot be one.
pub(super) fn body(source: Option<String>, docx: Option<String>) -> Result<Body, DocumentsError> {
    let detail = match (source, docx) {
        (Some(source), None) => return Ok(Body::Typst(source)),
        (None, Some(docx)) => match BASE64.decode(docx.as_bytes()) {
            Ok(file) if file.len() <= LARGEST_DOCX => {
                return Ok(Body::Docx(WordFile::new(file)));
            }
            Ok(file) => too_many_octets(file.len(), LARGEST_DOCX),
            Err(_) => Text::fixed("No es base64", "Not base64"),
        },
        (Some(_), Some(_)) => Text::fixed(
            "Indica `source` o `docx`, no ambos",
            "Give `source` or `docx`, not both",
        ),
        (None, None) => {
            let fault = fault(
                "/source",
                Text::fixed("Falta `source` o `docx`", "`source` or `docx` is missing"),
            );
            return Err(DocumentsError::BadTemplate(Refusal::Invalid, vec![fault]));
        }
    };
    let fault = fault("/docx", detail);
    Err(DocumentsError::BadTemplate(Refusal::Invalid, vec![fault]))
}

fn too_many_octets(octets: usize, limit: usize) -> Text {
    Text::with(
        format!("Ocupa {octets} octetos; el máximo es {limit}"),
        format!("Has {octets} octets; at most {limit} are allowed"),
    )
}

impl Content {
    /// The name is not part of a version.
    pub(super) fn sha256(&self) -> String {
        let samples = Value::from(self.samples.clone()).to_string();
        let schema = self.schema.to_string();
        match &self.body {
            Body::Typst(source) => hash(&[&schema, &samples, source]),
            // No schema begins like this, so that no version of the other kind has the same.
            Body::Docx(word) => hash(&["docx", &word.sha256, &schema, &samples]),
        }
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = name_faults(&self.name);
        let mut bounded = |pointer: &str, octets: usize, limit: usize| {
            if octets > limit {
                faults.push(fault(pointer, too_many_octets(octets, limit)));
            }
        };
        let samples: usize = self.samples.iter().map(|one| one.to_string().len()).sum();
        if let Body::Typst(source) = &self.body {
            bounded("/source", source.len(), LONGEST_SOURCE);
        }
        bounded("/schema", self.schema.to_string().len(), LONGEST_SCHEMA);
        bounded("/samples", samples, LONGEST_SAMPLES);
        if !(1..=MOST_SAMPLES).contains(&self.samples.len()) {
            faults.push(fault(
                "/samples",
                Text::with(
                    format!("Debe haber de 1 a {MOST_SAMPLES} ejemplos"),
                    format!("There must be 1 to {MOST_SAMPLES} samples"),
                ),
            ));
        }
        if matches!(&self.body, Body::Typst(source) if source.trim().is_empty()) {
            faults.push(fault(
                "/source",
                Text::fixed("No puede estar vacío", "Must not be empty"),
            ));
        }
        schema_faults(&self.schema, "/schema", &mut faults);
        for (index, sample) in self.samples.iter().enumerate() {
            if !sample.is_object() {
                faults.push(fault(
                    &format!("/samples/{index}"),
                    Text::fixed("Debe ser un objeto", "Must be an object"),
                ));
            }
            faults.extend(text::faults_below(sample, &format!("/samples/{index}")));
        }
        faults
    }
}

impl Documents {
    /// Checks a template to the end: each sample has to become a document. Gives the hash of the content.
    pub(super) async fn admit(
        &self,
        id: Id<Template>,
        content: &Content,
    ) -> Result<String, DocumentsError> {
        let faults = content.faults();
        if !faults.is_empty() {
            return Err(DocumentsError::BadTemplate(Refusal::Invalid, faults));
        }
        let sha256 = content.sha256();
        let layout = Layout::Own(Box::new(OwnVersion {
            template: id,
            name: content.name.clone(),
            number: 1,
            schema: content.schema.clone(),
            body: content.body.clone(),
            samples: vec![],
            sha256: sha256.clone(),
            created_at: self.clock.now(),
        }));
        for (index, sample) in content.samples.iter().enumerate() {
            let checked = layout
                .prepare(sample.clone())
                .map_err(DocumentsError::Unfit)?;
            let job = layout.job(checked, Output::File(content.body.format()));
            if let Err(error) = self.renderer.render(&job).await {
                let sample = format!("/samples/{index}");
                return Err(refused(error, &sample, place_of(&content.body)));
            }
        }
        Ok(sha256)
    }
}

/// Where what lays a template out stands in a request.
const fn place_of(body: &Body) -> &'static str {
    match body {
        Body::Typst(_) => "/source",
        Body::Docx(_) => "/docx",
    }
}

/// What the renderer says of a template that is being taken on.
fn refused(error: TypesetError, sample: &str, body: &str) -> DocumentsError {
    let (refusal, fault) = match error {
        TypesetError::BadSchema { pointer, detail } => (
            Refusal::Invalid,
            fault(&format!("/schema{pointer}"), detail.into()),
        ),
        TypesetError::Unfit { faults } => {
            let faults = faults.into_iter().map(|fault| Fault {
                pointer: format!("{sample}{}", without_data(&fault.pointer)),
                detail: fault.detail.into(),
            });
            return DocumentsError::BadTemplate(Refusal::Invalid, faults.collect());
        }
        TypesetError::MissingGlyph { pointer, character } => (
            Refusal::Invalid,
            Fault {
                pointer: format!("{sample}{}", without_data(&pointer)),
                detail: crate::check::text::unprintable(character),
            },
        ),
        TypesetError::Refused { message, place } => {
            (Refusal::Source, fault(body, source_detail(&message, place)))
        }
        TypesetError::Unfillable { detail } => (Refusal::Source, fault(body, detail.into())),
        TypesetError::TooManyPages { pages, limit } => (
            Refusal::Source,
            fault(
                body,
                Text::with(
                    format!("Un ejemplo tiene {pages} páginas; el máximo es {limit}"),
                    format!("A sample has {pages} pages; at most {limit} are allowed"),
                ),
            ),
        ),
        TypesetError::TooBig { bytes, limit } => (
            Refusal::Source,
            fault(
                body,
                Text::with(
                    format!("Un ejemplo ocupa {bytes} octetos; el máximo es {limit}"),
                    format!("A sample has {bytes} octets; at most {limit} are allowed"),
                ),
            ),
        ),
        TypesetError::TimedOut => (Refusal::Slow, fault(body, too_slow())),
        TypesetError::Aborted => (Refusal::Source, fault(body, too_hungry())),
        error @ (TypesetError::Crashed { .. }
        | TypesetError::Protected { .. }
        | TypesetError::BadPicture { .. }
        | TypesetError::Unreadable { .. }) => return DocumentsError::Typeset(error),
    };
    DocumentsError::BadTemplate(refusal, vec![fault])
}

/// What the compiler says, with the place in the source.
pub fn source_detail(message: &str, place: Option<crate::job::Place>) -> Text {
    match place {
        Some(place) => Text::with(
            format!("Línea {}, columna {}: {message}", place.line, place.column),
            format!("Line {}, column {}: {message}", place.line, place.column),
        ),
        None => Text::with(
            format!("El compilador dice: {message}"),
            format!("The compiler says: {message}"),
        ),
    }
}

/// Said of a source that does not end in time.
pub fn too_slow() -> Text {
    let seconds = LIMITS.millis / 1000;
    Text::with(
        format!("Tarda más de {seconds} segundos"),
        format!("Takes more than {seconds} seconds"),
    )
}

/// Said of a source that ends its process.
pub fn too_hungry() -> Text {
    Text::fixed(
        "Necesita demasiada memoria o se anida demasiado",
        "Needs too much memory or nests too deeply",
    )
}

/// Whether a template can have this name.
pub(super) fn check_name(name: &str) -> Result<(), DocumentsError> {
    let faults = name_faults(name);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(DocumentsError::BadTemplate(Refusal::Invalid, faults))
    }
}

fn name_faults(name: &str) -> Vec<Fault> {
    let length = name.chars().count();
    if (1..=LONGEST_NAME).contains(&length)
        && !name.trim().is_empty()
        && !name.chars().any(char::is_control)
    {
        return vec![];
    }
    vec![fault(
        "/name",
        Text::with(
            format!("Debe tener de 1 a {LONGEST_NAME} caracteres, ninguno de control"),
            format!("Must have 1 to {LONGEST_NAME} characters, none of them a control character"),
        ),
    )]
}

/// What is wrong with a schema before anybody compiles it: it has to be of the house's dialect, and must
/// not lead anywhere else.
fn schema_faults(schema: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    if pointer == "/schema" && !schema.is_object() {
        faults.push(fault(
            pointer,
            Text::fixed("Debe ser un objeto", "Must be an object"),
        ));
    }
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                let here = below(pointer, name);
                match (name.as_str(), member.as_str()) {
                    ("$ref" | "$dynamicRef", Some(target)) if !target.starts_with('#') => {
                        faults.push(fault(
                            &here,
                            Text::fixed(
                                "Solo puede remitir al propio esquema (#…)",
                                "May only refer to this schema itself (#…)",
                            ),
                        ));
                    }
                    ("$schema", Some(dialect)) if dialect.trim_end_matches('#') != DIALECT => {
                        faults.push(fault(
                            &here,
                            Text::with(format!("Debe ser {DIALECT}"), format!("Must be {DIALECT}")),
                        ));
                    }
                    _ => schema_faults(member, &here, faults),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                schema_faults(item, &below(pointer, &index.to_string()), faults);
            }
        }
        _ => {}
    }
}

fn without_data(pointer: &str) -> &str {
    pointer.strip_prefix("/data").unwrap_or(pointer)
}

fn fault(pointer: &str, detail: Text) -> Fault {
    Fault {
        pointer: pointer.to_owned(),
        detail,
    }
}
