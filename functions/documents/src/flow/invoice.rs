//! An invoice: its parts, and these as a flow of blocks.

use domain::Locale;
use serde_json::Value;

use super::{Block, Cell, Column, Flow, Table, either, heading, language, list, text, texts};
use crate::invoice::thousandths;

/// What an invoice says, part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// Its title with its number.
    pub title: String,
    /// The language of its labels, its numbers and its dates.
    pub language: Locale,
    /// Who it is from.
    pub author: String,
    /// Its dates and the order that it answers.
    pub facts: Facts,
    /// Who charges.
    pub seller: Section<Vec<String>>,
    /// Who is charged.
    pub buyer: Section<Vec<String>>,
    /// What is charged, and the sums.
    pub lines: Section<Table>,
    /// How it is paid, if it says so.
    pub payment: Option<Section<Facts>>,
    /// What else it says, a paragraph each, if it says more.
    pub notes: Option<Section<Vec<String>>>,
}

/// Labels, each with its value.
pub type Facts = Vec<(String, Cell)>;

/// A part under a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section<T> {
    /// Its heading.
    pub title: String,
    /// What stands below.
    pub body: T,
}

impl Invoice {
    /// What an invoice says of data that fits its template.
    pub fn of(data: &Value, computed: &Value) -> Self {
        let language = language(data);
        let section = |es, en| either(language, es, en).to_owned();
        let notes = texts(&data["notes"]);
        Self {
            title: format!(
                "{} {}",
                section("Factura", "Invoice"),
                text(&data["number"])
            ),
            language,
            author: text(&data["seller"]["name"]),
            facts: facts(data, language),
            seller: Section {
                title: section("Emisor", "Seller"),
                body: party(&data["seller"], language),
            },
            buyer: Section {
                title: section("Cliente", "Bill to"),
                body: party(&data["buyer"], language),
            },
            lines: Section {
                title: section("Conceptos", "Lines"),
                body: lines(data, computed, language),
            },
            payment: data["payment"].is_object().then(|| Section {
                title: section("Forma de pago", "Payment"),
                body: payment(&data["payment"], language),
            }),
            notes: (!notes.is_empty()).then(|| Section {
                title: section("Observaciones", "Notes"),
                body: notes,
            }),
        }
    }

    /// The parts as blocks, in the order of reading.
    pub fn flow(self) -> Flow {
        let mut blocks = vec![heading(1, self.title.clone()), Block::Facts(self.facts)];
        let mut part = |title, body: Vec<Block>| {
            blocks.push(heading(2, title));
            blocks.extend(body);
        };
        part(self.seller.title, vec![Block::Lines(self.seller.body)]);
        part(self.buyer.title, vec![Block::Lines(self.buyer.body)]);
        part(self.lines.title, vec![Block::Table(self.lines.body)]);
        if let Some(payment) = self.payment {
            part(payment.title, vec![Block::Facts(payment.body)]);
        }
        if let Some(notes) = self.notes {
            part(
                notes.title,
                notes.body.into_iter().map(Block::Paragraph).collect(),
            );
        }
        Flow {
            title: self.title,
            language: self.language,
            author: self.author,
            blocks,
        }
    }
}

fn facts(data: &Value, language: Locale) -> Facts {
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
    present(rows)
}

fn present<const N: usize>(rows: [(&str, Option<Cell>); N]) -> Facts {
    rows.into_iter()
        .filter_map(|(label, cell)| Some((label.to_owned(), cell?)))
        .collect()
}

fn party(party: &Value, language: Locale) -> Vec<String> {
    let mut lines = vec![text(&party["name"])];
    lines.extend(texts(&party["address"]));
    if let Some(id) = party["tax_id"].as_str() {
        lines.push(format!("{}: {id}", either(language, "NIF/IVA", "Tax ID")));
    }
    for name in ["email", "phone"] {
        lines.extend(party[name].as_str().map(str::to_owned));
    }
    lines
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

fn payment(payment: &Value, language: Locale) -> Facts {
    let say = |es, en| either(language, es, en);
    let word = |name: &str| {
        payment[name]
            .as_str()
            .map(|word| Cell::Text(word.to_owned()))
    };
    let iban = payment["iban"]
        .as_str()
        .map(|iban| Cell::Text(spaced(iban)));
    present([
        (say("Condiciones", "Terms"), word("terms")),
        ("IBAN", iban),
        ("BIC", word("bic")),
        (say("Referencia", "Reference"), word("reference")),
    ])
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
