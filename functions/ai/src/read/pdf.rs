//! The text of a PDF, page by page.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::SignedDuration;
use lopdf::{Document, LoadOptions};
use ports::clock::Clock;

use super::{LONGEST_TEXT, Refusal, tidy};

/// The most pages that are read.
pub const MOST_PAGES: usize = 500;

/// The most octets that one stream of a file may inflate to.
const LARGEST_STREAM: usize = 4 * 1024 * 1024;

/// How long the pages of a file are read at most.
const LONGEST: SignedDuration = SignedDuration::from_secs(45);

/// The text of a PDF, with an empty line between two pages.
///
/// # Errors
/// [`Refusal`].
pub fn read(octets: &[u8], clock: &dyn Clock) -> Result<String, Refusal> {
    // The reader panics at some files that are broken on purpose; such a file is a file like another here.
    catch_unwind(AssertUnwindSafe(|| pages(octets, clock))).unwrap_or(Err(Refusal::Unreadable))
}

fn pages(octets: &[u8], clock: &dyn Clock) -> Result<String, Refusal> {
    let until = clock.now().saturating_add(LONGEST).ok();
    let options = LoadOptions::with_max_decompressed_size(LARGEST_STREAM);
    let document =
        Document::load_mem_with_options(octets, options).map_err(|error| refusal(&error))?;
    if document.is_encrypted() {
        return Err(Refusal::Encrypted);
    }
    let numbers: Vec<u32> = document.get_pages().into_keys().collect();
    // What is no PDF at all is read as one without pages.
    if numbers.is_empty() {
        return Err(Refusal::Unreadable);
    }
    if numbers.len() > MOST_PAGES {
        return Err(Refusal::TooLarge);
    }
    let mut text = String::new();
    for number in numbers {
        let page = document
            .extract_text_with_limit(&[number], LARGEST_STREAM)
            .map_err(|error| refusal(&error))?;
        text.push_str(&page);
        text.push_str("\n\n");
        if text.len() > 2 * LONGEST_TEXT {
            return Err(Refusal::TooLarge);
        }
        if until.is_some_and(|until| until <= clock.now()) {
            return Err(Refusal::TooSlow);
        }
    }
    Ok(tidy(&text))
}

fn refusal(error: &lopdf::Error) -> Refusal {
    use lopdf::{DecompressError, Error};
    match error {
        Error::Decompress(DecompressError::MemoryLimitExceeded { .. }) => Refusal::TooLarge,
        Error::InvalidPassword | Error::Decryption(_) => Refusal::Encrypted,
        _ => Refusal::Unreadable,
    }
}
