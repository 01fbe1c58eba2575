//! What tokens cost: whole micro-units of one currency for a million tokens, with the day from which a
//! price holds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Tokens in the unit of a price.
const MILLION: i128 = 1_000_000;

/// The dearest price that is taken for one: a million units for a million tokens.
const DEAREST: i64 = 1_000_000_000_000;

/// What a million tokens cost, in micro-units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Of what is asked.
    pub input: i64,
    /// Of what is asked and was still known to the endpoint.
    pub cached_input: i64,
    /// Of what is answered.
    pub output: i64,
    /// Of a text that becomes a vector.
    pub embedding: i64,
}

impl Price {
    /// What these tokens cost in micro-units, rounded up once. `cached` of the `input` are the cheaper ones.
    pub fn of(&self, input: u64, cached: u64, output: u64) -> i64 {
        let cached = cached.min(input);
        sum(&[
            (input - cached, self.input),
            (cached, self.cached_input),
            (output, self.output),
        ])
    }

    /// What it costs to turn that many tokens into vectors.
    pub fn of_vectors(&self, tokens: u64) -> i64 {
        sum(&[(tokens, self.embedding)])
    }

    /// The most that so many tokens can cost, were all of the input the dearer kind.
    pub fn bound(&self, input: u64, output: u64) -> i64 {
        sum(&[
            (input, self.input.max(self.cached_input)),
            (output, self.output),
        ])
    }
}

fn sum(parts: &[(u64, i64)]) -> i64 {
    let millionths: i128 = parts
        .iter()
        .map(|(tokens, price)| i128::from(*tokens) * i128::from(*price))
        .sum();
    i64::try_from((millionths + MILLION - 1) / MILLION).unwrap_or(i64::MAX)
}

/// The prices of a model over time, in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Prices {
    currency: String,
    /// By the moment from which each holds; never empty, and the first holds from the beginning.
    from: Vec<(Timestamp, Price)>,
}

impl Prices {
    /// One price for all time, in US dollars.
    pub fn fixed(input: i64, output: i64) -> Self {
        let price = Price {
            input,
            cached_input: input,
            output,
            embedding: input,
        };
        Self {
            currency: default_currency(),
            from: vec![(Timestamp::MIN, price)],
        }
    }

    /// ISO 4217.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// The price that holds at a moment.
    pub fn at(&self, now: Timestamp) -> Price {
        let holds = self.from.iter().rev().find(|(from, _)| *from <= now);
        holds.unwrap_or(&self.from[0]).1
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(WrittenPrice),
    Many(Vec<WrittenPrice>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrice {
    #[serde(default)]
    from: Option<Timestamp>,
    input_micros_per_million: i64,
    output_micros_per_million: i64,
    #[serde(default)]
    cached_input_micros_per_million: Option<i64>,
    #[serde(default)]
    embedding_micros_per_million: Option<i64>,
    #[serde(default = "default_currency")]
    currency: String,
}

fn default_currency() -> String {
    "USD".to_owned()
}

impl TryFrom<Written> for Prices {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let list = match written {
            Written::One(price) => vec![price],
            Written::Many(prices) => prices,
        };
        let currency = list
            .first()
            .ok_or("at least one price is expected")?
            .currency
            .clone();
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err("a currency such as USD is expected".to_owned());
        }
        if list.iter().any(|price| price.currency != currency) {
            return Err("one currency is expected".to_owned());
        }
        let mut from = list
            .iter()
            .map(WrittenPrice::check)
            .collect::<Result<Vec<_>, _>>()?;
        from.sort_by_key(|(from, _)| *from);
        if from.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("two prices hold from the same moment".to_owned());
        }
        Ok(Self { currency, from })
    }
}

impl WrittenPrice {
    fn check(&self) -> Result<(Timestamp, Price), String> {
        let price = Price {
            input: self.input_micros_per_million,
            cached_input: self
                .cached_input_micros_per_million
                .unwrap_or(self.input_micros_per_million),
            output: self.output_micros_per_million,
            embedding: self
                .embedding_micros_per_million
                .unwrap_or(self.input_micros_per_million),
        };
        let parts = [
            price.input,
            price.cached_input,
            price.output,
            price.embedding,
        ];
        if parts.iter().any(|part| !(0..=DEAREST).contains(part)) {
            return Err(format!("prices from 0 to {DEAREST} are expected"));
        }
        Ok((self.from.unwrap_or(Timestamp::MIN), price))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn prices(written: serde_json::Value) -> Result<Prices, String> {
        serde_json::from_value(written).map_err(|error| error.to_string())
    }

    #[test]
    fn a_cost_is_rounded_up_once_and_cached_tokens_are_subtracted_once() {
        let price = Price {
            input: 150_000,
            cached_input: 75_000,
            output: 600_000,
            embedding: 20_000,
        };

        assert_eq!(price.of(0, 0, 0), 0);
        assert_eq!(price.of(1, 0, 0), 1);
        assert_eq!(price.of(1_000_000, 0, 1_000_000), 750_000);
        assert_eq!(price.of(1_000_000, 400_000, 0), 90_000 + 30_000);
        // An endpoint that says that more was cached than asked is not paid less than nothing.
        assert_eq!(price.of(10, 1_000_000, 0), 1);
        assert_eq!(price.of_vectors(1_000_001), 20_001);
        assert_eq!(price.of(u64::MAX, 0, u64::MAX), i64::MAX);
    }

    #[test]
    fn a_price_holds_from_its_day_on() {
        let prices = prices(json!([
            {"input_micros_per_million": 2, "output_micros_per_million": 2, "from": "2026-06-01T00:00:00Z"},
            {"input_micros_per_million": 1, "output_micros_per_million": 1},
        ]))
        .unwrap();
        let at = |text: &str| prices.at(text.parse().unwrap()).input;

        assert_eq!(at("2026-05-31T23:59:59Z"), 1);
        assert_eq!(at("2026-06-01T00:00:00Z"), 2);
    }

    #[test]
    fn prices_that_contradict_each_other_are_refused() {
        let one = json!({"input_micros_per_million": 1, "output_micros_per_million": 1});
        let mut euro = one.clone();
        euro["currency"] = json!("EUR");
        euro["from"] = json!("2026-06-01T00:00:00Z");

        assert!(prices(json!([one, euro])).is_err());
        assert!(prices(json!([one, one])).is_err());
        assert!(prices(json!([])).is_err());
        assert!(prices(json!({"input_micros_per_million": 1})).is_err());
    }
}
