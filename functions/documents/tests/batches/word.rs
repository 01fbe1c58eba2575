//! A batch with a Word file as its template.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};

use data_encoding::BASE64;
use documents::template::Template;
use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{World, caller};

/// A template made of a letter of ours, which a word processor might have written as well.
async fn template(world: &World) -> String {
    let mut letter = Template::Letter.samples()[1].clone();
    letter["subject"] = json!("An offer for {{ name }}");
    let new = json!({ "template": "letter", "format": "docx", "data": letter });
    let made = world.send(Call::post("/v1/documents", &new)).await.json();
    let url = made["download_url"].as_str().unwrap();
    let file = world
        .blobs
        .follow(url, made["created_at"].as_str().unwrap().parse().unwrap())
        .unwrap();
    let new = json!({
        "name": "An offer",
        "schema": { "type": "object" },
        "docx": BASE64.encode(&file.blob.bytes),
        "samples": [{ "name": "Ana" }],
    });
    let answer = Call::post("/v1/document-templates", &new)
        .by(&caller(1))
        .send(&world.router)
        .await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.json());
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn body_of(file: &[u8]) -> String {
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).unwrap();
    let mut text = String::new();
    let mut part = archive.by_name("word/document.xml").unwrap();
    part.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn each_row_fills_the_file_and_one_that_lacks_a_field_is_an_error_of_its_own() {
    let world = World::new();
    let template = template(&world).await;
    let rows: Vec<Value> = (0..25)
        .map(|row| match row {
            7 => json!({ "title": "Dr" }),
            row => json!({ "name": format!("Person {row}") }),
        })
        .collect();
    let new = json!({ "template": template, "rows": rows });
    let answer = world.send(Call::post("/v1/document-batches", &new)).await;
    let path = format!(
        "/v1/document-batches/{}",
        answer.json()["id"].as_str().unwrap()
    );

    world.settle().await;

    let state = world.get(&path).await;
    assert_eq!(
        [&state["status"], &state["ready"], &state["failed"]],
        [&json!("done"), &json!(24), &json!(1)]
    );
    let errors = world.all(&format!("{path}/errors")).await;
    assert_eq!(
        (&errors[0]["row"], &errors[0]["code"]),
        (&json!(7), &json!("template_refused"))
    );
    assert_eq!(
        errors[0]["detail"],
        "{{ name }}: the data has no such field"
    );
    let files: BTreeMap<String, Vec<u8>> = world.unzipped(&path).await;
    let shown: BTreeSet<bool> = files
        .iter()
        .map(|(name, file)| {
            let row: u32 = name[..5].parse().unwrap();
            body_of(file).contains(&format!("An offer for Person {row}<"))
        })
        .collect();
    assert_eq!((files.len(), shown), (24, BTreeSet::from([true])));
}
