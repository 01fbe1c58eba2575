//! What arrives: harmful, different, twice, too early, too late, never.

use std::io::{Cursor, Write};
use std::sync::Arc;
use std::time::Duration;

use files::notice;
use files::scan::{Elsewhere, Signatures};
use ports::blobs::{Blob, Blobs};
use ports::faults::Fault;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::{Function, QUOTA, created, owner};

fn zipped(octets: &[u8]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer
        .start_file("a.txt", SimpleFileOptions::default())
        .unwrap();
    writer.write_all(octets).unwrap();
    writer.finish().unwrap().into_inner()
}

async fn scan(function: &Function, id: &str) -> Value {
    let path = format!("/v1/files/{id}/scan");
    function.ask(&owner(), "GET", &path).await.json()
}

async fn download(function: &Function, id: &str) -> (u16, Option<String>) {
    let path = format!("/v1/files/{id}/download");
    let answer = function.ask(&owner(), "GET", &path).await;
    (answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn a_harmful_file_is_never_handed_out() {
    let function = Function::new();
    let test = Signatures::test_file();
    let inside = [b"some text before ".as_slice(), &test].concat();
    for (content_type, octets) in [
        ("text/plain", test.clone()),
        ("text/csv", inside),
        ("application/zip", zipped(&test)),
    ] {
        let started = function.start(&owner(), content_type, &octets).await;
        let id = started["id"].as_str().unwrap();
        let refused = (409, Some("file_not_clean".to_owned()));

        assert_eq!(download(&function, id).await, refused, "before it arrives");
        assert_eq!(function.put(&started["upload"], &octets), 200);
        assert_eq!(download(&function, id).await, refused, "before the notice");
        function.notify(&owner(), id).await;
        assert_eq!(download(&function, id).await, refused, "after the scan");
        function.notify(&owner(), id).await;
        assert_eq!(
            download(&function, id).await,
            refused,
            "after a repeated notice"
        );
        let found = scan(&function, id).await;
        assert_eq!(
            (&found["status"], &found["finding"]),
            (&json!("infected"), &json!("EICAR-Test-File"))
        );
    }
    assert_eq!(function.announced("files.infected"), 3);
    assert_eq!(function.announced("files.scanned"), 3);
}

#[tokio::test]
async fn what_is_not_what_was_said_is_put_aside() {
    let function = Function::new();
    for (content_type, octets) in [
        ("application/pdf", b"MZ\x90\0 a program".as_slice()),
        ("image/png", b"<svg onload=alert(1)>"),
        ("text/plain", b"<!DOCTYPE html><script>alert(1)</script>"),
    ] {
        let id = function.store(&owner(), content_type, octets).await;

        assert_eq!(download(&function, &id).await.0, 409, "{content_type}");
        let found = scan(&function, &id).await;
        assert_eq!(
            (&found["status"], &found["finding"]),
            (&json!("quarantined"), &json!("type_mismatch"))
        );
    }
}

#[tokio::test]
async fn an_archive_that_nobody_can_look_into_is_not_clean() {
    let function = Function::new();
    let mut broken = zipped(b"some text, some text, some text");
    broken[40] ^= 0xff;

    let id = function.store(&owner(), "application/zip", &broken).await;

    assert_eq!(download(&function, &id).await.0, 409);
    assert_eq!(scan(&function, &id).await["status"], "error");
}

#[tokio::test]
async fn notices_come_too_early_twice_and_too_late() {
    let function = Function::new();
    let started = function.start(&owner(), "text/plain", b"text").await;
    let id = started["id"].as_str().unwrap();

    function.notify(&owner(), id).await;
    assert_eq!(
        function.status(&owner(), id).await,
        "uploading",
        "before the object"
    );
    assert_eq!(function.put(&started["upload"], b"text"), 200);
    for _ in 0..3 {
        function.notify(&owner(), id).await;
        assert_eq!(function.status(&owner(), id).await, "clean");
    }
    assert_eq!(function.announced("files.uploaded"), 1);
    assert_eq!(function.announced("files.scanned"), 1);

    function
        .ask(&owner(), "DELETE", &format!("/v1/files/{id}"))
        .await;
    function.notify(&owner(), id).await;
    assert_eq!(
        function.status(&owner(), id).await,
        "none",
        "after the deletion"
    );
    function.assert_consistent(&owner(), "after all notices");
}

#[tokio::test]
async fn an_object_that_belongs_to_no_upload_is_deleted() {
    let function = Function::new();
    let id = "fil_00000000000000000000000000000009";
    let blob = Blob {
        bytes: b"nobody's".to_vec(),
        content_type: "text/plain".into(),
    };
    let key = format!("{}/{id}", owner().organisation);
    function.blobs.put(&key, blob).await.unwrap();

    function.notify(&owner(), id).await;

    assert_eq!(function.blobs.keys(), [""; 0]);
    assert_eq!(function.usage(&owner()).await["bytes"], 0);
}

#[tokio::test]
async fn an_object_that_arrives_after_its_time_is_deleted() {
    let function = Function::new();
    let started = function.start(&owner(), "text/plain", b"text").await;
    let id = started["id"].as_str().unwrap();
    function.clock.advance(Duration::from_hours(1));
    assert_eq!(function.usage(&owner()).await["reserved"], 0);
    let key = format!("{}/{id}", owner().organisation);
    let blob = Blob {
        bytes: b"text".to_vec(),
        content_type: "text/plain".into(),
    };
    function.blobs.put(&key, blob).await.unwrap();

    function.notify(&owner(), id).await;

    assert_eq!(function.blobs.keys(), [""; 0]);
    assert_eq!(function.status(&owner(), id).await, "none");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_says_so_after_the_last_delivery_and_may_be_looked_at_again() {
    let function = Function::new();
    let started = function.start(&owner(), "text/plain", b"text").await;
    let id = started["id"].as_str().unwrap();
    assert_eq!(function.put(&started["upload"], b"text"), 200);
    let complete = format!("/v1/files/uploads/{id}/complete");
    function.ask(&owner(), "POST", &complete).await;
    let notice = created(&owner(), id).remove(0);

    for delivery in 1..=5 {
        function.blobs.faults().fail_next(Fault::Before);
        assert!(
            function.on(&notice, delivery).await.is_err(),
            "it goes back to the queue"
        );
        let expected = if delivery < 5 { "pending" } else { "error" };
        assert_eq!(
            function.status(&owner(), id).await,
            expected,
            "delivery {delivery}"
        );
    }
    assert_eq!(scan(&function, id).await["finding"], "scan_failed");
    assert_eq!(download(&function, id).await.0, 409);

    function.on(&notice, 1).await.unwrap();
    assert_eq!(
        function.status(&owner(), id).await,
        "clean",
        "from the dead letters"
    );
}

/// A function whose scanner is a service of its own.
fn elsewhere() -> Function {
    Function::with(QUOTA, Arc::new(Elsewhere))
}

async fn found(function: &Function, id: &str, status: &str, threat: Option<&str>) {
    let threats = threat.map(|name| json!([{"name": name}]));
    let detail = json!({
        "scanStatus": "COMPLETED",
        "s3ObjectDetails": {"bucketName": "b", "objectKey": format!("{}/{id}", owner().organisation)},
        "scanResultDetails": {"scanResultStatus": status, "threats": threats},
    });
    let message = json!({
        "detail-type": "GuardDuty Malware Protection Object Scan Result",
        "source": "aws.guardduty", "detail": detail,
    });
    for notice in notice::parse(&message.to_string()).unwrap() {
        function.on(&notice, 1).await.unwrap();
    }
}

#[tokio::test]
async fn a_verdict_from_elsewhere_is_waited_for() {
    for (status, threat, expected) in [
        ("NO_THREATS_FOUND", None, "clean"),
        ("THREATS_FOUND", Some("Something"), "infected"),
        ("UNSUPPORTED", None, "error"),
        ("ACCESS_DENIED", None, "error"),
    ] {
        let function = elsewhere();
        let id = function.store(&owner(), "text/plain", b"text").await;
        assert_eq!(function.status(&owner(), &id).await, "pending");
        assert_eq!(download(&function, &id).await.0, 409);

        found(&function, &id, status, threat).await;
        found(&function, &id, status, threat).await;

        assert_eq!(function.status(&owner(), &id).await, expected);
        assert_eq!(function.announced("files.scanned"), 1, "{status} twice");
        let allowed = if expected == "clean" { 200 } else { 409 };
        assert_eq!(download(&function, &id).await.0, allowed);
    }
}

#[tokio::test]
async fn a_verdict_that_overtakes_the_notice_settles_and_judges_the_file() {
    let function = elsewhere();
    let started = function.start(&owner(), "text/plain", b"text").await;
    let id = started["id"].as_str().unwrap();
    assert_eq!(function.put(&started["upload"], b"text"), 200);

    found(&function, id, "NO_THREATS_FOUND", None).await;
    function.notify(&owner(), id).await;

    assert_eq!(function.status(&owner(), id).await, "clean");
    function.assert_consistent(&owner(), "after both");
}

#[tokio::test]
async fn a_clean_verdict_does_not_make_another_type_right() {
    let function = elsewhere();
    let octets = b"<!DOCTYPE html><script>alert(1)</script>";
    let started = function.start(&owner(), "text/plain", octets).await;
    let id = started["id"].as_str().unwrap();
    assert_eq!(function.put(&started["upload"], octets), 200);

    found(&function, id, "NO_THREATS_FOUND", None).await;
    assert_eq!(function.status(&owner(), id).await, "quarantined");
    found(&function, id, "NO_THREATS_FOUND", None).await;
    assert_eq!(function.status(&owner(), id).await, "quarantined");
}

#[tokio::test]
async fn what_is_found_later_counts_and_what_is_cleared_later_does_not() {
    let function = elsewhere();
    let id = function.store(&owner(), "text/plain", b"text").await;
    found(&function, &id, "NO_THREATS_FOUND", None).await;

    found(&function, &id, "THREATS_FOUND", Some("Something")).await;
    assert_eq!(function.status(&owner(), &id).await, "infected");
    found(&function, &id, "NO_THREATS_FOUND", None).await;
    assert_eq!(function.status(&owner(), &id).await, "infected");
}
