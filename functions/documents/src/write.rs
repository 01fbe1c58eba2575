//! The writers of a flow of blocks: one a format. Equal flows give equal octets, in any process and on any
//! day: nothing of a file comes from the clock.

mod docx;
mod html;
pub mod markup;
mod xlsx;

use crate::brand::{Font, Look};
use crate::flow::Flow;
use crate::format::Format;

/// A flow could not be written, which is a mistake of ours.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the file: {0}")]
pub struct WriteError(String);

/// The colour of headings, as in `templates/frame.typ`.
const ACCENT: &str = "1D3F5E";

/// The file of a format other than PDF; `look` is what it wears, if anything.
///
/// # Errors
/// If the format's library refuses what it is given.
pub fn write(flow: &Flow, format: Format, look: Option<&Look>) -> Result<Vec<u8>, WriteError> {
    match format {
        Format::Docx => docx::write(flow, look),
        Format::Xlsx => xlsx::write(flow, &accent(look)),
        Format::Html => Ok(html::write(flow, look).into_bytes()),
        Format::Pdf => Err(WriteError("a PDF is typeset, not written".to_owned())),
    }
}

/// The six digits of the colour of headings.
fn accent(look: Option<&Look>) -> String {
    look.map_or_else(|| ACCENT.to_owned(), |look| look.brand.accent.digits())
}

/// Whether what is written is to have letters without serifs. These files carry no font, so that a face is named
/// that its reader's machine has.
fn is_sans(look: Option<&Look>) -> bool {
    look.is_some_and(|look| look.brand.font == Font::NotoSans)
}
