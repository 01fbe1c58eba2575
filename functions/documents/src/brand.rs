//! Brands: the colour, the typeface and the logo that an organisation's documents wear.
//!
//! | table row | pk | sk |
//! |---|---|---|
//! | the brand | `org_…` | `brand` |
//! | the octets of a logo | `org_…` | `brand-logo#` and their SHA-256 |
//!
//! A logo stands in a row of its own and not in the bucket: at 256 KiB it fits (the limit of `DynamoDB` is 400 KB), and
//! brand, new logo and farewell to the old one are then one transaction, which leaves neither a brand without its
//! logo nor a logo that nothing leads to. The brand's own row stays small, because every document reads it; a
//! process reads the octets once and keeps them.
//!
//! A document that is made later is made with the brand that was there when it was taken on: its row, a batch's
//! and a draft's carry the whole brand but for the octets. What is no longer the brand's logo is kept until the
//! last of them can have been made ([`LOGO_KEPT`]).

pub mod accent;
pub mod intake;
mod kept;

use std::sync::Arc;

use domain::Id;
use domain::id::User;
use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::picture::Picture;

pub use accent::Accent;
pub use intake::{NewBrand, NewLogo};
pub use kept::{Logos, Standing};

/// How long a logo is kept that is the brand's no more: a day longer than the rows of a batch, which may be tried
/// again as long as these are there.
pub const LOGO_KEPT: SignedDuration = SignedDuration::from_hours(31 * 24);

/// A typeface that documents can be set in: regular, bold, italic and bold italic of each are in the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Font {
    /// With serifs: Latin, Greek, Cyrillic, Hebrew (SIL Open Font License).
    #[default]
    #[serde(rename = "Libertinus Serif")]
    LibertinusSerif,
    /// Without serifs: Latin, Greek, Cyrillic (SIL Open Font License).
    #[serde(rename = "Noto Sans")]
    NotoSans,
}

impl Font {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::LibertinusSerif, Self::NotoSans];

    /// The name of the family.
    pub const fn family(self) -> &'static str {
        match self {
            Self::LibertinusSerif => "Libertinus Serif",
            Self::NotoSans => "Noto Sans",
        }
    }
}

/// What an organisation's documents wear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brand {
    /// The colour of headings and of what stands under white text.
    pub accent: Accent,
    /// The typeface.
    pub font: Font,
    /// The logo, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo: Option<Logo>,
}

impl Brand {
    /// What it is known by: brands with the same hash look the same. In lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        let logo = self.logo.as_ref();
        let parts = [
            self.accent.to_string(),
            self.font.family().to_owned(),
            logo.map_or_else(String::new, |logo| logo.sha256.clone()),
            // The last, because it alone may hold whatever it likes.
            logo.map_or_else(String::new, |logo| logo.alt.clone()),
        ];
        hex(parts.join("\n").as_bytes())
    }
}

/// A logo, without its octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logo {
    /// What is said instead of it to whoever does not see it.
    pub alt: String,
    /// Its kind and its size.
    #[serde(flatten)]
    pub picture: Picture,
    /// SHA-256 of its octets in lower-case hexadecimal.
    pub sha256: String,
}

/// A brand with its logo at hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The brand.
    pub brand: Brand,
    /// The octets of its logo. They travel to the renderer in a frame of their own.
    #[serde(skip)]
    pub logo: Option<Arc<Vec<u8>>>,
}

impl Look {
    /// The logo with its octets, if there is one.
    pub fn emblem(&self) -> Option<(&Logo, &[u8])> {
        let octets = self.logo.as_deref()?;
        Some((self.brand.logo.as_ref()?, octets))
    }
}

/// The row of a brand. It stays when the brand goes, so that a version never comes twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrandRecord {
    /// The brand; nothing once it was deleted.
    pub brand: Option<Brand>,
    /// Who changed it last.
    pub updated_by: Id<User>,
    /// When.
    pub updated_at: Timestamp,
}

fn hex(octets: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(digest(&SHA256, octets).as_ref())
}
