//! DOCX and XLSX as programs open them that have nothing in common with ours (python-docx, openpyxl), and the
//! first page of each PDF as it looks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use documents::check::{Checked, check};
use documents::flow::{Block, Cell, Flow};
use documents::format::Format;
use documents::job::Output;
use documents::layout::Layout;
use documents::template::Template;
use documents::typeset::typeset;
use fleet::python;
use serde_json::{Value, json};

/// How far a square of a page may be from the reference, of 255. Edges that are smoothed otherwise come to 8, most
/// words that are missing to more than 20.
const LARGEST: f64 = 20.0;

/// How far a page may be on average; smoothing comes to 0.3, another language to 1.6.
const MEAN: f64 = 0.6;

/// A sample of a built-in template.
struct Sample {
    name: String,
    template: Template,
    checked: Checked,
    flow: Flow,
}

fn samples() -> Vec<Sample> {
    let all = Template::ALL.into_iter();
    all.flat_map(|template| template.samples().map(|data| (template, data)))
        .map(|(template, data)| {
            let name = format!("{}-{}", template.name(), data["locale"].as_str().unwrap());
            let checked = check(template, data).unwrap();
            let flow = Flow::of(template, &checked.data, &checked.computed);
            Sample {
                name,
                template,
                checked,
                flow,
            }
        })
        .collect()
}

impl Sample {
    /// Makes the file and says where it is.
    fn file(&self, format: Format, end: &str) -> PathBuf {
        let layout = Layout::BuiltIn(self.template);
        let job = layout.job(self.checked.clone(), Output::File(format));
        let path = scratch().join(format!("{}.{end}", self.name));
        fs::write(&path, typeset(&job).unwrap().file).unwrap();
        path
    }
}

fn scratch() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("office");
    fs::create_dir_all(&path).unwrap();
    path
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("office")
}

/// What the readers of others say. Their environment is made by whichever test comes first.
fn read(arguments: &[String]) -> Vec<Value> {
    let venv = scratch().join("venv");
    let one_at_a_time = File::create(scratch().join("venv.lock")).unwrap();
    one_at_a_time.lock().unwrap();
    python::ensure(&venv, &sources().join("requirements.txt")).unwrap();
    one_at_a_time.unlock().unwrap();
    let output = Command::new(python::interpreter(&venv))
        .arg(sources().join("read.py"))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn paths(samples: &[Sample], format: Format, end: &str) -> Vec<String> {
    let files = samples.iter().map(|sample| sample.file(format, end));
    files.map(|path| path.display().to_string()).collect()
}

/// Every text of a document in the order of reading.
fn texts(flow: &Flow) -> Vec<String> {
    let shown = |cell: &Cell| cell.shown(flow.language);
    let pairs = |pairs: &[(String, Cell)]| -> Vec<String> {
        let all = pairs.iter();
        all.flat_map(|(label, cell)| [label.clone(), shown(cell)])
            .collect()
    };
    let of = |block: &Block| match block {
        Block::Heading { text, .. } | Block::Paragraph(text) => vec![text.clone()],
        Block::Lines(lines) => lines.clone(),
        Block::List { items, .. } => items.clone(),
        Block::Facts(facts) => pairs(facts),
        Block::Table(table) => {
            let titles = table.columns.iter().map(|column| column.title.clone());
            let cells = table.rows.iter().flatten().map(shown);
            let all = titles.chain(cells).chain(pairs(&table.totals));
            std::iter::once(table.caption.clone()).chain(all).collect()
        }
    };
    flow.blocks.iter().flat_map(of).collect()
}

#[test]
fn python_docx_finds_every_text_of_every_sample_in_order() {
    let samples = samples();

    let found = read(&paths(&samples, Format::Docx, "docx"));

    assert_eq!(found.len(), samples.len());
    for (Sample { name, flow, .. }, found) in samples.iter().zip(found) {
        assert_eq!(found["title"], flow.title.as_str(), "{name}");
        assert_eq!(found["author"], flow.author.as_str(), "{name}");
        let texts_found: Vec<&str> = found["texts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap())
            .collect();
        let whole = texts_found.join("\n");
        let mut rest = whole.as_str();
        for text in texts(flow) {
            let at = rest.find(&text);
            let at = at.unwrap_or_else(|| panic!("{name}: no {text:?} in {rest:?}"));
            rest = &rest[at + text.len()..];
        }
    }
}

/// A cell as a spreadsheet holds it: numbers in millionths.
fn typed(cell: &Cell) -> Value {
    let number = |value: i64, places: u32| json!(["number", value * 10_i64.pow(6 - places)]);
    match cell {
        Cell::Text(text) => json!(["text", text]),
        Cell::Date(iso) => json!(["date", iso]),
        Cell::Amount { minor, places, .. } => number(*minor, *places),
        Cell::Percent(bps) => number(*bps, 4),
        Cell::Quantity { thousandths, .. } => number(*thousandths, 3),
    }
}

/// Every cell of a document, row by row.
fn cells(flow: &Flow) -> Vec<Value> {
    let text = |text: &String| json!(["text", text]);
    let pairs = |pairs: &[(String, Cell)]| -> Vec<Value> {
        let all = pairs.iter();
        all.flat_map(|(label, cell)| [text(label), typed(cell)])
            .collect()
    };
    let of = |block: &Block| match block {
        Block::Heading { text: it, .. } | Block::Paragraph(it) => vec![text(it)],
        Block::Lines(lines) => lines.iter().map(text).collect(),
        Block::List { numbered, items } => {
            let mark = |index: usize| match numbered {
                true => format!("{}.", index + 1),
                false => "•".to_owned(),
            };
            let items = items.iter().enumerate();
            items
                .map(|(index, item)| json!(["text", format!("{} {item}", mark(index))]))
                .collect()
        }
        Block::Facts(facts) => pairs(facts),
        Block::Table(table) => {
            let titles = table.columns.iter().map(|column| text(&column.title));
            let rows = table.rows.iter().flatten().map(typed);
            let all = titles.chain(rows).chain(pairs(&table.totals));
            std::iter::once(text(&table.caption)).chain(all).collect()
        }
    };
    flow.blocks.iter().flat_map(of).collect()
}

#[test]
fn openpyxl_finds_numbers_that_are_numbers_and_dates_that_are_dates() {
    let samples = samples();

    let found = read(&paths(&samples, Format::Xlsx, "xlsx"));

    assert_eq!(found.len(), samples.len());
    for (Sample { name, flow, .. }, found) in samples.iter().zip(found) {
        assert_eq!(found["title"], flow.title.as_str(), "{name}");
        assert_eq!(found["cells"], Value::Array(cells(flow)), "{name}");
    }
}

/// To paint the references anew, after a look at what has changed: `UPDATE_PICTURES=1`.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever changes a layout asks for new pictures by the environment"
)]
#[test]
fn the_first_page_of_every_sample_looks_as_it_did() {
    let samples = samples();
    let mut pairs = Vec::new();
    for sample in &samples {
        let picture = painted(&sample.file(Format::Pdf, "pdf"));
        let reference = sources().join(format!("pages/{}.png", sample.name));
        if std::env::var_os("UPDATE_PICTURES").is_some() {
            fs::copy(&picture, &reference).unwrap();
        }
        pairs.push(format!("{}:{}", picture.display(), reference.display()));
    }

    let apart = read(&pairs);

    assert_eq!(apart.len(), samples.len());
    for (sample, apart) in samples.iter().zip(apart) {
        let within = |what: &str, limit| apart[what].as_f64().is_some_and(|it| it <= limit);
        assert!(
            within("largest", LARGEST) && within("mean", MEAN),
            "{}: {apart}",
            sample.name
        );
    }
}

/// The first page as a reader paints it, small and grey.
fn painted(pdf: &Path) -> PathBuf {
    let picture = pdf.with_extension("");
    let painted = Command::new("pdftoppm")
        .args(["-r", "48", "-gray", "-png", "-singlefile", "-f", "1"])
        .args([pdf, &picture])
        .status();
    assert!(painted.unwrap().success(), "{}", pdf.display());
    picture.with_extension("png")
}
