//! From what somebody asks for to what a model is told.
//!
//! Roles stay apart: what the fleet, the voice and the prompt's author say is the system message; what
//! came with the request is the user's message, whatever it says. No secret stands in either, so that a
//! model which tells its instructions tells nothing.

use domain::id::{Organisation, Voice as VoiceKind};
use domain::locale::is_tag;
use domain::{Id, Text};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::prompt::{PromptVersion, Which};
use crate::record::{Kind, TemplateUsed};
use crate::schema::Schema;
use crate::source::LONGEST_TEXT;
use crate::voice::Voice;
use crate::{Content, ContentError, Fault};

/// The most tokens that may be asked for.
pub const MOST_TOKENS: u32 = 16_384;

/// Tokens if a request does not say.
pub const TOKENS: u32 = 1024;

/// What a request asks for, as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// The text of the prompt; this or `template`.
    pub prompt: Option<String>,
    /// The name of a prompt.
    pub template: Option<String>,
    /// Which version of it.
    pub which: Which,
    /// What stands in its places.
    pub variables: Map<String, Value>,
    /// At most that many tokens come back.
    pub max_tokens: u32,
    /// How much chance there is in it, 0 to 2.
    pub temperature: Option<f64>,
    /// JSON Schema of the object that is wanted instead of a text.
    pub schema: Option<Value>,
    /// Whose voice.
    pub voice: Option<Id<VoiceKind>>,
    /// The language of the answer, a tag.
    pub locale: Option<String>,
    /// Whether the same question may get the same answer again for nothing.
    pub cache: bool,
    /// The model or target, if not the first that is there.
    pub model: Option<String>,
    /// Whether personal data is replaced before it leaves; the organisation's rule if absent.
    pub redact: Option<bool>,
}

/// What a model is asked, whole: with it and nothing else a worker can do the job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// What the text is made by.
    pub kind: Kind,
    /// The fleet's, the voice's and the prompt's own words.
    pub system: Option<String>,
    /// What came with the request.
    pub user: String,
    /// See [`Wish::max_tokens`].
    pub max_tokens: u32,
    /// See [`Wish::temperature`].
    pub temperature: Option<f64>,
    /// Chance's beginning, so that the same question gives the same answer where a provider keeps to it.
    pub seed: Option<i64>,
    /// See [`Wish::schema`].
    pub schema: Option<Value>,
    /// The prompt that was used.
    pub template: Option<TemplateUsed>,
    /// See [`Wish::voice`].
    pub voice: Option<Id<VoiceKind>>,
    /// The language by which the answer is checked.
    pub locale: String,
    /// See [`Wish::cache`].
    pub cache: bool,
    /// See [`Wish::model`].
    pub model: Option<String>,
    /// Whether personal data is replaced before it leaves.
    pub redact: bool,
    /// What the answer must hold as it is: the placeholders of a text that is translated.
    pub keep: Vec<String>,
}

impl Wish {
    /// What is wrong with it in itself.
    fn check(&self) -> Result<(), ContentError> {
        let mut faults = Vec::new();
        for checked in [self.check_source(), self.check_settings()] {
            match checked {
                Ok(()) => {}
                Err(ContentError::Invalid(wrong)) => faults.extend(wrong),
                Err(error) => return Err(error),
            }
        }
        faulty(faults)
    }

    /// What is wrong with its prompt or template and the variables.
    pub(crate) fn check_source(&self) -> Result<(), ContentError> {
        let mut faults = Vec::new();
        let (pointer, detail) = match (&self.prompt, &self.template) {
            (None, None) => (
                "/prompt",
                Text::fixed("Falta prompt o template", "prompt or template is missing"),
            ),
            _ => (
                "/template",
                Text::fixed(
                    "Solo uno de los dos: prompt o template",
                    "Only one of the two: prompt or template",
                ),
            ),
        };
        if self.prompt.is_some() == self.template.is_some() {
            faults.push(Fault::at(pointer, detail));
        }
        if let Some(prompt) = &self.prompt {
            let mut demand = |holds: bool, pointer: &str, detail: Text| {
                if !holds {
                    faults.push(Fault::at(pointer, detail));
                }
            };
            demand(
                !prompt.trim().is_empty(),
                "/prompt",
                Text::fixed("Está vacío", "It is empty"),
            );
            demand(prompt.len() <= LONGEST_TEXT, "/prompt", too_long());
            demand(
                self.variables.is_empty(),
                "/variables",
                Text::fixed("Solo con template", "Only with template"),
            );
        }
        faulty(faults)
    }

    /// What is wrong with how it is to be answered.
    pub(crate) fn check_settings(&self) -> Result<(), ContentError> {
        let mut faults = Vec::new();
        let mut demand = |holds: bool, pointer: &str, detail: Text| {
            if !holds {
                faults.push(Fault::at(pointer, detail));
            }
        };
        demand(
            (1..=MOST_TOKENS).contains(&self.max_tokens),
            "/max_tokens",
            Text::with(
                format!("Debe estar entre 1 y {MOST_TOKENS}"),
                format!("Must be between 1 and {MOST_TOKENS}"),
            ),
        );
        demand(
            self.temperature.is_none_or(|t| (0.0..=2.0).contains(&t)),
            "/temperature",
            Text::fixed("Debe estar entre 0 y 2", "Must be between 0 and 2"),
        );
        demand(
            self.locale.as_deref().is_none_or(is_tag),
            "/locale",
            Text::fixed(
                "Debe ser una etiqueta de idioma, como es o en-GB",
                "Must be a language tag, such as es or en-GB",
            ),
        );
        if let Some(schema) = &self.schema
            && let Err(fault) = Schema::compile("/schema", schema)
        {
            faults.push(fault);
        }
        faulty(faults)
    }
}

fn faulty(faults: Vec<Fault>) -> Result<(), ContentError> {
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ContentError::Invalid(faults))
    }
}

/// What is wrong with a text that is too long.
pub fn too_long() -> Text {
    Text::with(
        format!("No puede ocupar más de {LONGEST_TEXT} octetos"),
        format!("Must not have more than {LONGEST_TEXT} octets"),
    )
}

/// What of the organisation a wish is made into an ask with: read once, however many asks there are.
pub(crate) struct Frame {
    version: Option<PromptVersion>,
    voice: Option<Voice>,
    redact: bool,
}

impl Frame {
    /// Fills in the variables.
    ///
    /// # Errors
    /// [`ContentError::Invalid`] with everything that is wrong with them.
    pub(crate) fn ask(&self, kind: Kind, wish: Wish, reader: &str) -> Result<Ask, ContentError> {
        let (system, user, template) = match &self.version {
            None => (None, wish.prompt.unwrap_or_default(), None),
            Some(version) => {
                let filled = version
                    .fill(&wish.variables)
                    .map_err(ContentError::Invalid)?;
                let used = TemplateUsed {
                    name: version.name.clone(),
                    version: version.number,
                };
                (filled.system, filled.text, Some(used))
            }
        };
        let locale = wish.locale.clone().unwrap_or_else(|| reader.to_owned());
        let voice = self.voice.as_ref();
        let parts = [
            wish.locale.as_deref().map(language),
            voice.map(|voice| voice.text.instructions(&locale)),
            system,
        ];
        Ok(Ask {
            kind,
            system: joined(parts),
            user,
            max_tokens: wish.max_tokens,
            temperature: wish.temperature,
            seed: None,
            schema: wish.schema,
            template,
            voice: wish.voice,
            locale,
            cache: wish.cache,
            model: wish.model,
            redact: wish.redact.unwrap_or(self.redact),
            keep: Vec::new(),
        })
    }
}

impl Content {
    /// Makes a wish into what a model is asked: finds the prompt and the voice, fills in the variables.
    ///
    /// `reader` is the language of whoever asks, by which the answer is checked if the wish names none.
    ///
    /// # Errors
    /// [`ContentError::Invalid`] with everything that is wrong, a port's failure.
    pub async fn ask(
        &self,
        org: Id<Organisation>,
        kind: Kind,
        wish: Wish,
        reader: &str,
    ) -> Result<Ask, ContentError> {
        wish.check()?;
        self.frame(org, &wish).await?.ask(kind, wish, reader)
    }

    /// Reads what a wish names.
    ///
    /// # Errors
    /// [`ContentError::Invalid`] if it is not there, a port's failure.
    pub(crate) async fn frame(
        &self,
        org: Id<Organisation>,
        wish: &Wish,
    ) -> Result<Frame, ContentError> {
        let version = match &wish.template {
            None => None,
            Some(name) => {
                let found = self.prompt_version(org, name, &wish.which).await;
                Some(found.map_err(|error| match error {
                    ContentError::NotFound => ContentError::invalid(
                        "/template",
                        Text::fixed(
                            "No hay ningún prompt con este nombre y esta etiqueta o versión",
                            "There is no prompt of this name with this label or version",
                        ),
                    ),
                    error => error,
                })?)
            }
        };
        Ok(Frame {
            version,
            voice: self.voice_of(org, wish.voice).await?,
            redact: self.guardrails(org).await?.redact,
        })
    }

    /// The voice that a request names.
    ///
    /// # Errors
    /// [`ContentError::Invalid`] at `/voice` if it is not there, a port's failure.
    pub async fn voice_of(
        &self,
        org: Id<Organisation>,
        id: Option<Id<VoiceKind>>,
    ) -> Result<Option<Voice>, ContentError> {
        let Some(id) = id else { return Ok(None) };
        match self.voice(org, id).await {
            Ok((voice, _)) => Ok(Some(voice)),
            Err(ContentError::NotFound) => Err(ContentError::invalid(
                "/voice",
                Text::fixed("Esta voz no existe", "There is no such voice"),
            )),
            Err(error) => Err(error),
        }
    }
}

/// The parts that say something, each in a paragraph of its own.
pub fn joined<const N: usize>(parts: [Option<String>; N]) -> Option<String> {
    let said: Vec<String> = parts
        .into_iter()
        .flatten()
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect();
    (!said.is_empty()).then(|| said.join("\n\n"))
}

/// The sentence that asks for a language; small models know names better than tags.
pub fn language(tag: &str) -> String {
    let primary = tag
        .split('-')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match name_of(&primary) {
        Some(name) => format!("Answer in {name} ({tag})."),
        None => format!("Answer in the language with the tag {tag}."),
    }
}

fn name_of(primary: &str) -> Option<&'static str> {
    Some(match primary {
        "es" => "Spanish",
        "en" => "English",
        "ca" => "Catalan",
        "gl" => "Galician",
        "eu" => "Basque",
        "pt" => "Portuguese",
        "fr" => "French",
        "it" => "Italian",
        "de" => "German",
        "nl" => "Dutch",
        "pl" => "Polish",
        "sv" => "Swedish",
        "ja" => "Japanese",
        "zh" => "Chinese",
        _ => return None,
    })
}
