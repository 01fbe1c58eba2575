//! Finding words in a text as its readers would: whole words, whatever their case, and with the accents
//! that a language lets people leave out.
//!
//! | locale | accents | ñ |
//! |---|---|---|
//! | `es` | left out: `información` is `informacion` | a letter of its own: `año` is not `ano` |
//! | `en` | left out: `café` is `cafe` | left out |
//! | others | kept: in German or Swedish they tell words apart | kept |

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A text made comparable, which still knows where each of its letters came from.
#[derive(Debug)]
pub struct Folded {
    letters: Vec<char>,
    /// For each letter, the index of the character of the text that it came from.
    origins: Vec<usize>,
    characters: usize,
}

/// A part of a text, in characters (Unicode code points), the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first character.
    pub start: usize,
    /// One past the last.
    pub end: usize,
}

impl Folded {
    /// The text, comparable by the rules of this language.
    pub fn new(text: &str, locale: &str) -> Self {
        let rule = Rule::of(locale);
        let (mut letters, mut origins) = (Vec::new(), Vec::new());
        let mut characters = 0;
        for (index, character) in text.chars().enumerate() {
            characters = index + 1;
            for part in std::iter::once(character).nfd() {
                if is_combining_mark(part) && rule.drops(part, letters.last().copied()) {
                    continue;
                }
                for lower in part.to_lowercase() {
                    letters.push(lower);
                    origins.push(index);
                }
            }
        }
        Self {
            letters,
            origins,
            characters,
        }
    }

    /// How many characters the text has.
    pub fn characters(&self) -> usize {
        self.characters
    }

    /// Every place where the other text stands as whole words.
    pub fn find(&self, words: &Folded) -> Vec<Span> {
        let pattern = words.letters.as_slice();
        if pattern.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut at = 0;
        while at + pattern.len() <= self.letters.len() {
            let end = at + pattern.len();
            if self.letters[at..end] == *pattern && self.is_whole(at, end) {
                found.push(Span {
                    start: self.origins[at],
                    end: self.end_of(end),
                });
                at = end;
            } else {
                at += 1;
            }
        }
        found
    }

    /// A boundary is asked for only where the words themselves end in a letter or a digit.
    fn is_whole(&self, start: usize, end: usize) -> bool {
        let is_word = |index: usize| {
            self.letters
                .get(index)
                .is_some_and(|c| c.is_alphanumeric() || is_combining_mark(*c))
        };
        let begins = start == 0 || !(is_word(start) && is_word(start - 1));
        begins && !(is_word(end - 1) && is_word(end))
    }

    /// One past the character of the last letter, with the marks that were left out behind it.
    fn end_of(&self, end: usize) -> usize {
        self.origins.get(end).copied().unwrap_or(self.characters)
    }
}

#[derive(Clone, Copy)]
enum Rule {
    Spanish,
    English,
    Other,
}

impl Rule {
    fn of(locale: &str) -> Self {
        match domain::Locale::from_tag(locale) {
            Some(domain::Locale::Es) => Self::Spanish,
            Some(domain::Locale::En) => Self::English,
            None => Self::Other,
        }
    }

    fn drops(self, mark: char, before: Option<char>) -> bool {
        const TILDE: char = '\u{303}';
        match self {
            Self::Spanish => !(mark == TILDE && before == Some('n')),
            Self::English => true,
            Self::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, words: &str, locale: &str) -> Vec<(usize, usize)> {
        Folded::new(text, locale)
            .find(&Folded::new(words, locale))
            .into_iter()
            .map(|span| (span.start, span.end))
            .collect()
    }

    #[test]
    fn case_and_left_out_accents_do_not_hide_a_word() {
        assert_eq!(
            found("La INFORMACION y la información", "Información", "es"),
            [(3, 14), (20, 31)]
        );
        assert_eq!(found("Un CAFE", "café", "en"), [(3, 7)]);
    }

    #[test]
    fn in_spanish_an_n_with_a_tilde_is_another_letter() {
        assert_eq!(found("el año", "ano", "es"), []);
        assert_eq!(found("el AÑO", "año", "es-MX"), [(3, 6)]);
        assert_eq!(found("jalapeño", "jalapeno", "en"), [(0, 8)]);
    }

    #[test]
    fn elsewhere_accents_tell_words_apart() {
        assert_eq!(found("schon schön", "schön", "de"), [(6, 11)]);
    }

    #[test]
    fn only_whole_words_count() {
        assert_eq!(
            found("baratos, barato-barato", "barato", "es"),
            [(9, 15), (16, 22)]
        );
        assert_eq!(found("C++ and C", "C++", "en"), [(0, 3)]);
        assert_eq!(found("prueba", "", "es"), []);
    }

    #[test]
    fn composed_and_decomposed_letters_are_the_same() {
        let decomposed = "cafe\u{301} y an\u{303}o";

        assert_eq!(found(decomposed, "café", "es"), [(0, 5)]);
        assert_eq!(found(decomposed, "año", "es"), [(8, 12)]);
        assert_eq!(found("año", "an\u{303}o", "de"), [(0, 3)]);
    }

    #[test]
    fn several_words_and_characters_beyond_the_first_plane_keep_their_places() {
        assert_eq!(found("😀 coste cero 😀", "coste cero", "es"), [(2, 12)]);
    }
}
