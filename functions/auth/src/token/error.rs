//! Why a token is refused: one reason a variant, each with a code that never changes.

/// The first rule that a token breaks. The rules are asked in the order in which they stand here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// More than [`super::MAX_TOKEN`] octets; nothing of it was looked at.
    #[error("the token is larger than 16 KiB")]
    TooLarge,
    /// Not three parts of base64url letters between two dots (RFC 7515, 7.1).
    #[error("not three base64url parts")]
    Malformed,
    /// A part is not canonical base64url without padding (RFC 7515, 2; RFC 4648, 3.5).
    #[error("a part is not canonical base64url")]
    Encoding,
    /// Header or claims are not one JSON object in UTF-8.
    #[error("header or claims are not a JSON object")]
    Json,
    /// An object, at whatever depth, has two members of one name (RFC 7515, 4; RFC 7519, 4).
    #[error("an object has two members of one name")]
    DuplicateMember,
    /// `alg` is anything but the string `RS256` (RFC 8725, 3.1 and 3.2).
    #[error("the algorithm is not RS256")]
    Algorithm,
    /// `crit` or `b64` stands in the header: extensions that would change what is verified (RFC 7515, 4.1.11; RFC 7797).
    #[error("the header asks for an extension")]
    Extension,
    /// The header brings a key or says where to find one (RFC 8725, 3.10).
    #[error("the header names a key of its own")]
    HeaderKey,
    /// `typ` or `cty` says that this is something else than an access token (RFC 8725, 3.11).
    #[error("the header says that this is no access token")]
    Type,
    /// `kid` is absent or no text.
    #[error("the key id is missing")]
    KeyIdMissing,
    /// No key of the set has this `kid`.
    #[error("no key has this id")]
    UnknownKey,
    /// Several keys of the set have this `kid`.
    #[error("several keys have this id")]
    AmbiguousKey,
    /// The key is not an RSA key of 2048 to 8192 bits, or not for RS256 signatures (RFC 7517, 4; RFC 7518, 3.3).
    #[error("the key is not fit for RS256")]
    UnfitKey,
    /// The signature is not the key's over these octets.
    #[error("the signature is wrong")]
    Signature,
    /// `iss` is not the user pool, as one text, octet for octet.
    #[error("another issuer")]
    Issuer,
    /// `token_use` is not `access`: an ID token says who somebody is, not what they may do.
    #[error("not an access token")]
    TokenUse,
    /// `client_id` is not ours.
    #[error("another client")]
    Client,
    /// `aud` is there and names somebody else too.
    #[error("another audience")]
    Audience,
    /// `sub` is not a UUID in its canonical form.
    #[error("the subject is not a UUID")]
    Subject,
    /// `origin_jti` is absent, so that the token could not be revoked, or no text; or `jti` is no text.
    #[error("the session is missing")]
    Session,
    /// `exp` or `iat` is absent or, as `nbf` and `auth_time`, not a whole number of seconds that a clock can show.
    #[error("a moment is missing or not a number of seconds")]
    Moment,
    /// `exp` is before `iat`, or more than 24 hours after it.
    #[error("the lifetime is not between a second and a day")]
    Lifetime,
    /// `exp` is past.
    #[error("the token has expired")]
    Expired,
    /// `iat`, `auth_time` or `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
}

impl TokenError {
    /// All of them, in the order in which they are found.
    pub const ALL: [Self; 24] = [
        Self::TooLarge,
        Self::Malformed,
        Self::Encoding,
        Self::Json,
        Self::DuplicateMember,
        Self::Algorithm,
        Self::Extension,
        Self::HeaderKey,
        Self::Type,
        Self::KeyIdMissing,
        Self::UnknownKey,
        Self::AmbiguousKey,
        Self::UnfitKey,
        Self::Signature,
        Self::Issuer,
        Self::TokenUse,
        Self::Client,
        Self::Audience,
        Self::Subject,
        Self::Session,
        Self::Moment,
        Self::Lifetime,
        Self::Expired,
        Self::NotYetValid,
    ];

    /// What scripts compare: stable, `snake_case`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "token_too_large",
            Self::Malformed => "token_malformed",
            Self::Encoding => "wrong_encoding",
            Self::Json => "wrong_json",
            Self::DuplicateMember => "duplicate_member",
            Self::Algorithm => "wrong_algorithm",
            Self::Extension => "extension_refused",
            Self::HeaderKey => "header_key_refused",
            Self::Type => "wrong_type",
            Self::KeyIdMissing => "key_id_missing",
            Self::UnknownKey => "unknown_key",
            Self::AmbiguousKey => "ambiguous_key",
            Self::UnfitKey => "unfit_key",
            Self::Signature => "wrong_signature",
            Self::Issuer => "wrong_issuer",
            Self::TokenUse => "wrong_token_use",
            Self::Client => "wrong_client",
            Self::Audience => "wrong_audience",
            Self::Subject => "wrong_subject",
            Self::Session => "session_missing",
            Self::Moment => "wrong_moment",
            Self::Lifetime => "wrong_lifetime",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        let codes: BTreeSet<_> = TokenError::ALL.iter().map(|error| error.code()).collect();

        assert_eq!(codes.len(), TokenError::ALL.len());
    }
}
