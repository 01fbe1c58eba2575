//! Checks answers against their schema, whatever the endpoint promised: some drop what they cannot do and
//! answer 200.

use std::collections::HashMap;
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
    fn a_schema_is_compiled_once() {
        let shapes = Shapes::default();
        let schema = json!({"type": "object"});

        assert!(Arc::ptr_eq(
            &shapes.of(&schema).unwrap(),
            &shapes.of(&schema).unwrap()
        ));
    }
}
