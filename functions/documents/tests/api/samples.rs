//! The sample events: each is understood by the function.

use std::fs;
use std::path::Path;

use lambda_http::http::StatusCode;
use serde_json::{Value, json};

use crate::Function;

fn samples() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/documents-api");
    let mut samples: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                serde_json::from_str(&text).unwrap(),
            )
        })
        .collect();
    samples.sort_by(|one, other| one.0.cmp(&other.0));
    samples
}

#[tokio::test]
async fn every_sample_event_is_answered_as_its_name_says() {
    let samples = samples();
    assert!(samples.len() >= 30);
    for (name, event) in samples {
        let function = Function::new();

        let answer = function.handle(&event).await;

        // The samples that name a document, a batch or a template of one's own name one that is not there, and
        // nobody has set a brand.
        let expected = match name.as_str() {
            "get"
            | "delete"
            | "download"
            | "merge-document"
            | "split-document"
            | "watermark-document"
            | "encrypt-document"
            | "get-batch"
            | "get-draft"
            | "cancel-batch"
            | "rename-template"
            | "delete-template"
            | "add-template-version"
            | "get-template-version"
            | "point-template-alias"
            | "get-brand"
            | "delete-brand" => StatusCode::NOT_FOUND,
            "create-batch" | "create-draft" => StatusCode::ACCEPTED,
            "list"
            | "list-templates"
            | "get-template"
            | "validate-template-data"
            | "preview-template"
            | "set-brand" => StatusCode::OK,
            _ => StatusCode::CREATED,
        };
        assert_eq!(answer.status, expected, "{name}: {}", answer.body);
        if expected == StatusCode::NOT_FOUND {
            assert_eq!(answer.body["code"], json!("not_found"), "{name}");
            assert_eq!(answer.headers["content-language"], "es", "{name}");
        }
    }
}
