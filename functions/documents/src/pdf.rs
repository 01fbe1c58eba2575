//! New PDF files of old ones: put together, taken apart, marked, locked.
//!
//! Only the companion program `documents-render` calls [`edit`]: what a file holds may come from an
//! organisation's template, so it is read under the same limits as a template is set.

mod assemble;
mod encrypt;
mod watermark;

use std::fmt;

use lopdf::{Document, LoadOptions, Object, StringFormat};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::job::{Limits, TypesetError};
use crate::typeset::Typeset;

/// The most octets that a compressed part of a file may have once it is unpacked.
const LARGEST_STREAM: usize = 64 * 1024 * 1024;

/// Where an edit stops: more than a template may fill, because what is put together was made by many.
pub const LIMITS: Limits = Limits {
    pages: 1000,
    bytes: 20 * 1024 * 1024,
    millis: 10_000,
};

/// What becomes of files. The same edit of the same files gives the same bytes, but for [`Edit::Encrypt`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// All pages of all files, one file after the other.
    Merge,
    /// Some pages of the one file.
    Take(Pages),
    /// The one file with a text across each page.
    Watermark {
        /// The text, on one line.
        text: String,
        /// How much of the page it hides, in thousandths.
        opacity: u16,
    },
    /// The one file, to be opened with a password only.
    Encrypt(Lock),
}

/// Pages from one to another, both included, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
}

/// How a file is locked: AES with 256 bits (ISO 32000-2, revision 6).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Opens the file.
    pub user_password: String,
    /// Opens it without any restriction.
    pub owner_password: String,
    /// What whoever has the user's password may do.
    pub permissions: Vec<Permission>,
    /// The key of the file: 32 octets that nobody can guess.
    pub key: [u8; 32],
}

impl fmt::Debug for Lock {
    /// Neither password nor key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("permissions", &self.permissions)
            .finish_non_exhaustive()
    }
}

/// What a reader lets somebody do who opened a file with the user's password. Reading aloud is always
/// allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Print it, as well as the printer can.
    Print,
    /// Take text and pictures out of it.
    Copy,
    /// Change what it says.
    Modify,
    /// Add remarks and fill in forms.
    Annotate,
    /// Add, turn and remove pages.
    Assemble,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Print,
        Self::Copy,
        Self::Modify,
        Self::Annotate,
        Self::Assemble,
    ];
}

/// Makes the file.
///
/// # Errors
/// [`TypesetError::Protected`], [`TypesetError::Unreadable`], [`TypesetError::TooManyPages`],
/// [`TypesetError::TooBig`], or what the compiler says of a watermark's text.
pub fn edit(edit: &Edit, files: &[Vec<u8>], limits: Limits) -> Result<Typeset, TypesetError> {
    let mut sources = Vec::with_capacity(files.len());
    for (number, file) in (0..).zip(files) {
        sources.push(opened(file, number)?);
    }
    let mut made = match (edit, sources.as_mut_slice()) {
        (Edit::Merge, _) => assemble::all(&sources, limits)?,
        (Edit::Take(pages), [source]) => assemble::some(source, *pages)?,
        (Edit::Watermark { text, opacity }, [source]) => {
            watermark::paint(source, text, *opacity)?;
            sources.remove(0)
        }
        (Edit::Encrypt(lock), [source]) => {
            encrypt::lock(source, lock)?;
            sources.remove(0)
        }
        _ => return Err(TypesetError::Unreadable { file: 0 }),
    };
    // Of an encrypted file too: its tree of pages holds neither texts nor streams.
    let pages = count(&made);
    if pages > limits.pages {
        return Err(TypesetError::TooManyPages {
            pages,
            limit: limits.pages,
        });
    }
    identify(&mut made, edit, files);
    let mut file = Vec::new();
    made.save_to(&mut file)?;
    let bytes = file.len() as u64;
    if bytes > limits.bytes {
        return Err(TypesetError::TooBig {
            bytes,
            limit: limits.bytes,
        });
    }
    Ok(Typeset {
        file,
        pages: Some(pages),
    })
}

fn opened(file: &[u8], number: u32) -> Result<Document, TypesetError> {
    let unreadable = TypesetError::Unreadable { file: number };
    let options = LoadOptions::with_max_decompressed_size(LARGEST_STREAM);
    let document = match Document::load_mem_with_options(file, options) {
        Ok(document) => document,
        Err(lopdf::Error::InvalidPassword | lopdf::Error::Decryption(_)) => {
            return Err(TypesetError::Protected { file: number });
        }
        Err(_) => return Err(unreadable),
    };
    if document.is_encrypted() || document.was_encrypted() {
        return Err(TypesetError::Protected { file: number });
    }
    if count(&document) == 0 {
        return Err(unreadable);
    }
    Ok(document)
}

fn count(document: &Document) -> u32 {
    u32::try_from(document.page_iter().count()).unwrap_or(u32::MAX)
}

/// The file's `/ID`, of what it was made from: not of the moment, and not of a password.
fn identify(document: &mut Document, edit: &Edit, files: &[Vec<u8>]) {
    let mut hash = Context::new(&SHA256);
    match edit {
        Edit::Merge => hash.update(b"merge"),
        Edit::Take(Pages { first, last }) => hash.update(format!("{first}-{last}").as_bytes()),
        Edit::Watermark { text, opacity } => hash.update(format!("{opacity} {text}").as_bytes()),
        Edit::Encrypt(_) => hash.update(b"encrypt"),
    }
    for file in files {
        hash.update(ring::digest::digest(&SHA256, file).as_ref());
    }
    let id = hash.finish().as_ref()[..16].to_vec();
    let id = Object::String(id, StringFormat::Hexadecimal);
    document.trailer.set("ID", vec![id.clone(), id]);
}
