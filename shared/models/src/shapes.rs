//! Checks answers against their schema, whatever the endpoint promised: some drop what they cannot do and
//! answer 200.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use ring::digest;
use serde_json::Value;

use crate::error::ModelError;

/// Compiled schemas that one process remembers.
const REMEMBERED: usize = 256;

/// Mistakes that a model is told at once.
const TOLD: usize = 5;

/// Compiled schemas.
#[derive(Default)]
pub(crate) struct Shapes(Mutex<HashMap<Vec<u8>, Arc<Validator>>>);

/// Where an answer does not fit, and what is expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub path: String,
    pub reason: String,
}

impl Shapes {
    /// The compiled schema.
    pub(crate) fn of(&self, schema: &Value) -> Result<Arc<Validator>, ModelError> {
        let text = schema.to_string();
        let name = digest::digest(&digest::SHA256, text.as_bytes())
            .as_ref()
            .to_vec();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shape) = known.get(&name) {
            return Ok(Arc::clone(shape));
        }
        if let Err(reason) = check(schema) {
            return Err(ModelError::BadSchema {
                reason: reason.to_owned(),
            });
        }
        let shape = jsonschema::validator_for(schema).map_err(|error| ModelError::BadSchema {
            reason: error.to_string(),
        })?;
        let shape = Arc::new(shape);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(name, Arc::clone(&shape));
        Ok(shape)
    }
}

/// Rules that apply to the same value together, references followed, at the most.
const MOST_RULES: u64 = 10_000;

/// Refuses a schema that could be compiled and never be answered: one that refers to itself without going
/// into the value ends the process by its stack, and one whose references fan out takes for ever. Both
/// come from whoever asks.
///
/// # Errors
/// In words for a program's log.
pub fn check(schema: &Value) -> Result<(), &'static str> {
    let mut weights = HashMap::new();
    let mut places = vec![String::new()];
    while let Some(place) = places.pop() {
        let Some(here) = schema.pointer(&place) else {
            continue;
        };
        weigh(schema, &place, &mut weights, &mut BTreeSet::new())?;
        match here {
            Value::Object(members) => {
                if members.contains_key("$dynamicRef") || members.contains_key("$recursiveRef") {
                    return Err("references that depend on their way are not taken");
                }
                let named = |name: &str| members.get(name).is_some_and(Value::is_string);
                if named("$anchor")
                    || named("$dynamicAnchor")
                    || (named("$id") && !place.is_empty())
                {
                    return Err("anchors, and ids inside of a schema, are not taken");
                }
                places.extend(members.keys().map(|name| below(&place, name)));
            }
            Value::Array(items) => {
                places.extend((0..items.len()).map(|index| format!("{place}/{index}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// How many rules the schema at a place applies to one and the same value.
fn weigh(
    root: &Value,
    place: &str,
    known: &mut HashMap<String, u64>,
    under_way: &mut BTreeSet<String>,
) -> Result<u64, &'static str> {
    if let Some(weight) = known.get(place) {
        return Ok(*weight);
    }
    let Some(Value::Object(rules)) = root.pointer(place) else {
        return Ok(1);
    };
    if !under_way.insert(place.to_owned()) {
        return Err("a reference leads to itself without going into the value");
    }
    if under_way.len() > DEEPEST {
        return Err("the schema is nested too deeply");
    }
    let mut weight = 1_u64;
    for next in applied(rules, place) {
        weight = weight.saturating_add(weigh(root, &next, known, under_way)?);
    }
    if weight > MOST_RULES {
        return Err("too many rules apply to one value");
    }
    under_way.remove(place);
    known.insert(place.to_owned(), weight);
    Ok(weight)
}

/// References and applications that follow each other at the most.
const DEEPEST: usize = 200;

/// The places of the schemas that are applied to the very value that these rules are applied to.
fn applied(rules: &serde_json::Map<String, Value>, place: &str) -> Vec<String> {
    let mut places = Vec::new();
    for (name, rule) in rules {
        let here = below(place, name);
        match (name.as_str(), rule) {
            ("$ref", Value::String(target)) => {
                places.extend(target.strip_prefix('#').map(decoded));
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                places.extend((0..all.len()).map(|index| format!("{here}/{index}")));
            }
            ("not" | "if" | "then" | "else", Value::Object(_)) => places.push(here),
            ("dependentSchemas" | "dependencies", Value::Object(all)) => {
                places.extend(all.keys().map(|name| below(&here, name)));
            }
            _ => {}
        }
    }
    places
}

/// The pointer of a fragment, which may be percent-encoded.
fn decoded(fragment: &str) -> String {
    let mut octets = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let code = behind
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        octets.push(code.unwrap_or(*first));
        rest = if code.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&octets).into_owned()
}

fn below(place: &str, name: &str) -> String {
    format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The answer as a value, or what is wrong with it.
pub(crate) fn fit(shape: &Validator, text: &str) -> Result<Value, Vec<Misfit>> {
    let value: Value = serde_json::from_str(unfenced(text)).map_err(|error| {
        vec![Misfit {
            path: String::new(),
            reason: format!("not JSON: {error}"),
        }]
    })?;
    let wrong: Vec<Misfit> = shape
        .iter_errors(&value)
        .take(TOLD)
        .map(|error| Misfit {
            path: error.instance_path().to_string(),
            reason: error.to_string(),
        })
        .collect();
    if wrong.is_empty() {
        Ok(value)
    } else {
        Err(wrong)
    }
}

/// What a model is told of its mistakes.
pub(crate) fn repair(wrong: &[Misfit]) -> String {
    let places: Vec<String> = wrong
        .iter()
        .map(|misfit| {
            let place = if misfit.path.is_empty() {
                "/"
            } else {
                &misfit.path
            };
            format!("- {place}: {}", misfit.reason)
        })
        .collect();
    let places = places.join("\n");
    format!(
        "Your answer does not fit the JSON Schema:\n{places}\nAnswer again with the whole corrected JSON and nothing else."
    )
}

/// Small models like to wrap JSON in a code block.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text
        .strip_prefix("```")
        .and_then(|rest| rest.strip_suffix("```"));
    inner.map_or(text, |inner| {
        inner.strip_prefix("json").unwrap_or(inner).trim()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_fits_or_its_mistakes_are_placed() {
        let shape = Shapes::default()
            .of(&json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}))
            .unwrap();

        assert_eq!(fit(&shape, " {\"n\": 1}\n").unwrap(), json!({"n": 1}));
        assert_eq!(
            fit(&shape, "```json\n{\"n\": 1}\n```").unwrap(),
            json!({"n": 1})
        );
        assert_eq!(fit(&shape, r#"{"n": "x"}"#).unwrap_err()[0].path, "/n");
        assert_eq!(fit(&shape, "{}").unwrap_err()[0].path, "");
        assert!(
            fit(&shape, "Of course!").unwrap_err()[0]
                .reason
                .starts_with("not JSON")
        );
    }

    #[test]
    fn a_schema_that_is_none_or_points_outside_is_refused() {
        let shapes = Shapes::default();
        for schema in [
            json!({"type": "wizard"}),
            json!({"$ref": "https://schemas.example/a.json"}),
        ] {
            assert!(
                matches!(shapes.of(&schema), Err(ModelError::BadSchema { .. })),
                "{schema}"
            );
        }
    }

    #[test]
    fn a_schema_that_would_never_be_answered_is_refused() {
        let mut fans_out = json!({"type": "object", "$ref": "#/$defs/d0", "$defs": {"d64": true}});
        for level in 0..64 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            fans_out["$defs"][format!("d{level}")] = json!({"allOf": [next, next]});
        }
        for schema in [
            json!({"type": "object", "allOf": [{"$ref": "#"}]}),
            json!({"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}]}}}),
            json!({"$defs": {"a~b": {"$ref": "#/$defs/c"}, "c": {"not": {"$ref": "#/$defs/a%7E0b"}}}, "$ref": "#/$defs/c"}),
            json!({"$dynamicAnchor": "a", "allOf": [{"$dynamicRef": "#a"}]}),
            json!({"$defs": {"x": {"$anchor": "x", "allOf": [{"$ref": "#x"}]}}, "$ref": "#x"}),
            fans_out,
        ] {
            let refused = Shapes::default().of(&schema);
            assert!(
                matches!(refused, Err(ModelError::BadSchema { .. })),
                "{schema}"
            );
        }
        // One that goes into the value each time is fine, however often it does.
        let tree = json!({"type": "object", "properties": {
            "$id": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}}});
        let shape = Shapes::default().of(&tree).unwrap();
        assert!(fit(&shape, r#"{"children": [{"children": []}]}"#).is_ok());
    }

    #[test]
    fn a_schema_is_compiled_once() {
        let shapes = Shapes::default();
        let schema = json!({"type": "object"});

        assert!(Arc::ptr_eq(
            &shapes.of(&schema).unwrap(),
            &shapes.of(&schema).unwrap()
        ));
    }
}
