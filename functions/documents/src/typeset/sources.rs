//! The Typst files in the program. A template reads these and its job's data; there is nothing else.

use crate::template::Template;

/// The text of a template's `main.typ`.
pub const fn main(template: Template) -> &'static str {
    match template {
        Template::Invoice => include_str!("../../templates/invoice/main.typ"),
        Template::Letter => include_str!("../../templates/letter/main.typ"),
        Template::Report => include_str!("../../templates/report/main.typ"),
    }
}

/// The files that several templates share, by their paths.
pub const SHARED: [(&str, &str); 2] = [
    ("frame.typ", include_str!("../../templates/frame.typ")),
    ("locale.typ", include_str!("../../templates/locale.typ")),
];
