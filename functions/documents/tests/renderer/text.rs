//! What a reader finds in the files, by `lopdf`: a PDF library of its own, which goes by the fonts'
//! `ToUnicode` maps as any search does.

use documents::template::Template;

use crate::{job, renderer, samples};

/// The text of all pages.
pub fn text_of(pdf: &[u8]) -> String {
    let document = lopdf::Document::load_mem(pdf).unwrap();
    let pages: Vec<u32> = document.get_pages().into_keys().collect();
    document.extract_text(&pages).unwrap()
}

/// Without any white space: where lines break is the layout's business.
pub fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Every text of the data that is printed as it is.
fn texts(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => into.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        serde_json::Value::Object(members) => members
            .iter()
            .filter(|(name, _)| {
                !["locale", "currency", "quantity", "align"].contains(&name.as_str())
            })
            .filter(|(name, _)| !name.ends_with("date"))
            .for_each(|(_, member)| texts(member, into)),
        _ => {}
    }
}

#[tokio::test]
async fn every_text_of_a_sample_is_found_in_its_file() {
    let renderer = renderer();
    for (name, template, data) in samples() {
        let mut expected = Vec::new();
        texts(&data, &mut expected);

        let made = renderer.render(&job(template, data)).await.unwrap();

        let found = squeezed(&text_of(&made.file));
        for text in expected {
            assert!(
                found.contains(&squeezed(&text)),
                "{name} does not show {text:?}:\n{found}"
            );
        }
    }
}

#[tokio::test]
async fn numbers_and_dates_follow_the_language() {
    let renderer = renderer();
    let [spanish, english] = Template::Invoice.samples();

    let spanish = squeezed(&text_of(
        &renderer
            .render(&job(Template::Invoice, spanish))
            .await
            .unwrap()
            .file,
    ));
    let english = squeezed(&text_of(
        &renderer
            .render(&job(Template::Invoice, english))
            .await
            .unwrap()
            .file,
    ));

    for shown in [
        "24denoviembrede2026",
        "12,5h",
        "1.062,50€",
        "−250,00€",
        "21%",
        "475,13€",
        "3.415,47€",
        "Página1de1",
    ] {
        assert!(spanish.contains(shown), "{shown} in {spanish}");
    }
    for shown in [
        "24November2026",
        "12.5h",
        "£1,062.50",
        "−£250.00",
        "20%",
        "£452.50",
        "£2,894.43",
        "Page1of1",
    ] {
        assert!(english.contains(shown), "{shown} in {english}");
    }
}

#[tokio::test]
async fn a_long_description_takes_lines_and_a_long_amount_takes_the_room_it_needs() {
    let mut data = Template::Invoice.samples()[1].clone();
    let mut line = data["lines"][0].clone();
    line["description"] = "A description that takes more than one line. "
        .repeat(8)
        .trim()
        .into();
    line["unit_price"] = 900_000_000.into();
    line["quantity"] = "40000".into();
    data["lines"] = serde_json::json!(vec![line; 20]);
    let short = {
        let mut data = data.clone();
        for line in data["lines"].as_array_mut().unwrap() {
            line["description"] = "Short".into();
        }
        data
    };
    let renderer = renderer();

    let made = renderer
        .render(&job(Template::Invoice, data))
        .await
        .unwrap();
    let shorter = renderer
        .render(&job(Template::Invoice, short))
        .await
        .unwrap();

    let text = squeezed(&text_of(&made.file));
    assert_eq!(text.matches("£9,000,000.00").count(), 20);
    assert_eq!(text.matches("£360,000,000,000.00").count(), 20);
    // All but those that the foot of a page stands in.
    assert!(
        text.matches("Adescriptionthattakesmorethanoneline.")
            .count()
            > 150
    );
    assert!(
        made.pages > shorter.pages,
        "the lines of a description lie upon each other"
    );
}

#[tokio::test]
async fn the_head_of_a_table_stands_on_every_page() {
    let mut data = Template::Invoice.samples()[1].clone();
    data["lines"] = serde_json::json!(vec![data["lines"][0].clone(); 120]);

    let made = renderer()
        .render(&job(Template::Invoice, data))
        .await
        .unwrap();

    let text = squeezed(&text_of(&made.file));
    assert_eq!(
        text.matches("DescriptionQuantity").count(),
        made.pages.unwrap() as usize
    );
    assert!(text.contains(&format!("Page{0}of{0}", made.pages.unwrap())));
}
