//! What a document is laid out by: the template that a request names, found and ready for its data.

use domain::Text;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::DocumentsError;
use crate::check::{self, Checked, Fault};
use crate::format::Format;
use crate::job::{DocxSource, Job, Limits, Output, OwnSource, Source};
use crate::own::{self, Body, OwnVersion};
use crate::template::Template;

/// A template that a request named.
#[derive(Clone, Debug)]
pub enum Layout {
    /// One that every organisation has.
    BuiltIn(Template),
    /// A version of one that an organisation owns.
    Own(Box<OwnVersion>),
}

impl Layout {
    /// The name or id that records and events carry.
    pub fn name(&self) -> String {
        match self {
            Self::BuiltIn(template) => template.name().to_owned(),
            Self::Own(version) => version.template.to_string(),
        }
    }

    /// The version that documents are made with. A built-in template changes only with the fleet, so its
    /// version is always the first.
    pub fn version(&self) -> u32 {
        match self {
            Self::BuiltIn(_) => 1,
            Self::Own(version) => version.number,
        }
    }

    /// What its data must look like (JSON Schema 2020-12).
    pub fn schema(&self) -> &Value {
        match self {
            Self::BuiltIn(template) => template.schema(),
            Self::Own(version) => &version.schema,
        }
    }

    /// Data that it accepts.
    pub fn samples(&self) -> Vec<Value> {
        match self {
            Self::BuiltIn(template) => template.samples().into(),
            Self::Own(version) => version.samples.clone(),
        }
    }

    /// Whether it can become a file of this kind.
    pub fn takes(&self, format: Format) -> bool {
        match self {
            Self::BuiltIn(_) => true,
            Self::Own(version) => format == version.body.format(),
        }
    }

    /// Whether its documents wear the organisation's brand: a Word file stays as its author made it.
    pub fn shows_brand(&self) -> bool {
        match self {
            Self::BuiltIn(_) => true,
            Self::Own(version) => matches!(version.body, Body::Typst(_)),
        }
    }

    /// The kind of file to make: the one that is asked for, if any; else PDF, and DOCX of a Word file.
    ///
    /// # Errors
    /// [`DocumentsError::UnsupportedFormat`] if it cannot become what is asked for.
    pub fn format(&self, asked: Option<Format>) -> Result<Format, DocumentsError> {
        match (asked, self) {
            (Some(format), _) if self.takes(format) => Ok(format),
            (Some(format), _) => Err(DocumentsError::UnsupportedFormat(format)),
            (None, Self::BuiltIn(_)) => Ok(Format::default()),
            (None, Self::Own(version)) => Ok(version.body.format()),
        }
    }

    /// The data with its computed part, or every fault that can be found in this process: all of a
    /// built-in template, and those of characters in any other.
    ///
    /// # Errors
    /// The faults, at least one.
    pub(crate) fn prepare(&self, data: Value) -> Result<Checked, Vec<Fault>> {
        match self {
            Self::BuiltIn(template) => check::check(*template, data),
            Self::Own(_) => Ok(Checked {
                data: check::prepare(data)?,
                computed: Value::Null,
            }),
        }
    }

    /// The job of such data. Name and date of the file come from the template and the data alone, so that
    /// the same input gives the same bytes whenever and by whomever it is sent.
    pub fn job(&self, checked: Checked, output: Output) -> Job {
        let (source, limits) = match self {
            Self::BuiltIn(template) => (Source::BuiltIn(*template), Limits::default()),
            Self::Own(version) => (source(version, output), own::LIMITS),
        };
        Job {
            ident: self.ident(&checked.data),
            timestamp: self.date(&checked.data),
            source,
            output,
            data: checked.data,
            computed: checked.computed,
            look: None,
            limits,
        }
    }

    fn ident(&self, data: &Value) -> String {
        let input = match self {
            Self::BuiltIn(template) => format!("{}\n{data}", template.name()),
            Self::Own(version) => format!("{}\n{}\n{data}", version.template, version.sha256),
        };
        data_encoding::HEXLOWER.encode(digest(&SHA256, input.as_bytes()).as_ref())
    }

    /// The document's own date at midnight UTC, which every built-in template asks for; else the moment
    /// from which on there was the version.
    fn date(&self, data: &Value) -> Timestamp {
        let named = ["issue_date", "date"]
            .into_iter()
            .find_map(|name| data[name].as_str()?.parse::<Date>().ok());
        let midnight = named.and_then(|day| Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok());
        midnight.unwrap_or(match self {
            Self::BuiltIn(_) => Timestamp::UNIX_EPOCH,
            Self::Own(version) => version.created_at,
        })
    }
}

fn source(version: &OwnVersion, output: Output) -> Source {
    let schema = version.schema.clone();
    match &version.body {
        Body::Typst(text) => Source::Own(OwnSource {
            text: text.clone(),
            schema,
            title: version.name.clone(),
        }),
        // For a verdict the schema is enough, and a file is large.
        Body::Docx(_) if output == Output::Verdict => Source::Docx(DocxSource {
            file: String::new(),
            schema,
        }),
        Body::Docx(word) => Source::Docx(DocxSource {
            file: data_encoding::BASE64.encode(&word.file),
            schema,
        }),
    }
}

/// What is said of a format that a template cannot become.
pub fn no_such_format(name: &str) -> Text {
    Text::with(
        format!("Esta plantilla no se puede emitir como {name}"),
        format!("This template cannot be made as {name}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_and_date_of_a_file_come_from_its_data() {
        let [spanish, english] = Template::Letter.samples();
        let letter = Layout::BuiltIn(Template::Letter);
        let of = |data: &Value| {
            letter.job(
                letter.prepare(data.clone()).unwrap(),
                Output::File(Format::Pdf),
            )
        };

        assert_eq!(of(&spanish).ident, of(&spanish).ident);
        assert_ne!(of(&spanish).ident, of(&english).ident);
        assert_eq!(of(&spanish).timestamp.to_string(), "2026-11-24T00:00:00Z");
    }
}
