//! Room: never more than there is, and never lost.

use std::sync::Arc;
use std::time::Duration;

use files::scan::Signatures;
use futures::future::join_all;
use ports::faults::Fault;
use serde_json::json;

use crate::{Function, agreement, owner};

fn small(quota: u64) -> Function {
    Function::with(quota, Arc::new(Signatures::default()))
}

#[tokio::test]
async fn fifty_uploads_at_once_never_pass_the_quota() {
    let function = small(1000);
    let body = agreement("a", "text/plain", &[b'a'; 30]);

    let caller = owner();

    let requests = (0..50).map(|_| function.send(&caller, "POST", "/v1/files/uploads", &body));
    let answers = join_all(requests).await;

    let begun = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(begun, 33);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_deref()),
            (409, Some("quota_exceeded"))
        );
        assert!(
            answer.json()["detail"]
                .as_str()
                .unwrap()
                .contains("10 are left")
        );
    }
    assert_eq!(function.usage(&owner()).await["reserved"], 33 * 30);
    function.assert_consistent(&owner(), "after fifty at once");
}

#[tokio::test]
async fn fifty_arrivals_at_once_are_counted_once_each() {
    let function = small(10_000);
    let mut started = Vec::new();
    for n in 0..50 {
        let octets = format!("the file number {n:04}").into_bytes();
        let upload = function.start(&owner(), "text/plain", &octets).await;
        assert_eq!(function.put(&upload["upload"], &octets), 200);
        started.push(upload["id"].as_str().unwrap().to_owned());
    }

    // Each notice twice, all of them at the same time.
    let caller = owner();
    join_all(
        started
            .iter()
            .chain(&started)
            .map(|id| function.notify(&caller, id)),
    )
    .await;

    let usage = function.usage(&owner()).await;
    assert_eq!(
        (&usage["files"], &usage["reserved"]),
        (&json!(50), &json!(0))
    );
    assert_eq!(function.announced("files.uploaded"), 50);
    assert_eq!(function.announced("files.scanned"), 50);
    function.assert_consistent(&owner(), "after fifty arrivals");
}

#[tokio::test]
async fn a_file_larger_than_the_whole_quota_is_refused_before_anything_is_written() {
    let function = small(10);

    let body = agreement("a", "text/plain", b"eleven octs");
    let answer = function
        .send(&owner(), "POST", "/v1/files/uploads", &body)
        .await;

    assert_eq!(answer.code().as_deref(), Some("quota_exceeded"));
    function.assert_consistent(&owner(), "after a refusal");
    assert!(function.table.rows().is_empty());
}

#[tokio::test]
async fn room_that_nobody_used_in_time_is_there_for_the_next() {
    let function = small(10);
    let late = function.start(&owner(), "text/plain", b"12345678").await;
    let body = agreement("a", "text/plain", b"87654321");
    let full = function
        .send(&owner(), "POST", "/v1/files/uploads", &body)
        .await;
    assert_eq!(full.code().as_deref(), Some("quota_exceeded"));

    function.clock.advance(Duration::from_hours(1));
    let next = function
        .send(&owner(), "POST", "/v1/files/uploads", &body)
        .await;

    assert_eq!(next.status, 201, "{}", next.json());
    let id = late["id"].as_str().unwrap();
    assert_eq!(function.status(&owner(), id).await, "none");
    function.assert_consistent(&owner(), "after the sweep");
}

#[tokio::test]
async fn what_arrived_in_time_is_kept_though_its_notice_is_late() {
    let function = small(100);
    let started = function.start(&owner(), "text/plain", b"in time").await;
    let id = started["id"].as_str().unwrap();
    assert_eq!(function.put(&started["upload"], b"in time"), 200);

    function.clock.advance(Duration::from_hours(2));
    let usage = function.usage(&owner()).await;

    assert_eq!(
        (&usage["files"], &usage["reserved"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(function.status(&owner(), id).await, "pending");
    function.notify(&owner(), id).await;
    assert_eq!(function.status(&owner(), id).await, "clean");
}

#[tokio::test]
async fn an_organisation_has_at_most_two_hundred_open_uploads() {
    let function = Function::new();
    for n in 0..200 {
        let octets = format!("{n}").into_bytes();
        function.start(&owner(), "text/plain", &octets).await;
    }
    let body = agreement("a", "text/plain", b"one more");
    let refused = function
        .send(&owner(), "POST", "/v1/files/uploads", &body)
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_deref()),
        (409, Some("too_many_uploads"))
    );

    function.clock.advance(Duration::from_hours(1));
    let next = function
        .send(&owner(), "POST", "/v1/files/uploads", &body)
        .await;

    assert_eq!(next.status, 201, "{}", next.json());
    function.assert_consistent(&owner(), "after the sweep");
}

#[tokio::test]
async fn room_without_an_upload_is_given_back() {
    let function = small(100);
    let started = function.start(&owner(), "text/plain", b"12345").await;
    // What a process leaves that set its room aside after its upload was cleared away.
    let id: domain::Id<domain::id::File> = started["id"].as_str().unwrap().parse().unwrap();
    let key = ports::table::Key::new(owner().organisation, format!("upload#{id}"));
    let delete = ports::table::Write::Delete(key, ports::table::If::Present);
    ports::table::Table::write(&*function.table, vec![delete])
        .await
        .unwrap();

    assert_eq!(function.usage(&owner()).await["reserved"], 0);
    function.assert_consistent(&owner(), "after the sweep");
}

#[tokio::test]
async fn the_organisation_is_told_once_when_it_comes_near_its_quota() {
    let function = small(100);
    function.store(&owner(), "text/plain", &[b'a'; 79]).await;
    assert_eq!(function.announced("files.quota_80"), 0);
    let crossing = function.store(&owner(), "text/plain", b"b").await;
    assert_eq!(function.announced("files.quota_80"), 1);
    function.store(&owner(), "text/plain", b"c").await;
    assert_eq!(function.announced("files.quota_80"), 1, "once");

    for id in [crossing, function.store(&owner(), "text/plain", b"d").await] {
        let path = format!("/v1/files/{id}");
        assert_eq!(function.ask(&owner(), "DELETE", &path).await.status, 204);
    }
    function.store(&owner(), "text/plain", b"ee").await;
    assert_eq!(
        function.announced("files.quota_80"),
        1,
        "80 and never below"
    );
    let big = function.store(&owner(), "text/plain", b"12345").await;
    let first = function
        .ask(&owner(), "GET", "/v1/files?limit=100")
        .await
        .json();
    for item in first["items"].as_array().unwrap() {
        let path = format!("/v1/files/{}", item["id"].as_str().unwrap());
        assert_eq!(
            function.ask(&owner(), "DELETE", &path).await.status,
            204,
            "{big}"
        );
    }
    function.store(&owner(), "text/plain", &[b'f'; 80]).await;
    assert_eq!(
        function.announced("files.quota_80"),
        2,
        "again after falling below"
    );
}

#[tokio::test]
async fn two_files_that_cross_the_line_together_say_so_once() {
    let function = small(100);
    let mut ids = Vec::new();
    for letter in [b'a', b'b'] {
        let octets = [letter; 45];
        let upload = function.start(&owner(), "text/plain", &octets).await;
        assert_eq!(function.put(&upload["upload"], &octets), 200);
        ids.push(upload["id"].as_str().unwrap().to_owned());
    }

    let caller = owner();
    join_all(ids.iter().map(|id| function.notify(&caller, id))).await;

    assert_eq!(function.announced("files.quota_80"), 1);
}

#[tokio::test]
async fn a_counter_that_is_busy_is_tried_again() {
    let function = small(100);
    for _ in 0..5 {
        function.table.conflict_next_write();
    }
    function.table.faults().fail_call(6, Fault::Throttled);

    let started = function.start(&owner(), "text/plain", b"text").await;

    assert!(started["id"].is_string());
    assert_eq!(function.usage(&owner()).await["reserved"], 4);
}
