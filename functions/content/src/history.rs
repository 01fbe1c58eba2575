//! What was made: to be found, edited, judged and deleted.

use domain::id::{Content as ContentKind, Organisation};
use domain::{Caller, Id, Text};
use ports::PortError;
use ports::table::{Cursor, If, Item, Key, Query, Write, WriteError};
use serde_json::Value;

use crate::record::{
    CONTENTS, Edition, Feedback, Held, Record, Status, edition_key, editions, feedbacks, key,
    request_key,
};
use crate::{Content, ContentError};

/// A text has at most that many editions.
pub const MOST_EDITIONS: u32 = 100;

/// What an edit puts in the place of what was there.
#[derive(Clone, Debug, PartialEq)]
pub enum Edited {
    /// A text.
    Text(String),
    /// An object.
    Data(Value),
}

impl Content {
    /// A text of the organisation.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn find(
        &self,
        org: Id<Organisation>,
        id: Id<ContentKind>,
    ) -> Result<Option<Held>, PortError> {
        let Some(row) = self.table.get(&key(org, id)).await? else {
            return Ok(None);
        };
        let record = row.parse()?;
        Ok(Some(Held { row, record }))
    }

    /// The organisation's texts, the newest first.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn list(
        &self,
        caller: &Caller,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<Record>, Option<Cursor>), ContentError> {
        self.listed(Query {
            descending: true,
            limit,
            after,
            ..Query::prefix(caller.organisation, CONTENTS)
        })
        .await
    }

    /// Replaces the text or the object by an edited one; what was there stays as an edition.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], [`ContentError::NotNow`] while it is being made,
    /// [`ContentError::Invalid`] if the other of the two was made or there are too many editions,
    /// [`ContentError::VersionMismatch`] if `check` does not accept the row's version or somebody was
    /// faster.
    pub async fn edit(
        &self,
        caller: &Caller,
        id: Id<ContentKind>,
        check: impl Fn(u64) -> bool,
        edited: Edited,
    ) -> Result<Held, ContentError> {
        let org = caller.organisation;
        let held = self.find(org, id).await?.ok_or(ContentError::NotFound)?;
        if held.record.status == Status::Running {
            return Err(ContentError::NotNow(held.record.status));
        }
        if !check(held.version()) {
            return Err(ContentError::VersionMismatch);
        }
        let next = edition_after(&held.record, edited)?;
        let now = self.clock.now();
        let before = Edition {
            edition: held.record.edition,
            text: held.record.text.clone(),
            data: held.record.data.clone(),
            edited_by: None,
            at: held.record.finished_at.unwrap_or(now),
        };
        let after = Edition {
            edition: next.edition,
            text: next.text.clone(),
            data: next.data.clone(),
            edited_by: Some(caller.user),
            at: now,
        };
        let row = held.row.next(&next);
        let put = |edition: &Edition, condition| {
            let at = edition_key(org, id, edition.edition);
            Write::Put(Item::new(at, edition), condition)
        };
        let mut parts = vec![
            Write::Put(row.clone(), If::VersionIs(held.version())),
            put(&after, If::Absent),
        ];
        // The model's own edition gets a row of its own when there is a second one to tell it from.
        if before.edition == 1 {
            parts.push(put(&before, If::Always));
        }
        match self.table.write(parts).await {
            Ok(()) => Ok(Held { row, record: next }),
            Err(WriteError::Condition(_) | WriteError::Conflict) => {
                Err(ContentError::VersionMismatch)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The editions of a text, the newest first.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], a port's failure.
    pub async fn editions(
        &self,
        caller: &Caller,
        id: Id<ContentKind>,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<Edition>, Option<Cursor>), ContentError> {
        let org = caller.organisation;
        let held = self.find(org, id).await?.ok_or(ContentError::NotFound)?;
        if held.record.edition == 1 {
            let only = Edition {
                edition: 1,
                text: held.record.text,
                data: held.record.data,
                edited_by: None,
                at: held.record.finished_at.unwrap_or(held.record.created_at),
            };
            return Ok((vec![only], None));
        }
        self.listed(Query {
            descending: true,
            limit,
            after,
            ..Query::prefix(org, editions(id))
        })
        .await
    }

    /// Keeps what the caller thinks of a text; a second opinion replaces the first.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], [`ContentError::NotNow`] while it is being made, a port's failure.
    pub async fn judge(
        &self,
        caller: &Caller,
        id: Id<ContentKind>,
        rating: u8,
        comment: Option<String>,
    ) -> Result<Feedback, ContentError> {
        let org = caller.organisation;
        let held = self.find(org, id).await?.ok_or(ContentError::NotFound)?;
        if held.record.status == Status::Running {
            return Err(ContentError::NotNow(held.record.status));
        }
        let feedback = Feedback {
            user: caller.user,
            edition: held.record.edition,
            rating,
            comment,
            at: self.clock.now(),
        };
        let at = Key::new(org, format!("{}{}", feedbacks(id), caller.user));
        let parts = vec![
            Write::Put(Item::new(at, &feedback), If::Always),
            // Not for a text that is being deleted.
            Write::Check(key(org, id), If::Present),
        ];
        match self.table.write(parts).await {
            Ok(()) => Ok(feedback),
            Err(WriteError::Condition(_)) => Err(ContentError::NotFound),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a text with its editions and what people thought of it. The text's own row goes last: if
    /// this is cut, a repeat finds it and goes on.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], [`ContentError::NotNow`] while it is being made (cancel it first), a
    /// port's failure.
    pub async fn delete(&self, caller: &Caller, id: Id<ContentKind>) -> Result<(), ContentError> {
        let org = caller.organisation;
        let held = self.find(org, id).await?.ok_or(ContentError::NotFound)?;
        if held.record.status == Status::Running && !held.record.is_lost(self.clock.now()) {
            return Err(ContentError::NotNow(held.record.status));
        }
        for prefix in [editions(id), feedbacks(id)] {
            self.delete_all(org, &prefix).await?;
        }
        let parts = vec![
            Write::Delete(key(org, id), If::Present),
            Write::Delete(request_key(org, id), If::Always),
        ];
        match self.table.write(parts).await {
            Ok(()) => Ok(()),
            Err(WriteError::Condition(_)) => Err(ContentError::NotFound),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete_all(&self, org: Id<Organisation>, prefix: &str) -> Result<(), ContentError> {
        loop {
            let page = self.table.query(&Query::prefix(org, prefix)).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            let parts = page
                .items
                .into_iter()
                .map(|row| Write::Delete(row.key, If::Always));
            self.table.write(parts.collect()).await?;
        }
    }
}

fn edition_after(record: &Record, edited: Edited) -> Result<Record, ContentError> {
    let next = record.edition + 1;
    if next > MOST_EDITIONS {
        return Err(ContentError::invalid(
            "",
            Text::with(
                format!("Un texto tiene como máximo {MOST_EDITIONS} ediciones"),
                format!("A text has at most {MOST_EDITIONS} editions"),
            ),
        ));
    }
    match edited {
        Edited::Text(text) if record.data.is_none() => Ok(Record {
            text: Some(text),
            edition: next,
            ..record.clone()
        }),
        Edited::Data(data) if record.data.is_some() => Ok(Record {
            data: Some(data),
            edition: next,
            ..record.clone()
        }),
        Edited::Text(_) => Err(ContentError::invalid(
            "/text",
            Text::fixed(
                "Este contenido es un objeto; edita data",
                "This content is an object; edit data",
            ),
        )),
        Edited::Data(_) => Err(ContentError::invalid(
            "/data",
            Text::fixed(
                "Este contenido es un texto; edita text",
                "This content is a text; edit text",
            ),
        )),
    }
}
