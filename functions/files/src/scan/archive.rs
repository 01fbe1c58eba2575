//! The files of a ZIP, and of a ZIP in a ZIP, one by one.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::Verdict;
use super::signatures::Signatures;

/// The most files that are looked into.
const MOST_FILES: usize = 10_000;
/// The most octets that are unpacked for one upload: an archive that would become more is a bomb.
const MOST_OCTETS: u64 = 512 * 1024 * 1024;
/// The largest archive inside an archive, in octets: it has to be held in memory.
const LARGEST_INNER: u64 = 64 * 1024 * 1024;
/// How many archives may lie one in the other.
const DEEPEST: u32 = 3;
/// How a ZIP begins.
const MARK: &[u8] = b"PK\x03\x04";

/// Looks into an archive and everything that it holds.
pub(super) fn look(signatures: &Signatures, archive: &[u8]) -> Verdict {
    let mut left = MOST_OCTETS;
    match look_into(signatures, archive, DEEPEST, &mut left) {
        Ok(None) => Verdict::Clean,
        Ok(Some(name)) => Verdict::Infected(name.to_owned()),
        Err(why) => Verdict::Failed(why),
    }
}

/// What was found, or why nobody can look.
type Found = Result<Option<&'static str>, &'static str>;

fn look_into(signatures: &Signatures, octets: &[u8], depth: u32, left: &mut u64) -> Found {
    if depth == 0 {
        return Err("archive_too_deep");
    }
    let mut archive = ZipArchive::new(Cursor::new(octets)).map_err(|error| why(&error))?;
    if archive.len() > MOST_FILES {
        return Err("archive_too_large");
    }
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(|error| why(&error))?;
        if let Some(name) = look_at(signatures, &mut file, depth, left)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Reads one file to its end. What begins like an archive is kept and opened.
fn look_at(signatures: &Signatures, file: &mut impl Read, depth: u32, left: &mut u64) -> Found {
    let mut stream = signatures.stream();
    let mut inner: Option<Vec<u8>> = None;
    let mut piece = vec![0; 64 * 1024];
    let mut is_first = true;
    loop {
        let read = fill(file, &mut piece)?;
        if read == 0 {
            break;
        }
        *left = left.checked_sub(read as u64).ok_or("archive_too_large")?;
        stream.feed(&piece[..read]);
        if let Some(name) = stream.found() {
            return Ok(Some(name));
        }
        if is_first && piece[..read].starts_with(MARK) {
            inner = Some(Vec::new());
        }
        is_first = false;
        if let Some(inner) = &mut inner {
            inner.extend_from_slice(&piece[..read]);
            if inner.len() as u64 > LARGEST_INNER {
                return Err("archive_too_large");
            }
        }
    }
    inner.map_or(Ok(None), |inner| {
        look_into(signatures, &inner, depth - 1, left)
    })
}

/// Fills the buffer as far as the file goes.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> Result<usize, &'static str> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file
            .read(&mut buffer[filled..])
            .map_err(|_| "archive_broken")?
        {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn why(error: &ZipError) -> &'static str {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            "archive_encrypted"
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            "archive_unsupported"
        }
        _ => "archive_broken",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    fn packed(method: CompressionMethod, files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, octets) in files {
            let options = SimpleFileOptions::default().compression_method(method);
            writer.start_file(*name, options).unwrap();
            writer.write_all(octets).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn judged(archive: &[u8]) -> Verdict {
        look(&Signatures::default(), archive)
    }

    #[test]
    fn the_test_file_is_found_inside() {
        let infected = Verdict::Infected("EICAR-Test-File".into());
        let test = Signatures::test_file();
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let archive = packed(method, &[("a.txt", b"fine"), ("b/c.com", &test)]);
            assert_eq!(judged(&archive), infected, "{method:?}");
            let outer = packed(CompressionMethod::Deflated, &[("inner.zip", &archive)]);
            assert_eq!(judged(&outer), infected, "{method:?} twice");
        }
    }

    #[test]
    fn an_archive_of_harmless_files_is_clean() {
        let inner = packed(CompressionMethod::Deflated, &[("b.txt", b"fine too")]);
        let archive = packed(
            CompressionMethod::Deflated,
            &[("a.txt", b"fine"), ("b.zip", &inner), ("empty", b"")],
        );

        assert_eq!(judged(&archive), Verdict::Clean);
    }

    #[test]
    fn what_nobody_can_look_into_is_not_called_clean() {
        let mut archive = packed(CompressionMethod::Deflated, &[("a.txt", b"fine")]);
        for _ in 0..3 {
            archive = packed(CompressionMethod::Deflated, &[("a.zip", &archive)]);
        }
        assert_eq!(judged(&archive), Verdict::Failed("archive_too_deep"));

        assert_eq!(
            judged(b"PK\x03\x04 and nothing else"),
            Verdict::Failed("archive_broken")
        );

        let mut cut = packed(
            CompressionMethod::Deflated,
            &[("a.txt", b"some text, some text, some text")],
        );
        cut[40] ^= 0xff;
        assert!(matches!(judged(&cut), Verdict::Failed(_)), "a broken file");
    }

    #[test]
    fn a_bomb_is_left_alone() {
        let zeros = vec![0; 256 * 1024];
        let files = ["1", "2", "3"].map(|name| (name, zeros.as_slice()));
        let bomb = packed(CompressionMethod::Deflated, &files);
        let judged = |mut left: u64| look_into(&Signatures::default(), &bomb, 1, &mut left);

        assert_eq!(judged(2 * 256 * 1024), Err("archive_too_large"));
        assert_eq!(judged(3 * 256 * 1024), Ok(None));
    }
}
