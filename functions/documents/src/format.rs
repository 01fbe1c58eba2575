//! The kinds of file that a document can be.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A kind of file.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// PDF/A-2b and PDF/UA-1 in one.
    #[default]
    Pdf,
    /// Office Open XML text (ISO/IEC 29500).
    Docx,
    /// Office Open XML workbook (ISO/IEC 29500).
    Xlsx,
    /// One HTML file that loads nothing.
    Html,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pdf, Self::Docx, Self::Xlsx, Self::Html];

    /// The name that requests and events carry, which is the end of a file's name too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Xlsx => "xlsx",
            Self::Html => "html",
        }
    }

    /// Media type (IANA).
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}
