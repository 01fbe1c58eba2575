//! What callers send, and what it means.

use domain::id::Organisation;
use domain::{Id, Text};
use ports::blobs::LONGEST_LINK;
use ports::blobs::uploads::Sha256;
use ports::blobs::{MOST_PARTS, SMALLEST_PART};
use runtime::page::PageParams;
use runtime::{Fields, Problem, problem};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::file::folder_partition;
use crate::kind::{Kind, LARGEST_WHOLE};
use crate::names::{FileName, Folder, Tags, check_tags};
use crate::upload::parse_sha256;
use crate::{Agreement, Change, Facts};

/// The most parts that are signed at once.
const MOST_TICKETS: usize = 100;
/// The most links that are signed at once.
const MOST_LINKS: usize = 100;

/// A file that is to be uploaded.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUpload {
    /// What it is called: 1 to 255 visible characters without `/` or `\`.
    #[schema(min_length = 1, max_length = 255, example = "informe 2026.pdf")]
    name: String,
    /// Its exact length in octets. More than 100 MiB (104857600) is sent in `parts`.
    #[schema(minimum = 1, maximum = 5_000_000_000_u64, example = 48213)]
    bytes: u64,
    /// Its media type: PDF, Office Open XML, ZIP, images, audio, video and plain text are taken. Text is UTF-8.
    #[schema(example = "application/pdf")]
    content_type: String,
    /// SHA-256 of its octets, 64 hexadecimal digits in lower case.
    #[schema(
        min_length = 64,
        max_length = 64,
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    sha256: String,
    /// Where it is shown: up to 8 names between slashes. Empty or absent is the top.
    #[schema(example = "invoices/2026")]
    #[serde(default)]
    folder: String,
    /// Up to 10 small facts about it.
    #[serde(default)]
    tags: Tags,
    /// In how many equal parts it is sent, the last of which may be shorter; each but the last has at least
    /// 5 MiB. Absent is one piece.
    #[schema(minimum = 1, maximum = 10_000)]
    parts: Option<u16>,
}

impl NewUpload {
    pub(super) fn parse(self) -> Result<Agreement, Problem> {
        let mut fields = Fields::new();
        let name = fields.take("/name", FileName::parse(&self.name), |text| text);
        let folder = fields.take("/folder", Folder::parse(&self.folder), |text| text);
        fields.take("/tags", check_tags(&self.tags), |text| text);
        let kind = Kind::of(&self.content_type);
        fields.check(
            kind.is_some(),
            "/content_type",
            Text::fixed(
                "Este tipo de archivo no se admite",
                "This type of file is not taken",
            ),
        );
        fields.check(
            parse_sha256(&self.sha256).is_some(),
            "/sha256",
            Text::fixed(
                "Se esperan 64 dígitos hexadecimales en minúsculas",
                "Expected 64 hexadecimal digits in lower case",
            ),
        );
        self.check_size(kind, &mut fields);
        fields.finish()?;
        let (Some(name), Some(folder)) = (name, folder) else {
            return Err(Problem::new(&problem::VALIDATION_FAILED));
        };
        Ok(Agreement {
            facts: Facts {
                name,
                folder,
                tags: self.tags,
                bytes: self.bytes,
                content_type: self.content_type,
                sha256: self.sha256,
            },
            parts: self.parts,
        })
    }

    fn check_size(&self, kind: Option<&Kind>, fields: &mut Fields) {
        let largest = match (kind, self.parts) {
            (Some(kind), Some(_)) => kind.largest(),
            _ => LARGEST_WHOLE,
        };
        fields.check(
            (1..=largest).contains(&self.bytes),
            "/bytes",
            Text::with(
                format!("De 1 a {largest}; los tipos que no son archivos comprimidos pueden ser mayores en partes"),
                format!("1 to {largest}; types that are no archives may be larger in parts"),
            ),
        );
        let Some(parts) = self.parts else { return };
        let each = self.bytes.div_ceil(u64::from(parts.max(1)));
        fields.check(
            (1..=MOST_PARTS).contains(&parts) && (parts == 1 || each >= SMALLEST_PART),
            "/parts",
            Text::fixed(
                "De 1 a 10000, y cada parte salvo la última con 5 MiB como mínimo",
                "1 to 10000, and each part but the last of at least 5 MiB",
            ),
        );
    }
}

/// Parts that are to be sent.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignParts {
    /// 1 to 100 of them.
    #[schema(min_items = 1, max_items = 100)]
    parts: Vec<NewPart>,
}

/// One part.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPart {
    /// Its number, from 1.
    #[schema(minimum = 1, maximum = 10_000)]
    number: u16,
    /// SHA-256 of its octets, 64 hexadecimal digits in lower case.
    #[schema(min_length = 64, max_length = 64)]
    sha256: String,
}

impl SignParts {
    pub(super) fn parse(self) -> Result<Vec<(u16, Sha256)>, Problem> {
        let mut fields = Fields::new();
        fields.check(
            (1..=MOST_TICKETS).contains(&self.parts.len()),
            "/parts",
            Text::fixed("De 1 a 100", "1 to 100"),
        );
        let mut wanted = Vec::with_capacity(self.parts.len());
        for (index, part) in self.parts.iter().enumerate() {
            let sha256 = parse_sha256(&part.sha256);
            fields.check(
                sha256.is_some(),
                &format!("/parts/{index}/sha256"),
                Text::fixed(
                    "Se esperan 64 dígitos hexadecimales en minúsculas",
                    "Expected 64 hexadecimal digits in lower case",
                ),
            );
            wanted.extend(sha256.map(|sha256| (part.number, sha256)));
        }
        fields.finish()?;
        Ok(wanted)
    }
}

/// Files that links are wanted to.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignLinks {
    /// 1 to 100 ids.
    #[schema(min_items = 1, max_items = 100)]
    ids: Vec<String>,
    /// How long the links are valid, 1 to 900 seconds; 900 if absent.
    #[schema(minimum = 1, maximum = 900)]
    valid_seconds: Option<u64>,
}

impl SignLinks {
    pub(super) fn parse(self) -> Result<(Vec<String>, u64), Problem> {
        let longest = LONGEST_LINK.as_secs();
        let seconds = self.valid_seconds.unwrap_or(longest);
        let mut fields = Fields::new();
        fields.check(
            (1..=MOST_LINKS).contains(&self.ids.len()),
            "/ids",
            Text::fixed("De 1 a 100", "1 to 100"),
        );
        fields.check(
            (1..=longest).contains(&seconds),
            "/valid_seconds",
            Text::fixed("De 1 a 900", "1 to 900"),
        );
        fields.finish()?;
        Ok((self.ids, seconds))
    }
}

/// Merge patch (RFC 7396) of a file.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilePatch {
    /// 1 to 255 visible characters without `/` or `\`.
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
    /// Up to 8 names between slashes; empty is the top.
    folder: Option<String>,
    /// All tags that the file has from now on.
    tags: Option<Tags>,
}

impl FilePatch {
    pub(super) fn parse(self) -> Result<Change, Problem> {
        let mut fields = Fields::new();
        let (name, folder) = parse_place(&mut fields, self.name.as_deref(), self.folder.as_deref());
        if let Some(tags) = &self.tags {
            fields.take("/tags", check_tags(tags), |text| text);
        }
        fields.finish()?;
        Ok(Change {
            name,
            folder,
            tags: self.tags,
        })
    }
}

/// What differs in a copy.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCopy {
    /// Absent is the same name.
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
    /// Absent is the same folder.
    folder: Option<String>,
}

impl NewCopy {
    pub(super) fn parse(self) -> Result<(Option<FileName>, Option<Folder>), Problem> {
        let mut fields = Fields::new();
        let place = parse_place(&mut fields, self.name.as_deref(), self.folder.as_deref());
        fields.finish()?;
        Ok(place)
    }
}

fn parse_place(
    fields: &mut Fields,
    name: Option<&str>,
    folder: Option<&str>,
) -> (Option<FileName>, Option<Folder>) {
    let name = name.and_then(|name| fields.take("/name", FileName::parse(name), |text| text));
    let folder =
        folder.and_then(|folder| fields.take("/folder", Folder::parse(folder), |text| text));
    (name, folder)
}

/// Which files of a list are asked for.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Only the files of this folder, not of the ones below it; empty is the top.
    folder: Option<String>,
    /// At most that many items, 1 to 100; 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ListParams {
    pub(super) fn folder(&self) -> Result<Option<Folder>, Problem> {
        let folder = self.folder.as_deref().map(Folder::parse).transpose();
        folder.map_err(|text| Problem::new(&problem::PARAMETER_INVALID).field("folder", text))
    }

    pub(super) fn page(&self) -> PageParams {
        PageParams {
            limit: self.limit,
            cursor: self.cursor.clone(),
        }
    }

    /// The partition that a cursor of this list comes from.
    pub(super) fn partition(org: Id<Organisation>, folder: Option<&Folder>) -> String {
        folder.map_or_else(|| org.to_string(), |folder| folder_partition(org, folder))
    }
}
