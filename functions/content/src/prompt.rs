//! Prompts with a name: versions that never change, and labels that say which version is used.
//!
//! Going back is moving a label. Each move is announced with who made it.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use domain::id::{Organisation, User};
use domain::{Caller, Event, Id, Text};
use jiff::Timestamp;
use ports::PortError;
use ports::table::{Cursor, If, Item, Key, Page, Query, Write, WriteError};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::schema::Schema;
use crate::{Content, ContentError, Fault, source};

/// The label that is used where a request names none.
pub const LIVE: &str = "live";

/// The label that always stands at the newest version and cannot be moved.
pub const LATEST: &str = "latest";

/// A prompt has at most that many labels.
const MOST_LABELS: usize = 20;

/// A prompt, without its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Its name inside the organisation.
    pub name: String,
    /// The newest version.
    pub latest: u32,
    /// Which version each label stands at; `latest` is not among them.
    pub labels: BTreeMap<String, u32>,
    /// Who made the first version.
    pub created_by: Id<User>,
    /// When.
    pub created_at: Timestamp,
}

/// One version of a prompt: it never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptVersion {
    /// The prompt's name.
    pub name: String,
    /// From 1.
    pub number: u32,
    /// What the model is told about its task, before the text itself.
    pub system: Option<String>,
    /// The text itself, a Jinja source.
    pub source: String,
    /// JSON Schema of the variables; without one, every variable of the sources is needed.
    pub variables: Option<Value>,
    /// What changed, for people.
    pub message: Option<String>,
    /// SHA-256 of the sources and the schema, in lower-case hexadecimal.
    pub sha256: String,
    /// Who made it.
    pub created_by: Id<User>,
    /// When.
    pub created_at: Timestamp,
    /// The request that made it, so that a repeat of it finds it and makes no other.
    pub request: Uuid,
}

/// What a version is made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewVersion {
    /// See [`PromptVersion::system`].
    pub system: Option<String>,
    /// See [`PromptVersion::source`].
    pub source: String,
    /// See [`PromptVersion::variables`].
    pub variables: Option<Value>,
    /// See [`PromptVersion::message`].
    pub message: Option<String>,
}

/// Which version of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that a label stands at.
    Label(String),
    /// This one.
    Number(u32),
}

impl Default for Which {
    fn default() -> Self {
        Self::Label(LIVE.to_owned())
    }
}

/// The texts of a prompt with its variables in their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// For the system message.
    pub system: Option<String>,
    /// For the user's message.
    pub text: String,
}

/// Whether a text can name a prompt or a label: 1 to 64 of `a-z 0-9 . _ -`, not beginning with a sign.
pub fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}

impl NewVersion {
    /// Everything that is wrong with it: sources that do not parse, a schema that is none, a variable
    /// that the sources use and the schema does not describe.
    ///
    /// # Errors
    /// The faults, at least one.
    pub fn check(&self) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let mut used = BTreeSet::new();
        let sources = [
            ("/source", Some(&self.source)),
            ("/system", self.system.as_ref()),
        ];
        for (pointer, text) in sources.into_iter().filter_map(|(p, t)| Some((p, t?))) {
            match source::check(pointer, text) {
                Ok(variables) => used.extend(variables),
                Err(fault) => faults.push(fault),
            }
        }
        if self.source.trim().is_empty() {
            faults.push(Fault::at(
                "/source",
                Text::fixed("Está vacío", "It is empty"),
            ));
        }
        if let Some(schema) = &self.variables {
            match Schema::compile("/variables", schema) {
                Ok(_) => faults.extend(undescribed(schema, &used)),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    fn sha256(&self) -> String {
        let parts = serde_json::json!([self.system, self.source, self.variables]);
        HEXLOWER.encode(digest(&SHA256, parts.to_string().as_bytes()).as_ref())
    }
}

fn undescribed(schema: &Value, used: &BTreeSet<String>) -> Vec<Fault> {
    let described = schema["properties"].as_object();
    used.iter()
        .filter(|name| !described.is_some_and(|known| known.contains_key(*name)))
        .map(|name| {
            Fault::at(
                below("/variables/properties", name),
                Text::fixed(
                    "La plantilla usa esta variable y el esquema no la describe",
                    "The template uses this variable and the schema does not describe it",
                ),
            )
        })
        .collect()
}

impl PromptVersion {
    /// Puts the variables into their places.
    ///
    /// # Errors
    /// Each variable that is missing, unknown or not as the schema says, below `/variables`; or what
    /// the sources make of them.
    pub fn fill(&self, variables: &Map<String, Value>) -> Result<Filled, Vec<Fault>> {
        let mut used = BTreeSet::new();
        for text in [Some(&self.source), self.system.as_ref()]
            .into_iter()
            .flatten()
        {
            used.extend(source::check("/template", text).map_err(|fault| vec![fault])?);
        }
        let faults = match &self.variables {
            Some(schema) => Schema::compile("/template", schema)
                .map_err(|fault| vec![fault])?
                .faults("/variables", &Value::Object(variables.clone())),
            None => Vec::new(),
        };
        let described = self.variables.as_ref().map(|schema| &schema["properties"]);
        let faults: Vec<Fault> = faults
            .into_iter()
            .chain(unlike(&used, variables, described))
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let render = |text: &String| {
            source::render("/template", text, variables).map_err(|fault| vec![fault])
        };
        Ok(Filled {
            system: self.system.as_ref().map(render).transpose()?,
            text: render(&self.source)?,
        })
    }
}

/// Variables that nothing uses; and, where no schema says what is needed, those that are missing.
fn unlike(
    used: &BTreeSet<String>,
    given: &Map<String, Value>,
    described: Option<&Value>,
) -> Vec<Fault> {
    let is_described = |name: &str| described.is_some_and(|known| known.get(name).is_some());
    let missing = used
        .iter()
        .filter(|name| described.is_none() && !given.contains_key(*name))
        .map(|name| {
            Fault::at(
                below("/variables", name),
                Text::fixed("Falta esta variable", "This variable is missing"),
            )
        });
    let unknown = given
        .keys()
        .filter(|name| !used.contains(*name) && !is_described(name))
        .map(|name| {
            Fault::at(
                below("/variables", name),
                Text::fixed(
                    "La plantilla no tiene esta variable",
                    "The template has no such variable",
                ),
            )
        });
    missing.chain(unknown).collect()
}

/// The pointer of a member below another pointer (RFC 6901).
pub(crate) fn below(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"))
}

const PROMPTS: &str = "prompt#";

fn key(org: Id<Organisation>, name: &str) -> Key {
    Key::new(org, format!("{PROMPTS}{name}"))
}

fn versions(name: &str) -> String {
    format!("prompt-version#{name}#")
}

fn version_key(org: Id<Organisation>, name: &str, number: u32) -> Key {
    Key::new(org, format!("{}{number:08}", versions(name)))
}

impl Content {
    /// Makes a prompt with its first version, which becomes the one in use.
    ///
    /// # Errors
    /// [`ContentError::Taken`] if the name is taken, [`ContentError::Invalid`], a port's failure.
    pub async fn create_prompt(
        &self,
        caller: &Caller,
        request: Uuid,
        name: &str,
        new: NewVersion,
    ) -> Result<(Prompt, PromptVersion), ContentError> {
        new.check().map_err(ContentError::Invalid)?;
        let org = caller.organisation;
        let version = self.version_of(caller, request, name, 1, new);
        let prompt = Prompt {
            name: name.to_owned(),
            latest: 1,
            labels: BTreeMap::from([(LIVE.to_owned(), 1)]),
            created_by: caller.user,
            created_at: version.created_at,
        };
        let parts = vec![
            Write::Put(Item::new(key(org, name), &prompt), If::Absent),
            Write::Put(Item::new(version_key(org, name, 1), &version), If::Absent),
            self.published(caller, name, 1, LIVE),
        ];
        match self.table.write(parts).await {
            Ok(()) => Ok((prompt, version)),
            Err(error) => match self.find_version(org, name, 1).await? {
                Some(mine) if mine.request == request => {
                    let (prompt, _) = self.prompt(caller, name).await?;
                    Ok((prompt, mine))
                }
                Some(_) => Err(ContentError::Taken),
                None => Err(error.into()),
            },
        }
    }

    /// Adds a version. No label moves, so nothing that is in use changes.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], [`ContentError::Invalid`], a port's failure.
    pub async fn add_version(
        &self,
        caller: &Caller,
        request: Uuid,
        name: &str,
        new: NewVersion,
    ) -> Result<PromptVersion, ContentError> {
        new.check().map_err(ContentError::Invalid)?;
        let org = caller.organisation;
        // Two people who add at the same moment both get a version: whoever comes second tries the next.
        for _ in 0..5 {
            let row = self.prompt_row(org, name).await?;
            let prompt: Prompt = row.parse()?;
            if let Some(newest) = self.find_version(org, name, prompt.latest).await?
                && newest.request == request
            {
                return Ok(newest);
            }
            let version = self.version_of(caller, request, name, prompt.latest + 1, new.clone());
            let next = row.next(&Prompt {
                latest: version.number,
                ..prompt
            });
            let at = version_key(org, name, version.number);
            let parts = vec![
                Write::Put(next, If::VersionIs(row.version)),
                Write::Put(Item::new(at, &version), If::Absent),
            ];
            match self.table.write(parts).await {
                Ok(()) => return Ok(version),
                Err(WriteError::Condition(_) | WriteError::Conflict) => {}
                Err(error) => {
                    let mine = self.find_version(org, name, version.number).await?;
                    return mine
                        .filter(|found| found.request == request)
                        .ok_or_else(|| error.into());
                }
            }
        }
        Err(ContentError::Write(WriteError::Conflict))
    }

    fn version_of(
        &self,
        caller: &Caller,
        request: Uuid,
        name: &str,
        number: u32,
        new: NewVersion,
    ) -> PromptVersion {
        PromptVersion {
            name: name.to_owned(),
            number,
            sha256: new.sha256(),
            system: new.system,
            source: new.source,
            variables: new.variables,
            message: new.message,
            created_by: caller.user,
            created_at: self.clock.now(),
            request,
        }
    }

    /// Sets a label to a version: forward, or back.
    ///
    /// # Errors
    /// [`ContentError::NotFound`] for the prompt, [`ContentError::Invalid`] for a version that is not
    /// there or a label too many, [`ContentError::VersionMismatch`] if somebody was faster or `check`
    /// does not accept the row's version.
    pub async fn set_label(
        &self,
        caller: &Caller,
        name: &str,
        label: &str,
        number: u32,
        check: impl Fn(u64) -> bool,
    ) -> Result<(Prompt, u64), ContentError> {
        let org = caller.organisation;
        let row = self.prompt_row(org, name).await?;
        let mut prompt: Prompt = row.parse()?;
        if !check(row.version) {
            return Err(ContentError::VersionMismatch);
        }
        if !(1..=prompt.latest).contains(&number) {
            return Err(ContentError::invalid(
                "/version",
                Text::fixed("Esta versión no existe", "There is no such version"),
            ));
        }
        let before = prompt.labels.insert(label.to_owned(), number);
        if before == Some(number) {
            return Ok((prompt, row.version));
        }
        if prompt.labels.len() > MOST_LABELS {
            return Err(ContentError::invalid(
                "/label",
                Text::with(
                    format!("Un prompt tiene como máximo {MOST_LABELS} etiquetas"),
                    format!("A prompt has at most {MOST_LABELS} labels"),
                ),
            ));
        }
        let next = row.next(&prompt);
        let version = next.version;
        let parts = vec![
            Write::Put(next, If::VersionIs(row.version)),
            self.published(caller, name, number, label),
        ];
        match self.table.write(parts).await {
            Ok(()) => Ok((prompt, version)),
            Err(WriteError::Condition(_) | WriteError::Conflict) => {
                Err(ContentError::VersionMismatch)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn published(&self, caller: &Caller, name: &str, version: u32, label: &str) -> Write {
        let event = Event::PromptPublished {
            prompt: name.to_owned(),
            version,
            label: label.to_owned(),
            user: caller.user,
        };
        self.event(caller.organisation, event)
    }

    /// A prompt and the version of its row.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], a port's failure.
    pub async fn prompt(&self, caller: &Caller, name: &str) -> Result<(Prompt, u64), ContentError> {
        let row = self.prompt_row(caller.organisation, name).await?;
        Ok((row.parse()?, row.version))
    }

    async fn prompt_row(&self, org: Id<Organisation>, name: &str) -> Result<Item, ContentError> {
        if !is_name(name) {
            return Err(ContentError::NotFound);
        }
        let row = self.table.get(&key(org, name)).await?;
        row.ok_or(ContentError::NotFound)
    }

    /// One version of a prompt.
    ///
    /// # Errors
    /// [`ContentError::NotFound`] if there is no such prompt, label or version; a port's failure.
    pub async fn prompt_version(
        &self,
        org: Id<Organisation>,
        name: &str,
        which: &Which,
    ) -> Result<PromptVersion, ContentError> {
        let number = match which {
            Which::Number(number) if is_name(name) => *number,
            Which::Number(_) => return Err(ContentError::NotFound),
            Which::Label(label) => {
                let prompt: Prompt = self.prompt_row(org, name).await?.parse()?;
                match prompt.labels.get(label) {
                    Some(number) => *number,
                    None if label == LATEST => prompt.latest,
                    None => return Err(ContentError::NotFound),
                }
            }
        };
        let found = self.find_version(org, name, number).await?;
        found.ok_or(ContentError::NotFound)
    }

    async fn find_version(
        &self,
        org: Id<Organisation>,
        name: &str,
        number: u32,
    ) -> Result<Option<PromptVersion>, PortError> {
        let row = self.table.get(&version_key(org, name, number)).await?;
        row.map(|row| row.parse()).transpose()
    }

    /// The organisation's prompts by name.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn prompts(
        &self,
        caller: &Caller,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<Prompt>, Option<Cursor>), ContentError> {
        self.listed(Query {
            limit,
            after,
            ..Query::prefix(caller.organisation, PROMPTS)
        })
        .await
    }

    /// The versions of a prompt, the newest first.
    ///
    /// # Errors
    /// [`ContentError::NotFound`], a port's failure.
    pub async fn prompt_versions(
        &self,
        caller: &Caller,
        name: &str,
        limit: u32,
        after: Option<Cursor>,
    ) -> Result<(Vec<PromptVersion>, Option<Cursor>), ContentError> {
        self.prompt_row(caller.organisation, name).await?;
        self.listed(Query {
            descending: true,
            limit,
            after,
            ..Query::prefix(caller.organisation, versions(name))
        })
        .await
    }

    pub(crate) async fn listed<T: serde::de::DeserializeOwned>(
        &self,
        query: Query,
    ) -> Result<(Vec<T>, Option<Cursor>), ContentError> {
        let Page { items, next } = self.table.query(&query).await?;
        let records = items.iter().map(Item::parse).collect::<Result<_, _>>()?;
        Ok((records, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn version(new: NewVersion) -> PromptVersion {
        PromptVersion {
            name: "welcome".into(),
            number: 1,
            sha256: new.sha256(),
            system: new.system,
            source: new.source,
            variables: new.variables,
            message: None,
            created_by: "usr_00000000000000000000000000000001".parse().unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            request: Uuid::nil(),
        }
    }

    fn pointers(faults: Vec<Fault>) -> Vec<String> {
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn a_missing_and_an_unknown_variable_are_both_named() {
        let prompt = version(NewVersion {
            source: "Hola {{ name }}".into(),
            ..NewVersion::default()
        });
        let given = json!({"nombre": "Ana"});

        let faults = prompt.fill(given.as_object().unwrap()).unwrap_err();

        assert_eq!(pointers(faults), ["/variables/name", "/variables/nombre"]);
    }

    #[test]
    fn with_a_schema_its_word_counts() {
        let prompt = version(NewVersion {
            source: "{{ n }}{% if note is defined %} ({{ note }}){% endif %}".into(),
            variables: Some(json!({
                "type": "object", "required": ["n"], "additionalProperties": false,
                "properties": {"n": {"type": "integer", "maximum": 9}, "note": {"type": "string"}}
            })),
            ..NewVersion::default()
        });
        let fill = |given: Value| {
            prompt
                .fill(given.as_object().unwrap())
                .map(|filled| filled.text)
        };

        assert_eq!(fill(json!({"n": 3})).unwrap(), "3");
        assert_eq!(
            pointers(fill(json!({"n": 10})).unwrap_err()),
            ["/variables/n"]
        );
        assert_eq!(pointers(fill(json!({})).unwrap_err()), ["/variables/n"]);
    }

    #[test]
    fn a_variable_that_the_schema_does_not_describe_is_found_when_it_is_published() {
        let new = NewVersion {
            source: "{{ name }} {{ city }}".into(),
            system: Some("{% if".into()),
            variables: Some(json!({"type": "object", "properties": {"name": {"type": "string"}}})),
            message: None,
        };

        assert_eq!(
            pointers(new.check().unwrap_err()),
            ["/system", "/variables/properties/city"]
        );
    }

    #[test]
    fn names_are_plain() {
        for (name, good) in [
            ("welcome-mail.v2", true),
            ("", false),
            ("Welcome", false),
            ("a/b", false),
            ("a#b", false),
            (".a", false),
        ] {
            assert_eq!(is_name(name), good, "{name}");
        }
    }
}
