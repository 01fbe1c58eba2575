//! Codes that an authenticator app shows (RFC 6238 with SHA-1, 30 seconds, six digits: the only kind
//! that Cognito offers).

use jiff::Timestamp;
use ring::hmac;

/// How long one code stands, in seconds.
const STEP: i64 = 30;

/// The code that an app with this secret shows at this moment.
pub fn code(secret: &[u8], now: Timestamp) -> String {
    at_step(secret, now.as_second().div_euclid(STEP))
}

/// Whether this is the code of now, or of the step before or after it, as clocks differ.
pub fn is_valid(secret: &[u8], now: Timestamp, code: &str) -> bool {
    let step = now.as_second().div_euclid(STEP);
    (step - 1..=step + 1).any(|step| at_step(secret, step) == code)
}

fn at_step(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let octets = tag.as_ref();
    let offset = usize::from(octets[octets.len() - 1] & 0x0f);
    let number = octets[offset..offset + 4]
        .iter()
        .fold(0, |number, octet| number << 8 | u32::from(*octet));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_codes_of_the_standard_come_out() {
        let secret = b"12345678901234567890";

        for (second, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (2_000_000_000, "279037"),
        ] {
            assert_eq!(code(secret, moment(second)), expected);
        }
    }

    #[test]
    fn a_code_two_steps_old_is_refused() {
        let secret = b"12345678901234567890";
        let old = code(secret, moment(1000));

        assert!(is_valid(secret, moment(1030), &old));
        assert!(!is_valid(secret, moment(1080), &old));
    }
}
