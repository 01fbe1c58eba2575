//! A user's own Word file as a template: what is asked of it through the API, and what a reader finds in
//! the file that comes of it.

mod hostile;
mod unfilled;

use std::io::{Cursor, Read, Write};

use data_encoding::BASE64;
use lambda_http::http::StatusCode;
use ports::faults::Fault;
use roxmltree::Document;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::templates::insist;
use crate::{Answer, Function, caller, event, owner};

const W: &str = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";
const R: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
const WORD: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml";

/// A Word file, part by part.
#[derive(Clone)]
struct Word {
    parts: Vec<(String, Vec<u8>)>,
}

impl Word {
    /// A file with this body, a header and a picture.
    fn new(body: &str) -> Self {
        let types = format!(
            "<Types xmlns=\"{PACKAGE}/content-types\">\
             <Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
             <Default Extension=\"xml\" ContentType=\"application/xml\"/>\
             <Default Extension=\"png\" ContentType=\"image/png\"/>\
             <Default Extension=\"bin\" ContentType=\"application/octet-stream\"/>\
             <Override PartName=\"/word/document.xml\" ContentType=\"{WORD}.document.main+xml\"/>\
             <Override PartName=\"/word/header1.xml\" ContentType=\"{WORD}.header+xml\"/>\
             <Override PartName=\"/word/styles.xml\" ContentType=\"{WORD}.styles+xml\"/></Types>"
        );
        Self { parts: vec![] }
            .with("[Content_Types].xml", types)
            .with(
                "_rels/.rels",
                relations(&[("officeDocument", "word/document.xml", "")]),
            )
            .with("word/document.xml", document(body))
            .with(
                "word/_rels/document.xml.rels",
                relations(&[("header", "header1.xml", ""), ("image", "media/a.png", "")]),
            )
            .with(
                "word/header1.xml",
                format!(
                    "<w:hdr xmlns:w=\"{W}\">{}</w:hdr>",
                    paragraph("{{ number }}")
                ),
            )
            .with("word/styles.xml", format!("<w:styles xmlns:w=\"{W}\" />"))
            .with("word/media/a.png", vec![0x89, b'P', b'N', b'G', 0, 255])
    }

    /// The same with another part, or another content of one that it has.
    fn with(mut self, name: &str, octets: impl Into<Vec<u8>>) -> Self {
        self.parts.retain(|(known, _)| known != name);
        self.parts.push((name.to_owned(), octets.into()));
        self
    }

    /// The same with the relations of its body.
    fn leading_to(self, all: &[(&str, &str, &str)]) -> Self {
        self.with("word/_rels/document.xml.rels", relations(all))
    }

    fn file(&self) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, octets) in &self.parts {
            zip.start_file(name.as_str(), SimpleFileOptions::default())
                .unwrap();
            zip.write_all(octets).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn part(&self, name: &str) -> &[u8] {
        let mut parts = self.parts.iter();
        &parts.find(|(known, _)| known == name).unwrap().1
    }
}

fn relations(all: &[(&str, &str, &str)]) -> String {
    let rows: String = all
        .iter()
        .enumerate()
        .map(|(index, (kind, target, mode))| {
            format!(
                "<Relationship Id=\"rId{index}\" Type=\"{R}/{kind}\" Target=\"{target}\" {mode}/>"
            )
        })
        .collect();
    format!("<Relationships xmlns=\"{PACKAGE}/relationships\">{rows}</Relationships>")
}

fn document(body: &str) -> String {
    format!("<w:document xmlns:w=\"{W}\"><w:body>{body}<w:sectPr/></w:body></w:document>")
}

fn paragraph(text: &str) -> String {
    format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>")
}

fn row(cells: &[&str]) -> String {
    let cells: String = cells
        .iter()
        .map(|text| format!("<w:tc>{}</w:tc>", paragraph(text)))
        .collect();
    format!("<w:tr>{cells}</w:tr>")
}

fn table(rows: &[String]) -> String {
    format!("<w:tbl><w:tblPr/>{}</w:tbl>", rows.concat())
}

/// A delivery note: a greeting that Word split over runs, a table with a row for each item.
fn note() -> Word {
    let greeting = "<w:p><w:r><w:t>Para {</w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>{ custo</w:t></w:r>\
                    <w:proofErr w:type=\"spellStart\"/><w:r><w:t>mer }}, </w:t></w:r>\
                    <w:r><w:t>el {{ date | date }}</w:t></w:r></w:p>";
    let items = table(&[
        row(&["Item", "Price"]),
        row(&[
            "{% for item in items %}{{ loop.index }}. {{ item.name }}",
            "{{ item.price | money(\u{201c}EUR\u{201d}) }}{% endfor %}",
        ]),
    ]);
    let thanks = [
        paragraph("{% if thanks is defined %}"),
        paragraph("Thanks: {{ thanks }}"),
        paragraph("{% else %}"),
        paragraph("No thanks"),
        paragraph("{% endif %}"),
    ];
    Word::new(&format!("{greeting}{items}{}", thanks.concat()))
}

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["number"],
        "properties": {
            "number": { "type": "string" },
            "items": { "type": "array" },
        },
    })
}

fn data() -> Value {
    json!({
        "locale": "es",
        "number": "A-1",
        "customer": "Talleres Vega",
        "date": "2026-11-24",
        "items": [
            { "name": "Bolt", "price": 123_456 },
            { "name": "Nut", "price": -50 },
        ],
    })
}

fn template(word: &Word, sample: &Value) -> Value {
    json!({
        "name": "Delivery note",
        "schema": schema(),
        "docx": BASE64.encode(&word.file()),
        "samples": [sample],
    })
}

impl Function {
    async fn take_on(&self, word: &Word, sample: &Value) -> Answer {
        let body = template(word, sample);
        self.handle(&event(
            &owner(),
            "POST",
            "/v1/document-templates",
            Some(&body),
        ))
        .await
    }

    /// The id of a template that was taken on.
    async fn taken_on(&self, word: &Word, sample: &Value) -> String {
        let made = self.take_on(word, sample).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        made.body["id"].as_str().unwrap().to_owned()
    }

    async fn document(&self, template: &str, data: &Value) -> Answer {
        let body = json!({ "template": template, "data": data });
        self.handle(&event(&owner(), "POST", "/v1/documents", Some(&body)))
            .await
    }

    fn file_behind(&self, answer: &Answer) -> Vec<u8> {
        let url = answer.body["download_url"].as_str().unwrap();
        self.blobs.follow(url, self.now()).unwrap().blob.bytes
    }

    /// The texts of the body that this file becomes with this data, paragraph by paragraph.
    async fn shown(&self, body: &str, data: &Value) -> Vec<String> {
        let id = self.taken_on(&Word::new(body), data).await;
        let made = self.document(&id, data).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        paragraphs(&part(&self.file_behind(&made), "word/document.xml"))
    }
}

fn part(file: &[u8], name: &str) -> String {
    let mut archive = ZipArchive::new(Cursor::new(file)).unwrap();
    let mut text = String::new();
    archive
        .by_name(name)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// What a reader finds, paragraph by paragraph; a line break shows as `/`.
fn paragraphs(xml: &str) -> Vec<String> {
    let document = Document::parse(xml).unwrap();
    let text = |paragraph: roxmltree::Node<'_, '_>| -> String {
        paragraph
            .descendants()
            .map(|node| match node.tag_name().name() {
                "t" => node.text().unwrap_or_default(),
                "br" => "/",
                _ => "",
            })
            .collect()
    };
    document
        .descendants()
        .filter(|node| node.tag_name().name() == "p")
        .map(text)
        .collect()
}

fn refusal(answer: &Answer) -> (&str, &str, &str) {
    let error = &answer.body["errors"][0];
    (
        answer.body["code"].as_str().unwrap_or_default(),
        error["pointer"].as_str().unwrap_or_default(),
        error["detail"].as_str().unwrap_or_default(),
    )
}

#[tokio::test]
async fn a_word_file_is_filled_wherever_word_split_its_placeholders() {
    let function = Function::new();
    let word = note();
    let id = function.taken_on(&word, &data()).await;

    let made = function.document(&id, &data()).await;

    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(
        (&made.body["format"], &made.body["pages"]),
        (&json!("docx"), &Value::Null)
    );
    let file = function.file_behind(&made);
    assert_eq!(
        paragraphs(&part(&file, "word/document.xml")),
        [
            "Para Talleres Vega, el 24 de noviembre de 2026",
            "Item",
            "Price",
            "1. Bolt",
            "1.234,56\u{a0}€",
            "2. Nut",
            "\u{2212}0,50\u{a0}€",
            "No thanks",
        ]
    );
    assert_eq!(paragraphs(&part(&file, "word/header1.xml")), ["A-1"]);
    let mut archive = ZipArchive::new(Cursor::new(&file)).unwrap();
    for name in ["word/media/a.png", "word/styles.xml", "[Content_Types].xml"] {
        let mut octets = Vec::new();
        let mut found = archive.by_name(name).unwrap();
        found.read_to_end(&mut octets).unwrap();
        assert_eq!(octets, word.part(name), "{name} is as it was");
    }
}

#[tokio::test]
async fn a_word_file_speaks_the_language_of_its_data() {
    let function = Function::new();
    let body = paragraph(
        "{{ date | date }}; {{ price | money('USD') }}; {{ rate | percent }}; \
         {{ weight | number }}; {{ weight | number(1) }}; {{ paid }}",
    );
    let mut data = json!({
        "number": "A-1", "date": "2026-11-24", "price": 106_250, "rate": 550, "weight": 1234.25,
        "paid": true, "locale": "en",
    });

    let english = function.shown(&body, &data).await;
    data["locale"] = json!("es-ES");
    let spanish = function.shown(&body, &data).await;

    assert_eq!(
        english,
        ["24 November 2026; $1,062.50; 5.5%; 1,234.25; 1,234.2; yes"]
    );
    assert_eq!(
        spanish,
        ["24 de noviembre de 2026; 1.062,50\u{a0}$; 5,5\u{a0}%; 1.234,25; 1.234,2; sí"]
    );
}

#[tokio::test]
async fn a_value_is_text_whatever_it_holds() {
    let function = Function::new();
    let hostile = "</w:t></w:r><w:p/> {{ number }} {% if x %} & \"'\nnext";

    let shown = function
        .shown(
            &paragraph("[{{ customer }}]"),
            &json!({ "number": "A-1", "customer": hostile }),
        )
        .await;

    assert_eq!(shown, [format!("[{}]", hostile.replace('\n', "/"))]);
}

#[tokio::test]
async fn blocks_take_text_paragraphs_or_rows() {
    let function = Function::new();
    let tagged = |before: &str, body: String, after: &str| {
        [paragraph(before), body, paragraph(after)].concat()
    };
    let each = "{% for n in names %}";
    for (name, body, expected) in [
        (
            "in a text",
            paragraph(&format!(
                "{each}{{{{ n }}}}{{% if not loop.last %}}, {{% endif %}}{{% endfor %}}."
            )),
            vec!["Ana, Luis."],
        ),
        (
            "paragraphs of their own",
            tagged(each, paragraph("Dear {{ n }}"), "{% endfor %}"),
            vec!["Dear Ana", "Dear Luis"],
        ),
        (
            "paragraphs with text",
            tagged(
                "{% for n in names %}Dear {{ n }}",
                paragraph("Hello"),
                "Bye{% endfor %}",
            ),
            vec!["Dear Ana", "Hello", "Bye", "Dear Luis", "Hello", "Bye"],
        ),
        (
            "rows of their own",
            table(&[
                row(&[each, ""]),
                row(&["{{ n }}", "x"]),
                row(&["{% endfor %}", ""]),
            ]),
            vec!["Ana", "x", "Luis", "x"],
        ),
        (
            "a cell without anything left",
            table(&[row(&["{% if names | length > 5 %}many{% endif %}", "x"])]),
            vec!["", "x"],
        ),
        (
            "a choice of three",
            paragraph(
                "{% if names | length == 1 %}one{% elif names | length == 2 %}two{% else %}more{% endif %}",
            ),
            vec!["two"],
        ),
        (
            "loops in loops",
            tagged(
                each,
                table(&[row(&["{% for m in names %}{{ n }}", "{{ m }}{% endfor %}"])]),
                "{% endfor %}",
            ),
            vec!["Ana", "Ana", "Ana", "Luis", "Luis", "Ana", "Luis", "Luis"],
        ),
    ] {
        let data = json!({ "number": "A-1", "names": ["Ana", "Luis"] });
        assert_eq!(function.shown(&body, &data).await, expected, "{name}");
    }
}

#[tokio::test]
async fn what_a_loop_leaves_empty_still_opens() {
    let function = Function::new();
    let gone = [
        paragraph("{% for n in names %}"),
        paragraph("{{ n }}"),
        paragraph("{% endfor %}"),
    ]
    .concat();
    let cell = format!("<w:tbl><w:tblPr/><w:tr><w:tc>{gone}</w:tc></w:tr></w:tbl>");
    let rows = table(&[row(&["{% for n in names %}{{ n }}", "{% endfor %}"])]);

    let shown = function
        .shown(
            &format!("{cell}{rows}"),
            &json!({ "number": "A-1", "names": [] }),
        )
        .await;

    assert_eq!(
        shown,
        [""],
        "one paragraph in the cell, no table without rows"
    );
}

#[tokio::test]
async fn the_same_file_and_data_give_the_same_octets_whenever_they_are_sent() {
    let function = Function::new();
    let id = function.taken_on(&note(), &data()).await;
    let first = function.document(&id, &data()).await;
    function.clock.advance(std::time::Duration::from_hours(30));

    let second = function.document(&id, &data()).await;

    assert_eq!(first.body["sha256"], second.body["sha256"]);
    assert_ne!(first.body["id"], second.body["id"]);
}

#[tokio::test]
async fn a_word_template_becomes_docx_and_nothing_else() {
    let function = Function::new();
    let id = function.taken_on(&note(), &data()).await;
    let preview = format!("/v1/document-templates/{id}/versions/draft/preview");

    for (path, body) in [
        (
            "/v1/documents",
            json!({ "template": id, "data": data(), "format": "pdf" }),
        ),
        (
            "/v1/document-batches",
            json!({ "template": id, "rows": [data()], "format": "html" }),
        ),
        (preview.as_str(), json!({ "format": "png" })),
        (preview.as_str(), json!({ "format": "pdf" })),
    ] {
        let answer = function
            .handle(&event(&owner(), "POST", path, Some(&body)))
            .await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert_eq!(refusal(&answer).1, "/format", "{path} {body}");
    }
    let look = function
        .handle(&event(&owner(), "POST", &preview, Some(&json!({}))))
        .await;
    let batch = json!({ "template": id, "rows": [data()] });
    let batch = function
        .handle(&event(
            &owner(),
            "POST",
            "/v1/document-batches",
            Some(&batch),
        ))
        .await;

    assert_eq!(look.body["format"], "docx", "{}", look.body);
    let text = part(&function.file_behind(&look), "word/document.xml");
    assert!(text.contains("Talleres Vega"));
    assert_eq!(
        (batch.status, &batch.body["format"]),
        (StatusCode::ACCEPTED, &json!("docx"))
    );
}

#[tokio::test]
async fn a_version_gives_its_word_file_back_and_takes_it_along_when_it_goes() {
    let function = Function::new();
    let word = note();
    let id = function.taken_on(&word, &data()).await;
    let path = format!("/v1/document-templates/{id}");
    let second = template(&Word::new(&paragraph("{{ number }}")), &data());
    let versions = format!("{path}/versions");
    let again = function
        .handle(&event(
            &owner(),
            "POST",
            &versions,
            Some(&template(&word, &data())),
        ))
        .await;
    let added = function
        .handle(&event(&owner(), "POST", &versions, Some(&second)))
        .await;

    let version = function
        .ask(&owner(), "GET", &format!("{path}/versions/1"))
        .await;
    let url = version.body["docx"]["download_url"].as_str().unwrap();
    let file = function.blobs.follow(url, function.now()).unwrap();
    assert_eq!(file.blob.bytes, word.file());
    assert_eq!(version.body["docx"]["bytes"], word.file().len());
    assert_eq!(version.body.get("source"), None);
    assert_eq!(
        (&again.body["version"], &added.body["version"]),
        (&json!(1), &json!(2)),
        "what is a version already is not added again"
    );

    let url = url.to_owned();
    let deleted = function.ask(&owner(), "DELETE", &path).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    assert!(function.blobs.follow(&url, function.now()).is_err());
    assert_eq!(
        refusal(&function.document(&id, &data()).await).1,
        "/template"
    );
}

#[tokio::test]
async fn a_word_file_is_stored_once_and_gone_at_last_wherever_the_bucket_fails() {
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        for call in 0..2 {
            let place = format!("{fault:?} at {call}");
            let function = Function::new();
            let new = template(&note(), &data());
            let mut create = event(&owner(), "POST", "/v1/document-templates", Some(&new));
            create["headers"]["idempotency-key"] = json!("word-1");

            function.blobs.faults().fail_call(0, fault);
            let made = insist(&function, &create).await;
            assert_eq!(made.status, StatusCode::CREATED, "{place}: {}", made.body);
            let id = made.body["id"].as_str().unwrap();
            let files = function.blobs.keys();
            assert_eq!(files.len(), 1, "{place}");
            assert!(files[0].contains(&format!("/{id}/")), "{}", files[0]);

            function.blobs.faults().fail_call(call, fault);
            let new = json!({ "template": id, "data": data() });
            let mut create = event(&owner(), "POST", "/v1/documents", Some(&new));
            create["headers"]["idempotency-key"] = json!("document-1");
            let document = insist(&function, &create).await;
            assert_eq!(document.status, StatusCode::CREATED, "{place}");
            assert_eq!(function.blobs.keys().len(), 2, "{place}");

            function.blobs.faults().fail_call(0, fault);
            let path = format!("/v1/document-templates/{id}");
            insist(&function, &event(&owner(), "DELETE", &path, None)).await;
            insist(&function, &event(&owner(), "DELETE", &path, None)).await;
            let left = function.blobs.keys();
            assert_eq!(left.len(), 1, "{place}: the document stays: {left:?}");
            assert!(left[0].contains("/doc_"), "{place}: {left:?}");
        }
    }
}

#[tokio::test]
async fn another_tenants_word_file_serves_for_nothing() {
    let function = Function::new();
    let id = function.taken_on(&note(), &data()).await;
    let stranger = caller(2, "owner");

    let new = json!({ "template": id, "data": data() });
    let document = function
        .handle(&event(&stranger, "POST", "/v1/documents", Some(&new)))
        .await;
    let version = format!("/v1/document-templates/{id}/versions/1");

    assert_eq!(refusal(&document).1, "/template");
    assert_eq!(
        function.ask(&stranger, "GET", &version).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_request_names_one_way_to_lay_out() {
    let function = Function::new();
    let docx = BASE64.encode(&note().file());
    for (source, docx, pointer) in [
        (json!("= A"), json!(docx), "/docx"),
        (Value::Null, Value::Null, "/source"),
        (Value::Null, json!("not base64!"), "/docx"),
        (
            Value::Null,
            json!(BASE64.encode(&vec![0; 512 * 1024 + 1])),
            "/docx",
        ),
    ] {
        let mut new = template(&note(), &data());
        new["source"] = source;
        new["docx"] = docx;

        let answer = function
            .handle(&event(
                &owner(),
                "POST",
                "/v1/document-templates",
                Some(&new),
            ))
            .await;

        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{pointer}");
        assert_eq!(
            (refusal(&answer).0, refusal(&answer).1),
            ("validation_failed", pointer)
        );
    }
}
