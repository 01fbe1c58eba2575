//! Words, and how well a passage fits those of a question (BM25).
//!
//! A word is a word of Unicode (UAX 29), in lower case and without accents, so that "Menú" is found as
//! "menu". Words that bind others in Spanish and English are left out.

use std::collections::{BTreeSet, HashMap};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// How soon a word that is said again adds nothing.
const K1: f64 = 1.2;

/// How much a long passage has to say a word more often than a short one.
const B: f64 = 0.75;

#[rustfmt::skip]
const SPANISH: [&str; 96] = [
    "a", "al", "algo", "ante", "antes", "aquel", "aquella", "asi", "aun", "aunque", "cada", "como", "con", "contra",
    "cual", "cuales", "cuando", "de", "del", "desde", "donde", "dos", "e", "el", "ella", "ellas", "ellos", "en",
    "entre", "era", "eran", "eres", "es", "esa", "esas", "ese", "eso", "esos", "esta", "estan", "estas", "este",
    "esto", "estos", "fue", "fueron", "ha", "han", "hasta", "hay", "la", "las", "le", "les", "lo", "los", "mas", "me",
    "mi", "mis", "muy", "ni", "nos", "nosotros", "o", "os", "otra", "otro", "para", "pero", "por", "porque", "que",
    "quien", "se", "ser", "si", "sin", "sobre", "son", "su", "sus", "tambien", "te", "tiene", "tienen", "tu", "tus",
    "u", "un", "una", "unas", "uno", "unos", "y", "ya",
];

#[rustfmt::skip]
const ENGLISH: [&str; 84] = [
    "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been", "before", "but", "by",
    "can", "could", "did", "do", "does", "each", "for", "from", "had", "has", "have", "he", "her", "his", "how", "i",
    "if", "in", "into", "is", "it", "its", "me", "my", "nor", "not", "of", "on", "or", "our", "she", "should",
    "so", "some", "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those",
    "through", "to", "too", "us", "very", "was", "we", "were", "what", "when", "where", "which", "while", "who",
    "whom", "why", "will", "with", "would", "you", "your", "yours",
];

/// The words of a text that say something, in its order.
pub fn of(text: &str) -> Vec<String> {
    text.unicode_words()
        .map(folded)
        .filter(|word| !binds(word))
        .collect()
}

/// A word in lower case and without accents.
fn folded(word: &str) -> String {
    word.nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .collect()
}

fn binds(word: &str) -> bool {
    SPANISH.binary_search(&word).is_ok() || ENGLISH.binary_search(&word).is_ok()
}

/// How often a passage says which words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    often: HashMap<String, u32>,
    total: u32,
}

impl Counts {
    /// Of this text.
    pub fn of(text: &str) -> Self {
        let mut counts = Self::default();
        for word in of(text) {
            *counts.often.entry(word).or_default() += 1;
            counts.total += 1;
        }
        counts
    }

    fn of_word(&self, word: &str) -> u32 {
        self.often.get(word).copied().unwrap_or(0)
    }
}

/// A question, weighed by the passages that may answer it.
#[derive(Clone, Debug)]
pub struct Weighed {
    /// Each word once, with how rare it is.
    words: Vec<(String, f64)>,
    average: f64,
}

impl Weighed {
    /// Weighs the words of a question by these passages, and no others.
    pub fn by<'a>(question: &str, passages: impl IntoIterator<Item = &'a Counts>) -> Self {
        let words: BTreeSet<String> = of(question).into_iter().collect();
        let mut with: Vec<(String, u32)> = words.into_iter().map(|word| (word, 0)).collect();
        let (mut count, mut total) = (0_u32, 0.0);
        for passage in passages {
            count += 1;
            total += f64::from(passage.total);
            for (word, with) in &mut with {
                *with += u32::from(passage.of_word(word) > 0);
            }
        }
        let rarity = |with: u32| {
            let (all, with) = (f64::from(count), f64::from(with));
            (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
        };
        Self {
            words: with
                .into_iter()
                .map(|(word, with)| (word, rarity(with)))
                .collect(),
            average: total / f64::from(count.max(1)),
        }
    }

    /// How well a passage fits: 0 if it has none of the words.
    pub fn score(&self, passage: &Counts) -> f64 {
        let length = f64::from(passage.total) / self.average.max(f64::MIN_POSITIVE);
        let damping = K1 * (1.0 - B + B * length);
        let parts = self.words.iter().map(|(word, rarity)| {
            let often = f64::from(passage.of_word(word));
            rarity * often * (K1 + 1.0) / (often + damping)
        });
        parts.sum()
    }

    /// The part of the question's words that a passage names, 0 to 1.
    pub fn covered(&self, passage: &Counts) -> f64 {
        let named = |(word, _): &&(String, f64)| passage.of_word(word) > 0;
        let count = |words: usize| u32::try_from(words).map_or(f64::MAX, f64::from);
        let named = count(self.words.iter().filter(named).count());
        named / count(self.words.len().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_every_spelling_of_case_and_accents() {
        assert_eq!(
            of("¿Cuándo ABRE la panadería del Menú-del-día? It's the BAKER’S naïve café, nº 7."),
            [
                "abre",
                "panaderia",
                "menu",
                "dia",
                "it's",
                "baker’s",
                "naive",
                "cafe",
                "no",
                "7"
            ]
        );
        assert_eq!(
            of("ﬁn e\u{301}xito ß STRASSE"),
            ["fin", "exito", "ß", "strasse"]
        );
    }

    #[test]
    fn the_lists_of_words_that_bind_are_in_order() {
        assert!(SPANISH.is_sorted() && ENGLISH.is_sorted());
    }

    #[test]
    fn the_score_is_that_of_the_formula() {
        let passages = ["pan pan queso", "queso", "vino blanco"].map(Counts::of);
        let question = Weighed::by("pan", &passages);

        // ln(1 + (3 - 1 + 0.5) / (1 + 0.5)) * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 2))
        let rarity = (1.0_f64 + 2.5 / 1.5).ln();
        let expected = rarity * 2.0 * 2.2 / (2.0 + 1.2 * (0.25 + 0.75 * 1.5));
        assert!((question.score(&passages[0]) - expected).abs() < 1e-12);
        assert!(question.score(&passages[1]).abs() < 1e-12);
    }

    #[test]
    fn a_rare_word_says_more_than_a_common_one() {
        let passages = ["pan de maíz", "pan blanco", "pan negro"].map(Counts::of);
        let question = Weighed::by("pan maíz", &passages);

        assert!(question.score(&passages[0]) > question.score(&passages[1]));
        assert!((question.covered(&passages[0]) - 1.0).abs() < 1e-12);
        assert!((question.covered(&passages[1]) - 0.5).abs() < 1e-12);
        assert!(Weighed::by("de la", &passages).covered(&passages[0]).abs() < 1e-12);
    }
}
