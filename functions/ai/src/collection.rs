//! Collections: documents that are searched together.
//!
//! A collection's row also counts what it holds; its `edition` moves with every change of what can be found
//! in it. Numbers are only moved where `alive` stands, so that no late worker brings a deleted collection
//! back. Deleting takes the row away at once; what lies under it is deleted by `ai-worker`, in portions.

use domain::id::{Collection as CollectionKind, Organisation, User};
use domain::{Caller, Id, Text};
use jiff::Timestamp;
use ports::queue::{Message, Queue};
use ports::table::{Count, Cursor, Guard, If, Item, Key, Query, Write, WriteError};
use runtime::problem::FieldError;
use runtime::trace;
use serde::{Deserialize, Serialize};

use crate::{Ai, AiError};

/// The most collections of an organisation.
pub const MOST_COLLECTIONS: i64 = 50;

/// The most documents of a collection.
pub const MOST_DOCUMENTS: i64 = 500;

/// The most octets that the texts of a collection have together.
pub const MOST_OCTETS: i64 = 4_000_000;

/// A collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// Its id.
    pub id: Id<CollectionKind>,
    /// What people call it.
    pub name: String,
    /// What is in it.
    pub description: Option<String>,
    /// Whether its passages get vectors, where a model makes some.
    pub embedding: bool,
    /// Who made it.
    pub created_by: Id<User>,
    /// When.
    pub created_at: Timestamp,
    /// 1: what is counted is counted in a row that somebody made.
    alive: i64,
    /// Documents, those that wait or failed too.
    pub documents: i64,
    /// Octets of the texts that can be found.
    pub octets: i64,
    /// Counts the changes of what can be found.
    pub edition: i64,
}

/// What a collection is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCollection {
    /// 1 to 100 characters.
    pub name: String,
    /// At most 1000 characters.
    pub description: Option<String>,
    /// Whether its passages get vectors.
    pub embedding: bool,
}

/// That what lay under a deleted collection is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Whose.
    pub org: Id<Organisation>,
    /// Which collection.
    pub collection: Id<CollectionKind>,
}

impl Order {
    /// The message that carries it, in the trace of this moment.
    pub(crate) fn message(self) -> Message {
        message(&self)
    }
}

/// The message that carries an order, in the trace of this moment.
pub(crate) fn message(order: &impl Serialize) -> Message {
    let body = serde_json::to_string(order).unwrap_or_default();
    Message {
        trace: trace::current(),
        ..Message::new(body)
    }
}

const COLLECTIONS: &str = "collection#";

/// The row of a collection.
pub fn key(org: Id<Organisation>, id: Id<CollectionKind>) -> Key {
    Key::new(org, format!("{COLLECTIONS}{id}"))
}

/// The row that says that what lay under a collection is still to be deleted.
pub fn gone_key(org: Id<Organisation>, id: Id<CollectionKind>) -> Key {
    Key::new(org, format!("collection-gone#{id}"))
}

/// What everything under a collection begins with.
pub fn inside(id: Id<CollectionKind>) -> String {
    format!("in#{id}#")
}

/// The row that counts an organisation's collections.
fn tally_key(org: Id<Organisation>) -> Key {
    Key::new(org, "collections")
}

/// A change of what a collection counts, which only happens while it is there.
pub(crate) fn counting(org: Id<Organisation>, id: Id<CollectionKind>) -> Count {
    Count {
        guards: vec![Guard::Is("alive".into(), 1)],
        ..Count::of(key(org, id))
    }
}

/// Texts under a name in a list of faults.
pub(crate) fn check_length(faults: &mut Vec<FieldError>, pointer: &str, text: &str, most: usize) {
    if text.trim().is_empty() || text.chars().count() > most {
        faults.push(FieldError {
            pointer: pointer.to_owned(),
            detail: Text::with(
                format!("De 1 a {most} caracteres"),
                format!("1 to {most} characters"),
            ),
        });
    }
}

impl NewCollection {
    fn check(&self) -> Result<(), AiError> {
        let mut faults = Vec::new();
        check_length(&mut faults, "/name", &self.name, 100);
        if let Some(description) = &self.description {
            check_length(&mut faults, "/description", description, 1000);
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(AiError::Invalid(faults))
        }
    }
}

impl Ai {
    /// Makes a collection. The same request sent again finds the one that there is.
    ///
    /// # Errors
    /// [`AiError::Invalid`], [`AiError::LimitReached`], a port's failure.
    pub async fn make_collection(
        &self,
        caller: &Caller,
        id: Id<CollectionKind>,
        new: NewCollection,
    ) -> Result<Collection, AiError> {
        new.check()?;
        let org = caller.organisation;
        let collection = Collection {
            id,
            name: new.name,
            description: new.description,
            embedding: new.embedding,
            created_by: caller.user,
            created_at: self.clock.now(),
            alive: 1,
            documents: 0,
            octets: 0,
            edition: 0,
        };
        let one_more = Count {
            guards: vec![Guard::AtMost("collections".into(), MOST_COLLECTIONS - 1)],
            add: vec![("collections".into(), 1)],
            ..Count::of(tally_key(org))
        };
        let row = Item::new(key(org, id), &collection);
        let parts = vec![Write::Put(row, If::Absent), Write::Count(one_more)];
        match self.table.write(parts).await {
            Ok(()) => Ok(collection),
            Err(error) => match (self.collection(org, id).await, error) {
                (Ok(found), _) => Ok(found),
                (Err(AiError::NotFound), WriteError::Condition(_)) => {
                    Err(AiError::LimitReached(Text::with(
                        format!("Una organización puede tener {MOST_COLLECTIONS} colecciones"),
                        format!("An organisation may have {MOST_COLLECTIONS} collections"),
                    )))
                }
                (Err(AiError::NotFound), error) => Err(error.into()),
                (Err(error), _) => Err(error),
            },
        }
    }

    /// A collection of the organisation.
    ///
    /// # Errors
    /// [`AiError::NotFound`], a port's failure.
    pub async fn collection(
        &self,
        org: Id<Organisation>,
        id: Id<CollectionKind>,
    ) -> Result<Collection, AiError> {
        let row = self.table.get(&key(org, id)).await?;
        Ok(row.ok_or(AiError::NotFound)?.parse()?)
    }

    /// The collections of an organisation, the newest first.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn collections(
        &self,
        org: Id<Organisation>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<Collection>, Option<Cursor>), AiError> {
        let query = Query {
            descending: true,
            limit,
            after,
            ..Query::prefix(org, COLLECTIONS)
        };
        let page = self.table.query(&query).await?;
        let collections = page
            .items
            .iter()
            .map(Item::parse)
            .collect::<Result<_, _>>()?;
        Ok((collections, page.next))
    }

    /// Deletes a collection: nothing of it is found from now on. What lies under it follows by the queue.
    ///
    /// # Errors
    /// [`AiError::NotFound`], a port's failure. After a failure of the queue the same request sent again
    /// sends the order.
    pub async fn delete_collection(
        &self,
        jobs: &dyn Queue,
        org: Id<Organisation>,
        id: Id<CollectionKind>,
    ) -> Result<(), AiError> {
        let order = Order {
            org,
            collection: id,
        };
        let one_less = Count {
            add: vec![("collections".into(), -1)],
            ..Count::of(tally_key(org))
        };
        let parts = vec![
            Write::Delete(key(org, id), If::Present),
            Write::Put(Item::new(gone_key(org, id), &order), If::Always),
            Write::Count(one_less),
        ];
        match self.table.write(parts).await {
            Ok(()) => {}
            Err(WriteError::Condition(_)) => {
                let gone = self.table.get(&gone_key(org, id)).await?;
                gone.ok_or(AiError::NotFound)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(jobs.send(vec![order.message()]).await?)
    }

    /// Deletes a portion of what lies under a deleted collection, and says whether there is more.
    pub(crate) async fn purge(&self, order: Order) -> Result<bool, AiError> {
        let Order { org, collection } = order;
        if self.table.get(&key(org, collection)).await?.is_some() {
            tracing::error!(%collection, "an order to purge a collection that is there was dropped");
            return Ok(false);
        }
        let query = Query {
            limit: 50,
            ..Query::prefix(org, inside(collection))
        };
        let page = self.table.query(&query).await?;
        let keys = page.items.into_iter().map(|row| row.key);
        let mut parts: Vec<Write> = keys.map(|key| Write::Delete(key, If::Always)).collect();
        let more = page.next.is_some();
        if !more {
            parts.push(Write::Delete(gone_key(org, collection), If::Always));
        }
        self.table.write(parts).await?;
        Ok(more)
    }
}
