//! The text of a Word document: its paragraphs and the cells of its tables.

use std::io::{Cursor, Read};

use roxmltree::{Document, Node, ParsingOptions};
use zip::ZipArchive;

use super::{Refusal, tidy};

/// The most octets that the document's own part may inflate to.
const LARGEST_PART: u64 = 32 * 1024 * 1024;

/// The most nodes of it: each costs some memory, however short it is written.
const MOST_NODES: u32 = 1_000_000;

/// The text, with an empty line between two paragraphs.
///
/// # Errors
/// [`Refusal`].
pub fn read(octets: &[u8]) -> Result<String, Refusal> {
    // An encrypted document is no archive but a compound file of Microsoft's.
    if octets.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return Err(Refusal::Encrypted);
    }
    let mut archive = ZipArchive::new(Cursor::new(octets)).map_err(|_| Refusal::Unreadable)?;
    let part = archive
        .by_name("word/document.xml")
        .map_err(|_| Refusal::Unreadable)?;
    let mut source = String::new();
    let read = part.take(LARGEST_PART + 1).read_to_string(&mut source);
    // What an archive says of its sizes is not believed.
    if source.len() as u64 > LARGEST_PART {
        return Err(Refusal::TooLarge);
    }
    read.map_err(|_| Refusal::Unreadable)?;
    let options = ParsingOptions {
        nodes_limit: MOST_NODES,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(&source, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached => Refusal::TooLarge,
        _ => Refusal::Unreadable,
    })?;
    Ok(tidy(&words(&document)))
}

/// Every text of the document in its order. What was deleted and is only kept as a change is not there: it
/// stands in elements of another name.
fn words(document: &Document<'_>) -> String {
    let mut text = String::new();
    for node in document.descendants().filter(Node::is_element) {
        match node.tag_name().name() {
            "p" if !in_cell(node) => text.push_str("\n\n"),
            "p" if !text.ends_with('\n') => text.push('\t'),
            "t" => text.push_str(node.text().unwrap_or_default()),
            "tab" if !is_setting(node) => text.push('\t'),
            "tr" | "tbl" | "br" | "cr" => text.push('\n'),
            _ => {}
        }
    }
    text
}

fn in_cell(paragraph: Node<'_, '_>) -> bool {
    paragraph
        .parent()
        .is_some_and(|node| node.tag_name().name() == "tc")
}

/// A tabulator's place in the settings of a paragraph is no tabulator in its text.
fn is_setting(tab: Node<'_, '_>) -> bool {
    tab.parent()
        .is_some_and(|node| node.tag_name().name() == "tabs")
}
