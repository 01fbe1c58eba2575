//! What every key must do.

use super::assert_refused;
use crate::keys::{Keys, LONGEST_PLAINTEXT};

/// Runs every check.
pub async fn holds_for(keys: &dyn Keys) {
    what_was_encrypted_comes_back(keys).await;
    a_changed_ciphertext_or_context_is_refused(keys).await;
    nothing_and_too_much_are_refused(keys).await;
}

async fn what_was_encrypted_comes_back(keys: &dyn Keys) {
    for plaintext in [
        vec![0],
        b"refresh token".to_vec(),
        vec![255; LONGEST_PLAINTEXT],
    ] {
        let once = keys
            .encrypt("usr_1/ses_1", &plaintext)
            .await
            .expect("a ciphertext");
        let again = keys
            .encrypt("usr_1/ses_1", &plaintext)
            .await
            .expect("a ciphertext");

        assert_ne!(
            once, again,
            "the same text is not recognised by its ciphertext"
        );
        assert_eq!(keys.decrypt("usr_1/ses_1", &once).await, Ok(plaintext));
    }
}

async fn a_changed_ciphertext_or_context_is_refused(keys: &dyn Keys) {
    let good = keys
        .encrypt("usr_1/ses_1", b"refresh token")
        .await
        .expect("a ciphertext");
    let mut bad = good.clone();
    *bad.last_mut().expect("an octet") ^= 1;

    assert_refused(
        keys.decrypt("usr_1/ses_2", &good).await,
        "a ciphertext in another row",
    );
    assert_refused(
        keys.decrypt("usr_1/ses_1", &bad).await,
        "a changed ciphertext",
    );
    assert_refused(
        keys.decrypt("usr_1/ses_1", &good[..4]).await,
        "half a ciphertext",
    );
    assert_refused(keys.decrypt("usr_1/ses_1", b"").await, "no ciphertext");
}

async fn nothing_and_too_much_are_refused(keys: &dyn Keys) {
    assert_refused(keys.encrypt("usr_1", b"").await, "nothing to encrypt");
    assert_refused(
        keys.encrypt("usr_1", &vec![0; LONGEST_PLAINTEXT + 1]).await,
        "too much to encrypt",
    );
}
