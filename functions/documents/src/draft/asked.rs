//! The schema that a model is given: the template's, without what is known already, and with a bound on
//! every text and list.
//!
//! What a model need not write it cannot get wrong, and it costs nothing. The bounds keep the answer within
//! its tokens; data within them fits the template's wider ones. The whole data is checked against the
//! template's own schema afterwards, so that nothing here has to be exact.

use serde_json::{Map, Value, json};

/// The most characters of a text that has no bound or a higher one: a long paragraph.
const LONGEST_TEXT: u64 = 1000;

/// The most elements of a list that has no bound or a higher one.
const LONGEST_LIST: u64 = 24;

/// References that follow each other at the most.
const DEEPEST: usize = 16;

/// Keywords whose values are data and no schemas.
const DATA: [&str; 4] = ["const", "default", "enum", "examples"];

/// Keywords that may speak of members which are not asked for any more.
const OF_MEMBERS: [&str; 12] = [
    "allOf",
    "anyOf",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "maxProperties",
    "minProperties",
    "not",
    "oneOf",
    "propertyNames",
    "then",
];

/// The schema of what is not known; nothing if everything is.
pub fn asked(schema: &Value, known: &Value) -> Option<Value> {
    let mut asked = unknown(schema, schema, known)?;
    bound(&mut asked);
    Some(asked)
}

/// What is the same in all of these, as far as it is there in each: members with any value count.
pub fn in_all<'a>(mut values: impl Iterator<Item = &'a Value>) -> Value {
    let first = values.next().cloned().unwrap_or(json!({}));
    values.fold(first, |common, value| in_both(&common, value))
}

fn in_both(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => one
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), in_both(value, other.get(name)?))))
            .collect::<Map<_, _>>()
            .into(),
        (one, _) => one.clone(),
    }
}

fn unknown(root: &Value, rule: &Value, known: &Value) -> Option<Value> {
    let known = known.as_object()?;
    if known.is_empty() {
        return Some(rule.clone());
    }
    let rule = followed(root, rule);
    let members = rule.get("properties").and_then(Value::as_object)?;
    let left: Map<String, Value> = members
        .iter()
        .filter_map(|(name, member)| {
            let left = match known.get(name) {
                Some(known) => unknown(root, member, known)?,
                None => member.clone(),
            };
            Some((name.clone(), left))
        })
        .collect();
    if left.is_empty() {
        return None;
    }
    let mut trimmed = rule.clone();
    let object = trimmed.as_object_mut()?;
    object.retain(|keyword, _| !OF_MEMBERS.contains(&keyword.as_str()));
    if let Some(required) = object.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| {
            let name = name.as_str().unwrap_or_default();
            let partly = known.contains_key(name);
            left.get(name)
                .is_some_and(|member| !partly || needs_something(member))
        });
    }
    object.insert("properties".to_owned(), left.into());
    Some(trimmed)
}

/// Whether what is left of a member that is partly known has to be written.
fn needs_something(member: &Value) -> bool {
    let required = member.get("required").and_then(Value::as_array);
    required.is_some_and(|names| !names.is_empty())
}

/// The rule that a reference leads to.
fn followed<'a>(root: &'a Value, mut rule: &'a Value) -> &'a Value {
    for _ in 0..DEEPEST {
        let target = rule.get("$ref").and_then(Value::as_str);
        let Some(found) = target
            .and_then(|target| target.strip_prefix('#'))
            .and_then(|place| root.pointer(place))
        else {
            break;
        };
        rule = found;
    }
    rule
}

fn bound(rule: &mut Value) {
    match rule {
        Value::Object(keywords) => {
            let kind = keywords.get("type").and_then(Value::as_str);
            let fixed = keywords.contains_key("enum") || keywords.contains_key("const");
            match kind {
                Some("string") if !fixed => cap(keywords, "minLength", "maxLength", LONGEST_TEXT),
                Some("array") => cap(keywords, "minItems", "maxItems", LONGEST_LIST),
                _ => {}
            }
            for (keyword, value) in keywords.iter_mut() {
                if !DATA.contains(&keyword.as_str()) {
                    bound(value);
                }
            }
        }
        Value::Array(rules) => rules.iter_mut().for_each(bound),
        _ => {}
    }
}

/// Sets the upper bound to what it is, or to the cap if that is lower; never below the lower bound.
fn cap(keywords: &mut Map<String, Value>, least: &str, most: &str, cap: u64) {
    let of = |name: &str| keywords.get(name).and_then(Value::as_u64);
    let capped = of(most).unwrap_or(cap).min(cap).max(of(least).unwrap_or(0));
    keywords.insert(most.to_owned(), capped.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;

    fn names(schema: &Value) -> Vec<&str> {
        let members = schema["properties"].as_object().unwrap();
        members.keys().map(String::as_str).collect()
    }

    #[test]
    fn what_is_known_is_not_asked_for() {
        let known = json!({
            "sender": {"name": "N", "address": ["A"]}, "recipient": {"name": "N"}, "date": "2026-11-24",
        });

        let asked = asked(Template::Letter.schema(), &known).unwrap();

        assert!(!names(&asked).contains(&"date"));
        assert!(!names(&asked["properties"]["sender"]).contains(&"name"));
        assert!(names(&asked["properties"]["sender"]).contains(&"phone"));
        assert_eq!(asked["properties"]["sender"]["required"], json!([]));
        let required = asked["required"].as_array().unwrap();
        assert!(!required.contains(&json!("date")));
        assert!(
            !required.contains(&json!("sender")),
            "what is left of it is optional"
        );
        assert!(required.contains(&json!("recipient")));
        assert!(required.contains(&json!("subject")));
    }

    #[test]
    fn a_member_behind_a_reference_is_left_out_too() {
        let known = json!({"seller": {"name": "N"}});

        let asked = asked(Template::Invoice.schema(), &known).unwrap();

        assert!(!names(&asked["properties"]["seller"]).contains(&"name"));
        assert!(names(&asked["properties"]["seller"]).contains(&"tax_id"));
        assert_eq!(asked["properties"]["buyer"]["$ref"], "#/$defs/party");
    }

    #[test]
    fn nothing_is_asked_for_if_everything_is_known() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});

        assert_eq!(asked(&schema, &json!({"a": "x"})), None);
    }

    #[test]
    fn every_text_and_list_has_a_bound_that_the_template_allows() {
        let schema = json!({
            "type": "object",
            "properties": {
                "free": {"type": "string"},
                "short": {"type": "string", "maxLength": 20},
                "long": {"type": "string", "maxLength": 4000, "minLength": 1500},
                "kind": {"enum": ["a"], "type": "string"},
                "list": {"type": "array", "items": {"type": "string", "maxLength": 9000}},
                "type": {"type": "string", "maxLength": 5},
            },
        });

        let asked = asked(&schema, &json!({})).unwrap();
        let of = |name: &str| &asked["properties"][name];

        assert_eq!(of("free")["maxLength"], LONGEST_TEXT);
        assert_eq!(of("short")["maxLength"], 20);
        assert_eq!(of("long")["maxLength"], 1500);
        assert_eq!(of("kind").get("maxLength"), None);
        assert_eq!(of("list")["maxItems"], LONGEST_LIST);
        assert_eq!(of("list")["items"]["maxLength"], LONGEST_TEXT);
        assert_eq!(of("type")["maxLength"], 5);
    }

    #[test]
    fn only_what_every_recipient_brings_is_known() {
        let recipients = [
            json!({"recipient": {"name": "A", "address": ["X"]}, "opening": "Dear A,"}),
            json!({"recipient": {"name": "B"}, "reference": "7"}),
        ];

        assert_eq!(
            in_all(recipients.iter()),
            json!({"recipient": {"name": "A"}})
        );
    }
}
