//! What is kept from a model, and what is kept from a reader.
//!
//! * **Personal data** can be replaced before a prompt leaves the fleet, and put back into the answer
//!   ([`pii`]).
//! * **Terms** that an organisation does not want to see stop a text on its way in and on its way out
//!   ([`Guardrails`]).
//! * **Moderation**: a model of the operator's looks at what goes to a model and at what comes from it
//!   (the rule `moderate`). Where it cannot be asked, nothing passes.
//! * **Control characters** never leave: [`clean`]. The API serves JSON with `nosniff` and a policy that
//!   runs nothing, so an answer is not escaped for HTML here; whoever puts it into a page does that.

pub mod pii;

use domain::id::Organisation;
use domain::{Id, Text};
use jiff::Timestamp;
use models::{Gateway, ModelError};
use ports::table::{If, Item, Key, Write};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Side};
use crate::fold::Folded;
use crate::{Content, ContentError, Fault};

/// An organisation's own rules for everything that it has made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guardrails {
    /// Words that stop a prompt and an answer; whole words, at most 200 of at most 100 characters.
    pub blocked_terms: Vec<String>,
    /// Whether personal data is replaced before a prompt leaves, unless a request says otherwise.
    pub redact: bool,
    /// Whether the operator's moderation model looks at every prompt before it leaves and at every answer
    /// before it is shown. A text that is streamed is then told at once when it was looked at.
    pub moderate: bool,
}

/// The guardrail of blocked terms, as events call it.
pub(crate) const TERMS: &str = "blocked_term";

/// The guardrail of moderation, as events call it.
pub(crate) const MODERATION: &str = "moderation";

impl Guardrails {
    /// Whether a text holds one of the terms.
    pub fn blocks(&self, text: &str, locale: &str) -> bool {
        if self.blocked_terms.is_empty() {
            return false;
        }
        let folded = Folded::new(text, locale);
        self.blocked_terms
            .iter()
            .any(|term| !folded.find(&Folded::new(term, locale)).is_empty())
    }
}

impl Guardrails {
    /// Everything that is wrong with them.
    ///
    /// # Errors
    /// The faults, at least one.
    pub fn check(&self) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        if self.blocked_terms.len() > 200 {
            let detail = Text::fixed("Como máximo 200 elementos", "At most 200 items");
            faults.push(Fault::at("/blocked_terms", detail));
        }
        for (at, term) in self.blocked_terms.iter().enumerate() {
            if !(1..=100).contains(&term.trim().chars().count()) {
                let detail = Text::fixed(
                    "Debe tener entre 1 y 100 caracteres",
                    "Must have 1 to 100 characters",
                );
                faults.push(Fault::at(format!("/blocked_terms/{at}"), detail));
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }
}

fn key(org: Id<Organisation>) -> Key {
    Key::new(org, "guardrails")
}

impl Content {
    /// The organisation's rules; none where nobody set any.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn guardrails(&self, org: Id<Organisation>) -> Result<Guardrails, ContentError> {
        match self.table.get(&key(org)).await? {
            Some(row) => Ok(row.parse()?),
            None => Ok(Guardrails::default()),
        }
    }

    /// Sets the organisation's rules.
    ///
    /// # Errors
    /// [`ContentError::Invalid`], a port's failure.
    pub async fn set_guardrails(
        &self,
        org: Id<Organisation>,
        rules: &Guardrails,
    ) -> Result<(), ContentError> {
        rules.check().map_err(ContentError::Invalid)?;
        let row = Item::new(key(org), rules);
        self.table.write(vec![Write::Put(row, If::Always)]).await?;
        Ok(())
    }
}

impl Content {
    /// Has the operator's moderation model look at texts, if the organisation wants that.
    ///
    /// # Errors
    /// [`Failure::Blocked`] if it has something against one of them, and every reason for which it could not
    /// be asked.
    pub(crate) async fn moderated(
        &self,
        gateway: &Gateway,
        rules: &Guardrails,
        texts: &[String],
        side: Side,
        deadline: Timestamp,
    ) -> Result<(), Failure> {
        if !rules.moderate || texts.iter().all(|text| text.trim().is_empty()) {
            return Ok(());
        }
        match gateway.moderate(texts, deadline).await {
            Ok(verdict) if verdict.flagged => Err(Failure::Blocked {
                side,
                rule: MODERATION,
            }),
            Ok(_) => Ok(()),
            Err(ModelError::NoTarget) => Err(models::Failure::NoModeration.into()),
            Err(error) => Err(models::Failure::from(&error).into()),
        }
    }
}

/// The text without control characters, except line feeds and tabs, and without the marks that turn the
/// direction of what follows (they make a text read as something that it is not).
pub fn clean(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .filter(|c| !is_unwanted(*c))
        .collect()
}

/// Whether [`clean`] takes a character out.
pub fn is_unwanted(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_or_a_reader_would_be_fooled_by_is_taken_out() {
        assert_eq!(
            clean("a\u{1b}[31mb\r\nc\u{202e}d\te\u{0}\u{feff}"),
            "a[31mb\ncd\te"
        );
        assert_eq!(clean("España 😀"), "España 😀");
    }

    #[test]
    fn a_blocked_term_is_found_as_a_word() {
        let rules = Guardrails {
            blocked_terms: vec!["acme".into()],
            ..Guardrails::default()
        };

        assert!(rules.blocks("Compra en ACME.", "es"));
        assert!(!rules.blocks("acmeville", "es"));
        assert!(!Guardrails::default().blocks("", "es"));
    }
}
