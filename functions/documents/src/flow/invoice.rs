//! An invoice as a flow of blocks.

use domain::Locale;
use serde_json::Value;

use super::{Block, Cell, Column, Flow, Table, either, heading, language, list, text, texts};
use crate::invoice::thousandths;

/// What an invoice says.
pub fn flow(data: &Value, computed: &Value) -> Flow {
    let language = language(data);
    let say = |es, en| either(language, es, en);
    let title = format!("{} {}", say("Factura", "Invoice"), text(&data["number"]));
    let mut blocks = vec![heading(1, title.clone()), facts(data, language)];
    blocks.push(heading(2, say("Emisor", "Seller")));
    blocks.push(party(&data["seller"], language));
    blocks.push(heading(2, say("Cliente", "Bill to")));
    blocks.push(party(&data["buyer"], language));
    blocks.push(heading(2, say("Conceptos", "Lines")));
    blocks.push(Block::Table(lines(data, computed, language)));
    if data["payment"].is_object() {
        blocks.push(heading(2, say("Forma de pago", "Payment")));
        blocks.push(payment(&data["payment"], language));
    }
    let notes = texts(&data["notes"]);
    if !notes.is_empty() {
        blocks.push(heading(2, say("Observaciones", "Notes")));
        blocks.extend(notes.into_iter().map(Block::Paragraph));
    }
    Flow {
        title,
        language,
        author: text(&data["seller"]["name"]),
        blocks,
    }
}

fn facts(data: &Value, language: Locale) -> Block {
    let say = |es, en| either(language, es, en);
    let date = |name: &str| data[name].as_str().map(|iso| Cell::Date(iso.to_owned()));
    let order = data["purchase_order"]
        .as_str()
        .map(|order| Cell::Text(order.to_owned()));
    let rows = [
        (say("Fecha de emisión", "Issue date"), date("issue_date")),
        (say("Fecha de vencimiento", "Due date"), date("due_date")),
        (say("Pedido", "Purchase order"), order),
    ];
    Block::Facts(present(rows))
}

fn present<const N: usize>(rows: [(&str, Option<Cell>); N]) -> Vec<(String, Cell)> {
    rows.into_iter()
        .filter_map(|(label, cell)| Some((label.to_owned(), cell?)))
        .collect()
}

fn party(party: &Value, language: Locale) -> Block {
    let mut lines = vec![text(&party["name"])];
    lines.extend(texts(&party["address"]));
    if let Some(id) = party["tax_id"].as_str() {
        lines.push(format!("{}: {id}", either(language, "NIF/IVA", "Tax ID")));
    }
    for name in ["email", "phone"] {
        lines.extend(party[name].as_str().map(str::to_owned));
    }
    Block::Lines(lines)
}

fn lines(data: &Value, computed: &Value, language: Locale) -> Table {
    let say = |es: &'static str, en| either(language, es, en);
    let amount = |value: &Value| Cell::Amount {
        minor: value.as_i64().unwrap_or(0),
        places: computed["currency_places"]
            .as_u64()
            .and_then(|places| u32::try_from(places).ok())
            .unwrap_or(2),
        currency: text(&data["currency"]),
    };
    let columns = [
        (say("Concepto", "Description"), false),
        (say("Cantidad", "Quantity"), true),
        (say("Precio unitario", "Unit price"), true),
        (say("Impuesto", "Tax"), true),
        (say("Importe", "Amount"), true),
    ];
    let row = |(line, sums): (&Value, &Value)| {
        vec![
            Cell::Text(text(&line["description"])),
            Cell::Quantity {
                thousandths: thousandths(&line["quantity"]).unwrap_or(0),
                unit: text(&line["unit"]),
            },
            amount(&line["unit_price"]),
            Cell::Percent(line["tax_rate_bps"].as_i64().unwrap_or(0)),
            amount(&sums["net"]),
        ]
    };
    let mut totals = vec![(
        say("Base imponible", "Subtotal").to_owned(),
        amount(&computed["net"]),
    )];
    for tax in list(&computed["taxes"]) {
        let rate = super::words::percent(tax["rate_bps"].as_i64().unwrap_or(0), language);
        let base = amount(&tax["base"]).shown(language);
        let label = format!(
            "{} {rate} {} {base}",
            say("Impuesto", "Tax"),
            say("sobre", "on")
        );
        totals.push((label, amount(&tax["tax"])));
    }
    totals.push((say("Total", "Total").to_owned(), amount(&computed["total"])));
    Table {
        caption: say("Conceptos facturados", "What is charged").to_owned(),
        columns: columns
            .into_iter()
            .map(|(title, right)| Column {
                title: title.to_owned(),
                right,
            })
            .collect(),
        rows: list(&data["lines"])
            .iter()
            .zip(list(&computed["lines"]))
            .map(row)
            .collect(),
        totals,
    }
}

fn payment(payment: &Value, language: Locale) -> Block {
    let say = |es, en| either(language, es, en);
    let word = |name: &str| {
        payment[name]
            .as_str()
            .map(|word| Cell::Text(word.to_owned()))
    };
    let iban = payment["iban"]
        .as_str()
        .map(|iban| Cell::Text(spaced(iban)));
    Block::Facts(present([
        (say("Condiciones", "Terms"), word("terms")),
        ("IBAN", iban),
        ("BIC", word("bic")),
        (say("Referencia", "Reference"), word("reference")),
    ]))
}

/// An account number in groups of four.
fn spaced(iban: &str) -> String {
    let letters: Vec<char> = iban.chars().filter(|c| *c != ' ').collect();
    let groups: Vec<String> = letters
        .chunks(4)
        .map(|four| four.iter().collect())
        .collect();
    groups.join("\u{a0}")
}
