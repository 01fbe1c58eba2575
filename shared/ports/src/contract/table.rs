//! What every table must do.

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::assert_refused;
use crate::table::{Count, Counted, Guard, If, Item, Key, Query, Table, Write, WriteError, size};

/// Runs every check on an empty table.
pub async fn holds_for(table: &dyn Table) {
    a_row_comes_back_as_it_was_written(table).await;
    conditions_decide(table).await;
    a_transaction_happens_whole_or_not_at_all(table).await;
    a_hundred_parts_are_one_transaction(table).await;
    malformed_transactions_are_refused(table).await;
    a_row_that_is_too_large_is_refused(table).await;
    one_of_many_writers_of_a_version_wins(table).await;
    a_limit_is_never_passed(table).await;
    guards_and_changes_of_a_count(table).await;
    a_count_leaves_the_rest_of_a_row_alone(table).await;
    pages_come_to_an_end_in_either_order(table).await;
    a_prefix_has_exact_bounds(table).await;
    the_index_finds_rows_of_many_partitions(table).await;
    a_foreign_cursor_is_refused(table).await;
}

async fn a_row_comes_back_as_it_was_written(table: &dyn Table) {
    let record = json!({
        "empty": "", "text": "Ñandú 🦤 \u{0}\n", "yes": true, "nothing": null, "list": [], "fields": {},
        "whole": -7, "large": 9_007_199_254_740_993_i64, "largest": u64::MAX, "part": 0.25,
        "deep": {"lines": [{"price": {"amount": 1999, "currency": "EUR"}}, [null, "a"]]},
    });
    let at: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a moment");
    let row = Item::new(Key::new("org_row", "doc#ñ/1"), &record)
        .indexed("org_row", "by#1")
        .expiring(at);

    assert_eq!(get(table, &row.key).await, None);
    put(table, row.clone(), If::Absent)
        .await
        .expect("a first write");
    assert_eq!(get(table, &row.key).await, Some(row.clone()));

    // Decimals have no 2.0 beside 2, and times are kept to the second.
    let odd = Item::new(row.key.clone(), &json!({"n": 2.0}))
        .expiring("2026-01-02T03:04:05.9Z".parse().expect("a moment"));
    put(table, odd.clone(), If::Always)
        .await
        .expect("an overwrite");
    let kept = get(table, &row.key).await.expect("the row");
    assert_eq!(
        (kept.attributes.get("n"), kept.index, kept.expires_at),
        (Some(&json!(2)), None, Some(at))
    );
}

async fn conditions_decide(table: &dyn Table) {
    let first = row("org_conditions", "a");
    let second = first.next(&json!({"name": "second"}));
    let refused = Err(WriteError::Condition(vec![0]));

    for condition in [If::Present, If::VersionIs(1)] {
        assert_eq!(
            put(table, first.clone(), condition.clone()).await,
            refused,
            "{condition:?} of no row"
        );
    }
    assert_eq!(put(table, first.clone(), If::Absent).await, Ok(()));
    assert_eq!(
        put(table, first.clone(), If::Absent).await,
        refused,
        "a second first write"
    );
    assert_eq!(
        put(table, second.clone(), If::VersionIs(2)).await,
        refused,
        "a version ahead"
    );
    assert_eq!(put(table, second.clone(), If::VersionIs(1)).await, Ok(()));
    assert_eq!(
        put(table, second.clone(), If::VersionIs(1)).await,
        refused,
        "a version behind"
    );
    assert_eq!(get(table, &first.key).await, Some(second.clone()));

    let delete = async |condition| {
        table
            .write(vec![Write::Delete(first.key.clone(), condition)])
            .await
    };
    assert_eq!(
        delete(If::VersionIs(1)).await,
        refused,
        "deleting another version"
    );
    assert_eq!(delete(If::VersionIs(2)).await, Ok(()));
    assert_eq!(delete(If::Present).await, refused, "deleting what is gone");
    assert_eq!(delete(If::Always).await, Ok(()));
    assert_eq!(get(table, &first.key).await, None);
}

async fn a_transaction_happens_whole_or_not_at_all(table: &dyn Table) {
    let [old, new, other] = ["old", "new", "other"].map(|sk| row("org_whole", sk));
    put(table, old.clone(), If::Absent)
        .await
        .expect("a first write");

    let failing = vec![
        Write::Put(new.clone(), If::Absent),
        Write::Put(old.clone(), If::Absent),
        Write::Delete(other.key.clone(), If::Always),
        Write::Check(Key::new("org_whole", "absent"), If::Present),
    ];
    assert_eq!(
        table.write(failing).await,
        Err(WriteError::Condition(vec![1, 3]))
    );
    assert_eq!(get(table, &new.key).await, None);

    let passing = vec![
        Write::Put(new.clone(), If::Absent),
        Write::Delete(old.key.clone(), If::VersionIs(1)),
        Write::Check(Key::new("org_whole", "absent"), If::Absent),
        Write::Check(Key::new("org_whole", "whatever"), If::Always),
    ];
    assert_eq!(table.write(passing).await, Ok(()));
    assert_eq!(get(table, &new.key).await, Some(new));
    assert_eq!(get(table, &old.key).await, None);
}

async fn a_hundred_parts_are_one_transaction(table: &dyn Table) {
    let parts = |count: usize| {
        (0..count)
            .map(|n| Write::Put(row("org_hundred", &format!("{n:03}")), If::Absent))
            .collect()
    };

    assert_refused(table.write(parts(101)).await, "a transaction of 101 parts");
    assert_eq!(all(table, Query::prefix("org_hundred", "")).await.len(), 0);
    assert_eq!(table.write(parts(100)).await, Ok(()));
    assert_eq!(
        all(table, Query::prefix("org_hundred", "")).await.len(),
        100
    );
}

async fn malformed_transactions_are_refused(table: &dyn Table) {
    let a = row("org_malformed", "a");
    let twice = vec![
        Write::Put(a.clone(), If::Always),
        Write::Delete(a.key.clone(), If::Always),
    ];
    let taken = Item::new(a.key.clone(), &json!({"version": 9}));

    assert_refused(table.write(vec![]).await, "a transaction of nothing");
    assert_refused(table.write(twice).await, "one row twice in a transaction");
    assert_refused(
        put(table, row("", "a"), If::Always).await,
        "an empty partition key",
    );
    assert_refused(
        put(table, row("org_malformed", ""), If::Absent).await,
        "an empty sort key",
    );
    assert_refused(
        put(table, a.clone().indexed("org_malformed", ""), If::Absent).await,
        "an empty index key",
    );
    assert_refused(
        put(table, taken, If::Always).await,
        "an attribute named like a column",
    );
    assert_eq!(get(table, &a.key).await, None);
}

async fn a_row_that_is_too_large_is_refused(table: &dyn Table) {
    let of_size = |octets: usize| {
        Item::new(
            Key::new("org_large", "a"),
            &json!({"text": "x".repeat(octets)}),
        )
    };

    for condition in [If::Always, If::Absent] {
        assert_refused(
            put(table, of_size(size::ROW), condition).await,
            "a row of more than 400 KB",
        );
    }
    assert_eq!(get(table, &Key::new("org_large", "a")).await, None);
    assert_eq!(
        put(table, of_size(size::ROW - 100), If::Absent).await,
        Ok(())
    );
}

async fn one_of_many_writers_of_a_version_wins(table: &dyn Table) {
    let first = row("org_race", "a");
    put(table, first.clone(), If::Absent)
        .await
        .expect("a first write");

    let writers = (0..20).map(|n| put(table, first.next(&json!({"writer": n})), If::VersionIs(1)));
    let answers = join_all(writers).await;

    let winners: Vec<usize> = (0..20).filter(|n| answers[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    let row = get(table, &first.key).await.expect("the row");
    assert_eq!(
        (row.version, &row.attributes["writer"]),
        (2, &json!(winners[0]))
    );
    let lost = |answer: &Result<(), WriteError>| {
        matches!(
            answer,
            Ok(()) | Err(WriteError::Condition(_) | WriteError::Conflict)
        )
    };
    assert!(answers.iter().all(lost), "{answers:?}");
}

async fn a_limit_is_never_passed(table: &dyn Table) {
    let key = Key::new("usr_limit", "window");
    let take = Count {
        guards: vec![Guard::AtMost("taken".into(), 24)],
        add: vec![("taken".into(), 1)],
        ..nothing(&key)
    };

    let answers = join_all((0..40).map(|_| table.count(take.clone()))).await;

    let mut granted: Vec<i64> = answers
        .into_iter()
        .filter_map(|answer| match answer.expect("a count") {
            Counted::Done(numbers) => Some(numbers["taken"]),
            Counted::Refused(numbers) => {
                assert_eq!(numbers["taken"], 25);
                None
            }
        })
        .collect();
    granted.sort_unstable();
    assert_eq!(granted, (1..=25).collect::<Vec<_>>());
}

async fn guards_and_changes_of_a_count(table: &dyn Table) {
    let key = Key::new("usr_guards", "window");
    let numbers = |pairs: &[(&str, i64)]| {
        pairs
            .iter()
            .map(|(name, number)| ((*name).to_owned(), *number))
            .collect()
    };
    let at: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a moment");
    let start = Count {
        guards: vec![Guard::Absent("start".into())],
        add: vec![("used".into(), 2)],
        set: vec![("start".into(), 100)],
        expires_at: Some(at),
        ..nothing(&key)
    };
    let turn = Count {
        guards: vec![
            Guard::Is("start".into(), 100),
            Guard::AtMost("used".into(), 2),
        ],
        add: vec![("used".into(), -1), ("turns".into(), 1)],
        remove: vec!["start".into(), "never".into()],
        ..nothing(&key)
    };

    assert_eq!(
        table.count(start.clone()).await,
        Ok(Counted::Done(numbers(&[("start", 100), ("used", 2)])))
    );
    assert_eq!(
        table.count(start).await,
        Ok(Counted::Refused(numbers(&[("start", 100), ("used", 2)])))
    );
    assert_eq!(
        table.count(turn.clone()).await,
        Ok(Counted::Done(numbers(&[("turns", 1), ("used", 1)])))
    );
    assert_eq!(
        table.count(turn).await,
        Ok(Counted::Refused(numbers(&[("turns", 1), ("used", 1)])))
    );
    assert_eq!(
        get(table, &key).await.expect("the row").expires_at,
        Some(at)
    );

    let guarded = Count {
        guards: vec![Guard::Is("start".into(), 1)],
        ..nothing(&Key::new("usr_guards", "none"))
    };
    assert_eq!(
        table.count(guarded).await,
        Ok(Counted::Refused(numbers(&[]))),
        "a guard on no row"
    );
    let twice = Count {
        add: vec![("n".into(), 1)],
        set: vec![("n".into(), 1)],
        ..nothing(&key)
    };
    assert_refused(table.count(twice).await, "a number changed twice");
    let taken = Count {
        add: vec![("version".into(), 1)],
        ..nothing(&key)
    };
    assert_refused(table.count(taken).await, "a number named like a column");
}

async fn a_count_leaves_the_rest_of_a_row_alone(table: &dyn Table) {
    let before = Item::new(
        Key::new("org_beside", "a"),
        &json!({"name": "a", "used": 1}),
    )
    .indexed("org_beside", "i");
    put(table, before.clone(), If::Absent)
        .await
        .expect("a first write");

    let counted = table
        .count(Count {
            add: vec![("used".into(), 1)],
            ..nothing(&before.key)
        })
        .await;
    assert_eq!(counted, Ok(Counted::Done([("used".to_owned(), 2)].into())));
    let after = get(table, &before.key).await.expect("the row");
    assert_eq!(
        after.attributes,
        *json!({"name": "a", "used": 2}).as_object().expect("fields")
    );
    assert_eq!((after.version, after.index), (1, before.index));

    let words = Count {
        add: vec![("name".into(), 1)],
        ..nothing(&before.key)
    };
    assert_refused(table.count(words).await, "adding to a text");
}

async fn pages_come_to_an_end_in_either_order(table: &dyn Table) {
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

async fn a_prefix_has_exact_bounds(table: &dyn Table) {
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

async fn the_index_finds_rows_of_many_partitions(table: &dyn Table) {
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

async fn a_foreign_cursor_is_refused(table: &dyn Table) {
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

fn row(pk: &str, sk: &str) -> Item {
    Item::new(Key::new(pk, sk), &json!({"name": Value::from(sk)}))
}

fn nothing(key: &Key) -> Count {
    Count {
        key: key.clone(),
        guards: vec![],
        add: vec![],
        set: vec![],
        remove: vec![],
        expires_at: None,
    }
}

fn sort_keys(rows: &[Item]) -> Vec<String> {
    rows.iter().map(|row| row.key.sk.clone()).collect()
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
