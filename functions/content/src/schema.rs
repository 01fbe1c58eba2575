//! JSON Schema 2020-12 as callers bring it: for the variables of a prompt, and for the data that a model
//! is to make.

use domain::Text;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::Value;

use crate::Fault;
use crate::prompt::below;

/// The most octets of a schema as JSON.
const LONGEST: usize = 32 * 1024;

/// An answer names at most this many places.
const MOST_FAULTS: usize = 50;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema(Validator);

impl Schema {
    /// Compiles a schema of an object. References lead nowhere but into the schema itself.
    ///
    /// # Errors
    /// A fault at or below `pointer`.
    pub fn compile(pointer: &str, schema: &Value) -> Result<Self, Fault> {
        let refuse = |es: String, en: String| Err(Fault::at(pointer, Text::with(es, en)));
        if schema["type"] != "object" {
            return Err(Fault::at(
                below(pointer, "type"),
                Text::fixed("Debe ser «object»", "Must be \"object\""),
            ));
        }
        if schema.to_string().len() > LONGEST {
            return refuse(
                format!("No puede ocupar más de {LONGEST} octetos"),
                format!("Must not have more than {LONGEST} octets"),
            );
        }
        if refers_outside(schema) {
            return Err(Fault::at(
                pointer,
                Text::fixed(
                    "Sus referencias deben quedar dentro del propio esquema",
                    "Its references must stay inside the schema itself",
                ),
            ));
        }
        if models::shapes::check(schema).is_err() {
            return Err(Fault::at(
                pointer,
                Text::fixed(
                    "Sus referencias no acaban nunca, o son demasiadas",
                    "Its references never come to an end, or are too many",
                ),
            ));
        }
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .build(schema)
            .map(Self)
            .map_err(|error| {
                let at = format!("{pointer}{}", error.instance_path().as_str());
                Fault::at(
                    at,
                    Text::fixed(
                        "No es JSON Schema 2020-12 válido",
                        "Not valid JSON Schema 2020-12",
                    ),
                )
            })
    }

    /// Every place below `pointer` where a value breaks the schema.
    pub fn faults(&self, pointer: &str, value: &Value) -> Vec<Fault> {
        self.0
            .iter_errors(value)
            .flat_map(|error| places(pointer, &error))
            .take(MOST_FAULTS)
            .collect()
    }
}

fn refers_outside(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => members.iter().any(|(name, value)| {
            let reference = matches!(name.as_str(), "$ref" | "$dynamicRef");
            let outside = value
                .as_str()
                .is_some_and(|target| !target.starts_with('#'));
            (reference && outside) || refers_outside(value)
        }),
        Value::Array(items) => items.iter().any(refers_outside),
        _ => false,
    }
}

/// A missing or an unknown member is named where it would stand, anything else where it stands.
fn places(pointer: &str, error: &ValidationError<'_>) -> Vec<Fault> {
    let here = format!("{pointer}{}", error.instance_path().as_str());
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| {
                Fault::at(
                    below(&here, name),
                    Text::fixed("Este campo no existe", "There is no such field"),
                )
            })
            .collect(),
        ValidationErrorKind::Required { property } => vec![Fault::at(
            below(&here, property.as_str().unwrap_or_default()),
            Text::fixed("Falta este campo", "This field is missing"),
        )],
        kind => {
            let rule = kind.keyword();
            vec![Fault::at(
                here,
                Text::with(
                    format!("No cumple la regla «{rule}» del esquema"),
                    format!("Breaks the schema's rule \"{rule}\""),
                ),
            )]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_reaches_for_nothing_outside_itself() {
        let outside =
            json!({"type": "object", "properties": {"a": {"$ref": "https://example.com/a.json"}}});
        let inside = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": true}});

        assert!(Schema::compile("/schema", &outside).is_err());
        assert!(Schema::compile("/schema", &inside).is_ok());
    }

    #[test]
    fn a_schema_that_refers_to_itself_for_ever_is_refused_before_it_ends_the_process() {
        let circle = json!({"type": "object", "allOf": [{"$ref": "#"}]});

        let fault = Schema::compile("/schema", &circle).unwrap_err();

        assert_eq!(fault.pointer, "/schema");
    }

    #[test]
    fn what_is_no_schema_is_named_where_it_is_not() {
        let fault =
            Schema::compile("/schema", &json!({"type": "object", "required": 1})).unwrap_err();
        let list = Schema::compile("/schema", &json!([])).unwrap_err();

        assert_eq!(
            (fault.pointer.as_str(), list.pointer.as_str()),
            ("/schema/required", "/schema/type")
        );
    }

    #[test]
    fn each_place_that_does_not_fit_is_named() {
        let schema = Schema::compile(
            "/schema",
            &json!({"type": "object", "required": ["title"], "additionalProperties": false,
                "properties": {"title": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}}}),
        )
        .unwrap();

        let found = schema.faults("/data", &json!({"tags": ["a", 1], "x/y": 2}));

        let mut pointers: Vec<_> = found.into_iter().map(|fault| fault.pointer).collect();
        pointers.sort();
        assert_eq!(pointers, ["/data/tags/1", "/data/title", "/data/x~1y"]);
    }
}
