//! What is asked of a model, built from our own API and from an `OpenAI` body alike.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::target::Target;

/// Tokens that a message costs beside its text, in every known chat format.
const PER_MESSAGE: u64 = 16;

/// Tokens that a request costs beside its messages.
const PER_REQUEST: u64 = 64;

/// The most tokens that an endpoint was seen to count for one picture.
const PER_PICTURE: u64 = 50_000;

/// Fields that are passed on as they are: none of them changes how much is answered, by which model, or at
/// which price. What endpoints understand besides does: `n_predict` and `best_of` lengthen the answer,
/// `models` and `plugins` ask somebody else, `service_tier` and `web_search_options` cost extra.
const PASSED_ON: [&str; 23] = [
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "response_format",
    "reasoning_effort",
    "verbosity",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "metadata",
    "top_k",
    "min_p",
    "repetition_penalty",
    "thinking",
    "enable_thinking",
    "chat_template_kwargs",
];

/// The most tokens that an answer may be asked to have.
pub const MOST_TOKENS: u32 = 200_000;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// A target's name, model or alias: only targets that go by it are asked. Nothing means all of them,
    /// in the operator's order.
    pub model: Option<String>,
    /// The conversation so far, oldest first.
    pub messages: Vec<Message>,
    /// The most tokens of the answer, 1 to [`MOST_TOKENS`].
    pub max_tokens: u32,
    /// How much chance there is in the answer, 0 to 2.
    pub temperature: Option<f64>,
    /// The part of the likeliest tokens that is drawn from, above 0 to 1.
    pub top_p: Option<f64>,
    /// Texts that end the answer, at most 4.
    pub stop: Vec<String>,
    /// The same seed gives the same answer where an endpoint can do that.
    pub seed: Option<i64>,
    /// The shape that the answer has to have.
    pub schema: Option<Schema>,
    /// Fields that are passed on as they are: tools, `tool_choice`, penalties. What this type has a field
    /// for is not taken from here, and what may change the cost is not passed on.
    pub extra: Map<String, Value>,
    /// For how long the same question of the same organisation may be answered from memory; nothing means
    /// that it is always asked.
    pub cache: Option<Duration>,
}

/// A shape that an answer has to have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// What the endpoint is told that it is called: letters, digits, `_` and `-`.
    pub name: String,
    /// JSON Schema.
    pub schema: Value,
    /// Whether the endpoint is asked to be strict. The answer is checked here either way.
    pub strict: bool,
}

/// One message of a conversation, in `OpenAI`'s shape: an object with a `role`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Message(Map<String, Value>);

impl Message {
    /// What the house tells the model.
    pub fn system(text: impl Into<String>) -> Self {
        Self::of("system", text.into())
    }

    /// What the person says.
    pub fn user(text: impl Into<String>) -> Self {
        Self::of("user", text.into())
    }

    /// What the model said.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::of("assistant", text.into())
    }

    fn of(role: &str, text: String) -> Self {
        let mut fields = Map::new();
        fields.insert("role".into(), role.into());
        fields.insert("content".into(), text.into());
        Self(fields)
    }

    /// A message as a client wrote it; nothing if it is no object with a known role.
    pub fn of_value(value: Value) -> Option<Self> {
        const ROLES: [&str; 6] = [
            "system",
            "developer",
            "user",
            "assistant",
            "tool",
            "function",
        ];
        match value {
            Value::Object(fields) => {
                let role = fields.get("role").and_then(Value::as_str);
                role.is_some_and(|role| ROLES.contains(&role))
                    .then_some(Self(fields))
            }
            _ => None,
        }
    }

    /// Who speaks.
    pub fn role(&self) -> &str {
        self.0
            .get("role")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// What is said, where that is text: parts of text are put together.
    pub fn text(&self) -> String {
        self.0.get("content").map(text_of).unwrap_or_default()
    }

    /// The same message with each of its texts replaced.
    #[must_use]
    pub fn with_texts(mut self, mut replace: impl FnMut(&str) -> String) -> Self {
        match self.0.get_mut("content") {
            Some(Value::String(text)) => *text = replace(text),
            Some(Value::Array(parts)) => {
                let texts = parts.iter_mut().filter_map(|part| part.get_mut("text"));
                for text in texts {
                    if let Value::String(said) = text {
                        *said = replace(said);
                    }
                }
            }
            _ => {}
        }
        self
    }

    /// All of its fields.
    pub const fn fields(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// The text of a `content`, which is a text or a list of parts.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        _ => String::new(),
    }
}

/// What is wrong with an `OpenAI` body, as that API's errors name it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{param}: {reason}")]
pub struct Mistake {
    /// The field.
    pub param: String,
    /// What is expected of it.
    pub reason: &'static str,
}

fn mistake(param: &str, reason: &'static str) -> Mistake {
    Mistake {
        param: param.to_owned(),
        reason,
    }
}

/// An `OpenAI` body that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiBody {
    /// What is asked.
    pub request: ChatRequest,
    /// Whether the answer is wanted in pieces.
    pub stream: bool,
    /// Whether the last piece tells the usage.
    pub include_usage: bool,
}

impl ChatRequest {
    /// A question with nothing set but its messages and the length of the answer.
    pub fn new(messages: Vec<Message>, max_tokens: u32) -> Self {
        Self {
            messages,
            max_tokens,
            ..Self::default()
        }
    }

    /// Reads a body of `POST /chat/completions`. `default_max_tokens` is for a client that gives none.
    ///
    /// # Errors
    /// The first field that cannot be served. One answer at a time: `n` above 1 is refused, because
    /// what it would cost is easily several times what a client expects.
    pub fn from_openai(
        mut body: Map<String, Value>,
        default_max_tokens: u32,
    ) -> Result<OpenAiBody, Mistake> {
        let model = match take(&mut body, "model") {
            Some(Value::String(model)) if !model.is_empty() => Some(model),
            _ => return Err(mistake("model", "a model's name is expected")),
        };
        let messages = messages(take(&mut body, "messages"))?;
        let (stream, include_usage) = streaming(&mut body)?;
        match take(&mut body, "n") {
            None => {}
            Some(n) if n.as_u64() == Some(1) => {}
            Some(_) => return Err(mistake("n", "1 is expected")),
        }
        let longer = take(&mut body, "max_completion_tokens");
        let older = take(&mut body, "max_tokens");
        let (param, written) = match (longer, older) {
            (Some(value), _) => ("max_completion_tokens", Some(value)),
            (None, value) => ("max_tokens", value),
        };
        let max_tokens = match written {
            None => default_max_tokens,
            Some(value) => value
                .as_u64()
                .and_then(|n| u32::try_from(n).ok())
                .ok_or_else(|| mistake(param, "1 to 200000 are expected"))?,
        };
        let seed = take(&mut body, "seed")
            .map(|seed| {
                seed.as_i64()
                    .ok_or_else(|| mistake("seed", "a whole number is expected"))
            })
            .transpose()?;
        tame(&mut body)?;
        let request = Self {
            model,
            messages,
            max_tokens,
            temperature: number(&mut body, "temperature")?,
            top_p: number(&mut body, "top_p")?,
            stop: stops(take(&mut body, "stop"))?,
            seed,
            schema: schema(&mut body)?,
            extra: passed_on(body)?,
            cache: None,
        };
        request.check()?;
        Ok(OpenAiBody {
            request,
            stream,
            include_usage,
        })
    }

    /// Whether this can be asked at all.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn check(&self) -> Result<(), Mistake> {
        if self.messages.is_empty() {
            return Err(mistake("messages", "at least one message is expected"));
        }
        if !(1..=MOST_TOKENS).contains(&self.max_tokens) {
            return Err(mistake("max_tokens", "1 to 200000 are expected"));
        }
        if self.temperature.is_some_and(|t| !(0.0..=2.0).contains(&t)) {
            return Err(mistake("temperature", "0 to 2 is expected"));
        }
        if self.top_p.is_some_and(|p| !(p > 0.0 && p <= 1.0)) {
            return Err(mistake("top_p", "more than 0, at most 1 is expected"));
        }
        if self.stop.len() > 4 {
            return Err(mistake("stop", "at most 4 texts are expected"));
        }
        Ok(())
    }

    /// The body that a target is sent.
    pub(crate) fn body(&self, target: &Target, stream: bool) -> Value {
        let mut body = self.extra.clone();
        body.retain(|name, _| PASSED_ON.contains(&name.as_str()));
        body.insert("model".into(), target.model.clone().into());
        body.insert("messages".into(), json!(self.messages));
        body.insert(
            target.max_tokens_field.name().into(),
            self.max_tokens.into(),
        );
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.into(), value);
            }
        };
        set("temperature", self.temperature.map(Value::from));
        set("top_p", self.top_p.map(Value::from));
        set("seed", self.seed.map(Value::from));
        set("stop", (!self.stop.is_empty()).then(|| json!(self.stop)));
        set(
            "response_format",
            self.schema
                .as_ref()
                .map(|schema| json!({"type": "json_schema", "json_schema": schema})),
        );
        if stream {
            set("stream", Some(true.into()));
            set("stream_options", Some(json!({"include_usage": true})));
        }
        Value::Object(body)
    }

    /// More tokens than any endpoint will count for the question: a token is at least one octet of text in
    /// every known vocabulary. A picture counts as the dearest that was seen, whatever its octets.
    pub(crate) fn input_bound(&self) -> u64 {
        let pictures = Count::default();
        let octets: u64 = self
            .messages
            .iter()
            .map(|m| weigh_map(&m.0, &pictures))
            .sum();
        let schema = self
            .schema
            .as_ref()
            .map_or(0, |schema| weigh(&schema.schema, &pictures));
        let extra = weigh_map(&self.extra, &pictures);
        let messages = u64::try_from(self.messages.len()).unwrap_or(u64::MAX);
        octets
            + schema
            + extra
            + pictures.0.get() * PER_PICTURE
            + messages * PER_MESSAGE
            + PER_REQUEST
    }
}

#[derive(Default)]
struct Count(std::cell::Cell<u64>);

/// Whether this is a part of a message that shows a picture: only there are its octets no text.
fn is_picture(part: &Map<String, Value>) -> bool {
    let url = part.get("image_url").and_then(|image| image.get("url"));
    let url = url.and_then(Value::as_str).unwrap_or_default();
    let scheme = ["data:image/", "https://", "http://"];
    part.get("type").and_then(Value::as_str) == Some("image_url")
        && scheme.iter().any(|scheme| url.starts_with(scheme))
}

/// The octets of a value as it is told to a model, without the octets of pictures, which are counted.
fn weigh(value: &Value, pictures: &Count) -> u64 {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(number) => number.to_string().len() as u64,
        Value::String(text) => text.len() as u64 + 2,
        Value::Array(values) => values.iter().map(|v| 2 + weigh(v, pictures)).sum::<u64>() + 2,
        Value::Object(fields) => weigh_map(fields, pictures),
    }
}

fn weigh_map(fields: &Map<String, Value>, pictures: &Count) -> u64 {
    let mut octets = 2;
    let picture = is_picture(fields);
    for (name, value) in fields {
        if picture && name == "image_url" {
            pictures.0.set(pictures.0.get() + 1);
        } else {
            octets += name.len() as u64 + 5 + weigh(value, pictures);
        }
    }
    octets
}

/// Takes out what clients like to say and what changes nothing when it is said so.
fn tame(body: &mut Map<String, Value>) -> Result<(), Mistake> {
    let one_of = |name: &str, value: Option<Value>, fine: &[Value], reason| match value {
        Some(value) if !fine.contains(&value) => Err(mistake(name, reason)),
        _ => Ok(()),
    };
    one_of(
        "service_tier",
        take(body, "service_tier"),
        &[json!("auto"), json!("default")],
        "auto or default is expected",
    )?;
    one_of(
        "modalities",
        take(body, "modalities"),
        &[json!(["text"])],
        "only text is made",
    )?;
    one_of(
        "store",
        take(body, "store"),
        &[json!(false)],
        "nothing is stored",
    )
}

/// What is left of a body, if all of it may be passed on.
fn passed_on(mut body: Map<String, Value>) -> Result<Map<String, Value>, Mistake> {
    body.retain(|_, value| !value.is_null());
    match body.keys().find(|name| !PASSED_ON.contains(&name.as_str())) {
        Some(unknown) => Err(mistake(unknown, "this field is not known here")),
        None => Ok(body),
    }
}

/// Takes a field; a null counts as absent.
fn take(body: &mut Map<String, Value>, name: &str) -> Option<Value> {
    body.remove(name).filter(|value| !value.is_null())
}

fn messages(written: Option<Value>) -> Result<Vec<Message>, Mistake> {
    let Some(Value::Array(values)) = written else {
        return Err(mistake("messages", "a list of messages is expected"));
    };
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            Message::of_value(value).ok_or_else(|| {
                mistake(
                    &format!("messages[{index}]"),
                    "an object with a known `role` is expected",
                )
            })
        })
        .collect()
}

fn streaming(body: &mut Map<String, Value>) -> Result<(bool, bool), Mistake> {
    let stream = match take(body, "stream") {
        None => false,
        Some(Value::Bool(stream)) => stream,
        Some(_) => return Err(mistake("stream", "true or false is expected")),
    };
    let usage =
        take(body, "stream_options").is_some_and(|options| options["include_usage"] == true);
    Ok((stream, usage))
}

fn number(body: &mut Map<String, Value>, name: &'static str) -> Result<Option<f64>, Mistake> {
    take(body, name)
        .map(|value| {
            value
                .as_f64()
                .ok_or_else(|| mistake(name, "a number is expected"))
        })
        .transpose()
}

fn stops(written: Option<Value>) -> Result<Vec<String>, Mistake> {
    let wrong = || mistake("stop", "a text or a list of texts is expected");
    match written {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(texts)) => texts
            .into_iter()
            .map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// A `json_schema` becomes a [`Schema`]; another response format is passed on.
fn schema(body: &mut Map<String, Value>) -> Result<Option<Schema>, Mistake> {
    let Some(format) = take(body, "response_format") else {
        return Ok(None);
    };
    if format["type"] != "json_schema" {
        body.insert("response_format".into(), format);
        return Ok(None);
    }
    let wrong = || mistake("response_format", "a name and a schema are expected");
    let written = &format["json_schema"];
    let name = written["name"].as_str().filter(|name| !name.is_empty());
    let schema = written.get("schema").filter(|schema| schema.is_object());
    Ok(Some(Schema {
        name: name.ok_or_else(wrong)?.to_owned(),
        schema: schema.ok_or_else(wrong)?.clone(),
        strict: written["strict"] == true,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Result<OpenAiBody, Mistake> {
        let Value::Object(body) = body else {
            panic!("an object")
        };
        ChatRequest::from_openai(body, 100)
    }

    fn body() -> Value {
        json!({"model": "small-1", "messages": [{"role": "user", "content": "Hola"}]})
    }

    fn target() -> std::sync::Arc<Target> {
        let list = r#"[{"name": "t", "base_url": "http://127.0.0.1/v1", "model": "small-1",
            "price": {"input_micros_per_million": 1, "output_micros_per_million": 1}}]"#;
        crate::target::parse(list).unwrap().remove(0)
    }

    #[test]
    fn a_body_is_passed_on_with_what_the_house_does_not_know() {
        let mut written = body();
        written["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
        written["stream"] = json!(true);
        written["stream_options"] = json!({"include_usage": true});
        written["stop"] = json!("END");
        written["max_completion_tokens"] = json!(7);
        written["user"] = json!(null);

        let read = read(written.clone()).unwrap();
        let sent = read.request.body(&target(), true);

        assert!(read.stream && read.include_usage);
        assert_eq!(sent["tools"], written["tools"]);
        assert_eq!(sent["messages"], written["messages"]);
        assert_eq!(sent["stop"], json!(["END"]));
        assert_eq!(sent["max_tokens"], 7);
        assert_eq!(sent["stream_options"]["include_usage"], true);
        assert!(sent.get("max_completion_tokens").is_none());
    }

    #[test]
    fn what_cannot_be_served_is_named() {
        for (field, value, param) in [
            ("model", json!(null), "model"),
            ("messages", json!([]), "messages"),
            ("messages", json!([{"role": "wizard"}]), "messages[0]"),
            ("messages", json!("Hola"), "messages"),
            ("n", json!(2), "n"),
            ("max_tokens", json!(0), "max_tokens"),
            ("max_tokens", json!("7"), "max_tokens"),
            ("temperature", json!(3), "temperature"),
            ("top_p", json!(0), "top_p"),
            ("stop", json!(["a", "b", "c", "d", "e"]), "stop"),
            ("seed", json!("x"), "seed"),
            ("stream", json!("yes"), "stream"),
            (
                "response_format",
                json!({"type": "json_schema"}),
                "response_format",
            ),
        ] {
            let mut written = body();
            written[field] = value;

            assert_eq!(read(written.clone()).unwrap_err().param, param, "{written}");
        }
    }

    #[test]
    fn a_schema_is_understood_and_another_format_is_passed_on() {
        let mut written = body();
        written["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}});
        let with_schema = read(written).unwrap().request;
        let mut written = body();
        written["response_format"] = json!({"type": "json_object"});
        let with_object = read(written).unwrap().request;

        assert_eq!(with_schema.schema.as_ref().unwrap().name, "n");
        assert_eq!(
            with_schema.body(&target(), false)["response_format"]["json_schema"]["schema"],
            json!({"type": "object"})
        );
        assert_eq!(
            with_object.body(&target(), false)["response_format"]["type"],
            "json_object"
        );
    }

    #[test]
    fn what_a_client_smuggles_in_does_not_change_what_is_paid_for() {
        let mut request = ChatRequest::new(vec![Message::user("Hola")], 5);
        request.extra =
            json!({"n": 9, "max_tokens": 9999, "max_completion_tokens": 9999, "model": "dear",
            "messages": [], "stream": true})
            .as_object()
            .unwrap()
            .clone();

        let sent = request.body(&target(), false);

        assert_eq!(sent["max_tokens"], 5);
        assert_eq!(sent["model"], "small-1");
        assert_eq!(sent["messages"].as_array().unwrap().len(), 1);
        for gone in ["n", "max_completion_tokens", "stream"] {
            assert!(sent.get(gone).is_none(), "{gone}");
        }
    }

    #[test]
    fn what_changes_the_price_is_refused_and_never_sent() {
        for (field, value) in [
            ("n_predict", json!(100_000)),
            ("best_of", json!(20)),
            ("models", json!(["dear"])),
            ("plugins", json!([{"id": "web"}])),
            ("service_tier", json!("priority")),
            ("web_search_options", json!({})),
            ("modalities", json!(["text", "audio"])),
            ("prediction", json!({"type": "content", "content": "x"})),
            ("store", json!(true)),
        ] {
            let mut written = body();
            written[field] = value.clone();
            let mut request = ChatRequest::new(vec![Message::user("Hola")], 5);
            request.extra.insert(field.to_owned(), value);

            assert_eq!(read(written).unwrap_err().param, field);
            let sent = request.body(&target(), false);
            assert!(sent.get(field).is_none(), "{field}");
        }
        let mut harmless = body();
        harmless["service_tier"] = json!("auto");
        harmless["store"] = json!(false);
        harmless["modalities"] = json!(["text"]);
        harmless["logit_bias"] = json!(null);
        assert!(read(harmless).unwrap().request.extra.is_empty());
    }

    #[test]
    fn a_text_that_calls_itself_a_picture_is_counted_as_a_text() {
        let long = "x".repeat(1_000_000);
        let mut disguised = ChatRequest::new(vec![Message::user("Hola")], 5);
        disguised.extra = json!({"tools": [{"type": "function", "function": {"name": "f",
            "parameters": {"type": "object", "properties": {"image_url": {"description": long}}}}}]})
        .as_object()
        .unwrap()
        .clone();
        let part =
            json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": long}}]});
        let no_picture = ChatRequest::new(vec![Message::of_value(part).unwrap()], 5);

        assert!(disguised.input_bound() > 1_000_000);
        assert!(no_picture.input_bound() > 1_000_000);
    }

    #[test]
    fn the_bound_of_the_question_counts_octets_and_pictures() {
        let text = "ñ".repeat(1000);
        let plain = ChatRequest::new(vec![Message::user(&text)], 5);
        let picture = ChatRequest::new(
            vec![
                Message::of_value(json!({"role": "user", "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
                ]}))
                .unwrap(),
            ],
            5,
        );

        assert!(
            (2000..2200).contains(&plain.input_bound()),
            "{}",
            plain.input_bound()
        );
        assert!((50_000..50_200).contains(&picture.input_bound()));
    }
}
