//! Another organisation's file does not exist.

use domain::OrganisationRole;
use serde_json::json;

use crate::{Function, created, member, owner};

#[tokio::test]
async fn another_tenants_file_does_not_exist() {
    let function = Function::new();
    let id = function.store(&owner(), "text/plain", b"text").await;
    let open = function.start(&owner(), "text/plain", b"coming").await;
    let open = open["id"].as_str().unwrap();
    let stranger = member(2, OrganisationRole::Owner);
    let part = json!({"parts": [{"number": 1, "sha256": "0".repeat(64)}]});

    for (method, path, body) in [
        ("GET", format!("/v1/files/{id}"), json!({})),
        ("GET", format!("/v1/files/{id}/download"), json!({})),
        ("GET", format!("/v1/files/{id}/scan"), json!({})),
        ("PATCH", format!("/v1/files/{id}"), json!({"name": "mine"})),
        ("DELETE", format!("/v1/files/{id}"), json!({})),
        ("POST", format!("/v1/files/{id}/copy"), json!({})),
        ("GET", format!("/v1/files/{open}"), json!({})),
        ("DELETE", format!("/v1/files/{open}"), json!({})),
        ("POST", format!("/v1/files/uploads/{open}/parts"), part),
        (
            "POST",
            format!("/v1/files/uploads/{open}/complete"),
            json!({}),
        ),
        ("POST", format!("/v1/files/uploads/{open}/abort"), json!({})),
    ] {
        let answer = function.send(&stranger, method, &path, &body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_deref()),
            (404, Some("not_found")),
            "{method} {path}"
        );
    }
    let signed = function
        .send(&stranger, "POST", "/v1/files/sign", &json!({"ids": [id]}))
        .await;
    assert_eq!(signed.json()["items"][0]["code"], "not_found");
    let listed = function.ask(&stranger, "GET", "/v1/files").await.json();
    assert_eq!(listed["items"], json!([]));
    assert_eq!(function.usage(&stranger).await["bytes"], 0);
    assert_eq!(function.status(&owner(), &id).await, "clean");
    assert_eq!(function.status(&owner(), open).await, "uploading");
}

#[tokio::test]
async fn a_cursor_of_another_tenant_opens_nothing() {
    let function = Function::new();
    for octets in [b"one", b"two"] {
        function.store(&owner(), "text/plain", octets).await;
    }
    let page = function
        .ask(&owner(), "GET", "/v1/files?limit=1")
        .await
        .json();
    let path = format!("/v1/files?cursor={}", page["next_cursor"].as_str().unwrap());

    let answer = function
        .ask(&member(2, OrganisationRole::Owner), "GET", &path)
        .await;

    assert_eq!(answer.code().as_deref(), Some("parameter_invalid"));
}

#[tokio::test]
async fn a_notice_under_another_tenants_name_touches_nothing() {
    let function = Function::new();
    let id = function.store(&owner(), "text/plain", b"text").await;

    for notice in created(&member(2, OrganisationRole::Owner), &id) {
        function.on(&notice, 1).await.unwrap();
    }

    assert_eq!(function.status(&owner(), &id).await, "clean");
    assert_eq!(function.blobs.keys().len(), 1);
}
