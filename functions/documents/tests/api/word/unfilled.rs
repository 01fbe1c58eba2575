//! Placeholders that cannot be filled: each is named, in the language of whoever asks.

use lambda_http::http::StatusCode;
use serde_json::json;

use super::{Word, paragraph, refusal, row, table, template};
use crate::{Function, event, owner};

#[tokio::test]
async fn what_cannot_be_filled_is_named_in_both_languages() {
    let function = Function::new();
    for (body, spanish, english) in [
        (
            "{{ customer.nam }}",
            "{{ customer.nam }}: los datos no tienen este campo",
            "{{ customer.nam }}: the data has no such field",
        ),
        (
            "{{ nobody.name }}",
            "{{ nobody.name }}: los datos no tienen este campo",
            "{{ nobody.name }}: the data has no such field",
        ),
        (
            "{{ customer }}",
            "{{ customer }}: es una lista o un objeto, y no un texto",
            "{{ customer }}: is a list or an object, and no text",
        ),
        (
            "{% for n in number %}{{ n }}{% endfor %}",
            "{% for n in number %}: no es una lista",
            "{% for n in number %}: is no list",
        ),
        (
            "{{ number | date }}",
            "{{ number | date }}: no se puede calcular con el valor que tienen los datos",
            "{{ number | date }}: cannot be worked out with the value that the data has",
        ),
        (
            "{{ number | safe }}",
            "{{ number | safe }}: no hay tal filtro o prueba",
            "{{ number | safe }}: there is no such filter or test",
        ),
        (
            "{{ number + }}",
            "{{ number + }}: no es una expresión válida",
            "{{ number + }}: is not a valid expression",
        ),
        (
            "{% if number %}x",
            "«{% if number %}» no tiene su pareja",
            "\"{% if number %}\" has no counterpart",
        ),
        (
            "{% include 'a' %}",
            "«{% include 'a' %}» no es una de: for … in …, endfor, if …, elif …, else, endif",
            "\"{% include 'a' %}\" is none of: for … in …, endfor, if …, elif …, else, endif",
        ),
        (
            "{{ number",
            "«{{ number» no está cerrado con }} en su párrafo",
            "\"{{ number\" is not closed by }} in its paragraph",
        ),
    ] {
        let sample = json!({ "number": "A-1", "customer": { "name": "Ana" } });
        let new = template(&Word::new(&paragraph(body)), &sample);
        for (language, detail) in [("es", spanish), ("en", english)] {
            let mut request = event(&owner(), "POST", "/v1/document-templates", Some(&new));
            request["headers"]["accept-language"] = json!(language);

            let answer = function.handle(&request).await;

            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            assert_eq!(refusal(&answer), ("template_refused", "/docx", detail));
        }
    }
    assert_eq!(function.table.rows().len(), 0, "nothing was taken on");
}

#[tokio::test]
async fn a_block_that_would_cut_a_paragraph_or_a_table_is_refused() {
    let function = Function::new();
    let inside = |tag: &str| table(&[row(&[tag, "x"])]);
    for (body, named) in [
        (
            ["{% if number %}", "a {% else %} b", "{% endif %}"]
                .map(paragraph)
                .concat(),
            "{% else %}",
        ),
        (
            [
                "{% if number %}a",
                "{% endif %}{% if number %}b",
                "{% endif %}",
            ]
            .map(paragraph)
            .concat(),
            "{% if number %}",
        ),
        (
            [inside("{% if number %}"), inside("{% endif %}")].concat(),
            "",
        ),
        (
            [
                "{% if number %}",
                "{% for n in names %}",
                "{% endif %}",
                "{% endfor %}",
            ]
            .map(paragraph)
            .concat(),
            "{% endif %}",
        ),
    ] {
        let data = json!({ "number": "A-1", "names": ["Ana"] });

        let answer = function.take_on(&Word::new(&body), &data).await;

        if named.is_empty() {
            assert_eq!(
                answer.status,
                StatusCode::CREATED,
                "whole tables: {}",
                answer.body
            );
        } else {
            assert_eq!(refusal(&answer).1, "/docx", "{named}: {}", answer.body);
            assert!(refusal(&answer).2.contains(named), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_field_that_only_this_data_lacks_is_named() {
    let function = Function::new();
    let word = Word::new(&paragraph("{{ customer }}"));
    let id = function
        .taken_on(&word, &json!({ "number": "A-1", "customer": "Ana" }))
        .await;

    let lacking = function.document(&id, &json!({ "number": "A-2" })).await;
    let unfit = function.document(&id, &json!({ "customer": "Ana" })).await;

    assert_eq!(lacking.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        refusal(&lacking),
        (
            "template_refused",
            "/template",
            "{{ customer }}: the data has no such field"
        )
    );
    assert_eq!(
        (refusal(&unfit).0, refusal(&unfit).1),
        ("validation_failed", "/data/number")
    );
}
