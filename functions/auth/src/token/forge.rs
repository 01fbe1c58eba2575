//! Makes tokens for tests: good ones as the user pool makes them, and all kinds of others.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};

use super::{Jwks, Verifier};

pub const ISSUER: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_TestPool1";
pub const CLIENT: &str = "5pqgk2l8m4n6o7r9s1t3u5v7w9";
pub const SUBJECT: &str = "0b5f3a52-6b0c-4f5e-9f3e-2a3d1c9b7e11";
pub const ORIGIN: &str = "7c1f1d9e-54f3-4a51-8f0b-6d7e8f9a0b1c";
pub const KID: &str = "pool-key-1";
/// 2026-01-02T03:04:05Z, when the good token was issued.
pub const ISSUED_AT: i64 = 1_767_323_045;

/// A minute after the good token was issued.
pub fn now() -> Timestamp {
    Timestamp::from_second(ISSUED_AT + 60).unwrap()
}

pub fn verifier() -> Verifier {
    Verifier::new(ISSUER, CLIENT)
}

/// The header that the pool writes.
pub fn header() -> Value {
    json!({"kid": KID, "alg": "RS256"})
}

/// The claims that the pool writes.
pub fn claims() -> Value {
    json!({
        "sub": SUBJECT,
        "iss": ISSUER,
        "client_id": CLIENT,
        "origin_jti": ORIGIN,
        "event_id": "e2f4c6a8-1b3d-4f5a-8c7e-9d0b1a2c3e4f",
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "auth_time": ISSUED_AT,
        "exp": ISSUED_AT + 900,
        "iat": ISSUED_AT,
        "jti": "3d5b7f91-2c4e-4a6b-8d0f-1e3c5a7b9d2f",
        "username": SUBJECT,
    })
}

/// The value with one member set, or without it if it is set to nothing.
pub fn with(mut object: Value, name: &str, value: impl Into<Option<Value>>) -> Value {
    let members = object.as_object_mut().unwrap();
    match value.into() {
        Some(value) => members.insert(name.into(), value),
        None => members.remove(name),
    };
    object
}

pub fn encode(octets: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(octets.as_ref())
}

/// Who signs.
pub struct Forge(RsaKeyPair);

impl Forge {
    /// The user pool.
    pub fn pool() -> Self {
        Self::from_pem(include_str!("keys/pool.pem"))
    }

    /// Somebody else.
    pub fn stranger() -> Self {
        Self::from_pem(include_str!("keys/stranger.pem"))
    }

    fn from_pem(pem: &str) -> Self {
        let body: String = pem
            .lines()
            .skip_while(|line| !line.starts_with("-----BEGIN"))
            .filter(|line| !line.starts_with("-----"))
            .collect();
        Self(RsaKeyPair::from_pkcs8(&BASE64.decode(body.as_bytes()).unwrap()).unwrap())
    }

    /// The public key as the pool publishes it.
    pub fn jwk(&self) -> Value {
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(self.0.public());
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID,
            "n": encode(public.n),
            "e": encode(public.e),
        })
    }

    /// A set of just this key.
    pub fn jwks(&self) -> Jwks {
        jwks(&[self.jwk()])
    }

    pub fn token(&self, header: &Value, claims: &Value) -> String {
        self.raw(header.to_string(), claims.to_string())
    }

    pub fn raw(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        self.sign(
            &format!("{}.{}", encode(header), encode(claims)),
            &RSA_PKCS1_SHA256,
        )
    }

    /// Signs the text between the dots as it stands.
    pub fn sign(&self, signed: &str, encoding: &'static dyn RsaEncoding) -> String {
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(
                encoding,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{signed}.{}", encode(signature))
    }
}

pub fn jwks(keys: &[Value]) -> Jwks {
    Jwks::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}
