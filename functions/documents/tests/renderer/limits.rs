//! Hostile layouts and hostile data: each ends in an error with a name, none in the end of the service.

use documents::job::{Limits, TypesetError};
use documents::template::Template;
use serde_json::json;

use crate::text::{squeezed, text_of};
use crate::{job, renderer, typst};

#[tokio::test]
async fn a_layout_reaches_no_file_and_no_package() {
    let renderer = renderer();
    for source in [
        "#read(\"/etc/passwd\")",
        "#read(\"../../etc/passwd\")",
        "#include \"/proc/self/environ\"",
        "#import \"@preview/cetz:0.3.4\"",
        "#image(\"/etc/hostname\")",
        "#plugin(\"/main.wasm\")",
        "#datetime.today().display()",
    ] {
        let answer = renderer.render(&typst(source)).await;
        assert!(
            matches!(answer, Err(TypesetError::Refused { .. })),
            "{source}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_layout_that_eats_memory_is_ended_and_the_next_is_made() {
    let renderer = renderer();
    for source in [
        "#let s = \"x\" * 1024\n#for _ in range(40) { s += s }\n#s.len()",
        "#range(1000000000).len()",
    ] {
        let answer = renderer.render(&typst(source)).await;
        assert!(
            matches!(answer, Err(TypesetError::Aborted | TypesetError::TimedOut)),
            "{source}: {answer:?}"
        );
        assert!(renderer.render(&typst("Fine")).await.is_ok());
    }
}

#[tokio::test]
async fn a_layout_that_never_ends_is_given_up() {
    let renderer = renderer().within(std::time::Duration::from_secs(1));

    let answer = renderer
        .render(&typst("#let n = 0\n#while n < 1000000000 { n += 1 }\n#n"))
        .await;

    assert!(
        matches!(
            answer,
            Err(TypesetError::TimedOut | TypesetError::Refused { .. })
        ),
        "{answer:?}"
    );
    assert!(renderer.render(&typst("Fine")).await.is_ok());
}

#[tokio::test]
async fn a_document_of_too_many_pages_or_octets_is_refused() {
    let renderer = renderer();
    let mut pages = typst("#for _ in range(5) { pagebreak() }");
    pages.limits = Limits {
        pages: 5,
        ..Limits::default()
    };
    let mut octets = typst("Fine");
    octets.limits = Limits {
        bytes: 100,
        ..Limits::default()
    };

    assert_eq!(
        renderer.render(&pages).await,
        Err(TypesetError::TooManyPages { pages: 6, limit: 5 })
    );
    assert!(matches!(
        renderer.render(&octets).await,
        Err(TypesetError::TooBig { limit: 100, .. })
    ));
}

#[tokio::test]
async fn markup_in_data_is_shown_as_it_was_written() {
    let renderer = renderer();
    for text in [
        "#read(\"/etc/passwd\")",
        "*bold* _italic_ `raw` $x^2$",
        "= Heading",
        "- item",
        "<label> @reference // comment",
        "#import \"@preview/x:1.0.0\"",
        "\\u{41} \\ ~ --- ...",
        "https://example.com/?a=1&b=2",
        "{{template}} ${shell} %s",
    ] {
        let mut data = Template::Letter.samples()[1].clone();
        data["paragraphs"] = json!([text]);

        let made = renderer.render(&job(Template::Letter, data)).await.unwrap();

        let found = squeezed(&text_of(&made.file));
        assert!(found.contains(&squeezed(text)), "{text} in {found}");
    }
}

#[tokio::test]
async fn a_character_without_a_glyph_is_named_with_its_place() {
    let renderer = renderer();
    for (text, character) in [("Hola 😀", '😀'), ("中文", '中'), ("مرحبا", 'م')] {
        let mut data = Template::Invoice.samples()[0].clone();
        data["lines"][1]["description"] = json!(text);

        let answer = renderer.render(&job(Template::Invoice, data)).await;

        let pointer = "/data/lines/1/description".to_owned();
        assert_eq!(
            answer,
            Err(TypesetError::MissingGlyph { pointer, character })
        );
    }
}

#[tokio::test]
async fn invisible_and_right_to_left_characters_break_nothing() {
    let renderer = renderer();
    for text in [
        "שלום עולם",
        "so\u{ad}ft",
        "ze\u{200b}ro",
        "jo\u{200d}in",
        "a\u{200f}b",
        "li\u{2028}ne",
        "e\u{301}",
    ] {
        let mut data = Template::Letter.samples()[1].clone();
        data["paragraphs"] = json!([text]);

        let answer = renderer.render(&job(Template::Letter, data)).await;

        assert!(answer.is_ok(), "{text:?}: {:?}", answer.err());
    }
}

#[tokio::test]
async fn a_word_longer_than_its_column_stays_on_the_page() {
    let mut data = Template::Invoice.samples()[1].clone();
    data["lines"][0]["description"] = json!("W".repeat(500));
    data["seller"]["name"] = json!("N".repeat(120));
    data["number"] = json!("M".repeat(40));
    data.as_object_mut().unwrap().remove("payment");

    let made = renderer()
        .render(&job(Template::Invoice, data))
        .await
        .unwrap();

    let text = text_of(&made.file);
    assert_eq!(text.matches('W').count(), 500);
    assert!(
        !text.lines().any(|line| line.contains(&"W".repeat(60))),
        "a line of sixty W is wider than the page"
    );
}
