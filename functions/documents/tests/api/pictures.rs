//! Pictures as people send them, and as somebody sends them who wants to do harm.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use moxcms::ColorProfile;
use png::{BitDepth, ColorType, Encoder, Info};

/// Soft stripes, so that no two rows of pixels are the same.
fn pixels(width: u32, height: u32, parts: u32) -> Vec<u8> {
    (0..height)
        .flat_map(|y| (0..width * parts).map(move |x| u8::try_from((x * 3 + y * 5) % 256).unwrap()))
        .collect()
}

fn png_of(info: Info<'_>, pixels: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Encoder::with_info(&mut file, info)
        .unwrap()
        .write_header()
        .unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    file
}

fn info(width: u32, height: u32) -> Info<'static> {
    let mut info = Info::with_size(width, height);
    info.color_type = ColorType::Rgba;
    info.bit_depth = BitDepth::Eight;
    info
}

/// A logo that shines through at places.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    png_of(info(width, height), &pixels(width, height, 4))
}

/// One with a colour profile.
pub fn png_in(profile: &ColorProfile) -> Vec<u8> {
    let mut info = info(60, 40);
    info.icc_profile = Some(profile.encode().unwrap().into());
    png_of(info, &pixels(60, 40, 4))
}

/// One of few colours with a text that says where it was made.
pub fn png_with_text() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 64, 32);
    encoder.set_color(ColorType::Indexed);
    encoder.set_palette(vec![0, 60, 120, 255, 255, 255]);
    encoder.set_trns(vec![255, 0]);
    encoder
        .add_text_chunk("Comment".to_owned(), "Calle Mayor 1".to_owned())
        .unwrap();
    let mut writer = encoder.write_header().unwrap();
    let pixels: Vec<u8> = (0..64 * 32).map(|n| u8::from(n % 3 == 0)).collect();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    file
}

/// Sixteen bits in each part of a pixel.
pub fn deep_png() -> Vec<u8> {
    let mut info = info(40, 40);
    info.bit_depth = BitDepth::Sixteen;
    png_of(info, &pixels(40, 40, 8))
}

/// Two pictures that follow each other for ever.
pub fn animation() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 40, 40);
    encoder.set_color(ColorType::Rgba);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for _ in 0..2 {
        writer.write_image_data(&pixels(40, 40, 4)).unwrap();
    }
    writer.finish().unwrap();
    file
}

/// A small file that says that it is this large.
pub fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
    let mut file = png(40, 40);
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc32fast::hash(&file[12..29]);
    file[29..33].copy_from_slice(&sum.to_be_bytes());
    file
}

/// The pixels of a hundred million in the room of a few.
pub fn bomb() -> Vec<u8> {
    let mut info = info(10_000, 10_000);
    info.color_type = ColorType::Grayscale;
    let mut file = png_of(info, &vec![0; 100_000_000]);
    for side in [16, 20] {
        file[side..side + 4].copy_from_slice(&100_u32.to_be_bytes());
    }
    let sum = crc32fast::hash(&file[12..29]);
    file[29..33].copy_from_slice(&sum.to_be_bytes());
    file
}

/// A photograph without transparency.
pub fn jpeg(width: u16, height: u16) -> Vec<u8> {
    jpeg_of(width, height, ExtendedColorType::Rgb8, None)
}

/// One in shades of grey.
pub fn grey_jpeg() -> Vec<u8> {
    jpeg_of(80, 40, ExtendedColorType::L8, None)
}

/// One with a colour profile.
pub fn jpeg_in(profile: &ColorProfile) -> Vec<u8> {
    let profile = profile.encode().unwrap();
    jpeg_of(60, 40, ExtendedColorType::Rgb8, Some(profile))
}

fn jpeg_of(width: u16, height: u16, color: ExtendedColorType, icc: Option<Vec<u8>>) -> Vec<u8> {
    let (width, height) = (u32::from(width), u32::from(height));
    let parts = u32::from(color.channel_count());
    let mut file = Cursor::new(Vec::new());
    let mut encoder = JpegEncoder::new_with_quality(&mut file, 85);
    if let Some(icc) = icc {
        encoder.set_icc_profile(icc).unwrap();
    }
    encoder
        .encode(&pixels(width, height, parts), width, height, color)
        .unwrap();
    file.into_inner()
}

/// The head of a picture in four printing inks.
pub fn cmyk_jpeg() -> Vec<u8> {
    let grey = grey_jpeg();
    let segment = |marker: u8| {
        let at = grey
            .windows(2)
            .position(|two| two == [0xff, marker])
            .unwrap();
        let length = usize::from(grey[at + 2]) * 256 + usize::from(grey[at + 3]);
        at..at + 2 + length
    };
    let (frame, scan) = (segment(0xc0), segment(0xda));
    let mut file = grey[..frame.start].to_vec();
    file.extend([0xff, 0xc0, 0, 20]);
    file.extend(&grey[frame.start + 4..frame.start + 9]);
    file.push(4);
    file.extend((1..=4).flat_map(|ink| [ink, 0x11, 0]));
    file.extend(&grey[frame.end..scan.start]);
    file.extend([0xff, 0xda, 0, 14, 4]);
    file.extend((1..=4).flat_map(|ink| [ink, 0]));
    file.extend([0, 63, 0]);
    file.extend(&grey[scan.end..]);
    file
}

/// The file with this segment behind its first two octets.
pub fn with_segment(file: &[u8], marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap();
    let mut out = file[..2].to_vec();
    out.extend([0xff, marker]);
    out.extend(length.to_be_bytes());
    out.extend(content);
    out.extend(&file[2..]);
    out
}
