//! An invoice of thirty lines on two pages: ours, through the child process that the functions use, beside what
//! else draws such a document.
//!
//! Every document is another one. An engine that remembers what it has worked out, as ours does, would otherwise
//! be measured at remembering.
//!
//! Ours is timed from the request's data to the octets: the schema, the sums, the pipe, and a file that is tagged
//! (PDF/UA-1) and archivable (PDF/A-2b). The others get sums and formatted figures, or a page of HTML, ready-made,
//! and need be neither; that of their first document leaves out their process's start, which ours has in it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use documents::{
    check::{Checked, check},
    flow::{Block, Flow},
    format::Format,
    job::Output,
    layout::Layout,
    renderer::Renderer,
    template::Template,
};
use domain::Locale;
use fleet::{Failure, Outcome, console::say, failure::While};
use serde_json::{Value, json};

use crate::{
    figures::{megabytes, millis, quantile},
    functions,
    lambda::Function,
    peers::{Peer, Workshop},
    process,
    report::Report,
};

/// Lines of an invoice, which take two pages.
const LINES: usize = 30;

/// Tax rates of the lines, in basis points.
const RATES: [u32; 3] = [2000, 500, 0];

/// Documents that warm an engine up, besides its first.
const WARM_UP: usize = 5;

/// Processes that are started to see how long a first document takes.
const STARTS: usize = 10;

/// Milliseconds that the first document of a fresh process may take.
const FIRST: f64 = 40.0;

/// Megabytes that a worker and its child may hold together.
const MEMORY: f64 = 150.0;

/// What an engine did.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which it was.
    pub version: String,
    /// Milliseconds of the first document.
    pub first: f64,
    /// Milliseconds of each document after it was warm.
    pub warm: Vec<f64>,
    /// Megabytes at most.
    pub memory: f64,
    /// Octets of the last file.
    pub octets: u64,
}

impl Measured {
    fn median(&self) -> f64 {
        quantile(&mut self.warm.clone(), 0.5)
    }
}

/// Measures everybody and holds ours against them.
pub async fn measure(binaries: &Path, runs: usize, report: &mut Report) -> Outcome {
    let invoices: Vec<Invoice> = (0..=WARM_UP + runs)
        .map(Invoice::new)
        .collect::<Outcome<_>>()?;
    let workshop = Workshop::open()?;
    workshop.lay_out(&invoices)?;
    say(format_args!(
        "\ninvoice of {LINES} lines as PDF: {runs} documents, each another one, after {} to warm up",
        WARM_UP + 1
    ));
    say(format_args!(
        "{:24} {:>9} {:>8} {:>8} {:>8} {:>10} {:>9}",
        "engine", "first ms", "min ms", "p50 ms", "p99 ms", "memory MB", "octets"
    ));
    let ours = ours(binaries, &invoices, &workshop).await?;
    row("ours", &ours);
    for peer in Peer::ALL {
        let measured = workshop.measure(peer, WARM_UP, invoices.len());
        if let Ok(measured) = &measured {
            row(peer.name(), measured);
        }
        compare(&ours, peer, measured, report);
    }
    report.below("first document of a fresh process", ours.first, FIRST, "ms");
    report.below(
        "an idle worker and its warm child",
        ours.memory,
        MEMORY,
        "MB",
    );
    Ok(())
}

fn row(name: &str, measured: &Measured) {
    let mut warm = measured.warm.clone();
    say(format_args!(
        "{:24} {:>9.1} {:>8.2} {:>8.2} {:>8.2} {:>10.1} {:>9}",
        format!("{name} {}", measured.version),
        measured.first,
        quantile(&mut warm, 0.0),
        quantile(&mut warm, 0.5),
        quantile(&mut warm, 0.99),
        measured.memory,
        measured.octets,
    ));
}

fn compare(ours: &Measured, peer: Peer, theirs: Outcome<Measured>, report: &mut Report) {
    let what = match peer.share() {
        1.0 => format!("a warm document, beside {}", peer.name()),
        share => format!(
            "a warm document, beside 1/{:.0} of {}",
            1.0 / share,
            peer.name()
        ),
    };
    match theirs {
        Ok(theirs) => report.below(&what, ours.median(), theirs.median() * peer.share(), "ms"),
        Err(why) => report.unmeasured(&what, &why.to_string()),
    }
}

/// Ours, from the request's data to the octets of the file.
async fn ours(binaries: &Path, invoices: &[Invoice], workshop: &Workshop) -> Outcome<Measured> {
    let program = binaries.join("documents-render");
    let mut firsts = Vec::new();
    for invoice in invoices.iter().cycle().take(STARTS) {
        let (_, taken) = draw(&Renderer::new(&program), invoice).await?;
        firsts.push(millis(taken));
    }
    let renderer = Renderer::new(&program);
    let (mut warm, mut files) = (Vec::new(), Vec::new());
    for invoice in invoices {
        let (file, taken) = draw(&renderer, invoice).await?;
        warm.push(millis(taken));
        files.push(file);
    }
    let octets = files.last().map_or(0, Vec::len);
    workshop.keep("ours", &files)?;
    let child = renderer.process_id().and_then(process::peak);
    let worker = Function::start(
        &binaries.join("documents-worker"),
        functions::variables("documents-worker"),
    )?;
    Ok(Measured {
        version: String::new(),
        first: quantile(&mut firsts, 0.5),
        warm: warm.split_off(1 + WARM_UP),
        memory: megabytes(child.unwrap_or_default() + worker.peak()),
        octets: u64::try_from(octets).during("counting octets")?,
    })
}

async fn draw(renderer: &Renderer, invoice: &Invoice) -> Outcome<(Vec<u8>, Duration)> {
    let data = invoice.data.clone();
    let started = Instant::now();
    let layout = Layout::BuiltIn(Template::Invoice);
    let job = layout.job(checked(data)?, Output::File(Format::Pdf));
    let document = renderer.render(&job).await.during("setting an invoice")?;
    Ok((document.file, started.elapsed()))
}

fn checked(data: Value) -> Outcome<Checked> {
    check(Template::Invoice, data)
        .map_err(|faults| Failure::new(format!("the bench's invoice is wrong: {faults:?}")))
}

/// An invoice, as we take it and as it is handed to the others.
pub struct Invoice {
    data: Value,
    flow: Flow,
}

impl Invoice {
    /// The invoice of this number; no two are alike.
    fn new(number: usize) -> Outcome<Self> {
        let [_, mut data] = Template::Invoice.samples();
        data["number"] = json!(format!("2026-{number:04}"));
        data["lines"] = (0..LINES).map(|line| self::line(number, line)).collect();
        let Checked { data, computed } = checked(data)?;
        let flow = Flow::of(Template::Invoice, &data, &computed);
        Ok(Self { data, flow })
    }

    /// Everything that it says, in words and formatted figures, for those who lay out by program.
    pub fn blocks(&self) -> Value {
        let blocks: Vec<Value> = self
            .flow
            .blocks
            .iter()
            .map(|block| written(block, self.flow.language))
            .collect();
        json!({"title": self.flow.title, "author": self.flow.author, "blocks": blocks})
    }

    /// The same as a page of HTML.
    pub fn html(&self) -> Outcome<String> {
        let page = documents::write::write(&self.flow, Format::Html, None);
        String::from_utf8(page.during("writing HTML")?).during("reading HTML")
    }
}

fn line(invoice: usize, line: usize) -> Value {
    json!({
        "description": format!("Consulting for project {invoice}, part {line}"),
        "quantity": format!("{}.5", 1 + (invoice + line) % 9),
        "unit": "h",
        "unit_price": 8000 + (invoice * 37 + line * 101) % 5000,
        "tax_rate_bps": RATES[line % RATES.len()],
    })
}

fn written(block: &Block, language: Locale) -> Value {
    match block {
        Block::Heading { level, text } => json!({"kind": "heading", "level": level, "text": text}),
        Block::Paragraph(text) => json!({"kind": "paragraph", "text": text}),
        Block::Lines(lines) => json!({"kind": "lines", "lines": lines}),
        Block::List { items, .. } => json!({"kind": "lines", "lines": items}),
        Block::Facts(facts) => {
            let facts = facts
                .iter()
                .map(|(label, cell)| [label.clone(), cell.shown(language)]);
            json!({"kind": "facts", "facts": facts.collect::<Vec<_>>()})
        }
        Block::Table(table) => {
            let shown = |row: &Vec<_>| -> Vec<String> {
                row.iter()
                    .map(|cell: &documents::flow::Cell| cell.shown(language))
                    .collect()
            };
            let totals = table
                .totals
                .iter()
                .map(|(label, cell)| [label.clone(), cell.shown(language)]);
            json!({
                "kind": "table",
                "columns": table.columns.iter().map(|column| &column.title).collect::<Vec<_>>(),
                "rows": table.rows.iter().map(shown).collect::<Vec<_>>(),
                "totals": totals.collect::<Vec<_>>(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_invoices_are_alike_and_each_says_what_is_to_be_paid() {
        let [one, other] = [1, 2].map(|number| Invoice::new(number).unwrap().blocks());

        assert_ne!(one, other);
        let blocks = one["blocks"].as_array().unwrap();
        let table = blocks
            .iter()
            .find(|block| block["kind"] == "table")
            .unwrap();
        assert_eq!(table["rows"].as_array().unwrap().len(), LINES);
        let totals = table["totals"].as_array().unwrap();
        assert_eq!(totals.last().unwrap()[0], "Total");
    }
}
