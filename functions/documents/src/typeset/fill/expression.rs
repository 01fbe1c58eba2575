//! The expressions of placeholders: minijinja's, with nothing of it but operators and the filters and tests
//! below, so that an expression reaches the data and nothing else, and costs little.
//!
//! | filter | takes | prints |
//! |---|---|---|
//! | `date` | `2026-11-24` | 24 de noviembre de 2026; 24 November 2026 |
//! | `money("EUR")` | minor units, an integer | 1.062,50 €; €1,062.50 |
//! | `percent` | basis points, an integer | 21 %; 21% |
//! | `number`, `number(2)` | a number, and how many decimals | 1.062,5; 1,062.5 |
//! | `upper`, `lower`, `title`, `trim` | a text | the text so |
//! | `default(…)` | anything | it, or what is given if the data has no such field |
//! | `first`, `last`, `length`, `join(…)`, `sort`, `sum` | a list | one of it, or something of all |

use std::collections::BTreeMap;

use domain::Locale;
use minijinja::{
    Environment, Error, ErrorKind, Expression, UndefinedBehavior, Value, filters, tests,
};

use super::placeholders::Placeholder;
use super::refused;
use crate::flow::words;
use crate::invoice::currency_places;
use crate::job::TypesetError;

/// What one expression may cost, in the engine's unit.
const FUEL: u64 = 20_000;

/// The engine that works expressions out.
pub fn engine(language: Locale) -> Environment<'static> {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(50);
    engine.add_filter("date", move |value: &Value| date(value, language));
    engine.add_filter("money", move |value: &Value, currency: &str| {
        let places = currency_places(currency);
        whole(value).map(|minor| words::amount(minor, places, currency, language))
    });
    engine.add_filter("percent", move |value: &Value| {
        whole(value).map(|points| words::percent(points, language))
    });
    engine.add_filter("number", move |value: &Value, places: Option<u8>| {
        number(value, places, language)
    });
    plain_filters(&mut engine);
    engine.add_test("defined", tests::is_defined);
    engine.add_test("undefined", tests::is_undefined);
    engine.add_test("none", tests::is_none);
    engine.add_test("odd", tests::is_odd);
    engine.add_test("even", tests::is_even);
    engine
}

fn plain_filters(engine: &mut Environment<'static>) {
    engine.add_filter("default", filters::default);
    engine.add_filter("first", filters::first);
    engine.add_filter("join", filters::join);
    engine.add_filter("last", filters::last);
    engine.add_filter("length", filters::length);
    engine.add_filter("lower", filters::lower);
    engine.add_filter("sort", filters::sort);
    engine.add_filter("sum", filters::sum);
    engine.add_filter("title", filters::title);
    engine.add_filter("trim", filters::trim);
    engine.add_filter("upper", filters::upper);
}

fn date(value: &Value, language: Locale) -> Result<String, Error> {
    value
        .as_str()
        .filter(|text| text.parse::<jiff::civil::Date>().is_ok())
        .map(|text| words::date(text, language))
        .ok_or_else(unsuitable)
}

fn whole(value: &Value) -> Result<i64, Error> {
    value
        .as_i64()
        .filter(|_| value.is_number())
        .ok_or_else(unsuitable)
}

/// With as many decimals as it has, or as are asked for.
fn number(value: &Value, places: Option<u8>, language: Locale) -> Result<String, Error> {
    if !value.is_number() {
        return Err(unsuitable());
    }
    let plain = value.to_string();
    let plain = match (places, plain.parse::<f64>()) {
        (Some(places), Ok(number)) => format!("{number:.*}", usize::from(places.min(9))),
        _ => plain,
    };
    words::decimal(&plain, language).ok_or_else(unsuitable)
}

fn unsuitable() -> Error {
    Error::from(ErrorKind::InvalidOperation)
}

/// The expressions of all placeholders, each by the number of its own.
pub struct Expressions<'a> {
    found: &'a [Placeholder],
    compiled: Vec<Option<Expression<'a, 'a>>>,
}

impl<'a> Expressions<'a> {
    /// Reads them.
    ///
    /// # Errors
    /// [`TypesetError::Unfillable`] naming the first that cannot be read.
    pub fn of(engine: &'a Environment<'a>, found: &'a [Placeholder]) -> Result<Self, TypesetError> {
        let compiled = found
            .iter()
            .map(|one| {
                let expression = one.tag.expression();
                expression
                    .map(|text| {
                        engine
                            .compile_expression(text)
                            .map_err(|e| failure(one, &e))
                    })
                    .transpose()
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { found, compiled })
    }

    /// The value of one, undefined if there is none.
    ///
    /// # Errors
    /// [`TypesetError::Unfillable`] naming it.
    pub fn value(&self, mark: usize, names: Value) -> Result<Value, TypesetError> {
        match &self.compiled[mark] {
            Some(expression) => expression
                .eval(names)
                .map_err(|error| failure(&self.found[mark], &error)),
            None => Ok(Value::UNDEFINED),
        }
    }
}

/// The engine's message may quote the data, so that all but that of the syntax is told by its kind.
fn failure(placeholder: &Placeholder, error: &Error) -> TypesetError {
    let (es, en) = match error.kind() {
        ErrorKind::UndefinedError => (
            "los datos no tienen este campo",
            "the data has no such field",
        ),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest => (
            "no hay tal filtro o prueba",
            "there is no such filter or test",
        ),
        ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => {
            ("no hay tal función", "there is no such function")
        }
        ErrorKind::OutOfFuel => ("cuesta demasiado", "costs too much"),
        ErrorKind::SyntaxError | ErrorKind::BadEscape => {
            ("no es una expresión válida", "is not a valid expression")
        }
        _ => (
            "no se puede calcular con el valor que tienen los datos",
            "cannot be worked out with the value that the data has",
        ),
    };
    told(placeholder, es, en)
}

/// Says something of a placeholder.
pub fn told(placeholder: &Placeholder, es: &str, en: &str) -> TypesetError {
    let shown = &placeholder.shown;
    refused(format!("{shown}: {es}"), format!("{shown}: {en}"))
}

/// Data as the engine's value.
pub fn value(data: &serde_json::Value) -> Value {
    match data {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map(Value::from)
            .or_else(|| number.as_u64().map(Value::from))
            .unwrap_or_else(|| Value::from(number.as_f64().unwrap_or(0.0))),
        serde_json::Value::String(text) => Value::from(text),
        serde_json::Value::Array(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        serde_json::Value::Object(members) => Value::from(
            members
                .iter()
                .map(|(name, member)| (name.clone(), value(member)))
                .collect::<BTreeMap<_, _>>(),
        ),
    }
}
