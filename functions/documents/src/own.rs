//! Templates that an organisation owns: Typst sources or Word files, with the schema of their data and samples
//! of it.
//!
//! A version never changes. It stands in one row with its source, its schema and its samples, which are
//! bounded so that they fit, so that a document costs two reads and a version is written in one
//! transaction with the event that announces it. A Word file does not fit into a row: it stands in the bucket,
//! under `org_…/tpl_…/` and the hash of its content, before the row that names it is written. What else two
//! versions have in common is not shared: a template has few versions, and a row that depends on no other can be
//! deleted without a thought.
//!
//! # What a Word file says
//!
//! `{{ customer.name }}` prints a value, `{% for line in lines %} … {% endfor %}` repeats and
//! `{% if … %} … {% elif … %} … {% else %} … {% endif %}` chooses what stands between: in one paragraph the text,
//! in several the paragraphs, in the cells of a row the row. Such a template becomes DOCX and nothing else.
//!
//! # What a source can reach
//!
//! * `data`: what the request sent, checked by the schema, as a dictionary. The same is in
//!   `sys.inputs.data`, and in `json("/data.json")`, as the built-in templates read it.
//! * `brand`: what the organisation's documents wear, `none` if it has not said; else `accent`, `font` and `logo`
//!   (`none`, or `path`, `alt`, `width` and `height`). The same is in `json("/brand.json")`.
//! * `/frame.typ` and `/locale.typ`: the page, which wears the brand, the numbers and the dates of the built-in templates.
//!
//! There is no other file, no package, no plug-in, no `eval` and no clock. Texts of the data are never
//! markup. A link may lead to `http`, `https`, `mailto` and `tel`, and nowhere else.

pub mod intake;
mod word;

use domain::id::{Organisation, Template, User};
use domain::{Event, Id};
use jiff::Timestamp;
use ports::table::{Cursor, If, Item, Key, Page, Query, Write, WriteError};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::format::Format;
use crate::job::Limits;
use crate::{Documents, DocumentsError, Owner};

use intake::Content;
pub use intake::Refusal;
pub use word::WordFile;

/// A template has at most that many versions.
pub const MOST_VERSIONS: usize = 200;

/// How large a document of an organisation's template may become, and how long it may take: less than a
/// built-in one, because nobody of the house has read the source.
pub const LIMITS: Limits = Limits {
    pages: 200,
    bytes: 10 * 1024 * 1024,
    millis: 4_000,
};

/// A template to be made, or one more version of it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTemplate {
    /// For people; 1 to 120 characters.
    #[schema(min_length = 1, max_length = 120, example = "Delivery note")]
    pub name: String,
    /// JSON Schema 2020-12 of the data, without references to other documents; at most 64 KiB.
    #[schema(value_type = Object)]
    pub schema: Value,
    /// Typst source of the layout, at most 128 KiB. The request's data is in `data`. A template has either
    /// this or `docx`.
    #[serde(default)]
    #[schema(example = "= Delivery note #data.number")]
    pub source: Option<String>,
    /// A Word file (.docx) in base64, at most 512 KiB of file, whose placeholders are filled.
    #[serde(default)]
    pub docx: Option<String>,
    /// Data that fits the schema, 1 to 4 pieces of at most 128 KiB together: each is made into a document
    /// before the template is accepted.
    #[schema(value_type = Vec<Object>, min_items = 1, max_items = 4)]
    pub samples: Vec<Value>,
}

/// One more version of a template.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVersion {
    /// The template's name from now on; the same if absent.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 120)]
    pub name: Option<String>,
    /// As for a new template.
    #[schema(value_type = Object)]
    pub schema: Value,
    /// As for a new template.
    #[serde(default)]
    pub source: Option<String>,
    /// As for a new template.
    #[serde(default)]
    pub docx: Option<String>,
    /// As for a new template.
    #[schema(value_type = Vec<Object>, min_items = 1, max_items = 4)]
    pub samples: Vec<Value>,
}

/// A template, without what its versions hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRecord {
    /// Its id.
    pub id: Id<Template>,
    /// For people.
    pub name: String,
    /// Its versions, the first first; never empty.
    pub versions: Vec<VersionSummary>,
    /// The version that documents are made with; until one is published, they are made with the draft.
    pub live: Option<u32>,
    /// The version that is being worked on; the newest if none is named.
    pub draft: Option<u32>,
    /// Who made it.
    pub created_by: Id<User>,
    /// When.
    pub created_at: Timestamp,
    /// When its name, an alias or its versions changed last.
    pub updated_at: Timestamp,
}

/// What a list says of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionSummary {
    /// Its number, from 1 on without gaps.
    pub version: u32,
    /// SHA-256 of schema, source or Word file, and samples, in lower-case hexadecimal.
    pub sha256: String,
    /// SHA-256 of its Word file, if it is made of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docx: Option<String>,
    /// Who made it.
    #[schema(value_type = String)]
    pub created_by: Id<User>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A version with all that it holds. Schema and samples are kept as text: a table's own values nest
/// less deeply than JSON does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The template.
    pub template: Id<Template>,
    /// Its number.
    pub number: u32,
    /// The JSON text of the schema.
    pub schema: String,
    /// The Typst source; empty if there is a Word file.
    pub source: String,
    /// SHA-256 of the Word file, which stands in the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docx: Option<String>,
    /// The JSON text of the samples, an array.
    pub samples: String,
    /// SHA-256 of the three.
    pub sha256: String,
    /// When it was made; the date of its documents if their data says none.
    pub created_at: Timestamp,
}

/// What lays a version out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Typst source.
    Typst(String),
    /// A Word file.
    Docx(WordFile),
}

impl Body {
    /// SHA-256 of its Word file, if it is one.
    fn docx(&self) -> Option<String> {
        match self {
            Self::Typst(_) => None,
            Self::Docx(word) => Some(word.sha256.clone()),
        }
    }

    /// The only kind of file that it becomes: a layout becomes pages, a Word file stays one.
    pub const fn format(&self) -> Format {
        match self {
            Self::Typst(_) => Format::Pdf,
            Self::Docx(_) => Format::Docx,
        }
    }
}

/// A version, ready for data.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnVersion {
    /// The template.
    pub template: Id<Template>,
    /// Its name, the title of a document that sets none.
    pub name: String,
    /// The version.
    pub number: u32,
    /// JSON Schema of the data.
    pub schema: Value,
    /// The Typst source or the Word file.
    pub body: Body,
    /// Data that fits.
    pub samples: Vec<Value>,
    /// SHA-256 of the three.
    pub sha256: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A movable name for a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Alias {
    /// What documents are made with.
    Live,
    /// What is being worked on.
    Draft,
}

impl TemplateRecord {
    /// The newest version.
    pub fn newest(&self) -> u32 {
        self.versions.last().map_or(1, |last| last.version)
    }

    /// The version that the draft alias names.
    pub fn draft(&self) -> u32 {
        self.draft.unwrap_or_else(|| self.newest())
    }

    /// The version that this reference names: nothing for the one that documents are made with,
    /// `live`, `draft` or a number.
    fn version(&self, reference: Option<&str>) -> Option<u32> {
        match reference {
            None => Some(self.live.unwrap_or_else(|| self.draft())),
            Some("live") => self.live,
            Some("draft") => Some(self.draft()),
            Some(number) => number.parse().ok().filter(|number| self.has(*number)),
        }
    }

    fn has(&self, version: u32) -> bool {
        self.versions.iter().any(|one| one.version == version)
    }
}

impl VersionRecord {
    fn open(self, name: &str, word: Option<WordFile>) -> Result<OwnVersion, DocumentsError> {
        let parsed = |text: &str| serde_json::from_str(text).ok();
        let (schema, samples) = parsed(&self.schema)
            .zip(parsed(&self.samples))
            .ok_or(DocumentsError::UnknownTemplate)?;
        let Value::Array(samples) = samples else {
            return Err(DocumentsError::UnknownTemplate);
        };
        Ok(OwnVersion {
            template: self.template,
            name: name.to_owned(),
            number: self.number,
            schema,
            body: match word {
                Some(word) => Body::Docx(word),
                None => Body::Typst(self.source),
            },
            samples,
            sha256: self.sha256,
            created_at: self.created_at,
        })
    }
}

impl Documents {
    /// Takes a template on, if each of its samples becomes a document. The id comes from the request, so
    /// that one that is sent again makes the same template.
    ///
    /// # Errors
    /// [`DocumentsError::BadTemplate`], or a failure.
    pub async fn add_template(
        &self,
        owner: &Owner,
        id: Id<Template>,
        new: NewTemplate,
        trace: Option<String>,
    ) -> Result<TemplateRecord, DocumentsError> {
        let content = Content {
            name: new.name,
            schema: new.schema,
            body: intake::body(new.source, new.docx)?,
            samples: new.samples,
        };
        let sha256 = self.admit(id, &content).await?;
        self.keep_word(owner.org, id, &content.body).await?;
        let now = self.clock.now();
        let record = TemplateRecord {
            id,
            name: content.name.clone(),
            versions: vec![VersionSummary {
                version: 1,
                sha256: sha256.clone(),
                docx: content.body.docx(),
                created_by: owner.user,
                created_at: now,
            }],
            live: None,
            draft: None,
            created_by: owner.user,
            created_at: now,
            updated_at: now,
        };
        let event = Event::TemplateVersionAdded {
            template: id,
            version: 1,
            sha256: sha256.clone(),
        };
        let parts = vec![
            Write::Put(Item::new(template_key(owner.org, id), &record), If::Absent),
            version_row(owner.org, id, 1, &content, sha256, now),
            self.event(owner.org, event, trace),
        ];
        match self.table.write(parts).await {
            Ok(()) => Ok(record),
            // It is there: an earlier attempt of the same request wrote it, and only its answer was lost.
            Err(error) => match self.find_template(owner.org, id).await? {
                Some((record, _)) => Ok(record),
                None => Err(error.into()),
            },
        }
    }

    /// Adds a version, and gives its number. What is already a version of this template is not added a
    /// second time: its number is given.
    ///
    /// # Errors
    /// [`DocumentsError::NotFound`], [`DocumentsError::BadTemplate`], [`DocumentsError::TooManyVersions`],
    /// or a failure.
    pub async fn add_version(
        &self,
        owner: &Owner,
        id: Id<Template>,
        new: NewVersion,
        trace: Option<String>,
    ) -> Result<u32, DocumentsError> {
        let (mut record, row) = self.template(owner.org, id).await?;
        let content = Content {
            name: new.name.unwrap_or_else(|| record.name.clone()),
            schema: new.schema,
            body: intake::body(new.source, new.docx)?,
            samples: new.samples,
        };
        let known = |record: &TemplateRecord, sha256: &str| {
            let mut same = record.versions.iter().filter(|one| one.sha256 == sha256);
            same.next().map(|one| one.version)
        };
        if let Some(version) = known(&record, &content.sha256())
            && record.name == content.name
        {
            return Ok(version);
        }
        if record.versions.len() >= MOST_VERSIONS {
            return Err(DocumentsError::TooManyVersions);
        }
        let sha256 = self.admit(id, &content).await?;
        self.keep_word(owner.org, id, &content.body).await?;
        let now = self.clock.now();
        let version = record.newest() + 1;
        record.name.clone_from(&content.name);
        record.updated_at = now;
        record.versions.push(VersionSummary {
            version,
            sha256: sha256.clone(),
            docx: content.body.docx(),
            created_by: owner.user,
            created_at: now,
        });
        let event = Event::TemplateVersionAdded {
            template: id,
            version,
            sha256: sha256.clone(),
        };
        let parts = vec![
            Write::Put(row.next(&record), If::VersionIs(row.version)),
            version_row(owner.org, id, version, &content, sha256.clone(), now),
            self.event(owner.org, event, trace),
        ];
        match self.table.write(parts).await {
            Ok(()) => Ok(version),
            Err(error) => {
                if let Some((record, _)) = self.find_template(owner.org, id).await? {
                    return known(&record, &sha256).ok_or(error.into());
                }
                // Deleted in the meantime, and nothing would lead to its file any more.
                self.forget_words(owner.org, id, content.body.docx().iter())
                    .await?;
                Err(error.into())
            }
        }
    }

    /// A template of an organisation, with its row for the next change.
    ///
    /// # Errors
    /// [`DocumentsError::NotFound`], or a port's failure.
    pub async fn template(
        &self,
        org: Id<Organisation>,
        id: Id<Template>,
    ) -> Result<(TemplateRecord, Item), DocumentsError> {
        self.find_template(org, id)
            .await?
            .ok_or(DocumentsError::NotFound)
    }

    async fn find_template(
        &self,
        org: Id<Organisation>,
        id: Id<Template>,
    ) -> Result<Option<(TemplateRecord, Item)>, DocumentsError> {
        match self.table.get(&template_key(org, id)).await? {
            Some(row) => Ok(Some((row.parse()?, row))),
            None => Ok(None),
        }
    }

    /// The templates of an organisation, the newest first.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn templates(
        &self,
        org: Id<Organisation>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<TemplateRecord>, Option<Cursor>), DocumentsError> {
        let query = Query {
            descending: true,
            limit,
            after,
            ..Query::prefix(org, TEMPLATE_PREFIX)
        };
        let Page { items, next } = self.table.query(&query).await?;
        let records = items.iter().map(Item::parse).collect::<Result<_, _>>()?;
        Ok((records, next))
    }

    /// The version of a template that a reference names: nothing for the one that documents are made
    /// with, `live`, `draft`, or a number.
    ///
    /// # Errors
    /// [`DocumentsError::UnknownTemplate`], or a port's failure.
    pub async fn version(
        &self,
        org: Id<Organisation>,
        id: Id<Template>,
        reference: Option<&str>,
    ) -> Result<OwnVersion, DocumentsError> {
        let (record, _) = self
            .find_template(org, id)
            .await?
            .ok_or(DocumentsError::UnknownTemplate)?;
        let number = record
            .version(reference)
            .ok_or(DocumentsError::UnknownTemplate)?;
        let row = self
            .table
            .get(&version_key(org, id, number))
            .await?
            .ok_or(DocumentsError::UnknownTemplate)?;
        let version: VersionRecord = row.parse()?;
        let word = match &version.docx {
            Some(sha256) => Some(self.word(org, id, sha256).await?),
            None => None,
        };
        version.open(&record.name, word)
    }

    /// Gives a template another name.
    ///
    /// # Errors
    /// [`DocumentsError::NotFound`], [`DocumentsError::BadTemplate`], or a failure.
    pub async fn rename_template(
        &self,
        row: &Item,
        mut record: TemplateRecord,
        name: String,
    ) -> Result<(TemplateRecord, u64), DocumentsError> {
        intake::check_name(&name)?;
        if record.name == name {
            return Ok((record, row.version));
        }
        record.name = name;
        record.updated_at = self.clock.now();
        self.change(row, record, vec![]).await
    }

    /// Lets an alias name a version; to go back is to name an earlier one. Without a version, the draft is
    /// the newest again.
    ///
    /// # Errors
    /// [`DocumentsError::UnknownVersion`], or a failure.
    pub async fn point(
        &self,
        owner: &Owner,
        row: &Item,
        mut record: TemplateRecord,
        alias: Alias,
        version: Option<u32>,
        trace: Option<String>,
    ) -> Result<(TemplateRecord, u64), DocumentsError> {
        let named = version.is_some_and(|version| record.has(version));
        let newest_again = version.is_none() && alias == Alias::Draft;
        if !named && !newest_again {
            return Err(DocumentsError::UnknownVersion);
        }
        let place = match alias {
            Alias::Live => &mut record.live,
            Alias::Draft => &mut record.draft,
        };
        let previous = std::mem::replace(place, version);
        if previous == version {
            return Ok((record, row.version));
        }
        record.updated_at = self.clock.now();
        let event = version.filter(|_| alias == Alias::Live).map(|version| {
            let published = Event::TemplatePublished {
                template: record.id,
                version,
                previous,
                by: owner.user,
            };
            self.event(owner.org, published, trace)
        });
        self.change(row, record, event.into_iter().collect()).await
    }

    /// Writes the next state of a template, if nobody changed it since it was read.
    async fn change(
        &self,
        row: &Item,
        record: TemplateRecord,
        more: Vec<Write>,
    ) -> Result<(TemplateRecord, u64), DocumentsError> {
        let mut parts = vec![Write::Put(row.next(&record), If::VersionIs(row.version))];
        parts.extend(more);
        match self.table.write(parts).await {
            Ok(()) => Ok((record, row.version + 1)),
            Err(error) => {
                // If what stands there is what was to be written, only the answer was lost.
                let standing = self.table.get(&row.key).await?;
                match standing.map(|now| (now.parse::<TemplateRecord>(), now.version)) {
                    Some((Ok(now), version)) if now == record => Ok((record, version)),
                    _ => Err(error.into()),
                }
            }
        }
    }

    /// Deletes a template with all its versions; documents that were made with it stay. The versions go
    /// first, then their Word files: if a step fails, a repeat finds the template and goes on.
    ///
    /// # Errors
    /// [`DocumentsError::NotFound`], or a failure.
    pub async fn delete_template(
        &self,
        org: Id<Organisation>,
        id: Id<Template>,
        trace: Option<String>,
    ) -> Result<(), DocumentsError> {
        let (record, row) = self.template(org, id).await?;
        // The newest is the last to go: it is what a document that is being made at this moment reads.
        for some in record.versions.chunks(DELETED_AT_ONCE) {
            let parts = some
                .iter()
                .map(|one| Write::Delete(version_key(org, id, one.version), If::Always))
                .collect();
            self.table.write(parts).await?;
        }
        let words = record.versions.iter().filter_map(|one| one.docx.as_ref());
        self.forget_words(org, id, words).await?;
        let event = self.event(org, Event::TemplateDeleted { template: id }, trace);
        let parts = vec![
            Write::Delete(row.key.clone(), If::VersionIs(row.version)),
            event,
        ];
        match self.table.write(parts).await {
            Ok(()) => Ok(()),
            // Deleted by somebody else in the meantime, or changed: then a repeat sees what is there.
            Err(error @ WriteError::Condition(_)) => match self.find_template(org, id).await? {
                None => Err(DocumentsError::NotFound),
                Some(_) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }
}

const TEMPLATE_PREFIX: &str = "template#";

/// Rows are at most 400 KB; a store reads what it deletes in a transaction, and takes 4 MB in one.
const DELETED_AT_ONCE: usize = 8;

fn template_key(org: Id<Organisation>, id: Id<Template>) -> Key {
    Key::new(org, format!("{TEMPLATE_PREFIX}{id}"))
}

fn version_key(org: Id<Organisation>, id: Id<Template>, version: u32) -> Key {
    Key::new(org, format!("template-version#{id}#{version:06}"))
}

fn version_row(
    org: Id<Organisation>,
    id: Id<Template>,
    number: u32,
    content: &Content,
    sha256: String,
    now: Timestamp,
) -> Write {
    let record = VersionRecord {
        template: id,
        number,
        schema: content.schema.to_string(),
        source: match &content.body {
            Body::Typst(source) => source.clone(),
            Body::Docx(_) => String::new(),
        },
        docx: content.body.docx(),
        samples: Value::from(content.samples.clone()).to_string(),
        sha256,
        created_at: now,
    };
    Write::Put(Item::new(version_key(org, id, number), &record), If::Absent)
}

fn hash(parts: &[&str]) -> String {
    hex(parts.join("\n").as_bytes())
}

fn hex(octets: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(digest(&SHA256, octets).as_ref())
}
