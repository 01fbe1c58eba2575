//! What needs no model: the same text always gives the same answer, for nothing.

pub mod language;
pub mod summary;

/// The words of a text in lower case, without what stands between them.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .map(|word| word.trim_matches('\'').to_lowercase())
        .filter(|word| !word.is_empty())
}
