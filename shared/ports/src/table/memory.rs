//! A table in memory, as strict as the real one: what `DynamoDB` refuses is refused here too.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    Count, Counted, Cursor, Guard, If, Item, Key, Numbers, Page, Query, Table, Write, WriteError,
    check_parts, refused, size,
};
use crate::faults::{Ending, Faults};
use crate::{Port, PortError};

/// A table in memory.
#[derive(Debug)]
pub struct MemoryTable {
    faults: Faults,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Key, Item>,
    changes: Vec<Item>,
    taken: usize,
    conflicts: usize,
}

impl MemoryTable {
    /// An empty table.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self {
            faults: Faults::of(Port::Table),
            state: Mutex::default(),
        })
    }

    /// The failures that it is told to commit; each call of the port counts as one.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The next write finds another transaction under way on its rows.
    pub fn conflict_next_write(&self) {
        self.lock().conflicts += 1;
    }

    /// Every row as it was written, in order, since the table was made: what a stream of new images
    /// shows, deletions aside.
    pub fn changes(&self) -> Vec<Item> {
        self.lock().changes.clone()
    }

    /// The [changes](Self::changes) that were not taken before.
    pub fn take_changes(&self) -> Vec<Item> {
        let mut state = self.lock();
        let fresh = state.changes[state.taken..].to_vec();
        state.taken = state.changes.len();
        fresh
    }

    /// Every row that stands there now, in the order of its keys, for a test to look at.
    pub fn rows(&self) -> Vec<Item> {
        self.lock().rows.values().cloned().collect()
    }

    /// Counts the call, and lets other tasks run in between as a network call would.
    async fn enter(&self) -> Result<Ending, PortError> {
        tokio::task::yield_now().await;
        self.faults.enter()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Table for MemoryTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        let ending = self.enter().await?;
        key.check()?;
        let row = self.lock().rows.get(key).cloned();
        ending.answer(row)
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        let ending = self.enter().await?;
        query.check()?;
        let page = self.lock().page(query);
        ending.answer(page)
    }

    async fn write(&self, parts: Vec<Write>) -> Result<(), WriteError> {
        let ending = self.enter().await?;
        check_parts(&parts)?;
        self.lock().write(parts)?;
        Ok(ending.answer(())?)
    }

    async fn count(&self, count: Count) -> Result<Counted, PortError> {
        let ending = self.enter().await?;
        count.check()?;
        let counted = self.lock().count(count)?;
        ending.answer(counted)
    }
}

impl State {
    fn write(&mut self, parts: Vec<Write>) -> Result<(), WriteError> {
        if self.conflicts > 0 {
            self.conflicts -= 1;
            return Err(WriteError::Conflict);
        }
        let failed: Vec<usize> = parts
            .iter()
            .enumerate()
            .filter(|(_, part)| !self.holds(part))
            .map(|(index, _)| index)
            .collect();
        if !failed.is_empty() {
            return Err(WriteError::Condition(failed));
        }
        // What cannot be counted is found out before anything is written.
        for part in &parts {
            if let Write::Count(count) = part {
                self.counted(count)?;
            }
        }
        for part in parts {
            match part {
                Write::Put(item, _) => self.store(item),
                Write::Delete(key, _) => drop(self.rows.remove(&key)),
                Write::Check(..) => {}
                Write::Count(count) => drop(self.count(count)?),
            }
        }
        Ok(())
    }

    fn holds(&self, part: &Write) -> bool {
        let row = self.rows.get(part.key());
        let condition = match part {
            Write::Put(_, condition) | Write::Delete(_, condition) | Write::Check(_, condition) => {
                condition
            }
            Write::Count(count) => {
                let none = Map::new();
                let attributes = row.map_or(&none, |row| &row.attributes);
                return count.guards.iter().all(|guard| guard.holds(attributes));
            }
        };
        match condition {
            If::Always => true,
            If::Absent => row.is_none(),
            If::Present => row.is_some(),
            If::VersionIs(version) => row.is_some_and(|row| row.version == *version),
        }
    }

    fn store(&mut self, mut item: Item) {
        item.expires_at = item.expires_at.map(whole_seconds);
        item.attributes.values_mut().for_each(normalise);
        self.changes.push(item.clone());
        self.rows.insert(item.key.clone(), item);
    }

    fn page(&self, query: &Query) -> Page {
        let rows = if query.by_index {
            self.by_index(query)
        } else {
            self.by_key(query)
        };
        let ordered: Box<dyn Iterator<Item = &Item>> = if query.descending {
            Box::new(rows.into_iter().rev())
        } else {
            Box::new(rows.into_iter())
        };
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        let mut octets = 0;
        for row in ordered.filter(|row| comes_after(row, query)) {
            octets += size::of_row(row);
            page.items.push(row.clone());
            // Like the real one, a page that is exactly full has a successor even if that is empty.
            if page.items.len() == query.limit as usize || octets >= size::PAGE {
                page.next = Some(Cursor {
                    key: row.key.clone(),
                    index: row.index.clone().filter(|_| query.by_index),
                });
                break;
            }
        }
        page
    }

    fn by_key(&self, query: &Query) -> Vec<&Item> {
        let first = Key::new(&query.pk, &query.sk_prefix);
        self.rows
            .range((Bound::Included(first), Bound::Unbounded))
            .map(|(_, row)| row)
            .take_while(|row| row.key.pk == query.pk && row.key.sk.starts_with(&query.sk_prefix))
            .collect()
    }

    fn by_index(&self, query: &Query) -> Vec<&Item> {
        let here = |key: &Key| key.pk == query.pk && key.sk.starts_with(&query.sk_prefix);
        let mut rows: Vec<&Item> = self
            .rows
            .values()
            .filter(|row| row.index.as_ref().is_some_and(here))
            .collect();
        rows.sort_by_key(|row| (&row.index, &row.key));
        rows
    }

    fn counted(&self, count: &Count) -> Result<Map<String, Value>, PortError> {
        let none = Map::new();
        let row = self.rows.get(&count.key);
        counted(row.map_or(&none, |row| &row.attributes), count)
    }

    fn count(&mut self, count: Count) -> Result<Counted, PortError> {
        let row = self.rows.get(&count.key);
        let none = Map::new();
        let attributes = row.map_or(&none, |row| &row.attributes);
        if !count.guards.iter().all(|guard| guard.holds(attributes)) {
            return Ok(Counted::Refused(numbers(attributes)));
        }
        let changed = self.counted(&count)?;
        let item = Item {
            index: row.and_then(|row| row.index.clone()),
            version: row.map_or(0, |row| row.version),
            expires_at: count.expires_at.or(row.and_then(|row| row.expires_at)),
            key: count.key,
            attributes: changed,
        };
        let after = numbers(&item.attributes);
        self.store(item);
        Ok(Counted::Done(after))
    }
}

impl Guard {
    fn holds(&self, attributes: &Map<String, Value>) -> bool {
        match self {
            Self::AtMost(name, most) => attributes
                .get(name)
                .is_none_or(|value| value.as_i64().is_some_and(|number| number <= *most)),
            Self::Is(name, number) => attributes.get(name).and_then(Value::as_i64) == Some(*number),
            Self::Absent(name) => !attributes.contains_key(name),
        }
    }
}

fn comes_after(row: &Item, query: &Query) -> bool {
    let Some(cursor) = &query.after else {
        return true;
    };
    let place = (row.index.as_ref().filter(|_| query.by_index), &row.key);
    let ended = (
        cursor.index.as_ref().filter(|_| query.by_index),
        &cursor.key,
    );
    if query.descending {
        place < ended
    } else {
        place > ended
    }
}

fn counted(
    attributes: &Map<String, Value>,
    count: &Count,
) -> Result<Map<String, Value>, PortError> {
    let mut changed = attributes.clone();
    for (name, by) in &count.add {
        let before = changed.get(name).map_or(Some(0), Value::as_i64);
        let after = before.and_then(|before| before.checked_add(*by));
        changed.insert(
            name.clone(),
            after
                .ok_or_else(|| refused(format!("{name} is no number to add to")))?
                .into(),
        );
    }
    for (name, number) in &count.set {
        changed.insert(name.clone(), (*number).into());
    }
    for name in &count.remove {
        changed.remove(name);
    }
    Ok(changed)
}

fn numbers(attributes: &Map<String, Value>) -> Numbers {
    attributes
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.as_i64()?)))
        .collect()
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Numbers as they come back: the store keeps decimals, for which 2.0 is 2.
fn normalise(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number
                .as_f64()
                .filter(|_| number.is_f64())
                .and_then(whole_number)
            {
                *number = whole.into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(normalise),
        Value::Object(fields) => fields.values_mut().for_each(normalise),
        _ => {}
    }
}

/// The integer that a float stands for, where floats still tell integers apart.
#[expect(
    clippy::cast_possible_truncation,
    reason = "within 2^53 the cast is exact"
)]
fn whole_number(float: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (float.fract() == 0.0 && float.abs() < EXACT).then_some(float as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;
    use serde_json::json;

    fn row(sk: &str) -> Item {
        Item::new(Key::new("org_1", sk), &json!({"name": sk}))
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_rows_written() {
        let table = MemoryTable::shared();
        table.faults().fail_next(Fault::After);

        let answer = table.write(vec![Write::Put(row("a"), If::Absent)]).await;

        assert!(matches!(
            answer,
            Err(WriteError::Port(PortError::Unavailable { .. }))
        ));
        assert_eq!(table.rows(), vec![row("a")]);
        assert_eq!(table.faults().calls(), 1);
    }

    #[tokio::test]
    async fn a_conflict_writes_nothing_and_passes() {
        let table = MemoryTable::shared();
        table.conflict_next_write();
        let parts = vec![Write::Put(row("a"), If::Absent)];

        assert_eq!(table.write(parts.clone()).await, Err(WriteError::Conflict));
        assert_eq!(table.write(parts).await, Ok(()));
    }

    #[tokio::test]
    async fn changes_come_in_the_order_of_the_writes_and_are_taken_once() {
        let table = MemoryTable::shared();
        let parts = |sk| vec![Write::Put(row(sk), If::Always)];
        table.write(parts("b")).await.unwrap();
        table.write(parts("a")).await.unwrap();

        assert_eq!(table.take_changes(), vec![row("b"), row("a")]);
        assert_eq!(table.take_changes(), vec![]);
        assert_eq!(table.changes().len(), 2);
    }
}
