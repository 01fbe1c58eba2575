//! What an invoice's template prints, in words: the parts that the other formats are written from, so that no figure
//! is formatted in two places.
//!
//! The engine finds out how wide a column and how high a row is by setting every cell up to three times. What one
//! line is as wide as can be told from the letters: the template then gives the engine widths and heights, and each
//! cell is set once.

use domain::Locale;
use serde_json::{Value, json};
use typst::text::FontWeight;

use super::fonts::Fonts;
use crate::flow::invoice::{Facts, Invoice, Section};
use crate::flow::{Column, Table};

/// What is printed, in these fonts.
pub fn shown(invoice: &Invoice, fonts: &Fonts) -> Value {
    let language = invoice.language;
    let lines = |part: &Section<Vec<String>>| json!({"title": part.title, "lines": part.body});
    json!({
        "title": invoice.title,
        "language": language,
        "author": invoice.author,
        "facts": facts(&invoice.facts, language),
        "seller": lines(&invoice.seller),
        "buyer": lines(&invoice.buyer),
        "table": table(&invoice.lines.body, language, fonts),
        "payment": invoice.payment.as_ref().map(|payment| {
            json!({"title": payment.title, "facts": facts(&payment.body, language)})
        }),
        "notes": invoice.notes.as_ref().map(lines),
    })
}

fn facts(facts: &Facts, language: Locale) -> Vec<[String; 2]> {
    facts
        .iter()
        .map(|(label, cell)| [label.clone(), cell.shown(language)])
        .collect()
}

/// Widths are in em of the text that is meant: `head` of a column's title, `width` of its widest cell or of a row's
/// first cell.
fn table(table: &Table, language: Locale, fonts: &Fonts) -> Value {
    let width = |cell: &String| fonts.width(cell, FontWeight::REGULAR);
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| row.iter().map(|cell| cell.shown(language)).collect())
        .collect();
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(width).fold(0.0, f64::max)
    };
    let column = |(index, column): (usize, &Column)| {
        let head = fonts.width(&column.title, FontWeight::BOLD);
        json!({"title": column.title, "head": head, "width": widest(index)})
    };
    let columns: Vec<Value> = table.columns.iter().enumerate().map(column).collect();
    let row = |cells: &Vec<String>| {
        let width = cells.first().map_or(0.0, width);
        json!({"width": width, "cells": cells})
    };
    let rows: Vec<Value> = rows.iter().map(row).collect();
    json!({"columns": columns, "rows": rows, "totals": facts(&table.totals, language)})
}
