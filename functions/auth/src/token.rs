//! The verifier of access tokens: RS256 as a user pool signs it, RFC 8725 to the letter, and nothing else.
//!
//! Used by the authorizer, and by `cargo fleet token verify` for whoever must find out why a token is
//! refused. It is written here, on ring's signature check, because the libraries that the field uses
//! accept tokens that the RFCs forbid: with an unknown `crit`, with `b64`, under a key of 1024 bits or
//! one meant for encryption, with an issuer in an array, or without an end.
//!
//! Order: size, form, header, key, signature; only then is a claim looked at.

mod claims;
mod error;
mod header;
mod json;
mod jwk;

use data_encoding::BASE64URL_NOPAD;
use domain::Id;
use domain::id::{Session, User};
use jiff::Timestamp;
use uuid::Uuid;

pub use error::TokenError;
pub use jwk::{Jwks, JwksError, MAX_KEY_SET};

/// The most octets of a token that are looked at. A pool's access token has about 1 KiB.
pub const MAX_TOKEN: usize = 16 * 1024;

/// An access token whose every rule holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// Whose it is (`sub`).
    pub user: Id<User>,
    /// The sign-in that it comes from (`origin_jti`), as the pool wrote it.
    pub session: String,
    /// When it was issued (`iat`).
    pub issued_at: Timestamp,
    /// From then on it is refused (`exp`).
    pub expires_at: Timestamp,
}

impl AccessToken {
    /// The session's id, if the pool's name for it is one: a session of ours always is.
    pub fn session_id(&self) -> Option<Id<Session>> {
        Uuid::try_parse(&self.session).ok().map(Id::new)
    }
}

/// Checks tokens of one client of one user pool.
#[derive(Clone, Debug)]
pub struct Verifier {
    expected: claims::Expected,
}

impl Verifier {
    /// A verifier of the tokens that `issuer` (`https://cognito-idp.REGION.amazonaws.com/POOL`) gives to
    /// the client `client_id`.
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            expected: claims::Expected {
                issuer: issuer.into(),
                client_id: client_id.into(),
            },
        }
    }

    /// The token, if every rule holds at this moment.
    ///
    /// # Errors
    /// The first rule that does not hold. With [`TokenError::UnknownKey`] a fresher key set may help.
    pub fn verify(
        &self,
        token: &str,
        jwks: &Jwks,
        now: Timestamp,
    ) -> Result<AccessToken, TokenError> {
        let parts = Parts::split(token)?;
        let kid = header::key_id(&decode(parts.header)?)?;
        let payload = decode(parts.payload)?;
        jwks.check(&kid, parts.signed.as_bytes(), &decode(parts.signature)?)?;
        claims::accept(&json::object(&payload)?, &self.expected, now)
    }
}

/// Whose an access token is and which sign-in it comes from, read without verifying it: only for a token
/// that the user pool itself has just handed to us.
pub(crate) fn origin_of(token: &str) -> Option<(Id<User>, Id<Session>)> {
    let claims = json::object(&decode(Parts::split(token).ok()?.payload).ok()?).ok()?;
    let uuid = |name: &str| Uuid::try_parse(claims.get(name)?.as_str()?).ok();
    Some((Id::new(uuid("sub")?), Id::new(uuid("origin_jti")?)))
}

/// A token in its compact form (RFC 7515, 7.1).
struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// Header and payload with the dot between them: what the signature is over.
    signed: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLarge);
        }
        let malformed = || TokenError::Malformed;
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
        let is_part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if [header, payload, signature].into_iter().all(is_part) {
            Ok(Self {
                header,
                payload,
                signature,
                signed,
            })
        } else {
            Err(TokenError::Malformed)
        }
    }
}

/// The octets of a part. There is one spelling for them: bits that carry nothing have to be zero.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    BASE64URL_NOPAD
        .decode(part.as_bytes())
        .map_err(|_| TokenError::Encoding)
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
pub(crate) mod forge;
