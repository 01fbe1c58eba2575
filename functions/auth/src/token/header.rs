//! What a token says of itself before anything is verified (RFC 7515, 4): enough to refuse it, or to
//! look up its key by name.

use serde_json::{Map, Value};

use super::{TokenError, json};

/// Parameters that bring a key along or say where to fetch one. A verifier that follows them lets the
/// attacker choose the key; refused rather than ignored, because the user pool never writes them.
const KEY_PARAMETERS: [&str; 6] = ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"];

/// Parameters that change what is signed or what must be understood. We implement none, and RFC 7515
/// says that whoever does not understand a critical one must refuse; `b64` without `crit` is forbidden too.
const EXTENSIONS: [&str; 2] = ["crit", "b64"];

/// The id of the key that a header names, if the header is one that we accept.
pub fn key_id(octets: &[u8]) -> Result<String, TokenError> {
    let header = json::object(octets)?;
    if header.get("alg").is_none_or(|alg| alg != "RS256") {
        return Err(TokenError::Algorithm);
    }
    if EXTENSIONS.iter().any(|name| header.contains_key(*name)) {
        return Err(TokenError::Extension);
    }
    if KEY_PARAMETERS.iter().any(|name| header.contains_key(*name)) {
        return Err(TokenError::HeaderKey);
    }
    if !is_access_token(&header) {
        return Err(TokenError::Type);
    }
    match header.get("kid") {
        Some(Value::String(kid)) if !kid.is_empty() => Ok(kid.clone()),
        _ => Err(TokenError::KeyIdMissing),
    }
}

/// A user pool writes no `typ`, so absence is the rule; `JWT` says nothing, and `at+jwt` (RFC 9068) says
/// what we expect. All other types are other kinds of token. Media types know no case (RFC 7515, 4.1.9).
/// A `cty` means that the payload is something else again, such as a nested token.
fn is_access_token(header: &Map<String, Value>) -> bool {
    let kind = header.get("typ").is_none_or(|typ| {
        let typ = typ.as_str().unwrap_or_default().to_ascii_lowercase();
        matches!(
            typ.strip_prefix("application/").unwrap_or(&typ),
            "jwt" | "at+jwt"
        )
    });
    kind && !header.contains_key("cty")
}
