//! Prompt sources: Jinja without its reach to other templates, with a limit on what a rendering may
//! cost, and with variables that are data and never source.
//!
//! A missing variable is an error and not an empty place; a variable that holds `{{ … }}` comes out as
//! those same characters, because what was rendered is not rendered again.

use std::collections::{BTreeMap, BTreeSet};

use domain::Text;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value as Jinja};
use serde_json::{Map, Value};

use crate::Fault;

/// The most octets of a source.
pub const LONGEST_SOURCE: usize = 64 * 1024;

/// The most octets of what is rendered.
pub const LONGEST_TEXT: usize = 200 * 1024;

/// What one rendering may cost, in the engine's unit: it is charged for instructions and for octets, so
/// that it bounds time (some milliseconds) and memory (64 octets a unit) alike.
const FUEL: u64 = 100_000;

/// What a source may call besides its variables.
const FUNCTIONS: [&str; 3] = ["range", "dict", "namespace"];

/// Tags that reach for other templates; there are none.
const FOREIGN_TAGS: [&str; 5] = ["include", "import", "from", "extends", "block"];

/// What is wrong with a source, or nothing.
///
/// # Errors
/// A fault at `pointer`.
pub fn check(pointer: &str, source: &str) -> Result<BTreeSet<String>, Fault> {
    if source.len() > LONGEST_SOURCE {
        return Err(Fault::at(
            pointer,
            Text::with(
                format!("No puede ocupar más de {LONGEST_SOURCE} octetos"),
                format!("Must not have more than {LONGEST_SOURCE} octets"),
            ),
        ));
    }
    if let Some((line, tag)) = foreign_tag(source) {
        return Err(Fault::at(
            pointer,
            Text::with(
                format!("Línea {line}: la etiqueta «{tag}» no está disponible"),
                format!("Line {line}: the tag \"{tag}\" is not available"),
            ),
        ));
    }
    let environment = environment();
    let template = environment
        .template_from_str(source)
        .map_err(|error| Fault::at(pointer, syntax(&error)))?;
    let mut variables: BTreeSet<String> =
        template.undeclared_variables(false).into_iter().collect();
    for function in FUNCTIONS {
        variables.remove(function);
    }
    Ok(variables)
}

/// The text of a source that [`check`] passed.
///
/// # Errors
/// What is wrong: with the variables at `/variables`, with the source itself at `pointer`.
pub fn render(
    pointer: &str,
    source: &str,
    variables: &Map<String, Value>,
) -> Result<String, Fault> {
    let environment = environment();
    let context: BTreeMap<String, Jinja> = variables
        .iter()
        .map(|(name, value)| (name.clone(), jinja(value)))
        .collect();
    let text = environment
        .template_from_str(source)
        .and_then(|template| template.render(Jinja::from(context)))
        .map_err(|error| failure(pointer, &error))?;
    if text.len() > LONGEST_TEXT {
        return Err(Fault::at(pointer, TOO_COSTLY));
    }
    Ok(text)
}

const TOO_COSTLY: Text = Text::fixed(
    "El texto que resulta es demasiado largo o cuesta demasiado",
    "The resulting text is too long or costs too much to make",
);

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A prompt is plain text.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(50);
    // It would print the engine's insides.
    environment.remove_global("debug");
    environment
}

/// The first tag that reaches for another template, with its line. Inside `{% raw %}` it is refused too,
/// where it would be harmless.
fn foreign_tag(source: &str) -> Option<(usize, &'static str)> {
    source.match_indices("{%").find_map(|(at, _)| {
        let inside = source[at + 2..].trim_start_matches(['-', '+']).trim_start();
        let word = inside
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()?;
        let tag = FOREIGN_TAGS.into_iter().find(|tag| *tag == word)?;
        Some((source[..at].matches('\n').count() + 1, tag))
    })
}

fn syntax(error: &Error) -> Text {
    let line = error.line().unwrap_or(1);
    let said = error.detail().unwrap_or("syntax error").to_owned();
    Text::with(
        format!("Línea {line}: no es una plantilla válida ({said})"),
        format!("Line {line}: not a valid template ({said})"),
    )
}

/// The engine's message may quote a variable, so it is told only by its kind and line.
fn failure(pointer: &str, error: &Error) -> Fault {
    let line = error.line().unwrap_or(1);
    match error.kind() {
        ErrorKind::UndefinedError => Fault::at(
            "/variables",
            Text::with(
                format!("Falta un valor que la plantilla usa en su línea {line}"),
                format!("A value is missing that the template uses in its line {line}"),
            ),
        ),
        ErrorKind::OutOfFuel => Fault::at(pointer, TOO_COSTLY),
        ErrorKind::SyntaxError => Fault::at(pointer, syntax(error)),
        _ => Fault::at(
            "/variables",
            Text::with(
                format!("Estos valores no sirven para la línea {line} de la plantilla"),
                format!("These values do not suit line {line} of the template"),
            ),
        ),
    }
}

fn jinja(value: &Value) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(flag) => Jinja::from(*flag),
        Value::Number(number) => number
            .as_i64()
            .map(Jinja::from)
            .or_else(|| number.as_u64().map(Jinja::from))
            .unwrap_or_else(|| Jinja::from(number.as_f64().unwrap_or(0.0))),
        Value::String(text) => Jinja::from(text),
        Value::Array(items) => Jinja::from(items.iter().map(jinja).collect::<Vec<_>>()),
        Value::Object(members) => Jinja::from(
            members
                .iter()
                .map(|(name, value)| (name.clone(), jinja(value)))
                .collect::<BTreeMap<_, _>>(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(source: &str, variables: &Value) -> Result<String, Fault> {
        render("/source", source, variables.as_object().unwrap())
    }

    #[test]
    fn a_variable_is_data_whatever_it_holds() {
        let hostile = json!({"name": "{{ 7 * 7 }} {% for x in range(9) %}x{% endfor %} <b>&"});

        assert_eq!(
            rendered("Hola {{ name }}", &hostile).unwrap(),
            "Hola {{ 7 * 7 }} {% for x in range(9) %}x{% endfor %} <b>&"
        );
    }

    #[test]
    fn the_variables_of_a_source_are_known_before_it_runs() {
        let source = "{% set n = 1 %}{% for line in lines %}{{ line.text }}{% endfor %}{{ range(n) }}{{ who }}";

        let found = check("/source", source).unwrap();

        assert_eq!(found, ["lines", "who"].map(str::to_owned).into());
    }

    #[test]
    fn what_is_missing_inside_a_variable_is_an_error_and_no_empty_place() {
        let fault = rendered("{{ user.name }}", &json!({"user": {}})).unwrap_err();

        assert_eq!(fault.pointer, "/variables");
    }

    #[test]
    fn a_source_that_would_not_end_or_fill_the_memory_is_cut() {
        for source in [
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "{% for a in range(99999) %}{{ a }} and so on and so on{% endfor %}",
            "{{ 'x' * 999999999 }}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{% set ns = namespace(t='xxxxxxxx') %}{% for i in range(60) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}",
        ] {
            assert!(rendered(source, &json!({})).is_err(), "{source}");
        }
    }

    #[test]
    fn a_source_reaches_for_no_other_template() {
        for tag in [
            "{% include 'x' %}",
            "\n{%- import 'x' as y -%}",
            "{%+ extends 'x' %}",
            "{% from 'x' import y %}",
        ] {
            assert_eq!(
                check("/source", tag).unwrap_err().pointer,
                "/source",
                "{tag}"
            );
        }
        assert!(check("/source", "{{ includes }} {% if blocked %}{% endif %}").is_ok());
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let fault = check("/source", "Hola\n{{ name ").unwrap_err();

        assert!(
            fault.detail.get(domain::Locale::En).starts_with("Line 2"),
            "{fault:?}"
        );
    }
}
