//! Where a document leads: a reader's click must open a page or a letter, never a program or a file.

use typst::layout::{Frame, FrameItem};
use typst::model::Destination;
use typst_layout::PagedDocument;

use crate::job::TypesetError;

/// What a link may begin with.
const ALLOWED: [&str; 4] = ["https:", "http:", "mailto:", "tel:"];

/// Every link of the document leads to an address that is allowed.
///
/// # Errors
/// [`TypesetError::Refused`] at the first that does not.
pub fn check(document: &PagedDocument) -> Result<(), TypesetError> {
    document
        .pages()
        .iter()
        .try_for_each(|page| walk(&page.frame))
}

/// Groups nest as deeply as the layout does, which the engine bounds.
fn walk(frame: &Frame) -> Result<(), TypesetError> {
    frame.items().try_for_each(|(_, item)| match item {
        FrameItem::Group(group) => walk(&group.frame),
        FrameItem::Link(Destination::Url(url), _) if !is_allowed(url.as_str()) => {
            Err(TypesetError::Refused {
                message: "a link leads elsewhere than to http, https, mailto or tel".to_owned(),
                place: None,
            })
        }
        _ => Ok(()),
    })
}

/// Readers skip white space and control characters before a scheme, so whatever has some is refused.
pub(super) fn is_allowed(url: &str) -> bool {
    let lower = url.to_ascii_lowercase();
    ALLOWED.iter().any(|scheme| lower.starts_with(scheme)) && !url.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_letters_and_calls_are_led_to() {
        for url in [
            "https://example.com",
            "HTTP://example.com",
            "mailto:a@example.com",
            "tel:+1",
        ] {
            assert!(is_allowed(url), "{url}");
        }
        for url in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            " javascript:alert(1)",
            "java\nscript:alert(1)",
            "file:///etc/passwd",
            "data:text/html,x",
            "vbscript:x",
            "\\\\host\\share",
            "ftp://example.com",
            "/etc/passwd",
            "https://example.com/\u{0}",
        ] {
            assert!(!is_allowed(url), "{url}");
        }
    }
}
