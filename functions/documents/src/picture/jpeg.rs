//! JPEG: the segments that make the picture, and the picture.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::{Flaw, Kind, LONGEST_SIDE, Picture, part};

/// The beginning of a picture and of its first segment.
pub const SIGNATURE: [u8; 3] = [0xff, 0xd8, 0xff];

const END: u8 = 0xd9;
const SCAN: u8 = 0xda;

/// Size and bare file. What follows the end is left out.
pub fn read(file: &[u8]) -> Result<(Picture, Vec<u8>), Flaw> {
    let mut bare = SIGNATURE[..2].to_vec();
    let mut at = bare.len();
    let mut picture = None;
    loop {
        let [0xff, marker] = *part(file, at, 2)? else {
            return Err(Flaw::Broken);
        };
        match marker {
            // Any number of these may fill the room before a marker.
            0xff => {
                at += 1;
                continue;
            }
            END => {
                bare.extend_from_slice(&[0xff, END]);
                return Ok((picture.ok_or(Flaw::Broken)?, bare));
            }
            _ => {}
        }
        let length = part(file, at + 2, 2)?;
        let length = usize::from(length[0]) << 8 | usize::from(length[1]);
        let mut segment = part(file, at, length + 2)?;
        if is_frame(marker) {
            picture = Some(frame(segment)?);
        }
        if marker == SCAN {
            segment = part(file, at, scan(file, at + segment.len())? - at)?;
        }
        if is_kept(marker) {
            bare.extend_from_slice(segment);
        }
        at += segment.len();
    }
}

/// Whether a segment describes the picture as a whole (SOF).
const fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// Of what applications say, JFIF's and Adobe's decide how the colours are meant; all else, and every comment, is
/// only about the picture.
const fn is_kept(marker: u8) -> bool {
    matches!(marker, 0xe0 | 0xee) || !matches!(marker, 0xe0..=0xef | 0xfe)
}

fn frame(segment: &[u8]) -> Result<Picture, Flaw> {
    let two = |at| part(segment, at, 2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1]));
    Ok(Picture {
        kind: Kind::Jpeg,
        height: two(5)?,
        width: two(7)?,
    })
}

/// Where the pixels of a scan end that begin here: at the first marker that is none of theirs.
fn scan(file: &[u8], from: usize) -> Result<usize, Flaw> {
    let rest = file.get(from..).ok_or(Flaw::Broken)?;
    rest.windows(2)
        .position(|two| two[0] == 0xff && !matches!(two[1], 0 | 0xd0..=0xd7 | 0xff))
        .map(|at| from + at)
        .ok_or(Flaw::Broken)
}

/// Unpacks the bare file to its end, and gives the profile of the whole one.
pub fn unpack(file: &[u8], bare: &[u8], picture: Picture) -> Result<Option<Vec<u8>>, Flaw> {
    let broken = |_: DecodeErrors| Flaw::Broken;
    let mut decoder = decoder(bare);
    decoder.decode_headers().map_err(broken)?;
    match decoder.input_colorspace() {
        Some(ColorSpace::Luma | ColorSpace::YCbCr | ColorSpace::RGB) => {}
        _ => return Err(Flaw::Colours),
    }
    let size = decoder.info().ok_or(Flaw::Broken)?;
    if (u32::from(size.width), u32::from(size.height)) != (picture.width, picture.height) {
        return Err(Flaw::Broken);
    }
    decoder.decode().map_err(broken)?;
    let mut whole = self::decoder(file);
    whole.decode_headers().map_err(broken)?;
    Ok(whole.icc_profile())
}

/// A strict one: a file that is cut off is refused. One whose pixels end too early, and that says so with the marker of
/// the end, is shown as every viewer shows it, with the rest in grey.
fn decoder(file: &[u8]) -> JpegDecoder<ZCursor<&[u8]>> {
    let longest = LONGEST_SIDE as usize;
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(longest)
        .set_max_height(longest);
    JpegDecoder::new_with_options(ZCursor::new(file), options)
}
