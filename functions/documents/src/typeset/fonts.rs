//! The fonts of a document: one family in the four styles that the templates use, parsed when the
//! first document needs them.

use std::iter;
use std::sync::LazyLock;

use typst::foundations::Bytes;
use typst::layout::{Abs, Em};
use typst::text::{Font, FontBook, FontStyle, FontVariant, FontVariations, FontWeight};
use typst::utils::LazyHash;

/// Latin, Greek, Cyrillic and Hebrew (SIL Open Font License). The templates name it.
const FAMILY: &str = "Libertinus Serif";

/// Regular and bold; a semibold nobody asks for would only be carried along.
const WEIGHTS: [u16; 2] = [400, 700];

/// The fonts and the book that the engine looks them up in.
pub struct Fonts {
    /// In the order of the book.
    pub faces: Vec<Font>,
    /// What they can do.
    pub book: LazyHash<FontBook>,
}

static FONTS: LazyLock<Fonts> = LazyLock::new(|| {
    let faces: Vec<Font> = typst_assets::fonts()
        .filter_map(|data| Font::new(Bytes::new(data), 0))
        .filter(is_wanted)
        .collect();
    let book = LazyHash::new(FontBook::from_fonts(&faces));
    Fonts { faces, book }
});

/// The fonts of this process.
pub fn fonts() -> &'static Fonts {
    &FONTS
}

/// Whether every face shows this character, so that it is shown in a heading as in a paragraph.
pub fn shows(character: char) -> bool {
    FONTS
        .faces
        .iter()
        .all(|face| face.info().coverage.contains(u32::from(character)))
}

/// How wide a text is on one line in an upright style, in em: its letters side by side. The engine moves some pairs
/// of letters closer to each other, so that what it sets is often narrower, and at most a hundredth wider.
pub fn width(text: &str, weight: FontWeight) -> f64 {
    let variant = FontVariant {
        weight,
        ..FontVariant::default()
    };
    let face = FONTS
        .faces
        .iter()
        .find(|face| face.info().variant == variant);
    face.map_or(0.0, |face| {
        let none = FontVariations(iter::empty().collect());
        let face = face.clone().instantiate(variant, Abs::pt(10.0), &none);
        let advance = |letter| face.x_advance(face.ttf().glyph_index(letter)?.0);
        text.chars().filter_map(advance).map(Em::get).sum()
    })
}

fn is_wanted(font: &Font) -> bool {
    let info = font.info();
    info.family == FAMILY
        && WEIGHTS.contains(&info.variant.weight.to_number())
        && matches!(info.variant.style, FontStyle::Normal | FontStyle::Italic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_styles_of_the_family_are_there() {
        assert_eq!(fonts().faces.len(), 4);
    }

    #[test]
    fn european_letters_and_currency_signs_are_shown() {
        for character in "áéíóúüñÁÑ¿¡«»€£$º–—’“”ßøčłžŐΩЖא".chars()
        {
            assert!(shows(character), "{character}");
        }
    }

    #[test]
    fn a_text_is_as_wide_as_the_engine_sets_it() {
        for text in [
            "Consulting for project 7, part 12",
            "AVATo. LTV Tú fi ffl",
            "1.234.567,89\u{a0}€",
        ] {
            let page = lopdf::Document::load_mem(&super::super::stamp(text).unwrap()).unwrap();
            let (_, id) = page.get_pages().pop_first().unwrap();
            let sides = page.get_dictionary(id).unwrap().get(b"MediaBox").unwrap();
            let set = f64::from(sides.as_array().unwrap()[2].as_float().unwrap()) / 60.0;

            let told = width(text, FontWeight::BOLD);

            // Never wider than told: a row as high as one line would not hold it.
            assert!(
                (0.99..1.08).contains(&(told / set)),
                "{text}: {told} em, set in {set} em"
            );
        }
    }

    #[test]
    fn emoji_and_far_scripts_are_not() {
        for character in "😀中ع한".chars() {
            assert!(!shows(character), "{character}");
        }
    }
}
