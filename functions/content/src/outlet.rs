//! A text on its way out while it grows: cleaned, with the personal data back in its places, and never
//! further than the guardrails have seen it.

use crate::fold::Folded;
use crate::guard::pii::Redaction;
use crate::guard::{Guardrails, is_unwanted};

/// What has arrived, and how much of it went out.
pub struct Outlet<'a> {
    redaction: &'a Redaction,
    rules: &'a Guardrails,
    locale: &'a str,
    /// What arrived, cleaned, with placeholders.
    arrived: String,
    /// How many octets of it are out.
    sent: usize,
    /// What went out, as it went.
    out: String,
}

/// One of the organisation's terms stands in what would have gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockedTerm;

impl<'a> Outlet<'a> {
    /// Nothing has arrived.
    pub fn new(redaction: &'a Redaction, rules: &'a Guardrails, locale: &'a str) -> Self {
        Self {
            redaction,
            rules,
            locale,
            arrived: String::new(),
            sent: 0,
            out: String::new(),
        }
    }

    /// Takes what arrived.
    pub fn push(&mut self, text: &str) {
        self.arrived
            .extend(text.chars().filter(|c| !is_unwanted(*c)));
    }

    /// What can go out now, or all of it at the end.
    ///
    /// # Errors
    /// [`BlockedTerm`]; nothing more may go out then.
    pub fn take(&mut self, end: bool) -> Result<Option<String>, BlockedTerm> {
        let until = if end {
            self.arrived.len()
        } else {
            self.settled()
        };
        if until <= self.sent {
            return Ok(None);
        }
        let fresh = self.redaction.restore(&self.arrived[self.sent..until]);
        if !self.rules.blocked_terms.is_empty() {
            self.check(&fresh)?;
        }
        self.sent = until;
        self.out.push_str(&fresh);
        Ok(Some(fresh))
    }

    /// What is out.
    pub fn out(&self) -> &str {
        &self.out
    }

    /// A placeholder that may be incomplete stays; so does, where terms are blocked, a word that may be.
    fn settled(&self) -> usize {
        let until = self.redaction.settled(&self.arrived);
        if self.rules.blocked_terms.is_empty() {
            return until;
        }
        let is_end = |c: char| !c.is_alphanumeric();
        let end = self.arrived[..until]
            .char_indices()
            .rev()
            .find(|(_, c)| is_end(*c));
        end.map_or(0, |(at, c)| at + c.len_utf8())
    }

    /// A term may have begun in what is out already.
    fn check(&self, fresh: &str) -> Result<(), BlockedTerm> {
        let longest = self
            .rules
            .blocked_terms
            .iter()
            .map(|term| term.chars().count())
            .max();
        let before = tail(&self.out, longest.unwrap_or(0) * 2 + 2);
        let seen = Folded::new(&format!("{before}{fresh}"), self.locale);
        let is_there = |term: &String| !seen.find(&Folded::new(term, self.locale)).is_empty();
        if self.rules.blocked_terms.iter().any(is_there) {
            Err(BlockedTerm)
        } else {
            Ok(())
        }
    }
}

fn tail(text: &str, characters: usize) -> &str {
    let start = text.char_indices().rev().take(characters).last();
    start.map_or("", |(at, _)| &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(
        redaction: &Redaction,
        rules: &Guardrails,
        parts: &[&str],
    ) -> Result<Vec<String>, BlockedTerm> {
        let mut outlet = Outlet::new(redaction, rules, "es");
        let mut out = Vec::new();
        for part in parts {
            outlet.push(part);
            out.extend(outlet.take(false)?);
        }
        out.extend(outlet.take(true)?);
        assert_eq!(out.concat(), outlet.out());
        Ok(out)
    }

    #[test]
    fn without_rules_each_piece_goes_out_as_it_comes() {
        let out = through(
            &Redaction::default(),
            &Guardrails::default(),
            &["Ho", "la\u{7}", " [x"],
        );

        assert_eq!(out.unwrap(), ["Ho", "la", " [x"]);
    }

    #[test]
    fn a_placeholder_in_pieces_is_restored() {
        let mut redaction = Redaction::default();
        redaction.redact("ana@example.com");

        let out = through(
            &redaction,
            &Guardrails::default(),
            &["A [EM", "AIL", "_1] y [", "no]"],
        );

        assert_eq!(out.unwrap(), ["A ", "ana@example.com y ", "[no]"]);
    }

    #[test]
    fn a_blocked_term_does_not_get_out_whole() {
        let rules = Guardrails {
            blocked_terms: vec!["mal término".into()],
            ..Guardrails::default()
        };
        let parts = |last| ["Un mal", " tér", "mi", last, " y"];

        assert_eq!(
            through(&Redaction::default(), &rules, &parts("no")),
            Err(BlockedTerm)
        );
        assert_eq!(
            through(&Redaction::default(), &rules, &parts("nos"))
                .unwrap()
                .concat(),
            "Un mal términos y"
        );
    }
}
