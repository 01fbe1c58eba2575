//! Personal data in a text: e-mail addresses, bank accounts, payment cards, telephone numbers.
//!
//! Each is replaced by a placeholder such as `[EMAIL_1]` (the same value by the same placeholder), and
//! [`Redaction::restore`] puts the values back into what a model answers. The model never sees them.
//! A number counts only if its check digits do (Luhn, ISO 7064), so that order numbers stay readable.

use domain::Email;

/// A text without its personal data, and what stands for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    kept: Vec<(String, String)>,
}

/// The longest placeholder, in octets: what a stream holds back at most.
pub const LONGEST_PLACEHOLDER: usize = 12;

impl Redaction {
    /// The text with placeholders; what they stand for is remembered here, over several texts.
    pub fn redact(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let free = !text[..at].chars().next_back().is_some_and(is_inner);
            let found = free.then(|| first_of(rest)).flatten();
            match found {
                Some((kind, length)) => {
                    out.push_str(&self.placeholder(kind, &rest[..length]));
                    at += length;
                }
                None => {
                    let next = rest.chars().next().map_or(1, char::len_utf8);
                    out.push_str(&rest[..next]);
                    at += next;
                }
            }
        }
        out
    }

    /// Whether anything was replaced.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The text with the values back in their places.
    pub fn restore(&self, text: &str) -> String {
        self.kept
            .iter()
            .fold(text.to_owned(), |text, (placeholder, value)| {
                text.replace(placeholder, value)
            })
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

    fn placeholder(&mut self, kind: &str, value: &str) -> String {
        if let Some((known, _)) = self
            .kept
            .iter()
            .find(|(name, kept)| kept == value && name[1..].starts_with(kind))
        {
            return known.clone();
        }
        let number = 1 + self
            .kept
            .iter()
            .filter(|(name, _)| name[1..].starts_with(kind))
            .count();
        let name = format!("[{kind}_{number}]");
        self.kept.push((name.clone(), value.to_owned()));
        name
    }
}

/// A character that cannot stand before a value: the value would begin in the middle of a word.
fn is_inner(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '@' | '+')
}

/// What the text begins with, if that is personal data, and how many octets of it.
fn first_of(text: &str) -> Option<(&'static str, usize)> {
    email(text)
        .map(|length| ("EMAIL", length))
        .or_else(|| iban(text).map(|length| ("IBAN", length)))
        .or_else(|| card(text).map(|length| ("CARD", length)))
        .or_else(|| phone(text).map(|length| ("PHONE", length)))
}

fn email(text: &str) -> Option<usize> {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b".!#$%&'*+-/=?^_`{|}~@".contains(&b);
    let length = text.bytes().take_while(|b| is_part(*b)).count().min(254);
    let candidate = text[..length].trim_end_matches(['.', '-', '!', '?', '\'']);
    (candidate.matches('@').count() == 1 && candidate.parse::<Email>().is_ok())
        .then_some(candidate.len())
}

/// Two letters, two check digits, up to 30 more, in groups or not (ISO 13616).
fn iban(text: &str) -> Option<usize> {
    let mut compact = String::new();
    let mut best = None;
    for (at, character) in text.char_indices() {
        match character {
            c if c.is_ascii_alphanumeric() => compact.push(c.to_ascii_uppercase()),
            ' ' if compact.len() >= 4 && compact.len().is_multiple_of(4) => continue,
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
    let (digits, length) = number(text, &[' ', '-'])?;
    let issued = matches!(digits.first(), Some(2..=6));
    ((13..=19).contains(&digits.len()) && issued && luhn(&digits)).then_some(length)
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

/// An international number (E.164: `+` and 8 to 15 digits), a Spanish one of nine digits, or a North
/// American one of ten with its usual punctuation.
fn phone(text: &str) -> Option<usize> {
    if let Some(rest) = text.strip_prefix('+') {
        let (digits, length) = number(rest, &[' ', '-', '.', '(', ')'])?;
        return (8..=15).contains(&digits.len()).then_some(length + 1);
    }
    let area = text.strip_prefix('(').is_some();
    let (digits, length) = number(&text[usize::from(area)..], &[' ', '-', '.', ')'])?;
    let spanish = digits.len() == 9 && matches!(digits.first(), Some(6..=9)) && !area;
    let grouped = text[..length].contains(['-', '.', ')', ' ']);
    let american = digits.len() == 10 && grouped && matches!(digits.first(), Some(2..=9));
    (spanish || american).then_some(length + usize::from(area))
}

/// The digits that a text begins with, separated by at most two of these characters at a time, and the
/// octets up to the last of them. Nothing if a letter follows at once: that is no number.
fn number(text: &str, separators: &[char]) -> Option<(Vec<u32>, usize)> {
    let (mut digits, mut length, mut gap) = (Vec::new(), 0, 0);
    for (at, character) in text.char_indices() {
        if let Some(digit) = character.to_digit(10) {
            digits.push(digit);
            length = at + 1;
            gap = 0;
        } else if separators.contains(&character) && gap < 2 {
            gap += 1;
            if digits.is_empty() && character != '(' {
                break;
            }
        } else {
            break;
        }
    }
    (!digits.is_empty() && ends_word(text, length)).then_some((digits, length))
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
    fn a_growing_text_holds_back_what_may_be_a_placeholder() {
        let mut redaction = Redaction::default();
        redaction.redact("a@example.com");

        assert_eq!(redaction.settled("Hola [EMA"), 5);
        assert_eq!(redaction.settled("Hola [EMAIL_1]"), 14);
        assert_eq!(redaction.settled("Hola [una nota muy larga"), 24);
        assert_eq!(Redaction::default().settled("Hola [EMA"), 9);
    }
}
