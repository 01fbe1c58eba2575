//! A request that is cut at every call to the outside and sent again: nothing is lost, nothing doubled.

use documents::template::Template;
use lambda_http::http::StatusCode;
use ports::faults::Fault;
use serde_json::{Value, json};

use crate::{Function, announced, event, owner, sample};

fn request() -> Value {
    let body = json!({ "template": "letter", "data": sample(Template::Letter) });
    let mut request = event(&owner(), "POST", "/v1/documents", Some(&body));
    request["headers"]["idempotency-key"] = json!("order-17");
    request
}

/// Sends the request until it is answered with what it asks for.
async fn insist(function: &Function, request: &Value) -> Value {
    for _ in 0..5 {
        let answer = function.handle(request).await;
        if answer.status == StatusCode::CREATED {
            return answer.body;
        }
        assert_eq!(
            answer.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{}",
            answer.body
        );
    }
    panic!("five attempts and no document");
}

fn rendered(function: &Function) -> usize {
    function
        .table
        .rows()
        .iter()
        .filter(|row| announced(row) == "documents.rendered")
        .count()
}

#[tokio::test]
async fn a_create_cut_anywhere_makes_one_document_and_one_event() {
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        for (table_call, blob_call) in [
            (Some(0), None),
            (Some(1), None),
            (None, Some(0)),
            (None, Some(1)),
        ] {
            let function = Function::new();
            if let Some(call) = table_call {
                function.table.faults().fail_call(call, fault);
            }
            if let Some(call) = blob_call {
                function.blobs.faults().fail_call(call, fault);
            }

            let made = insist(&function, &request()).await;

            let place = format!("{fault:?} at table {table_call:?}, blob {blob_call:?}");
            assert_eq!(function.blobs.keys().len(), 1, "{place}");
            assert_eq!(rendered(&function), 1, "{place}");
            assert!(
                function.blobs.keys()[0].contains(made["id"].as_str().unwrap()),
                "{place}"
            );
        }
    }
}

#[tokio::test]
async fn a_conflict_on_the_rows_is_answered_as_come_back_later() {
    let function = Function::new();
    function.table.conflict_next_write();

    let made = insist(&function, &request()).await;

    assert_eq!(rendered(&function), 1);
    assert!(made["id"].is_string());
}

#[tokio::test]
async fn a_delete_cut_anywhere_leaves_neither_row_nor_file() {
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        for call in 0..3 {
            let function = Function::new();
            let made = insist(&function, &request()).await;
            let path = format!("/v1/documents/{}", made["id"].as_str().unwrap());
            match call {
                2 => function.blobs.faults().fail_next(fault),
                at => function.table.faults().fail_call(at, fault),
            }

            function.ask(&owner(), "DELETE", &path).await;
            function.ask(&owner(), "DELETE", &path).await;

            assert_eq!(
                function.ask(&owner(), "GET", &path).await.status,
                StatusCode::NOT_FOUND,
                "{fault:?} at {call}"
            );
            assert_eq!(function.blobs.keys(), [""; 0], "{fault:?} at {call}");
            let deleted = function
                .table
                .rows()
                .into_iter()
                .filter(|row| announced(row) == "documents.deleted");
            assert_eq!(deleted.count(), 1, "{fault:?} at {call}");
        }
    }
}
