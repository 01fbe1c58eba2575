//! Data over data: a row over what all rows have in common, what is known over what a model wrote.

use serde_json::Value;

/// Lays one value over another: objects member by member, anything else whole.
pub fn laid_over(under: Value, over: Value) -> Value {
    let mut whole = under;
    lay(&mut whole, over);
    whole
}

fn lay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                lay(under.entry(name).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_is_laid_over_what_all_have_in_common() {
        let common =
            json!({ "seller": { "name": "A", "phone": "1" }, "lines": [1, 2], "locale": "es" });
        let row = json!({ "seller": { "name": "B" }, "lines": [3] });

        assert_eq!(
            laid_over(common.clone(), row),
            json!({ "seller": { "name": "B", "phone": "1" }, "lines": [3], "locale": "es" })
        );
        assert_eq!(
            laid_over(common, json!(7)),
            json!(7),
            "what is no object is refused as it is"
        );
    }
}
