//! What the compiler says, as far as it may be passed on: with its place in the source, and without what
//! it quotes of the data.

use serde_json::Value;
use typst::diag::SourceDiagnostic;
use typst::{World, WorldExt};

use super::world::JobWorld;
use crate::job::{Job, Place, Source, TypesetError};

/// Characters of a message; a `panic` may be as long as it likes.
const LONGEST: usize = 400;

/// Stands for what is left out.
const ELIDED: &str = "…";

/// The first error, which is most often the cause of the others.
pub fn of(world: &JobWorld, job: &Job, diagnostics: &[SourceDiagnostic]) -> TypesetError {
    let source = match &job.source {
        Source::BuiltIn(_) | Source::Docx(_) => "",
        Source::Own(own) => own.text.as_str(),
    };
    let first = diagnostics.first();
    let message = first.map_or("", |one| one.message.as_str());
    TypesetError::Refused {
        message: redacted(message, source, &job.data),
        place: first.and_then(|one| place(world, one)),
    }
}

/// Where in the main source; for an error in a shared file, where the main source called it.
fn place(world: &JobWorld, diagnostic: &SourceDiagnostic) -> Option<Place> {
    let here = std::iter::once(diagnostic.span);
    let callers = diagnostic.trace.iter().map(|point| point.span.into());
    here.chain(callers).find_map(|span| {
        let main = world.source(world.main()).ok()?;
        if span.id()? != main.id() {
            return None;
        }
        let start = world.range(span)?.start;
        let (line, column) = main.lines().byte_to_line_column(start)?;
        Some(Place {
            line: line + 1,
            column: column + 1,
        })
    })
}

/// What a `panic` or an `assert` says comes from the template, so it is passed on if it stands there word
/// for word; everything else that could be a text of the data is left out.
fn redacted(message: &str, source: &str, data: &Value) -> String {
    let message: String = message.chars().take(LONGEST).collect();
    for prefix in ["panicked with: ", "assertion failed: "] {
        if let Some(said) = message.strip_prefix(prefix)
            && !source.contains(said.trim_matches('"'))
        {
            return format!("{prefix}{ELIDED}");
        }
    }
    let mut texts = Vec::new();
    leaves(data, &mut texts);
    // The longest first, so that no part of a text is left when another is a part of it.
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    texts
        .into_iter()
        .filter(|text| text.chars().count() > 2 && !source.contains(text.as_str()))
        .fold(message, |message, text| message.replace(&text, ELIDED))
}

fn leaves(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Number(number) => into.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, into)),
        Value::Object(members) => {
            for (name, member) in members {
                into.push(name.clone());
                leaves(member, into);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_compiler_quotes_of_the_data_is_left_out() {
        let data = json!({ "name": "Ana Torres", "iban": "ES9121000418450200051332", "age": 41 });
        for (message, source, said) in [
            (
                "panicked with: \"Ana Torres\"",
                "#panic(data.name)",
                "panicked with: …",
            ),
            (
                "panicked with: \"no name\"",
                "#panic(\"no name\")",
                "panicked with: \"no name\"",
            ),
            (
                "assertion failed: for Ana",
                "#assert(false, message: \"for \" + x)",
                "assertion failed: …",
            ),
            (
                "unknown variable: total",
                "#total",
                "unknown variable: total",
            ),
            (
                "expected integer, found \"Ana Torres\"",
                "#x",
                "expected integer, found \"…\"",
            ),
            (
                "dictionary does not contain key \"vat\"",
                "#data.vat",
                "dictionary does not contain key \"vat\"",
            ),
        ] {
            assert_eq!(redacted(message, source, &data), said);
        }
    }

    #[test]
    fn a_message_is_bounded() {
        let long = "x".repeat(10_000);

        assert_eq!(redacted(&long, "", &json!({})).len(), LONGEST);
    }
}
