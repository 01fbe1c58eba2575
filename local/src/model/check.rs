//! `fleet model check`: has the local model write Spanish, English and JSON by a schema, and fails if it does not.

use std::{
    process::Child,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    cloud::Cloud,
    console::{Step, say},
    failure::{Failure, Outcome, While},
    layout::Layout,
    model::{
        Choice, install_now, keeper,
        record::{Phase, Record, resident_mib},
        server,
        weights::Profile,
    },
    port,
};

const START_LIMIT: Duration = Duration::from_mins(3);
const TURN: Duration = Duration::from_millis(200);

/// Frequent words of each language that the other does not have.
pub(super) const SPANISH: [&str; 14] = [
    "el", "la", "los", "las", "de", "del", "que", "en", "y", "un", "una", "con", "para", "por",
];
pub(super) const ENGLISH: [&str; 13] = [
    "the", "of", "and", "is", "are", "with", "for", "that", "to", "in", "our", "you", "where",
];

/// A server started for the check alone; it ends with it.
struct Borrowed(Child);

impl Drop for Borrowed {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _already_gone = self.0.wait();
    }
}

/// Runs the command: asks the model of the running cloud if it is the same, else one that is started for this.
pub async fn run(layout: &Layout, choice: &Choice) -> Outcome {
    let kept = Record::read(layout).filter(|record| {
        record.choice == choice.key() && !matches!(record.phase, Phase::Failed { .. })
    });
    if kept.is_some() {
        return check_kept(layout, choice).await;
    }
    let installed = install_now(layout, choice).await?;
    let port = port::any_free()?;
    let child = server::start(layout, &installed.program, &installed.weights, port)?;
    let pid = i32::try_from(child.id()).during("reading the server's process id")?;
    let mut borrowed = Borrowed(child);
    let step = Step::start("model", "reading the model");
    let started = Instant::now();
    while !keeper::answers(&Cloud::new(format!("http://127.0.0.1:{port}"))?).await {
        let ended = borrowed.0.try_wait().during("watching the server")?;
        if ended.is_some() || started.elapsed() > START_LIMIT {
            return Err(Failure::new(format!(
                "the model's server did not start:\n{}",
                server::last_words(layout)
            )));
        }
        tokio::time::sleep(TURN).await;
    }
    step.done(format_args!("{} answers", installed.name));
    // A model that could not be had is replaced by the tiny one: that is not what was to be checked.
    if installed.name != choice.name() {
        return Err(Failure::new(format!("{} could not be had", choice.name())));
    }
    ask(choice, port, pid).await
}

/// Waits for the model that is kept for a cloud, and checks it.
pub async fn check_kept(layout: &Layout, choice: &Choice) -> Outcome {
    let step = Step::start("model", "waiting until it is ready");
    let (port, pid) = loop {
        match Record::read(layout) {
            Some(record) => match record.phase {
                Phase::Ready { pid, port } if record.model == choice.name() => break (port, pid),
                Phase::Ready { .. } => {
                    return Err(Failure::new(format!("{} could not be had", choice.name())));
                }
                Phase::Failed { reason } => return Err(Failure::new(reason)),
                Phase::Installing { .. } | Phase::Starting => step.detail(record.words()),
                Phase::Given { .. } => {
                    return Err(Failure::new("other endpoints took the model's place"));
                }
            },
            None => return Err(Failure::new("the model's keeper ended")),
        }
        tokio::time::sleep(TURN).await;
    };
    step.done("it is ready");
    ask(choice, port, pid).await
}

async fn ask(choice: &Choice, port: u16, pid: i32) -> Outcome {
    let server = Cloud::new(format!("http://127.0.0.1:{port}"))?;
    // The tiny model was taught English alone.
    if *choice == Choice::Profile(Profile::Tiny) {
        say(format_args!(
            "{:>10}  not asked of the tiny model",
            "Spanish"
        ));
    } else {
        let prompt = "Escribe dos frases en español que describan una panadería de barrio.";
        let text = write(&server, "Spanish", prompt, &Value::Null).await?;
        require_language(&text, &SPANISH, &ENGLISH, "Spanish")?;
    }
    let prompt = "Write two sentences in English that describe a neighbourhood bakery.";
    let text = write(&server, "English", prompt, &Value::Null).await?;
    require_language(&text, &ENGLISH, &SPANISH, "English")?;
    let prompt = "Describe a rye bread for a shop's catalogue.";
    let text = write(&server, "JSON", prompt, &response_format()).await?;
    Product::parse(&text)?;
    let memory = resident_mib(pid).map_or_else(|| "?".to_owned(), |mib| mib.to_string());
    say(format_args!("{:>10}  {memory} MiB resident", "memory"));
    Ok(())
}

/// One completion, shown with its speed.
async fn write(server: &Cloud, what: &str, prompt: &str, format: &Value) -> Outcome<String> {
    let mut body = json!({
        "model": server::ALIAS, "max_tokens": 96, "temperature": 0, "seed": 1,
        "messages": [{ "role": "user", "content": prompt }],
    });
    if !format.is_null() {
        body["response_format"] = format.clone();
    }
    let headers = [("content-type", "application/json")];
    let body = body.to_string().into_bytes();
    let answer = server
        .plain("POST", "/v1/chat/completions", &headers, body)
        .await?
        .accepted(what)?
        .json();
    let text = answer["choices"][0]["message"]["content"]
        .as_str()
        .ok_or_else(|| Failure::new(format!("{what}: no text in {answer}")))?;
    let speed = answer["timings"]["predicted_per_second"].as_f64();
    say(format_args!(
        "{what:>10}  {:.1} tokens/s  {}",
        speed.unwrap_or_default(),
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    ));
    Ok(text.to_owned())
}

fn count(text: &str, frequent: &[&str]) -> usize {
    text.split(|letter: char| !letter.is_alphabetic())
        .filter(|word| frequent.contains(&word.to_lowercase().as_str()))
        .count()
}

/// Fails unless a text is in this language, by its frequent words.
pub(super) fn require_language(text: &str, its: &[&str], other: &[&str], name: &str) -> Outcome {
    let (its, other) = (count(text, its), count(text, other));
    if its >= 4 && its > 2 * other {
        Ok(())
    } else {
        Err(Failure::new(format!("that is no {name}: {text}")))
    }
}

/// What the schema asks for. Each text has a bound: without one a small model does not come to an end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Product {
    name: String,
    tags: Vec<String>,
    #[serde(rename = "in_stock")]
    _in_stock: bool,
}

/// The schema of a [`Product`].
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "tags", "in_stock"],
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 40 },
            "tags": { "type": "array", "minItems": 1, "maxItems": 3,
                      "items": { "type": "string", "maxLength": 16 } },
            "in_stock": { "type": "boolean" },
        },
    })
}

fn response_format() -> Value {
    json!({ "type": "json_schema", "json_schema": { "name": "product", "strict": true, "schema": schema() } })
}

impl Product {
    /// Reads one, within the schema's bounds.
    pub(super) fn parse(text: &str) -> Outcome<Self> {
        let product: Self =
            serde_json::from_str(text).during(format_args!("not by the schema, {text}"))?;
        let fits = |text: &str, most| text.chars().count() <= most;
        let named = !product.name.is_empty() && fits(&product.name, 40);
        let tagged =
            (1..=3).contains(&product.tags.len()) && product.tags.iter().all(|tag| fits(tag, 16));
        if named && tagged {
            Ok(product)
        } else {
            Err(Failure::new(format!(
                "not within the schema's bounds: {text}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_told_from_the_other_and_from_nothing() {
        let spanish = "La panadería del barrio es un lugar en el que se hace pan con cariño.";
        let english = "The bakery is a place where the bread of the town is made with care.";

        require_language(spanish, &SPANISH, &ENGLISH, "Spanish").unwrap();
        require_language(english, &ENGLISH, &SPANISH, "English").unwrap();
        require_language(english, &SPANISH, &ENGLISH, "Spanish").unwrap_err();
        require_language(spanish, &ENGLISH, &SPANISH, "English").unwrap_err();
        require_language("", &SPANISH, &ENGLISH, "Spanish").unwrap_err();
    }

    #[test]
    fn only_what_keeps_to_the_schema_passes() {
        let good = r#"{"name":"Rye","tags":["bread"],"in_stock":true}"#;
        assert_eq!(Product::parse(good).unwrap().name, "Rye");
        for bad in [
            "Rye bread",
            r#"{"name":"Rye","tags":["bread"]}"#,
            r#"{"name":"Rye","tags":["bread"],"in_stock":true,"price":1}"#,
            r#"{"name":"","tags":["bread"],"in_stock":true}"#,
            r#"{"name":"Rye","tags":[],"in_stock":true}"#,
            r#"{"name":"Rye","tags":["much longer than sixteen"],"in_stock":true}"#,
        ] {
            Product::parse(bad).unwrap_err();
        }
    }
}
