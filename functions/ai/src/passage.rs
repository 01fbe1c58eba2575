//! A text cut into passages: what is found, cited and turned into vectors.
//!
//! Passages follow paragraphs and sentences, overlap a little, and together cover the whole text. The same
//! text is always cut in the same way, and a passage is known by the hash of its words, so that of a text
//! that changed only the passages that changed are new.

use std::ops::Range;

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

/// The most characters of a passage: some 300 tokens, which every embedding model reads whole.
pub const LONGEST: usize = 1200;

/// How many characters of a passage the next one repeats at most, so that what stands at the seam is found.
pub const OVERLAP: usize = 150;

/// A passage, and where in the text it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// Which of the document's, from 0.
    pub number: u32,
    /// Where it begins in the text, in Unicode code points.
    pub start: usize,
    /// Where it ends: the first code point that is not part of it.
    pub end: usize,
    /// The words.
    pub text: String,
    /// SHA-256 of the words, in hexadecimal.
    pub hash: String,
}

/// A text as it was taken out of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// The text.
    pub text: String,
    /// The octets at which a passage has to begin, in order: where the rows of a table do.
    pub seams: Vec<usize>,
}

impl From<String> for Extracted {
    fn from(text: String) -> Self {
        Self {
            text,
            seams: Vec::new(),
        }
    }
}

/// The passages of a text, in order. A text of nothing but spaces has none.
pub fn cut(extracted: &Extracted) -> Vec<Passage> {
    let text = extracted.text.as_str();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for section in sections(extracted) {
        ranges.extend(pack(text, &units(text, section)));
    }
    ranges.retain(|range| !text[range.clone()].trim().is_empty());
    let mut place = Place::default();
    (0..)
        .zip(ranges)
        .map(|(number, range)| Passage {
            number,
            start: place.of(text, range.start),
            end: place.of(text, range.end),
            hash: hash(&text[range.clone()]),
            text: text[range].to_owned(),
        })
        .collect()
}

/// The text that these passages of a document were cut from; spaces stand for what is in none of them, which
/// were spaces of some kind.
pub fn joined(passages: &[Passage]) -> String {
    let (mut text, mut reached) = (String::new(), 0);
    for passage in passages {
        text.extend(std::iter::repeat_n(
            ' ',
            passage.start.saturating_sub(reached),
        ));
        let known = reached.max(passage.start) - passage.start;
        text.extend(passage.text.chars().skip(known));
        reached = reached.max(passage.end);
    }
    text
}

/// What a passage is known by.
pub fn hash(words: &str) -> String {
    HEXLOWER.encode(digest(&SHA256, words.as_bytes()).as_ref())
}

/// The code point at which an octet stands. Octets that are asked for one after the other are near each
/// other, so that a long text is not counted from its beginning again and again.
#[derive(Default)]
struct Place {
    octet: usize,
    point: usize,
}

impl Place {
    fn of(&mut self, text: &str, octet: usize) -> usize {
        self.point = if octet >= self.octet {
            self.point + text[self.octet..octet].chars().count()
        } else {
            self.point - text[octet..self.octet].chars().count()
        };
        self.octet = octet;
        self.point
    }
}

fn sections(extracted: &Extracted) -> impl Iterator<Item = Range<usize>> {
    let end = extracted.text.len();
    let begins = std::iter::once(0).chain(extracted.seams.iter().copied());
    let ends = extracted.seams.iter().copied().chain([end]);
    begins
        .zip(ends)
        .map(|(begin, end)| begin..end)
        .filter(|range| !range.is_empty())
}

/// Sentences, each with the space behind it; what is too long for a passage falls into words, and what
/// has no words into pieces.
fn units(text: &str, section: Range<usize>) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    for (at, sentence) in text[section.clone()].split_sentence_bound_indices() {
        let range = section.start + at..section.start + at + sentence.len();
        if points(sentence) <= LONGEST {
            units.push(range);
            continue;
        }
        for (at, word) in sentence.split_word_bound_indices() {
            let begin = range.start + at;
            units.extend(pieces(word).map(|piece| begin + piece.start..begin + piece.end));
        }
    }
    units
}

/// A word in pieces that a passage can hold.
fn pieces(word: &str) -> impl Iterator<Item = Range<usize>> {
    let begins: Vec<usize> = word
        .char_indices()
        .map(|(at, _)| at)
        .step_by(LONGEST)
        .collect();
    let ends: Vec<usize> = begins.iter().copied().skip(1).chain([word.len()]).collect();
    begins.into_iter().zip(ends).map(|(begin, end)| begin..end)
}

/// Puts units together while they fit, or until a paragraph ends that leaves a passage no less than half full:
/// so that behind an edit the passages soon begin where they did before. One that ends elsewhere is followed
/// by one that begins with its last units, as far as those are short and leave room for something new.
fn pack(text: &str, units: &[Range<usize>]) -> Vec<Range<usize>> {
    let size = |range: &Range<usize>| points(&text[range.clone()]);
    let (mut packed, mut first) = (Vec::new(), 0);
    while first < units.len() {
        let (mut next, mut total, mut ends) = (first, 0, false);
        while next < units.len()
            && !ends
            && (next == first || total + size(&units[next]) <= LONGEST)
        {
            total += size(&units[next]);
            ends = total >= LONGEST / 2 && text[..units[next].end].ends_with("\n\n");
            next += 1;
        }
        packed.push(units[first].start..units[next - 1].end);
        first = match units.get(next) {
            Some(new) if !ends => next - repeated(&units[first..next], size(new), size),
            _ => next,
        };
    }
    packed
}

/// How many of a passage's last units the next one repeats.
fn repeated(units: &[Range<usize>], new: usize, size: impl Fn(&Range<usize>) -> usize) -> usize {
    let (mut count, mut total) = (0, 0);
    for unit in units.iter().skip(1).rev() {
        total += size(unit);
        if total > OVERLAP || total + new > LONGEST {
            break;
        }
        count += 1;
    }
    count
}

fn points(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Vec<Passage> {
        cut(&Extracted::from(text.to_owned()))
    }

    #[test]
    fn a_passage_ends_where_a_sentence_does_and_the_next_repeats_its_end() {
        let sentence = |n: usize| format!("La frase número {n} habla del pan y de las tartas. ");
        let text: String = (0..60).map(sentence).collect();

        let passages = of(&text);

        assert!(passages.len() > 2);
        for pair in passages.windows(2) {
            assert!(pair[0].text.trim_end().ends_with('.'), "{}", pair[0].text);
            assert!(pair[1].start < pair[0].end, "they overlap");
            assert!(pair[0].end - pair[1].start <= OVERLAP);
        }
    }

    #[test]
    fn an_edit_at_one_place_leaves_the_other_passages_as_they_were() {
        let sentence = |n: usize| format!("Frase número {n} de un texto que es largo. ");
        let text: String = (0..300).map(sentence).collect();
        let edited = text.replace("número 295 ", "número doscientos noventa y cinco ");

        let (before, after) = (of(&text), of(&edited));

        let new = after
            .iter()
            .filter(|passage| before.iter().all(|old| old.hash != passage.hash))
            .count();
        assert!(new <= 2, "{new} of {}", after.len());
    }

    #[test]
    fn an_edit_moves_no_passage_behind_the_paragraph_that_it_is_in() {
        let paragraph = |n: usize| {
            format!(
                "{}\n\n",
                format!("Frase {n} del texto. ").repeat(12 + n % 7)
            )
        };
        let text: String = (0..40).map(paragraph).collect();
        let edited = text.replacen("Frase 3 ", "Una frase muy distinta de todas las otras ", 2);

        let (before, after) = (of(&text), of(&edited));

        let new = after
            .iter()
            .filter(|passage| before.iter().all(|old| old.hash != passage.hash))
            .count();
        assert!(new <= 4, "{new} of {}", after.len());
    }

    #[test]
    fn a_row_of_a_table_shares_no_passage_with_another() {
        let text = "a: 1\n\na: 2\n\n";
        let passages = cut(&Extracted {
            text: text.into(),
            seams: vec![6],
        });

        let texts: Vec<&str> = passages.iter().map(|passage| &*passage.text).collect();
        assert_eq!(texts, ["a: 1\n\n", "a: 2\n\n"]);
    }

    proptest! {
        #[test]
        fn passages_cover_the_text_and_stand_where_they_say(
            parts in proptest::collection::vec(
                prop_oneof![
                    "[a-zñáé¿]{1,12}[.!?]? ", "\\PC{0,40}", "[\\n ]{1,5}", "x{1000,3000}", "😀{1,900}",
                ],
                0..60,
            )
        ) {
            let text = parts.concat();
            let points: Vec<char> = text.chars().collect();
            let mut reached = 0;

            let passages = of(&text);

            for (number, passage) in passages.iter().enumerate() {
                let there: String = points[passage.start..passage.end].iter().collect();
                prop_assert_eq!(&there, &passage.text);
                prop_assert!(passage.end - passage.start <= LONGEST);
                prop_assert_eq!(passage.number as usize, number);
                let between = &points[reached.min(passage.start)..passage.start];
                prop_assert!(between.iter().all(|c| c.is_whitespace()), "{between:?} is lost");
                prop_assert!(passage.end > reached, "each has something new");
                reached = passage.end;
            }
            prop_assert!(points[reached..].iter().all(|c| c.is_whitespace()));
        }

        #[test]
        fn what_was_cut_is_joined_again(text in "([a-zñ ]{1,80}[.] ?\n{0,3}){0,80}") {
            let joined = joined(&of(&text));

            prop_assert_eq!(joined.trim_end(), text.trim_end());
        }
    }
}
