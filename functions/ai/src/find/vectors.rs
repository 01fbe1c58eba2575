//! Vectors of passages: kept at an octet a dimension, compared by their cosine.
//!
//! A vector of an embedding model has a length of its own that says nothing, so each is scaled to the range
//! of an octet by its largest number. That costs a cosine less than a hundredth and keeps a quarter of the
//! octets.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

/// A vector as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vector {
    /// Which model it is of: only vectors of one model can be compared.
    pub model: String,
    /// A signed octet a dimension, in Base64.
    pub octets: String,
}

impl Vector {
    /// Keeps a vector of a model.
    pub fn of(model: &str, numbers: &[f32]) -> Self {
        let largest = numbers.iter().fold(0.0_f32, |most, n| most.max(n.abs()));
        let octets: Vec<u8> = numbers
            .iter()
            .map(|number| scaled(*number, largest).to_le_bytes()[0])
            .collect();
        Self {
            model: model.to_owned(),
            octets: BASE64.encode(&octets),
        }
    }

    /// The vector's numbers, in proportion; nothing if it is none.
    pub fn numbers(&self) -> Option<Vec<i8>> {
        let octets = BASE64.decode(self.octets.as_bytes()).ok()?;
        Some(
            octets
                .into_iter()
                .map(|octet| i8::from_le_bytes([octet]))
                .collect(),
        )
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a number from -127 to 127, or one that is none and becomes 0"
)]
fn scaled(number: f32, largest: f32) -> i8 {
    (number / largest.max(f32::MIN_POSITIVE) * 127.0).round() as i8
}

/// How much two vectors point the same way, -1 to 1; 0 if they cannot be compared.
pub fn cosine(one: &[f32], other: &[i8]) -> f64 {
    if one.len() != other.len() {
        return 0.0;
    }
    let (mut product, mut left, mut right) = (0.0, 0.0, 0.0);
    for (a, b) in one.iter().zip(other) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        product += a * b;
        left += a * a;
        right += b * b;
    }
    let cosine = product / (left * right).sqrt();
    if cosine.is_finite() { cosine } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(one: &[f32], other: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
    }

    #[test]
    fn vectors_that_cannot_be_compared_are_not_near() {
        assert!(cosine(&[1.0, 0.0], &[1]).abs() < 1e-12);
        assert!(cosine(&[0.0, 0.0], &[1, 2]).abs() < 1e-12);
        assert!(cosine(&[f32::NAN, 1.0], &[1, 2]).abs() < 1e-12);
        assert_eq!(
            Vector::of("m", &[0.0, f32::NAN]).numbers(),
            Some(vec![0, 0])
        );
    }

    proptest! {
        #[test]
        fn what_is_kept_compares_like_what_was_given(
            pair in proptest::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 64..256)
        ) {
            let (one, other): (Vec<f32>, Vec<f32>) = pair.into_iter().unzip();
            let kept = Vector::of("m", &other).numbers().unwrap();

            prop_assert!((cosine(&one, &kept) - exact(&one, &other)).abs() < 0.01);
        }
    }
}
