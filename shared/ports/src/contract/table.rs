//! What every table must do.

mod counts;
mod pages;
mod writes;

use serde_json::{Value, json};

use crate::table::{If, Item, Key, Query, Table, Write, WriteError};

/// Runs every check on an empty table.
pub async fn holds_for(table: &dyn Table) {
    writes::a_row_comes_back_as_it_was_written(table).await;
    writes::conditions_decide(table).await;
    writes::a_transaction_happens_whole_or_not_at_all(table).await;
    writes::a_hundred_parts_are_one_transaction(table).await;
    writes::malformed_transactions_are_refused(table).await;
    writes::a_row_that_is_too_large_is_refused(table).await;
    writes::one_of_many_writers_of_a_version_wins(table).await;
    counts::a_limit_is_never_passed(table).await;
    counts::a_count_happens_with_its_transaction_or_not_at_all(table).await;
    counts::guards_and_changes_of_a_count(table).await;
    counts::a_count_leaves_the_rest_of_a_row_alone(table).await;
    pages::pages_come_to_an_end_in_either_order(table).await;
    pages::a_prefix_has_exact_bounds(table).await;
    pages::the_index_finds_rows_of_many_partitions(table).await;
    pages::a_foreign_cursor_is_refused(table).await;
}

fn row(pk: &str, sk: &str) -> Item {
    Item::new(Key::new(pk, sk), &json!({"name": Value::from(sk)}))
}

async fn get(table: &dyn Table, key: &Key) -> Option<Item> {
    table.get(key).await.expect("a read")
}

async fn put(table: &dyn Table, item: Item, condition: If) -> Result<(), WriteError> {
    table.write(vec![Write::Put(item, condition)]).await
}

/// Every row of a query, page by page.
async fn all(table: &dyn Table, mut query: Query) -> Vec<Item> {
    let mut rows = Vec::new();
    loop {
        let page = table.query(&query).await.expect("a page");
        assert!(
            page.items.len() <= query.limit as usize,
            "a page of {} rows",
            page.items.len()
        );
        rows.extend(page.items);
        let Some(next) = page.next else { return rows };
        query.after = Some(next);
    }
}
