//! How large `DynamoDB` counts a row: the limits of 400 KB a row and 1 MB a page are in this measure.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>

use serde_json::{Map, Value};

use super::{Item, Key};

/// The most that a row may measure, in octets.
pub const ROW: usize = 400 * 1024;

/// The most that the rows of one page measure, in octets.
pub const PAGE: usize = 1024 * 1024;

/// The most that the rows of one transaction may measure, in octets.
pub const TRANSACTION: usize = 4 * 1024 * 1024;

/// The size of a row in octets: names and values, its own columns included.
pub fn of_row(item: &Item) -> usize {
    let own = of_key(&item.key, "pksk")
        + item
            .index
            .as_ref()
            .map_or(0, |key| of_key(key, "gsi1pkgsi1sk"));
    let version = "version".len() + of_digits(&item.version.to_string());
    let expiry = item.expires_at.map_or(0, |at| {
        "expires_at".len() + of_digits(&at.as_second().to_string())
    });
    own + version + expiry + of_fields(&item.attributes)
}

fn of_key(key: &Key, names: &str) -> usize {
    names.len() + key.pk.len() + key.sk.len()
}

fn of_fields(fields: &Map<String, Value>) -> usize {
    fields
        .iter()
        .map(|(name, value)| name.len() + of_value(value))
        .sum()
}

fn of_value(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => of_digits(&number.to_string()),
        Value::String(text) => text.len(),
        // Three octets for the container and one for each element.
        Value::Array(values) => {
            3 + values
                .iter()
                .map(|value| 1 + of_value(value))
                .sum::<usize>()
        }
        Value::Object(fields) => 3 + fields.len() + of_fields(fields),
    }
}

/// Two digits an octet, and one octet for the exponent.
fn of_digits(number: &str) -> usize {
    number.len().div_ceil(2) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_count_as_much_as_values() {
        let empty = of_row(&Item::new(Key::new("org_1", "a"), &json!({})));
        let named = of_row(&Item::new(
            Key::new("org_1", "a"),
            &json!({"name": "año", "list": [1, null]}),
        ));

        assert_eq!(named - empty, 4 + 4 + 4 + 3 + (1 + 2) + (1 + 1));
    }
}
