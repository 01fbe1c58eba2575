//! Whether data fits a template: its schema first, then what a schema cannot say. Every place that
//! fails is named, not only the first.

mod meaning;
pub mod schema;
pub(crate) mod text;

use domain::Text;
use serde_json::Value;

use crate::invoice::Totals;
use crate::template::Template;

/// One place of the data that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) from the request's body, so it begins with `/data`.
    pub pointer: String,
    /// What is wrong there.
    pub detail: Text,
}

impl From<crate::job::Unfitting> for Fault {
    fn from(unfitting: crate::job::Unfitting) -> Self {
        Self {
            pointer: unfitting.pointer,
            detail: unfitting.detail.into(),
        }
    }
}

/// Data that fits, with what the engine worked out from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The data as it came.
    pub data: Value,
    /// The totals of an invoice; null for the others.
    pub computed: Value,
}

/// The data with its computed part, or every fault in it.
///
/// # Errors
/// The faults, at least one.
pub fn check(template: Template, mut data: Value) -> Result<Checked, Vec<Fault>> {
    whole_numbers(&mut data);
    let mut faults = schema::faults(template, &data);
    faults.extend(text::faults(&data));
    if !faults.is_empty() {
        return Err(faults);
    }
    let computed = match template {
        Template::Invoice => invoice(&data)?,
        Template::Letter => Value::Null,
        Template::Report => no_fault(meaning::report(&data)).map(|()| Value::Null)?,
    };
    Ok(Checked { data, computed })
}

/// What can be said of data before its schema is asked: the same for every template.
///
/// # Errors
/// The faults, at least one.
pub fn prepare(mut data: Value) -> Result<Value, Vec<Fault>> {
    whole_numbers(&mut data);
    no_fault(text::faults(&data)).map(|()| data)
}

fn invoice(data: &Value) -> Result<Value, Vec<Fault>> {
    let mut faults = meaning::invoice(data);
    match Totals::of(data) {
        Ok(totals) if faults.is_empty() => Ok(totals.to_json()),
        Ok(_) => Err(faults),
        Err(sum) => {
            faults.push(meaning::sum_fault(&sum));
            Err(faults)
        }
    }
}

/// To a schema `2.0` is an integer; from here on it is one to everybody.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            // A float of this format without decimals and below 10^15 prints exactly as its integer.
            let whole = number
                .as_f64()
                .filter(|n| n.fract() == 0.0 && n.abs() < 1e15);
            if let Some(whole) = whole.and_then(|n| format!("{n:.0}").parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

fn no_fault(faults: Vec<Fault>) -> Result<(), Vec<Fault>> {
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

/// The pointer of a member or an element below another pointer.
pub(crate) fn below(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Locale;
    use serde_json::json;

    fn sample(template: Template) -> Value {
        template.samples()[1].clone()
    }

    fn pointers(template: Template, data: Value) -> Vec<String> {
        check(template, data)
            .unwrap_err()
            .into_iter()
            .map(|fault| fault.pointer)
            .collect()
    }

    #[test]
    fn every_sample_fits_its_template() {
        for template in Template::ALL {
            for sample in template.samples() {
                assert_eq!(check(template, sample).map(|_| ()), Ok(()), "{template:?}");
            }
        }
    }

    #[test]
    fn every_failing_path_is_named() {
        let mut data = sample(Template::Invoice);
        data["lines"][0]["quantity"] = json!(0);
        data["lines"][1]["unit_price"] = json!("12.50");
        data["lines"][2]["colour"] = json!("red");
        data["seller"].as_object_mut().unwrap().remove("name");
        data["issue_date"] = json!("2026-02-30");
        data["currency"] = json!("XXX");
        data["notes"] = json!(["ok", ""]);

        let mut found = pointers(Template::Invoice, data);
        found.sort();

        assert_eq!(
            found,
            [
                "/data/currency",
                "/data/issue_date",
                "/data/lines/0/quantity",
                "/data/lines/1/unit_price",
                "/data/lines/2/colour",
                "/data/notes/1",
                "/data/seller/name",
            ]
        );
    }

    #[test]
    fn an_integer_may_be_written_with_a_point() {
        let mut plain = sample(Template::Invoice);
        plain["lines"][0]["unit_price"] = json!(8500);
        let mut pointed = plain.clone();
        pointed["lines"][0]["unit_price"] = json!(8500.0);

        assert_eq!(
            check(Template::Invoice, pointed),
            check(Template::Invoice, plain)
        );
    }

    #[test]
    fn an_unknown_field_is_named_with_its_own_pointer() {
        let mut data = sample(Template::Letter);
        data["a/b~c"] = json!(1);

        assert_eq!(pointers(Template::Letter, data), ["/data/a~1b~0c"]);
    }

    #[test]
    fn what_is_no_object_is_named_at_its_root() {
        assert_eq!(pointers(Template::Report, json!([])), ["/data"]);
    }

    #[test]
    fn a_detail_exists_in_both_languages_and_never_repeats_the_value() {
        let mut data = sample(Template::Invoice);
        data["number"] = json!("s3cr3t".repeat(20));

        let faults = check(Template::Invoice, data).unwrap_err();

        assert_eq!(
            faults[0].detail.get(Locale::En),
            "Must have at most 40 characters"
        );
        assert_eq!(
            faults[0].detail.get(Locale::Es),
            "Debe tener como máximo 40 caracteres"
        );
    }
}
