//! Counters that many processes move at once.

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;

use super::{get, put, row};
use crate::contract::assert_refused;
use crate::table::{Count, Counted, Guard, If, Item, Key, Table, Write, WriteError};

pub(super) async fn a_limit_is_never_passed(table: &dyn Table) {
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

pub(super) async fn a_count_happens_with_its_transaction_or_not_at_all(table: &dyn Table) {
    let key = Key::new("usr_both", "total");
    let take = Count {
        guards: vec![Guard::AtMost("taken".into(), 1)],
        add: vec![("taken".into(), 1)],
        ..nothing(&key)
    };
    let both = |sk: &str| {
        vec![
            Write::Put(row("usr_both", sk), If::Absent),
            Write::Count(take.clone()),
        ]
    };
    let taken = async || {
        get(table, &key)
            .await
            .map(|row| row.attributes["taken"].clone())
    };

    assert_eq!(table.write(both("a")).await, Ok(()));
    assert_eq!(
        table.write(both("a")).await,
        Err(WriteError::Condition(vec![0])),
        "the row stands there already"
    );
    assert_eq!(taken().await, Some(json!(1)));
    assert_eq!(table.write(both("b")).await, Ok(()));
    assert_eq!(
        table.write(both("c")).await,
        Err(WriteError::Condition(vec![1])),
        "the guard does not hold"
    );
    assert_eq!(get(table, &Key::new("usr_both", "c")).await, None);
    assert_eq!(taken().await, Some(json!(2)));
    assert_eq!(table.write(vec![Write::Count(nothing(&key))]).await, Ok(()));
}

pub(super) async fn guards_and_changes_of_a_count(table: &dyn Table) {
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

pub(super) async fn a_count_leaves_the_rest_of_a_row_alone(table: &dyn Table) {
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
