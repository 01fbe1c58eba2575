//! What is asked of the renderer and what it answers: the words that both ends of the pipe share.

use std::borrow::Cow;
use std::io;

use domain::{Locale, Text};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::brand::Look;
use crate::format::Format;
use crate::pdf::Edit;
use crate::picture::Flaw;
use crate::template::Template;

/// What the child is asked for, in one frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request<'a> {
    /// A document from a template and data. If it wears a logo, that follows in a frame of its own.
    Typeset(Cow<'a, Job>),
    /// A file from files that were made before; they follow in frames of their own.
    Edit {
        /// What becomes of them.
        edit: Cow<'a, Edit>,
        /// How many follow.
        files: u32,
        /// Where to stop.
        limits: Limits,
    },
    /// A picture without what is said about it, if it can be unpacked; it follows in a frame of its own.
    Picture,
}

/// One document to make. The same job gives the same bytes, in any process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// What lays it out.
    pub source: Source,
    /// What is to come of it.
    pub output: Output,
    /// What the client sent; the template reads it as data, never as markup. That of a built-in template is
    /// checked before it comes here, that of another one here, because its schema may be as hostile as
    /// its source.
    pub data: Value,
    /// What the engine worked out from it, such as totals.
    pub computed: Value,
    /// What the document wears, if its organisation has a brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
    /// The date of creation in the file, to the second.
    pub timestamp: Timestamp,
    /// Names the document; a hash of it is the file's `/ID`.
    pub ident: String,
    /// Where to stop.
    pub limits: Limits,
}

/// Where the layout comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// One of the templates in the program.
    BuiltIn(Template),
    /// A template of an organisation, which may be hostile.
    Own(OwnSource),
    /// A Word file of an organisation, which may be hostile.
    Docx(DocxSource),
}

/// A template that came from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnSource {
    /// The text of its `main.typ`.
    pub text: String,
    /// JSON Schema of its data.
    pub schema: Value,
    /// The title of a document that sets none.
    pub title: String,
}

/// A Word file that came from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocxSource {
    /// The file in base64; empty where only a verdict is asked for.
    pub file: String,
    /// JSON Schema of its data.
    pub schema: Value,
}

/// What a job makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Nothing: whether the data fits the schema is all that is asked.
    Verdict,
    /// A file of this kind.
    File(Format),
    /// A picture of one page, counted from 1.
    Png {
        /// Which.
        page: u32,
    },
}

/// How large a document may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Pages.
    pub pages: u32,
    /// Octets of the file.
    pub bytes: u64,
    /// Milliseconds by the clock on the wall, at most; the renderer has a limit of its own besides.
    pub millis: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pages: 200,
            bytes: 10 * 1024 * 1024,
            millis: 10_000,
        }
    }
}

/// A finished document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The file.
    pub file: Vec<u8>,
    /// Pages of the document; nothing if its format has none.
    pub pages: Option<u32>,
    /// SHA-256 of the file, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypesetError {
    /// A text holds a character that the fonts cannot show.
    #[error("no font shows U+{:04X} at {pointer}", u32::from(*character))]
    MissingGlyph {
        /// JSON pointer of the text, under `/data`.
        pointer: String,
        /// The first such character of the text.
        character: char,
    },
    /// It has more pages than it may have.
    #[error("{pages} pages, at most {limit} allowed")]
    TooManyPages {
        /// Pages it has.
        pages: u32,
        /// Pages it may have.
        limit: u32,
    },
    /// The file is larger than it may be.
    #[error("{bytes} octets, at most {limit} allowed")]
    TooBig {
        /// Octets it has.
        bytes: u64,
        /// Octets it may have.
        limit: u64,
    },
    /// The template is wrong or does not accept the data.
    #[error("template refused: {message}")]
    Refused {
        /// What the compiler says; it may quote the template, and never the data.
        message: String,
        /// Where in the template, if that is known.
        place: Option<Place>,
    },
    /// A Word file is not accepted, or does not become a document with the data.
    #[error("Word file refused: {}", .detail.en)]
    Unfillable {
        /// What is wrong; it may quote the template's placeholders, and never the data.
        detail: Words,
    },
    /// The template's schema is no JSON Schema 2020-12.
    #[error("bad schema at {pointer}")]
    BadSchema {
        /// JSON pointer into the schema.
        pointer: String,
        /// What is wrong there.
        detail: Words,
    },
    /// The data does not fit the template's schema.
    #[error("{} faults in the data", .faults.len())]
    Unfit {
        /// Each place that is wrong, at least one.
        faults: Vec<Unfitting>,
    },
    /// A file opens only with a password, so nothing can be made of it.
    #[error("file {file} is protected by a password")]
    Protected {
        /// Which of the files, counted from 0.
        file: u32,
    },
    /// A file is no PDF that can be worked on.
    #[error("file {file} cannot be read")]
    Unreadable {
        /// Which of the files, counted from 0.
        file: u32,
    },
    /// A picture is not taken on.
    #[error("picture refused: {flaw}")]
    BadPicture {
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// It took longer than it may, in time or in processor time.
    #[error("took longer than allowed")]
    TimedOut,
    /// The renderer ended itself: out of memory, or out of stack.
    #[error("the renderer gave up")]
    Aborted,
    /// The renderer could not be started, or ended in the middle for a reason that is not the document's.
    #[error("renderer crashed: {cause}")]
    Crashed {
        /// For logs only.
        cause: String,
    },
}

/// A place in a source, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// One place of the data that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfitting {
    /// JSON pointer, under `/data`.
    pub pointer: String,
    /// What is wrong there.
    pub detail: Words,
}

/// A [`Text`] on its way through the pipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// Spanish.
    pub es: String,
    /// English.
    pub en: String,
}

impl From<&Text> for Words {
    fn from(text: &Text) -> Self {
        Self {
            es: text.get(Locale::Es).to_owned(),
            en: text.get(Locale::En).to_owned(),
        }
    }
}

impl From<Words> for Text {
    fn from(words: Words) -> Self {
        Self::with(words.es, words.en)
    }
}

impl From<io::Error> for TypesetError {
    fn from(error: io::Error) -> Self {
        Self::Crashed {
            cause: error.to_string(),
        }
    }
}

/// What the child answers; if it did what was asked, the next frame is the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The document's pages, or why there is none.
    pub outcome: Result<Option<u32>, TypesetError>,
    /// The child has become too large to be kept, and ends after this answer.
    pub retires: bool,
}

/// No frame is longer, in octets: whatever claims to be is not one of ours.
pub const LONGEST_FRAME: u32 = 64 * 1024 * 1024;

/// The length that goes before a frame: four octets, the highest first.
///
/// # Errors
/// If the frame is longer than [`LONGEST_FRAME`].
pub fn frame_length(frame: &[u8]) -> io::Result<[u8; 4]> {
    u32::try_from(frame.len())
        .ok()
        .filter(|length| *length <= LONGEST_FRAME)
        .map(u32::to_be_bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "frame too long"))
}

/// The length that such four octets announce.
///
/// # Errors
/// If it is longer than [`LONGEST_FRAME`].
pub fn announced_length(octets: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(octets);
    if length > LONGEST_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
    }
    usize::try_from(length).map_err(io::Error::other)
}
