//! An API key: `flt_live_` and 60 octets that name its row, prove it, and show a typo.
//!
//! The text is for secret scanners as much as for people: `flt_live_[0-9a-v]{96}`, whose last 4 octets are
//! a checksum over the rest. Without the right one a text is refused before anything is read. The table
//! keeps a keyed hash and never the text; the secret of that hash is the one that signs refresh tokens, so
//! that rotating it ends every session and every key: the brake to pull when it has leaked.

use std::collections::BTreeSet;

use data_encoding::{BASE32_DNSSEC, HEXLOWER};
use domain::id::{ApiKey, Id, Organisation, User};
use jiff::Timestamp;
use ports::ids::Ids;
use ports::table::Key;
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What every key begins with.
pub const PREFIX: &str = "flt_";

/// Before the octets.
const LIVE: &str = "flt_live_";

/// Characters of a key, all of them.
const LENGTH: usize = LIVE.len() + 96;

/// Octets that nobody can guess: 192 bits.
const SECRET: usize = 24;

/// Octets before the checksum: organisation, key, secret.
const CLAIMED: usize = 16 + 16 + SECRET;

/// Bound into the checksum and into the hash, so that neither is one of something else.
const PURPOSE: &[u8] = b"fleet api key 1";

/// The beginning of a key's sort key.
pub(crate) const SORT_PREFIX: &str = "key#";

/// Secrets that gave way to a new one and are still good for a while; older ones are dropped.
const RETIRED: usize = 4;

/// A text of the right shape, which proves nothing yet. Its secret is never printed.
pub(crate) struct KeyText {
    pub organisation: Id<Organisation>,
    pub id: Id<ApiKey>,
    claimed: [u8; CLAIMED],
}

impl KeyText {
    /// A new secret for a key.
    pub fn mint(organisation: Id<Organisation>, id: Id<ApiKey>, ids: &dyn Ids) -> Self {
        let mut claimed = [0; CLAIMED];
        claimed[..16].copy_from_slice(organisation.uuid().as_bytes());
        claimed[16..32].copy_from_slice(id.uuid().as_bytes());
        ids.fill(&mut claimed[32..]);
        Self {
            organisation,
            id,
            claimed,
        }
    }

    /// What a text says, if it is written as we write it and has no typo.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH {
            return None;
        }
        let octets = BASE32_DNSSEC
            .decode(text.strip_prefix(LIVE)?.as_bytes())
            .ok()?;
        let claimed: [u8; CLAIMED] = octets.get(..CLAIMED)?.try_into().ok()?;
        let parsed = Self {
            organisation: Id::new(Uuid::from_slice(&claimed[..16]).ok()?),
            id: Id::new(Uuid::from_slice(&claimed[16..32]).ok()?),
            claimed,
        };
        // One key has one text: the decoder takes capitals too.
        (parsed.text().expose_secret() == text).then_some(parsed)
    }

    /// The key as its holder keeps it.
    pub fn text(&self) -> SecretString {
        let octets = [self.claimed.as_slice(), &checksum(&self.claimed)].concat();
        format!("{LIVE}{}", BASE32_DNSSEC.encode(&octets)).into()
    }

    /// What the table keeps of it.
    pub fn hash(&self, secret: &SecretString) -> Hash {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        let tag = hmac::sign(&key, &[PURPOSE, &self.claimed].concat());
        Hash(HEXLOWER.encode(tag.as_ref()))
    }
}

fn checksum(claimed: &[u8]) -> [u8; 4] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(PURPOSE);
    context.update(claimed);
    let mut sum = [0; 4];
    sum.copy_from_slice(&context.finish().as_ref()[..4]);
    sum
}

/// A keyed hash of a key: whoever reads the table cannot make the key from it, whoever writes the table
/// cannot make a hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Hash(String);

impl Hash {
    /// Compares hashes that an attacker cannot choose, so that how long it takes tells nothing of use.
    fn is(&self, other: &Self) -> bool {
        self == other
    }
}

/// The row of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyRow {
    /// Which.
    pub id: Id<ApiKey>,
    /// Whose data it opens.
    pub organisation: Id<Organisation>,
    /// What its makers call it: 1 to 100 characters.
    pub name: String,
    /// What it was given. What it may do is that, and no more than the person behind its secret may do at
    /// the moment.
    pub permissions: BTreeSet<String>,
    /// Who made it.
    pub created_by: Id<User>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops by itself; never, if absent. Its name in the row is another than that of the column after
    /// which a row is forgotten, because a key that has ended is still shown.
    #[serde(default, rename = "ends_at", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The present secret.
    pub(crate) secret: Secret,
    /// Secrets that still open for a while, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) retired: Vec<Retired>,
}

/// A secret of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secret {
    pub hash: Hash,
    /// The person that it was shown to, and for whom it acts.
    pub person: Id<User>,
    /// When it was made.
    pub at: Timestamp,
    /// The request that made it: its repeats make no second one.
    pub request: Uuid,
}

/// A secret that gave way to the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retired {
    pub secret: Secret,
    pub until: Timestamp,
}

/// The place of a key's row.
pub(crate) fn key(organisation: Id<Organisation>, id: Id<ApiKey>) -> Key {
    Key::new(organisation, format!("{SORT_PREFIX}{id}"))
}

impl ApiKeyRow {
    /// The person for whom a key with this hash acts at this moment, if it opens anything.
    pub(crate) fn admits(&self, hash: &Hash, now: Timestamp) -> Option<Id<User>> {
        let retired = self.retired.iter().filter(|old| now < old.until);
        let mut known = std::iter::once(&self.secret).chain(retired.map(|old| &old.secret));
        let secret = known.find(|secret| secret.hash.is(hash))?;
        self.expires_at
            .is_none_or(|end| now < end)
            .then_some(secret.person)
    }

    /// The row with a new secret, the present one going on until a moment.
    pub(crate) fn reroll(&self, secret: Secret, until: Timestamp) -> Self {
        let mut retired = self.retired.clone();
        retired.push(Retired {
            secret: self.secret.clone(),
            until,
        });
        retired.retain(|old| secret.at < old.until);
        let forgotten = retired.len().saturating_sub(RETIRED);
        retired.drain(..forgotten);
        Self {
            secret,
            retired,
            ..self.clone()
        }
    }

    /// The row with another secret from the same request: the answer that carried the first one was lost.
    /// Nothing for an attempt that was overtaken, whose answer nobody waits for.
    pub(crate) fn mint_again(&self, secret: Secret) -> Option<Self> {
        (self.secret.at <= secret.at).then(|| Self {
            secret,
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::ids::RandomIds;
    use proptest::prelude::*;

    fn minted() -> KeyText {
        KeyText::mint(
            Id::new(Uuid::from_u128(1)),
            Id::new(Uuid::from_u128(2)),
            &*RandomIds::shared(),
        )
    }

    fn row(secret: Secret) -> ApiKeyRow {
        ApiKeyRow {
            id: Id::new(Uuid::from_u128(2)),
            organisation: Id::new(Uuid::from_u128(1)),
            name: "CI".into(),
            permissions: BTreeSet::new(),
            created_by: person(1),
            created_at: at(0),
            expires_at: None,
            secret,
            retired: Vec::new(),
        }
    }

    fn person(n: u8) -> Id<User> {
        Id::new(Uuid::from_u128(n.into()))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_323_045 + second).unwrap()
    }

    fn hash(n: u8) -> Hash {
        Hash(n.to_string())
    }

    fn secret(n: u8, second: i64) -> Secret {
        Secret {
            hash: hash(n),
            person: person(n),
            at: at(second),
            request: Uuid::nil(),
        }
    }

    #[test]
    fn a_key_is_what_a_scanner_looks_for_and_says_where_its_row_is() {
        let key = minted();
        let text = key.text();
        let text = text.expose_secret();

        let octets = text.strip_prefix("flt_live_").unwrap();
        assert_eq!(octets.len(), 96);
        assert!(
            octets
                .bytes()
                .all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'v'))
        );
        let parsed = KeyText::parse(text).unwrap();
        assert_eq!((parsed.organisation, parsed.id), (key.organisation, key.id));
        assert_eq!(parsed.hash(&"s".into()), key.hash(&"s".into()));
    }

    #[test]
    fn a_hash_needs_its_secret_and_two_keys_have_two() {
        let key = minted();

        assert_ne!(key.hash(&"a".into()), key.hash(&"b".into()));
        assert_ne!(key.hash(&"a".into()), minted().hash(&"a".into()));
    }

    #[test]
    fn no_character_of_a_key_can_be_changed_left_out_swapped_or_doubled() {
        let text = minted().text().expose_secret().to_owned();
        for at in 0..text.len() {
            let mut wrong = Vec::new();
            for other in ["0", "v", "A", "_", "é", " "] {
                wrong.push(format!("{}{other}{}", &text[..at], &text[at + 1..]));
            }
            wrong.push(format!("{}{}", &text[..at], &text[at + 1..]));
            wrong.push(format!("{}{}", &text[..=at], &text[at..]));
            wrong.push(text[..at].to_owned());
            if at + 2 <= text.len() {
                let (a, b) = (&text[at..=at], &text[at + 1..at + 2]);
                wrong.push(format!("{}{b}{a}{}", &text[..at], &text[at + 2..]));
            }
            for wrong in wrong.iter().filter(|wrong| **wrong != text) {
                assert!(KeyText::parse(wrong).is_none(), "{wrong}");
            }
        }
        assert!(KeyText::parse(&text.to_uppercase()).is_none());
        assert!(KeyText::parse(&format!("{LIVE}{}", text[LIVE.len()..].to_uppercase())).is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_refused_and_breaks_nothing(text in ".{0,120}", octets in "[0-9a-v]{96}") {
            for wrong in [text, format!("{LIVE}{octets}")] {
                prop_assert!(KeyText::parse(&wrong).is_none(), "{}", wrong);
            }
        }
    }

    #[test]
    fn a_secret_that_gave_way_opens_until_its_time_and_the_new_one_at_once() {
        let rerolled = row(secret(1, 0)).reroll(secret(2, 0), at(60));

        assert_eq!(rerolled.admits(&hash(2), at(0)), Some(person(2)));
        assert_eq!(rerolled.admits(&hash(1), at(59)), Some(person(1)));
        assert_eq!(rerolled.admits(&hash(1), at(60)), None);
        assert_eq!(rerolled.admits(&hash(3), at(0)), None);
    }

    #[test]
    fn a_key_past_its_time_opens_nothing() {
        let row = ApiKeyRow {
            expires_at: Some(at(10)),
            ..row(secret(1, 0)).reroll(secret(2, 0), at(60))
        };

        for n in [1, 2] {
            assert!(row.admits(&hash(n), at(9)).is_some());
            assert!(row.admits(&hash(n), at(10)).is_none());
        }
    }

    #[test]
    fn an_attempt_that_was_overtaken_cannot_take_the_secret_back() {
        let row = row(secret(1, 0)).mint_again(secret(2, 5)).unwrap();

        assert_eq!(row.mint_again(secret(3, 4)), None);
        assert!(row.admits(&hash(2), at(5)).is_some());
        assert!(row.admits(&hash(1), at(5)).is_none());
    }

    #[test]
    fn a_row_does_not_grow_with_its_rerolls() {
        let row = (1..100).fold(row(secret(0, 0)), |row, n| {
            row.reroll(secret(n, 0), at(1000))
        });

        assert_eq!(row.retired.len(), RETIRED);
        assert_eq!(row.retired.last().unwrap().secret.hash, hash(98));
        assert_eq!(row.reroll(secret(100, 1000), at(2000)).retired.len(), 1);
    }
}
