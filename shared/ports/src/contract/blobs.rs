//! What every store of files must do.

pub mod assembly;
pub mod uploads;

use std::time::Duration;

use super::assert_refused;
use crate::blobs::{Blob, Blobs, Download, LONGEST_LINK};

/// Runs every check on an empty store. `follow` gets what a browser gets for a link.
pub async fn holds_for(blobs: &dyn Blobs, follow: &dyn Fn(&str) -> Option<Download>) {
    a_file_comes_back_until_it_is_deleted(blobs).await;
    a_link_leads_to_the_file_under_its_name(blobs, follow).await;
    a_link_of_more_than_the_rule_is_refused(blobs).await;
}

async fn a_file_comes_back_until_it_is_deleted(blobs: &dyn Blobs) {
    let (key, other) = ("org_1/año 2026/doc_1.pdf", "org_1/doc_2.pdf");
    let first = pdf(&[0, 255, 37, 80]);
    let second = Blob {
        bytes: vec![],
        content_type: "text/plain; charset=utf-8".into(),
    };

    assert_eq!(blobs.get(key).await, Ok(None));
    assert_eq!(blobs.put(key, first.clone()).await, Ok(()));
    assert_eq!(blobs.get(key).await, Ok(Some(first)));
    assert_eq!(blobs.put(key, second.clone()).await, Ok(()));
    assert_eq!(blobs.get(key).await, Ok(Some(second)), "an overwrite");
    assert_eq!(blobs.get(other).await, Ok(None));
    assert_eq!(blobs.delete(key).await, Ok(()));
    assert_eq!(blobs.delete(key).await, Ok(()), "a repeated deletion");
    assert_eq!(blobs.get(key).await, Ok(None));
}

async fn a_link_leads_to_the_file_under_its_name(
    blobs: &dyn Blobs,
    follow: &dyn Fn(&str) -> Option<Download>,
) {
    let file = pdf(b"%PDF-1.7");
    blobs
        .put("org_1/doc_3.pdf", file.clone())
        .await
        .expect("a file");

    for name in ["invoice-7.pdf", "factura \"año\" 7.pdf"] {
        let link = blobs
            .link("org_1/doc_3.pdf", name, Duration::from_mins(1))
            .await
            .expect("a link");
        let expected = Download {
            blob: file.clone(),
            file_name: name.to_owned(),
        };
        assert_eq!(follow(&link.url), Some(expected));
    }
    let nowhere = blobs
        .link("org_1/doc_4.pdf", "none.pdf", Duration::from_mins(1))
        .await
        .expect("a link");
    assert_eq!(follow(&nowhere.url), None);
}

async fn a_link_of_more_than_the_rule_is_refused(blobs: &dyn Blobs) {
    assert!(
        blobs
            .link("org_1/doc_3.pdf", "a.pdf", LONGEST_LINK)
            .await
            .is_ok()
    );
    let longer = blobs
        .link(
            "org_1/doc_3.pdf",
            "a.pdf",
            LONGEST_LINK + Duration::from_secs(1),
        )
        .await;
    assert_refused(longer, "a link of more than 15 minutes");
}

fn pdf(bytes: &[u8]) -> Blob {
    Blob {
        bytes: bytes.to_vec(),
        content_type: "application/pdf".into(),
    }
}
