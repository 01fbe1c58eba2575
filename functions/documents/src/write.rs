//! The writers of a flow of blocks: one a format. Equal flows give equal octets, in any process and on any
//! day: nothing of a file comes from the clock.

mod docx;
mod html;
pub mod markup;
mod xlsx;

use crate::flow::Flow;
use crate::format::Format;

/// A flow could not be written, which is a mistake of ours.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the file: {0}")]
pub struct WriteError(String);

/// The file of a format other than PDF.
///
/// # Errors
/// If the format's library refuses what it is given.
pub fn write(flow: &Flow, format: Format, accent: &str) -> Result<Vec<u8>, WriteError> {
    match format {
        Format::Docx => docx::write(flow, accent),
        Format::Xlsx => xlsx::write(flow, accent),
        Format::Html => Ok(html::write(flow, accent).into_bytes()),
        Format::Pdf => Err(WriteError("a PDF is typeset, not written".to_owned())),
    }
}
