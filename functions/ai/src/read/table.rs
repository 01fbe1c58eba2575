//! A table as text: each row names its columns, so that a passage says what its values are.

use csv::{ReaderBuilder, StringRecord};

use super::{LONGEST_TEXT, Refusal, tidy};
use crate::passage::Extracted;

/// The rows of a table, each with a seam behind it: `Name: Ana`, a line a value. Its separator is the one
/// of comma, semicolon and tabulator that the first line has most of.
///
/// # Errors
/// It is no table, or becomes too long a text.
pub fn read(source: &str) -> Result<Extracted, Refusal> {
    let mut reader = ReaderBuilder::new()
        .delimiter(separator(source))
        .flexible(true)
        .from_reader(source.as_bytes());
    let headings = reader.headers().map_err(|_| Refusal::Unreadable)?.clone();
    let mut extracted = Extracted::default();
    for row in reader.records() {
        let said = said(&headings, &row.map_err(|_| Refusal::Unreadable)?);
        if said.is_empty() {
            continue;
        }
        if !extracted.text.is_empty() {
            extracted.text.push_str("\n\n");
            extracted.seams.push(extracted.text.len());
        }
        extracted.text.push_str(&said);
        if extracted.text.len() > LONGEST_TEXT {
            return Err(Refusal::TooLarge);
        }
    }
    Ok(extracted)
}

fn separator(source: &str) -> u8 {
    let first = source.lines().next().unwrap_or_default();
    let count = |separator: &u8| first.bytes().filter(|octet| octet == separator).count();
    // The last of equals is taken: a comma, if there is none of any.
    let known = [b'\t', b';', b','];
    known.into_iter().max_by_key(count).unwrap_or(b',')
}

fn said(headings: &StringRecord, row: &StringRecord) -> String {
    let lines = row.iter().enumerate().filter_map(|(column, value)| {
        // A value of several lines stays in its own.
        let value = tidy(value).replace('\n', " ");
        let heading = tidy(headings.get(column).unwrap_or_default()).replace('\n', " ");
        match (heading.as_str(), value.as_str()) {
            (_, "") => None,
            ("", value) => Some(value.to_owned()),
            (heading, value) => Some(format!("{heading}: {value}")),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_names_its_columns() {
        for source in [
            "producto,precio\nbarra,\"1,20 €\"\n,\ntarta,18 €\n",
            "producto;precio\nbarra;1,20 €\ntarta;18 €\n",
        ] {
            let table = read(source).unwrap();

            let rows = "producto: barra\nprecio: 1,20 €\n\nproducto: tarta\nprecio: 18 €";
            assert_eq!(table.text, rows);
            assert_eq!(
                &table.text[table.seams[0]..],
                "producto: tarta\nprecio: 18 €"
            );
        }
    }

    #[test]
    fn a_row_with_a_value_too_many_keeps_it() {
        let table = read("a\n1,2\n").unwrap();

        assert_eq!(table.text, "a: 1\n2");
    }
}
