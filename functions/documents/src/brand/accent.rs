//! The colour of a brand: one that can be read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The least contrast between text and what it stands on (WCAG 2.2, 1.4.3, level AA).
pub const LEAST_CONTRAST: f64 = 4.5;

/// The darkest of what a brand's colour is text on: the ground of a table's head, `#eef2f5`.
pub const GROUND: Accent = Accent([0xee, 0xf2, 0xf5]);

/// A colour in sRGB, written `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Accent([u8; 3]);

/// A text is not `#` and six hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a colour")]
pub struct NoColour;

impl Accent {
    /// The six digits without `#`, in capitals.
    pub fn digits(self) -> String {
        data_encoding::HEXUPPER.encode(&self.0)
    }

    /// The contrast with [`GROUND`], 1 to 21. That with white, as text on it and under it, is larger.
    pub fn contrast(self) -> f64 {
        (GROUND.luminance() + 0.05) / (self.luminance() + 0.05)
    }

    /// Relative luminance, 0 to 1. <https://www.w3.org/TR/WCAG22/#dfn-relative-luminance>
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl FromStr for Accent {
    type Err = NoColour;

    fn from_str(text: &str) -> Result<Self, NoColour> {
        let digits = text.strip_prefix('#').ok_or(NoColour)?;
        let octets = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
        let octets = octets.map_err(|_| NoColour)?;
        octets.try_into().map(Self).map_err(|_| NoColour)
    }
}

impl fmt::Display for Accent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl TryFrom<String> for Accent {
    type Error = NoColour;

    fn try_from(text: String) -> Result<Self, NoColour> {
        text.parse()
    }
}

impl From<Accent> for String {
    fn from(accent: Accent) -> Self {
        accent.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_written_in_one_way() {
        let accent: Accent = "#1D3f5E".parse().unwrap();

        assert_eq!(accent.to_string(), "#1d3f5e");
        assert_eq!(accent.digits(), "1D3F5E");
        for text in [
            "", "#", "1d3f5e", "#1d3f5", "#1d3f5e0", "#1d3f5g", "red", "#ñññ",
        ] {
            assert_eq!(text.parse::<Accent>(), Err(NoColour), "{text}");
        }
    }

    #[test]
    fn contrast_is_what_the_guideline_says_it_is() {
        for (text, least, most) in [
            ("#000000", 18.65, 18.66),
            ("#eef2f5", 0.999, 1.001),
            ("#6e6e6e", 4.52, 4.54),
            ("#ff0000", 3.55, 3.56),
            ("#0000ff", 7.62, 7.64),
        ] {
            let contrast = text.parse::<Accent>().unwrap().contrast();
            assert!((least..most).contains(&contrast), "{text}: {contrast}");
        }
    }
}
