//! Typst as the fleet uses it: a template and data in, one PDF/A-2b and PDF/UA-1 file out.
//!
//! Only the companion program `documents-render` calls this module; a compile cannot be cancelled
//! inside a process, and a hostile document can abort the one that it runs in.

mod child;
mod fonts;
mod glyphs;
mod limits;
mod sources;
mod world;

pub use child::serve;
pub use limits::restrict;

use jiff::Timestamp;
use jiff::tz::Offset;
use typst::comemo;
use typst::diag::SourceDiagnostic;
use typst::foundations::{Datetime, Smart};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards};

use crate::job::{Job, TypesetError};
use world::JobWorld;

/// A file that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typeset {
    /// The file.
    pub pdf: Vec<u8>,
    /// Its pages.
    pub pages: u32,
}

/// Makes the document. Equal jobs give equal bytes.
///
/// # Errors
/// Everything of [`TypesetError`] but a time-out and a crash, which only the parent can see.
pub fn typeset(job: &Job) -> Result<Typeset, TypesetError> {
    glyphs::check(&job.data)?;
    let made = compile(job);
    // The engine remembers what it worked out; without this the process grows with every document. What
    // the next document does not use again is forgotten; what it does, the template's part, saves a
    // seventh of the time.
    comemo::evict(1);
    made
}

fn compile(job: &Job) -> Result<Typeset, TypesetError> {
    let world = JobWorld::new(job);
    let document: PagedDocument = typst::compile(&world).output.map_err(|all| refused(&all))?;
    let pages = u32::try_from(document.pages().len()).unwrap_or(u32::MAX);
    if pages > job.limits.pages {
        return Err(TypesetError::TooManyPages {
            pages,
            limit: job.limits.pages,
        });
    }
    let pdf = typst_pdf::pdf(&document, &options(job)?).map_err(|all| refused(&all))?;
    let bytes = pdf.len() as u64;
    if bytes > job.limits.bytes {
        return Err(TypesetError::TooBig {
            bytes,
            limit: job.limits.bytes,
        });
    }
    Ok(Typeset { pdf, pages })
}

/// Nothing here depends on the process: the identifier and the date come with the job.
fn options(job: &Job) -> Result<PdfOptions, TypesetError> {
    let standards = PdfStandards::new(&[PdfStandard::A_2b, PdfStandard::Ua_1]).map_err(|e| {
        TypesetError::Refused {
            message: e.message().to_string(),
        }
    })?;
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

fn refused(diagnostics: &[SourceDiagnostic]) -> TypesetError {
    let messages: Vec<&str> = diagnostics.iter().map(|one| one.message.as_str()).collect();
    TypesetError::Refused {
        message: messages.join("; "),
    }
}
