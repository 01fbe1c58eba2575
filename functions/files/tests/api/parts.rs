//! Large files, part by part.

use ports::blobs::SMALLEST_PART;
use serde_json::{Value, json};

use crate::{Function, agreement, owner, sha256};

/// A text of two parts.
fn large() -> Vec<u8> {
    let length = usize::try_from(SMALLEST_PART).unwrap() * 2 - 1;
    b"some text\n"
        .iter()
        .copied()
        .cycle()
        .take(length)
        .collect()
}

async fn start(function: &Function, octets: &[u8]) -> Value {
    let mut body = agreement("large.txt", "text/plain", octets);
    body["parts"] = json!(2);
    let answer = function
        .send(&owner(), "POST", "/v1/files/uploads", &body)
        .await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    answer.json()
}

/// Sends one part, and gives the status of the store's answer.
async fn send(function: &Function, id: &str, number: u16, octets: &[u8]) -> u16 {
    let body = json!({"parts": [{"number": number, "sha256": sha256(octets)}]});
    let path = format!("/v1/files/uploads/{id}/parts");
    let signed = function.send(&owner(), "POST", &path, &body).await;
    assert_eq!(signed.status, 200, "{}", signed.json());
    function.put(&signed.json()["items"][0]["upload"], octets)
}

async fn complete(function: &Function, id: &str) -> (u16, Value) {
    let path = format!("/v1/files/uploads/{id}/complete");
    let answer = function.ask(&owner(), "POST", &path).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn parts_that_were_sent_become_one_file() {
    let function = Function::new();
    let octets = large();
    let started = start(&function, &octets).await;
    let id = started["id"].as_str().unwrap();
    let cut = usize::try_from(started["parts"]["bytes"].as_u64().unwrap()).unwrap();
    assert_eq!(started["parts"]["count"], 2);
    assert_eq!(started["upload"], Value::Null);
    assert_eq!(started["expires_at"], "2026-11-25T10:11:12Z");

    assert_eq!(send(&function, id, 2, &octets[cut..]).await, 200);
    let (status, refused) = complete(&function, id).await;
    assert_eq!(
        (status, &refused["code"]),
        (409, &json!("upload_incomplete"))
    );
    assert_eq!(
        send(&function, id, 1, &octets[..cut - 1]).await,
        403,
        "another length"
    );
    assert_eq!(send(&function, id, 1, &octets[..cut]).await, 200);
    let (status, file) = complete(&function, id).await;
    assert_eq!((status, &file["status"]), (200, &json!("pending")));
    assert_eq!(complete(&function, id).await.0, 200, "again");
    function.notify(&owner(), id).await;

    assert_eq!(function.status(&owner(), id).await, "clean");
    assert_eq!(function.usage(&owner()).await["bytes"], octets.len());
    assert_eq!(function.blobs.undertakings(), 0);
    function.assert_consistent(&owner(), "after the parts");
}

#[tokio::test]
async fn parts_that_are_not_the_agreed_whole_are_put_aside() {
    let function = Function::new();
    let octets = large();
    let started = start(&function, &octets).await;
    let id = started["id"].as_str().unwrap();
    let cut = usize::try_from(started["parts"]["bytes"].as_u64().unwrap()).unwrap();
    let other = octets[..cut].to_ascii_uppercase();

    assert_eq!(send(&function, id, 1, &other).await, 200);
    assert_eq!(send(&function, id, 2, &octets[cut..]).await, 200);
    assert_eq!(complete(&function, id).await.0, 200);
    function.notify(&owner(), id).await;

    let path = format!("/v1/files/{id}/scan");
    let scan = function.ask(&owner(), "GET", &path).await.json();
    assert_eq!(
        (&scan["status"], &scan["finding"]),
        (&json!("quarantined"), &json!("checksum_mismatch"))
    );
}

#[tokio::test]
async fn parts_that_nobody_finishes_are_forgotten_with_their_room() {
    let function = Function::new();
    let octets = large();
    let aborted = start(&function, &octets).await["id"].clone();
    let path = format!("/v1/files/uploads/{}/abort", aborted.as_str().unwrap());
    assert_eq!(function.ask(&owner(), "POST", &path).await.status, 204);
    assert_eq!(function.blobs.undertakings(), 0);

    let expired = start(&function, &octets).await["id"].clone();
    function.clock.advance(std::time::Duration::from_hours(24));
    let body = json!({"parts": [{"number": 1, "sha256": sha256(b"")}]});
    let path = format!("/v1/files/uploads/{}/parts", expired.as_str().unwrap());
    let late = function.send(&owner(), "POST", &path, &body).await;
    assert_eq!(late.code().as_deref(), Some("upload_expired"));
    assert_eq!(function.usage(&owner()).await["reserved"], 0);
    assert_eq!(function.blobs.undertakings(), 0);
    function.assert_consistent(&owner(), "after the sweep");
}

#[tokio::test]
async fn a_notice_that_overtakes_the_answer_makes_one_file() {
    let function = Function::new();
    let octets = large();
    let started = start(&function, &octets).await;
    let id = started["id"].as_str().unwrap();
    let cut = usize::try_from(started["parts"]["bytes"].as_u64().unwrap()).unwrap();
    assert_eq!(send(&function, id, 1, &octets[..cut]).await, 200);
    assert_eq!(send(&function, id, 2, &octets[cut..]).await, 200);

    let path = format!("/v1/files/uploads/{id}/complete");
    // The store makes the file; then the answer is lost.
    function
        .blobs
        .faults()
        .fail_call(1, ports::faults::Fault::After);
    assert_eq!(function.ask(&owner(), "POST", &path).await.status, 503);
    function.notify(&owner(), id).await;

    assert_eq!(complete(&function, id).await.1["status"], "clean");
    assert_eq!(function.announced("files.uploaded"), 1);
}
