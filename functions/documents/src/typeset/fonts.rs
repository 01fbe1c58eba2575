//! The fonts of a document: a family in the four styles that the templates use, parsed when the first document
//! needs it.

use std::iter;
use std::sync::LazyLock;

use typst::foundations::Bytes;
use typst::layout::{Abs, Em};
use typst::text::{Font, FontBook, FontStyle, FontVariant, FontVariations, FontWeight};
use typst::utils::LazyHash;

use crate::brand;
use crate::job::{Job, Source};

/// Regular and bold; a semibold nobody asks for would only be carried along.
const WEIGHTS: [u16; 2] = [400, 700];

/// The fonts of a document and the book that the engine looks them up in.
pub struct Fonts {
    /// In the order of the book.
    pub faces: Vec<Font>,
    /// What they can do.
    pub book: LazyHash<FontBook>,
}

/// Latin, Greek, Cyrillic and Hebrew (SIL Open Font License): what a document is set in that wears nothing.
pub static SERIF: LazyLock<Fonts> = LazyLock::new(|| {
    let family = brand::Font::LibertinusSerif.family();
    let faces = faces(typst_assets::fonts()).filter(|font| is_wanted(font, family));
    Fonts::of(faces.collect())
});

/// Latin, Greek and Cyrillic (SIL Open Font License). No other family is in the book: what it cannot show is named
/// and not set in another.
static SANS: LazyLock<Fonts> = LazyLock::new(|| {
    let all = [
        notosans::REGULAR_TTF,
        notosans::ITALIC_TTF,
        notosans::BOLD_TTF,
        notosans::BOLD_ITALIC_TTF,
    ];
    Fonts::of(faces(all.into_iter()).collect())
});

/// Both: a template of an organisation that wears the one may name the other, or none.
static BOTH: LazyLock<Fonts> = LazyLock::new(|| {
    let faces = SERIF.faces.iter().chain(&SANS.faces);
    Fonts::of(faces.cloned().collect())
});

impl Fonts {
    fn of(faces: Vec<Font>) -> Self {
        Self {
            book: LazyHash::new(FontBook::from_fonts(&faces)),
            faces,
        }
    }

    /// Whether every face shows this character, so that it is shown in a heading as in a paragraph.
    pub fn shows(&self, character: char) -> bool {
        self.faces
            .iter()
            .all(|face| face.info().coverage.contains(u32::from(character)))
    }

    /// How wide a text is on one line in an upright style of the first family, in em: its letters side by side. The
    /// engine moves some pairs of letters closer to each other, so that what it sets is often narrower, and at most
    /// a hundredth wider.
    pub fn width(&self, text: &str, weight: FontWeight) -> f64 {
        let variant = FontVariant {
            weight,
            ..FontVariant::default()
        };
        let is_meant = |face: &&Font| face.info().variant == variant;
        self.faces.iter().find(is_meant).map_or(0.0, |face| {
            let none = FontVariations(iter::empty().collect());
            let face = face.clone().instantiate(variant, Abs::pt(10.0), &none);
            let advance = |letter| face.x_advance(face.ttf().glyph_index(letter)?.0);
            text.chars().filter_map(advance).map(Em::get).sum()
        })
    }
}

/// The fonts that this job may use.
pub fn of(job: &Job) -> &'static Fonts {
    let font = job.look.as_ref().map(|look| look.brand.font);
    match (font.unwrap_or_default(), &job.source) {
        (brand::Font::LibertinusSerif, _) => &SERIF,
        (brand::Font::NotoSans, Source::BuiltIn(_)) => &SANS,
        (brand::Font::NotoSans, Source::Own(_) | Source::Docx(_)) => &BOTH,
    }
}

fn faces(files: impl Iterator<Item = &'static [u8]>) -> impl Iterator<Item = Font> {
    files.filter_map(|data| Font::new(Bytes::new(data), 0))
}

fn is_wanted(font: &Font, family: &str) -> bool {
    let info = font.info();
    info.family == family
        && WEIGHTS.contains(&info.variant.weight.to_number())
        && matches!(info.variant.style, FontStyle::Normal | FontStyle::Italic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_styles_of_each_family_are_there() {
        for (fonts, family) in [(&SERIF, "Libertinus Serif"), (&SANS, "Noto Sans")] {
            let mut styles: Vec<_> = fonts
                .faces
                .iter()
                .map(|face| (face.info().family.as_str(), face.info().variant))
                .map(|(name, style)| (name, style.weight.to_number(), style.style))
                .collect();
            styles.sort_by_key(|(_, weight, style)| (*weight, *style != FontStyle::Normal));

            let style = |weight, style| (family, weight, style);
            assert_eq!(
                styles,
                [
                    style(400, FontStyle::Normal),
                    style(400, FontStyle::Italic),
                    style(700, FontStyle::Normal),
                    style(700, FontStyle::Italic)
                ]
            );
        }
    }

    #[test]
    fn european_letters_and_currency_signs_are_shown() {
        for character in "áéíóúüñÁÑ¿¡«»€£$º–—’“”ßøčłžŐΩЖ".chars()
        {
            assert!(SERIF.shows(character), "{character}");
            assert!(SANS.shows(character), "{character}");
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

            let told = SERIF.width(text, FontWeight::BOLD);

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
            assert!(!SERIF.shows(character), "{character}");
            assert!(!SANS.shows(character), "{character}");
        }
    }

    #[test]
    fn what_only_one_family_shows_is_not_shown_by_both() {
        assert!(SERIF.shows('א'));
        assert!(!SANS.shows('א'));
        assert!(!BOTH.shows('א'));
    }
}
