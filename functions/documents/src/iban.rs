//! International bank account numbers (ISO 13616): the check digits, and the length of the countries
//! whose length is worth checking.

/// Whether the check digits fit and the country's length, where it is known, is kept. Spaces do not count.
pub fn is_valid(text: &str) -> bool {
    let compact: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
    let well_formed = (15..=34).contains(&compact.len())
        && compact[..2].iter().all(u8::is_ascii_uppercase)
        && compact[2..4].iter().all(u8::is_ascii_digit)
        && compact[4..]
            .iter()
            .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    well_formed && has_length(&compact) && remainder(&compact) == 1
}

/// From the registry of ISO 13616; other countries pass with any length that the standard allows.
fn has_length(compact: &[u8]) -> bool {
    let length = match &compact[..2] {
        b"NO" => 15,
        b"BE" => 16,
        b"DK" | b"NL" => 18,
        b"AT" => 20,
        b"CH" => 21,
        b"DE" | b"GB" | b"IE" | b"CR" => 22,
        b"AD" | b"CZ" | b"ES" | b"SE" => 24,
        b"PT" => 25,
        b"FR" | b"IT" => 27,
        b"PL" => 28,
        b"BR" => 29,
        _ => return true,
    };
    compact.len() == length
}

/// ISO 7064 MOD 97-10 over the number with its first four characters moved to the end, a letter
/// counting as two digits (A is 10).
fn remainder(compact: &[u8]) -> u32 {
    let turned = compact[4..].iter().chain(&compact[..4]);
    turned.fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_examples_pass() {
        for text in [
            "ES91 2100 0418 4502 0005 1332",
            "GB82WEST12345698765432",
            "DE89 3704 0044 0532 0130 00",
            "NO9386011117947",
        ] {
            assert!(is_valid(text), "{text}");
        }
    }

    #[test]
    fn each_changed_digit_and_each_swapped_pair_is_found() {
        let good = b"ES9121000418450200051332";
        for at in 2..good.len() {
            let mut changed = *good;
            changed[at] = if good[at] == b'9' { b'0' } else { good[at] + 1 };
            assert!(
                !is_valid(std::str::from_utf8(&changed).unwrap()),
                "digit {at}"
            );
        }
        for at in (4..good.len() - 1).filter(|at| good[*at] != good[*at + 1]) {
            let mut swapped = *good;
            swapped.swap(at, at + 1);
            assert!(
                !is_valid(std::str::from_utf8(&swapped).unwrap()),
                "pair {at}"
            );
        }
    }

    #[test]
    fn what_is_too_short_too_long_or_not_ascii_is_refused() {
        for text in [
            "",
            "ES",
            "ES91",
            "ES91 2100 0418 4502 0005 13320",
            "es9121000418450200051332",
            "ES9121000418450200051é",
        ] {
            assert!(!is_valid(text), "{text}");
        }
    }
}
