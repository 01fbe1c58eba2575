//! Lists of rows, page by page.

use super::{all, put, row};
use crate::contract::assert_refused;
use crate::table::{If, Item, Query, Table, Write};

pub(super) async fn pages_come_to_an_end_in_either_order(table: &dyn Table) {
    let names: Vec<String> = (0..25).map(|n| format!("doc#{n:02}")).collect();
    let parts = names
        .iter()
        .map(|sk| Write::Put(row("org_pages", sk), If::Absent))
        .collect();
    table.write(parts).await.expect("the rows");
    put(table, row("org_pages", "other"), If::Absent)
        .await
        .expect("a row");

    let query = Query {
        limit: 7,
        ..Query::prefix("org_pages", "doc#")
    };
    let reversed = names.iter().rev().cloned().collect::<Vec<_>>();

    assert_eq!(sort_keys(&all(table, query.clone()).await), names);
    assert_eq!(
        sort_keys(
            &all(
                table,
                Query {
                    descending: true,
                    ..query.clone()
                }
            )
            .await
        ),
        reversed
    );
    let page = table.query(&query).await.expect("a page");
    assert_eq!((page.items.len(), page.next.is_some()), (7, true));
    assert_refused(
        table.query(&Query { limit: 0, ..query }).await,
        "a page of no rows",
    );
}

pub(super) async fn a_prefix_has_exact_bounds(table: &dyn Table) {
    for (pk, sk) in [
        ("org_prefix", "doc"),
        ("org_prefix", "doc#1"),
        ("org_prefix", "doc#ñ"),
        ("org_prefix", "doc$"),
        ("org_prefix", "Doc#1"),
        ("org_prefiy", "doc#1"),
        ("org_prefi", "doc#1"),
    ] {
        put(table, row(pk, sk), If::Absent).await.expect("a row");
    }
    let found =
        async |prefix: &str| sort_keys(&all(table, Query::prefix("org_prefix", prefix)).await);

    assert_eq!(found("doc#").await, ["doc#1", "doc#ñ"]);
    assert_eq!(found("").await, ["Doc#1", "doc", "doc#1", "doc#ñ", "doc$"]);
    assert_eq!(found("doc#1#").await, Vec::<String>::new());
}

pub(super) async fn the_index_finds_rows_of_many_partitions(table: &dyn Table) {
    for n in 0..9 {
        let place =
            row(&format!("usr_index{n}"), "member").indexed("org_index", format!("role#{}", 9 - n));
        put(table, place, If::Absent).await.expect("a row");
    }
    put(table, row("usr_index0", "profile"), If::Absent)
        .await
        .expect("a row that is not indexed");
    let query = Query {
        by_index: true,
        limit: 2,
        ..Query::prefix("org_index", "role#")
    };
    let people = |rows: &[Item]| {
        rows.iter()
            .map(|row| row.key.pk.clone())
            .collect::<Vec<_>>()
    };
    let expected: Vec<String> = (0..9).rev().map(|n| format!("usr_index{n}")).collect();

    assert_eq!(people(&all(table, query.clone()).await), expected);
    let last = table
        .query(&Query {
            descending: true,
            limit: 1,
            ..query.clone()
        })
        .await
        .expect("a page");
    assert_eq!(people(&last.items), ["usr_index0"]);

    put(table, row("usr_index0", "member"), If::Always)
        .await
        .expect("an overwrite without an index key");
    assert_eq!(all(table, query).await.len(), 8);
}

pub(super) async fn a_foreign_cursor_is_refused(table: &dyn Table) {
    for pk in ["org_mine", "org_theirs"] {
        for sk in ["doc#1", "doc#2"] {
            put(table, row(pk, sk).indexed(pk, sk), If::Absent)
                .await
                .expect("a row");
        }
    }
    for by_index in [false, true] {
        let theirs = Query {
            limit: 1,
            by_index,
            ..Query::prefix("org_theirs", "doc#")
        };
        let cursor = table.query(&theirs).await.expect("a page").next;
        assert!(cursor.is_some());
        let mine = Query {
            after: cursor,
            by_index,
            ..Query::prefix("org_mine", "doc#")
        };
        assert_refused(table.query(&mine).await, "a cursor of another partition");
    }
}

fn sort_keys(rows: &[Item]) -> Vec<String> {
    rows.iter().map(|row| row.key.sk.clone()).collect()
}
