//! A summary of the text's own sentences: those whose words the text repeats most, in their order.

use std::collections::HashMap;

use super::words;

/// Words as short as this bind others and say little.
const SHORT: usize = 3;

/// The sentences that say most, with at most that many words together; the best one alone may have more and
/// is cut after its last whole word then.
pub fn summarise(text: &str, max_words: usize) -> String {
    let sentences = sentences(text);
    let mut often: HashMap<String, u32> = HashMap::new();
    for word in words(text).filter(|word| word.chars().count() > SHORT) {
        *often.entry(word).or_default() += 1;
    }
    let mut ranked: Vec<(usize, f64, usize)> = sentences
        .iter()
        .enumerate()
        .map(|(place, sentence)| {
            let said: Vec<String> = words(sentence).collect();
            let weight: u32 = said.iter().filter_map(|word| often.get(word)).sum();
            let count = sentence.split_whitespace().count();
            let long = u32::try_from(said.len()).unwrap_or(u32::MAX).max(4);
            (place, f64::from(weight) / f64::from(long), count)
        })
        .collect();
    ranked.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    let (mut left, mut chosen) = (max_words, Vec::new());
    for (place, _, count) in &ranked {
        if *count <= left {
            left -= count;
            chosen.push(*place);
        }
    }
    if let (true, Some((best, ..))) = (chosen.is_empty(), ranked.first()) {
        let cut: Vec<&str> = sentences[*best]
            .split_whitespace()
            .take(max_words)
            .collect();
        return cut.join(" ");
    }
    chosen.sort_unstable();
    let kept: Vec<&str> = chosen.into_iter().map(|place| sentences[place]).collect();
    kept.join(" ")
}

/// The sentences of a text: up to a stop that is followed by a space, or to the end of a line.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut begin = 0;
        let mut letters = line.char_indices().peekable();
        while let Some((at, c)) = letters.next() {
            let space = letters.peek().is_none_or(|(_, next)| next.is_whitespace());
            if matches!(c, '.' | '!' | '?' | '…') && space {
                let end = at + c.len_utf8();
                found.push(line[begin..end].trim());
                begin = end;
            }
        }
        found.push(line[begin..].trim());
    }
    found.retain(|sentence| !sentence.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "La panadería abre a las siete. Hoy llueve. La panadería vende pan de centeno y pan \
        de espelta. Mi vecino tiene un gato. El pan de la panadería se acaba a mediodía.";

    #[test]
    fn a_summary_is_made_of_whole_sentences_in_their_order() {
        let summary = summarise(TEXT, 20);

        assert!(summary.contains("panadería"), "{summary}");
        assert!(!summary.contains("gato"), "{summary}");
        assert!(summary.split_whitespace().count() <= 20);
        let places: Vec<_> = sentences(&summary)
            .into_iter()
            .map(|sentence| TEXT.find(sentence).unwrap())
            .collect();
        assert!(places.is_sorted());
    }

    #[test]
    fn a_short_text_is_its_own_summary_and_a_long_sentence_is_cut() {
        assert_eq!(
            summarise("Hola a todos. Adiós.", 50),
            "Hola a todos. Adiós."
        );
        assert_eq!(summarise("uno dos tres cuatro cinco", 3), "uno dos tres");
        assert_eq!(summarise("", 3), "");
    }
}
