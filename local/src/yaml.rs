//! `CloudFormation`'s YAML: its short tags (`!Ref x`, `!GetAtt a.b`, `!Sub "…"`) become the JSON that they stand
//! for. <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>

use serde_json::{Map, Number, Value, json};
use serde_norway::Value as Yaml;

use crate::failure::{Failure, Outcome, While};

/// Parses a template.
pub fn parse(text: &str) -> Outcome<Value> {
    let yaml: Yaml = serde_norway::from_str(text).during("parsing the template")?;
    to_json(yaml)
}

fn to_json(yaml: Yaml) -> Outcome<Value> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => number_to_json(&number)?,
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => {
            Value::Array(items.into_iter().map(to_json).collect::<Outcome<_>>()?)
        }
        Yaml::Mapping(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                object.insert(key_text(&key)?, to_json(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => intrinsic(&tagged.tag.to_string(), to_json(tagged.value)?),
    })
}

fn number_to_json(number: &serde_norway::Number) -> Outcome<Value> {
    let exact = number
        .as_i64()
        .map(Number::from)
        .or_else(|| number.as_f64().and_then(Number::from_f64));
    exact.map(Value::Number).ok_or_else(|| {
        Failure::new(format!(
            "the template has a number that JSON has not: {number}"
        ))
    })
}

fn key_text(key: &Yaml) -> Outcome<String> {
    match key {
        Yaml::String(text) => Ok(text.clone()),
        Yaml::Number(number) => Ok(number.to_string()),
        Yaml::Bool(flag) => Ok(flag.to_string()),
        other => Err(Failure::new(format!(
            "the template has a key that is no text: {other:?}"
        ))),
    }
}

fn intrinsic(tag: &str, value: Value) -> Value {
    match (tag.trim_start_matches('!'), value) {
        ("Ref", value) => json!({ "Ref": value }),
        ("Condition", value) => json!({ "Condition": value }),
        ("GetAtt", Value::String(path)) => {
            let (resource, attribute) = path.split_once('.').unwrap_or((&path, ""));
            json!({ "Fn::GetAtt": [resource, attribute] })
        }
        (name, value) => json!({ format!("Fn::{name}"): value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_tags_become_the_functions_they_stand_for() {
        let template = parse("a: !Ref B\nb: !GetAtt C.Arn.x\nc: !Sub 'arn:${D}'\nd: !Join ['', [!Ref E, x]]\ne: !If [F, 1, 2.5]").unwrap();

        assert_eq!(
            template,
            json!({
                "a": {"Ref": "B"},
                "b": {"Fn::GetAtt": ["C", "Arn.x"]},
                "c": {"Fn::Sub": "arn:${D}"},
                "d": {"Fn::Join": ["", [{"Ref": "E"}, "x"]]},
                "e": {"Fn::If": ["F", 1, 2.5]},
            })
        );
    }

    #[test]
    fn a_version_stays_a_text_and_a_status_code_key_becomes_one() {
        let template = parse("Version: '2012-10-17'\nresponses: {200: {description: ok}}").unwrap();

        assert_eq!(
            template,
            json!({"Version": "2012-10-17", "responses": {"200": {"description": "ok"}}})
        );
    }

    #[test]
    fn broken_yaml_is_refused_with_its_place() {
        let refused = parse("a: [1,\nb: }").unwrap_err().to_string();

        assert!(refused.contains("line"), "{refused}");
    }
}
