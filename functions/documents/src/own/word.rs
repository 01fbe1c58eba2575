//! The Word files that templates are made of. They stand in the bucket, because a row is too small for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::Id;
use domain::id::{Organisation, Template};
use ports::PortError;
use ports::blobs::{Blob, Link};

use super::{Body, OwnVersion, hex};
use crate::format::Format;
use crate::{Documents, DocumentsError, LINK_VALID};

/// A Word file of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordFile {
    /// The file.
    pub file: Arc<Vec<u8>>,
    /// SHA-256 of it in lower-case hexadecimal.
    pub sha256: String,
}

impl WordFile {
    /// A file with its hash.
    pub(super) fn new(file: Vec<u8>) -> Self {
        Self {
            sha256: hex(&file),
            file: Arc::new(file),
        }
    }
}

impl Documents {
    /// Stores a Word file, if there is one. Doing it again stores the same octets in the same place.
    ///
    /// # Errors
    /// A port's failure.
    pub(super) async fn keep_word(
        &self,
        org: Id<Organisation>,
        id: Id<Template>,
        body: &Body,
    ) -> Result<(), DocumentsError> {
        let Body::Docx(word) = body else {
            return Ok(());
        };
        let file = Blob {
            bytes: word.file.to_vec(),
            content_type: Format::Docx.content_type().to_owned(),
        };
        Ok(self
            .blobs
            .put(&word_key(org, id, &word.sha256), file)
            .await?)
    }

    /// The Word file of this hash.
    ///
    /// # Errors
    /// A port's failure.
    pub(super) async fn word(
        &self,
        org: Id<Organisation>,
        id: Id<Template>,
        sha256: &str,
    ) -> Result<WordFile, DocumentsError> {
        let file = self.blobs.get(&word_key(org, id, sha256)).await?;
        let lost = || PortError::Refused {
            port: ports::Port::Blobs,
            cause: "the Word file of a template is gone".to_owned(),
        };
        Ok(WordFile {
            file: Arc::new(file.ok_or_else(lost)?.bytes),
            sha256: sha256.to_owned(),
        })
    }

    /// A fresh link to the Word file of a version; nothing if it has none.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn word_link(
        &self,
        org: Id<Organisation>,
        version: &OwnVersion,
    ) -> Result<Option<Link>, DocumentsError> {
        let Body::Docx(word) = &version.body else {
            return Ok(None);
        };
        let key = word_key(org, version.template, &word.sha256);
        let name = format!("{}-{}.docx", version.template, version.number);
        Ok(Some(self.blobs.link(&key, &name, LINK_VALID).await?))
    }

    /// Deletes the Word files of these hashes.
    ///
    /// # Errors
    /// A port's failure.
    pub(super) async fn forget_words(
        &self,
        org: Id<Organisation>,
        id: Id<Template>,
        all: impl Iterator<Item = &String>,
    ) -> Result<(), DocumentsError> {
        for sha256 in all.collect::<BTreeSet<_>>() {
            self.blobs.delete(&word_key(org, id, sha256)).await?;
        }
        Ok(())
    }
}

/// Where a Word file stands: with its template, so that it goes with it.
fn word_key(org: Id<Organisation>, id: Id<Template>, sha256: &str) -> String {
    format!("{org}/{id}/{sha256}.docx")
}
