//! A document as a flow of blocks, apart from any file format: what DOCX, XLSX and HTML are written from.
//!
//! The built-in templates fill it from data that was checked. A PDF is not made this way, because its
//! layout is more than a flow; what both say is the same. That of an invoice is laid out from the same parts.

pub mod invoice;
mod letter;
mod report;
pub mod words;

use domain::Locale;
use serde_json::Value;

use crate::template::Template;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its title, for the metadata; the first heading shows it.
    pub title: String,
    /// The language of its labels, its numbers and its dates.
    pub language: Locale,
    /// Who it is from.
    pub author: String,
    /// What it is made of, in the order of reading.
    pub blocks: Vec<Block>,
}

/// A part of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A heading; the first level is the document's own, and no level is skipped.
    Heading {
        /// 1 to 4.
        level: u8,
        /// What it says.
        text: String,
    },
    /// A paragraph.
    Paragraph(String),
    /// Lines that belong together, such as an address.
    Lines(Vec<String>),
    /// Labels, each with its value.
    Facts(Vec<(String, Cell)>),
    /// A list.
    List {
        /// Whether its items are counted.
        numbered: bool,
        /// Its items.
        items: Vec<String>,
    },
    /// A table.
    Table(Table),
}

/// A table with one row of headings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// The sums below it, the last of them the one that counts.
    pub totals: Vec<(String, Cell)>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub title: String,
    /// Whether its cells stand on the right, as numbers do.
    pub right: bool,
}

/// A value with its type, so that a number stays a number where a file can hold one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A day, as RFC 3339 writes it.
    Date(String),
    /// Money in minor units.
    Amount {
        /// How much.
        minor: i64,
        /// Decimals of the currency.
        places: u32,
        /// ISO 4217.
        currency: String,
    },
    /// Basis points.
    Percent(i64),
    /// How many, in thousandths, and of what.
    Quantity {
        /// How many.
        thousandths: i64,
        /// Such as h or kg; empty if it is pieces.
        unit: String,
    },
}

impl Cell {
    /// As a reader of this language expects it.
    pub fn shown(&self, language: Locale) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Date(iso) => words::date(iso, language),
            Self::Amount {
                minor,
                places,
                currency,
            } => words::amount(*minor, *places, currency, language),
            Self::Percent(bps) => words::percent(*bps, language),
            Self::Quantity { thousandths, unit } => {
                let number = words::quantity(*thousandths, language);
                if unit.is_empty() {
                    number
                } else {
                    format!("{number}\u{a0}{unit}")
                }
            }
        }
    }
}

impl Flow {
    /// What a built-in template makes of data that fits it.
    pub fn of(template: Template, data: &Value, computed: &Value) -> Self {
        match template {
            Template::Invoice => invoice::Invoice::of(data, computed).flow(),
            Template::Letter => letter::flow(data),
            Template::Report => report::flow(data),
        }
    }
}

fn language(data: &Value) -> Locale {
    if data["locale"] == "es" {
        Locale::Es
    } else {
        Locale::En
    }
}

/// One of two words.
fn either(language: Locale, es: &'static str, en: &'static str) -> &'static str {
    match language {
        Locale::Es => es,
        Locale::En => en,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn heading(level: u8, text: impl Into<String>) -> Block {
    Block::Heading {
        level,
        text: text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;

    #[test]
    fn every_sample_becomes_a_document_that_begins_with_its_title_and_skips_no_level() {
        for template in Template::ALL {
            for data in template.samples() {
                let checked = check(template, data).unwrap();

                let flow = Flow::of(template, &checked.data, &checked.computed);

                let levels: Vec<u8> = flow
                    .blocks
                    .iter()
                    .filter_map(|block| match block {
                        Block::Heading { level, .. } => Some(*level),
                        _ => None,
                    })
                    .collect();
                assert_eq!(levels[0], 1, "{template:?}");
                assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1));
                assert!(!flow.title.is_empty() && !flow.author.is_empty());
                for block in &flow.blocks {
                    if let Block::Table(table) = block {
                        assert!(
                            table
                                .rows
                                .iter()
                                .all(|row| row.len() == table.columns.len())
                        );
                    }
                }
            }
        }
    }
}
