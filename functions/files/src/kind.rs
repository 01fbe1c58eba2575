//! Which files are taken, and whether what arrived is what was said.
//!
//! Nothing that a browser or a desktop would run is in the list: no HTML, no SVG, no program, no macro.

/// How many octets from its beginning tell a file's kind.
pub const TELLING: u64 = 8192;

/// A mebibyte.
const MIB: u64 = 1024 * 1024;

/// The largest file that is sent in one piece, in octets.
pub const LARGEST_WHOLE: u64 = 100 * MIB;

/// The largest file that is sent in parts, in octets.
pub const LARGEST_IN_PARTS: u64 = 5_000_000_000;

/// A kind of file that is taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its media type, as an uploader names it.
    pub content_type: &'static str,
    /// What its beginning may look like, by the names of `infer`; nothing for text, which has no mark.
    marks: &'static [&'static str],
    /// Whether it holds other files that have to be looked at one by one.
    pub is_archive: bool,
}

const ZIP: &str = "application/zip";
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";

/// Every kind that is taken.
pub static KINDS: &[Kind] = &[
    marked("application/pdf", &["application/pdf"]),
    archive(DOCX, &[DOCX, ZIP]),
    archive(XLSX, &[XLSX, ZIP]),
    archive(PPTX, &[PPTX, ZIP]),
    archive(ZIP, &[ZIP, DOCX, XLSX, PPTX]),
    marked("image/png", &["image/png"]),
    marked("image/jpeg", &["image/jpeg"]),
    marked("image/gif", &["image/gif"]),
    marked("image/webp", &["image/webp"]),
    marked("image/avif", &["image/avif"]),
    marked("image/heic", &["image/heif"]),
    marked("image/tiff", &["image/tiff"]),
    marked("audio/mpeg", &["audio/mpeg"]),
    marked("audio/mp4", &["audio/m4a", "video/mp4"]),
    marked("audio/ogg", &["audio/ogg", "audio/opus"]),
    marked("audio/wav", &["audio/x-wav"]),
    marked("audio/flac", &["audio/x-flac"]),
    marked("video/mp4", &["video/mp4", "video/x-m4v"]),
    marked("video/quicktime", &["video/quicktime"]),
    marked("video/webm", &["video/webm"]),
    marked("text/plain", &[]),
    marked("text/csv", &[]),
    marked("text/markdown", &[]),
    marked("application/json", &[]),
];

const fn marked(content_type: &'static str, marks: &'static [&'static str]) -> Kind {
    Kind {
        content_type,
        marks,
        is_archive: false,
    }
}

const fn archive(content_type: &'static str, marks: &'static [&'static str]) -> Kind {
    Kind {
        content_type,
        marks,
        is_archive: true,
    }
}

impl Kind {
    /// The kind of this media type, if it is taken.
    pub fn of(content_type: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.content_type == content_type)
    }

    /// The largest file of this kind, in octets. An archive is looked into whole, in memory.
    pub const fn largest(&self) -> u64 {
        if self.is_archive {
            LARGEST_WHOLE
        } else {
            LARGEST_IN_PARTS
        }
    }

    /// Whether a file that begins like this can be of this kind. `beginning` is the first [`TELLING`]
    /// octets, or all of them.
    pub fn fits(&self, beginning: &[u8]) -> bool {
        let mark = infer::get(beginning).map(|found| found.mime_type());
        match mark {
            Some(mark) => self.marks.contains(&mark),
            None => self.marks.is_empty() && is_text(beginning),
        }
    }
}

/// Text in UTF-8. The last character may be cut off by the end of the piece.
fn is_text(beginning: &[u8]) -> bool {
    let readable = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&beginning[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    readable
        .chars()
        .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(content_type: &str, beginning: &[u8]) -> bool {
        Kind::of(content_type).unwrap().fits(beginning)
    }

    #[test]
    fn what_arrives_has_the_mark_of_what_was_said() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        let program = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0";

        assert!(fits("application/pdf", b"%PDF-1.7\n"));
        assert!(fits("image/png", png));
        assert!(fits("text/plain", "año\n".as_bytes()));
        assert!(fits("text/csv", "a;b\n1;\u{20ac}\n".as_bytes()));
        assert!(fits("application/json", b"{\"a\": 1}"));
        for (said, found) in [
            ("image/jpeg", png.as_slice()),
            ("application/pdf", program),
            ("text/plain", program),
            ("text/plain", b"<!DOCTYPE html><script>alert(1)</script>"),
            ("text/plain", b"#!/bin/sh\nrm -rf /\n"),
            ("text/plain", b"a\0b"),
            ("text/plain", b"caf\xe9 latin-1"),
            ("application/pdf", b"not a PDF at all"),
            ("image/png", b""),
        ] {
            assert!(!fits(said, found), "{said}: {found:?}");
        }
    }

    #[test]
    fn a_character_cut_by_the_end_of_the_piece_is_no_fault() {
        assert!(fits("text/plain", &"€".as_bytes()[..2]));
        assert!(!fits("text/plain", &[0x80]));
    }

    #[test]
    fn nothing_that_runs_is_taken() {
        for content_type in [
            "text/html",
            "image/svg+xml",
            "application/x-executable",
            "application/javascript",
            "",
            "*/*",
        ] {
            assert_eq!(Kind::of(content_type), None, "{content_type}");
        }
    }

    #[test]
    fn a_beginning_of_any_length_and_content_is_judged_without_a_panic() {
        let seeds: [&[u8]; 6] = [
            b"PK\x03\x04",
            b"%PDF",
            b"\x89PNG",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            b"RIFF",
            b"\0\0\0\x18ftyp",
        ];
        for seed in seeds {
            for length in 0..600_usize {
                for fill in [0_u8, 0xff, b'P'] {
                    let mut octets = seed.to_vec();
                    octets.resize(length, fill);
                    octets.truncate(length);
                    for kind in KINDS {
                        kind.fits(&octets);
                    }
                }
            }
        }
    }
}
