//! The voice of a brand: how an organisation wants to sound, in each language, and whether a text does.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use domain::id::{Organisation, User, Voice as VoiceKind};
use domain::{Caller, Id, Text};
use jiff::Timestamp;
use ports::table::{Cursor, If, Item, Key, Query, Write, WriteError};
use serde::{Deserialize, Serialize};

use crate::fold::{Folded, Span};
use crate::{Content, ContentError, Fault};

/// What a voice says, without who made it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoiceText {
    /// 1 to 100 characters.
    pub name: String,
    /// See [`Guide::tone`]; holds in every language, as the two that follow.
    #[serde(default)]
    pub tone: String,
    /// See [`Guide::glossary`].
    #[serde(default)]
    pub glossary: Vec<Term>,
    /// See [`Guide::banned`].
    #[serde(default)]
    pub banned: Vec<String>,
    /// What holds in one language besides, by its tag (`es`, `en`, `fr`).
    #[serde(default)]
    pub locales: BTreeMap<String, Guide>,
    /// A text must have at least that many characters.
    #[serde(default)]
    pub min_characters: Option<u32>,
    /// A text must have at most that many characters.
    #[serde(default)]
    pub max_characters: Option<u32>,
}

/// How to sound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guide {
    /// In plain words, for people and models: at most 2000 characters.
    pub tone: String,
    /// The words to use, and those that they stand instead of: at most 200.
    pub glossary: Vec<Term>,
    /// Words that must not be used: at most 200.
    pub banned: Vec<String>,
}

/// A word that the brand uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// The word to use.
    pub term: String,
    /// The words that it stands instead of.
    #[serde(default)]
    pub instead_of: Vec<String>,
}

/// A voice of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// Its id.
    pub id: Id<VoiceKind>,
    /// What it says.
    pub text: VoiceText,
    /// Who made it.
    pub created_by: Id<User>,
    /// When.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a text does against a voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// It uses a word that is banned.
    Banned,
    /// It uses a word that the glossary has another for.
    Glossary,
    /// It is too short.
    TooShort,
    /// It is too long.
    TooLong,
}

/// A place of a text that is against a voice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// The first character of the place, counted from 0 in Unicode code points.
    pub start: usize,
    /// One past its last.
    pub end: usize,
    /// What stands there; nothing where the text as a whole is meant.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub found: Option<String>,
    /// What should stand there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instead: Option<String>,
}

impl VoiceText {
    /// Everything that is wrong with it.
    ///
    /// # Errors
    /// The faults, at least one.
    pub fn check(&self) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let mut demand = |holds: bool, pointer: &str, es: &'static str, en: &'static str| {
            if !holds {
                faults.push(Fault::at(pointer, Text::fixed(es, en)));
            }
        };
        let name = self.name.trim().chars().count();
        demand(
            (1..=100).contains(&name) && !self.name.chars().any(char::is_control),
            "/name",
            "Debe tener entre 1 y 100 caracteres",
            "Must have 1 to 100 characters",
        );
        demand(
            self.locales.len() <= 20,
            "/locales",
            "Como máximo 20 idiomas",
            "At most 20 languages",
        );
        let shortest = self.min_characters.unwrap_or(0);
        demand(
            self.max_characters
                .is_none_or(|longest| longest >= shortest.max(1)),
            "/max_characters",
            "Debe ser al menos 1 y no menor que el mínimo",
            "Must be at least 1 and not below the minimum",
        );
        for tag in self.locales.keys() {
            demand(
                domain::locale::is_tag(tag),
                &crate::prompt::below("/locales", tag),
                "Debe ser una etiqueta de idioma, como es o en-GB",
                "Must be a language tag, such as es or en-GB",
            );
        }
        faults.extend(self.general().faults(""));
        for (tag, guide) in &self.locales {
            faults.extend(guide.faults(&crate::prompt::below("/locales", tag)));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    /// What holds in a language: the general guide, and those of `es` and `es-MX` where `es-MX` is asked.
    fn guides(&self, locale: &str) -> Vec<Guide> {
        let primary = locale.split('-').next().unwrap_or_default();
        let own = self.locales.iter().filter(|(tag, _)| {
            tag.eq_ignore_ascii_case(locale) || tag.eq_ignore_ascii_case(primary)
        });
        std::iter::once(self.general())
            .chain(own.map(|(_, guide)| guide.clone()))
            .collect()
    }

    fn general(&self) -> Guide {
        Guide {
            tone: self.tone.clone(),
            glossary: self.glossary.clone(),
            banned: self.banned.clone(),
        }
    }

    /// What a model is told about the voice.
    pub fn instructions(&self, locale: &str) -> String {
        let guides = self.guides(locale);
        let mut said = String::new();
        for tone in guides
            .iter()
            .map(|guide| guide.tone.trim())
            .filter(|tone| !tone.is_empty())
        {
            let _ = writeln!(said, "Tone of voice: {tone}");
        }
        for term in guides.iter().flat_map(|guide| &guide.glossary) {
            let _ = if term.instead_of.is_empty() {
                writeln!(said, "Use the term \"{}\".", term.term)
            } else {
                writeln!(
                    said,
                    "Say \"{}\" instead of \"{}\".",
                    term.term,
                    term.instead_of.join("\", \"")
                )
            };
        }
        let banned: Vec<&str> = guides
            .iter()
            .flat_map(|guide| &guide.banned)
            .map(String::as_str)
            .collect();
        if !banned.is_empty() {
            let _ = writeln!(
                said,
                "Never use these words: \"{}\".",
                banned.join("\", \"")
            );
        }
        if let Some(longest) = self.max_characters {
            let _ = writeln!(said, "Write at most {longest} characters.");
        }
        said
    }

    /// Everything in a text that is against the voice, in the order of the text.
    pub fn violations(&self, text: &str, locale: &str) -> Vec<Violation> {
        let folded = Folded::new(text, locale);
        let characters: Vec<char> = text.chars().collect();
        let at = |rule, span: Span, instead: Option<&String>| Violation {
            rule,
            start: span.start,
            end: span.end,
            found: Some(characters[span.start..span.end].iter().collect()),
            instead: instead.cloned(),
        };
        let mut found = Vec::new();
        for guide in self.guides(locale) {
            for word in &guide.banned {
                let places = folded.find(&Folded::new(word, locale));
                found.extend(places.into_iter().map(|span| at(Rule::Banned, span, None)));
            }
            for term in &guide.glossary {
                for word in &term.instead_of {
                    let places = folded.find(&Folded::new(word, locale));
                    let instead = Some(&term.term);
                    found.extend(
                        places
                            .into_iter()
                            .map(|span| at(Rule::Glossary, span, instead)),
                    );
                }
            }
        }
        found.sort_by_key(|violation| (violation.start, violation.end));
        found.extend(self.length(folded.characters()));
        found
    }

    fn length(&self, characters: usize) -> Option<Violation> {
        let is = |limit: Option<u32>, beyond: fn(&usize, &usize) -> bool| {
            limit.is_some_and(|limit| {
                beyond(&characters, &usize::try_from(limit).unwrap_or(usize::MAX))
            })
        };
        let rule = if is(self.max_characters, usize::gt) {
            Rule::TooLong
        } else if is(self.min_characters, usize::lt) {
            Rule::TooShort
        } else {
            return None;
        };
        Some(Violation {
            rule,
            start: 0,
            end: characters,
            found: None,
            instead: None,
        })
    }
}

impl Guide {
    fn faults(&self, pointer: &str) -> Vec<Fault> {
        const WORD: Text = Text::fixed(
            "Debe tener entre 1 y 100 caracteres",
            "Must have 1 to 100 characters",
        );
        let is_word = |word: &str| (1..=100).contains(&word.trim().chars().count());
        let mut faults = Vec::new();
        if self.tone.chars().count() > 2000 {
            let detail = Text::fixed("Como máximo 2000 caracteres", "At most 2000 characters");
            faults.push(Fault::at(format!("{pointer}/tone"), detail));
        }
        for (name, length) in [
            ("glossary", self.glossary.len()),
            ("banned", self.banned.len()),
        ] {
            if length > 200 {
                let detail = Text::fixed("Como máximo 200 elementos", "At most 200 items");
                faults.push(Fault::at(format!("{pointer}/{name}"), detail));
            }
        }
        let wrong = self
            .banned
            .iter()
            .enumerate()
            .filter(|(_, word)| !is_word(word));
        faults.extend(wrong.map(|(at, _)| Fault::at(format!("{pointer}/banned/{at}"), WORD)));
        for (index, term) in self.glossary.iter().enumerate() {
            let place = format!("{pointer}/glossary/{index}");
            if !is_word(&term.term) {
                faults.push(Fault::at(format!("{place}/term"), WORD));
            }
            let wrong = term
                .instead_of
                .iter()
                .enumerate()
                .filter(|(_, word)| !is_word(word));
            faults.extend(wrong.map(|(at, _)| Fault::at(format!("{place}/instead_of/{at}"), WORD)));
        }
        faults
    }
}

const VOICES: &str = "voice#";

fn key(org: Id<Organisation>, id: Id<VoiceKind>) -> Key {
    Key::new(org, format!("{VOICES}{id}"))
}

impl Content {
    /// Makes a voice. A repeat of the request finds the one that it made.
    ///
    /// # Errors
    /// [`ContentError::Invalid`], a port's failure.
    pub async fn create_voice(
        &self,
        caller: &Caller,
        id: Id<VoiceKind>,
        text: VoiceText,
    ) -> Result<Voice, ContentError> {
        text.check().map_err(ContentError::Invalid)?;
        let now = self.clock.now();
        let voice = Voice {
            id,
            text,
            created_by: caller.user,
            created_at: now,
            updated_at: now,
        };
        let row = Item::new(key(caller.organisation, id), &voice);
        match self.table.write(vec![Write::Put(row, If::Absent)]).await {
            Ok(()) => Ok(voice),
            Err(error) => match self.table.get(&key(caller.organisation, id)).await? {
                Some(row) => Ok(row.parse()?),
                None => Err(error.into()),
            },
        }
    }

    /// A voice of the organisation and the version of its row.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], a port's failure.
    pub async fn voice(
        &self,
        org: Id<Organisation>,
        id: Id<VoiceKind>,
    ) -> Result<(Voice, u64), ContentError> {
        let row = self.table.get(&key(org, id)).await?;
        let row = row.ok_or(ContentError::NotFound)?;
        Ok((row.parse()?, row.version))
    }

    /// The organisation's voices, the oldest first.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn voices(
        &self,
        caller: &Caller,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<Voice>, Option<Cursor>), ContentError> {
        self.listed(Query {
            limit,
            after,
            ..Query::prefix(caller.organisation, VOICES)
        })
        .await
    }

    /// Changes a voice.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], [`ContentError::Invalid`], [`ContentError::VersionMismatch`] if
    /// `check` does not accept the row's version or somebody was faster.
    pub async fn change_voice(
        &self,
        caller: &Caller,
        id: Id<VoiceKind>,
        check: impl Fn(u64) -> bool,
        change: impl FnOnce(VoiceText) -> VoiceText,
    ) -> Result<(Voice, u64), ContentError> {
        let row = self.table.get(&key(caller.organisation, id)).await?;
        let row = row.ok_or(ContentError::NotFound)?;
        if !check(row.version) {
            return Err(ContentError::VersionMismatch);
        }
        let voice: Voice = row.parse()?;
        let text = change(voice.text);
        text.check().map_err(ContentError::Invalid)?;
        let voice = Voice {
            text,
            updated_at: self.clock.now(),
            ..voice
        };
        let next = row.next(&voice);
        let version = next.version;
        let parts = vec![Write::Put(next, If::VersionIs(row.version))];
        match self.table.write(parts).await {
            Ok(()) => Ok((voice, version)),
            Err(WriteError::Condition(_) | WriteError::Conflict) => {
                Err(ContentError::VersionMismatch)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a voice. What was made with it stays.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], a port's failure.
    pub async fn delete_voice(
        &self,
        caller: &Caller,
        id: Id<VoiceKind>,
    ) -> Result<(), ContentError> {
        let at = key(caller.organisation, id);
        match self.table.write(vec![Write::Delete(at, If::Present)]).await {
            Ok(()) => Ok(()),
            Err(WriteError::Condition(_)) => Err(ContentError::NotFound),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice() -> VoiceText {
        VoiceText {
            name: "Casa".into(),
            tone: "Clear.".into(),
            glossary: Vec::new(),
            banned: vec!["synergy".into()],
            locales: BTreeMap::from([(
                "es".into(),
                Guide {
                    tone: "Cercano.".into(),
                    banned: vec!["barato".into()],
                    glossary: vec![Term {
                        term: "inicio de sesión".into(),
                        instead_of: vec!["login".into()],
                    }],
                },
            )]),
            min_characters: None,
            max_characters: Some(40),
        }
    }

    #[test]
    fn each_violation_is_found_at_its_place() {
        let text = "Un login BARATO, con synergy para todos y más";

        let found = voice().violations(text, "es-MX");

        let said: Vec<_> = found
            .iter()
            .map(|v| {
                (
                    v.rule,
                    v.start,
                    v.end,
                    v.found.as_deref(),
                    v.instead.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                (
                    Rule::Glossary,
                    3,
                    8,
                    Some("login"),
                    Some("inicio de sesión")
                ),
                (Rule::Banned, 9, 15, Some("BARATO"), None),
                (Rule::Banned, 21, 28, Some("synergy"), None),
                (Rule::TooLong, 0, 45, None, None),
            ]
        );
    }

    #[test]
    fn a_rule_of_one_language_does_not_bind_another() {
        assert_eq!(voice().violations("barato login", "en"), []);
    }

    #[test]
    fn a_model_hears_what_holds_in_its_language_only() {
        let spanish = voice().instructions("es");
        let english = voice().instructions("en");

        assert!(
            spanish.contains("Cercano.") && spanish.contains("\"barato\""),
            "{spanish}"
        );
        assert!(
            !english.contains("Cercano.") && english.contains("Clear."),
            "{english}"
        );
        assert!(english.contains("at most 40 characters"), "{english}");
    }

    #[test]
    fn every_fault_of_a_voice_is_named() {
        let mut bad = voice();
        bad.name = String::new();
        bad.banned.push(" ".into());
        bad.max_characters = Some(0);
        bad.locales.insert("español".into(), Guide::default());

        let mut pointers: Vec<_> = bad
            .check()
            .unwrap_err()
            .into_iter()
            .map(|f| f.pointer)
            .collect();
        pointers.sort();

        assert_eq!(
            pointers,
            ["/banned/1", "/locales/español", "/max_characters", "/name"]
        );
    }
}
