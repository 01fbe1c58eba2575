//! JSON objects in which no name occurs twice, at any depth.
//!
//! Parsers disagree on which of two members counts, and an attacker lives in that gap: the gateway
//! reads the first `sub`, the function the last one. Whoever writes both is refused instead.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::TokenError;

/// The one JSON object (RFC 8259) that these octets are, in UTF-8 and with nothing around it but blanks.
///
/// # Errors
/// [`TokenError::DuplicateMember`], or [`TokenError::Json`] for everything else. Nesting is limited to
/// 128 levels, so that no text can exhaust the stack.
pub fn object(octets: &[u8]) -> Result<Map<String, Value>, TokenError> {
    let twice = Cell::new(false);
    let mut json = serde_json::Deserializer::from_slice(octets);
    let parsed = Unique(&twice)
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value));
    match parsed {
        Ok(Value::Object(members)) => Ok(members),
        Err(_) if twice.get() => Err(TokenError::DuplicateMember),
        Ok(_) | Err(_) => Err(TokenError::Json),
    }
}

/// Reads a value and remembers whether the reason to stop was a name that came twice.
#[derive(Clone, Copy)]
struct Unique<'a>(&'a Cell<bool>);

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                self.0.set(true);
                return Err(A::Error::custom("a member occurs twice"));
            }
            let value = members.next_value_seed(self)?;
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_keeps_its_members() {
        let members = object(br#" {"a":[1,-2,1.5,null,true,{"b":"\u00e1"}]} "#).unwrap();

        assert_eq!(
            Value::Object(members),
            serde_json::json!({"a": [1, -2, 1.5, null, true, {"b": "á"}]})
        );
    }

    #[test]
    fn a_name_that_comes_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[[{"a":1,"b":2,"a":3}]]}"#,
        ] {
            assert_eq!(
                object(text.as_bytes()),
                Err(TokenError::DuplicateMember),
                "{text}"
            );
        }
    }

    #[test]
    fn whatever_is_not_one_object_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        for text in [
            "",
            "null",
            "[]",
            "\"{}\"",
            "{",
            "{}{}",
            "{} x",
            "{'a':1}",
            "{\"a\":NaN}",
            "{\"a\":1e999}",
            &deep,
        ] {
            assert_eq!(object(text.as_bytes()), Err(TokenError::Json), "{text:.20}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(TokenError::Json));
        assert_eq!(object(b"\xef\xbb\xbf{}"), Err(TokenError::Json));
        assert_eq!(object(br#"{"a":"\ud800"}"#), Err(TokenError::Json));
    }
}
