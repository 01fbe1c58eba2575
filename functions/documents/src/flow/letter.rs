//! A letter as a flow of blocks.

use serde_json::Value;

use super::{Block, Flow, either, heading, language, text, texts, words};

/// What a letter says.
pub fn flow(data: &Value) -> Flow {
    let language = language(data);
    let subject = text(&data["subject"]);
    let place = data["place"]
        .as_str()
        .map_or_else(String::new, |place| format!("{place}, "));
    let mut dated = vec![format!(
        "{place}{}",
        words::date(&text(&data["date"]), language)
    )];
    if let Some(reference) = data["reference"].as_str() {
        let label = either(language, "Referencia", "Reference");
        dated.push(format!("{label}: {reference}"));
    }
    // The subject comes first, so that the document begins with its heading.
    let mut blocks = vec![
        heading(1, subject.clone()),
        Block::Lines(party(&data["sender"])),
        Block::Lines(party(&data["recipient"])),
        Block::Lines(dated),
    ];
    blocks.extend(data["opening"].as_str().map(paragraph));
    blocks.extend(texts(&data["paragraphs"]).into_iter().map(Block::Paragraph));
    blocks.push(paragraph(&text(&data["closing"])));
    let mut signature = vec![text(&data["signature"]["name"])];
    signature.extend(data["signature"]["role"].as_str().map(str::to_owned));
    blocks.push(Block::Lines(signature));
    let enclosures = texts(&data["enclosures"]);
    if !enclosures.is_empty() {
        blocks.push(heading(2, either(language, "Anexos", "Enclosures")));
        blocks.push(Block::List {
            numbered: false,
            items: enclosures,
        });
    }
    Flow {
        title: subject,
        language,
        author: text(&data["sender"]["name"]),
        blocks,
    }
}

fn paragraph(text: &str) -> Block {
    Block::Paragraph(text.to_owned())
}

fn party(party: &Value) -> Vec<String> {
    let mut lines = vec![text(&party["name"])];
    lines.extend(texts(&party["address"]));
    for name in ["email", "phone"] {
        lines.extend(party[name].as_str().map(str::to_owned));
    }
    lines
}
