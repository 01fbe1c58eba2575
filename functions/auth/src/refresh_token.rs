//! The refresh token that a session's holder carries: `rt_` and 68 octets that only we can make.
//!
//! It names its session and generation and is signed with a secret of Secrets Manager, so that nothing
//! has to be stored that a thief of the table could present. Rotating that secret ends all sessions at
//! their next refresh.

use data_encoding::BASE64URL_NOPAD;
use domain::id::{Id, Session, User};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

/// What the token begins with, so that scanners and people recognise one that leaked.
const PREFIX: &str = "rt_";

/// Bound into the signature, so that no other thing that the secret may sign one day is a token.
const PURPOSE: &[u8] = b"fleet refresh token 1";

/// Octets before the signature: user, session, generation.
const CLAIMED: usize = 16 + 16 + 4;

/// What a refresh token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    pub user: Id<User>,
    pub session: Id<Session>,
    pub generation: u32,
}

impl RefreshToken {
    /// The token's text.
    pub fn mint(self, secret: &SecretString) -> SecretString {
        let mut octets = self.claimed();
        let signature = hmac::sign(&signing_key(secret), &signed(&octets));
        octets.extend_from_slice(signature.as_ref());
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&octets)).into()
    }

    /// What a text says, if we made it.
    pub fn open(text: &str, secret: &SecretString) -> Option<Self> {
        let octets = BASE64URL_NOPAD
            .decode(text.strip_prefix(PREFIX)?.as_bytes())
            .ok()?;
        let (claimed, signature) = octets.split_at_checked(CLAIMED)?;
        // Compares in constant time.
        hmac::verify(&signing_key(secret), &signed(claimed), signature).ok()?;
        Some(Self {
            user: Id::new(Uuid::from_slice(&claimed[..16]).ok()?),
            session: Id::new(Uuid::from_slice(&claimed[16..32]).ok()?),
            generation: u32::from_be_bytes(claimed[32..].try_into().ok()?),
        })
    }

    fn claimed(self) -> Vec<u8> {
        let generation = self.generation.to_be_bytes();
        [
            self.user.uuid().as_bytes().as_slice(),
            self.session.uuid().as_bytes(),
            &generation,
        ]
        .concat()
    }
}

fn signed(claimed: &[u8]) -> Vec<u8> {
    [PURPOSE, claimed].concat()
}

fn signing_key(secret: &SecretString) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> RefreshToken {
        RefreshToken {
            user: Id::new(Uuid::from_u128(1)),
            session: Id::new(Uuid::from_u128(2)),
            generation: 7,
        }
    }

    #[test]
    fn a_token_opens_with_its_secret_only() {
        let text = token().mint(&"secret".into());

        assert!(text.expose_secret().starts_with("rt_"));
        assert_eq!(
            RefreshToken::open(text.expose_secret(), &"secret".into()),
            Some(token())
        );
        assert_eq!(
            RefreshToken::open(text.expose_secret(), &"another".into()),
            None
        );
    }

    #[test]
    fn no_octet_of_a_token_can_be_changed_or_left_out() {
        let text = token().mint(&"secret".into()).expose_secret().to_owned();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let mut shorter = text.clone();
            shorter.remove(at);

            for other in [
                String::from_utf8(changed).unwrap(),
                shorter,
                text[..at].to_owned(),
            ] {
                assert_eq!(RefreshToken::open(&other, &"secret".into()), None, "{at}");
            }
        }
    }
}
