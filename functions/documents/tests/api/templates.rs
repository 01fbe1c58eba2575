//! What an organisation does with templates of its own.

use std::time::Duration;

use documents::template::Template;
use lambda_http::http::StatusCode;
use ports::faults::Fault;
use serde_json::{Value, json};

use crate::{Answer, Function, announced, caller, event, owner};

/// A delivery note: a title, a greeting, a table.
const SOURCE: &str = r#"#set document(title: "Delivery note " + data.number)
#set text(lang: "en")
= Delivery note #data.number
For #data.customer.
#table(
  columns: 2,
  table.header[Item][Pieces],
  ..data.items.map(it => (it.name, str(it.pieces))).flatten(),
)
"#;

fn note() -> Value {
    json!({
        "name": "Delivery note",
        "schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "additionalProperties": false,
            "required": ["number", "customer", "items"],
            "properties": {
                "number": { "type": "string", "pattern": "^[A-Z0-9-]{1,20}$" },
                "customer": { "type": "string", "minLength": 1, "maxLength": 80 },
                "items": { "type": "array", "maxItems": 50, "items": { "$ref": "#/$defs/item" } },
            },
            "$defs": {
                "item": {
                    "type": "object",
                    "required": ["name", "pieces"],
                    "properties": {
                        "name": { "type": "string" },
                        "pieces": { "type": "integer", "minimum": 1 },
                    },
                },
            },
        },
        "source": SOURCE,
        "samples": [data("A-1")],
    })
}

fn data(number: &str) -> Value {
    json!({ "number": number, "customer": "Talleres Vega", "items": [{ "name": "Bolt", "pieces": 40 }] })
}

impl Function {
    async fn send(&self, caller: &Value, method: &str, path: &str, body: &Value) -> Answer {
        self.handle(&event(caller, method, path, Some(body))).await
    }

    /// The path of a template that was taken on.
    async fn noted(&self) -> String {
        let made = self
            .send(&owner(), "POST", "/v1/document-templates", &note())
            .await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        format!(
            "/v1/document-templates/{}",
            made.body["id"].as_str().unwrap()
        )
    }
}

fn id_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn pointers(answer: &Answer) -> Vec<&str> {
    answer.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect()
}

/// What a reader finds in the file behind an answer's link.
fn text_behind(function: &Function, answer: &Answer) -> String {
    let url = answer.body["download_url"].as_str().unwrap();
    let file = function.blobs.follow(url, function.now()).unwrap();
    let document = lopdf::Document::load_mem(&file.blob.bytes).unwrap();
    let pages: Vec<u32> = document.get_pages().into_keys().collect();
    document.extract_text(&pages).unwrap()
}

#[tokio::test]
async fn a_template_is_taken_on_and_documents_are_made_with_it() {
    let function = Function::new();

    let made = function
        .send(&owner(), "POST", "/v1/document-templates", &note())
        .await;

    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.body["version"], 1);
    let id = made.body["id"].as_str().unwrap();
    assert!(id.starts_with("tpl_"));
    let document = function.create(&owner(), id, &data("B-7")).await;
    assert_eq!(document.status, StatusCode::CREATED, "{}", document.body);
    assert_eq!(
        (
            &document.body["template"],
            &document.body["template_version"]
        ),
        (&json!(id), &json!(1))
    );
    let text = text_behind(&function, &document);
    assert!(
        text.contains("Delivery note B-7") && text.contains("Talleres Vega"),
        "{text}"
    );
}

#[tokio::test]
async fn a_template_shows_what_it_is_made_of() {
    let function = Function::new();
    let path = function.noted().await;

    let view = function.ask(&owner(), "GET", &path).await;
    let version = function
        .ask(&owner(), "GET", &format!("{path}/versions/1"))
        .await;

    assert_eq!(view.status, StatusCode::OK);
    assert_eq!(view.headers["etag"], "\"v1\"");
    assert_eq!(
        (
            &view.body["name"],
            &view.body["builtin"],
            &view.body["live"],
            &view.body["draft"]
        ),
        (
            &json!("Delivery note"),
            &json!(false),
            &Value::Null,
            &json!(1)
        )
    );
    assert_eq!(view.body["schema"], note()["schema"]);
    assert_eq!(view.body["samples"], note()["samples"]);
    assert_eq!(version.body["source"], SOURCE);
    assert_eq!(version.body["sha256"], view.body["versions"][0]["sha256"]);
    for missing in ["versions/2", "versions/live", "versions/x"] {
        let answer = function
            .ask(&owner(), "GET", &format!("{path}/{missing}"))
            .await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

#[tokio::test]
async fn what_is_published_is_what_documents_are_made_with_until_it_is_taken_back() {
    let function = Function::new();
    let path = function.noted().await;
    let id = id_of(&path).to_owned();
    let mut second = note();
    second["source"] = json!(SOURCE.replace("= Delivery note", "= Albarán"));
    let added = function
        .send(&owner(), "POST", &format!("{path}/versions"), &second)
        .await;
    assert_eq!(
        (added.status, &added.body["version"]),
        (StatusCode::CREATED, &json!(2)),
        "{}",
        added.body
    );

    let mut seen = Vec::new();
    for version in [1, 2, 1] {
        let body = json!({ "version": version });
        let live = function
            .send(&owner(), "PUT", &format!("{path}/aliases/live"), &body)
            .await;
        assert_eq!(
            (live.status, &live.body["live"], &live.body["draft"]),
            (StatusCode::OK, &json!(version), &json!(2))
        );
        let document = function.create(&owner(), &id, &data("B-7")).await;
        seen.push(text_behind(&function, &document).contains("Albarán"));
    }
    let draft = function
        .create(&owner(), &format!("{id}@draft"), &data("B-7"))
        .await;

    assert_eq!(seen, [false, true, false]);
    assert_eq!(draft.body["template_version"], 2);
    let published: Vec<_> = function
        .table
        .rows()
        .into_iter()
        .filter(|row| announced(row) == "documents.template_published")
        .map(|row| row.attributes["envelope"]["data"].clone())
        .collect();
    assert_eq!(published.len(), 3);
    assert!(published.contains(&json!({
        "template": id, "version": 2, "previous": 1, "by": owner()["user"],
    })));
}

#[tokio::test]
async fn an_alias_names_a_version_that_is_there() {
    let function = Function::new();
    let path = function.noted().await;
    for (alias, version, status) in [
        ("live", json!(2), StatusCode::UNPROCESSABLE_ENTITY),
        ("live", Value::Null, StatusCode::UNPROCESSABLE_ENTITY),
        ("live", json!("1"), StatusCode::BAD_REQUEST),
        ("newest", json!(1), StatusCode::NOT_FOUND),
        ("draft", json!(1), StatusCode::OK),
        ("draft", Value::Null, StatusCode::OK),
    ] {
        let body = json!({ "version": version });
        let answer = function
            .send(&owner(), "PUT", &format!("{path}/aliases/{alias}"), &body)
            .await;
        assert_eq!(answer.status, status, "{alias} {version}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_version_is_made_once_and_never_changed() {
    let function = Function::new();
    let path = function.noted().await;

    let same = function
        .send(&owner(), "POST", &format!("{path}/versions"), &note())
        .await;
    let view = function.ask(&owner(), "GET", &path).await;

    assert_eq!(
        (same.status, &same.body["version"]),
        (StatusCode::CREATED, &json!(1))
    );
    assert_eq!(view.body["versions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_version_and_data_give_the_same_file_whenever_it_is_made() {
    let function = Function::new();
    let path = function.noted().await;
    let first = function
        .create(&owner(), id_of(&path), &data("B-7"))
        .await
        .body;
    function.clock.advance(Duration::from_hours(30));

    let second = function
        .create(&owner(), id_of(&path), &data("B-7"))
        .await
        .body;
    let other = function
        .create(&owner(), id_of(&path), &data("B-8"))
        .await
        .body;

    assert_eq!(first["sha256"], second["sha256"]);
    assert_ne!(first["sha256"], other["sha256"]);
}

#[tokio::test]
async fn data_that_does_not_fit_is_named_in_the_callers_language() {
    let function = Function::new();
    let path = function.noted().await;
    let mut wrong = data("b 7");
    wrong["items"][0]["pieces"] = json!(0);
    wrong["colour"] = json!("red");
    let body = json!({ "template": id_of(&path), "data": wrong });
    let mut request = event(&owner(), "POST", "/v1/documents", Some(&body));
    request["headers"]["accept-language"] = json!("es");

    let answer = function.handle(&request).await;
    let verdict = function
        .send(
            &owner(),
            "POST",
            &format!("{path}/versions/1/validate"),
            &json!({ "data": wrong }),
        )
        .await;
    let fine = function
        .send(
            &owner(),
            "POST",
            &format!("{path}/versions/draft/validate"),
            &json!({ "data": data("B-7") }),
        )
        .await;

    assert_eq!(
        (answer.status, &answer.body["code"]),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!("validation_failed")
        )
    );
    let mut found = pointers(&answer);
    found.sort_unstable();
    assert_eq!(
        found,
        ["/data/colour", "/data/items/0/pieces", "/data/number"]
    );
    assert!(
        answer.body["errors"]
            .to_string()
            .contains("Debe ser 1 como mínimo")
    );
    assert_eq!(
        (verdict.status, &verdict.body["valid"]),
        (StatusCode::OK, &json!(false))
    );
    assert_eq!(verdict.body["errors"].as_array().unwrap().len(), 3);
    assert_eq!(fine.body, json!({ "valid": true, "errors": [] }));
}

#[tokio::test]
async fn a_template_is_looked_at_before_it_is_used() {
    let function = Function::new();
    let path = function.noted().await;
    for (body, start, pages) in [
        (json!({}), &b"%PDF-"[..], 1),
        (json!({ "sample": 0, "format": "pdf" }), b"%PDF-", 1),
        (
            json!({ "data": data("C-9"), "format": "png" }),
            b"\x89PNG\r\n",
            1,
        ),
        (json!({ "format": "png", "page": 9 }), b"\x89PNG\r\n", 1),
    ] {
        let answer = function
            .send(
                &owner(),
                "POST",
                &format!("{path}/versions/draft/preview"),
                &body,
            )
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{body}: {}", answer.body);
        assert_eq!(answer.body["pages"], pages, "{body}");
        let url = answer.body["download_url"].as_str().unwrap();
        let file = function.blobs.follow(url, function.now()).unwrap();
        assert!(file.blob.bytes.starts_with(start), "{body}");
        assert_eq!(answer.body["bytes"], file.blob.bytes.len());
    }
    for (body, pointer) in [
        (json!({ "sample": 1 }), "/sample"),
        (json!({ "sample": 0, "data": {} }), "/sample"),
        (json!({ "format": "png", "page": 0 }), "/page"),
        (json!({ "data": data("lower case") }), "/data/number"),
    ] {
        let answer = function
            .send(
                &owner(),
                "POST",
                &format!("{path}/versions/1/preview"),
                &body,
            )
            .await;
        assert_eq!(
            (answer.status, pointers(&answer)),
            (StatusCode::UNPROCESSABLE_ENTITY, vec![pointer]),
            "{body}"
        );
    }
    let documents = function.ask(&owner(), "GET", "/v1/documents").await;
    assert_eq!(documents.body["items"], json!([]), "nothing was kept");
}

#[tokio::test]
async fn a_built_in_template_is_looked_at_and_tried_and_never_changed() {
    let function = Function::new();
    let path = "/v1/document-templates/letter";

    let preview = function
        .send(
            &owner(),
            "POST",
            &format!("{path}/versions/1/preview"),
            &json!({ "format": "png", "sample": 1 }),
        )
        .await;
    let verdict = function
        .send(
            &owner(),
            "POST",
            &format!("{path}/versions/live/validate"),
            &json!({ "data": {} }),
        )
        .await;

    assert_eq!(preview.status, StatusCode::OK, "{}", preview.body);
    assert_eq!(verdict.body["valid"], false);
    for (method, target, body) in [
        ("PATCH", path.to_owned(), json!({ "name": "Mine" })),
        ("POST", format!("{path}/versions"), note()),
        (
            "PUT",
            format!("{path}/aliases/live"),
            json!({ "version": 1 }),
        ),
    ] {
        let answer = function.send(&owner(), method, &target, &body).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {target}");
    }
    assert_eq!(
        function.ask(&owner(), "DELETE", path).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of faults reads best in one piece"
)]
async fn each_part_of_a_template_that_is_wrong_is_named() {
    let function = Function::new();
    let change = |pointer: &str, value: Value| {
        let mut new = note();
        match new.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => panic!("{pointer} is not in the note"),
        }
        new
    };
    for (new, code, pointer) in [
        (change("/name", json!(" ")), "validation_failed", "/name"),
        (change("/source", json!("")), "validation_failed", "/source"),
        (
            change("/source", json!("x".repeat(128 * 1024 + 1))),
            "validation_failed",
            "/source",
        ),
        (
            change("/samples", json!([])),
            "validation_failed",
            "/samples",
        ),
        (
            change("/samples", json!(vec![data("A-1"); 5])),
            "validation_failed",
            "/samples",
        ),
        (
            change("/samples/0", json!(7)),
            "validation_failed",
            "/samples/0",
        ),
        (
            change("/samples/0/items/0/pieces", json!(0)),
            "validation_failed",
            "/samples/0/items/0/pieces",
        ),
        (
            change("/samples/0/customer", json!("Vega 😀")),
            "validation_failed",
            "/samples/0/customer",
        ),
        (
            change("/samples/0/customer", json!("Vega \u{202e}")),
            "validation_failed",
            "/samples/0/customer",
        ),
        (
            change("/schema", json!("object")),
            "validation_failed",
            "/schema",
        ),
        (
            change("/schema/type", json!("thing")),
            "validation_failed",
            "/schema/type",
        ),
        (
            change(
                "/schema/$schema",
                json!("http://json-schema.org/draft-07/schema#"),
            ),
            "validation_failed",
            "/schema/$schema",
        ),
        (
            change(
                "/schema/properties/items/items/$ref",
                json!("https://example.com/item.json"),
            ),
            "validation_failed",
            "/schema/properties/items/items/$ref",
        ),
        (
            change("/source", json!("= A\n#data.nothing")),
            "template_refused",
            "/source",
        ),
        (
            change("/source", json!("= A\n#link(\"javascript:alert(1)\")[x]")),
            "template_refused",
            "/source",
        ),
        (
            change(
                "/source",
                json!("#let n = 0\n#for a in range(100000) { for b in range(100000) { n += 1 } }"),
            ),
            "template_too_slow",
            "/source",
        ),
    ] {
        let answer = function
            .send(&owner(), "POST", "/v1/document-templates", &new)
            .await;
        assert_eq!(
            (answer.status, answer.body["code"].as_str().unwrap()),
            (StatusCode::UNPROCESSABLE_ENTITY, code),
            "{pointer}: {}",
            answer.body
        );
        assert_eq!(pointers(&answer), [pointer], "{}", answer.body);
    }
    assert_eq!(function.table.rows().len(), 0, "nothing was taken on");
}

#[tokio::test]
async fn a_mistake_in_the_source_is_found_by_line_and_column() {
    let function = Function::new();
    for (source, detail) in [
        (
            "= Title\n\nHello #nobody",
            "Line 3, column 8: unknown variable: nobody",
        ),
        (
            "= Title\n#panic(data.customer)",
            "Line 2, column 2: panicked with: …",
        ),
        (
            "= Title\n#let x = (",
            "Line 2, column 10: unclosed delimiter",
        ),
    ] {
        let mut new = note();
        new["source"] = json!(source);

        let answer = function
            .send(&owner(), "POST", "/v1/document-templates", &new)
            .await;

        assert_eq!(answer.body["code"], "template_refused");
        assert_eq!(answer.body["errors"][0]["detail"], detail);
        assert!(!answer.body.to_string().contains("Talleres"));
    }
}

#[tokio::test]
async fn data_that_the_source_cannot_take_is_the_authors_to_see_to() {
    let function = Function::new();
    let mut new = note();
    new["source"] = json!("= Note\n#data.items.first().name");
    let made = function
        .send(&owner(), "POST", "/v1/document-templates", &new)
        .await;
    let mut empty = data("B-7");
    empty["items"] = json!([]);

    let answer = function
        .create(&owner(), made.body["id"].as_str().unwrap(), &empty)
        .await;

    assert_eq!(
        (answer.status, &answer.body["code"], pointers(&answer)),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!("template_refused"),
            vec!["/template"]
        )
    );
    assert!(
        answer.body["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("Line 2"),
        "{}",
        answer.body
    );
    assert_eq!(function.blobs.keys(), [""; 0]);
}

#[tokio::test]
async fn a_template_of_pages_becomes_a_pdf_and_nothing_else() {
    let function = Function::new();
    let path = function.noted().await;
    for format in ["docx", "xlsx", "html"] {
        let body = json!({ "template": id_of(&path), "data": data("B-7"), "format": format });

        let answer = function
            .send(&owner(), "POST", "/v1/documents", &body)
            .await;

        assert_eq!(
            (answer.status, pointers(&answer)),
            (StatusCode::UNPROCESSABLE_ENTITY, vec!["/format"])
        );
    }
}

#[tokio::test]
async fn a_change_on_an_old_reading_is_refused() {
    let function = Function::new();
    let path = function.noted().await;
    let with = |tag: &str, method: &str, target: &str, body: &Value| {
        let mut request = event(&owner(), method, target, Some(body));
        request["headers"]["if-match"] = json!(tag);
        request
    };

    let renamed = function
        .handle(&with("\"v1\"", "PATCH", &path, &json!({ "name": "Note" })))
        .await;
    let late = function
        .handle(&with("\"v1\"", "PATCH", &path, &json!({ "name": "Other" })))
        .await;
    let alias = function
        .handle(&with(
            "\"v1\"",
            "PUT",
            &format!("{path}/aliases/live"),
            &json!({ "version": 1 }),
        ))
        .await;

    assert_eq!(
        (renamed.status, &renamed.body["name"]),
        (StatusCode::OK, &json!("Note"))
    );
    assert_eq!(renamed.headers["etag"], "\"v2\"");
    assert_eq!(
        (late.status, &late.body["code"]),
        (StatusCode::PRECONDITION_FAILED, &json!("version_mismatch"))
    );
    assert_eq!(alias.status, StatusCode::PRECONDITION_FAILED);
    let view = function.ask(&owner(), "GET", &path).await;
    assert_eq!(
        (&view.body["name"], &view.body["live"]),
        (&json!("Note"), &Value::Null)
    );
}

#[tokio::test]
async fn a_deleted_template_is_gone_and_its_documents_stay() {
    let function = Function::new();
    let path = function.noted().await;
    let document = function
        .create(&owner(), id_of(&path), &data("B-7"))
        .await
        .body;

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
    let again = function.create(&owner(), id_of(&path), &data("B-7")).await;
    assert_eq!(pointers(&again), ["/template"]);
    let kept = format!("/v1/documents/{}", document["id"].as_str().unwrap());
    assert_eq!(
        function.ask(&owner(), "GET", &kept).await.status,
        StatusCode::OK
    );
    assert!(
        !function
            .table
            .rows()
            .iter()
            .any(|row| row.key.sk.starts_with("template"))
    );
}

#[tokio::test]
async fn another_tenants_template_does_not_exist_and_a_viewer_changes_none() {
    let function = Function::new();
    let path = function.noted().await;
    let stranger = caller(2, "owner");
    let live = json!({ "version": 1 });
    for (method, target, body) in [
        ("GET", path.clone(), None),
        ("DELETE", path.clone(), None),
        ("GET", format!("{path}/versions/1"), None),
        ("PATCH", path.clone(), Some(json!({ "name": "Mine" }))),
        ("POST", format!("{path}/versions"), Some(note())),
        ("PUT", format!("{path}/aliases/live"), Some(live)),
        (
            "POST",
            format!("{path}/versions/1/preview"),
            Some(json!({})),
        ),
        (
            "POST",
            format!("{path}/versions/1/validate"),
            Some(json!({ "data": {} })),
        ),
    ] {
        let answer = function
            .handle(&event(&stranger, method, &target, body.as_ref()))
            .await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {target}");
        if method != "GET" && !target.ends_with("validate") {
            let viewer = function
                .handle(&event(&caller(1, "viewer"), method, &target, body.as_ref()))
                .await;
            assert_eq!(viewer.status, StatusCode::FORBIDDEN, "{method} {target}");
        }
    }
    let document = function.create(&stranger, id_of(&path), &data("B-7")).await;
    assert_eq!(pointers(&document), ["/template"]);
    let listed = function
        .ask(&stranger, "GET", "/v1/document-templates")
        .await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn templates_are_listed_page_by_page_the_built_in_ones_first() {
    let function = Function::new();
    let mut own = Vec::new();
    for _ in 0..3 {
        function.clock.advance(Duration::from_secs(1));
        own.insert(0, id_of(&function.noted().await).to_owned());
    }
    let mut expected: Vec<String> = Template::ALL
        .iter()
        .map(|one| one.name().to_owned())
        .collect();
    expected.extend(own);

    for limit in [1, 2, 3, 4, 100] {
        let mut listed = Vec::new();
        let mut target = format!("/v1/document-templates?limit={limit}");
        loop {
            let page = function.ask(&owner(), "GET", &target).await;
            assert_eq!(page.status, StatusCode::OK, "{}", page.body);
            let items = page.body["items"].as_array().unwrap();
            assert!(items.len() <= limit);
            listed.extend(
                items
                    .iter()
                    .map(|item| item["id"].as_str().unwrap().to_owned()),
            );
            match page.body["next_cursor"].as_str() {
                Some(cursor) => {
                    target = format!("/v1/document-templates?limit={limit}&cursor={cursor}");
                }
                None => break,
            }
        }
        assert_eq!(listed, expected, "pages of {limit}");
    }
}

/// Sends a request until it is answered with something else than "come back later".
pub(crate) async fn insist(function: &Function, request: &Value) -> Answer {
    for _ in 0..5 {
        let answer = function.handle(request).await;
        if answer.status != StatusCode::SERVICE_UNAVAILABLE {
            return answer;
        }
    }
    panic!("five attempts and no answer");
}

fn count(function: &Function, kind: &str) -> usize {
    let rows = function.table.rows();
    rows.iter().filter(|row| announced(row) == kind).count()
}

#[tokio::test]
async fn a_template_that_is_cut_anywhere_is_made_once_and_published_once_and_gone_at_last() {
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        for call in 0..4 {
            let function = Function::new();
            let mut create = event(&owner(), "POST", "/v1/document-templates", Some(&note()));
            create["headers"]["idempotency-key"] = json!("note-1");

            function.table.faults().fail_call(call, fault);
            let made = insist(&function, &create).await;
            let place = format!("{fault:?} at {call}");
            assert_eq!(made.status, StatusCode::CREATED, "{place}: {}", made.body);
            let path = format!(
                "/v1/document-templates/{}",
                made.body["id"].as_str().unwrap()
            );

            function.table.faults().fail_call(call, fault);
            let mut second = note();
            second["source"] = json!(format!("{SOURCE}Thank you."));
            let versions = format!("{path}/versions");
            let added = insist(
                &function,
                &event(&owner(), "POST", &versions, Some(&second)),
            )
            .await;
            assert_eq!(added.body["version"], 2, "{place}");

            function.table.faults().fail_call(call, fault);
            let live = format!("{path}/aliases/live");
            let body = json!({ "version": 2 });
            insist(&function, &event(&owner(), "PUT", &live, Some(&body))).await;
            let view = insist(&function, &event(&owner(), "GET", &path, None)).await;
            assert_eq!(
                (
                    &view.body["live"],
                    view.body["versions"].as_array().unwrap().len()
                ),
                (&json!(2), 2),
                "{place}"
            );

            function.table.faults().fail_call(call, fault);
            insist(&function, &event(&owner(), "DELETE", &path, None)).await;
            insist(&function, &event(&owner(), "DELETE", &path, None)).await;
            assert_eq!(
                function.ask(&owner(), "GET", &path).await.status,
                StatusCode::NOT_FOUND,
                "{place}"
            );
            for (kind, times) in [
                ("documents.template_version_added", 2),
                ("documents.template_published", 1),
                ("documents.template_deleted", 1),
            ] {
                assert_eq!(count(&function, kind), times, "{kind}, {place}");
            }
        }
    }
}
