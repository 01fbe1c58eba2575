//! What every key must do.

use super::assert_refused;
use crate::keys::{Keys, LONGEST_PLAINTEXT};

/// Runs every check but [`a_changed_ciphertext_is_refused`].
pub async fn holds_for(keys: &dyn Keys) {
    what_was_encrypted_comes_back(keys).await;
    a_ciphertext_belongs_to_its_context(keys).await;
    nothing_and_too_much_are_refused(keys).await;
}

/// A check of its own, because the emulator does not authenticate what it decrypts.
pub async fn a_changed_ciphertext_is_refused(keys: &dyn Keys) {
    let mut changed = keys
        .encrypt("usr_1/ses_1", b"refresh token")
        .await
        .expect("a ciphertext");
    *changed.last_mut().expect("an octet") ^= 1;

    assert_refused(
        keys.decrypt("usr_1/ses_1", &changed).await,
        "a changed ciphertext",
    );
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

async fn a_ciphertext_belongs_to_its_context(keys: &dyn Keys) {
    let sealed = keys
        .encrypt("usr_1/ses_1", b"refresh token")
        .await
        .expect("a ciphertext");

    assert_refused(
        keys.decrypt("usr_1/ses_2", &sealed).await,
        "a ciphertext in another row",
    );
    assert_refused(
        keys.decrypt("usr_1/ses_1", &sealed[..4]).await,
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
