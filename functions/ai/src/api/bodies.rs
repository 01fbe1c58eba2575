//! What is sent to `/v1/ai/collections`, and what comes back.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use domain::id::{Collection as CollectionKind, CollectionDocument, User};
use domain::{Id, Locale, Text};
use jiff::Timestamp;
use models::failure::Reason;
use runtime::{Fields, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::collection::Collection;
use crate::document::{NewDocument, Record, Status};
use crate::read::MediaType;

/// A collection that is wanted. An organisation may have 50.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateCollection {
    /// What people call it, 1 to 100 characters.
    #[schema(example = "Manual de la panadería")]
    pub(super) name: String,
    /// What is in it, at most 1000 characters.
    pub(super) description: Option<String>,
    /// Whether passages get vectors, where a model of the operator's makes some; true if absent.
    pub(super) embedding: Option<bool>,
}

/// A collection.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct CollectionView {
    /// Its id.
    #[schema(value_type = String, example = "col_019a0000000070008000000000000000")]
    pub(super) id: Id<CollectionKind>,
    /// What people call it.
    pub(super) name: String,
    /// What is in it.
    pub(super) description: Option<String>,
    /// Whether passages get vectors, where a model makes some.
    pub(super) embedding: bool,
    /// Documents, those that wait or failed too; at most 500.
    pub(super) documents: i64,
    /// Octets of the texts that can be found; at most 4,000,000.
    pub(super) octets: i64,
    /// Who made it.
    #[schema(value_type = String)]
    pub(super) created_by: Id<User>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub(super) created_at: Timestamp,
}

impl From<Collection> for CollectionView {
    fn from(collection: Collection) -> Self {
        Self {
            id: collection.id,
            name: collection.name,
            description: collection.description,
            embedding: collection.embedding,
            documents: collection.documents,
            octets: collection.octets,
            created_by: collection.created_by,
            created_at: collection.created_at,
        }
    }
}

/// A document that is to be found: a text or a file, and only one of the two.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendDocument {
    /// What people call it, 1 to 200 characters.
    #[schema(example = "Horarios de 2026")]
    pub(super) title: String,
    /// Where it comes from, in words of one's own: an address, a number; at most 1000 characters.
    pub(super) source: Option<String>,
    /// What it is about, to be filtered by: at most 10 of at most 50 characters.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub(super) tags: BTreeSet<String>,
    /// What it is. A `text` is plain text, Markdown, HTML or CSV.
    pub(super) media_type: MediaType,
    /// The text, at most 750,000 octets.
    #[schema(example = "El horno abre a las siete.")]
    pub(super) text: Option<String>,
    /// The file in Base64, at most 750,000 octets; the text in it may have 300,000, on at most 500 pages.
    pub(super) file: Option<String>,
}

/// A document.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct SourceDocumentView {
    /// Its id.
    #[schema(value_type = String, example = "cdo_019a0000000070008000000000000000")]
    pub(super) id: Id<CollectionDocument>,
    /// Its collection.
    #[schema(value_type = String, example = "col_019a0000000070008000000000000000")]
    pub(super) collection_id: Id<CollectionKind>,
    /// What people call it.
    pub(super) title: String,
    /// Where it comes from.
    pub(super) source: Option<String>,
    /// What it is about.
    pub(super) tags: BTreeSet<String>,
    /// What was sent.
    pub(super) media_type: MediaType,
    /// How far the last revision is.
    #[schema(value_type = String, example = "queued")]
    pub(super) status: Status,
    /// Counts what was sent.
    pub(super) revision: u32,
    /// What can be found of it; null until it was read for the first time.
    pub(super) published: Option<PublishedView>,
    /// Why the last revision could not be read; of a document that is ready, why vectors are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<Reason>,
    /// What its vectors cost so far, in millionths of the currency's unit.
    pub(super) cost_micros: i64,
    /// ISO 4217; null as long as nothing was paid.
    pub(super) currency: Option<String>,
    /// Where it is told how far it is, until it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "job:job_019a0000000070008000000000000000")]
    pub(super) channel: Option<String>,
    /// Who sent the last revision.
    #[schema(value_type = String)]
    pub(super) sent_by: Id<User>,
    /// When the first revision came.
    #[schema(value_type = String, format = DateTime)]
    pub(super) created_at: Timestamp,
    /// When the last one came.
    #[schema(value_type = String, format = DateTime)]
    pub(super) updated_at: Timestamp,
}

/// What can be found of a document.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PublishedView {
    /// Of which revision.
    pub(super) revision: u32,
    /// Passages.
    pub(super) passages: u32,
    /// Passages that have a vector.
    pub(super) embedded: u32,
    /// Unicode code points of the text.
    pub(super) characters: usize,
    /// Octets of the text.
    pub(super) octets: i64,
}

/// The text of a document.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct TextView {
    /// The document.
    #[schema(value_type = String)]
    pub(super) id: Id<CollectionDocument>,
    /// Of which revision.
    pub(super) revision: u32,
    /// The text that passages and citations give places of, in Unicode code points.
    pub(super) text: String,
}

impl SourceDocumentView {
    pub(super) fn of(record: Record, reader: Locale) -> Self {
        let channel = (!record.status.is_over()).then(|| format!("job:{}", record.job));
        let published = record.published.map(|published| PublishedView {
            revision: published.revision,
            passages: published.passages,
            embedded: published.embedded,
            characters: published.characters,
            octets: published.octets,
        });
        Self {
            id: record.id,
            collection_id: record.collection,
            title: record.title,
            source: record.source,
            tags: record.tags,
            media_type: record.media_type,
            status: record.status,
            revision: record.revision,
            published,
            problem: record.problem.map(|kept| Reason::of(kept, reader)),
            cost_micros: record.cost_micros,
            currency: record.currency,
            channel,
            sent_by: record.sent_by,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

impl SendDocument {
    pub(super) fn parse(self) -> Result<NewDocument, Problem> {
        let mut fields = Fields::new();
        let given = (self.text, self.file);
        let (pointer, octets) = match given {
            (Some(text), None) => ("/text", Some(text.into_bytes())),
            (None, Some(file)) => {
                let decoded = BASE64.decode(file.as_bytes());
                let octets = fields.take("/file", decoded, |_| {
                    Text::fixed("Se espera Base64", "Base64 is expected")
                });
                ("/file", octets)
            }
            _ => {
                fields.wrong(
                    "",
                    Text::fixed(
                        "Se espera text o file; solo uno",
                        "text or file, and only one, is expected",
                    ),
                );
                ("/text", None)
            }
        };
        fields.check(
            pointer == "/file" || self.media_type.is_text(),
            "/media_type",
            Text::fixed(
                "Un documento de este tipo se envía en file",
                "A document of this type is sent as file",
            ),
        );
        fields.finish()?;
        Ok(NewDocument {
            title: self.title,
            source: self.source,
            tags: self.tags,
            media_type: self.media_type,
            octets: octets.unwrap_or_default(),
            pointer,
        })
    }
}
