//! Word files that mean harm: each is refused by name or ended within its limits, and the next document is
//! made.

use lambda_http::http::StatusCode;
use serde_json::json;

use super::{W, WORD, Word, document, paragraph, refusal, relations};
use crate::{Function, owner};

/// A field whose code Word spread over two runs.
fn field(first: &str, second: &str) -> String {
    format!(
        "<w:p><w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:instrText>{first}</w:instrText></w:r>\
         <w:r><w:instrText>{second}</w:instrText></w:r><w:r><w:fldChar w:fldCharType=\"end\"/></w:r></w:p>"
    )
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of hostile files reads best in one piece"
)]
async fn a_file_that_means_harm_is_refused_by_name() {
    let function = Function::new();
    let plain = || Word::new(&paragraph("{{ number }}"));
    let outside = "TargetMode=\"External\"";
    let nested = format!(
        "<w:document xmlns:w=\"{W}\">{}{}</w:document>",
        "<w:p>".repeat(200_000),
        "</w:p>".repeat(200_000)
    );
    let entities = format!(
        "<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>{}",
        document("<w:p><w:r><w:t>&b;</w:t></w:r></w:p>")
    );
    let many = (0..600).fold(plain(), |word, index| {
        word.with(&format!("word/media/{index}.png"), vec![])
    });
    for (word, named) in [
        (plain().with("word/vbaProject.bin", vec![1]), "macros"),
        (
            plain().with(
                "[Content_Types].xml",
                String::from_utf8(plain().part("[Content_Types].xml").to_vec())
                    .unwrap()
                    .replace(
                        &format!("{WORD}.document.main+xml"),
                        "application/vnd.ms-word.document.macroEnabled.main+xml",
                    ),
            ),
            "macros",
        ),
        (
            plain().with("word/embeddings/a.bin", vec![1]),
            "an embedded file",
        ),
        (
            plain().leading_to(&[("attachedTemplate", "http://example.com/a.dotm", outside)]),
            "an attached template",
        ),
        (
            plain().leading_to(&[("image", "http://example.com/a.png", outside)]),
            "a remote image",
        ),
        (
            plain().leading_to(&[("oleObject", "file:///c:/a.xls", outside)]),
            "a linked object",
        ),
        (
            plain().leading_to(&[("anything", "\\\\host\\share", outside)]),
            "an external relationship",
        ),
        (
            plain().leading_to(&[("hyperlink", "javascript:alert(1)", outside)]),
            "A link leads elsewhere",
        ),
        (
            plain().leading_to(&[("hyperlink", "https://example.com/%7B%7Bid%7D%7D", outside)]),
            "in the address of a link",
        ),
        (
            plain().leading_to(&[("aFChunk", "a.html", "")]),
            "an imported document",
        ),
        (
            plain().with("word/other.RELS", relations(&[("control", "a.xml", "")])),
            "an ActiveX control",
        ),
        (
            Word::new(&field("INCLUDE", "TEXT \"c:/a\"")),
            "the field INCLUDETEXT",
        ),
        (
            Word::new(&field("DDEAUTO c:\\\\cmd", "")),
            "the field DDEAUTO",
        ),
        (
            Word::new(
                "<w:p><w:fldSimple w:instr=\" INCLUDEPICTURE http://example.com/a \"/></w:p>",
            ),
            "the field INCLUDEPICTURE",
        ),
        (
            Word::new(
                "<w:p><w:del><w:r><w:delInstrText>LINK Excel.Sheet c:/a</w:delInstrText></w:r></w:del></w:p>",
            ),
            "the field LINK",
        ),
        (
            plain().leading_to(&[("attachedTemplate", "http://example.com/a.dotm", "")]),
            "an attached template",
        ),
        (
            Word::new(&field("HYPERLINK ", "\"javascript:alert(1)\"")),
            "A link leads elsewhere",
        ),
        (
            Word::new(&field(
                "QUOTE </w:instrText><w:fldChar w:fldCharType=\"begin\"/><w:instrText>",
                "",
            )),
            "a field in the code of another",
        ),
        (plain().with("word/document.xml", entities), "a DTD"),
        (
            plain().with("word/document.xml", "<w:document"),
            "not well-formed XML",
        ),
        (
            plain().with("word/document.xml", vec![0xff, 0xfe]),
            "is not in UTF-8",
        ),
        (
            plain().with("word/../../etc/passwd", vec![1]),
            "leads out of the file",
        ),
        (
            plain().with("WORD/styles.xml", vec![1]),
            "stands there twice",
        ),
        (
            plain().with("word/media/b.png", vec![0; 25 * 1024 * 1024]),
            "larger than 24 MiB",
        ),
        (many, "more than 512 parts"),
        (
            plain().with("word/document.xml", nested),
            "nests too deeply",
        ),
        (Word { parts: vec![] }, "Is no DOCX file"),
        (
            Word::new("<w:p><w:r><w:instrText>PAGE {{ number }}</w:instrText></w:r></w:p>"),
            "where none is filled",
        ),
        (
            Word::new(&paragraph("{{ 'x' * 999999999 }}")),
            "costs too much",
        ),
    ] {
        let answer = function
            .take_on(&word, &json!({ "number": "A-1", "items": [1, 2] }))
            .await;

        let (code, pointer, detail) = refusal(&answer);
        assert_eq!(
            (code, pointer),
            ("template_refused", "/docx"),
            "{named}: {}",
            answer.body
        );
        assert!(detail.contains(named), "{named}: {detail}");
        let next = function
            .document(
                "letter",
                &crate::sample(documents::template::Template::Letter),
            )
            .await;
        assert_eq!(next.status, StatusCode::CREATED, "after {named}");
    }
    assert!(
        function
            .ask(&owner(), "GET", "/v1/document-templates")
            .await
            .body["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["builtin"] == true),
        "none was taken on"
    );
}

#[tokio::test]
async fn a_loop_that_would_fill_the_memory_is_cut() {
    let function = Function::new();
    let nested = "{% for a in items %}".repeat(6) + "x" + &"{% endfor %}".repeat(6);
    let items: Vec<u32> = (0..100).collect();

    let answer = function
        .take_on(
            &Word::new(&paragraph(&nested)),
            &json!({ "number": "A-1", "items": items }),
        )
        .await;

    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        ["template_too_slow", "template_refused"].contains(&refusal(&answer).0),
        "{}",
        answer.body
    );
}
