//! Files: uploaded and downloaded without passing through a function.
//!
//! An upload is agreed first: name, length, type and checksum. Its room is set aside, and the answer is a
//! ticket that S3 itself enforces. When the object arrives, S3 says so on a queue; the file gets its row,
//! its beginning is compared with the type that was said, and an engine looks for what harms. Until it is
//! `clean` nobody gets a link.
//!
//! **In:** S3's `ObjectCreated` and `GuardDuty`'s scan results, by the queue `file-events`. **Out:**
//! `files.uploaded`, `files.scanned`, `files.infected`, `files.deleted`, `files.quota_80`.
//!
//! | `pk` | `sk` | row |
//! |---|---|---|
//! | `org_…` | `upload#fil_…` | [`Upload`]: agreed, not arrived; its room is set aside |
//! | `org_…` | `file#fil_…` | [`FileRecord`]; by the index under `org_…#folder#<folder>` and `fil_…` |
//! | `org_…` | `usage` | [`quota`]: what is taken up, and each room set aside under its file's id |
//! | `org_…` | `event#evt_…` | outbox |
//!
//! Objects stand in the bucket under `org_…/fil_…`; nothing that a person writes becomes part of a key.
//!
//! ```text
//! upload row ──arrives──> pending ──> clean | infected | quarantined | error
//!     └──aborted, expired──> nothing        └──deleted──> nothing     error ──looked at again──> …
//! ```
//!
//! The order of the writes makes every cut harmless: the upload's row stands before its room is set aside,
//! and both stand before a ticket is signed; row and room go in one transaction. So a room without a row
//! belongs to nobody and is given back, a row without a room holds nothing, and an object without a row is
//! deleted.

pub mod api;
pub mod kind;
pub mod names;
pub mod notice;
pub mod quota;
pub mod scan;

mod arrival;
mod file;
mod inspection;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use domain::id::{File, Organisation};
use domain::{Event, Id};
use ports::PortError;
use ports::blobs::uploads::Uploads;
use ports::clock::Clock;
use ports::ids::Ids;
use ports::outbox::{self, Origin};
use ports::table::{Key, Table, Write, WriteError};
use runtime::trace;

pub use file::{Change, FileRecord, Status};
pub use upload::{Agreement, Facts, Parts, Started, Upload};

/// How long a ticket and a link are valid: the longest that the fleet allows.
const VALID: Duration = Duration::from_mins(15);

/// How often a write is tried while other transactions are under way on its rows.
const TRIES: u32 = 10;

/// What this capability does, over the ports that it needs.
pub struct Files {
    /// Rows, counters and events.
    pub table: Arc<dyn Table>,
    /// The files themselves.
    pub blobs: Arc<dyn Uploads>,
    /// The octets that the files of one organisation may take up.
    pub quota: u64,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of events.
    pub ids: Arc<dyn Ids>,
}

/// Why a use case did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The caller's organisation has no such file, or no such upload.
    #[error("no such file")]
    NotFound,
    /// The file has another version by now.
    #[error("the file has another version by now")]
    VersionMismatch,
    /// Only a clean file can be downloaded or copied.
    #[error("the file is {0:?}")]
    NotClean(Status),
    /// The octets do not fit what the organisation has left.
    #[error("{asked} octets asked, {free} free")]
    QuotaExceeded {
        /// How many were asked for.
        asked: u64,
        /// How many are free.
        free: u64,
    },
    /// Too many uploads are open at once.
    #[error("{} uploads are open", quota::MOST_OPEN)]
    TooManyOpen,
    /// The upload's time is over.
    #[error("the upload has expired")]
    Expired,
    /// What was agreed has not arrived yet.
    #[error("{arrived} of {agreed} octets have arrived")]
    Incomplete {
        /// How many octets have arrived.
        arrived: u64,
        /// How many were agreed.
        agreed: u64,
    },
    /// The upload has no part of this number, or no parts at all.
    #[error("no part {0}")]
    NoSuchPart(u16),
    /// A transaction did not happen.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Files {
    /// Writes all parts or none, however many transactions are under way on the same counter.
    async fn write(&self, parts: Vec<Write>) -> Result<(), WriteError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.table.write(parts.clone()).await {
                Err(WriteError::Conflict) if tries < TRIES => self.wait(tries).await,
                answer => return answer,
            }
        }
    }

    /// Waits a random part of a time that doubles from try to try, up to a third of a second.
    async fn wait(&self, tries: u32) {
        let longest = 10_u64 << tries.min(5);
        let [chance] = self.ids.octets::<1>();
        self.clock
            .sleep(Duration::from_millis(
                longest * (u64::from(chance) + 1) / 256,
            ))
            .await;
    }

    fn announce(&self, org: Id<Organisation>, event: Event) -> Write {
        let origin = Origin {
            org,
            trace: trace::current(),
            causation: None,
        };
        outbox::announce(&*self.ids, self.clock.now(), org, origin, event)
    }
}

/// Where a file's object stands in the bucket.
pub fn object_key(org: Id<Organisation>, id: Id<File>) -> String {
    format!("{org}/{id}")
}

/// Whose file an object's key names; nothing if it is no key of this capability.
pub fn parse_object_key(key: &str) -> Option<(Id<Organisation>, Id<File>)> {
    let (org, id) = key.split_once('/')?;
    Some((org.parse().ok()?, id.parse().ok()?))
}

fn upload_key(org: Id<Organisation>, id: Id<File>) -> Key {
    Key::new(org, format!("{}{id}", upload::ROW_PREFIX))
}

fn file_key(org: Id<Organisation>, id: Id<File>) -> Key {
    Key::new(org, format!("{}{id}", file::ROW_PREFIX))
}
