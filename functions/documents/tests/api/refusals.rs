//! What is refused, and how it is said.

use documents::renderer::Renderer;
use documents::template::Template;
use lambda_http::http::StatusCode;
use serde_json::{Value, json};

use crate::{Answer, Function, caller, event, owner, sample};

fn pointers(answer: &Answer) -> Vec<&str> {
    answer.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn every_failing_path_is_named_at_once_in_the_callers_language() {
    let function = Function::new();
    let mut data = sample(Template::Invoice);
    data["lines"][0]["quantity"] = json!(-1);
    data["lines"][1]["unit_price"] = json!("12.50");
    data.as_object_mut().unwrap().remove("currency");
    let body = json!({ "template": "invoice", "data": data });
    let mut request = event(&owner(), "POST", "/v1/documents", Some(&body));
    request["headers"]["accept-language"] = json!("es");

    let answer = function.handle(&request).await;

    assert_eq!(
        (answer.status, &answer.body["code"]),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!("validation_failed")
        )
    );
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let mut found = pointers(&answer);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "/data/currency",
            "/data/lines/0/quantity",
            "/data/lines/1/unit_price"
        ]
    );
    let said = answer.body["errors"].to_string();
    assert!(
        said.contains("Debe ser 1 como mínimo") && said.contains("Falta este campo"),
        "{said}"
    );
}

#[tokio::test]
async fn a_character_that_cannot_be_printed_is_named_with_its_place() {
    let function = Function::new();
    let mut data = sample(Template::Letter);
    data["paragraphs"][1] = json!("A smile 😀");

    let answer = function.create(&owner(), "letter", &data).await;

    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(pointers(&answer), ["/data/paragraphs/1"]);
    assert!(
        answer.body["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("U+1F600")
    );
}

#[tokio::test]
async fn what_is_asked_for_must_exist() {
    let function = Function::new();

    let template = function.create(&owner(), "contract", &json!({})).await;
    assert_eq!(
        (template.status, pointers(&template)),
        (StatusCode::UNPROCESSABLE_ENTITY, vec!["/template"])
    );

    for (body, pointer) in [
        (
            json!({ "template": "letter", "data": {}, "format": "exe" }),
            "/format",
        ),
        (
            json!({ "template": "letter", "data": {}, "colour": 1 }),
            "/colour",
        ),
        (json!({ "template": "letter" }), "/data"),
    ] {
        let answer = function
            .handle(&event(&owner(), "POST", "/v1/documents", Some(&body)))
            .await;
        assert_eq!(
            (answer.status, pointers(&answer)),
            (StatusCode::BAD_REQUEST, vec![pointer]),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_report_of_too_many_pages_is_refused_with_both_numbers() {
    let function = Function::new();
    let mut data = sample(Template::Report);
    let block = json!({ "bullets": vec!["one line"; 100] });
    let section = json!({ "heading": "Long", "blocks": vec![block; 40] });
    data["sections"] = json!(vec![section; 3]);

    let answer = function.create(&owner(), "report", &data).await;

    assert_eq!(
        (answer.status, &answer.body["code"]),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!("document_too_large")
        )
    );
    assert!(
        answer.body["detail"]
            .as_str()
            .unwrap()
            .contains("at most 200"),
        "{}",
        answer.body
    );
    assert_eq!(function.blobs.keys(), [""; 0]);
}

#[tokio::test]
async fn a_viewer_reads_and_neither_makes_nor_deletes() {
    let function = Function::new();
    let made = function
        .create(&owner(), "letter", &sample(Template::Letter))
        .await
        .body;
    let path = format!("/v1/documents/{}", made["id"].as_str().unwrap());
    let viewer = caller(1, "viewer");

    assert_eq!(
        function.ask(&viewer, "GET", &path).await.status,
        StatusCode::OK
    );
    assert_eq!(
        function.ask(&viewer, "DELETE", &path).await.status,
        StatusCode::FORBIDDEN
    );
    let create = function
        .create(&viewer, "letter", &sample(Template::Letter))
        .await;
    assert_eq!(
        (create.status, &create.body["code"]),
        (StatusCode::FORBIDDEN, &json!("permission_denied"))
    );
}

#[tokio::test]
async fn nobody_is_served_without_a_caller() {
    let function = Function::new();
    for (method, path) in [
        ("POST", "/v1/documents"),
        ("GET", "/v1/documents"),
        ("GET", "/v1/documents/doc_00000000000000000000000000000001"),
        (
            "DELETE",
            "/v1/documents/doc_00000000000000000000000000000001",
        ),
        (
            "GET",
            "/v1/documents/doc_00000000000000000000000000000001/download",
        ),
        ("GET", "/v1/document-templates"),
        ("GET", "/v1/document-templates/invoice"),
    ] {
        let mut request = event(&owner(), method, path, None);
        request["requestContext"]["authorizer"] = Value::Null;

        assert_eq!(
            function.handle(&request).await.status,
            StatusCode::UNAUTHORIZED,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn what_is_no_id_names_nothing() {
    let function = Function::new();
    for id in [
        "doc_1",
        "usr_00000000000000000000000000000001",
        "..%2f..%2fsecret",
        "doc_%00",
    ] {
        let answer = function
            .ask(&owner(), "GET", &format!("/v1/documents/{id}"))
            .await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{id}");
    }
}

#[tokio::test]
async fn a_renderer_that_does_not_start_is_a_503_that_says_when_to_come_back() {
    let function = Function::over(Renderer::new("/nonexistent/render"));

    let answer = function
        .create(&owner(), "letter", &sample(Template::Letter))
        .await;

    assert_eq!(
        (answer.status, &answer.body["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable"))
    );
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(function.table.rows().len(), 0);
}
