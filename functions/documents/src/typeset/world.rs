//! All that a template can reach: its own text, the shared files, its job's data and brand, the fonts. There is
//! no file system, no network, no package and no clock behind it.

use std::sync::LazyLock;

use serde_json::{Value, json};
use typst::diag::{FileError, FileResult};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source as SourceFile, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, World};

use super::fonts::{self, Fonts};
use super::shown::shown;
use super::{library, sources};
use crate::brand::{Logo, Look};
use crate::flow::invoice::Invoice;
use crate::job::{Job, Source, TypesetError};
use crate::template::Template;

/// The files that templates share, parsed once per process.
static SHARED: LazyLock<Vec<SourceFile>> = LazyLock::new(|| {
    let files = sources::SHARED.iter();
    files.map(|(path, text)| source_file(path, text)).collect()
});

/// The files of the program, parsed once per process.
static BUILT_IN: [LazyLock<SourceFile>; 3] = [
    LazyLock::new(|| main_file(sources::main(Template::Invoice))),
    LazyLock::new(|| main_file(sources::main(Template::Letter))),
    LazyLock::new(|| main_file(sources::main(Template::Report))),
];

/// The world of one job.
pub struct JobWorld {
    main: SourceFile,
    /// Nothing for a built-in template: that of the process.
    library: Option<LazyHash<Library>>,
    fonts: &'static Fonts,
    data: Bytes,
    shown: Bytes,
    brand: Bytes,
    /// Its path and its octets.
    logo: Option<(String, Bytes)>,
}

impl JobWorld {
    /// The world in which this job is compiled.
    ///
    /// # Errors
    /// [`TypesetError::Refused`] if the data cannot be a value of the engine.
    pub fn new(job: &Job) -> Result<Self, TypesetError> {
        let brand = job.look.as_ref().map_or(Value::Null, brand);
        let (main, library) = match &job.source {
            Source::BuiltIn(template) => (BUILT_IN[template.index()].clone(), None),
            Source::Own(own) => (
                main_file(&own.text),
                Some(library::of_tenant(&job.data, &brand, &own.title)?),
            ),
            Source::Docx(_) => {
                return Err(TypesetError::Refused {
                    message: "a Word file becomes no pages".to_owned(),
                    place: None,
                });
            }
        };
        Ok(Self {
            main,
            library,
            fonts: fonts::of(job),
            data: json_file(&job.data),
            shown: json_file(&shown_of(job)),
            brand: json_file(&brand),
            logo: job
                .look
                .as_ref()
                .and_then(Look::emblem)
                .map(|(logo, octets)| (logo_path(logo), Bytes::new(octets.to_vec()))),
        })
    }
}

/// Only an invoice has more to show than its data.
fn shown_of(job: &Job) -> Value {
    match job.source {
        Source::BuiltIn(Template::Invoice) => {
            shown(&Invoice::of(&job.data, &job.computed), fonts::of(job))
        }
        _ => Value::Null,
    }
}

/// What a template reads of a brand; null if there is none.
fn brand(look: &Look) -> Value {
    let brand = &look.brand;
    let logo = brand.logo.as_ref().map(|logo| {
        json!({
            "path": logo_path(logo),
            "alt": logo.alt,
            "width": logo.picture.width,
            "height": logo.picture.height,
        })
    });
    json!({ "accent": brand.accent, "font": brand.font.family(), "logo": logo })
}

fn logo_path(logo: &Logo) -> String {
    format!("/logo.{}", logo.picture.kind.end())
}

fn json_file(value: &Value) -> Bytes {
    Bytes::new(value.to_string().into_bytes())
}

fn main_file(text: &str) -> SourceFile {
    source_file("main.typ", text)
}

fn source_file(path: &str, text: &str) -> SourceFile {
    // The paths are constants without `..`, so that making them cannot fail.
    let path = VirtualPath::new(path).unwrap_or_else(|e| panic!("{path} is no path: {e}"));
    SourceFile::new(
        RootedPath::new(VirtualRoot::Project, path).intern(),
        text.to_owned(),
    )
}

/// The path inside the project; a file of a package has none here.
fn project_path(id: FileId) -> FileResult<&'static str> {
    match id.get().root() {
        VirtualRoot::Project => Ok(id.get().vpath().get_with_slash()),
        VirtualRoot::Package(_) => Err(FileError::AccessDenied),
    }
}

impl World for JobWorld {
    fn library(&self) -> &LazyHash<Library> {
        self.library.as_ref().unwrap_or(&library::WHOLE)
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.fonts.book
    }

    fn main(&self) -> FileId {
        self.main.id()
    }

    fn source(&self, id: FileId) -> FileResult<SourceFile> {
        if id == self.main.id() {
            return Ok(self.main.clone());
        }
        let shared = SHARED.iter().find(|file| file.id() == id);
        shared
            .map(|file| (*file).clone())
            .ok_or(FileError::AccessDenied)
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        match (project_path(id)?, &self.logo) {
            ("/data.json", _) => Ok(self.data.clone()),
            ("/shown.json", _) => Ok(self.shown.clone()),
            ("/brand.json", _) => Ok(self.brand.clone()),
            (path, Some((logo, octets))) if path == logo => Ok(octets.clone()),
            _ => Err(FileError::AccessDenied),
        }
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.faces.get(index).cloned()
    }

    /// A template that wants a date has it in its data.
    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}
