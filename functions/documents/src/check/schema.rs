//! The faults that a template's JSON Schema finds, in the words of the house.

use std::sync::LazyLock;

use domain::Text;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::{Fault, below};
use crate::template::Template;

/// Compiled once per process, each when it is first needed.
static VALIDATORS: [LazyLock<Validator>; 3] = [
    LazyLock::new(|| compile(Template::Invoice)),
    LazyLock::new(|| compile(Template::Letter)),
    LazyLock::new(|| compile(Template::Report)),
];

/// An answer names at most this many places: a hostile body must not make an answer larger than itself.
const MOST_FAULTS: usize = 100;

fn compile(template: Template) -> Validator {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .build(template.schema())
        .unwrap_or_else(|e| panic!("the schema of {template:?} does not compile: {e}"))
}

/// A schema that came from outside, compiled. Its patterns are matched in linear time, which costs it
/// look-around and back-references; it can refer to nothing but itself, because nothing else is loaded.
///
/// Only the renderer calls this: a hostile schema may recur for ever, and then ends its process.
///
/// # Errors
/// Where in the schema, and what is wrong there.
pub fn of_tenant(schema: &Value) -> Result<Validator, Fault> {
    jsonschema::draft202012::meta::validate(schema).map_err(|error| Fault {
        pointer: error.instance_path().as_str().to_owned(),
        detail: detail(error.kind()),
    })?;
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map_err(|error| Fault {
            pointer: error.instance_path().as_str().to_owned(),
            detail: unusable(error.kind()),
        })
}

fn unusable(kind: &ValidationErrorKind) -> Text {
    match kind {
        ValidationErrorKind::Format { .. } => Text::fixed(
            "No es una expresión regular que se pueda usar (sin miradas alrededor ni referencias)",
            "Not a usable regular expression (look-around and back-references are not)",
        ),
        ValidationErrorKind::Referencing(_) => Text::fixed(
            "Remite a una parte del esquema que no existe",
            "Refers to a part of the schema that does not exist",
        ),
        other => detail(other),
    }
}

/// Every place where the data breaks a schema that came from outside.
pub fn faults_of_tenant(validator: &Validator, data: &Value) -> Vec<Fault> {
    collect(validator, data)
}

/// Every place where the data breaks the template's schema.
pub fn faults(template: Template, data: &Value) -> Vec<Fault> {
    collect(&VALIDATORS[template.index()], data)
}

fn collect(validator: &Validator, data: &Value) -> Vec<Fault> {
    validator
        .iter_errors(data)
        .flat_map(|error| places(&error))
        .take(MOST_FAULTS)
        .collect()
}

/// A missing or an unknown member is named where it would stand, anything else where it stands.
fn places(error: &ValidationError<'_>) -> Vec<Fault> {
    let here = format!("/data{}", error.instance_path().as_str());
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| Fault {
                pointer: below(&here, name),
                detail: UNKNOWN,
            })
            .collect(),
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![Fault {
                pointer: below(&here, name),
                detail: MISSING,
            }]
        }
        kind => vec![Fault {
            pointer: here,
            detail: detail(kind),
        }],
    }
}

const UNKNOWN: Text = Text::fixed("Este campo no existe", "There is no such field");
const MISSING: Text = Text::fixed("Falta este campo", "This field is missing");

fn detail(kind: &ValidationErrorKind) -> Text {
    use ValidationErrorKind as K;
    match kind {
        K::Type { kind } => of_type(kind),
        K::MinLength { limit } => at_least(*limit, &CHARACTER),
        K::MaxLength { limit } => at_most(*limit, &CHARACTER),
        K::MinItems { limit } => at_least(*limit, &ITEM),
        K::MaxItems { limit } => at_most(*limit, &ITEM),
        K::MinProperties { limit } => at_least(*limit, &FIELD),
        K::MaxProperties { limit } => at_most(*limit, &FIELD),
        K::Minimum { limit } => Text::with(
            format!("Debe ser {limit} como mínimo"),
            format!("Must be at least {limit}"),
        ),
        K::Maximum { limit } => Text::with(
            format!("Debe ser {limit} como máximo"),
            format!("Must be at most {limit}"),
        ),
        K::Enum { options } => one_of(options),
        K::Format { format } => of_format(format),
        K::Pattern { pattern } => Text::with(
            format!("Debe cumplir el patrón {pattern}"),
            format!("Must match the pattern {pattern}"),
        ),
        other => Text::with(
            format!("No cumple la regla «{}» del esquema", other.keyword()),
            format!("Breaks the schema's rule \"{}\"", other.keyword()),
        ),
    }
}

/// What is counted: Spanish for one and for several, English likewise.
type Noun = [&'static str; 4];

const CHARACTER: Noun = ["carácter", "caracteres", "character", "characters"];
const ITEM: Noun = ["elemento", "elementos", "item", "items"];
const FIELD: Noun = ["campo", "campos", "field", "fields"];

fn at_least(limit: u64, noun: &Noun) -> Text {
    let (es, en) = counted(limit, noun);
    Text::with(
        format!("Debe tener como mínimo {es}"),
        format!("Must have at least {en}"),
    )
}

fn at_most(limit: u64, noun: &Noun) -> Text {
    let (es, en) = counted(limit, noun);
    Text::with(
        format!("Debe tener como máximo {es}"),
        format!("Must have at most {en}"),
    )
}

fn counted(number: u64, [un, varios, one, several]: &Noun) -> (String, String) {
    let (es, en) = if number == 1 {
        (un, one)
    } else {
        (varios, several)
    };
    (format!("{number} {es}"), format!("{number} {en}"))
}

fn of_type(kind: &TypeKind) -> Text {
    let names: Vec<String> = match kind {
        TypeKind::Single(one) => vec![one.to_string()],
        TypeKind::Multiple(set) => set.iter().map(|one| one.to_string()).collect(),
    };
    let spanish = |name: &String| match name.as_str() {
        "array" => "lista",
        "boolean" => "booleano",
        "integer" => "entero",
        "null" => "nulo",
        "number" => "número",
        "object" => "objeto",
        _ => "texto",
    };
    let es: Vec<_> = names.iter().map(spanish).collect();
    Text::with(
        format!("Debe ser de tipo {}", es.join(" o ")),
        format!("Must be of type {}", names.join(" or ")),
    )
}

fn one_of(options: &Value) -> Text {
    let names: Vec<String> = options
        .as_array()
        .into_iter()
        .flatten()
        .map(|option| {
            option
                .as_str()
                .map_or_else(|| option.to_string(), str::to_owned)
        })
        .collect();
    let list = names.join(", ");
    Text::with(
        format!("Debe ser uno de: {list}"),
        format!("Must be one of: {list}"),
    )
}

fn of_format(format: &str) -> Text {
    match format {
        "date" => Text::fixed("Debe ser una fecha AAAA-MM-DD", "Must be a date YYYY-MM-DD"),
        "email" => Text::fixed(
            "Debe ser una dirección de correo",
            "Must be an e-mail address",
        ),
        other => Text::with(
            format!("Debe tener el formato {other}"),
            format!("Must have the format {other}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Locale;
    use serde_json::json;

    fn detail_after(change: impl FnOnce(&mut Value)) -> [String; 2] {
        let mut data = Template::Invoice.samples()[1].clone();
        change(&mut data);
        let faults = faults(Template::Invoice, &data);
        assert_eq!(faults.len(), 1, "{faults:?}");
        [Locale::Es, Locale::En].map(|locale| faults[0].detail.get(locale).to_owned())
    }

    #[test]
    fn each_keyword_speaks_both_languages() {
        for (detail, expected) in [
            (
                detail_after(|d| d["number"] = json!(7)),
                ["Debe ser de tipo texto", "Must be of type string"],
            ),
            (
                detail_after(|d| d["lines"] = json!([])),
                [
                    "Debe tener como mínimo 1 elemento",
                    "Must have at least 1 item",
                ],
            ),
            (
                detail_after(|d| d["locale"] = json!("fr")),
                ["Debe ser uno de: es, en", "Must be one of: es, en"],
            ),
            (
                detail_after(|d| d["due_date"] = json!("24/12/2026")),
                ["Debe ser una fecha AAAA-MM-DD", "Must be a date YYYY-MM-DD"],
            ),
            (
                detail_after(|d| d["seller"]["email"] = json!("nobody")),
                [
                    "Debe ser una dirección de correo",
                    "Must be an e-mail address",
                ],
            ),
            (
                detail_after(|d| d["lines"][0]["tax_rate_bps"] = json!(10_001)),
                ["Debe ser 10000 como máximo", "Must be at most 10000"],
            ),
            (
                detail_after(|d| d["payment"] = json!({})),
                [
                    "Debe tener como mínimo 1 campo",
                    "Must have at least 1 field",
                ],
            ),
        ] {
            assert_eq!(detail, expected);
        }
    }

    #[test]
    fn a_body_full_of_faults_gets_a_bounded_answer() {
        let mut data = Template::Letter.samples()[0].clone();
        for n in 0..1000 {
            data[format!("field_{n}")] = json!(n);
        }

        assert_eq!(faults(Template::Letter, &data).len(), MOST_FAULTS);
    }
}
