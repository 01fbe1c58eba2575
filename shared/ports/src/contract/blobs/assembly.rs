//! What every store that takes a file in parts must do.

use crate::blobs::{Assembly, Blob, Blobs, SMALLEST_PART};
use crate::contract::assert_refused;

/// Runs every check on an empty store; both are the same store.
pub async fn holds_for(blobs: &dyn Blobs, assembly: &dyn Assembly) {
    parts_become_one_file_when_it_is_finished(blobs, assembly).await;
    finishing_again_changes_nothing(blobs, assembly).await;
    what_was_abandoned_is_no_file(blobs, assembly).await;
    a_wrong_tag_is_refused(assembly).await;
}

async fn parts_become_one_file_when_it_is_finished(blobs: &dyn Blobs, assembly: &dyn Assembly) {
    let key = "batches/org_1/whole.zip";
    let upload = assembly
        .begin(key, "application/zip")
        .await
        .expect("an upload");
    let first = vec![1; usize::try_from(SMALLEST_PART).expect("a length")];
    let last = b"the end".to_vec();

    // Out of order, and one of them twice.
    let replaced = assembly.part(key, &upload, 2, b"not this".to_vec()).await;
    assert!(replaced.is_ok());
    let mut tags = vec![
        assembly
            .part(key, &upload, 1, first.clone())
            .await
            .expect("a part"),
    ];
    tags.push(
        assembly
            .part(key, &upload, 2, last.clone())
            .await
            .expect("a part"),
    );
    assert_eq!(blobs.get(key).await, Ok(None), "before it is finished");
    assert_eq!(assembly.finish(key, &upload, &tags).await, Ok(()));

    let expected = Blob {
        bytes: [first, last].concat(),
        content_type: "application/zip".into(),
    };
    assert!(blobs.get(key).await == Ok(Some(expected)), "the whole file");
}

async fn finishing_again_changes_nothing(blobs: &dyn Blobs, assembly: &dyn Assembly) {
    let key = "batches/org_1/twice.zip";
    let upload = assembly
        .begin(key, "application/zip")
        .await
        .expect("an upload");
    let tags = [assembly
        .part(key, &upload, 1, b"all of it".to_vec())
        .await
        .expect("a part")];

    assert_eq!(assembly.finish(key, &upload, &tags).await, Ok(()));
    assert_eq!(assembly.finish(key, &upload, &tags).await, Ok(()), "again");

    let file = blobs.get(key).await.expect("an answer").expect("a file");
    assert_eq!(file.bytes, b"all of it");
}

async fn what_was_abandoned_is_no_file(blobs: &dyn Blobs, assembly: &dyn Assembly) {
    let key = "batches/org_1/never.zip";
    let upload = assembly
        .begin(key, "application/zip")
        .await
        .expect("an upload");
    let tag = assembly
        .part(key, &upload, 1, b"a part".to_vec())
        .await
        .expect("a part");

    assert_eq!(assembly.abandon(key, &upload).await, Ok(()));
    assert_eq!(assembly.abandon(key, &upload).await, Ok(()), "again");

    assert_refused(
        assembly.finish(key, &upload, &[tag]).await,
        "an upload that was abandoned",
    );
    assert_eq!(blobs.get(key).await, Ok(None));
}

async fn a_wrong_tag_is_refused(assembly: &dyn Assembly) {
    let key = "batches/org_1/wrong.zip";
    let upload = assembly
        .begin(key, "application/zip")
        .await
        .expect("an upload");
    assembly
        .part(key, &upload, 1, b"a part".to_vec())
        .await
        .expect("a part");

    let wrong = ["\"00000000000000000000000000000000\"".to_owned()];
    assert_refused(
        assembly.finish(key, &upload, &wrong).await,
        "a tag of another part",
    );
}
