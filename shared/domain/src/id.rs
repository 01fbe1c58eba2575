//! Ids with a type and a prefix: a `usr_…` where a `doc_…` belongs does not compile, and a log line
//! that holds one says what it is.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// What an id names; its prefix is written before every id of that kind.
pub trait Kind: 'static {
    /// Three letters, without the underscore.
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl Kind for $name {
            const PREFIX: &'static str = $prefix;
        }
    )*};
}

kinds! {
    /// A person who can sign in.
    User = "usr";
    /// The tenant: everything that is owned is owned by one.
    Organisation = "org";
    /// One sign-in on one device, alive over many refreshes.
    Session = "ses";
    /// A generated document.
    Document = "doc";
    /// An organisation's own template of documents.
    Template = "tpl";
    /// Many things that were asked for together: documents of a template, texts of a prompt.
    Batch = "bat";
    /// A document whose data a model is to write.
    Draft = "drf";
    /// A text or an object that a model made.
    Content = "con";
    /// A voice that an organisation speaks with.
    Voice = "voi";
    /// Slow work that was taken on.
    Job = "job";
    /// Documents that are searched together.
    Collection = "col";
    /// A document of a collection, by its text.
    CollectionDocument = "cdo";
    /// What a program signs in with.
    ApiKey = "key";
    /// A stored file.
    File = "fil";
    /// Something that happened, once, whatever the number of its deliveries.
    Happening = "evt";
}

/// A 128-bit id of one [`Kind`], written as `prefix_` and 32 lower-case hexadecimal digits.
///
/// New ids are UUID version 7 (RFC 9562), so that they sort by time; a user's id is the subject that
/// the identity provider gave, which is a version 4.
pub struct Id<K: Kind>(Uuid, PhantomData<fn() -> K>);

impl<K: Kind> Id<K> {
    /// The id with this value.
    pub const fn new(value: Uuid) -> Self {
        Self(value, PhantomData)
    }

    /// The value without its kind, for keys and seeds.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

/// Why a text is not an id of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an id of the form {prefix}_ and 32 hexadecimal digits")]
pub struct IdError {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

impl<K: Kind> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError { prefix: K::PREFIX };
        let digits = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .ok_or_else(|| error.clone())?;
        let canonical = digits.len() == 32
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return Err(error);
        }
        Uuid::try_parse(digits).map(Self::new).map_err(|_| error)
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, self.0.simple())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Kind> Copy for Id<K> {}

impl<K: Kind> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K: Kind> Eq for Id<K> {}

impl<K: Kind> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Kind> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<K: Kind> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = Id::<Document>::new(Uuid::from_u128(0x0193_1234_5678));

        assert_eq!(id.to_string(), "doc_00000000000000000000019312345678");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn another_kind_another_case_or_another_length_is_refused() {
        for text in [
            "usr_00000000000000000000019312345678",
            "doc_0000000000000000000001931234567A",
            "doc_0193",
            "doc00000000000000000000019312345678",
            "doc_00000000-0000-0000-0000-019312345678",
            "",
        ] {
            assert!(text.parse::<Id<Document>>().is_err(), "{text}");
        }
    }
}
