//! From the agreement to the download, and to the end.

use std::time::Duration;

use ports::blobs::FollowError;
use ports::clock::Clock;
use serde_json::{Value, json};

use crate::{Function, agreement, owner, sha256};

const PDF: &[u8] = b"%PDF-1.7\nnot much of a document\n%%EOF";

#[tokio::test]
async fn a_file_is_agreed_sent_looked_at_and_downloaded() {
    let function = Function::new();
    let mut body = agreement("informe \"año\" 2026.pdf", "application/pdf", PDF);
    body["folder"] = json!("informes/2026");
    body["tags"] = json!({"customer": "7"});

    let started = function
        .send(&owner(), "POST", "/v1/files/uploads", &body)
        .await;

    assert_eq!(started.status, 201);
    let started = started.json();
    let id = started["id"].as_str().unwrap();
    assert_eq!(started["status"], "uploading");
    assert_eq!(
        started["upload"]["headers"]["content-length"],
        PDF.len().to_string()
    );
    assert_eq!(
        started["upload"]["headers"]["content-type"],
        "application/pdf"
    );
    assert_eq!(started["expires_at"], "2026-11-24T10:26:12Z");
    assert_eq!(function.status(&owner(), id).await, "uploading");
    assert_eq!(function.usage(&owner()).await["reserved"], PDF.len());

    assert_eq!(function.put(&started["upload"], PDF), 200);
    function.notify(&owner(), id).await;

    let file = function
        .ask(&owner(), "GET", &format!("/v1/files/{id}"))
        .await
        .json();
    assert_eq!(
        file,
        json!({
            "id": id, "name": "informe \"año\" 2026.pdf", "folder": "informes/2026",
            "tags": {"customer": "7"}, "bytes": PDF.len(), "content_type": "application/pdf",
            "sha256": sha256(PDF), "status": "clean", "created_at": "2026-11-24T10:11:12Z",
        })
    );
    let link = function
        .ask(&owner(), "GET", &format!("/v1/files/{id}/download"))
        .await
        .json();
    let url = link["download_url"].as_str().unwrap();
    let download = function.blobs.follow(url, function.clock.now()).unwrap();
    assert_eq!(download.blob.bytes, PDF);
    assert_eq!(download.file_name, "informe \"año\" 2026.pdf");
    function.clock.advance(Duration::from_mins(15));
    assert_eq!(
        function.blobs.follow(url, function.clock.now()),
        Err(FollowError::Expired)
    );
    let usage = function.usage(&owner()).await;
    assert_eq!(
        (&usage["bytes"], &usage["files"], &usage["reserved"]),
        (&json!(PDF.len()), &json!(1), &json!(0))
    );
    assert_eq!(function.announced("files.uploaded"), 1);
    assert_eq!(function.announced("files.scanned"), 1);
    function.assert_consistent(&owner(), "after the download");
}

#[tokio::test]
async fn the_store_takes_nothing_but_what_was_agreed() {
    let function = Function::new();
    let started = function.start(&owner(), "text/plain", b"agreed").await;
    let mut html = started["upload"].clone();
    html["headers"]["content-type"] = json!("text/html");

    assert_eq!(function.put(&started["upload"], b"longer than agreed"), 403);
    assert_eq!(
        function.put(&started["upload"], b"another"[..6].as_ref()),
        400
    );
    assert_eq!(function.put(&html, b"agreed"), 403);
    assert_eq!(function.blobs.keys(), [""; 0]);
    function.clock.advance(Duration::from_mins(15));
    assert_eq!(function.put(&started["upload"], b"agreed"), 403, "too late");
}

#[tokio::test]
async fn files_are_listed_by_folder_page_by_page_the_newest_first() {
    let function = Function::new();
    let mut made = Vec::new();
    for n in 0..5 {
        function.clock.advance(Duration::from_secs(1));
        let octets = format!("file {n}").into_bytes();
        let id = function.store(&owner(), "text/plain", &octets).await;
        if n % 2 == 0 {
            let path = format!("/v1/files/{id}");
            let moved = function
                .send(&owner(), "PATCH", &path, &json!({"folder": "even"}))
                .await;
            assert_eq!(moved.status, 200, "{}", moved.json());
        }
        made.insert(0, id);
    }
    function.start(&owner(), "text/plain", b"under way").await;

    assert_eq!(all(&function, "limit=2").await, made);
    assert_eq!(
        all(&function, "limit=2&folder=even").await,
        [&*made[0], &*made[2], &*made[4]]
    );
    assert_eq!(
        all(&function, "limit=1&folder=").await,
        [&*made[1], &*made[3]]
    );
    assert_eq!(all(&function, "folder=nowhere").await, [""; 0]);
    let first = function
        .ask(&owner(), "GET", "/v1/files?limit=1&folder=even")
        .await
        .json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let elsewhere = format!("/v1/files?limit=1&folder=odd&cursor={cursor}");
    assert_eq!(
        function
            .ask(&owner(), "GET", &elsewhere)
            .await
            .code()
            .unwrap(),
        "parameter_invalid"
    );
}

async fn all(function: &Function, query: &str) -> Vec<String> {
    let mut listed = Vec::new();
    let mut path = format!("/v1/files?{query}");
    loop {
        let page = function.ask(&owner(), "GET", &path).await;
        assert_eq!(page.status, 200, "{}", page.json());
        let page = page.json();
        let ids = page["items"].as_array().unwrap().iter();
        listed.extend(ids.map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/files?{query}&cursor={cursor}"),
            None => return listed,
        }
    }
}

#[tokio::test]
async fn a_file_is_renamed_only_on_the_version_that_was_read() {
    let function = Function::new();
    let id = function.store(&owner(), "text/plain", b"text").await;
    let path = format!("/v1/files/{id}");
    let read = function.ask(&owner(), "GET", &path).await;
    let tag = read.header("etag").unwrap().to_owned();
    let rename = |name: &str, tag: &str| {
        let call = runtime::testing::Call::new("PATCH", &path).json(&json!({"name": name}));
        call.header("if-match", tag).by(&owner())
    };

    let renamed = rename("b.txt", &tag).send(&function.router).await;
    let stale = rename("c.txt", &tag).send(&function.router).await;

    assert_eq!(
        (renamed.status.as_u16(), &renamed.json()["name"]),
        (200, &json!("b.txt"))
    );
    assert_ne!(renamed.header("etag"), Some(tag.as_str()));
    assert_eq!(
        (stale.status.as_u16(), stale.code().as_deref()),
        (412, Some("version_mismatch"))
    );
    let delete = runtime::testing::Call::new("DELETE", &path)
        .header("if-match", &tag)
        .by(&owner());
    assert_eq!(delete.send(&function.router).await.status, 412);
    assert_eq!(
        function.blobs.keys().len(),
        1,
        "a refused deletion deletes nothing"
    );
}

#[tokio::test]
async fn a_deleted_file_is_gone_with_its_octets_and_its_room() {
    let function = Function::new();
    let id = function.store(&owner(), "text/plain", b"text").await;
    let path = format!("/v1/files/{id}");

    assert_eq!(function.ask(&owner(), "DELETE", &path).await.status, 204);
    assert_eq!(function.ask(&owner(), "DELETE", &path).await.status, 404);

    assert_eq!(function.ask(&owner(), "GET", &path).await.status, 404);
    assert_eq!(function.blobs.keys(), [""; 0]);
    let usage = function.usage(&owner()).await;
    assert_eq!((&usage["bytes"], &usage["files"]), (&json!(0), &json!(0)));
    assert_eq!(function.announced("files.deleted"), 1);
    function.assert_consistent(&owner(), "after the deletion");
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let function = Function::new();
    for (method, path) in [
        ("POST", "/v1/files/uploads/{id}/abort"),
        ("DELETE", "/v1/files/{id}"),
    ] {
        let started = function.start(&owner(), "text/plain", b"text").await;
        let id = started["id"].as_str().unwrap();
        let path = path.replace("{id}", id);
        assert_eq!(function.put(&started["upload"], b"text"), 200);

        assert_eq!(function.ask(&owner(), method, &path).await.status, 204);
        assert_eq!(function.ask(&owner(), method, &path).await.status, 404);

        assert_eq!(function.blobs.keys(), [""; 0]);
        assert_eq!(function.usage(&owner()).await["reserved"], 0);
        // The ticket still is what it was; what comes by it belongs to nobody.
        assert_eq!(function.put(&started["upload"], b"text"), 200);
        function.notify(&owner(), id).await;
        assert_eq!(function.blobs.keys(), [""; 0]);
        function.assert_consistent(&owner(), &path);
    }
}

#[tokio::test]
async fn a_copy_is_looked_at_and_counted_like_everything_that_arrives() {
    let function = Function::new();
    let id = function.store(&owner(), "text/plain", b"text").await;
    let path = format!("/v1/files/{id}/copy");

    let made = function
        .send(
            &owner(),
            "POST",
            &path,
            &json!({"name": "copy.txt", "folder": "copies"}),
        )
        .await;

    assert_eq!(made.status, 201, "{}", made.json());
    let copy = made.json();
    let copied = copy["id"].as_str().unwrap();
    assert_eq!(
        (
            &copy["name"],
            &copy["folder"],
            &copy["status"],
            &copy["sha256"]
        ),
        (
            &json!("copy.txt"),
            &json!("copies"),
            &json!("pending"),
            &json!(sha256(b"text"))
        )
    );
    function.notify(&owner(), copied).await;
    assert_eq!(function.status(&owner(), copied).await, "clean");
    assert_eq!(function.usage(&owner()).await["bytes"], 8);
    function
        .ask(&owner(), "DELETE", &format!("/v1/files/{id}"))
        .await;
    assert_eq!(function.status(&owner(), copied).await, "clean");
    function.assert_consistent(&owner(), "after the copy");
}

#[tokio::test]
async fn many_links_come_at_once_and_each_refusal_says_why() {
    let function = Function::new();
    let clean = function.store(&owner(), "text/plain", b"text").await;
    let pending = function.start(&owner(), "text/plain", b"coming").await["id"].clone();
    let nobodys = "fil_00000000000000000000000000000000";
    let body = json!({"ids": [clean, pending, nobodys, "rubbish"], "valid_seconds": 60});

    let signed = function
        .send(&owner(), "POST", "/v1/files/sign", &body)
        .await
        .json();

    let items = signed["items"].as_array().unwrap();
    let codes: Vec<&Value> = items.iter().map(|item| &item["code"]).collect();
    assert_eq!(
        codes,
        [
            &Value::Null,
            &json!("file_not_clean"),
            &json!("not_found"),
            &json!("not_found")
        ]
    );
    assert_eq!(items[1]["status"], "uploading");
    assert_eq!(items[0]["expires_at"], "2026-11-24T10:12:12Z");
    let url = items[0]["download_url"].as_str().unwrap();
    assert!(function.blobs.follow(url, function.clock.now()).is_ok());
}

#[tokio::test]
async fn a_request_that_is_sent_again_begins_one_upload() {
    let function = Function::new();
    let body = agreement("a", "text/plain", b"text");
    let call = || {
        let call = runtime::testing::Call::post("/v1/files/uploads", &body);
        call.header("idempotency-key", "upload-1").by(&owner())
    };

    let first = call().send(&function.router).await;
    let again = call().send(&function.router).await;

    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_eq!(function.usage(&owner()).await["reserved"], 4);
}
