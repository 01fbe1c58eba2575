//! Pictures from outside: what kind and size they are of, what is taken out of them, and whether they are taken on.
//!
//! What is said about a picture (colour profile, camera, place, comments, thumbnails) is taken out, so that nothing
//! of it comes into a document, where a profile could break PDF/A and a place somebody's privacy. What is left is
//! the pixels as they were sent, so the colours have to be those of sRGB, which is what a picture without a
//! profile is shown in.

mod jpeg;
mod png;
mod profile;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The least that a picture's sides may have, in pixels.
pub const SHORTEST_SIDE: u32 = 16;

/// The most that a picture's sides may have, in pixels.
pub const LONGEST_SIDE: u32 = 2000;

/// The most pixels of a picture: each document that shows it unpacks them.
pub const MOST_PIXELS: u32 = 1024 * 1024;

/// A kind of picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Portable Network Graphics (ISO/IEC 15948).
    Png,
    /// JPEG (ISO/IEC 10918-1), baseline or progressive.
    Jpeg,
}

impl Kind {
    /// The end of a file's name.
    pub const fn end(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
        }
    }

    /// Media type (IANA).
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }
}

/// What is known of a picture before it is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Its kind.
    pub kind: Kind,
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

/// Why a picture is not taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// It is neither PNG nor JPEG.
    #[error("neither PNG nor JPEG")]
    Unknown,
    /// It has a side or an area that it may not have.
    #[error("{width} by {height} pixels")]
    Size {
        /// Pixels from left to right.
        width: u32,
        /// Pixels from top to bottom.
        height: u32,
    },
    /// It moves.
    #[error("animated")]
    Animated,
    /// Its colours are those of printing inks, or its profile is another than that of sRGB.
    #[error("not sRGB")]
    Colours,
    /// It cannot be unpacked, or not to its end.
    #[error("broken")]
    Broken,
}

impl Picture {
    /// The kind and the size of a file.
    ///
    /// # Errors
    /// [`Flaw::Unknown`], or [`Flaw::Broken`] if it ends too early.
    pub fn of(file: &[u8]) -> Result<Self, Flaw> {
        read(file).map(|(picture, _)| picture)
    }

    /// The size at which it fits this room, as large as can be and never distorted.
    pub fn within(self, width: u64, height: u64) -> (u64, u64) {
        let (own_width, own_height) = (u64::from(self.width.max(1)), u64::from(self.height.max(1)));
        if own_width * height <= own_height * width {
            ((own_width * height / own_height).max(1), height)
        } else {
            (width, (own_height * width / own_width).max(1))
        }
    }

    fn fits(self) -> bool {
        let sides = SHORTEST_SIDE..=LONGEST_SIDE;
        sides.contains(&self.width)
            && sides.contains(&self.height)
            && self.width * self.height <= MOST_PIXELS
    }
}

/// The file with what is needed to see it and nothing else. It is unpacked to its end, so only the companion
/// program `documents-render` calls this.
///
/// # Errors
/// What is wrong with it.
pub fn examined(file: &[u8]) -> Result<Vec<u8>, Flaw> {
    let (picture, bare) = read(file)?;
    if !picture.fits() {
        return Err(Flaw::Size {
            width: picture.width,
            height: picture.height,
        });
    }
    let profile = match picture.kind {
        Kind::Png => png::unpack(file, &bare, picture)?,
        Kind::Jpeg => jpeg::unpack(file, &bare, picture)?,
    };
    match profile {
        Some(profile) if !profile::is_srgb(&profile) => Err(Flaw::Colours),
        _ => Ok(bare),
    }
}

/// The kind and size of a file, and the file without what is said about it.
fn read(file: &[u8]) -> Result<(Picture, Vec<u8>), Flaw> {
    if file.starts_with(&png::SIGNATURE) {
        png::read(file)
    } else if file.starts_with(&jpeg::SIGNATURE) {
        jpeg::read(file)
    } else {
        Err(Flaw::Unknown)
    }
}

/// The octets from here on, that many.
fn part(file: &[u8], from: usize, octets: usize) -> Result<&[u8], Flaw> {
    let until = from.checked_add(octets).ok_or(Flaw::Broken)?;
    file.get(from..until).ok_or(Flaw::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_fits_its_room_and_is_not_distorted() {
        let picture = |width, height| Picture {
            kind: Kind::Png,
            width,
            height,
        };

        assert_eq!(picture(400, 100).within(600, 300), (600, 150));
        assert_eq!(picture(100, 100).within(600, 300), (300, 300));
        assert_eq!(picture(2000, 16).within(100, 100), (100, 1));
        assert_eq!(picture(16, 2000).within(100, 100), (1, 100));
    }

    #[test]
    fn what_is_no_picture_is_none() {
        for file in [
            &b""[..],
            b"GIF89a",
            b"<svg/>",
            b"RIFF\0\0\0\0WEBP",
            b"%PDF-1.7",
        ] {
            assert_eq!(Picture::of(file), Err(Flaw::Unknown));
        }
    }
}
