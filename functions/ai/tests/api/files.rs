//! Documents of every type, in Spanish and in English, and files that are hostile.

use std::io::Write;

use data_encoding::BASE64;
use lopdf::content::{Content, Operation};
use lopdf::{Document, Object, Stream, dictionary};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::{World, owner};

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

/// A Word document whose part holds this.
fn docx_of(body: &str) -> Vec<u8> {
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive
        .start_file("word/document.xml", SimpleFileOptions::default())
        .unwrap();
    write!(
        archive,
        "<w:document xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\">\
         <w:body>{body}</w:body></w:document>"
    )
    .unwrap();
    archive.finish().unwrap().into_inner()
}

fn docx(paragraphs: &[&str]) -> Vec<u8> {
    let paragraphs = paragraphs
        .iter()
        .map(|words| format!("<w:p><w:r><w:t>{words}</w:t></w:r></w:p>"));
    docx_of(&paragraphs.collect::<String>())
}

/// A PDF with a page for each text.
fn pdf(pages: &[&str]) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let tree = document.new_object_id();
    let font = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica", "Encoding" => "WinAnsiEncoding",
    });
    let kids = pages.iter().map(|words| {
        let words =
            Document::encode_text(&lopdf::Encoding::SimpleEncoding(b"WinAnsiEncoding"), words);
        let content = Content {
            operations: vec![
                Operation::new("BT", vec![]),
                Operation::new("Tf", vec!["F1".into(), 12.into()]),
                Operation::new("Td", vec![50.into(), 700.into()]),
                Operation::new("Tj", vec![Object::string_literal(words)]),
                Operation::new("ET", vec![]),
            ],
        };
        let stream = document.add_object(Stream::new(dictionary! {}, content.encode().unwrap()));
        let page = document.add_object(dictionary! {
            "Type" => "Page", "Parent" => tree, "Contents" => stream,
            "Resources" => dictionary! { "Font" => dictionary! { "F1" => font } },
        });
        page.into()
    });
    let kids: Vec<Object> = kids.collect();
    let count = i64::try_from(kids.len()).unwrap();
    document.objects.insert(
        tree,
        dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => count }.into(),
    );
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    let mut octets = Vec::new();
    document.save_to(&mut octets).unwrap();
    octets
}

fn file(media_type: &str, octets: &[u8]) -> Value {
    json!({"title": "Archivo", "media_type": media_type, "file": BASE64.encode(octets)})
}

fn text(media_type: &str, text: &str) -> Value {
    json!({"title": "Texto", "media_type": media_type, "text": text})
}

#[tokio::test]
async fn a_document_of_every_type_is_found_in_its_language_where_it_says_so() {
    let world = World::without_models();
    let collection = world.collection().await;
    for (body, query, expected) in [
        (
            file(
                "application/pdf",
                &pdf(&["Portada", "La garantía cubre dos años de reparación."]),
            ),
            "garantia reparacion",
            "La garantía cubre dos años",
        ),
        (
            file(
                "application/pdf",
                &pdf(&["The warranty covers two years of repairs."]),
            ),
            "warranty repairs",
            "The warranty covers two years",
        ),
        (
            file(
                DOCX,
                &docx(&["Vacaciones", "Cada empleado tiene veintitrés días."]),
            ),
            "dias del empleado",
            "veintitrés días",
        ),
        (
            file(
                DOCX,
                &docx(&["Holidays", "Each employee has twenty days off."]),
            ),
            "employee days off",
            "twenty days",
        ),
        (
            text(
                "text/html",
                "<h1>Envíos</h1><p>Los envíos a <b>Canarias</b> tardan una semana.</p>",
            ),
            "envios canarias",
            "Los envíos a Canarias tardan",
        ),
        (
            text(
                "text/html",
                "<p>Deliveries abroad take &ge; two weeks.</p><script>no()</script>",
            ),
            "deliveries abroad",
            "abroad take ≥ two weeks",
        ),
        (
            text(
                "text/markdown",
                "# Devoluciones\n\nSe admiten durante *treinta* días.",
            ),
            "devoluciones admiten",
            "durante treinta días",
        ),
        (
            text(
                "text/markdown",
                "## Refunds\n\n* within [a month](https://example.com)\n",
            ),
            "refunds",
            "within a month",
        ),
        (
            text(
                "text/csv",
                "producto;precio\nbarra;1,20 €\ntarta de queso;18 €\n",
            ),
            "precio tarta queso",
            "producto: tarta de queso\nprecio: 18 €",
        ),
        (
            text("text/csv", "product,price\nrye bread,3.50\ncheesecake,21\n"),
            "price cheesecake",
            "product: cheesecake\nprice: 21",
        ),
    ] {
        let document = world.send_document(&collection, &body).await;
        world.work().await;

        let view = world.view(&document).await;
        assert_eq!(view["status"], "ready", "{view}");
        let found = world.search(&collection, query).await;
        let hit = &found["items"][0];
        let words = hit["text"].as_str().unwrap();
        assert!(words.contains(expected), "{query}: {found}");
        assert_eq!(hit["document_id"], view["id"]);
        let whole = world.view(&format!("{document}/text")).await;
        let place = |name: &str| usize::try_from(hit[name].as_u64().unwrap()).unwrap();
        let there = whole["text"].as_str().unwrap().chars().skip(place("start"));
        let there: String = there.take(place("end") - place("start")).collect();
        assert_eq!(there.trim_end(), words.trim_end());
    }
}

#[tokio::test]
async fn a_row_of_a_table_is_found_alone() {
    let world = World::without_models();
    let collection = world.collection().await;
    let table = "name,city\nAna,Bilbao\nLuis,Vigo\n";
    world
        .send_document(&collection, &text("text/csv", table))
        .await;
    world.work().await;

    let found = world.search(&collection, "Vigo").await;

    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["items"][0]["text"], "name: Luis\ncity: Vigo");
}

#[tokio::test]
async fn a_hostile_file_fails_and_says_so_in_the_language_of_whoever_sent_it() {
    let bomb = docx_of(&"<w:p/>".repeat(40 * 1024 * 1024 / 6));
    let many = docx_of(&"<w:p/>".repeat(1_100_000));
    let mut inflating = Document::load_mem(&pdf(&["x"])).unwrap();
    let content = inflating.get_pages().into_values().next().unwrap();
    let stream = inflating.get_page_contents(content)[0];
    let mut large = Stream::new(dictionary! {}, vec![b' '; 64 * 1024 * 1024]);
    large.compress().unwrap();
    inflating.objects.insert(stream, large.into());
    let mut inflated = Vec::new();
    inflating.save_to(&mut inflated).unwrap();
    let deep = format!(
        "%PDF-1.4\n1 0 obj\n{}\nendobj\ntrailer<</Root 1 0 R>>",
        "[".repeat(100_000)
    );
    let pages = vec!["x"; 501];
    for (media_type, octets, code) in [
        (DOCX, bomb, "document_too_large"),
        (DOCX, many, "document_too_large"),
        (DOCX, docx_of("<w:p>&lol;</w:p>"), "document_unreadable"),
        (DOCX, vec![0xd0, 0xcf, 0x11, 0xe0], "document_unreadable"),
        (DOCX, pdf(&["x"]), "document_unreadable"),
        ("application/pdf", inflated, "document_too_large"),
        ("application/pdf", deep.into_bytes(), "document_unreadable"),
        ("application/pdf", pdf(&pages), "document_too_large"),
        ("application/pdf", pdf(&[""]), "document_empty"),
        ("application/pdf", vec![0xff; 9000], "document_unreadable"),
    ] {
        let world = World::without_models();
        let collection = world.collection().await;
        assert!(octets.len() < 750_000, "{} octets", octets.len());
        let queued = world
            .post(
                &format!("{collection}/documents"),
                &file(media_type, &octets),
            )
            .await
            .json();

        assert_eq!(world.work().await, 0);

        let document = format!("{collection}/documents/{}", queued["id"].as_str().unwrap());
        let view = world.view(&document).await;
        assert_eq!(
            (&view["status"], &view["problem"]["code"]),
            (&json!("failed"), &json!(code)),
            "{view}"
        );
        let told = world.told_of(&queued).pop().unwrap();
        assert_eq!(told.kind, "ai.document_failed");
        let spanish = runtime::testing::Call::get(&document)
            .by(&owner())
            .header("accept-language", "es")
            .send(&world.api.router())
            .await
            .json();
        assert_ne!(spanish["problem"]["detail"], view["problem"]["detail"]);
        assert_eq!(told.data["problem"]["detail"], view["problem"]["detail"]);
        assert_eq!(world.events()[0].0, "ai.document_failed");
    }
}
