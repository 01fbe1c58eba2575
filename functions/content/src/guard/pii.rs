//! Personal data in a text: e-mail addresses, bank accounts, payment cards, telephone numbers.
//!
//! Each is replaced by a placeholder such as `[EMAIL_1]` (the same value by the same placeholder), and
//! [`Redaction::restore`] puts the values back into what a model answers. The model never sees them.
//! A number counts only if its check digits do (Luhn, ISO 7064), so that order numbers stay readable.
//!
//! Each character is looked at a bounded number of times, whatever the text.

use std::collections::BTreeMap;

/// A text without its personal data, and what stands for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Values by their placeholders.
    values: BTreeMap<String, String>,
    /// Placeholders by their kind and value.
    names: BTreeMap<(&'static str, String), String>,
    /// How many there are of each kind.
    counts: BTreeMap<&'static str, u32>,
}

/// The longest placeholder, in octets: what a stream holds back at most.
pub const LONGEST_PLACEHOLDER: usize = 16;

/// The most octets of the local part of an address that are looked at.
const LONGEST_LOCAL: usize = 128;

/// The most octets of the domain of an address that are looked at.
const LONGEST_DOMAIN: usize = 255;

/// The most digits of a number that are looked at.
const MOST_DIGITS: usize = 24;

impl Redaction {
    /// The text with placeholders; what they stand for is remembered here, over several texts.
    pub fn redact(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let free = !text[..at].chars().next_back().is_some_and(is_inner);
            let found = free.then(|| first_of(rest)).flatten();
            if let Some((kind, length)) = found {
                out.push_str(&self.placeholder(kind, &rest[..length]));
                at += length;
            } else {
                let next = rest.chars().next().map_or(1, char::len_utf8);
                out.push_str(&rest[..next]);
                at += next;
            }
        }
        out
    }

    /// Whether anything was replaced.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The text with the values back in their places.
    pub fn restore(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('[') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let mut octets = rest.bytes().take(LONGEST_PLACEHOLDER);
            let end = octets
                .position(|octet| octet == b']')
                .map_or(0, |at| at + 1);
            if let Some(value) = self.values.get(&rest[..end]) {
                out.push_str(value);
                rest = &rest[end..];
            } else {
                out.push('[');
                rest = &rest[1..];
            }
        }
        out + rest
    }

    /// How much of a text that is still growing can be restored now: the rest may be the beginning of a
    /// placeholder.
    pub fn settled(&self, text: &str) -> usize {
        if self.is_empty() {
            return text.len();
        }
        match text.rfind('[') {
            Some(at) if text.len() - at < LONGEST_PLACEHOLDER && !text[at..].contains(']') => at,
            _ => text.len(),
        }
    }

    fn placeholder(&mut self, kind: &'static str, value: &str) -> String {
        let known = (kind, value.to_owned());
        if let Some(name) = self.names.get(&known) {
            return name.clone();
        }
        let number = self.counts.entry(kind).or_default();
        *number += 1;
        let name = format!("[{kind}_{number}]");
        self.values.insert(name.clone(), value.to_owned());
        self.names.insert(known, name.clone());
        name
    }
}

/// A character that cannot stand before a value: the value would begin in the middle of a word.
fn is_inner(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '+')
}

/// What the text begins with, if that is personal data, and how many octets of it.
fn first_of(text: &str) -> Option<(&'static str, usize)> {
    email(text)
        .map(|length| ("EMAIL", length))
        .or_else(|| iban(text).map(|length| ("IBAN", length)))
        .or_else(|| card(text).map(|length| ("CARD", length)))
        .or_else(|| phone(text).map(|length| ("PHONE", length)))
}

/// The octets that a text begins with while its characters are like that, a bounded number of them.
fn run(text: &str, most: usize, like: impl Fn(char) -> bool) -> usize {
    text.char_indices()
        .find(|(at, character)| *at >= most || !like(*character))
        .map_or(text.len(), |(at, _)| at)
}

/// Wider than what is an address: letters of every script stand on both sides, and what follows the name
/// of a host (a path, another address) does not hide it.
fn email(text: &str) -> Option<usize> {
    let begins = |c: char| c.is_alphanumeric() || matches!(c, '_' | '+');
    text.chars().next().filter(|first| begins(*first))?;
    let local = run(text, LONGEST_LOCAL, |c| {
        c.is_alphanumeric() || ".!#$%&'*+-=?^_~".contains(c)
    });
    let host = text[local..].strip_prefix('@')?;
    let length = run(host, LONGEST_DOMAIN, |c| {
        c.is_alphanumeric() || c == '.' || c == '-'
    });
    let host = host[..length].trim_end_matches(['.', '-']);
    let (_, top) = host.rsplit_once('.')?;
    let is_top = top.chars().count() >= 2 && top.starts_with(char::is_alphabetic);
    (is_top && host.split('.').all(|label| !label.is_empty())).then_some(local + 1 + host.len())
}

/// What stands between the groups of a number, typeset or typed.
fn is_gap(character: char) -> bool {
    matches!(
        character,
        ' ' | '-'
            | '\u{a0}'
            | '\u{2007}'
            | '\u{2009}'
            | '\u{202f}'
            | '\u{2010}'
            | '\u{2011}'
            | '\u{2013}'
    )
}

/// Two letters, two check digits, up to 30 more, in groups or not (ISO 13616).
fn iban(text: &str) -> Option<usize> {
    let mut compact = String::new();
    let mut best = None;
    for (at, character) in text.char_indices() {
        match character {
            c if c.is_ascii_alphanumeric() => compact.push(c.to_ascii_uppercase()),
            c if is_gap(c) && compact.len() >= 4 && compact.len().is_multiple_of(4) => continue,
            _ => break,
        }
        if compact.len() > 34 {
            break;
        }
        if compact.len() >= 15 && ends_word(text, at + 1) && is_iban(&compact) {
            best = Some(at + 1);
        }
    }
    best
}

fn is_iban(compact: &str) -> bool {
    let octets = compact.as_bytes();
    let well_formed = octets[..2].iter().all(u8::is_ascii_uppercase)
        && octets[2..4].iter().all(u8::is_ascii_digit);
    let turned = octets[4..].iter().chain(&octets[..4]);
    well_formed
        && turned.fold(0_u32, |rest, octet| match octet {
            b'0'..=b'9' => (rest * 10 + u32::from(octet - b'0')) % 97,
            _ => (rest * 100 + u32::from(octet - b'A') + 10) % 97,
        }) == 1
}

/// 13 to 19 digits that pass Luhn's check (ISO/IEC 7812), in groups or not.
fn card(text: &str) -> Option<usize> {
    let number = number(text, &[])?;
    let issued = matches!(number.digits.first(), Some(2..=6));
    number.longest(|digits, _| issued && (13..=19).contains(&digits.len()) && luhn(digits))
}

fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => *digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// An international number (E.164: `+` or `00` and 8 to 15 digits), a Spanish one of nine digits, or a North
/// American one of ten with its usual punctuation.
fn phone(text: &str) -> Option<usize> {
    if let Some(rest) = text.strip_prefix('+') {
        let number = number(rest, &['.', '(', ')'])?;
        let found = number.longest(|digits, _| (8..=15).contains(&digits.len()));
        return found.map(|length| length + 1);
    }
    let area = text.strip_prefix('(').is_some();
    let begins = usize::from(area);
    let number = number(&text[begins..], &['.', ')'])?;
    let found = number.longest(|digits, length| {
        let grouped = !text[begins..begins + length]
            .bytes()
            .all(|octet| octet.is_ascii_digit());
        let abroad = digits.starts_with(&[0, 0]) && (10..=17).contains(&digits.len());
        let spanish = digits.len() == 9 && matches!(digits.first(), Some(6..=9)) && !area;
        let american = digits.len() == 10 && grouped && matches!(digits.first(), Some(2..=9));
        abroad || spanish || american
    });
    found.map(|length| length + begins)
}

/// The digits that a text begins with.
struct Number {
    digits: Vec<u32>,
    /// Where it may end, because a group does: behind so many digits and so many octets.
    ends: Vec<(usize, usize)>,
}

impl Number {
    /// The octets of the longest beginning that is like that: what follows a number (the month that a card
    /// expires in, another number) is none of it.
    fn longest(&self, like: impl Fn(&[u32], usize) -> bool) -> Option<usize> {
        let mut ends = self.ends.iter().rev();
        ends.find(|(digits, length)| like(&self.digits[..*digits], *length))
            .map(|(_, length)| *length)
    }
}

/// The digits that a text begins with, with at most two gaps or other separators between them at a time.
/// A group with a letter behind it is no end of a number.
fn number(text: &str, separators: &[char]) -> Option<Number> {
    let (mut digits, mut ends, mut gap) = (Vec::new(), Vec::new(), 0);
    for (at, character) in text.char_indices() {
        if let Some(digit) = character.to_digit(10) {
            if digits.len() == MOST_DIGITS {
                break;
            }
            digits.push(digit);
            gap = 0;
            if ends_word(text, at + 1) {
                ends.push((digits.len(), at + 1));
            }
        } else if (is_gap(character) || separators.contains(&character)) && gap < 2 {
            gap += 1;
            if digits.is_empty() && character != '(' {
                break;
            }
        } else {
            break;
        }
    }
    (!ends.is_empty()).then_some(Number { digits, ends })
}

fn ends_word(text: &str, at: usize) -> bool {
    !text[at..].chars().next().is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        Redaction::default().redact(text)
    }

    #[test]
    fn each_kind_is_replaced_and_put_back() {
        let text = "Escribe a ana.perez@example.com o llama al +34 612 34 56 78. IBAN ES91 2100 0418 4502 0005 \
                    1332, tarjeta 4111 1111 1111 1111.";
        let mut redaction = Redaction::default();

        let hidden = redaction.redact(text);

        assert_eq!(
            hidden,
            "Escribe a [EMAIL_1] o llama al [PHONE_1]. IBAN [IBAN_1], tarjeta [CARD_1]."
        );
        assert_eq!(redaction.restore(&hidden), text);
    }

    #[test]
    fn the_same_value_has_the_same_placeholder() {
        assert_eq!(
            redacted("a@example.com, b@example.com, a@example.com"),
            "[EMAIL_1], [EMAIL_2], [EMAIL_1]"
        );
    }

    #[test]
    fn numbers_that_are_none_of_these_stay() {
        for text in [
            "Pedido 4111111111111112",
            "ES00 2100 0418 4502 0005 1332",
            "En 2026 hubo 1234567 visitas",
            "v1.2.3 y 10.000 €",
            "x612345678",
            "no@tld",
            "@example.com",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn national_numbers_are_known_by_their_shape() {
        assert_eq!(redacted("llama al 912 345 678"), "llama al [PHONE_1]");
        assert_eq!(redacted("call (212) 555-0147 now"), "call [PHONE_1] now");
        assert_eq!(redacted("GB82WEST12345698765432"), "[IBAN_1]");
    }

    #[test]
    fn what_stands_beside_a_value_does_not_hide_it() {
        for (text, hidden) in [
            ("ana@example.com|bob@example.com", "[EMAIL_1]|[EMAIL_2]"),
            (
                "https://example.com/u/ana@example.com/edit",
                "https://example.com/u/[EMAIL_1]/edit",
            ),
            ("**ana@example.com**", "**[EMAIL_1]**"),
            ("josé@españa.es", "[EMAIL_1]"),
            ("x@y@example.com", "x@[EMAIL_1]"),
            ("4111 1111 1111 1111 12/28 123", "[CARD_1] 12/28 123"),
            ("612345678 912345678", "[PHONE_1] [PHONE_2]"),
            ("612345678 2026-01-01", "[PHONE_1] 2026-01-01"),
            ("0034 612 345 678", "[PHONE_1]"),
            ("+34\u{a0}612\u{202f}34\u{2011}56\u{a0}78", "[PHONE_1]"),
            (
                "ES91\u{a0}2100\u{a0}0418\u{a0}4502\u{a0}0005\u{a0}1332",
                "[IBAN_1]",
            ),
        ] {
            assert_eq!(redacted(text), hidden);
        }
    }

    #[test]
    fn a_text_of_beginnings_takes_no_longer_than_another() {
        let mut redaction = Redaction::default();
        for piece in ["!", "1 ", "a.", "+1", "[", "9-", "a@b."] {
            let text = piece.repeat(200 * 1024 / piece.len());

            // By the square of its length it would take minutes, and the runner ends it.
            let hidden = redaction.redact(&text);

            assert_eq!(redaction.restore(&hidden), text);
        }
    }

    #[test]
    fn many_values_are_put_back_each_in_its_place() {
        let text: String = (0..5000).map(|n| format!("p{n}@example.com ")).collect();
        let mut redaction = Redaction::default();

        let hidden = redaction.redact(&text);

        assert!(hidden.ends_with("[EMAIL_5000] "));
        assert_eq!(redaction.restore(&hidden), text);
    }

    #[test]
    fn a_growing_text_holds_back_what_may_be_a_placeholder() {
        let mut redaction = Redaction::default();
        redaction.redact("a@example.com");

        assert_eq!(redaction.settled("Hola [EMA"), 5);
        assert_eq!(redaction.settled("Hola [EMAIL_1]"), 14);
        assert_eq!(redaction.settled("Hola [una nota muy larga"), 24);
        assert_eq!(Redaction::default().settled("Hola [EMA"), 9);
    }
}
