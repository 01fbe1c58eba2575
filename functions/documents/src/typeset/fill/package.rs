//! The archive that a Word file is (OPC, ISO/IEC 29500-2): read within limits, because its author decides
//! how large it becomes.

use std::collections::BTreeSet;
use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::{no_docx, refused};
use crate::job::TypesetError;

/// The most parts of a file.
const MOST_PARTS: usize = 512;

/// The most octets of all parts, unpacked.
const LARGEST: u64 = 24 * 1024 * 1024;

/// One part of a file.
#[derive(Debug)]
pub struct Part {
    /// Its name, without a slash before it.
    pub name: String,
    /// What it holds.
    pub octets: Vec<u8>,
}

impl Part {
    /// Its text, if it is XML in UTF-8.
    ///
    /// # Errors
    /// [`TypesetError::Unfillable`].
    pub fn text(&self) -> Result<&str, TypesetError> {
        let text = std::str::from_utf8(&self.octets).map_err(|_| {
            refused(
                format!("La parte {} no está en UTF-8", self.name),
                format!("The part {} is not in UTF-8", self.name),
            )
        })?;
        Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
    }
}

/// The parts of a file, in its order.
///
/// # Errors
/// [`TypesetError::Unfillable`] if it is no such archive, or larger than it may be.
pub fn read(file: &[u8]) -> Result<Vec<Part>, TypesetError> {
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(|_| no_docx())?;
    if archive.len() > MOST_PARTS {
        return Err(refused(
            format!("Tiene más de {MOST_PARTS} partes"),
            format!("Has more than {MOST_PARTS} parts"),
        ));
    }
    let mut names = BTreeSet::new();
    let mut parts = Vec::new();
    let mut left = LARGEST;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|_| no_docx())?;
        if entry.is_dir() {
            continue;
        }
        let name = checked_name(entry.name(), &mut names)?;
        let mut octets = Vec::new();
        // What the entry says of its size is its author's word, so it is counted.
        entry
            .take(left + 1)
            .read_to_end(&mut octets)
            .map_err(|_| no_docx())?;
        left = left.checked_sub(octets.len() as u64).ok_or_else(|| {
            let mebibytes = LARGEST / 1024 / 1024;
            refused(
                format!("Descomprimido ocupa más de {mebibytes} MiB"),
                format!("Is larger than {mebibytes} MiB when unpacked"),
            )
        })?;
        parts.push(Part { name, octets });
    }
    Ok(parts)
}

/// A name that leads nowhere but into the file, and that no other part has: to OPC, letters of either case
/// are the same.
fn checked_name(name: &str, known: &mut BTreeSet<String>) -> Result<String, TypesetError> {
    let strange = name.starts_with('/')
        || name.contains(['\\', '\0', ':'])
        || name.split('/').any(|step| matches!(step, "" | "." | ".."));
    if strange || !known.insert(name.to_lowercase()) {
        return Err(refused(
            "El nombre de una parte sale del archivo o está repetido",
            "The name of a part leads out of the file or stands there twice",
        ));
    }
    Ok(name.to_owned())
}

/// The file with these parts, under a date that is always the same.
///
/// # Errors
/// [`TypesetError::Unfillable`] if a name cannot stand in an archive.
pub fn write(parts: &[Part]) -> Result<Vec<u8>, TypesetError> {
    let written = || {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default());
        for part in parts {
            zip.start_file(part.name.as_str(), options)?;
            zip.write_all(&part.octets)?;
        }
        Ok::<_, zip::result::ZipError>(zip.finish()?.into_inner())
    };
    written().map_err(|_| no_docx())
}
