//! The public keys of the user pool: which of them there are, and which are fit to verify RS256.

use std::collections::HashMap;

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Map, Value};

use super::{TokenError, json};

/// The most octets of a key set that are looked at: a user pool publishes two keys, under 1 KiB.
pub const MAX_KEY_SET: usize = 64 * 1024;

/// A JWK set (RFC 7517, 5).
#[derive(Clone, Debug, Default)]
pub struct Jwks {
    keys: HashMap<String, Key>,
}

/// What a `kid` leads to.
#[derive(Clone, Debug)]
enum Key {
    Fit(RsaKey),
    /// Kept, so that a token that names it learns what is wrong, instead of sending us to fetch the set again.
    Unfit,
    Ambiguous,
}

/// Modulus and exponent, big-endian without leading zeros.
#[derive(Clone, Debug)]
struct RsaKey {
    n: Vec<u8>,
    e: Vec<u8>,
}

/// Why a document is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// More than [`MAX_KEY_SET`] octets.
    #[error("the key set is larger than 64 KiB")]
    TooLarge,
    /// Not a JSON object, or one with a name that comes twice.
    #[error("the key set is not a JSON object with unique names")]
    Json,
    /// `keys` is not an array of objects.
    #[error("the key set has no array of keys")]
    NoKeys,
    /// Not one key of the set can verify an RS256 signature.
    #[error("no key of the set is fit for RS256")]
    NoFitKey,
}

impl Jwks {
    /// The set in this document. Keys that we cannot use are no error, as RFC 7517 asks, unless all are.
    pub fn parse(octets: &[u8]) -> Result<Self, JwksError> {
        if octets.len() > MAX_KEY_SET {
            return Err(JwksError::TooLarge);
        }
        let document = json::object(octets).map_err(|_| JwksError::Json)?;
        let Some(Value::Array(listed)) = document.get("keys") else {
            return Err(JwksError::NoKeys);
        };
        let mut keys = HashMap::new();
        for jwk in listed {
            let jwk = jwk.as_object().ok_or(JwksError::NoKeys)?;
            // A token must name its key, so one without a name cannot be asked for.
            let Some(kid) = jwk.get("kid").and_then(Value::as_str) else {
                continue;
            };
            let key = RsaKey::from_jwk(jwk).map_or(Key::Unfit, Key::Fit);
            keys.entry(kid.to_owned())
                .and_modify(|there| *there = Key::Ambiguous)
                .or_insert(key);
        }
        if keys.values().any(|key| matches!(key, Key::Fit(_))) {
            Ok(Self { keys })
        } else {
            Err(JwksError::NoFitKey)
        }
    }

    /// Checks an RS256 signature with the one key of this name.
    pub(super) fn check(
        &self,
        kid: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenError> {
        match self.keys.get(kid) {
            None => Err(TokenError::UnknownKey),
            Some(Key::Ambiguous) => Err(TokenError::AmbiguousKey),
            Some(Key::Unfit) => Err(TokenError::UnfitKey),
            Some(Key::Fit(key)) => key.verify(message, signature),
        }
    }
}

impl RsaKey {
    /// The key, if it is one that an RS256 signature may be made with.
    fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        let says = |name: &str, expected: &str| jwk.get(name).is_none_or(|value| value == expected);
        let may_verify = jwk.get("key_ops").is_none_or(|operations| {
            operations
                .as_array()
                .is_some_and(|all| all.iter().any(|operation| operation == "verify"))
        });
        let kind = jwk.get("kty").is_some_and(|kty| kty == "RSA");
        if !kind || !says("use", "sig") || !says("alg", "RS256") || !may_verify {
            return None;
        }
        let key = Self {
            n: integer(jwk.get("n")?)?,
            e: integer(jwk.get("e")?)?,
        };
        key.is_strong().then_some(key)
    }

    /// 2048 to 8192 bits (RFC 7518, 3.3), and numbers that an RSA key can have.
    fn is_strong(&self) -> bool {
        let is_odd = |number: &[u8]| number.last().is_some_and(|octet| octet % 2 == 1);
        // One and even numbers are no RSA exponents; ring takes none above 33 bits, and nobody publishes one.
        let exponent = is_odd(&self.e) && self.e != [1] && bits(&self.e) <= 33;
        exponent && is_odd(&self.n) && (2048..=8192).contains(&bits(&self.n))
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), TokenError> {
        RsaPublicKeyComponents {
            n: &self.n,
            e: &self.e,
        }
        .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
        .map_err(|_| TokenError::Signature)
    }
}

/// A `Base64urlUInt` (RFC 7518, 2): no padding, no leading zeros.
fn integer(value: &Value) -> Option<Vec<u8>> {
    let octets = BASE64URL_NOPAD.decode(value.as_str()?.as_bytes()).ok()?;
    octets
        .first()
        .is_some_and(|first| *first != 0)
        .then_some(octets)
}

fn bits(number: &[u8]) -> usize {
    number
        .first()
        .map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(document: &Value) -> Result<Jwks, JwksError> {
        Jwks::parse(document.to_string().as_bytes())
    }

    #[test]
    fn a_document_that_is_no_key_set_is_refused() {
        assert_eq!(Jwks::parse(b"").err(), Some(JwksError::Json));
        assert_eq!(
            Jwks::parse(br#"{"keys":[],"keys":[]}"#).err(),
            Some(JwksError::Json)
        );
        assert_eq!(parse(&json!({"keys": {}})).err(), Some(JwksError::NoKeys));
        assert_eq!(
            parse(&json!({"keys": ["a"]})).err(),
            Some(JwksError::NoKeys)
        );
        assert_eq!(parse(&json!({"keys": []})).err(), Some(JwksError::NoFitKey));
        assert_eq!(
            Jwks::parse(&vec![b' '; MAX_KEY_SET + 1]).err(),
            Some(JwksError::TooLarge)
        );
    }

    #[test]
    fn bits_are_counted_from_the_first_one() {
        assert_eq!(bits(&[]), 0);
        assert_eq!(bits(&[1]), 1);
        assert_eq!(bits(&[0x80, 0]), 16);
        assert_eq!(bits(&[0x7f, 0, 0]), 23);
    }
}
