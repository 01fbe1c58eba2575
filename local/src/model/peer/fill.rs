//! Data that a JSON Schema takes, made of a text. Regular expressions are not followed: where a schema demands
//! one, what is made does not fit, and whoever asked has to find that out as with every model.

use serde_json::{Map, Value, json};

/// How deep lists and optional parts are filled; below it only what has to be there is made, so that a schema that
/// refers to itself comes to an end.
const DEEP: usize = 6;

/// Deeper than any schema that has an end.
const ENDLESS: usize = 64;

/// The data.
pub fn fill(schema: &Value, text: &str) -> Value {
    let filler = Filler { root: schema, text };
    filler.value(schema, 0)
}

struct Filler<'a> {
    root: &'a Value,
    text: &'a str,
}

impl Filler<'_> {
    fn value(&self, schema: &Value, depth: usize) -> Value {
        if depth > ENDLESS {
            return Value::Null;
        }
        if let Some(known) = fixed(schema) {
            return known;
        }
        if let Some(target) = schema["$ref"].as_str().and_then(|to| to.strip_prefix('#')) {
            let target = self.root.pointer(target).unwrap_or(&Value::Null);
            return self.value(target, depth + 1);
        }
        if let Some(chosen) = choice(schema, depth) {
            return self.value(chosen, depth + 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => json!(whole_number(schema)),
            "number" => number(schema),
            "boolean" => json!(true),
            "null" => Value::Null,
            _ => json!(self.string(schema)),
        }
    }

    /// What is required of an object, and nothing that need not be there.
    fn object(&self, schema: &Value, depth: usize) -> Value {
        let names = schema["required"].as_array().into_iter().flatten();
        let members = names.filter_map(Value::as_str).map(|name| {
            let value = self.value(&schema["properties"][name], depth + 1);
            (name.to_owned(), value)
        });
        Value::Object(members.collect::<Map<_, _>>())
    }

    fn array(&self, schema: &Value, depth: usize) -> Value {
        let bound = |name: &str| schema[name].as_u64();
        let least = bound("minItems").unwrap_or(0);
        let wished = if depth < DEEP { least.max(1) } else { least };
        let items = wished.min(bound("maxItems").unwrap_or(wished));
        let one = |_| self.value(&schema["items"], depth + 1);
        Value::Array((0..items).map(one).collect())
    }

    fn string(&self, schema: &Value) -> String {
        match schema["format"].as_str() {
            Some("date") => return "2026-11-24".to_owned(),
            Some("date-time") => return "2026-11-24T10:11:12Z".to_owned(),
            Some("time") => return "10:11:12Z".to_owned(),
            Some("email") => return "someone@example.com".to_owned(),
            Some("uri") => return "https://example.com/".to_owned(),
            Some("uuid") => return "00000000-0000-4000-8000-000000000000".to_owned(),
            _ => {}
        }
        let bound = |name: &str| usize::try_from(schema[name].as_u64()?).ok();
        let text = if self.text.is_empty() { "-" } else { self.text };
        let length = text.chars().count();
        let length = length.max(bound("minLength").unwrap_or(0));
        let length = length.min(bound("maxLength").unwrap_or(length));
        text.chars().cycle().take(length).collect()
    }
}

/// The only value that it can be, or the first of those.
fn fixed(schema: &Value) -> Option<Value> {
    let constant = schema.get("const");
    constant.or_else(|| schema["enum"].get(0)).cloned()
}

/// The first of several schemas; deep down one that ends there, if there is one.
fn choice(schema: &Value, depth: usize) -> Option<&Value> {
    let mut names = ["anyOf", "oneOf", "allOf"].into_iter();
    let several = names.find_map(|name| schema[name].as_array())?;
    let ends = |schema: &&Value| kind(schema) == "null";
    let shallow = several.iter().find(ends).filter(|_| depth >= DEEP);
    shallow.or_else(|| several.first())
}

/// The type that is made: the first of several, and what the members say where none is named.
fn kind(schema: &Value) -> &str {
    let named = &schema["type"];
    let named = named.as_str().or_else(|| named[0].as_str());
    named.unwrap_or_else(|| match schema.get("properties") {
        Some(_) => "object",
        None if schema.get("items").is_some() => "array",
        None => "string",
    })
}

/// The number next to one that is within the bounds.
fn whole_number(schema: &Value) -> i64 {
    let bound = |name: &str| schema[name].as_i64();
    let above = bound("exclusiveMinimum").map(|bound| bound.saturating_add(1));
    let below = bound("exclusiveMaximum").map(|bound| bound.saturating_sub(1));
    let least = bound("minimum").or(above).unwrap_or(i64::MIN);
    let most = bound("maximum").or(below).unwrap_or(i64::MAX);
    let step = bound("multipleOf").filter(|step| *step > 0).unwrap_or(1);
    let near = 1.max(least).min(most);
    let up = near.div_euclid(step) * step;
    if up < near {
        up.saturating_add(step)
    } else {
        up
    }
}

/// A whole one where the bounds are whole, else the middle between them.
fn number(schema: &Value) -> Value {
    let bound = |names: [&str; 2]| names.into_iter().find_map(|name| schema[name].as_f64());
    let least = bound(["minimum", "exclusiveMinimum"]);
    let most = bound(["maximum", "exclusiveMaximum"]);
    match (least, most) {
        (Some(least), Some(most)) => json!(f64::midpoint(least, most)),
        (Some(least), None) => json!(least + 1.0),
        (None, Some(most)) => json!(most - 1.0),
        (None, None) => json!(1.0),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[track_caller]
    fn fits(schema: &Value, name: &str) {
        let data = fill(schema, "Good morning, Ana");
        let faults: Vec<String> = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(schema)
            .unwrap()
            .iter_errors(&data)
            .map(|fault| fault.to_string())
            .collect();
        assert!(faults.is_empty(), "{name}: {faults:?} in {data}");
    }

    #[test]
    fn every_built_in_template_is_filled_with_what_fits() {
        let templates =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/documents/templates");
        let mut read = 0;
        for template in fs::read_dir(templates).unwrap().flatten() {
            let Ok(text) = fs::read_to_string(template.path().join("schema.json")) else {
                continue;
            };
            fits(
                &serde_json::from_str(&text).unwrap(),
                &template.path().display().to_string(),
            );
            read += 1;
        }
        assert!(read > 2, "only {read} schemas");
    }

    #[test]
    fn bounds_choices_and_references_are_kept_to() {
        fits(
            &json!({
                "type": "object", "additionalProperties": false,
                "required": ["short", "long", "when", "mail", "count", "even", "share", "kind", "maybe", "tree", "one"],
                "properties": {
                    "short": {"type": "string", "maxLength": 4},
                    "long": {"type": "string", "minLength": 40},
                    "when": {"type": "string", "format": "date"},
                    "mail": {"type": ["string", "null"], "format": "email"},
                    "count": {"type": "integer", "minimum": 3, "maximum": 5},
                    "even": {"type": "integer", "exclusiveMinimum": 2, "multipleOf": 2},
                    "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
                    "kind": {"enum": ["rye", "wheat"]},
                    "maybe": {"anyOf": [{"type": "null"}, {"type": "string"}]},
                    "tree": {"$ref": "#/$defs/tree"},
                    "one": {"const": 1},
                },
                "$defs": {"tree": {
                    "type": "object", "required": ["leaves", "next"],
                    "properties": {
                        "leaves": {"type": "array", "minItems": 2, "items": {"type": "boolean"}},
                        "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
                    },
                }},
            }),
            "all",
        );
    }

    #[test]
    fn a_schema_without_an_end_comes_to_one() {
        let endless =
            json!({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}});

        assert!(fill(&endless, "word")["next"]["next"].is_object());
    }
}
