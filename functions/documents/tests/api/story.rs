//! What a member does with documents, from the first to its end.

use std::time::Duration;

use documents::template::Template;
use lambda_http::http::StatusCode;
use ports::blobs::FollowError;
use serde_json::{Value, json};

use crate::{Function, announced, caller, event, owner, sample};

#[tokio::test]
async fn a_document_is_made_at_once_and_its_link_leads_to_it() {
    let function = Function::new();

    let answer = function
        .create(&owner(), "invoice", &sample(Template::Invoice))
        .await;

    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    let view = &answer.body;
    assert_eq!(
        (&view["status"], &view["format"], &view["pages"]),
        (&json!("ready"), &json!("pdf"), &json!(1))
    );
    assert_eq!(
        (&view["template"], &view["template_version"]),
        (&json!("invoice"), &json!(1))
    );
    assert!(view["id"].as_str().unwrap().starts_with("doc_"));
    let file = function
        .blobs
        .follow(view["download_url"].as_str().unwrap(), function.now())
        .unwrap();
    assert_eq!(file.blob.content_type, "application/pdf");
    assert!(file.blob.bytes.starts_with(b"%PDF-"));
    assert_eq!(view["bytes"], file.blob.bytes.len());
    assert_eq!(
        file.file_name,
        format!("invoice-{}.pdf", view["id"].as_str().unwrap())
    );
}

#[tokio::test]
async fn a_link_lives_for_a_quarter_of_an_hour_and_a_new_one_can_be_had() {
    let function = Function::new();
    let made = function
        .create(&owner(), "letter", &sample(Template::Letter))
        .await
        .body;
    function.clock.advance(Duration::from_mins(15));

    let old = function
        .blobs
        .follow(made["download_url"].as_str().unwrap(), function.now());
    let path = format!("/v1/documents/{}/download", made["id"].as_str().unwrap());
    let fresh = function.ask(&owner(), "GET", &path).await;

    assert_eq!(old, Err(FollowError::Expired));
    assert_eq!(fresh.status, StatusCode::OK);
    assert_eq!(fresh.body["expires_at"], "2026-11-24T10:41:12Z");
    assert!(
        function
            .blobs
            .follow(fresh.body["download_url"].as_str().unwrap(), function.now())
            .is_ok()
    );
}

#[tokio::test]
async fn row_and_event_are_written_together_under_the_organisation() {
    let function = Function::new();

    let made = function
        .create(&owner(), "report", &sample(Template::Report))
        .await
        .body;

    let rows = function.table.rows();
    assert_eq!(
        function.table.faults().calls(),
        2,
        "the brand is read, then one write"
    );
    assert!(
        rows.iter()
            .all(|row| row.key.pk == owner()["organisation"].as_str().unwrap())
    );
    let event = rows
        .iter()
        .find(|row| row.key.sk.starts_with("event#"))
        .unwrap();
    assert_eq!(event.attributes["envelope"]["type"], "documents.rendered");
    assert_eq!(event.attributes["envelope"]["data"]["document"], made["id"]);
    assert_eq!(
        function.blobs.keys(),
        [format!(
            "{}/{}.pdf",
            owner()["organisation"].as_str().unwrap(),
            made["id"].as_str().unwrap()
        )]
    );
}

#[tokio::test]
async fn the_same_input_gives_the_same_bytes_whenever_it_is_sent() {
    let function = Function::new();
    let first = function
        .create(&owner(), "invoice", &sample(Template::Invoice))
        .await
        .body;
    function.clock.advance(Duration::from_hours(1));

    let second = function
        .create(&caller(2, "editor"), "invoice", &sample(Template::Invoice))
        .await
        .body;

    assert_ne!(first["id"], second["id"]);
    assert_eq!(first["sha256"], second["sha256"]);
}

#[tokio::test]
async fn a_request_sent_twice_under_one_key_makes_one_document() {
    let function = Function::new();
    let body = json!({ "template": "letter", "data": sample(Template::Letter) });
    let mut request = event(&owner(), "POST", "/v1/documents", Some(&body));
    request["headers"]["idempotency-key"] = json!("order-17");

    let first = function.handle(&request).await;
    let again = function.handle(&request).await;

    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    assert_eq!(
        (again.status, &again.body),
        (StatusCode::CREATED, &first.body)
    );
    assert_eq!(function.blobs.keys().len(), 1);
}

#[tokio::test]
async fn documents_are_listed_page_by_page_the_newest_first() {
    let function = Function::new();
    let mut made = Vec::new();
    for _ in 0..5 {
        function.clock.advance(Duration::from_secs(1));
        made.push(
            function
                .create(&owner(), "letter", &sample(Template::Letter))
                .await
                .body["id"]
                .clone(),
        );
    }
    made.reverse();

    let mut listed = Vec::new();
    let mut target = "/v1/documents?limit=2".to_owned();
    loop {
        let page = function.ask(&owner(), "GET", &target).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        listed.extend(
            page.body["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].clone()),
        );
        match page.body["next_cursor"].as_str() {
            Some(cursor) => target = format!("/v1/documents?limit=2&cursor={cursor}"),
            None => break,
        }
    }

    assert_eq!(listed, made);
}

#[tokio::test]
async fn a_deleted_document_is_gone_with_its_file_and_says_so_once() {
    let function = Function::new();
    let made = function
        .create(&owner(), "letter", &sample(Template::Letter))
        .await
        .body;
    let path = format!("/v1/documents/{}", made["id"].as_str().unwrap());

    assert_eq!(
        function.ask(&owner(), "GET", &path).await.status,
        StatusCode::OK
    );
    assert_eq!(
        function.ask(&owner(), "DELETE", &path).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        function.ask(&owner(), "DELETE", &path).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        function.ask(&owner(), "GET", &path).await.status,
        StatusCode::NOT_FOUND
    );

    assert_eq!(function.blobs.keys(), [""; 0]);
    let link = function
        .blobs
        .follow(made["download_url"].as_str().unwrap(), function.now());
    assert_eq!(link, Err(FollowError::Missing));
    let deleted = function
        .table
        .rows()
        .into_iter()
        .filter(|row| announced(row) == "documents.deleted");
    assert_eq!(deleted.count(), 1);
}

#[tokio::test]
async fn another_tenants_document_does_not_exist() {
    let function = Function::new();
    let made = function
        .create(&owner(), "letter", &sample(Template::Letter))
        .await
        .body;
    let path = format!("/v1/documents/{}", made["id"].as_str().unwrap());
    let stranger = caller(2, "owner");

    for (method, path) in [
        ("GET", path.clone()),
        ("GET", format!("{path}/download")),
        ("DELETE", path.clone()),
    ] {
        let answer = function.ask(&stranger, method, &path).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (StatusCode::NOT_FOUND, &json!("not_found")),
            "{method}"
        );
    }
    assert_eq!(
        function.ask(&stranger, "GET", "/v1/documents").await.body["items"],
        json!([])
    );
    assert_eq!(
        function.ask(&owner(), "GET", &path).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn each_template_is_described_by_a_schema_that_its_samples_fit() {
    let function = Function::new();
    let listed = function
        .ask(&caller(1, "viewer"), "GET", "/v1/document-templates")
        .await;

    let names: Vec<&Value> = listed.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["name"])
        .collect();
    assert_eq!(names, ["invoice", "letter", "report"]);
    for name in ["invoice", "letter", "report"] {
        let template = function
            .ask(&owner(), "GET", &format!("/v1/document-templates/{name}"))
            .await
            .body;
        assert_eq!(
            (&template["builtin"], &template["live"]),
            (&json!(true), &json!(1))
        );
        assert!(template["schema"]["properties"]["locale"].is_object());
        for data in template["samples"].as_array().unwrap() {
            assert_eq!(
                function.create(&owner(), name, data).await.status,
                StatusCode::CREATED
            );
        }
    }
    let unknown = function
        .ask(&owner(), "GET", "/v1/document-templates/nothing")
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
