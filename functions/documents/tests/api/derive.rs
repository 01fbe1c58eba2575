//! New documents of old ones, as their owner sees it.

use documents::template::Template;
use lambda_http::http::StatusCode;
use ports::faults::Fault;
use serde_json::{Value, json};

use crate::{Answer, Function, announced, caller, event, owner, sample};

async fn made(function: &Function, template: Template) -> String {
    let answer = function
        .create(&owner(), template.name(), &sample(template))
        .await;
    answer.body["id"].as_str().unwrap().to_owned()
}

async fn ask(function: &Function, by: &Value, id: &str, what: &str, body: &Value) -> Answer {
    let path = format!("/v1/documents/{id}/{what}");
    function.handle(&event(by, "POST", &path, Some(body))).await
}

fn file(function: &Function, view: &Value) -> Vec<u8> {
    let link = view["download_url"].as_str().unwrap();
    let file = function.blobs.follow(link, function.now()).unwrap().blob;
    assert_eq!(file.content_type, "application/pdf");
    assert_eq!(view["bytes"], file.bytes.len());
    file.bytes
}

fn rendered(function: &Function) -> usize {
    let rows = function.table.rows();
    let events = rows
        .iter()
        .filter(|row| announced(row) == "documents.rendered");
    events.count()
}

#[tokio::test]
async fn documents_become_one_and_one_becomes_several() {
    let function = Function::new();
    let letter = made(&function, Template::Letter).await;
    let invoice = made(&function, Template::Invoice).await;
    let source = function
        .ask(&owner(), "GET", &format!("/v1/documents/{letter}"))
        .await;

    let merged = ask(
        &function,
        &owner(),
        &letter,
        "merge",
        &json!({"with": [invoice, letter]}),
    )
    .await;

    assert_eq!(merged.status, StatusCode::CREATED, "{}", merged.body);
    let view = &merged.body;
    assert_eq!(
        (&view["pages"], &view["conformance"]),
        (&json!(3), &Value::Null)
    );
    assert_eq!(
        view["made_from"],
        json!({"operation": "merge", "documents": [letter, invoice, letter]})
    );
    let pages = lopdf::Document::load_mem(&file(&function, view))
        .unwrap()
        .get_pages()
        .len();
    assert_eq!(pages, 3);
    let split = ask(
        &function,
        &owner(),
        view["id"].as_str().unwrap(),
        "split",
        &json!({"ranges": ["1-2", "3", "2-2"]}),
    )
    .await;
    assert_eq!(split.status, StatusCode::CREATED, "{}", split.body);
    let items = split.body["items"].as_array().unwrap();
    let pages: Vec<_> = items.iter().map(|item| &item["pages"]).collect();
    assert_eq!(pages, [2, 1, 1]);
    for item in items {
        let read = lopdf::Document::load_mem(&file(&function, item)).unwrap();
        assert_eq!(item["pages"], read.get_pages().len());
        assert_eq!(item["conformance"], Value::Null);
        let path = format!("/v1/documents/{}", item["id"].as_str().unwrap());
        assert_eq!(
            function.ask(&owner(), "GET", &path).await.status,
            StatusCode::OK
        );
    }
    assert_eq!(rendered(&function), 2 + 1 + 3);
    let after = function
        .ask(&owner(), "GET", &format!("/v1/documents/{letter}"))
        .await;
    assert_eq!(after.body["sha256"], source.body["sha256"]);
}

#[tokio::test]
async fn a_watermark_keeps_the_claims_of_its_source() {
    let function = Function::new();
    let invoice = made(&function, Template::Invoice).await;
    let body = json!({"text": "Borrador", "opacity": 0.3});

    let marked = ask(&function, &owner(), &invoice, "watermark", &body).await;
    let again = ask(&function, &owner(), &invoice, "watermark", &body).await;
    let merged = ask(
        &function,
        &owner(),
        &invoice,
        "merge",
        &json!({"with": [invoice]}),
    )
    .await;
    let bare = merged.body["id"].as_str().unwrap();
    let bare = ask(&function, &owner(), bare, "watermark", &body).await;

    assert_eq!(marked.status, StatusCode::CREATED, "{}", marked.body);
    assert_eq!(marked.body["conformance"], json!(["PDF/A-2b", "PDF/UA-1"]));
    assert_eq!(marked.body["sha256"], again.body["sha256"]);
    assert_ne!(marked.body["id"], again.body["id"]);
    assert_eq!(bare.status, StatusCode::CREATED, "{}", bare.body);
    assert_eq!(bare.body["conformance"], Value::Null);
}

#[tokio::test]
async fn an_encrypted_document_opens_with_its_password_and_serves_for_nothing_else() {
    let function = Function::new();
    let letter = made(&function, Template::Letter).await;
    let body = json!({"user_password": "correct horse", "permissions": ["print"]});

    let locked = ask(&function, &owner(), &letter, "encrypt", &body).await;

    assert_eq!(locked.status, StatusCode::CREATED, "{}", locked.body);
    assert_eq!(
        (&locked.body["conformance"], &locked.body["pages"]),
        (&Value::Null, &json!(1))
    );
    let octets = file(&function, &locked.body);
    assert!(opens(&octets, "correct horse"));
    assert!(!opens(&octets, "another horse"));
    let rows = format!("{:?}", function.table.rows());
    assert!(!rows.contains("correct horse"), "the password is kept");
    let id = locked.body["id"].as_str().unwrap();
    let marked = ask(&function, &owner(), id, "watermark", &json!({"text": "x"})).await;
    assert_eq!(marked.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(marked.body["code"], "document_protected");
    let merged = ask(
        &function,
        &owner(),
        &letter,
        "merge",
        &json!({"with": [letter, id]}),
    )
    .await;
    assert_eq!(merged.body["code"], "document_protected");
    assert_eq!(merged.body["errors"][0]["pointer"], "/with/1");
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let function = Function::new();
    let letter = made(&function, Template::Letter).await;
    let many: Vec<_> = std::iter::repeat_n(&letter, 50).collect();
    let nobodys = "doc_0194fe2a4c8d7e11a0b3c5d7e9f10299";
    for (what, body, pointer) in [
        ("merge", json!({"with": []}), "/with"),
        ("merge", json!({"with": many}), "/with"),
        ("merge", json!({"with": [letter, nobodys]}), "/with/1"),
        ("merge", json!({"with": ["letter"]}), "/with/0"),
        ("split", json!({"ranges": []}), "/ranges"),
        ("split", json!({"ranges": ["1", "1-2"]}), "/ranges/1"),
        ("split", json!({"ranges": ["first"]}), "/ranges/0"),
        ("watermark", json!({"text": " "}), "/text"),
        ("watermark", json!({"text": "a\nb"}), "/text"),
        ("watermark", json!({"text": "漢"}), "/text"),
        ("watermark", json!({"text": "a\u{202e}b"}), "/text"),
        ("watermark", json!({"text": "x".repeat(81)}), "/text"),
        ("watermark", json!({"text": "x", "opacity": 0}), "/opacity"),
        (
            "watermark",
            json!({"text": "x", "opacity": 1.01}),
            "/opacity",
        ),
        (
            "encrypt",
            json!({"user_password": "short"}),
            "/user_password",
        ),
        (
            "encrypt",
            json!({"user_password": "x".repeat(128)}),
            "/user_password",
        ),
        (
            "encrypt",
            json!({"user_password": "long enough", "owner_password": "long enough"}),
            "/owner_password",
        ),
        (
            "encrypt",
            json!({"user_password": "long enough", "permissions": ["fly"]}),
            "/permissions/0",
        ),
    ] {
        let answer = ask(&function, &owner(), &letter, what, &body).await;

        // What is no value of its type at all is refused at the door.
        let code = match pointer {
            "/with/0" | "/permissions/0" => "body_invalid",
            _ => "validation_failed",
        };
        assert_eq!(answer.body["code"], code, "{what}: {}", answer.body);
        assert_eq!(
            answer.body["errors"][0]["pointer"], pointer,
            "{what}: {body}"
        );
    }
    assert_eq!(rendered(&function), 1);
    assert_eq!(function.blobs.keys().len(), 1);
}

#[tokio::test]
async fn only_a_pdf_serves() {
    let function = Function::new();
    let body = json!({"template": "letter", "data": sample(Template::Letter), "format": "docx"});
    let request = event(&owner(), "POST", "/v1/documents", Some(&body));
    let text = function.handle(&request).await.body;

    let id = text["id"].as_str().unwrap();
    let answer = ask(&function, &owner(), id, "watermark", &json!({"text": "x"})).await;

    assert_eq!(text["conformance"], Value::Null);
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.body["code"], "document_not_pdf");
}

#[tokio::test]
async fn another_tenants_document_is_neither_source_nor_part() {
    let function = Function::new();
    let letter = made(&function, Template::Letter).await;
    let stranger = caller(2, "owner");
    let own = function
        .create(&stranger, "letter", &sample(Template::Letter))
        .await;
    let own = own.body["id"].as_str().unwrap();

    for (what, body) in [
        ("merge", json!({"with": [own]})),
        ("split", json!({"ranges": ["1"]})),
        ("watermark", json!({"text": "x"})),
        ("encrypt", json!({"user_password": "long enough"})),
    ] {
        let answer = ask(&function, &stranger, &letter, what, &body).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{what}");
        let viewer = ask(&function, &caller(1, "viewer"), &letter, what, &body).await;
        assert_eq!(viewer.status, StatusCode::FORBIDDEN, "{what}");
    }
    let merged = ask(
        &function,
        &stranger,
        own,
        "merge",
        &json!({"with": [letter]}),
    )
    .await;
    assert_eq!(
        merged.body["errors"][0]["pointer"], "/with/0",
        "{}",
        merged.body
    );
}

#[tokio::test]
async fn a_request_cut_anywhere_makes_its_documents_once_and_whole() {
    for (what, body, count) in [
        ("split", json!({"ranges": ["1", "1"]}), 2),
        ("encrypt", json!({"user_password": "correct horse"}), 1),
    ] {
        for fault in [Fault::Before, Fault::After, Fault::Throttled] {
            for call in 0..8 {
                let function = Function::new();
                let letter = made(&function, Template::Letter).await;
                let path = format!("/v1/documents/{letter}/{what}");
                let mut request = event(&owner(), "POST", &path, Some(&body));
                request["headers"]["idempotency-key"] = json!("order-18");
                let (table, blobs) = (function.table.faults(), function.blobs.faults());
                match call {
                    0..4 => table.fail_call(table.calls() + call, fault),
                    _ => blobs.fail_call(blobs.calls() + call - 4, fault),
                }

                let mut answer = function.handle(&request).await;
                for _ in 0..3 {
                    if answer.status == StatusCode::CREATED {
                        break;
                    }
                    answer = function.handle(&request).await;
                }

                let place = format!("{what}: {fault:?} at {call}");
                assert_eq!(
                    answer.status,
                    StatusCode::CREATED,
                    "{place}: {}",
                    answer.body
                );
                assert_eq!(rendered(&function), 1 + count, "{place}");
                assert_eq!(function.blobs.keys().len(), 1 + count, "{place}");
                let one = answer.body["items"].get(0).unwrap_or(&answer.body);
                // The row tells of the file that is there, and not of one of an earlier attempt.
                assert_eq!(one["sha256"], sha256(&file(&function, one)), "{place}");
            }
        }
    }
}

fn sha256(octets: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, octets);
    data_encoding::HEXLOWER.encode(digest.as_ref())
}

fn opens(octets: &[u8], password: &str) -> bool {
    let options = lopdf::LoadOptions::with_password(password);
    lopdf::Document::load_mem_with_options(octets, options).is_ok()
}
