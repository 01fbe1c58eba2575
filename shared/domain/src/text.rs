//! A text for people, in both languages at once, so that one cannot be forgotten.

use std::borrow::Cow;

use crate::Locale;

/// The same sentence in Spanish and in English.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    es: Cow<'static, str>,
    en: Cow<'static, str>,
}

impl Text {
    /// Two fixed sentences.
    pub const fn fixed(es: &'static str, en: &'static str) -> Self {
        Self {
            es: Cow::Borrowed(es),
            en: Cow::Borrowed(en),
        }
    }

    /// Two sentences that hold a value.
    pub fn with(es: String, en: String) -> Self {
        Self {
            es: Cow::Owned(es),
            en: Cow::Owned(en),
        }
    }

    /// The sentence in one language.
    pub fn get(&self, locale: Locale) -> &str {
        match locale {
            Locale::Es => &self.es,
            Locale::En => &self.en,
        }
    }
}
