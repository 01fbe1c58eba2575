//! What an invoice comes to: sums in exact integers, from the lines alone. No client says a total.
//!
//! The rule (EN 16931, BR-CO-10 to BR-CO-17): a line is quantity times unit price, rounded to the minor
//! unit; lines of one tax rate are summed, and that rate's tax is computed once on the sum and rounded.
//! Rounding is half away from zero, so that a refund mirrors its charge.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

/// No sum goes beyond this, in minor units: what any reader of JSON still holds exactly (below 2^53).
pub const LARGEST: i64 = 1_000_000_000_000_000;

/// The sums of an invoice, in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// How many decimals the minor unit stands for (ISO 4217).
    pub currency_places: u32,
    /// One for each line, in their order.
    pub lines: Vec<LineSum>,
    /// One for each rate that occurs, the highest first.
    pub taxes: Vec<TaxSum>,
    /// All lines, without tax.
    pub net: i64,
    /// All taxes.
    pub tax: i64,
    /// What is to be paid.
    pub total: i64,
}

/// The sum of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LineSum {
    /// Without tax.
    pub net: i64,
}

/// The tax of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TaxSum {
    /// The rate in basis points.
    pub rate_bps: i64,
    /// The lines that it applies to, summed.
    pub base: i64,
    /// The tax on them.
    pub tax: i64,
}

/// A sum is beyond [`LARGEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    /// That of a line.
    #[error("line {0} is too large")]
    Line(usize),
    /// That of several.
    #[error("the total is too large")]
    Total,
}

impl Totals {
    /// The sums of data that fits the invoice's schema.
    ///
    /// # Errors
    /// If a sum does not fit.
    pub fn of(data: &Value) -> Result<Self, SumError> {
        let lines = data["lines"].as_array().map_or(&[][..], Vec::as_slice);
        let mut bases = BTreeMap::<i64, i64>::new();
        let mut sums = Vec::with_capacity(lines.len());
        for (index, line) in lines.iter().enumerate() {
            let net = line_net(line).ok_or(SumError::Line(index))?;
            let base = bases
                .entry(line["tax_rate_bps"].as_i64().unwrap_or(0))
                .or_default();
            *base = bounded(*base + net).ok_or(SumError::Total)?;
            sums.push(LineSum { net });
        }
        let taxes: Vec<TaxSum> = bases
            .into_iter()
            .rev()
            .map(|(rate, base)| TaxSum::on(rate, base))
            .collect();
        let places = currency_places(data["currency"].as_str().unwrap_or_default());
        Self::add(places, sums, taxes).ok_or(SumError::Total)
    }

    fn add(currency_places: u32, lines: Vec<LineSum>, taxes: Vec<TaxSum>) -> Option<Self> {
        let net = taxes
            .iter()
            .try_fold(0, |sum, tax| bounded(sum + tax.base))?;
        let tax = taxes
            .iter()
            .try_fold(0, |sum, tax| bounded(sum + tax.tax))?;
        let total = bounded(net + tax)?;
        Some(Self {
            currency_places,
            lines,
            taxes,
            net,
            tax,
            total,
        })
    }

    /// As the template reads it.
    pub fn to_json(&self) -> Value {
        json!(self)
    }
}

impl TaxSum {
    fn on(rate_bps: i64, base: i64) -> Self {
        // |base| is at most 10^15 and the rate at most 10^4, so neither the product nor the tax overflows.
        let tax = divided(i128::from(base) * i128::from(rate_bps), 10_000);
        Self {
            rate_bps,
            base,
            tax: i64::try_from(tax).unwrap_or(i64::MAX),
        }
    }
}

fn line_net(line: &Value) -> Option<i64> {
    let quantity = thousandths(&line["quantity"])?;
    let price = line["unit_price"].as_i64()?;
    bounded(i64::try_from(divided(i128::from(quantity) * i128::from(price), 1000)).ok()?)
}

fn bounded(sum: i64) -> Option<i64> {
    (-LARGEST..=LARGEST).contains(&sum).then_some(sum)
}

/// The quotient rounded half away from zero; the divisor is positive.
fn divided(dividend: i128, divisor: i128) -> i128 {
    let away = (dividend.abs() + divisor / 2) / divisor;
    if dividend < 0 { -away } else { away }
}

/// A quantity, an integer or a decimal string of at most three places, in thousandths.
pub fn thousandths(quantity: &Value) -> Option<i64> {
    if let Some(whole) = quantity.as_i64() {
        return whole.checked_mul(1000);
    }
    let (whole, decimals) = match quantity.as_str()?.split_once('.') {
        Some((whole, decimals)) if (1..=3).contains(&decimals.len()) => (whole, decimals),
        Some(_) => return None,
        None => (quantity.as_str()?, "0"),
    };
    let digits = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<i64>().ok())
            .flatten()
    };
    digits(whole)?
        .checked_mul(1000)?
        .checked_add(digits(&format!("{decimals:0<3}"))?)
}

/// ISO 4217: almost every currency has two decimals; of those that the schema names, these have none.
pub(crate) fn currency_places(code: &str) -> u32 {
    match code {
        "CLP" | "JPY" => 0,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data(lines: &[(Value, i64, i64)]) -> Value {
        let lines: Vec<_> = lines
            .iter()
            .map(|(quantity, price, rate)| json!({"quantity": quantity, "unit_price": price, "tax_rate_bps": rate}))
            .collect();
        json!({ "currency": "EUR", "lines": lines })
    }

    #[test]
    fn the_sample_comes_to_what_was_worked_out_by_hand() {
        let totals = Totals::of(&crate::template::Template::Invoice.samples()[0]).unwrap();

        let nets: Vec<_> = totals.lines.iter().map(|line| line.net).collect();
        assert_eq!(nets, [106_250, 145_000, 7_485, 60_000, -25_000]);
        assert_eq!(
            totals.taxes,
            [
                TaxSum {
                    rate_bps: 2100,
                    base: 226_250,
                    tax: 47_513
                },
                TaxSum {
                    rate_bps: 400,
                    base: 7_485,
                    tax: 299
                },
                TaxSum {
                    rate_bps: 0,
                    base: 60_000,
                    tax: 0
                },
            ]
        );
        assert_eq!(
            (totals.net, totals.tax, totals.total),
            (293_735, 47_812, 341_547)
        );
    }

    #[test]
    fn a_half_is_rounded_away_from_zero_on_both_sides() {
        for (price, net) in [(1, 1), (3, 2), (-1, -1), (-3, -2)] {
            let totals = Totals::of(&data(&[(json!("0.5"), price, 0)])).unwrap();
            assert_eq!(totals.net, net, "half of {price}");
        }
    }

    #[test]
    fn tax_is_rounded_once_for_a_rate_and_not_once_for_a_line() {
        let line = (json!(1), 3, 1000);

        let totals = Totals::of(&data(&[line.clone(), line.clone(), line])).unwrap();

        assert_eq!(totals.tax, 1, "10 % of 9, not three times 10 % of 3");
    }

    #[test]
    fn a_quantity_is_read_exactly() {
        for (quantity, expected) in [
            (json!(12), Some(12_000)),
            (json!("12"), Some(12_000)),
            (json!("12.5"), Some(12_500)),
            (json!("0.001"), Some(1)),
            (json!("0.0001"), None),
            (json!("1."), None),
            (json!("+1"), None),
            (json!("1e3"), None),
            (json!(1.5), None),
        ] {
            assert_eq!(thousandths(&quantity), expected, "{quantity}");
        }
    }

    #[test]
    fn a_sum_beyond_the_bound_names_its_line_or_the_total() {
        let most = (json!(1_000_000), 1_000_000_000, 0);
        let over = (json!(1_000_000), 1_000_000_001, 0);

        assert_eq!(
            Totals::of(&data(&[most.clone(), over])),
            Err(SumError::Line(1))
        );
        assert_eq!(
            Totals::of(&data(&[most.clone(), most.clone()])),
            Err(SumError::Total)
        );
        assert_eq!(
            Totals::of(&data(&[most])).map(|totals| totals.total),
            Ok(LARGEST)
        );
    }

    /// Long division on decimal digits, as one does it on paper: no code in common with the engine.
    fn on_paper(product: i128, zeros: usize) -> i64 {
        let digits = format!("{:0>width$}", product.unsigned_abs(), width = zeros + 1);
        let (kept, cut) = digits.split_at(digits.len() - zeros);
        let up = i64::from(cut.as_bytes()[0] >= b'5');
        let size = kept.parse::<i64>().unwrap() + up;
        if product < 0 { -size } else { size }
    }

    proptest! {
        #[test]
        fn sums_agree_with_sums_on_paper(
            lines in prop::collection::vec((1_i64..=5_000_000, -500_000_i64..=500_000, 0_i64..=30), 1..40)
        ) {
            let rows: Vec<_> = lines
                .iter()
                .map(|(milli, price, rate)| {
                    (json!(format!("{}.{:03}", milli / 1000, milli % 1000)), *price, rate * 100)
                })
                .collect();

            let totals = Totals::of(&data(&rows)).unwrap();

            let nets: Vec<_> = lines.iter().map(|(m, p, _)| on_paper(i128::from(*m) * i128::from(*p), 3)).collect();
            prop_assert_eq!(totals.lines.iter().map(|line| line.net).collect::<Vec<_>>(), nets.clone());
            prop_assert_eq!(totals.net, nets.iter().sum::<i64>());
            let mut tax = 0;
            for rate in 0..=30 {
                let base: i64 = lines.iter().zip(&nets).filter(|((_, _, r), _)| *r == rate).map(|(_, n)| n).sum();
                tax += on_paper(i128::from(base) * i128::from(rate), 2);
            }
            prop_assert_eq!(totals.tax, tax);
            prop_assert_eq!(totals.total, totals.net + totals.tax);
        }

        #[test]
        fn a_refund_mirrors_its_charge(milli in 1_i64..=5_000_000, price in 1_i64..=500_000, rate in 0_i64..=3000) {
            let quantity = json!(format!("{}.{:03}", milli / 1000, milli % 1000));

            let charge = Totals::of(&data(&[(quantity.clone(), price, rate)])).unwrap();
            let refund = Totals::of(&data(&[(quantity, -price, rate)])).unwrap();

            prop_assert_eq!((charge.net, charge.tax, charge.total), (-refund.net, -refund.tax, -refund.total));
        }
    }
}
