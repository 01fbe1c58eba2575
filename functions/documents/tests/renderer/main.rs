//! The renderer as it runs: the real companion program behind its pipe, and files judged by a validator
//! and a reader that have nothing in common with the engine that made them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod edits;
mod formats;
mod hostile;
mod limits;
mod process;
mod text;

use documents::check::check;
use documents::format::Format;
use documents::job::{Job, Limits, Output, OwnSource, Source};
use documents::renderer::Renderer;
use documents::template::Template;
use serde_json::{Value, json};

/// The program that this build made.
fn renderer() -> Renderer {
    Renderer::new(env!("CARGO_BIN_EXE_documents-render"))
}

/// A job whose data fits its template.
#[track_caller]
fn job(template: Template, data: Value) -> Job {
    let checked = check(template, data).unwrap();
    Job {
        source: Source::BuiltIn(template),
        output: Output::File(Format::Pdf),
        data: checked.data,
        computed: checked.computed,
        look: None,
        timestamp: "2026-11-24T10:11:12Z".parse().unwrap(),
        ident: "doc_00000000000000000000000000000001".to_owned(),
        limits: Limits::default(),
    }
}

/// A job of an organisation's own template, without data.
fn typst(source: &str) -> Job {
    Job {
        source: Source::Own(OwnSource {
            text: source.to_owned(),
            schema: json!({}),
            title: "Test".to_owned(),
        }),
        output: Output::File(Format::Pdf),
        data: json!({}),
        computed: Value::Null,
        look: None,
        timestamp: "2026-11-24T10:11:12Z".parse().unwrap(),
        ident: "doc_00000000000000000000000000000001".to_owned(),
        limits: Limits::default(),
    }
}

/// Every sample with a name for messages.
fn samples() -> Vec<(String, Template, Value)> {
    Template::ALL
        .into_iter()
        .flat_map(|template| template.samples().map(|data| (template, data)))
        .map(|(template, data)| {
            (
                format!("{}-{}", template.name(), data["locale"]),
                template,
                data,
            )
        })
        .collect()
}

/// A report of many pages: half a second of work and more.
fn large_report() -> Job {
    let row = json!([
        "a cell with some words",
        "another cell with some words",
        "1.234"
    ]);
    let table = json!({ "table": {
        "caption": "Rows",
        "columns": [{ "title": "One" }, { "title": "Two" }, { "title": "Three", "align": "right" }],
        "rows": vec![row; 300],
    }});
    let sections: Vec<_> = (0..12)
        .map(|n| json!({ "heading": format!("Section {n}"), "blocks": [table.clone()] }))
        .collect();
    let mut data = Template::Report.samples()[1].clone();
    data["sections"] = json!(sections);
    job(Template::Report, data)
}
