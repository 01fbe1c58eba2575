//! The two languages that every text for people exists in.

use serde::{Deserialize, Serialize};

/// Spanish or English.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    /// Spanish.
    Es,
    /// English, which also answers whoever asks for neither.
    #[default]
    En,
}

impl Locale {
    /// `es` or `en` (BCP 47).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::En => "en",
        }
    }

    /// The locale that a language tag such as `es-MX` asks for.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        match primary.to_ascii_lowercase().as_str() {
            "es" => Some(Self::Es),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// The better of the two for an `Accept-Language` header (RFC 9110, 12.5.4): the highest quality
    /// wins, the first among equals.
    pub fn negotiate(header: &str) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for range in header.split(',') {
            let mut parts = range.trim().split(';');
            let locale = parts.next().and_then(|tag| Self::from_tag(tag.trim()));
            let quality = parts
                .find_map(|p| p.trim().strip_prefix("q=")?.parse::<f32>().ok())
                .unwrap_or(1.0);
            if let Some(locale) = locale
                && quality > best.map_or(0.0, |(q, _)| q)
            {
                best = Some((quality, locale));
            }
        }
        best.map_or(Self::default(), |(_, locale)| locale)
    }
}

/// Whether a text has the form of a language tag (BCP 47: letters and digits in short groups).
pub fn is_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let primary = parts.next().unwrap_or_default();
    (2..=8).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && text.len() <= 35
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_of_the_two_languages_is_chosen() {
        for (header, expected) in [
            ("es-MX,es;q=0.9,en;q=0.8", Locale::Es),
            ("fr, en;q=0.7, es;q=0.3", Locale::En),
            ("en;q=0.2, es;q=0.5", Locale::Es),
            ("es;q=0, en;q=0.1", Locale::En),
            ("de", Locale::En),
            ("", Locale::En),
        ] {
            assert_eq!(Locale::negotiate(header), expected, "{header}");
        }
    }
}
