//! An e-mail address that a message can be sent to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The address part of a mailbox (RFC 5321 `Mailbox` without quoted strings and address literals),
/// lower-cased: providers that tell `Ann@` from `ann@` do not exist in practice, people who type both do.
///
/// At most 254 octets, the local part at most 64, ASCII only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// More than 254 octets, or a local part of more than 64.
    #[error("the address is too long")]
    TooLong,
    /// Not of the form `local@domain.tld`.
    #[error("not an e-mail address")]
    Malformed,
}

impl Email {
    /// The address as it is sent to.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError::Malformed)?;
        if text.len() > 254 || local.len() > 64 {
            return Err(EmailError::TooLong);
        }
        if is_dot_atom(local) && is_domain(domain) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(EmailError::Malformed)
        }
    }
}

fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    })
}

fn is_domain(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    labels.len() >= 2
        && labels.iter().all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
        && labels
            .last()
            .is_some_and(|tld| tld.bytes().any(|b| b.is_ascii_alphabetic()))
}

impl TryFrom<String> for Email {
    type Error = EmailError;

    fn try_from(text: String) -> Result<Self, EmailError> {
        text.parse()
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Masked, because what is debugged ends up in logs.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = self.0.rsplit_once('@').map_or("", |(_, domain)| domain);
        write!(f, "Email(…@{domain})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_trimmed_and_lower_cased() {
        let email: Email = " Ana.Perez+Fleet@Example.COM ".parse().unwrap();

        assert_eq!(email.as_str(), "ana.perez+fleet@example.com");
    }

    #[test]
    fn what_no_server_would_take_is_refused() {
        for text in [
            "",
            "ana",
            "ana@",
            "@example.com",
            "ana@example",
            "ana@.com",
            "a na@example.com",
            "ana@exa mple.com",
            "ana..b@example.com",
            "ana@-example.com",
            "ana@example.123",
            "ana@example.com\r\nBcc: x@example.com",
            "ána@example.com",
        ] {
            assert_eq!(
                text.parse::<Email>(),
                Err(EmailError::Malformed),
                "{text:?}"
            );
        }
        assert_eq!(
            format!("{}@example.com", "a".repeat(65)).parse::<Email>(),
            Err(EmailError::TooLong)
        );
    }

    #[test]
    fn debugging_an_address_does_not_show_it() {
        let email: Email = "ana@example.com".parse().unwrap();

        assert!(!format!("{email:?}").contains("ana"));
    }
}
