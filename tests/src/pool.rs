//! The user pool's signing key, as tests have it: a key that guards nothing.

use std::sync::Arc;

use async_trait::async_trait;
use auth::jwks::KeySource;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ports::identity::{AccessClaims, TokenMint};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::json;

const PEM: &str = include_str!("../../functions/auth/src/token/keys/pool.pem");
const KEY_ID: &str = "pool";

fn key() -> RsaKeyPair {
    let lines = PEM
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"));
    let body: String = lines.filter(|line| !line.starts_with("-----")).collect();
    let der = BASE64.decode(body.as_bytes()).expect("base64");
    RsaKeyPair::from_pkcs8(&der).expect("a PKCS#8 key")
}

/// Signs access tokens as the pool does.
pub fn mint() -> TokenMint {
    let key = key();
    Arc::new(move |claims: &AccessClaims| {
        let header = BASE64URL_NOPAD.encode(
            json!({"alg": "RS256", "kid": KEY_ID})
                .to_string()
                .as_bytes(),
        );
        let claims = BASE64URL_NOPAD.encode(&serde_json::to_vec(claims).expect("claims are JSON"));
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .expect("a signature");
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    })
}

/// The pool's published keys.
pub struct Published;

#[async_trait]
impl KeySource for Published {
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(key().public());
        let (n, e) = (
            BASE64URL_NOPAD.encode(&public.n),
            BASE64URL_NOPAD.encode(&public.e),
        );
        let jwk =
            json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": n, "e": e});
        Ok(json!({"keys": [jwk]}).to_string().into_bytes())
    }
}
