//! Archiving and accessibility, judged by `page_validation` (the rules of PDF/A-2b and PDF/UA-1).

use documents::template::Template;
use page_validation::{ValidationOptions, ValidationProfile, validate_pdf_bytes};
use serde_json::json;

use crate::{job, renderer, samples};

/// The rules that a file breaks; a file that the validator cannot read breaks the rule "unreadable".
pub fn broken_rules(pdf: &[u8], profile: ValidationProfile) -> Vec<String> {
    match validate_pdf_bytes(pdf, &ValidationOptions::default().profile(profile)) {
        Ok(report) => {
            assert_eq!(report.is_compliant, report.failures.is_empty());
            report
                .failures
                .iter()
                .map(|failure| format!("{failure:?}"))
                .collect()
        }
        Err(error) => vec![format!("unreadable: {error}")],
    }
}

pub fn is_conforming(pdf: &[u8]) -> bool {
    broken_rules(pdf, ValidationProfile::PdfA2b).is_empty()
        && broken_rules(pdf, ValidationProfile::PdfUa1).is_empty()
}

#[tokio::test]
async fn every_sample_can_be_archived_and_read_aloud() {
    let renderer = renderer();
    for (name, template, data) in samples() {
        let made = renderer.render(&job(template, data)).await.unwrap();

        for profile in [ValidationProfile::PdfA2b, ValidationProfile::PdfUa1] {
            assert_eq!(broken_rules(&made.file, profile), [""; 0], "{name}");
        }
    }
}

#[tokio::test]
async fn an_invoice_of_many_pages_conforms_too() {
    let mut data = Template::Invoice.samples()[0].clone();
    let lines: Vec<_> = (0..120)
        .map(|n| json!({ "description": format!("Concepto {n}"), "quantity": n + 1, "unit_price": 100, "tax_rate_bps": 2100 }))
        .collect();
    data["lines"] = json!(lines);

    let made = renderer()
        .render(&job(Template::Invoice, data))
        .await
        .unwrap();

    assert!(made.pages > Some(3), "{:?} pages", made.pages);
    assert!(is_conforming(&made.file));
}

/// Replaces a text wherever it stands by one of the same length, so that every offset of the file stays
/// true. Nothing if it stands nowhere (most of a file is compressed).
fn with(pdf: &[u8], from: &str, to: &str) -> Option<Vec<u8>> {
    assert_eq!(from.len(), to.len());
    let mut changed = pdf.to_vec();
    for at in 0..pdf.len() {
        if pdf[at..].starts_with(from.as_bytes()) {
            changed[at..at + from.len()].copy_from_slice(to.as_bytes());
        }
    }
    (changed != pdf).then_some(changed)
}

#[tokio::test]
async fn the_validator_bites_when_a_file_is_broken() {
    let (_, template, data) = samples().remove(0);
    let made = renderer().render(&job(template, data)).await.unwrap();
    assert!(is_conforming(&made.file));

    let mut bitten = 0;
    for (from, to) in [
        ("/MarkInfo", "/MarkXnfo"),
        ("/Marked true", "/Marked null"),
        ("/Lang", "/Lxng"),
        ("/StructTreeRoot", "/StructTreeRxxt"),
        ("/DisplayDocTitle true", "/DisplayDocTitle null"),
        ("/Metadata", "/Mxtadata"),
        ("pdfuaid:part", "pdfuaid:pxrt"),
        ("pdfaid:part", "pdfaid:pxrt"),
        ("/ToUnicode", "/TxUnicode"),
        ("/FontFile3", "/FxntFile3"),
    ] {
        if let Some(changed) = with(&made.file, from, to) {
            assert!(
                !is_conforming(&changed),
                "{from} became {to} and nothing was said"
            );
            bitten += 1;
        }
    }
    assert!(
        bitten >= 5,
        "only {bitten} of the changes apply to this file"
    );
}
