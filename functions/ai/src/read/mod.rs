//! Files as texts: what a document of a collection says, without how it looks.
//!
//! A file is hostile until it has been read: what it inflates to, how many pages it has and how long it
//! takes are bounded, and whatever its reader does not expect is a [`Refusal`] with words for people.

pub mod docx;
pub mod html;
pub mod markdown;
pub mod pdf;
pub mod table;

use domain::Text;
use models::failure::Kept;
use ports::clock::Clock;
use runtime::Problem;
use runtime::problem::Code;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::passage::Extracted;

/// The most octets of a document's text, as it is taken out of a file.
pub const LONGEST_TEXT: usize = 300_000;

/// What a document can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum MediaType {
    /// Text as it stands.
    #[serde(rename = "text/plain")]
    Plain,
    /// `CommonMark` with tables.
    #[serde(rename = "text/markdown")]
    Markdown,
    /// A page; scripts, styles and what is hidden are left out.
    #[serde(rename = "text/html")]
    Html,
    /// A table whose first row names its columns; each other row becomes a passage.
    #[serde(rename = "text/csv")]
    Csv,
    /// A PDF that has text, not only pictures of it.
    #[serde(rename = "application/pdf")]
    Pdf,
    /// Word's format since 2007.
    #[serde(rename = "application/vnd.openxmlformats-officedocument.wordprocessingml.document")]
    Docx,
}

impl MediaType {
    /// Whether it comes as text, not as a file.
    pub const fn is_text(self) -> bool {
        !matches!(self, Self::Pdf | Self::Docx)
    }
}

/// Why a file is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not what it says that it is, or broken.
    #[error("not readable")]
    Unreadable,
    /// It is closed by a password.
    #[error("encrypted")]
    Encrypted,
    /// There is no text in it.
    #[error("without text")]
    Empty,
    /// It, or what it unpacks to, is larger than is read.
    #[error("too large")]
    TooLarge,
    /// It takes longer to read than is waited for.
    #[error("too slow")]
    TooSlow,
}

/// The file is no document that can be read.
pub static DOCUMENT_UNREADABLE: Code = Code {
    code: "document_unreadable",
    status: 422,
    title: Text::fixed(
        "No se puede leer el documento",
        "The document cannot be read",
    ),
};

/// There is no text in the file.
pub static DOCUMENT_EMPTY: Code = Code {
    code: "document_empty",
    status: 422,
    title: Text::fixed("El documento no tiene texto", "The document has no text"),
};

/// The file says more than is read.
pub static DOCUMENT_TOO_LARGE: Code = Code {
    code: "document_too_large",
    status: 422,
    title: Text::fixed(
        "El documento es demasiado grande",
        "The document is too large",
    ),
};

impl Refusal {
    /// What is told and kept of it.
    pub fn kept(self) -> Kept {
        let (code, detail) = match self {
            Self::Unreadable => (
                &DOCUMENT_UNREADABLE,
                Text::fixed(
                    "El archivo está dañado o no es de este tipo",
                    "The file is broken or not of this type",
                ),
            ),
            Self::Encrypted => (
                &DOCUMENT_UNREADABLE,
                Text::fixed(
                    "El archivo está protegido con contraseña",
                    "The file is protected by a password",
                ),
            ),
            Self::Empty => (
                &DOCUMENT_EMPTY,
                Text::fixed(
                    "No se ha encontrado texto; si es un escaneo, hace falta reconocerlo antes",
                    "No text was found; a scan has to be recognised first",
                ),
            ),
            Self::TooLarge => (
                &DOCUMENT_TOO_LARGE,
                Text::fixed(
                    "El texto puede ocupar 300 000 octetos, y el archivo descomprimido 32 MB y 500 páginas",
                    "The text may have 300,000 octets, and the unpacked file 32 MB and 500 pages",
                ),
            ),
            Self::TooSlow => (
                &DOCUMENT_TOO_LARGE,
                Text::fixed("Leerlo lleva demasiado tiempo", "Reading it takes too long"),
            ),
        };
        Kept::of(&Problem::new(code).detail(detail))
    }
}

/// The text of a file.
///
/// # Errors
/// Why it has none that can be used.
pub fn read(media: MediaType, octets: &[u8], clock: &dyn Clock) -> Result<Extracted, Refusal> {
    let extracted = match media {
        MediaType::Pdf => pdf::read(octets, clock)?.into(),
        MediaType::Docx => docx::read(octets)?.into(),
        MediaType::Plain => tidy(utf8(octets)?).into(),
        MediaType::Markdown => tidy(&markdown::read(utf8(octets)?)).into(),
        MediaType::Html => tidy(&html::read(utf8(octets)?)).into(),
        MediaType::Csv => table::read(utf8(octets)?)?,
    };
    if extracted.text.trim().is_empty() {
        return Err(Refusal::Empty);
    }
    if extracted.text.len() > LONGEST_TEXT {
        return Err(Refusal::TooLarge);
    }
    Ok(extracted)
}

fn utf8(octets: &[u8]) -> Result<&str, Refusal> {
    let text = std::str::from_utf8(octets).map_err(|_| Refusal::Unreadable)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// A text as it is kept: composed letters, one kind of line end, no control characters, at most one empty
/// line between two others and none at the beginning.
pub(crate) fn tidy(text: &str) -> String {
    let unix = text.replace("\r\n", "\n").replace(['\r', '\u{c}'], "\n");
    let mut tidy = String::with_capacity(unix.len());
    let mut empty = 0;
    for line in unix.split('\n') {
        let line: String = line
            .nfc()
            .filter(|c| !c.is_control() || *c == '\t')
            .collect();
        let line = line.trim_end();
        if line.trim().is_empty() {
            empty += 1;
            continue;
        }
        if !tidy.is_empty() {
            tidy.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        empty = 0;
        tidy.push_str(line);
    }
    tidy
}

#[cfg(test)]
mod tests {
    use ports::clock::ManualClock;

    use super::*;

    fn text(media: MediaType, octets: &[u8]) -> Result<String, Refusal> {
        let clock = ManualClock::at_text("2026-11-24T10:11:12Z");
        read(media, octets, &*clock).map(|extracted| extracted.text)
    }

    #[test]
    fn a_text_keeps_its_paragraphs_and_loses_what_nobody_sees() {
        let octets = "\u{feff}Primero\r\n\r\n\r\n\u{0}Segundo e\u{301}xito  \nmás".as_bytes();

        assert_eq!(
            text(MediaType::Plain, octets).unwrap(),
            "Primero\n\nSegundo éxito\nmás"
        );
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (media, octets, refusal) in [
            (
                MediaType::Plain,
                b"\xff\xfe".as_slice(),
                Refusal::Unreadable,
            ),
            (MediaType::Plain, b" \n ", Refusal::Empty),
            (
                MediaType::Html,
                b"<script>alert(1)</script>",
                Refusal::Empty,
            ),
            (MediaType::Docx, b"PK\x03\x04 nothing", Refusal::Unreadable),
            (MediaType::Pdf, b"%PDF-1.7 nothing", Refusal::Unreadable),
            (
                MediaType::Plain,
                "x".repeat(LONGEST_TEXT + 1).as_bytes(),
                Refusal::TooLarge,
            ),
        ] {
            assert_eq!(text(media, octets), Err(refusal), "{media:?}");
        }
    }
}
