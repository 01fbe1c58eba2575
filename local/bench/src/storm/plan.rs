//! The rows of the storm's batch: which of them are bad, how, and what has to be said of it.

use std::collections::BTreeMap;

use documents::{batch::MOST_ROWS, template::Template};
use serde_json::{Value, json};

/// One row of so many is bad.
const ONE_OF: u32 = 100;

/// The fields of a bad row, which are laid over those that all rows have in common, and the place that has to be named.
type Fault = (fn(&Value) -> Value, &'static str);

/// What can be wrong with a row, in turn.
const FAULTS: [Fault; 8] = [
    (|_| json!({"number": ""}), "/number"),
    (|_| json!({}), "/number"),
    (|_| json!({"number": 7}), "/number"),
    (|_| json!({"number": "A-1", "colour": "red"}), "/colour"),
    (|_| json!({"number": "A-1", "currency": "XXX"}), "/currency"),
    (
        |_| json!({"number": "A-1", "due_date": "2020-01-01"}),
        "/due_date",
    ),
    (wrong_iban, "/payment/iban"),
    (wrong_quantity, "/lines/1/quantity"),
];

fn wrong_iban(_: &Value) -> Value {
    json!({"number": "A-1", "payment": {"iban": "GB00 WEST 1234 5698 7654 32"}})
}

/// A list is no object, so that it takes the place of the other whole.
fn wrong_quantity(common: &Value) -> Value {
    let mut lines = common["lines"].clone();
    lines[1]["quantity"] = json!("many");
    json!({"number": "A-1", "lines": lines})
}

/// What is ordered, and what has to become of it.
pub struct Plan {
    common: Value,
    rows: Vec<Value>,
    /// The bad rows, each with the place that is wrong.
    bad: BTreeMap<u32, String>,
}

impl Plan {
    /// As many rows as a batch may have; in each hundred a random one is bad.
    pub fn new(random: &mut fastrand::Rng) -> Self {
        let [_, mut common] = Template::Invoice.samples();
        if let Some(common) = common.as_object_mut() {
            common.remove("number");
        }
        let mut plan = Self {
            rows: Vec::new(),
            bad: BTreeMap::new(),
            common,
        };
        for (fault, hundred) in FAULTS.iter().cycle().zip(0..MOST_ROWS / ONE_OF) {
            let first = hundred * ONE_OF;
            let bad = first + random.u32(..ONE_OF);
            for row in first..first + ONE_OF {
                if row == bad {
                    plan.add_bad(row, fault);
                } else {
                    plan.rows.push(json!({"number": format!("2026-{row:05}")}));
                }
            }
        }
        plan
    }

    fn add_bad(&mut self, row: u32, (data, place): &Fault) {
        self.rows.push(data(&self.common));
        self.bad.insert(row, format!("/rows/{row}{place}"));
    }

    /// The order of the batch.
    pub fn order(&self) -> Value {
        json!({"template": "invoice", "format": "pdf", "common": self.common, "rows": self.rows})
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The rows that have to become a document.
    pub fn documents(&self) -> Vec<String> {
        let rows = 0..MOST_ROWS;
        rows.filter(|row| !self.bad.contains_key(row))
            .map(|row| row.to_string())
            .collect()
    }

    /// The rows that must not, each with its place.
    pub fn errors(&self) -> Vec<String> {
        let bad = self.bad.iter();
        bad.map(|(row, place)| format!("{row} {place}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_of_each_hundred_is_bad_and_every_fault_is_among_them() {
        let plan = Plan::new(&mut fastrand::Rng::with_seed(1));

        assert_eq!(plan.rows(), 10_000);
        assert_eq!((plan.documents().len(), plan.errors().len()), (9_900, 100));
        for (_, place) in FAULTS {
            let told = plan
                .errors()
                .iter()
                .filter(|error| error.ends_with(place))
                .count();
            assert!(told >= 12, "{place}: {told}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_batch() {
        let order = |seed| Plan::new(&mut fastrand::Rng::with_seed(seed)).order();

        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
    }
}
