//! The fonts of a document: one family in the four styles that the templates use, parsed when the
//! first document needs them.

use std::sync::LazyLock;

use typst::foundations::Bytes;
use typst::text::{Font, FontBook, FontStyle};
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
    fn emoji_and_far_scripts_are_not() {
        for character in "😀中ع한".chars() {
            assert!(!shows(character), "{character}");
        }
    }
}
