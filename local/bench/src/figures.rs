//! Figures as the report prints them.

use std::time::Duration;

/// A time in milliseconds.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A time in microseconds.
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Octets in megabytes.
#[expect(
    clippy::cast_precision_loss,
    reason = "a size in megabytes needs no more than a float has"
)]
pub fn megabytes(octets: u64) -> f64 {
    octets as f64 / 1e6
}

/// The value that this part of all values does not exceed; the values are sorted by it.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into a handful of measurements"
)]
pub fn quantile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values
        .get((last as f64 * at).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}
