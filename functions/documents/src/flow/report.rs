//! A report as a flow of blocks.

use serde_json::Value;

use super::{
    Block, Cell, Column, Flow, Table, either, heading, language, list, text, texts, words,
};

/// What a report says.
pub fn flow(data: &Value) -> Flow {
    let language = language(data);
    let title = text(&data["title"]);
    let authors = texts(&data["authors"]).join(", ");
    let mut blocks = vec![heading(1, title.clone())];
    blocks.extend(
        data["subtitle"]
            .as_str()
            .map(|it| Block::Paragraph(it.to_owned())),
    );
    blocks.push(Block::Lines(vec![
        authors.clone(),
        words::date(&text(&data["date"]), language),
    ]));
    let summary = texts(&data["abstract"]);
    if !summary.is_empty() {
        blocks.push(heading(2, either(language, "Resumen", "Summary")));
        blocks.extend(summary.into_iter().map(Block::Paragraph));
    }
    sections(&data["sections"], &[], &mut blocks);
    Flow {
        title,
        language,
        author: authors,
        blocks,
    }
}

/// Sections with their numbers, such as 2.1; a report's own title is the first level.
fn sections(all: &Value, above: &[usize], blocks: &mut Vec<Block>) {
    for (index, section) in list(all).iter().enumerate() {
        let mut number = above.to_vec();
        number.push(index + 1);
        let shown: Vec<String> = number.iter().map(ToString::to_string).collect();
        let level = u8::try_from(number.len() + 1).unwrap_or(4).min(4);
        let words = format!("{} {}", shown.join("."), text(&section["heading"]));
        blocks.push(heading(level, words));
        blocks.extend(list(&section["blocks"]).iter().map(block));
        sections(&section["sections"], &number, blocks);
    }
}

/// A block has exactly one of the four kinds.
fn block(block: &Value) -> Block {
    if block["table"].is_object() {
        return Block::Table(table(&block["table"]));
    }
    for (name, numbered) in [("bullets", false), ("numbered", true)] {
        if block[name].is_array() {
            let items = texts(&block[name]);
            return Block::List { numbered, items };
        }
    }
    Block::Paragraph(text(&block["paragraph"]))
}

fn table(table: &Value) -> Table {
    let column = |column: &Value| Column {
        title: text(&column["title"]),
        right: column["align"] == "right",
    };
    let row = |row: &Value| texts(row).into_iter().map(Cell::Text).collect();
    Table {
        caption: text(&table["caption"]),
        columns: list(&table["columns"]).iter().map(column).collect(),
        rows: list(&table["rows"]).iter().map(row).collect(),
        totals: vec![],
    }
}
