//! The documents of a collection, and their rows.
//!
//! ```text
//! queued --lease--> reading --publish--> ready | failed
//!    ^                 |  ^ a lease that lapsed is taken over
//!    +---- replace ----+--+---------------+
//! ```
//!
//! A revision is what was sent once: adding a document makes the first, replacing it the next. What can be
//! found is of the last revision that was published, until the next one is; it changes in one transaction.
//! A document's content is claimed by its hash, so that a collection has no content twice.

mod look;
mod send;

use std::collections::BTreeSet;

use domain::id::{
    ApiKey, Collection as CollectionKind, CollectionDocument, Job, Organisation, User,
};
use domain::{Id, Locale};
use jiff::{SignedDuration, Timestamp};
use models::Failure;
use models::failure::Kept;
use ports::table::{Item, Key};
use serde::{Deserialize, Serialize};

use crate::collection::inside;
use crate::find::vectors::Vector;
use crate::job::Lease;
use crate::passage::Passage;
use crate::read::MediaType;

pub use send::{LARGEST_INPUT, MOST_TAGS, NewDocument, Sender};

/// A document that no worker has touched for that long is not coming: the queue gave it up.
const LOST_AFTER: SignedDuration = SignedDuration::from_hours(5);

/// How far a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits to be read.
    Queued,
    /// It is being read.
    Reading,
    /// It can be found.
    Ready,
    /// It could not be read. What an earlier revision says can still be found.
    Failed,
}

impl Status {
    /// Whether nothing more happens by itself.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Ready | Self::Failed)
    }
}

/// A document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: Id<CollectionDocument>,
    /// Its collection.
    pub collection: Id<CollectionKind>,
    /// What people call it.
    pub title: String,
    /// Where it comes from, in the words of whoever sent it.
    pub source: Option<String>,
    /// What it is about, to be filtered by.
    pub tags: BTreeSet<String>,
    /// What was sent.
    pub media_type: MediaType,
    /// SHA-256 of what was sent.
    pub sha256: String,
    /// Counts what was sent.
    pub revision: u32,
    /// On whose channel it is told how far this revision is.
    pub job: Id<Job>,
    /// How far this revision is.
    pub status: Status,
    /// Rows of what was sent, until it is read.
    pub inputs: u32,
    /// What can be found of it.
    pub published: Option<Published>,
    /// Why it failed; of a document that can be found, why passages have no vector.
    pub problem: Option<Kept>,
    /// What its vectors cost so far, in millionths of the currency's unit.
    pub cost_micros: i64,
    /// ISO 4217; nothing as long as nothing was paid.
    pub currency: Option<String>,
    /// Who has the right to work on it, and until when.
    pub lease: Option<Lease>,
    /// How often this revision was taken up; it names the calls of an attempt.
    pub attempts: u32,
    /// How often whoever had taken it up was never heard of again.
    pub deaths: u32,
    /// The language of whoever sent it, for a problem on the channel.
    pub reader: Locale,
    /// Who sent this revision, and pays for it.
    pub sent_by: Id<User>,
    /// The key that the request came with.
    pub key: Option<Id<ApiKey>>,
    /// When the first revision came.
    pub created_at: Timestamp,
    /// When this revision came.
    pub updated_at: Timestamp,
}

/// What can be found of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Of which revision.
    pub revision: u32,
    /// Rows of passages.
    pub rows: u32,
    /// Passages.
    pub passages: u32,
    /// Passages that have a vector.
    pub embedded: u32,
    /// Unicode code points of the text.
    pub characters: usize,
    /// Octets of the text.
    pub octets: i64,
}

impl Record {
    /// The document as it is read: one whose work died for good has failed, whatever its row says.
    #[must_use]
    pub fn seen(mut self, now: Timestamp) -> Self {
        let touched = self.lease.map_or(self.updated_at, |lease| lease.until);
        let end = touched.saturating_add(LOST_AFTER).unwrap_or(Timestamp::MAX);
        if !self.status.is_over() && end <= now {
            self.status = Status::Failed;
            self.problem = Some(Failure::Interrupted.kept());
        }
        self
    }

    /// The order to read this revision.
    pub(crate) const fn order(&self, org: Id<Organisation>) -> Order {
        Order {
            org,
            collection: self.collection,
            document: self.id,
            revision: self.revision,
        }
    }

    /// Whether the same content sent again is worth another try.
    fn is_worth_a_try(&self) -> bool {
        self.status.is_over() && self.problem.is_some()
    }
}

/// A document with the version of its row.
#[derive(Clone, Debug)]
pub struct Held {
    /// The row as it was read or written.
    pub row: Item,
    /// What it says.
    pub record: Record,
}

/// That a revision is to be read: ids, and nothing that anybody wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Whose.
    pub org: Id<Organisation>,
    /// In which collection.
    pub collection: Id<CollectionKind>,
    /// Which document.
    pub document: Id<CollectionDocument>,
    /// Which revision of it.
    pub revision: u32,
}

/// A part of an input as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Part {
    base64: String,
}

/// Whose content it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claim {
    document: Id<CollectionDocument>,
}

/// Passages of a document, with what is told of it beside them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pack {
    /// Which document.
    pub document: Id<CollectionDocument>,
    /// Its title.
    pub title: String,
    /// Where it comes from.
    pub source: Option<String>,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// The passages, in order.
    pub passages: Vec<Packed>,
}

/// A passage as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Packed {
    /// The passage.
    #[serde(flatten)]
    pub passage: Passage,
    /// Its vector, if it has one.
    pub vector: Option<Vector>,
}

/// What the rows of a collection's documents begin with.
fn documents_of(collection: Id<CollectionKind>) -> String {
    format!("{}document#", inside(collection))
}

/// The row of a document.
pub fn key(
    org: Id<Organisation>,
    collection: Id<CollectionKind>,
    id: Id<CollectionDocument>,
) -> Key {
    Key::new(org, format!("{}{id}", documents_of(collection)))
}

fn claim_key(org: Id<Organisation>, collection: Id<CollectionKind>, sha256: &str) -> Key {
    Key::new(org, format!("{}content#{sha256}", inside(collection)))
}

fn input_key(order: Order, part: u32) -> Key {
    let Order {
        org,
        collection,
        document,
        revision,
    } = order;
    let inside = inside(collection);
    Key::new(
        org,
        format!("{inside}input#{document}#{revision:06}#{part:02}"),
    )
}

/// What the rows of a collection's passages begin with; with a document, of that document's.
pub fn passages_of(
    collection: Id<CollectionKind>,
    document: Option<Id<CollectionDocument>>,
) -> String {
    let document = document.map_or_else(String::new, |document| format!("{document}#"));
    format!("{}passages#{document}", inside(collection))
}

/// A row of passages.
pub fn passages_key(order: Order, row: u32) -> Key {
    let prefix = passages_of(order.collection, Some(order.document));
    Key::new(order.org, format!("{prefix}{row:04}"))
}

/// The rows in which an input waits.
pub(crate) fn input_keys(order: Order, inputs: u32) -> impl Iterator<Item = Key> {
    (0..inputs).map(move |part| input_key(order, part))
}
