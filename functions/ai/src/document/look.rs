//! Finds, lists and deletes documents, and gives what they say.

use data_encoding::BASE64;
use domain::Id;
use domain::id::{Collection as CollectionKind, CollectionDocument, Organisation};
use ports::table::{Cursor, If, Query, Write, WriteError};

use super::{
    Claim, Held, Order, Pack, Part, Record, claim_key, documents_of, input_keys, key, passages_key,
    passages_of,
};
use crate::collection::counting;
use crate::job::TRIES;
use crate::passage::Passage;
use crate::{Ai, AiError};

impl Ai {
    /// The document, if the collection has one of this id.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn find_document(
        &self,
        org: Id<Organisation>,
        collection: Id<CollectionKind>,
        id: Id<CollectionDocument>,
    ) -> Result<Option<Held>, AiError> {
        let row = self.table.get(&key(org, collection, id)).await?;
        let now = self.clock.now();
        let held = row.map(|row| {
            let record = row.parse::<Record>()?.seen(now);
            Ok::<_, AiError>(Held { row, record })
        });
        held.transpose()
    }

    /// The document as callers see it: a deleted collection has none.
    ///
    /// # Errors
    /// [`AiError::NotFound`], a port's failure.
    pub async fn document(
        &self,
        org: Id<Organisation>,
        collection: Id<CollectionKind>,
        id: Id<CollectionDocument>,
    ) -> Result<Held, AiError> {
        self.collection(org, collection).await?;
        let held = self.find_document(org, collection, id).await?;
        held.ok_or(AiError::NotFound)
    }

    pub(super) async fn document_with(
        &self,
        org: Id<Organisation>,
        collection: Id<CollectionKind>,
        sha256: &str,
    ) -> Result<Option<Held>, AiError> {
        self.collection(org, collection).await?;
        let claim = self.table.get(&claim_key(org, collection, sha256)).await?;
        let Some(claim) = claim else { return Ok(None) };
        let Claim { document } = claim.parse()?;
        self.find_document(org, collection, document).await
    }

    /// The documents of a collection, the newest first.
    ///
    /// # Errors
    /// [`AiError::NotFound`], a port's failure.
    pub async fn documents(
        &self,
        org: Id<Organisation>,
        collection: Id<CollectionKind>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<Record>, Option<Cursor>), AiError> {
        self.collection(org, collection).await?;
        let query = Query {
            descending: true,
            limit,
            after,
            ..Query::prefix(org, documents_of(collection))
        };
        let page = self.table.query(&query).await?;
        let now = self.clock.now();
        let records = page
            .items
            .iter()
            .map(|row| row.parse().map(|record: Record| record.seen(now)))
            .collect::<Result<_, _>>()?;
        Ok((records, page.next))
    }

    /// The passages of a collection, or of one document of it, in order.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn packs(
        &self,
        org: Id<Organisation>,
        collection: Id<CollectionKind>,
        document: Option<Id<CollectionDocument>>,
    ) -> Result<Vec<Pack>, AiError> {
        let mut query = Query::prefix(org, passages_of(collection, document));
        let mut packs = Vec::new();
        loop {
            let page = self.table.query(&query).await?;
            for row in &page.items {
                packs.push(row.parse()?);
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(packs);
            }
        }
    }

    /// The passages of a document that can be found, and of which revision they are.
    ///
    /// # Errors
    /// [`AiError::NotFound`] also as long as nothing can be found of it, a port's failure.
    pub async fn passages(
        &self,
        org: Id<Organisation>,
        collection: Id<CollectionKind>,
        id: Id<CollectionDocument>,
    ) -> Result<(u32, Vec<Passage>), AiError> {
        let held = self.document(org, collection, id).await?;
        let published = held.record.published.ok_or(AiError::NotFound)?;
        let packs = self.packs(org, collection, Some(id)).await?;
        let packed = packs.into_iter().flat_map(|pack| pack.passages);
        Ok((
            published.revision,
            packed.map(|packed| packed.passage).collect(),
        ))
    }

    /// Deletes a document: nothing of it is found from now on.
    ///
    /// # Errors
    /// [`AiError::NotFound`], a port's failure.
    pub async fn delete_document(
        &self,
        org: Id<Organisation>,
        collection: Id<CollectionKind>,
        id: Id<CollectionDocument>,
    ) -> Result<(), AiError> {
        for _ in 0..TRIES {
            let held = self.document(org, collection, id).await?;
            match self.table.write(deleting(org, &held)).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AiError::Busy)
    }

    /// What was sent as a revision, if it still waits.
    pub(crate) async fn input(
        &self,
        order: Order,
        inputs: u32,
    ) -> Result<Option<Vec<u8>>, AiError> {
        let mut base64 = String::new();
        for key in input_keys(order, inputs) {
            let Some(row) = self.table.get(&key).await? else {
                return Ok(None);
            };
            let part: Part = row.parse()?;
            base64.push_str(&part.base64);
        }
        Ok(BASE64.decode(base64.as_bytes()).ok())
    }
}

fn deleting(org: Id<Organisation>, held: &Held) -> Vec<Write> {
    let Held { row, record } = held;
    let order = record.order(org);
    let (rows, octets) = match &record.published {
        Some(published) => (published.rows, published.octets),
        None => (0, 0),
    };
    let mut count = counting(org, record.collection);
    count.add = vec![
        ("documents".into(), -1),
        ("octets".into(), -octets),
        ("edition".into(), 1),
    ];
    let mut parts = vec![
        Write::Delete(row.key.clone(), If::VersionIs(row.version)),
        Write::Count(count),
    ];
    let claim = claim_key(org, record.collection, &record.sha256);
    let inputs = input_keys(order, record.inputs);
    let passages = (0..rows).map(|row| passages_key(order, row));
    let keys = inputs.chain(passages).chain([claim]);
    parts.extend(keys.map(|key| Write::Delete(key, If::Always)));
    parts
}
