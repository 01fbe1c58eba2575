//! What every store of secrets must do.

use secrecy::ExposeSecret;

use super::assert_refused;
use crate::secrets::Secrets;

/// Runs every check on a store that holds one secret.
pub async fn holds_for(secrets: &dyn Secrets, id: &str, value: &str) {
    for _ in 0..2 {
        assert_eq!(
            secrets.get(id).await.expect("the secret").expose_secret(),
            value
        );
    }
    assert_refused(
        secrets.get("no-such-secret").await,
        "a secret that does not exist",
    );
}
