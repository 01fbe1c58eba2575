//! An organisation's own Word file, filled with data: what stands in double braces becomes text, loops and
//! conditions repeat and leave out what stands between their tags, and all else stays as its author made it.
//!
//! | step | module |
//! |---|---|
//! | the archive is read within limits, and written again under a date that is always the same | `package` |
//! | macros, embedded files, remote parts and fields that reach outside are refused | `guard` |
//! | a part becomes a tree whose tags are kept as they were read | `tree` |
//! | placeholders are found, also where Word split them over runs | `placeholders` |
//! | tags of loops and conditions move to where whole paragraphs and rows stand between them | `blocks` |
//! | the tree is walked with the data at hand | `expand` |
//! | expressions and the filters that print as the data's language does | `expression` |
//! | what a part must not lack for Word to open it is added | `mend` |
//!
//! A value is a text of the tree and is escaped where it is written, so nothing in it is ever markup or a
//! placeholder. Expressions are minijinja's, without its templates, functions and globals. The crate
//! docx-handlebars was looked at and left: it prints nothing for a field that does not exist, and unpacks
//! whatever an archive holds.

mod blocks;
mod expand;
mod expression;
mod guard;
mod mend;
mod package;
mod placeholders;
mod tree;

use data_encoding::BASE64;
use domain::Locale;

use crate::job::{DocxSource, Job, TypesetError, Words};
use package::Part;

/// The file with the job's data.
///
/// # Errors
/// [`TypesetError::Unfillable`] in words for the template's author, or [`TypesetError::TooBig`].
pub fn fill(source: &DocxSource, job: &Job) -> Result<Vec<u8>, TypesetError> {
    let file = BASE64
        .decode(source.file.as_bytes())
        .map_err(|_| no_docx())?;
    let mut parts = package::read(&file)?;
    let filled = guard::check(&parts)?;
    let language = language(&job.data);
    let mut budget = expand::Budget::of(job.limits);
    for index in filled {
        let part = &parts[index];
        let text = part_filled(part, job, language, &mut budget)?;
        parts[index].octets = text.into_bytes();
    }
    package::write(&parts)
}

fn part_filled(
    part: &Part,
    job: &Job,
    language: Locale,
    budget: &mut expand::Budget,
) -> Result<String, TypesetError> {
    let mut root = tree::read(part.text()?)?;
    let found = placeholders::find(&mut root)?;
    if found.is_empty() {
        return Ok(part.text()?.to_owned());
    }
    let root = blocks::settle(root, &found)?;
    let mut root = expand::expand(&root, &found, &job.data, language, budget)?;
    mend::mend(&mut root);
    let text = tree::write(&root);
    // Whatever the placeholders made of it: it opens, and has no field that the file itself might not have.
    guard::fields(&guard::parsed(&text)?)?;
    Ok(text)
}

/// The language that numbers and dates are printed in: the one that the data names.
fn language(data: &serde_json::Value) -> Locale {
    let named = data["locale"].as_str().unwrap_or_default();
    if named == "es" || named.starts_with("es-") {
        Locale::Es
    } else {
        Locale::En
    }
}

fn refused(es: impl Into<String>, en: impl Into<String>) -> TypesetError {
    TypesetError::Unfillable {
        detail: Words {
            es: es.into(),
            en: en.into(),
        },
    }
}

fn no_docx() -> TypesetError {
    refused(
        "No es un archivo DOCX, o está protegido con contraseña",
        "Is no DOCX file, or is protected by a password",
    )
}
