//! PNG: the chunks that make the picture, and the picture.

use std::io::Cursor;

use png::{Decoder, DecodingError, Limits};

use super::{Flaw, Kind, Picture, part};

pub const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// The chunks that the pixels are made of; all others only say something about them.
const KEPT: [&[u8]; 5] = [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"];

/// Octets that a profile and the lines of a picture may take while it is unpacked.
const MEMORY: usize = 16 * 1024 * 1024;

/// Size and bare file. What follows the end is left out.
pub fn read(file: &[u8]) -> Result<(Picture, Vec<u8>), Flaw> {
    let mut bare = SIGNATURE.to_vec();
    let mut at = SIGNATURE.len();
    let mut picture = None;
    loop {
        let length = number(part(file, at, 4)?)?;
        let length = usize::try_from(length).map_err(|_| Flaw::Broken)?;
        let name = part(file, at + 4, 4)?;
        // Length, name and checksum have four octets each.
        let chunk = part(file, at, length.checked_add(12).ok_or(Flaw::Broken)?)?;
        if picture.is_none() {
            picture = Some(header(name, chunk)?);
        }
        if name == b"acTL" {
            return Err(Flaw::Animated);
        }
        if KEPT.contains(&name) {
            bare.extend_from_slice(chunk);
        }
        if name == b"IEND" {
            return Ok((picture.ok_or(Flaw::Broken)?, bare));
        }
        at += chunk.len();
    }
}

fn header(name: &[u8], chunk: &[u8]) -> Result<Picture, Flaw> {
    if name != b"IHDR" {
        return Err(Flaw::Broken);
    }
    Ok(Picture {
        kind: Kind::Png,
        width: number(part(chunk, 8, 4)?)?,
        height: number(part(chunk, 12, 4)?)?,
    })
}

fn number(octets: &[u8]) -> Result<u32, Flaw> {
    octets
        .try_into()
        .map(u32::from_be_bytes)
        .map_err(|_| Flaw::Broken)
}

/// Unpacks the bare file to its end, and gives the profile of the whole one.
pub fn unpack(file: &[u8], bare: &[u8], picture: Picture) -> Result<Option<Vec<u8>>, Flaw> {
    let broken = |_: DecodingError| Flaw::Broken;
    let mut reader = decoder(bare).read_info().map_err(broken)?;
    if (reader.info().width, reader.info().height) != (picture.width, picture.height) {
        return Err(Flaw::Broken);
    }
    let mut pixels = vec![0; reader.output_buffer_size().ok_or(Flaw::Broken)?];
    reader.next_frame(&mut pixels).map_err(broken)?;
    reader.finish().map_err(broken)?;
    let whole = decoder(file).read_info().map_err(broken)?;
    Ok(whole.info().icc_profile.as_deref().map(<[u8]>::to_vec))
}

fn decoder(file: &[u8]) -> Decoder<Cursor<&[u8]>> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MEMORY });
    decoder.set_ignore_text_chunk(true);
    decoder
}
