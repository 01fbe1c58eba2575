//! The templates that every organisation has: their names, schemas and samples.
//!
//! Their Typst sources stand in `typeset::sources`, because only the renderer needs them.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A template in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// Seller, buyer, lines, taxes, totals.
    Invoice,
    /// Sender, recipient, subject, paragraphs.
    Letter,
    /// Sections, lists, tables, a table of contents.
    Report,
}

struct Texts {
    schema: &'static str,
    samples: [&'static str; 2],
}

static SCHEMAS: [LazyLock<Value>; 3] = [
    LazyLock::new(|| parsed(Template::Invoice.texts().schema)),
    LazyLock::new(|| parsed(Template::Letter.texts().schema)),
    LazyLock::new(|| parsed(Template::Report.texts().schema)),
];

impl Template {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Invoice, Self::Letter, Self::Report];

    /// The name that requests and events carry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::Letter => "letter",
            Self::Report => "report",
        }
    }

    /// The template of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|template| template.name() == name)
    }

    /// What its data must look like (JSON Schema 2020-12).
    pub fn schema(self) -> &'static Value {
        &SCHEMAS[self.index()]
    }

    /// Data that it accepts, in Spanish and in English.
    pub fn samples(self) -> [Value; 2] {
        self.texts().samples.map(parsed)
    }

    /// Its place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    const fn texts(self) -> Texts {
        macro_rules! texts {
            ($name:literal) => {
                Texts {
                    schema: include_str!(concat!("../templates/", $name, "/schema.json")),
                    samples: [
                        include_str!(concat!("../templates/", $name, "/samples/es.json")),
                        include_str!(concat!("../templates/", $name, "/samples/en.json")),
                    ],
                }
            };
        }
        match self {
            Self::Invoice => texts!("invoice"),
            Self::Letter => texts!("letter"),
            Self::Report => texts!("report"),
        }
    }
}

/// The files are part of the program, so one that is not JSON is a mistake that no caller can cure.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("a template's file is not JSON: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_found_by_its_name_and_by_nothing_else() {
        for template in Template::ALL {
            assert_eq!(Template::named(template.name()), Some(template));
        }
        assert_eq!(Template::named("Invoice"), None);
        assert_eq!(Template::named("../invoice"), None);
    }

    #[test]
    fn every_template_has_a_closed_schema_and_a_sample_in_each_language() {
        for template in Template::ALL {
            assert_eq!(template.schema()["additionalProperties"], false);
            assert_eq!(
                template.samples().map(|sample| sample["locale"].clone()),
                ["es", "en"]
            );
        }
    }
}
