//! What is refused, and how it is said.

use domain::OrganisationRole;
use files::scan::Signatures;
use ports::blobs::SMALLEST_PART;
use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{Function, agreement, member, owner, sha256};

/// The pointers of a refused upload that differs from a good one in this.
async fn refused(function: &Function, name: &str, value: Value) -> (u16, Vec<String>) {
    let mut body = agreement("a.txt", "text/plain", b"text");
    body[name] = value;
    let answer = function
        .send(&owner(), "POST", "/v1/files/uploads", &body)
        .await;
    let json = answer.json();
    let errors = json["errors"].as_array().cloned().unwrap_or_default();
    let pointers = errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap().to_owned());
    (answer.status.as_u16(), pointers.collect())
}

#[tokio::test]
async fn each_field_that_is_wrong_is_named() {
    let function = Function::new();
    for (name, value, status) in [
        ("name", json!("../../etc/passwd"), 422),
        ("name", json!(""), 422),
        ("folder", json!("/a"), 422),
        ("tags", json!({"UPPER": "a"}), 422),
        ("tags", json!({"a": 1}), 400),
        ("content_type", json!("text/html"), 422),
        ("content_type", json!("text/plain; charset=utf-8"), 422),
        ("sha256", json!("abc"), 422),
        ("sha256", json!(sha256(b"text").to_uppercase()), 422),
        ("bytes", json!(0), 422),
        ("bytes", json!(104_857_601), 422),
        ("bytes", json!(-1), 400),
        ("bytes", json!("4"), 400),
        ("parts", json!(0), 422),
        ("parts", json!(2), 422),
        ("colour", json!("red"), 400),
    ] {
        let (found, pointers) = refused(&function, name, value.clone()).await;
        assert_eq!(found, status, "{name}: {value}");
        assert!(
            pointers[0].starts_with(&format!("/{name}")),
            "{name}: {value}: {pointers:?}"
        );
    }
    assert_eq!(
        function.table.rows().len(),
        0,
        "nothing of that was written"
    );
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once_in_the_callers_language() {
    let function = Function::new();
    let body =
        json!({"name": "a/b", "bytes": 0, "content_type": "x", "sha256": "x", "folder": ".."});
    let call = Call::post("/v1/files/uploads", &body).header("accept-language", "es");

    let answer = call.by(&owner()).send(&function.router).await.json();

    let errors = answer["errors"].as_array().unwrap();
    let pointers: Vec<&Value> = errors.iter().map(|error| &error["pointer"]).collect();
    assert_eq!(
        pointers,
        ["/name", "/folder", "/content_type", "/sha256", "/bytes"]
    );
    assert!(
        answer
            .to_string()
            .contains("Este tipo de archivo no se admite")
    );
}

#[tokio::test]
async fn an_archive_is_no_larger_than_what_can_be_looked_into() {
    let function = Function::new();
    let mut body = agreement("a.zip", "application/zip", b"");
    body["bytes"] = json!(104_857_601);
    body["parts"] = json!(2);
    let zip = function
        .send(&owner(), "POST", "/v1/files/uploads", &body)
        .await;
    body["content_type"] = json!("video/mp4");
    let video = function
        .send(&owner(), "POST", "/v1/files/uploads", &body)
        .await;

    assert_eq!(
        (zip.status.as_u16(), &zip.json()["errors"][0]["pointer"]),
        (422, &json!("/bytes"))
    );
    assert_eq!(video.status, 201, "{}", video.json());
}

#[tokio::test]
async fn parts_are_signed_only_as_they_were_agreed() {
    let function = Function::new();
    let mut body = agreement("a.mp4", "video/mp4", b"");
    body["bytes"] = json!(SMALLEST_PART + 7);
    body["parts"] = json!(2);
    let large = function
        .send(&owner(), "POST", "/v1/files/uploads", &body)
        .await;
    assert_eq!(
        large.json()["errors"][0]["pointer"],
        "/parts",
        "two parts of less than 5 MiB"
    );
    body["bytes"] = json!(2 * SMALLEST_PART - 1);
    let started = function
        .send(&owner(), "POST", "/v1/files/uploads", &body)
        .await
        .json();
    let path = format!(
        "/v1/files/uploads/{}/parts",
        started["id"].as_str().unwrap()
    );
    let whole = function.start(&owner(), "text/plain", b"text").await;
    let whole = format!("/v1/files/uploads/{}/parts", whole["id"].as_str().unwrap());
    let part = |number: u16, sha256: &str| json!({"parts": [{"number": number, "sha256": sha256}]});
    let sum = sha256(b"");

    for (path, body, pointer) in [
        (&path, json!({"parts": []}), "/parts"),
        (&path, part(0, &sum), "/parts"),
        (&path, part(3, &sum), "/parts"),
        (&path, part(1, "abc"), "/parts/0/sha256"),
        (&whole, part(1, &sum), "/parts"),
    ] {
        let answer = function.send(&owner(), "POST", path, &body).await;
        assert_eq!(answer.status, 422, "{body}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}");
    }
}

#[tokio::test]
async fn what_is_not_clean_is_not_handed_out_and_the_state_is_said() {
    let function = Function::new();
    let id = function
        .store(&owner(), "text/plain", &Signatures::test_file())
        .await;

    for (method, path) in [
        ("GET", format!("/v1/files/{id}/download")),
        ("POST", format!("/v1/files/{id}/copy")),
    ] {
        let answer = function.send(&owner(), method, &path, &json!({})).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_deref()),
            (409, Some("file_not_clean"))
        );
        assert!(
            answer.json()["detail"]
                .as_str()
                .unwrap()
                .starts_with("infected")
        );
    }
}

#[tokio::test]
async fn a_viewer_reads_and_neither_sends_nor_deletes() {
    let function = Function::new();
    let id = function.store(&owner(), "text/plain", b"text").await;
    let viewer = member(1, OrganisationRole::Viewer);

    assert_eq!(
        function
            .ask(&viewer, "GET", &format!("/v1/files/{id}/download"))
            .await
            .status,
        200
    );
    for (method, path) in [
        ("POST", "/v1/files/uploads".to_owned()),
        ("PATCH", format!("/v1/files/{id}")),
        ("DELETE", format!("/v1/files/{id}")),
        ("POST", format!("/v1/files/{id}/copy")),
        ("POST", format!("/v1/files/uploads/{id}/abort")),
    ] {
        let answer = function.send(&viewer, method, &path, &json!({})).await;
        assert_eq!(
            answer.code().as_deref(),
            Some("permission_denied"),
            "{method} {path}"
        );
    }
}
