//! Rows and the transactions that write them.

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;

use super::{all, get, put, row};
use crate::contract::assert_refused;
use crate::table::{If, Item, Key, Query, Table, Write, WriteError, size};

pub(super) async fn a_row_comes_back_as_it_was_written(table: &dyn Table) {
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

pub(super) async fn conditions_decide(table: &dyn Table) {
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

pub(super) async fn a_transaction_happens_whole_or_not_at_all(table: &dyn Table) {
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

pub(super) async fn a_hundred_parts_are_one_transaction(table: &dyn Table) {
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

pub(super) async fn malformed_transactions_are_refused(table: &dyn Table) {
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

pub(super) async fn a_row_that_is_too_large_is_refused(table: &dyn Table) {
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

pub(super) async fn one_of_many_writers_of_a_version_wins(table: &dyn Table) {
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
