//! A model for tests that knows no language: an endpoint in `OpenAI`'s manner that says again what it was asked,
//! fills a schema with it, and calls a tool when it must. So a test can say beforehand which text has to arrive,
//! and nothing of what arrives was written for the test.

mod fill;

use std::{
    io,
    net::{SocketAddr, TcpStream},
};

use serde_json::{Value, json};

use crate::{
    failure::Outcome,
    model::endpoint::{self, Events, Question},
};

/// What it is called in the list of endpoints.
pub const NAME: &str = "peer";

/// The endpoint.
pub struct Peer {
    address: SocketAddr,
}

impl Peer {
    /// Starts it on a free port, for as long as the process lives.
    ///
    /// # Errors
    /// The machine has no port left.
    pub fn start() -> Outcome<Self> {
        let address = endpoint::listen(answer)?;
        Ok(Self { address })
    }

    /// The list of endpoints with this one alone. A token, which is a word here, costs a millionth of a dollar, so
    /// that budgets have something to count.
    pub fn targets(&self) -> Value {
        json!([{
            "name": NAME,
            "base_url": format!("http://{}/v1", self.address),
            "key": "",
            "model": NAME,
            "price": {"input_micros_per_million": 1_000_000, "output_micros_per_million": 1_000_000},
        }])
    }
}

fn answer(question: &Question, stream: &TcpStream) -> io::Result<()> {
    if !question.path.ends_with("/chat/completions") {
        let error =
            json!({"message": "only chat completions are made here", "code": "unknown_url"});
        return endpoint::whole(stream, 404, &json!({"error": error}));
    }
    let reply = Reply::to(&question.body);
    if question.body["stream"] == true {
        reply.stream(
            stream,
            question.body["stream_options"]["include_usage"] == true,
        )
    } else {
        endpoint::whole(stream, 200, &reply.whole())
    }
}

/// What is answered, before it has a form.
#[derive(Debug, PartialEq)]
struct Reply {
    /// The words of the text, each with the blank after it.
    words: Vec<String>,
    /// The tool that is called instead.
    call: Option<Value>,
    /// Whether there were more words than were wanted.
    cut: bool,
    /// Words of the question.
    asked: usize,
}

impl Reply {
    fn to(body: &Value) -> Self {
        let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let said = said(messages);
        let call = called(body).map(|function| {
            let arguments = fill::fill(&function["parameters"], &said).to_string();
            json!({"id": "call_1", "type": "function",
                "function": {"name": function["name"], "arguments": arguments}})
        });
        let text = match call {
            Some(_) => String::new(),
            None => formed(&body["response_format"], said),
        };
        let mut words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        let most = most(body);
        let cut = words.len() > most;
        words.truncate(most);
        let asked = messages.iter().map(text_of);
        let asked = asked.map(|text| text.split_whitespace().count()).sum();
        Self {
            words,
            call,
            cut,
            asked,
        }
    }

    fn finish(&self) -> &'static str {
        match (&self.call, self.cut) {
            (Some(_), _) => "tool_calls",
            (None, true) => "length",
            (None, false) => "stop",
        }
    }

    fn usage(&self) -> Value {
        let made = self.words.len().max(1);
        json!({"prompt_tokens": self.asked, "completion_tokens": made, "total_tokens": self.asked + made})
    }

    fn whole(&self) -> Value {
        let mut message = json!({"role": "assistant", "content": self.words.concat()});
        if let Some(call) = &self.call {
            message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
        }
        json!({
            "id": "chatcmpl-peer", "object": "chat.completion", "created": 0, "model": NAME,
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish()}],
            "usage": self.usage(),
        })
    }

    fn stream(&self, stream: &TcpStream, with_usage: bool) -> io::Result<()> {
        let mut events = Events::begin(stream)?;
        events.say(piece(&json!({"role": "assistant", "content": ""}), None))?;
        for word in &self.words {
            events.say(piece(&json!({"content": word}), None))?;
        }
        if let Some(call) = &self.call {
            let mut call = call.clone();
            call["index"] = json!(0);
            events.say(piece(&json!({"tool_calls": [call]}), None))?;
        }
        events.say(piece(&json!({}), Some(self.finish())))?;
        if with_usage {
            events.say(json!({"choices": [], "usage": self.usage()}))?;
        }
        events.end()
    }
}

fn piece(delta: &Value, finish: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-peer", "object": "chat.completion.chunk", "created": 0, "model": NAME,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
}

/// What was said last by somebody else than the model, or by a tool that it called.
fn said(messages: &[Value]) -> String {
    let others = ["user", "tool", "function"].map(Value::from);
    let last = messages
        .iter()
        .rfind(|message| others.contains(&message["role"]));
    last.map(text_of).unwrap_or_default()
}

/// The text of a message, whose content is a text or a list of parts.
fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

/// The tool that has to be called now: whoever has been told what a tool found calls none.
fn called(body: &Value) -> Option<&Value> {
    let messages = body["messages"].as_array()?;
    if messages.last()?["role"] == "tool" {
        return None;
    }
    let choice = &body["tool_choice"];
    let mut functions = body["tools"]
        .as_array()?
        .iter()
        .map(|tool| &tool["function"]);
    functions.find(|function| {
        *choice == "required"
            || (choice.is_object() && choice["function"]["name"] == function["name"])
    })
}

/// What is said, in the form that was asked for.
fn formed(format: &Value, said: String) -> String {
    match format["type"].as_str() {
        Some("json_schema") => fill::fill(&format["json_schema"]["schema"], &said).to_string(),
        Some("json_object") => json!({ "text": said }).to_string(),
        _ => said,
    }
}

fn most(body: &Value) -> usize {
    let written = ["max_completion_tokens", "max_tokens"].map(|name| body[name].as_u64());
    let most = written.into_iter().flatten().next();
    most.and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(fields: &Value) -> Reply {
        let mut body = json!({"messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "Good morning, Ana"}]},
        ]});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        Reply::to(&body)
    }

    #[test]
    fn the_last_question_is_said_again_and_its_words_are_counted() {
        let whole = reply(&json!({})).whole();

        assert_eq!(
            whole["choices"][0]["message"]["content"],
            "Good morning, Ana"
        );
        assert_eq!(whole["choices"][0]["finish_reason"], "stop");
        assert_eq!(
            whole["usage"],
            json!({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8})
        );
    }

    #[test]
    fn an_answer_that_would_be_longer_than_wanted_is_cut() {
        let whole = reply(&json!({"max_completion_tokens": 2})).whole();

        assert_eq!(whole["choices"][0]["message"]["content"], "Good morning, ");
        assert_eq!(whole["choices"][0]["finish_reason"], "length");
    }

    #[test]
    fn a_schema_is_filled_with_what_was_said() {
        let schema = json!({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}});
        let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});

        let text = reply(&json!({ "response_format": format })).words.concat();

        assert_eq!(text, r#"{"name":"Good morning, Ana"}"#);
    }

    #[test]
    fn a_tool_is_called_when_it_must_be_and_not_again_after_it_has_answered() {
        let tools = json!([{"type": "function", "function": {"name": "greet", "parameters":
            {"type": "object", "required": ["who"], "properties": {"who": {"type": "string"}}}}}]);
        let must = json!({"tools": tools, "tool_choice": "required"});
        let free = json!({"tools": tools, "tool_choice": "auto"});
        let mut answered = must.clone();
        answered["messages"] =
            json!([{"role": "tool", "tool_call_id": "call_1", "content": "Hello"}]);

        let call = reply(&must).whole()["choices"][0]["message"]["tool_calls"][0].clone();

        assert_eq!(call["function"]["name"], "greet");
        assert_eq!(
            call["function"]["arguments"],
            r#"{"who":"Good morning, Ana"}"#
        );
        assert_eq!(reply(&free).call, None);
        assert_eq!(reply(&answered).words.concat(), "Hello");
    }
}
