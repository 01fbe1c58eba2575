//! A scanner of its own: known sequences of octets, in a file and in the files of an archive.

use super::archive;
use super::{Content, Engine, Scan, Verdict};

/// A sequence of octets that nothing harmless holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What it is called.
    pub name: &'static str,
    /// The octets.
    pub octets: Vec<u8>,
}

/// Looks for signatures.
#[derive(Clone, Debug)]
pub struct Signatures {
    known: Vec<Signature>,
}

/// The test file that every scanner knows (<https://www.eicar.org>), in two halves: whole, a scanner would
/// find it in this program.
const EICAR: [&str; 2] = [
    r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR",
    r"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*",
];

impl Default for Signatures {
    fn default() -> Self {
        Self::new(vec![Signature {
            name: "EICAR-Test-File",
            octets: Self::test_file(),
        }])
    }
}

impl Signatures {
    /// A scanner that knows these; empty ones are left out.
    pub fn new(mut known: Vec<Signature>) -> Self {
        known.retain(|signature| !signature.octets.is_empty());
        Self { known }
    }

    /// The harmless file that has to be found.
    pub fn test_file() -> Vec<u8> {
        EICAR.concat().into_bytes()
    }

    /// A stream of octets to look into.
    pub(super) fn stream(&self) -> Stream {
        let longest = self.known.iter().map(|known| known.octets.len()).max();
        Stream {
            known: self.known.clone(),
            overlap: longest.unwrap_or(1) - 1,
            tail: Vec::new(),
            found: None,
        }
    }
}

impl Engine for Signatures {
    fn begin(&self, content: Content) -> Option<Box<dyn Scan>> {
        let whole = content.is_archive.then(Vec::new);
        Some(Box::new(Looking {
            signatures: self.clone(),
            stream: self.stream(),
            whole,
        }))
    }
}

struct Looking {
    signatures: Signatures,
    stream: Stream,
    /// The file so far, if it has to be opened at its end.
    whole: Option<Vec<u8>>,
}

impl Scan for Looking {
    fn feed(&mut self, octets: &[u8]) {
        self.stream.feed(octets);
        if let Some(whole) = &mut self.whole {
            whole.extend_from_slice(octets);
        }
    }

    fn verdict(self: Box<Self>) -> Verdict {
        match (self.stream.found, self.whole) {
            (Some(name), _) => Verdict::Infected(name.to_owned()),
            (None, Some(whole)) => archive::look(&self.signatures, &whole),
            (None, None) => Verdict::Clean,
        }
    }
}

/// Octets that come in pieces; a signature may lie across two of them.
pub(super) struct Stream {
    known: Vec<Signature>,
    overlap: usize,
    tail: Vec<u8>,
    found: Option<&'static str>,
}

impl Stream {
    pub(super) fn feed(&mut self, octets: &[u8]) {
        if self.found.is_some() {
            return;
        }
        let border = [&self.tail, &octets[..octets.len().min(self.overlap)]].concat();
        self.found = self.find(&border).or_else(|| self.find(octets));
        let ended = if octets.len() >= self.overlap {
            octets
        } else {
            &border
        };
        self.tail = ended[ended.len().saturating_sub(self.overlap)..].to_vec();
    }

    pub(super) const fn found(&self) -> Option<&'static str> {
        self.found
    }

    fn find(&self, octets: &[u8]) -> Option<&'static str> {
        let mut known = self.known.iter();
        known
            .find(|signature| holds(octets, &signature.octets))
            .map(|signature| signature.name)
    }
}

/// Whether the octets hold a sequence. Looking for its first octet alone is what a processor does fastest.
fn holds(octets: &[u8], sequence: &[u8]) -> bool {
    let Some((first, _)) = sequence.split_first() else {
        return false;
    };
    let mut rest = octets;
    while let Some(at) = rest.iter().position(|octet| octet == first) {
        rest = &rest[at..];
        if rest.starts_with(sequence) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(content: Content, pieces: &[&[u8]]) -> Verdict {
        let mut scan = Signatures::default().begin(content).unwrap();
        for piece in pieces {
            scan.feed(piece);
        }
        scan.verdict()
    }

    fn plain(pieces: &[&[u8]]) -> Verdict {
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        let is_archive = false;
        verdict(Content { bytes, is_archive }, pieces)
    }

    #[test]
    fn the_test_file_is_found_wherever_it_is_cut() {
        let file = [b"before ".as_slice(), &Signatures::test_file(), b" after"].concat();
        let infected = Verdict::Infected("EICAR-Test-File".into());

        assert_eq!(plain(&[&file]), infected);
        for cut in 0..file.len() {
            assert_eq!(
                plain(&[&file[..cut], &file[cut..]]),
                infected,
                "cut at {cut}"
            );
        }
        for size in 1..90 {
            let pieces: Vec<&[u8]> = file.chunks(size).collect();
            assert_eq!(plain(&pieces), infected, "pieces of {size}");
        }
    }

    #[test]
    fn what_only_resembles_it_is_clean() {
        let mut nearly = Signatures::test_file();
        nearly[40] ^= 1;
        let apart = [
            &Signatures::test_file()[..30],
            b" ",
            &Signatures::test_file()[30..],
        ]
        .concat();

        for clean in [nearly, apart, b"XXXXXXXXX5O".to_vec(), vec![]] {
            assert_eq!(plain(&[&clean]), Verdict::Clean);
        }
    }
}
