//! Rows with a partition key and a sort key, written all or nothing (`DynamoDB`'s shape).
//!
//! Every read is strongly consistent except a query by index. There is no scan: what cannot be reached
//! by a key is not asked for.

pub mod memory;
pub mod size;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Port, PortError};

pub use memory::MemoryTable;

/// The names of a row's own columns, which no attribute may have.
pub const RESERVED: [&str; 6] = ["pk", "sk", "gsi1pk", "gsi1sk", "version", "expires_at"];

/// Where a row stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The partition: begins with an organisation or a person.
    pub pk: String,
    /// The place inside the partition.
    pub sk: String,
}

impl Key {
    /// The key of these two parts.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a caller gives an id, a text or a reference, whichever it has"
    )]
    pub fn new(pk: impl ToString, sk: impl ToString) -> Self {
        Self {
            pk: pk.to_string(),
            sk: sk.to_string(),
        }
    }

    /// Whether a row can stand here: both parts have octets, at most 2048 and 1024 of them.
    ///
    /// # Errors
    /// [`PortError::Refused`] if not.
    pub fn check(&self) -> Result<(), PortError> {
        if (1..=2048).contains(&self.pk.len()) && (1..=1024).contains(&self.sk.len()) {
            Ok(())
        } else {
            Err(refused("a part of a key is empty or too long"))
        }
    }
}

/// A row: at most 400 KB with its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Where it stands.
    pub key: Key,
    /// Where the index finds it (`gsi1pk`, `gsi1sk`), if it is indexed.
    pub index: Option<Key>,
    /// Counts the writes; 1 after the first. [`If::VersionIs`] compares it.
    pub version: u64,
    /// When the store may delete it, to the second. Deletion lags by up to days: a reader compares this
    /// with its own clock and never concludes anything from a row's presence.
    pub expires_at: Option<Timestamp>,
    /// Everything else. The names `pk`, `sk`, `gsi1pk`, `gsi1sk`, `version` and `expires_at` are taken.
    pub attributes: Map<String, Value>,
}

impl Item {
    /// A first version of a row whose attributes are the fields of `record`.
    ///
    /// # Panics
    /// If `record` does not serialise to a map with string keys, which is a mistake in the program.
    pub fn new(key: Key, record: &impl Serialize) -> Self {
        let attributes = match serde_json::to_value(record) {
            Ok(Value::Object(fields)) => fields,
            other => panic!("a row is made of named fields, not of {other:?}"),
        };
        Self {
            key,
            index: None,
            version: 1,
            expires_at: None,
            attributes,
        }
    }

    /// The same row, found by the index too.
    #[must_use]
    pub fn indexed(mut self, pk: impl ToString, sk: impl ToString) -> Self {
        self.index = Some(Key::new(pk, sk));
        self
    }

    /// The same row, deletable from this moment on.
    #[must_use]
    pub fn expiring(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// The row that follows this one: new attributes, version one higher.
    #[must_use]
    pub fn next(&self, record: &impl Serialize) -> Self {
        let fresh = Self::new(self.key.clone(), record);
        Self {
            index: self.index.clone(),
            version: self.version + 1,
            expires_at: self.expires_at,
            ..fresh
        }
    }

    /// The attributes as a record.
    ///
    /// # Errors
    /// [`PortError::Refused`] if the stored row is not of this shape.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, PortError> {
        serde_json::from_value(Value::Object(self.attributes.clone())).map_err(|e| {
            PortError::Refused {
                port: Port::Table,
                cause: format!("row {}/{} has another shape: {e}", self.key.pk, self.key.sk),
            }
        })
    }

    /// The size of the row, if a table can keep it.
    fn check(&self) -> Result<usize, PortError> {
        self.index.as_ref().map_or(Ok(()), Key::check)?;
        check_names(self.attributes.keys())?;
        let octets = size::of_row(self);
        if octets > size::ROW {
            return Err(refused(format!("a row of {octets} octets")));
        }
        Ok(octets)
    }

    /// Whether the row's time is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// What must hold for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum If {
    /// Nothing.
    Always,
    /// No row stands there.
    Absent,
    /// A row stands there.
    Present,
    /// The row that stands there has this version.
    VersionIs(u64),
}

/// One part of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The row stands there afterwards, whole.
    Put(Item, If),
    /// No row stands there afterwards.
    Delete(Key, If),
    /// Nothing changes, but the condition must hold for the rest to happen.
    Check(Key, If),
    /// Numbers change with the rest or not at all; a guard that does not hold is a condition that does not.
    Count(Count),
}

impl Write {
    /// The key that it is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(item, _) => &item.key,
            Self::Delete(key, _) | Self::Check(key, _) => key,
            Self::Count(count) => &count.key,
        }
    }
}

/// Whether these parts can be one transaction: 1 to 100 of them, each about a row of its own, no larger
/// than [`size::ROW`] each and [`size::TRANSACTION`] together.
///
/// # Errors
/// [`PortError::Refused`] if not.
pub fn check_parts(parts: &[Write]) -> Result<(), PortError> {
    if !(1..=100).contains(&parts.len()) {
        return Err(refused(format!("a transaction of {} parts", parts.len())));
    }
    if has_repeats(parts.iter().map(Write::key)) {
        return Err(refused("two parts of a transaction are about one row"));
    }
    let mut octets = 0;
    for part in parts {
        part.key().check()?;
        match part {
            Write::Put(item, _) => octets += item.check()?,
            Write::Count(count) => count.check()?,
            Write::Delete(..) | Write::Check(..) => {}
        }
    }
    if octets > size::TRANSACTION {
        return Err(refused(format!("a transaction of {octets} octets")));
    }
    Ok(())
}

/// Why a transaction did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// These parts' conditions did not hold; nothing was written.
    #[error("the condition of part {0:?} does not hold")]
    Condition(Vec<usize>),
    /// Another transaction touched the same rows at the same moment; nothing was written, try again.
    #[error("another transaction is under way on the same rows")]
    Conflict,
    /// The store failed; with [`PortError::Unavailable`] the write may have happened.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Which rows to list: one partition, in the order of the sort key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The partition.
    pub pk: String,
    /// Only sort keys that begin with this.
    pub sk_prefix: String,
    /// By the index (eventually consistent) instead of by the key.
    pub by_index: bool,
    /// Last first.
    pub descending: bool,
    /// At most that many rows; a page may hold fewer and still have a successor.
    pub limit: u32,
    /// Where the previous page ended.
    pub after: Option<Cursor>,
}

impl Query {
    /// The first page, ascending, of one partition's rows whose sort key begins with a prefix.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a caller gives an id, a text or a reference, whichever it has"
    )]
    pub fn prefix(pk: impl ToString, sk_prefix: impl ToString) -> Self {
        Self {
            pk: pk.to_string(),
            sk_prefix: sk_prefix.to_string(),
            by_index: false,
            descending: false,
            limit: 100,
            after: None,
        }
    }

    /// Whether a store can answer this: at least one row is asked for, and the cursor comes from these
    /// same rows. A cursor travels through a caller's hands, so one that points into another partition
    /// is refused here, before a store could follow it.
    ///
    /// # Errors
    /// [`PortError::Refused`] if not.
    pub fn check(&self) -> Result<(), PortError> {
        if self.limit == 0 {
            return Err(refused("a page holds at least one row"));
        }
        let Some(cursor) = &self.after else {
            return Ok(());
        };
        let place = if self.by_index {
            cursor.index.as_ref()
        } else {
            Some(&cursor.key)
        };
        match place {
            Some(key) if key.pk == self.pk && key.sk.starts_with(&self.sk_prefix) => Ok(()),
            _ => Err(refused("the cursor is of another query")),
        }
    }
}

/// Where a page ended: the last row's key, and its index key if the index was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The row's key.
    pub key: Key,
    /// The row's index key.
    pub index: Option<Key>,
}

/// Some rows, and where to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The rows.
    pub items: Vec<Item>,
    /// Where the next page begins; nothing at the end.
    pub next: Option<Cursor>,
}

/// An atomic change of one row's whole numbers, for counters that many processes move at once.
///
/// The row is made if it is absent. Its numbers are attributes of their own; `version` does not move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The row.
    pub key: Key,
    /// What must hold of the numbers before, or nothing happens.
    pub guards: Vec<Guard>,
    /// Numbers to add to; absent ones start at 0. A name stands in one of the three lists at most.
    pub add: Vec<(String, i64)>,
    /// Numbers to set.
    pub set: Vec<(String, i64)>,
    /// Numbers to forget.
    pub remove: Vec<String>,
    /// When the row may be deleted.
    pub expires_at: Option<Timestamp>,
}

impl Count {
    /// A count that changes nothing yet.
    pub fn of(key: Key) -> Self {
        Self {
            key,
            guards: Vec::new(),
            add: Vec::new(),
            set: Vec::new(),
            remove: Vec::new(),
            expires_at: None,
        }
    }

    /// Whether a table can do this: no number is changed twice, and none is named like a column.
    ///
    /// # Errors
    /// [`PortError::Refused`] if not.
    pub fn check(&self) -> Result<(), PortError> {
        self.key.check()?;
        let changed: Vec<&String> = self
            .add
            .iter()
            .chain(&self.set)
            .map(|(name, _)| name)
            .chain(&self.remove)
            .collect();
        if has_repeats(changed.iter()) {
            return Err(refused("a number is changed twice in one count"));
        }
        check_names(changed.into_iter())
    }
}

/// A condition on one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The number is absent or at most this.
    AtMost(String, i64),
    /// The number is this.
    Is(String, i64),
    /// There is no such number.
    Absent(String),
}

/// The numbers of a row after a [`Count`] was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It happened; these are the numbers now.
    Done(Numbers),
    /// A guard did not hold; these are the numbers as they stand.
    Refused(Numbers),
}

/// The whole numbers of a counter row, by name.
pub type Numbers = std::collections::BTreeMap<String, i64>;

/// A table.
#[async_trait]
pub trait Table: Send + Sync {
    /// The row at a key, if there is one.
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError>;

    /// A page of rows.
    async fn query(&self, query: &Query) -> Result<Page, PortError>;

    /// Writes all parts or none: 1 to 100 parts, each with a key of its own, 4 MB together.
    ///
    /// A lost acknowledgement is the caller's to think of: after [`PortError::Unavailable`] it reads back.
    async fn write(&self, parts: Vec<Write>) -> Result<(), WriteError>;

    /// Changes a counter row if its guards hold, and gives its numbers either way.
    ///
    /// An adapter tries again when an answer is lost, so the change may happen twice: what is added has to
    /// err on the safe side, or a guard has to make the second time impossible.
    async fn count(&self, count: Count) -> Result<Counted, PortError>;
}

fn check_names<'a>(mut names: impl Iterator<Item = &'a String>) -> Result<(), PortError> {
    match names.find(|name| RESERVED.contains(&name.as_str())) {
        Some(name) => Err(refused(format!("{name} is a column of the row itself"))),
        None => Ok(()),
    }
}

fn has_repeats<T: Ord>(values: impl Iterator<Item = T>) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    !values.into_iter().all(|value| seen.insert(value))
}

fn refused(cause: impl Into<String>) -> PortError {
    PortError::Refused {
        port: Port::Table,
        cause: cause.into(),
    }
}
