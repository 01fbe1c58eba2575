//! Numbers and dates as a Spanish or English reader expects them: the same as in `templates/locale.typ`, which an
//! organisation's own template calls.

use domain::Locale;

const MONTHS: [[&str; 12]; 2] = [
    [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
];

/// The sign of a currency that has a well-known one.
pub fn symbol(currency: &str) -> Option<&'static str> {
    match currency {
        "EUR" => Some("€"),
        "USD" => Some("$"),
        "GBP" => Some("£"),
        _ => None,
    }
}

/// `2026-11-24` as "24 de noviembre de 2026" or "24 November 2026"; what is no date stays as it is.
pub fn date(iso: &str, language: Locale) -> String {
    let Ok(day) = iso.parse::<jiff::civil::Date>() else {
        return iso.to_owned();
    };
    let month = usize::from(day.month().unsigned_abs()) - 1;
    let (number, year) = (day.day(), day.year());
    match language {
        Locale::Es => format!("{number} de {} de {year}", MONTHS[0][month]),
        Locale::En => format!("{number} {} {year}", MONTHS[1][month]),
    }
}

/// Minor units with their currency.
pub fn amount(minor: i64, places: u32, currency: &str, language: Locale) -> String {
    let sign = if minor < 0 { "\u{2212}" } else { "" };
    let number = fixed(minor.unsigned_abs(), places, language);
    match (language, symbol(currency)) {
        (Locale::Es, symbol) => format!("{sign}{number}\u{a0}{}", symbol.unwrap_or(currency)),
        (Locale::En, Some(symbol)) => format!("{sign}{symbol}{number}"),
        (Locale::En, None) => format!("{currency}\u{a0}{sign}{number}"),
    }
}

/// Basis points without idle zeros: 2100 is "21 %", 550 is "5.5%".
pub fn percent(bps: i64, language: Locale) -> String {
    let number = trimmed(bps.unsigned_abs(), 2, language);
    let sign = if bps < 0 { "\u{2212}" } else { "" };
    match language {
        Locale::Es => format!("{sign}{number}\u{a0}%"),
        Locale::En => format!("{sign}{number}%"),
    }
}

/// Thousandths without idle zeros.
pub fn quantity(thousandths: i64, language: Locale) -> String {
    let sign = if thousandths < 0 { "\u{2212}" } else { "" };
    format!("{sign}{}", trimmed(thousandths.unsigned_abs(), 3, language))
}

/// A number as JSON writes it, grouped by thousands and with the language's mark; nothing if it is too large or
/// too small to be written without a power of ten.
pub fn decimal(plain: &str, language: Locale) -> Option<String> {
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => ("\u{2212}", digits),
        None => ("", plain),
    };
    let (whole, decimals) = match digits.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (digits, None),
    };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !decimals.is_none_or(all_digits) {
        return None;
    }
    let mut shown = format!("{sign}{}", grouped(whole, language));
    if let Some(decimals) = decimals {
        shown.push(mark(language));
        shown.push_str(decimals);
    }
    Some(shown)
}

fn trimmed(value: u64, places: u32, language: Locale) -> String {
    let shown = fixed(value, places, language);
    let mark = mark(language);
    match shown.split_once(mark) {
        Some((whole, decimals)) => match decimals.trim_end_matches('0') {
            "" => whole.to_owned(),
            decimals => format!("{whole}{mark}{decimals}"),
        },
        None => shown,
    }
}

const fn mark(language: Locale) -> char {
    match language {
        Locale::Es => ',',
        Locale::En => '.',
    }
}

/// An integer with implied decimals, grouped by thousands.
fn fixed(value: u64, places: u32, language: Locale) -> String {
    let scale = 10_u64.pow(places);
    let mut shown = grouped(&(value / scale).to_string(), language);
    if places > 0 {
        let decimals = value % scale;
        let width = usize::try_from(places).unwrap_or(0);
        shown.push(mark(language));
        shown.push_str(&format!("{decimals:0width$}"));
    }
    shown
}

/// Digits in groups of three.
fn grouped(digits: &str, language: Locale) -> String {
    let group = match language {
        Locale::Es => '.',
        Locale::En => ',',
    };
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(group);
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_its_marks() {
        use Locale::{En, Es};
        assert_eq!(date("2026-11-24", Es), "24 de noviembre de 2026");
        assert_eq!(date("2026-11-04", En), "4 November 2026");
        assert_eq!(amount(106_250, 2, "EUR", Es), "1.062,50\u{a0}€");
        assert_eq!(amount(-25_000, 2, "GBP", En), "\u{2212}£250.00");
        assert_eq!(
            amount(-1_234_567, 0, "JPY", En),
            "JPY\u{a0}\u{2212}1,234,567"
        );
        assert_eq!(amount(5, 2, "CHF", Es), "0,05\u{a0}CHF");
        assert_eq!(percent(2100, Es), "21\u{a0}%");
        assert_eq!(percent(550, En), "5.5%");
        assert_eq!(percent(5, En), "0.05%");
        assert_eq!(quantity(12_500, Es), "12,5");
        assert_eq!(quantity(1_000_000_000, En), "1,000,000");
        assert_eq!(quantity(1, En), "0.001");
        assert_eq!(decimal("1234567.5", Es), Some("1.234.567,5".to_owned()));
        assert_eq!(decimal("-12", En), Some("\u{2212}12".to_owned()));
        assert_eq!(decimal("1e30", En), None);
    }
}
