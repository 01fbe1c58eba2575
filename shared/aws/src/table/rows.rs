//! Rows as `DynamoDB` keeps them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use ports::table::{Cursor, Item, Key, Numbers, RESERVED};
use ports::{Port, PortError};
use serde_json::{Map, Number, Value};

/// A row, or a part of one.
pub(super) type Row = HashMap<String, AttributeValue>;

pub(super) fn of_key(key: &Key) -> Row {
    let text = |text: &String| AttributeValue::S(text.clone());
    [
        ("pk".to_owned(), text(&key.pk)),
        ("sk".to_owned(), text(&key.sk)),
    ]
    .into()
}

pub(super) fn of_cursor(cursor: &Cursor) -> Row {
    let mut row = of_key(&cursor.key);
    if let Some(index) = &cursor.index {
        row.extend(of_index(index));
    }
    row
}

pub(super) fn of_item(item: Item) -> Row {
    let mut row = of_key(&item.key);
    row.extend(
        item.attributes
            .into_iter()
            .map(|(name, value)| (name, of_value(value))),
    );
    row.insert(
        "version".into(),
        AttributeValue::N(item.version.to_string()),
    );
    if let Some(index) = &item.index {
        row.extend(of_index(index));
    }
    if let Some(at) = item.expires_at {
        row.insert(
            "expires_at".into(),
            AttributeValue::N(at.as_second().to_string()),
        );
    }
    row
}

fn of_index(key: &Key) -> Row {
    let text = |text: &String| AttributeValue::S(text.clone());
    [
        ("gsi1pk".to_owned(), text(&key.pk)),
        ("gsi1sk".to_owned(), text(&key.sk)),
    ]
    .into()
}

fn of_value(value: Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(bool) => AttributeValue::Bool(bool),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text),
        Value::Array(values) => AttributeValue::L(values.into_iter().map(of_value).collect()),
        Value::Object(fields) => AttributeValue::M(
            fields
                .into_iter()
                .map(|(name, value)| (name, of_value(value)))
                .collect(),
        ),
    }
}

/// The row with its columns apart from its attributes.
///
/// # Errors
/// [`PortError::Refused`] if the fleet did not write it: a row without a key, a set, a binary.
pub(super) fn to_item(mut row: Row) -> Result<Item, PortError> {
    let cursor = to_cursor_from(&mut row)?;
    let version = take_number(&mut row, "version")?.unwrap_or(0);
    let expires_at = match take_number(&mut row, "expires_at")? {
        None => None,
        Some(second) => {
            Some(Timestamp::from_second(second).map_err(|_| refused("expires_at is no moment"))?)
        }
    };
    let attributes = row
        .into_iter()
        .map(|(name, value)| Ok((name, to_value(value)?)));
    Ok(Item {
        key: cursor.key,
        index: cursor.index,
        version,
        expires_at,
        attributes: attributes.collect::<Result<_, _>>()?,
    })
}

pub(super) fn to_cursor(mut row: Row) -> Result<Cursor, PortError> {
    to_cursor_from(&mut row)
}

fn to_cursor_from(row: &mut Row) -> Result<Cursor, PortError> {
    let key = take_key(row, "pk", "sk").ok_or_else(|| refused("a row without a key"))?;
    Ok(Cursor {
        key,
        index: take_key(row, "gsi1pk", "gsi1sk"),
    })
}

fn take_key(row: &mut Row, pk: &str, sk: &str) -> Option<Key> {
    match (row.remove(pk)?, row.remove(sk)?) {
        (AttributeValue::S(pk), AttributeValue::S(sk)) => Some(Key { pk, sk }),
        _ => None,
    }
}

fn take_number<T: std::str::FromStr>(row: &mut Row, name: &str) -> Result<Option<T>, PortError> {
    match row.remove(name) {
        None => Ok(None),
        Some(AttributeValue::N(text)) => text
            .parse()
            .map(Some)
            .map_err(|_| refused(&format!("{name} is no whole number"))),
        Some(_) => Err(refused(&format!("{name} is no number"))),
    }
}

fn to_value(value: AttributeValue) -> Result<Value, PortError> {
    Ok(match value {
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::Bool(bool) => Value::Bool(bool),
        AttributeValue::N(text) => Value::Number(to_number(&text)?),
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::L(values) => {
            Value::Array(values.into_iter().map(to_value).collect::<Result<_, _>>()?)
        }
        AttributeValue::M(fields) => {
            let fields = fields
                .into_iter()
                .map(|(name, value)| Ok((name, to_value(value)?)));
            Value::Object(fields.collect::<Result<Map<_, _>, PortError>>()?)
        }
        _ => return Err(refused("an attribute of a type that JSON does not have")),
    })
}

fn to_number(text: &str) -> Result<Number, PortError> {
    let whole = text
        .parse::<i64>()
        .map(Number::from)
        .or_else(|_| text.parse::<u64>().map(Number::from));
    whole
        .ok()
        .or_else(|| Number::from_f64(text.parse().ok()?))
        .ok_or_else(|| refused("a number out of range"))
}

/// The whole numbers among a row's attributes, its own columns aside.
pub(super) fn numbers(row: Option<&Row>) -> Numbers {
    let number = |(name, value): (&String, &AttributeValue)| match value {
        AttributeValue::N(text) if !RESERVED.contains(&name.as_str()) => {
            Some((name.clone(), text.parse().ok()?))
        }
        _ => None,
    };
    row.into_iter().flatten().filter_map(number).collect()
}

fn refused(cause: &str) -> PortError {
    PortError::Refused {
        port: Port::Table,
        cause: cause.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_survives_the_way_there_and_back() {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        let item = Item::new(
            Key::new("org_1", "a"),
            &json!({"n": [1, -2, 0.5, u64::MAX], "none": null, "f": {"": ""}}),
        )
        .indexed("org_1", "i")
        .expiring(at);

        assert_eq!(to_item(of_item(item.clone())), Ok(item));
    }

    #[test]
    fn a_row_that_the_fleet_did_not_write_is_refused() {
        let mut row = of_key(&Key::new("org_1", "a"));
        row.insert("tags".into(), AttributeValue::Ss(vec!["a".into()]));

        assert!(matches!(to_item(row), Err(PortError::Refused { .. })));
        assert!(matches!(
            to_item(Row::new()),
            Err(PortError::Refused { .. })
        ));
    }
}
