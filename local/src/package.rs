//! Makes the packages that Lambda wants: a zip with `bootstrap` in it, and beside it what a function starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Cursor, Write},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::SystemTime,
};

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    console::Step,
    failure::{Failure, Outcome, While},
    layout::Layout,
};

/// Companion programs: the function's binary, the name in its package, the companion's binary.
const COMPANIONS: [(&str, &str, &str); 2] = [
    ("documents-api", "render", "documents-render"),
    ("documents-worker", "render", "documents-render"),
];

/// A package that lies ready.
#[derive(Clone, Debug)]
pub struct Package {
    /// Where the zip is.
    pub path: PathBuf,
    /// The SHA-256 of the zip in hex.
    pub digest: String,
}

/// Packs these binaries, each once, and only those that changed since they were packed. They are packed side by
/// side: it is all compression.
pub fn pack(layout: &Layout, binaries: BTreeSet<String>) -> Outcome<BTreeMap<String, Package>> {
    let step = Step::start("package", "zipping functions");
    fs::create_dir_all(layout.packages()).during("making the packages' directory")?;
    let packed: Vec<_> = thread::scope(|scope| {
        let started: Vec<_> = binaries
            .iter()
            .map(|binary| scope.spawn(move || pack_one(layout, binary)))
            .collect();
        started
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| Failure::new("packing ended early"))
            })
            .collect()
    });
    let (mut packages, mut fresh) = (BTreeMap::new(), 0);
    for (binary, result) in binaries.into_iter().zip(packed) {
        let (package, packed) = result??;
        fresh += usize::from(packed);
        packages.insert(binary, package);
    }
    step.done(format_args!(
        "{} packages, {fresh} of them new",
        packages.len()
    ));
    Ok(packages)
}

/// What goes into a function's package: names in the zip and the programs.
fn contents(layout: &Layout, binary: &str) -> Vec<(&'static str, PathBuf)> {
    let companions = COMPANIONS
        .iter()
        .filter(|(function, ..)| *function == binary);
    std::iter::once(("bootstrap", layout.binaries().join(binary)))
        .chain(companions.map(|(_, name, program)| (*name, layout.binaries().join(program))))
        .collect()
}

fn pack_one(layout: &Layout, binary: &str) -> Outcome<(Package, bool)> {
    let contents = contents(layout, binary);
    let path = layout.packages().join(format!("{binary}.zip"));
    let stamp = layout.packages().join(format!("{binary}.stamp"));
    let sources = fingerprint(&contents)?;
    if let Ok(last) = fs::read_to_string(&stamp)
        && let Some((packed, digest)) = last.split_once('\n')
        && packed == sources
        && path.exists()
    {
        return Ok((
            Package {
                path,
                digest: digest.to_owned(),
            },
            false,
        ));
    }
    let bytes = zip(&contents, &path.with_extension("stripped"))?;
    let digest = digest_of(&bytes);
    fs::write(&path, &bytes).during(format_args!("writing {}", path.display()))?;
    fs::write(&stamp, format!("{sources}\n{digest}")).during("writing a package's stamp")?;
    Ok((Package { path, digest }, true))
}

/// Size and time of each program: cheap to compare on every `up`.
fn fingerprint(contents: &[(&str, PathBuf)]) -> Outcome<String> {
    let mut parts = Vec::new();
    for (_, program) in contents {
        let metadata = fs::metadata(program).map_err(|_| {
            Failure::new(format!(
                "the template wants the binary {}, which no crate builds",
                program.display()
            ))
            .remedy("its name is the last folder of the function's CodeUri")
        })?;
        let modified = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        parts.push(format!(
            "{}:{:?}",
            metadata.len(),
            modified.unwrap_or_default().as_nanos()
        ));
    }
    Ok(parts.join(","))
}

/// The zip. Fixed times and fast compression: the same programs give the same bytes. `copy` is where the programs
/// are stripped, one after another; it is this package's alone, for two packages may hold the same program.
fn zip(contents: &[(&str, PathBuf)], copy: &Path) -> Outcome<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1))
        .unix_permissions(0o755);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, program) in contents {
        archive
            .start_file(*name, options)
            .during(format_args!("packing {name}"))?;
        archive
            .write_all(&stripped(program, copy)?)
            .during(format_args!("packing {name}"))?;
    }
    Ok(archive.finish().during("packing")?.into_inner())
}

/// The program without its debug information, where the machine has `strip`: a third of the size to zip, upload
/// and keep in the emulator's memory. The build's own file is not touched.
fn stripped(program: &Path, copy: &Path) -> Outcome<Vec<u8>> {
    let strip = Command::new("strip")
        .arg("--strip-debug")
        .arg("-o")
        .arg(copy)
        .arg(program)
        .status();
    let chosen = if strip.is_ok_and(|status| status.success()) {
        copy
    } else {
        program
    };
    let bytes = fs::read(chosen).during(format_args!("reading {}", chosen.display()))?;
    let _absent = fs::remove_file(copy);
    Ok(bytes)
}

/// The SHA-256 of some bytes in hex.
pub fn digest_of(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_renderer_travels_with_the_functions_that_start_it() {
        for function in ["documents-api", "documents-worker"] {
            let names: Vec<_> = contents(&Layout::developer(), function)
                .into_iter()
                .map(|(name, _)| name)
                .collect();

            assert_eq!(names, ["bootstrap", "render"], "{function}");
        }
        assert_eq!(contents(&Layout::developer(), "users-api").len(), 1);
    }

    #[test]
    fn packages_that_hold_the_same_program_are_made_side_by_side() {
        let program = std::env::current_exe().unwrap();
        let home = std::env::temp_dir().join(format!("fleet-packages-{}", std::process::id()));
        fs::create_dir_all(&home).unwrap();

        thread::scope(|scope| {
            for number in 0..4 {
                let contents = [("render", program.clone())];
                let copy = home.join(format!("{number}.stripped"));
                scope.spawn(move || zip(&contents, &copy).unwrap());
            }
        });

        assert_eq!(fs::read_dir(&home).unwrap().count(), 0, "no copy is left");
        fs::remove_dir_all(&home).unwrap();
    }

    #[test]
    fn the_same_program_packs_to_the_same_bytes_and_may_be_run() {
        let program = std::env::current_exe().unwrap();
        let contents = [("bootstrap", program)];

        let copy = std::env::temp_dir().join(format!("fleet-package-{}", std::process::id()));
        let first = zip(&contents, &copy).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(first.clone())).unwrap();

        assert_eq!(
            archive
                .by_name("bootstrap")
                .unwrap()
                .unix_mode()
                .map(|mode| mode & 0o777),
            Some(0o755)
        );
        assert_eq!(
            digest_of(&first),
            digest_of(&zip(&contents, &copy).unwrap())
        );
    }
}
