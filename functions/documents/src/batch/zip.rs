//! A ZIP whose every octet is known before a single file is read: names, sizes and checksums stand in the
//! table, the files are stored as they are. So any part of it can be made by itself, twice the same, in
//! memory that does not grow with the archive.
//!
//! <https://pkware.cachefly.net/webdocs/APPNOTE/APPNOTE-6.3.10.TXT>

use std::ops::Range;

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name there: UTF-8, at most 65535 octets.
    pub name: String,
    /// Octets, fewer than 4 GiB.
    pub bytes: u32,
    /// CRC-32 of them.
    pub crc32: u32,
}

/// The archive of these files in this order.
#[derive(Clone, Debug)]
pub struct Archive {
    entries: Vec<Entry>,
    /// Where each file's header begins, and at the end where the directory does.
    offsets: Vec<u64>,
    /// All that follows the files.
    directory: Vec<u8>,
}

/// A piece of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// These octets.
    Octets(Vec<u8>),
    /// Those octets of that file.
    File {
        /// Which entry.
        entry: usize,
        /// Which of its octets.
        range: Range<usize>,
    },
}

const LOCAL_HEADER: u64 = 30;

/// What does not fit 32 bits stands in a field of its own.
const WIDE: u64 = 0xFFFF_FFFF;

/// The first day that the format knows, so that the same files give the same archive.
const DAY: u16 = 1 << 5 | 1;

/// Made by a Unix, so that the files' rights are understood.
const UNIX: u16 = 3 << 8;

/// The versions of the format that readers must know: for plain files, and for wide fields.
const PLAIN_FILES: u16 = 10;
const WIDE_FIELDS: u16 = 45;

/// Names are UTF-8.
const UTF8: u16 = 1 << 11;

impl Archive {
    /// The archive of these files.
    pub fn new(entries: Vec<Entry>) -> Self {
        let mut offsets = vec![0];
        let mut end = 0;
        for entry in &entries {
            end += LOCAL_HEADER + entry.name.len() as u64 + u64::from(entry.bytes);
            offsets.push(end);
        }
        let directory = directory(&entries, &offsets);
        Self {
            entries,
            offsets,
            directory,
        }
    }

    /// Octets of the whole.
    pub fn bytes(&self) -> u64 {
        self.directory_at() + self.directory.len() as u64
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.entries.len()
    }

    fn directory_at(&self) -> u64 {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// The pieces that make up these octets of the archive, in order.
    pub fn pieces(&self, wanted: &Range<u64>) -> Vec<Piece> {
        // The first entry that ends behind the beginning of what is wanted.
        let first = self
            .offsets
            .partition_point(|at| *at <= wanted.start)
            .saturating_sub(1);
        let mut pieces = Vec::new();
        for (index, entry) in self.entries.iter().enumerate().skip(first) {
            let header_at = self.offsets[index];
            if header_at >= wanted.end {
                break;
            }
            let header = local_header(entry);
            let file_at = header_at + header.len() as u64;
            if let Some(range) = part_of(header_at, header.len() as u64, wanted) {
                pieces.push(Piece::Octets(header[range].to_vec()));
            }
            if let Some(range) = part_of(file_at, u64::from(entry.bytes), wanted) {
                pieces.push(Piece::File {
                    entry: index,
                    range,
                });
            }
        }
        let length = self.directory.len() as u64;
        if let Some(range) = part_of(self.directory_at(), length, wanted) {
            pieces.push(Piece::Octets(self.directory[range].to_vec()));
        }
        pieces
    }
}

/// Which octets of something that begins there and is that long are wanted.
fn part_of(begins: u64, length: u64, wanted: &Range<u64>) -> Option<Range<usize>> {
    let from = wanted.start.max(begins);
    let to = wanted.end.min(begins + length);
    let inside = |at: u64| usize::try_from(at - begins).ok();
    (from < to).then_some(())?;
    Some(inside(from)?..inside(to)?)
}

/// Little-endian fields, one after the other.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn two(mut self, value: u16) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn four(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn eight(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn text(mut self, text: &str) -> Self {
        self.0.extend(text.as_bytes());
        self
    }
}

/// A number in 32 bits, or the sign that it stands elsewhere.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn short(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn local_header(entry: &Entry) -> Vec<u8> {
    let header = Fields::default().four(0x0403_4b50).two(PLAIN_FILES);
    common(header, entry).two(0).text(&entry.name).0
}

/// What both headers say of a file, from its flags to the length of its name.
fn common(fields: Fields, entry: &Entry) -> Fields {
    fields
        .two(UTF8)
        .two(0)
        .two(0)
        .two(DAY)
        .four(entry.crc32)
        .four(entry.bytes)
        .four(entry.bytes)
        .two(short(entry.name.len()))
}

fn directory(entries: &[Entry], offsets: &[u64]) -> Vec<u8> {
    let mut directory = Vec::new();
    for (entry, at) in entries.iter().zip(offsets) {
        directory.extend(central_header(entry, *at));
    }
    let begins = offsets.last().copied().unwrap_or(0);
    let length = directory.len() as u64;
    directory.extend(end(entries.len(), begins, length));
    directory
}

fn central_header(entry: &Entry, at: u64) -> Vec<u8> {
    let is_wide = at >= WIDE;
    let extra = if is_wide {
        Fields::default().two(1).two(8).eight(at).0
    } else {
        Vec::new()
    };
    let version = if is_wide { WIDE_FIELDS } else { PLAIN_FILES };
    let header = Fields::default()
        .four(0x0201_4b50)
        .two(UNIX | version)
        .two(version);
    let header = common(header, entry)
        .two(short(extra.len()))
        .two(0)
        .two(0)
        .two(0)
        .four(0o100_644 << 16)
        .four(narrow(at))
        .text(&entry.name);
    [header.0, extra].concat()
}

fn end(files: usize, begins: u64, length: u64) -> Vec<u8> {
    let mut fields = Fields::default();
    if files >= usize::from(u16::MAX) || begins + length >= WIDE {
        let files = files as u64;
        fields = fields
            .four(0x0606_4b50)
            .eight(44)
            .two(UNIX | WIDE_FIELDS)
            .two(WIDE_FIELDS)
            .four(0)
            .four(0)
            .eight(files)
            .eight(files)
            .eight(length)
            .eight(begins)
            .four(0x0706_4b50)
            .four(0)
            .eight(begins + length)
            .four(1);
    }
    fields
        .four(0x0605_4b50)
        .two(0)
        .two(0)
        .two(short(files))
        .two(short(files))
        .four(narrow(length))
        .four(narrow(begins))
        .two(0)
        .0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Cursor, Read};

    fn entry(name: &str, file: &[u8]) -> Entry {
        Entry {
            name: name.to_owned(),
            bytes: u32::try_from(file.len()).unwrap(),
            crc32: crc32fast::hash(file),
        }
    }

    fn assembled(archive: &Archive, files: &[Vec<u8>], part: u64) -> Vec<u8> {
        let mut whole = Vec::new();
        let mut from = 0;
        while from < archive.bytes() {
            let to = (from + part).min(archive.bytes());
            let before = whole.len();
            for piece in archive.pieces(&(from..to)) {
                match piece {
                    Piece::Octets(octets) => whole.extend(octets),
                    Piece::File { entry, range } => whole.extend(&files[entry][range]),
                }
            }
            assert_eq!((whole.len() - before) as u64, to - from);
            from = to;
        }
        whole
    }

    proptest! {
        #[test]
        fn parts_of_any_size_make_an_archive_that_others_can_read(
            files in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
            part in 1_u64..500,
        ) {
            let entries = (0..).zip(&files).map(|(n, file): (u32, _)| entry(&format!("{n:05}-año.pdf"), file));
            let archive = Archive::new(entries.collect());

            let octets = assembled(&archive, &files, part);

            let mut read = zip::ZipArchive::new(Cursor::new(octets)).unwrap();
            prop_assert_eq!(read.len(), files.len());
            for (n, file) in files.iter().enumerate() {
                let mut entry = read.by_index(n).unwrap();
                prop_assert_eq!(entry.name(), format!("{n:05}-año.pdf"));
                let mut found = Vec::new();
                entry.read_to_end(&mut found).unwrap();
                prop_assert_eq!(&found, file);
            }
        }
    }

    /// Six gigabytes that are never made: only the directory and one file's header are looked at.
    #[test]
    fn beyond_four_gigabytes_the_wide_fields_are_used() {
        let entries: Vec<_> = (0..600)
            .map(|n| Entry {
                name: format!("{n:05}.pdf"),
                bytes: 10 * 1024 * 1024,
                crc32: n,
            })
            .collect();
        let archive = Archive::new(entries);
        let tail = archive.directory_at()..archive.bytes();

        let pieces = archive.pieces(&tail);

        let [Piece::Octets(directory)] = &pieces[..] else {
            panic!("{pieces:?}");
        };
        let signature =
            |octets: &[u8], at: usize| u32::from_le_bytes(octets[at..at + 4].try_into().unwrap());
        let ends = directory.len() - 22;
        assert_eq!(signature(directory, ends), 0x0605_4b50);
        assert_eq!(signature(directory, ends - 20), 0x0706_4b50);
        assert_eq!(signature(directory, ends - 76), 0x0606_4b50);
        assert_eq!(
            signature(directory, ends + 16),
            u32::MAX,
            "the directory's place"
        );
        // The last file's place, in the last eight octets of its header.
        let at = u64::from_le_bytes(directory[ends - 84..ends - 76].try_into().unwrap());
        let header = archive.pieces(&(at..at + 4));
        assert_eq!(
            header,
            [Piece::Octets(0x0403_4b50_u32.to_le_bytes().to_vec())]
        );
    }
}
