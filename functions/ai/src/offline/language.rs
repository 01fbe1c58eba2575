//! Which language a text is in, by the small words that every text of a language is full of, and by the
//! letters that only some languages have.

use super::words;

/// The text is in none of the languages that are known here, or too short to say (ISO 639-2).
pub const UNDETERMINED: &str = "und";

/// Words that are read at most: more say nothing new.
const READ: usize = 2000;

/// A language with its small words and its own letters.
struct Known {
    tag: &'static str,
    words: &'static [&'static str],
    letters: &'static str,
}

#[rustfmt::skip]
const KNOWN: [Known; 7] = [
    Known { tag: "es", letters: "ñ¿¡", words: &["el", "la", "los", "las", "de", "del", "que", "y", "en", "un", "una", "es", "no", "se", "por", "con", "para", "su", "al", "lo", "como", "más", "pero", "sus", "le", "ya", "este", "sí", "porque", "esta", "son", "entre", "está", "cuando", "muy", "sin", "sobre", "ser", "tiene", "también", "me", "hasta", "hay", "donde", "han", "quien", "están", "desde", "todo", "nos", "muchos", "hola", "gracias", "yo", "mi", "tu", "ha", "fue"] },
    Known { tag: "en", letters: "", words: &["the", "of", "and", "to", "in", "is", "you", "that", "it", "he", "was", "for", "on", "are", "with", "as", "his", "they", "be", "at", "one", "have", "this", "from", "or", "had", "by", "but", "not", "what", "all", "were", "we", "when", "your", "can", "said", "there", "an", "each", "which", "she", "do", "how", "their", "if", "will", "i", "my", "hello", "thanks", "our", "has", "would", "been", "its", "very"] },
    Known { tag: "fr", letters: "œêèëûùâ", words: &["le", "la", "les", "de", "des", "du", "et", "un", "une", "est", "que", "qui", "dans", "pour", "pas", "sur", "au", "aux", "avec", "il", "elle", "ce", "cette", "sont", "plus", "par", "je", "vous", "nous", "mais", "ou", "où", "ne", "se", "son", "sa", "ses", "ont", "été", "être", "en", "très", "c'est", "bonjour", "merci", "leur", "comme"] },
    Known { tag: "de", letters: "ßäöü", words: &["der", "die", "das", "und", "in", "den", "von", "zu", "mit", "sich", "auf", "für", "ist", "im", "dem", "nicht", "ein", "eine", "als", "auch", "es", "an", "werden", "aus", "er", "hat", "dass", "sie", "nach", "wird", "bei", "einer", "um", "am", "sind", "noch", "wie", "einem", "über", "ich", "wir", "aber", "sehr", "hallo", "danke"] },
    Known { tag: "pt", letters: "ãõ", words: &["o", "a", "os", "as", "de", "do", "da", "dos", "das", "que", "e", "em", "um", "uma", "é", "não", "se", "por", "com", "para", "seu", "sua", "ao", "no", "na", "nos", "nas", "como", "mais", "mas", "foi", "ele", "ela", "são", "está", "muito", "também", "já", "eu", "você", "isso", "pelo", "pela", "olá", "obrigado"] },
    Known { tag: "it", letters: "ìò", words: &["il", "lo", "la", "i", "gli", "le", "di", "che", "e", "un", "una", "in", "è", "per", "non", "si", "con", "del", "della", "dei", "delle", "al", "alla", "da", "nel", "nella", "sono", "come", "più", "ma", "anche", "questo", "questa", "ha", "io", "noi", "molto", "ciao", "grazie", "suo", "sua", "perché"] },
    Known { tag: "ca", letters: "·", words: &["el", "la", "els", "les", "de", "del", "dels", "que", "i", "en", "un", "una", "és", "no", "es", "per", "amb", "al", "als", "com", "més", "però", "seva", "seu", "aquest", "aquesta", "són", "entre", "està", "quan", "molt", "sense", "també", "hi", "ha", "ho", "jo", "nosaltres", "gràcies", "perquè", "tot"] },
];

/// What a text is in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    /// ISO 639-1, or [`UNDETERMINED`].
    pub language: &'static str,
    /// How far it is ahead of the others, 0 to 1.
    pub confidence: f64,
}

/// The language of a text.
pub fn detect(text: &str) -> Guess {
    let nothing = Guess {
        language: UNDETERMINED,
        confidence: 0.0,
    };
    let read: Vec<String> = words(text).take(READ).collect();
    let lower: Vec<char> = text
        .chars()
        .take(READ * 8)
        .flat_map(char::to_lowercase)
        .collect();
    let mut scores = KNOWN.each_ref().map(|known| {
        let small = read
            .iter()
            .filter(|word| known.words.contains(&word.as_str()))
            .count();
        let letters = lower.iter().filter(|c| known.letters.contains(**c)).count();
        // A letter says as much as half a word; texts are short of numbers that a float cannot hold.
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of at most some thousand"
        )]
        let score = small as f64 + letters as f64 / 2.0;
        (score, known.tag)
    });
    scores.sort_by(|one, other| other.0.total_cmp(&one.0));
    let [(best, language), (second, _), ..] = scores;
    if best <= second || best <= 0.0 {
        return nothing;
    }
    Guess {
        language,
        confidence: ((best - second) / best * 100.0).round() / 100.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_enough_to_tell_a_language() {
        for (text, language) in [
            (
                "El pedido llegó tarde y la caja estaba rota, pero nos devolvieron el dinero.",
                "es",
            ),
            (
                "The parcel was late and the box was broken, but they gave us the money back.",
                "en",
            ),
            (
                "Le colis est arrivé en retard et la boîte était cassée, mais nous avons été remboursés.",
                "fr",
            ),
            (
                "Das Paket kam zu spät und die Schachtel war kaputt, aber wir haben das Geld bekommen.",
                "de",
            ),
            (
                "A encomenda chegou tarde e a caixa estava partida, mas não foi um problema.",
                "pt",
            ),
            (
                "Il pacco è arrivato tardi e la scatola era rotta, ma ci hanno dato i soldi della spesa.",
                "it",
            ),
            (
                "El paquet va arribar tard i la caixa estava trencada, però ens van tornar els diners amb molt de gust.",
                "ca",
            ),
        ] {
            assert_eq!(detect(text).language, language, "{text}");
        }
    }

    #[test]
    fn what_says_nothing_is_not_guessed() {
        for text in ["", "1234 5678", "ABC-99", "你好世界"] {
            assert_eq!(detect(text).language, UNDETERMINED, "{text}");
        }
    }
}
