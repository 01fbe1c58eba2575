//! DOCX, XLSX and HTML as other programs read them: archives that unpack, XML that parses, numbers that
//! are numbers.

use std::io::Read;

use calamine::{Data, Reader, Xlsx};
use documents::format::Format;
use documents::job::{Job, Output};
use documents::template::Template;
use roxmltree::{Document, Node, ParsingOptions};
use serde_json::{Value, json};

use crate::text::squeezed;
use crate::{job, renderer, samples};

const OFFICE: [Format; 3] = [Format::Docx, Format::Xlsx, Format::Html];

fn written(template: Template, data: Value, format: Format) -> Job {
    Job {
        output: Output::File(format),
        ..job(template, data)
    }
}

async fn file(template: Template, data: Value, format: Format) -> Vec<u8> {
    let job = written(template, data, format);
    let made = renderer().render(&job).await.unwrap();
    assert_eq!(made.pages, None);
    made.file
}

/// The parts of a package by name.
fn parts(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(file)).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut part = archive.by_index(index).unwrap();
            let mut octets = Vec::new();
            part.read_to_end(&mut octets).unwrap();
            (part.name().to_owned(), octets)
        })
        .collect()
}

fn part(file: &[u8], name: &str) -> String {
    let found = parts(file).into_iter().find(|(part, _)| part == name);
    String::from_utf8(found.unwrap_or_else(|| panic!("no {name}")).1).unwrap()
}

fn parsed(text: &str) -> Document<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options).unwrap()
}

fn named<'a, 'b>(document: &'a Document<'b>, name: &'a str) -> impl Iterator<Item = Node<'a, 'b>> {
    document
        .descendants()
        .filter(move |node| node.tag_name().name() == name)
}

/// All text of a file, in the order of reading.
fn text_of(file: &[u8], format: Format) -> String {
    let text = match format {
        Format::Docx => part(file, "word/document.xml"),
        Format::Xlsx => part(file, "xl/sharedStrings.xml"),
        Format::Html | Format::Pdf => String::from_utf8(file.to_vec()).unwrap(),
    };
    let document = parsed(&text);
    let text: String = document
        .descendants()
        .filter(Node::is_text)
        .filter_map(|node| node.text())
        .collect();
    squeezed(&text)
}

fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| {
                !["locale", "currency", "quantity", "align", "unit"].contains(&name.as_str())
            })
            .filter(|(name, _)| !name.ends_with("date"))
            .for_each(|(_, member)| texts(member, into)),
        _ => {}
    }
}

#[tokio::test]
async fn every_text_of_a_sample_is_found_in_each_format() {
    for (name, template, data) in samples() {
        let mut expected = Vec::new();
        texts(&data, &mut expected);
        for format in OFFICE {
            let file = file(template, data.clone(), format).await;

            let found = text_of(&file, format);
            for text in &expected {
                assert!(
                    found.contains(&squeezed(text)),
                    "{name} as {format:?} does not show {text:?}:\n{found}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_same_data_gives_the_same_octets_in_two_processes() {
    let (one, other) = (renderer(), renderer());
    for (name, template, data) in samples() {
        for format in OFFICE {
            let job = written(template, data.clone(), format);

            let first = one.render(&job).await.unwrap();
            let second = other.render(&job).await.unwrap();

            assert_eq!(first.sha256, second.sha256, "{name} as {format:?}");
        }
    }
}

#[tokio::test]
async fn every_part_of_a_package_is_xml_that_parses() {
    for (name, template, data) in samples() {
        for format in [Format::Docx, Format::Xlsx] {
            let file = file(template, data.clone(), format).await;

            let parts = parts(&file);
            assert!(parts.len() >= 8, "{name}");
            for (part, octets) in parts {
                parsed(&String::from_utf8(octets).unwrap_or_else(|_| panic!("{name}: {part}")));
            }
        }
    }
}

#[tokio::test]
async fn what_a_package_names_is_in_it() {
    for (_, template, data) in samples() {
        let file = file(template, data, Format::Docx).await;
        let names: Vec<String> = parts(&file).into_iter().map(|(name, _)| name).collect();

        let types = part(&file, "[Content_Types].xml");
        for node in named(&parsed(&types), "Override") {
            let part = node.attribute("PartName").unwrap();
            assert!(names.contains(&part[1..].to_owned()), "{part}");
        }
        let relations = part(&file, "word/_rels/document.xml.rels");
        for node in named(&parsed(&relations), "Relationship") {
            let target = format!("word/{}", node.attribute("Target").unwrap());
            assert!(names.contains(&target), "{target}");
        }
        let styles = part(&file, "word/styles.xml");
        let styles = parsed(&styles);
        let known: Vec<&str> = named(&styles, "style")
            .filter_map(|node| attribute(node, "styleId"))
            .collect();
        let document = part(&file, "word/document.xml");
        let document = parsed(&document);
        for name in ["pStyle", "tblStyle"] {
            for node in named(&document, name) {
                let style = attribute(node, "val").unwrap();
                assert!(known.contains(&style), "{style}");
            }
        }
    }
}

fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attributes()
        .find(|attribute| attribute.name() == name)
        .map(|attribute| attribute.value())
}

#[tokio::test]
async fn a_docx_has_headings_a_language_and_heads_of_tables() {
    let [spanish, english] = Template::Report.samples();
    for (data, language) in [(spanish, "es-ES"), (english, "en-GB")] {
        let file = file(Template::Report, data, Format::Docx).await;

        let document = part(&file, "word/document.xml");
        let document = parsed(&document);
        let headings: Vec<&str> = named(&document, "pStyle")
            .filter_map(|node| attribute(node, "val"))
            .filter(|style| style.starts_with("Heading"))
            .collect();
        assert_eq!(headings[0], "Heading1");
        assert!(headings.contains(&"Heading2") && headings.contains(&"Heading3"));
        let tables = named(&document, "tbl").count();
        assert!(tables > 0);
        assert_eq!(named(&document, "tblHeader").count(), tables);
        assert_eq!(named(&document, "tblCaption").count(), tables);
        let styles = part(&file, "word/styles.xml");
        let styles = parsed(&styles);
        let tag = named(&styles, "lang").next().unwrap();
        assert_eq!(attribute(tag, "val"), Some(language));
        assert!(part(&file, "docProps/core.xml").contains(language));
    }
}

#[tokio::test]
async fn each_numbered_list_of_a_docx_begins_at_one() {
    let mut data = Template::Report.samples()[1].clone();
    let list = json!({ "numbered": ["one", "two"] });
    data["sections"] =
        json!([{ "heading": "Lists", "blocks": [list, { "bullets": ["x"] }, list] }]);

    let file = file(Template::Report, data, Format::Docx).await;

    let document = part(&file, "word/document.xml");
    let document = parsed(&document);
    let ids: Vec<&str> = named(&document, "numId")
        .filter_map(|node| attribute(node, "val"))
        .collect();
    assert_eq!(ids, ["2", "2", "1", "3", "3"]);
    let numbering = part(&file, "word/numbering.xml");
    let numbering = parsed(&numbering);
    let known: Vec<&str> = named(&numbering, "num")
        .filter_map(|node| attribute(node, "numId"))
        .collect();
    assert_eq!(known, ["1", "2", "3"]);
}

fn cells(file: Vec<u8>) -> Vec<Vec<Data>> {
    let mut book: Xlsx<_> = calamine::open_workbook_from_rs(std::io::Cursor::new(file)).unwrap();
    let range = book.worksheet_range_at(0).unwrap().unwrap();
    range.rows().map(<[Data]>::to_vec).collect()
}

#[tokio::test]
async fn the_numbers_of_a_workbook_are_numbers_and_its_dates_are_dates() {
    let file = file(
        Template::Invoice,
        Template::Invoice.samples()[0].clone(),
        Format::Xlsx,
    )
    .await;

    let rows = cells(file);
    let has = |cell: &Data| rows.iter().any(|row| row.contains(cell));
    for number in [1062.5, 3415.47, 2937.35, 475.13, -250.0, 12.5, 0.21] {
        assert!(has(&Data::Float(number)), "{number} in {rows:?}");
    }
    let total = rows.last().unwrap();
    assert!(!total.is_empty());
    let dates = rows
        .iter()
        .flatten()
        .filter(|cell| matches!(cell, Data::DateTime(_)))
        .count();
    assert_eq!(dates, 2);
}

const FORMULAS: [&str; 6] = [
    "=HYPERLINK(\"https://example.com\",\"x\")",
    "+1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(A1:A9)",
    "\t=1+1",
    "=1+1",
];

#[tokio::test]
async fn a_text_is_never_a_formula() {
    for text in FORMULAS {
        let mut data = Template::Invoice.samples()[1].clone();
        data["lines"][0]["description"] = json!(text);
        data["lines"][0]["unit"] = json!("\"=1+1\"");
        data["notes"] = json!([text]);
        // A telephone number begins like a formula, too.
        data["seller"].as_object_mut().unwrap().remove("phone");
        data["buyer"].as_object_mut().unwrap().remove("phone");

        let file = file(Template::Invoice, data, Format::Xlsx).await;

        let sheet = part(&file, "xl/worksheets/sheet1.xml");
        let sheet = parsed(&sheet);
        assert_eq!(named(&sheet, "f").count(), 0, "{text}");
        assert_eq!(named(&sheet, "hyperlink").count(), 0, "{text}");
        // The mark that keeps it a text where the sheet is edited or saved as CSV.
        let styles = part(&file, "xl/styles.xml");
        let styles = parsed(&styles);
        let quoted: Vec<usize> = named(&styles, "cellXfs")
            .flat_map(|all| all.children().filter(Node::is_element))
            .enumerate()
            .filter(|(_, xf)| xf.attribute("quotePrefix") == Some("1"))
            .map(|(index, _)| index)
            .collect();
        let marked = named(&sheet, "c")
            .filter(|cell| {
                let style = cell.attribute("s").and_then(|s| s.parse().ok());
                style.is_some_and(|style| quoted.contains(&style))
            })
            .count();
        assert_eq!(marked, 2, "{text}");
        assert!(
            cells(file)
                .iter()
                .flatten()
                .any(|cell| *cell == Data::String(text.to_owned())),
            "{text}"
        );
    }
}

#[tokio::test]
async fn markup_in_data_is_shown_by_each_format_as_it_was_written() {
    for text in [
        "</w:t></w:r><w:r><w:t>",
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "&amp; &#60; ]]> <!-- -->",
        "' onmouseover='x",
        "javascript:alert(1)",
    ] {
        for format in OFFICE {
            let mut data = Template::Invoice.samples()[1].clone();
            data["number"] = json!(text.chars().take(40).collect::<String>());
            data["lines"][0]["description"] = json!(text);
            data["seller"]["name"] = json!(text);

            let file = file(Template::Invoice, data, format).await;

            assert!(
                text_of(&file, format).contains(&squeezed(text)),
                "{text} as {format:?}"
            );
            if format == Format::Html {
                let html = String::from_utf8(file).unwrap();
                let page = parsed(&html);
                for name in ["script", "img", "link", "iframe", "a", "base", "form"] {
                    assert_eq!(named(&page, name).count(), 0, "{name} by {text}");
                }
                assert!(
                    page.descendants()
                        .flat_map(|node| node.attributes())
                        .all(|attribute| !attribute.name().starts_with("on")),
                    "{text}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_page_says_its_language_and_whose_each_heading_is() {
    for (name, template, data) in samples() {
        let language = data["locale"].as_str().unwrap().to_owned();
        let html = String::from_utf8(file(template, data, Format::Html).await).unwrap();
        let page = parsed(&html);

        let root = page.root_element();
        assert_eq!(root.attribute("lang"), Some(language.as_str()), "{name}");
        assert_eq!(named(&page, "title").count(), 1);
        assert_eq!(named(&page, "main").count(), 1);
        assert_eq!(named(&page, "h1").count(), 1, "{name}");
        assert!(named(&page, "th").all(|head| head.attribute("scope").is_some()));
        for table in named(&page, "table") {
            let first = table.children().find(Node::is_element).unwrap();
            assert_eq!(first.tag_name().name(), "caption", "{name}");
        }
        for attribute in ["src", "href", "url("] {
            assert!(!html.contains(&format!("{attribute}=")), "{name}");
        }
        assert!(
            !html.contains("url(") && !html.contains("@import"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_no_font_of_ours_shows_is_no_hindrance_to_a_format_without_fonts() {
    let mut data = Template::Letter.samples()[1].clone();
    data["paragraphs"] = json!(["中文 😀"]);
    for format in OFFICE {
        let file = file(Template::Letter, data.clone(), format).await;

        assert!(text_of(&file, format).contains("中文😀"), "{format:?}");
    }
}
