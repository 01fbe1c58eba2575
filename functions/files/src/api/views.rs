//! What callers see.

use std::collections::BTreeMap;

use domain::Id;
use domain::id::File;
use jiff::Timestamp;
use ports::blobs::Link;
use ports::blobs::uploads::Ticket;
use runtime::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::names::Tags;
use crate::quota::Usage;
use crate::{FileRecord, FilesError, Parts, Started, Status};

/// An upload that may begin.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UploadView {
    /// The file's id.
    #[schema(value_type = String, example = "fil_019a0000000070008000000000000000")]
    id: Id<File>,
    /// Always `uploading`.
    status: Status,
    /// Where a file in one piece is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<TicketView>,
    /// How a file in parts is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<PartsView>,
    /// From then on the ticket is refused; of a file in parts, the whole upload is.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Where to send octets, once or more often, until it expires. Anything else than the agreed octets is
/// refused by the store.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TicketView {
    /// The HTTP method.
    #[schema(example = "PUT")]
    method: String,
    /// Absolute.
    url: String,
    /// Headers to be sent as they are. A browser sends `content-length` by itself and does not let a page
    /// set it.
    headers: BTreeMap<String, String>,
}

/// How a file is cut.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartsView {
    /// How many parts.
    count: u16,
    /// Octets of each but the last.
    bytes: u64,
}

impl UploadView {
    pub(super) fn of(started: Started) -> Self {
        let Started { upload, ticket } = started;
        let expires_at = ticket
            .as_ref()
            .map_or(upload.reserved_until, |ticket| ticket.expires_at);
        Self {
            id: upload.id,
            status: Status::Uploading,
            upload: ticket.map(TicketView::of),
            parts: upload
                .parts
                .map(|Parts { count, bytes, .. }| PartsView { count, bytes }),
            expires_at,
        }
    }
}

impl TicketView {
    fn of(ticket: Ticket) -> Self {
        Self {
            method: ticket.method,
            url: ticket.url,
            headers: ticket.headers,
        }
    }
}

/// Where to send one part.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartTicketView {
    /// Its number.
    number: u16,
    /// Where and how.
    upload: TicketView,
    /// From then on the ticket is refused.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl PartTicketView {
    pub(super) fn of((number, ticket): (u16, Ticket)) -> Self {
        let expires_at = ticket.expires_at;
        Self {
            number,
            upload: TicketView::of(ticket),
            expires_at,
        }
    }
}

/// A file.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FileView {
    /// Its id.
    #[schema(value_type = String, example = "fil_019a0000000070008000000000000000")]
    id: Id<File>,
    /// What it is called.
    name: String,
    /// Where it is shown; empty is the top.
    folder: String,
    /// What its owner attached to it.
    tags: Tags,
    /// Its octets.
    bytes: u64,
    /// Its media type.
    content_type: String,
    /// SHA-256 in lower-case hexadecimal.
    sha256: String,
    /// How far it is; only a `clean` file can be downloaded.
    status: Status,
    /// When its upload was agreed.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl FileView {
    pub(super) fn of(record: FileRecord) -> Self {
        let facts = record.facts;
        Self {
            id: record.id,
            name: facts.name.as_str().to_owned(),
            folder: facts.folder.as_str().to_owned(),
            tags: facts.tags,
            bytes: facts.bytes,
            content_type: facts.content_type,
            sha256: facts.sha256,
            status: record.status,
            created_at: record.created_at,
        }
    }
}

/// What looking at a file found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScanView {
    /// The file's id.
    #[schema(value_type = String)]
    id: Id<File>,
    /// How far it is.
    status: Status,
    /// Why it is not clean: the threat's name, or `type_mismatch`, `checksum_mismatch`, `length_mismatch`,
    /// `archive_broken`, `archive_encrypted`, `archive_too_deep`, `archive_too_large`,
    /// `archive_unsupported`, `scan_failed`, `unsupported`.
    finding: Option<String>,
    /// When it was looked at last.
    #[schema(value_type = Option<String>, format = DateTime)]
    scanned_at: Option<Timestamp>,
}

impl ScanView {
    pub(super) fn of(record: FileRecord) -> Self {
        Self {
            id: record.id,
            status: record.status,
            finding: record.finding,
            scanned_at: record.scanned_at,
        }
    }
}

/// A fresh link.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FileDownloadView)]
pub struct DownloadView {
    /// Where the file is, for anybody who has this link.
    download_url: String,
    /// From then on the link leads nowhere.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl DownloadView {
    pub(super) fn of(link: Link) -> Self {
        Self {
            download_url: link.url,
            expires_at: link.expires_at,
        }
    }
}

/// A link to one of many files, or why there is none.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SignedView {
    /// The id that was asked for.
    id: String,
    /// Where the file is, for anybody who has this link.
    #[serde(skip_serializing_if = "Option::is_none")]
    download_url: Option<String>,
    /// From then on the link leads nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Why there is no link: `not_found` or `file_not_clean`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// How far the file is, if that is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

impl SignedView {
    pub(super) fn link(id: String, link: Link) -> Self {
        Self {
            id,
            download_url: Some(link.url),
            expires_at: Some(link.expires_at),
            code: None,
            status: None,
        }
    }

    /// What is wrong with this one file; a failure that is not the file's fails the request.
    pub(super) fn refusal(id: String, error: FilesError) -> Result<Self, Problem> {
        let status = match &error {
            FilesError::NotFound => None,
            FilesError::NotClean(status) => Some(*status),
            _ => return Err(error.into()),
        };
        Ok(Self {
            id,
            download_url: None,
            expires_at: None,
            code: Some(Problem::from(error).code().code.to_owned()),
            status,
        })
    }
}

/// What the organisation's files take up.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FilesUsageView)]
pub struct UsageView {
    /// Octets of stored files.
    bytes: u64,
    /// Stored files.
    files: u64,
    /// Octets set aside for uploads under way.
    reserved: u64,
    /// What both may take up together, in octets.
    quota: u64,
}

impl UsageView {
    pub(super) fn of(usage: Usage) -> Self {
        Self {
            bytes: usage.bytes,
            files: usage.files,
            reserved: usage.reserved,
            quota: usage.quota,
        }
    }
}
