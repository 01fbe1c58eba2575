//! Typst as the fleet uses it: a template and data in, one PDF/A-2b and PDF/UA-1 file out.
//!
//! Only the companion program `documents-render` calls this module; a compile cannot be cancelled
//! inside a process, and a hostile document can abort the one that it runs in.

mod child;
mod fill;
mod fonts;
mod glyphs;
mod library;
mod limits;
mod links;
mod refusal;
mod shown;
mod sources;
mod world;

pub use child::serve;
pub use limits::restrict;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};
use typst::comemo;
use typst::foundations::{Datetime, Smart};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards};
use typst_render::RenderOptions;

use crate::check::schema;
use crate::flow::Flow;
use crate::format::Format;
use crate::job::{Job, Limits, Output, OwnSource, Source, TypesetError, Unfitting};
use crate::template::Template;
use crate::write;
use world::JobWorld;

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typeset {
    /// The file; empty if only a verdict was asked for.
    pub file: Vec<u8>,
    /// Pages of the document, if it has any.
    pub pages: Option<u32>,
}

/// Points of a picture's longer side at most: a page larger than that is shown smaller.
const LONGEST_SIDE: f64 = 2400.0;

/// Dots for each point of a picture: 144 dots an inch.
const DOTS: f64 = 2.0;

/// Makes the document. Equal jobs give equal bytes.
///
/// # Errors
/// Everything of [`TypesetError`] but a time-out, an abort and a crash, which only the parent can see.
pub fn typeset(job: &Job) -> Result<Typeset, TypesetError> {
    match &job.source {
        Source::Own(source) => verdict(&source.schema, job)?,
        Source::Docx(source) => verdict(&source.schema, job)?,
        Source::BuiltIn(_) => {}
    }
    if job.output == Output::Verdict {
        return Ok(Typeset {
            file: vec![],
            pages: None,
        });
    }
    if let (Source::BuiltIn(template), Output::File(format)) = (&job.source, job.output)
        && format != Format::Pdf
    {
        return written(*template, format, job);
    }
    if let (Source::Docx(source), Output::File(Format::Docx)) = (&job.source, job.output) {
        return bounded(fill::fill(source, job)?, None, job);
    }
    glyphs::check(&job.data, fonts::of(job))?;
    let made = compile(job);
    // The engine remembers what it worked out; without this the process grows with every document. What
    // the next document does not use again is forgotten; what it does, the template's part, saves a
    // seventh of the time.
    comemo::evict(1);
    made
}

/// Whether the data fits the schema of the template that came with it.
fn verdict(of: &Value, job: &Job) -> Result<(), TypesetError> {
    let validator = schema::of_tenant(of).map_err(|fault| TypesetError::BadSchema {
        pointer: fault.pointer,
        detail: (&fault.detail).into(),
    })?;
    let faults: Vec<Unfitting> = schema::faults_of_tenant(&validator, &job.data)
        .into_iter()
        .map(|fault| Unfitting {
            pointer: fault.pointer,
            detail: (&fault.detail).into(),
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(TypesetError::Unfit { faults })
    }
}

/// A text as a page of its own size and nothing but the text: what a watermark is painted with. Its
/// letters are those of the house and travel with the file.
///
/// # Errors
/// [`TypesetError::MissingGlyph`] at `/data/text`, or what the compiler says.
pub fn stamp(text: &str) -> Result<Vec<u8>, TypesetError> {
    let job = Job {
        source: Source::Own(OwnSource {
            text: STAMP.to_owned(),
            schema: Value::Bool(true),
            title: String::new(),
        }),
        output: Output::File(Format::Pdf),
        data: json!({ "text": text }),
        computed: Value::Null,
        look: None,
        timestamp: Timestamp::UNIX_EPOCH,
        ident: text.to_owned(),
        limits: Limits::default(),
    };
    glyphs::check(&job.data, fonts::of(&job))?;
    let world = JobWorld::new(&job)?;
    let refused = |all: &[_]| refusal::of(&world, &job, all);
    let document: PagedDocument = typst::compile(&world).output.map_err(|all| refused(&all))?;
    // The text is decoration, so nothing of it is tagged.
    let options = PdfOptions {
        ident: Smart::Custom(job.ident.clone()),
        timestamp: datetime(job.timestamp).map(typst_pdf::Timestamp::new_utc),
        tagged: false,
        standards: standards(&[PdfStandard::A_2b])?,
        ..PdfOptions::default()
    };
    let file = typst_pdf::pdf(&document, &options).map_err(|all| refused(&all));
    comemo::evict(1);
    file
}

/// As large as the text, in the grey of a watermark; how large and how faint it becomes is up to whoever
/// paints it.
const STAMP: &str = r#"#set page(width: auto, height: auto, margin: 0pt, fill: none)
#set text(font: "Libertinus Serif", size: 60pt, weight: "bold", fill: rgb("5b6670"), hyphenate: false)
#set text(top-edge: "ascender", bottom-edge: "descender")
#data.text"#;

fn compile(job: &Job) -> Result<Typeset, TypesetError> {
    let world = JobWorld::new(job)?;
    let refused = |all: &[_]| refusal::of(&world, job, all);
    let document: PagedDocument = typst::compile(&world).output.map_err(|all| refused(&all))?;
    let pages = u32::try_from(document.pages().len()).unwrap_or(u32::MAX);
    if pages > job.limits.pages {
        return Err(TypesetError::TooManyPages {
            pages,
            limit: job.limits.pages,
        });
    }
    links::check(&document)?;
    let file = match job.output {
        Output::Png { page } => picture(&document, page)?,
        Output::File(_) | Output::Verdict => {
            typst_pdf::pdf(&document, &options(job)?).map_err(|all| refused(&all))?
        }
    };
    bounded(file, Some(pages), job)
}

/// A file of a format that has no pages.
fn written(template: Template, format: Format, job: &Job) -> Result<Typeset, TypesetError> {
    let flow = Flow::of(template, &job.data, &job.computed);
    let written = write::write(&flow, format, job.look.as_ref());
    let file = written.map_err(|error| TypesetError::Refused {
        message: error.to_string(),
        place: None,
    })?;
    bounded(file, None, job)
}

fn bounded(file: Vec<u8>, pages: Option<u32>, job: &Job) -> Result<Typeset, TypesetError> {
    let bytes = file.len() as u64;
    if bytes > job.limits.bytes {
        return Err(TypesetError::TooBig {
            bytes,
            limit: job.limits.bytes,
        });
    }
    Ok(Typeset { file, pages })
}

/// A page as a picture; the last one if the document has fewer.
fn picture(document: &PagedDocument, page: u32) -> Result<Vec<u8>, TypesetError> {
    let index = usize::try_from(page.saturating_sub(1)).unwrap_or(usize::MAX);
    let pages = document.pages();
    let unpaintable = |message: &str| TypesetError::Refused {
        message: message.to_owned(),
        place: None,
    };
    let page = pages
        .get(index)
        .or(pages.last())
        .ok_or_else(|| unpaintable("the document has no page"))?;
    let size = page.frame.size();
    let longest = size.x.to_pt().max(size.y.to_pt()).max(1.0);
    let options = RenderOptions {
        pixel_per_pt: DOTS.min(LONGEST_SIDE / longest).into(),
        ..RenderOptions::default()
    };
    typst_render::render(page, &options)
        .encode_png()
        .map_err(|_| unpaintable("the page cannot be painted"))
}

/// Nothing here depends on the process: the identifier and the date come with the job.
fn options(job: &Job) -> Result<PdfOptions, TypesetError> {
    let standards = standards(&[PdfStandard::A_2b, PdfStandard::Ua_1])?;
    Ok(PdfOptions {
        ident: Smart::Custom(job.ident.clone()),
        creator: Smart::Auto,
        timestamp: datetime(job.timestamp).map(typst_pdf::Timestamp::new_utc),
        page_ranges: None,
        standards,
        tagged: true,
        pretty: false,
    })
}

fn standards(all: &[PdfStandard]) -> Result<PdfStandards, TypesetError> {
    PdfStandards::new(all).map_err(|e| TypesetError::Refused {
        message: e.message().to_string(),
        place: None,
    })
}

fn datetime(moment: Timestamp) -> Option<Datetime> {
    let utc = Offset::UTC.to_datetime(moment);
    let part = |value: i8| u8::try_from(value).ok();
    Datetime::from_ymd_hms(
        i32::from(utc.year()),
        part(utc.month())?,
        part(utc.day())?,
        part(utc.hour())?,
        part(utc.minute())?,
        part(utc.second())?,
    )
}
