//! Where models answer: the operator's list, in order of preference.
//!
//! The list is JSON, the value of a secret in AWS and of a file on a developer's machine:
//!
//! ```json
//! [{
//!   "name": "main", "base_url": "https://models.example/v1", "key": "…", "model": "small-1",
//!   "price": {"input_micros_per_million": 150000, "output_micros_per_million": 600000}
//! }]
//! ```
//!
//! Everything else has a default; what cannot be right is refused with the place where it stands.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::price::Prices;

/// The most targets that a list may have.
const MOST: usize = 32;

/// The longest time-out that may be asked for, in milliseconds: longer than any function lives.
const LONGEST_MS: u64 = 15 * 60 * 1000;

/// One model behind one endpoint.
#[derive(Clone, Debug)]
pub struct Target {
    /// What the house calls it; unique in the list.
    pub name: String,
    /// Where the API begins, without a slash at the end: `https://models.example/v1`.
    pub base_url: String,
    /// Sent as `Authorization: Bearer …`; nothing if the endpoint wants none.
    pub key: Option<SecretString>,
    /// What the endpoint calls the model.
    pub model: String,
    /// Other names that a request may call it by.
    pub aliases: Vec<String>,
    /// What it costs, by date.
    pub price: Prices,
    /// How many tokens a question and its answer may have together, if that is known.
    pub context: Option<u32>,
    /// The model that turns texts into vectors at the same endpoint; without it none are asked for here.
    pub embeddings: Option<String>,
    /// The model that says whether texts may be shown, at the same endpoint's `/moderations`; it is taken to
    /// cost nothing.
    pub moderation: Option<String>,
    /// How long it may take.
    pub times: Times,
    /// What the endpoint calls the largest number of tokens of an answer.
    pub max_tokens_field: MaxTokensField,
}

/// How long an endpoint may take; a caller's deadline cuts each of them shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From the request to the first token of a stream.
    pub first_token: Duration,
    /// Between two pieces of a stream.
    pub idle: Duration,
    /// For the whole answer.
    pub total: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            first_token: Duration::from_secs(20),
            idle: Duration::from_secs(15),
            total: Duration::from_mins(2),
        }
    }
}

/// What an endpoint calls the largest number of tokens of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// The older name, which nearly all endpoints know.
    #[default]
    MaxTokens,
    /// The name that endpoints of reasoning models demand.
    MaxCompletionTokens,
}

impl MaxTokensField {
    /// The field's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// What is wrong with a list of targets, and where; it never holds a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list of model targets is not valid at {place}: {reason}")]
pub struct TargetError {
    /// For example `[1].base_url`; `.` is the list itself.
    pub place: String,
    /// What is wrong there.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    base_url: String,
    #[serde(default)]
    key: Option<String>,
    model: String,
    #[serde(default)]
    aliases: Vec<String>,
    price: Prices,
    #[serde(default)]
    context: Option<u32>,
    #[serde(default)]
    embeddings: Option<String>,
    #[serde(default)]
    moderation: Option<String>,
    #[serde(default)]
    timeouts: WrittenTimes,
    #[serde(default)]
    max_tokens_field: MaxTokensField,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTimes {
    #[serde(rename = "first_token_ms")]
    first_token: Option<u64>,
    #[serde(rename = "idle_ms")]
    idle: Option<u64>,
    #[serde(rename = "total_ms")]
    total: Option<u64>,
}

/// Reads a list of targets. An empty list is a list: no model is configured then.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(json: &str) -> Result<Vec<Arc<Target>>, TargetError> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let written: Vec<Written> =
        serde_path_to_error::deserialize(&mut reader).map_err(|error| TargetError {
            place: error.path().to_string(),
            reason: error.inner().to_string(),
        })?;
    reader
        .end()
        .map_err(|error| wrong(".", &error.to_string()))?;
    if written.len() > MOST {
        return Err(wrong(".", &format!("more than {MOST} targets")));
    }
    let targets: Vec<Arc<Target>> = written
        .into_iter()
        .enumerate()
        .map(|(index, written)| written.check(index).map(Arc::new))
        .collect::<Result<_, _>>()?;
    check_together(&targets)?;
    Ok(targets)
}

impl Written {
    fn check(self, index: usize) -> Result<Target, TargetError> {
        let at = |field: &str| format!("[{index}].{field}");
        check_name(&self.name).map_err(|reason| wrong(&at("name"), reason))?;
        check_name(&self.model).map_err(|reason| wrong(&at("model"), reason))?;
        for alias in &self.aliases {
            check_name(alias).map_err(|reason| wrong(&at("aliases"), reason))?;
        }
        if let Some(model) = &self.embeddings {
            check_name(model).map_err(|reason| wrong(&at("embeddings"), reason))?;
        }
        if let Some(model) = &self.moderation {
            check_name(model).map_err(|reason| wrong(&at("moderation"), reason))?;
        }
        let key = self.key.filter(|key| !key.is_empty());
        if let Some(key) = &key
            && !key.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(wrong(&at("key"), "visible ASCII is expected"));
        }
        check_address(&self.base_url, key.is_some())
            .map_err(|reason| wrong(&at("base_url"), reason))?;
        if self.context == Some(0) {
            return Err(wrong(&at("context"), "at least 1 is expected"));
        }
        Ok(Target {
            times: self
                .timeouts
                .check()
                .map_err(|reason| wrong(&at("timeouts"), reason))?,
            base_url: self.base_url.trim_end_matches('/').to_owned(),
            name: self.name,
            key: key.map(SecretString::from),
            model: self.model,
            aliases: self.aliases,
            price: self.price,
            context: self.context,
            embeddings: self.embeddings,
            moderation: self.moderation,
            max_tokens_field: self.max_tokens_field,
        })
    }
}

impl WrittenTimes {
    fn check(self) -> Result<Times, &'static str> {
        let default = Times::default();
        let time = |written: Option<u64>, default| match written {
            None => Ok(default),
            Some(ms @ 1..=LONGEST_MS) => Ok(Duration::from_millis(ms)),
            Some(_) => Err("1 to 900000 milliseconds are expected"),
        };
        Ok(Times {
            first_token: time(self.first_token, default.first_token)?,
            idle: time(self.idle, default.idle)?,
            total: time(self.total, default.total)?,
        })
    }
}

/// Names stand in keys of rows and in answers, so they are short and plain.
fn check_name(name: &str) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/@+".contains(&b);
    if (1..=128).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err("1 to 128 letters, digits or -_.:/@+ are expected")
    }
}

/// A key travels over TLS only, unless it stays on this machine.
fn check_address(text: &str, has_key: bool) -> Result<(), &'static str> {
    let url = reqwest::Url::parse(text).map_err(|_| "an address is expected")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a secret belongs in `key`, not in the address");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an address without a query is expected");
    }
    let host = url.host_str().ok_or("an address with a host is expected")?;
    let here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    match url.scheme() {
        "https" => Ok(()),
        "http" if here || !has_key => Ok(()),
        "http" => Err("a key is sent over https only"),
        _ => Err("https is expected"),
    }
}

fn check_together(targets: &[Arc<Target>]) -> Result<(), TargetError> {
    let mut names = BTreeSet::new();
    for (index, target) in targets.iter().enumerate() {
        if !names.insert(&target.name) {
            return Err(wrong(
                &format!("[{index}].name"),
                "another target has this name",
            ));
        }
        if target.price.currency() != targets[0].price.currency() {
            return Err(wrong(
                &format!("[{index}].price"),
                "all targets have to cost in one currency",
            ));
        }
    }
    Ok(())
}

fn wrong(place: &str, reason: &str) -> TargetError {
    TargetError {
        place: place.to_owned(),
        reason: reason.to_owned(),
    }
}

impl Target {
    /// Whether a request that asks for this name means this target.
    pub fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.model == name || self.aliases.iter().any(|alias| alias == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn target() -> Value {
        json!({
            "name": "main", "base_url": "https://models.example/v1/", "key": "sk-1", "model": "small-1",
            "price": {"input_micros_per_million": 150_000, "output_micros_per_million": 600_000},
        })
    }

    fn with(field: &str, value: Value) -> String {
        let mut target = target();
        target[field] = value;
        json!([target]).to_string()
    }

    #[test]
    fn the_least_that_is_written_is_enough() {
        let targets = parse(&json!([target()]).to_string()).unwrap();

        assert_eq!(targets[0].base_url, "https://models.example/v1");
        assert_eq!(targets[0].times, Times::default());
        assert!(targets[0].answers_to("small-1") && targets[0].answers_to("main"));
        assert!(!targets[0].answers_to("large-1"));
        assert!(parse("[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place_and_without_the_key() {
        for (list, place) in [
            (
                with("base_url", json!("ftp://models.example")),
                "[0].base_url",
            ),
            (
                with("base_url", json!("http://models.example/v1")),
                "[0].base_url",
            ),
            (
                with("base_url", json!("https://u:p@models.example")),
                "[0].base_url",
            ),
            (
                with("base_url", json!("https://models.example/v1?a=b")),
                "[0].base_url",
            ),
            (with("name", json!("a b")), "[0].name"),
            (with("model", json!("")), "[0].model"),
            (with("key", json!("sk\n1")), "[0].key"),
            (with("context", json!(0)), "[0].context"),
            (with("timeouts", json!({"idle_ms": 0})), "[0].timeouts"),
            (with("colour", json!(1)), "[0].colour"),
            (
                with(
                    "price",
                    json!({"input_micros_per_million": -1, "output_micros_per_million": 1}),
                ),
                "[0].price",
            ),
            (json!([target(), target()]).to_string(), "[1].name"),
            ("{}".to_owned(), "."),
            ("[] x".to_owned(), "."),
        ] {
            let error = parse(&list).unwrap_err();

            assert_eq!(error.place, place, "{list}: {error}");
            assert!(!error.to_string().contains("sk-1"), "{error}");
        }
    }

    #[test]
    fn a_key_may_stay_on_this_machine_without_tls() {
        assert!(parse(&with("base_url", json!("http://127.0.0.1:8080/v1"))).is_ok());
        assert!(parse(&with("base_url", json!("http://localhost:8080/v1"))).is_ok());
        let mut open = target();
        open["key"] = json!("");
        open["base_url"] = json!("http://models.internal/v1");
        assert!(parse(&json!([open]).to_string()).unwrap()[0].key.is_none());
    }

    #[test]
    fn a_target_that_is_shown_hides_its_key() {
        let targets = parse(&json!([target()]).to_string()).unwrap();

        assert!(!format!("{targets:?}").contains("sk-1"));
    }
}
