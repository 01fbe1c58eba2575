//! Reads answers: whole ones, streamed ones, vectors. What is not complete is no answer.

use serde_json::{Map, Value, json};

use crate::reply::{Delta, Finish, Usage};
use crate::request::text_of;
use crate::wire::{self, Failure};

/// What one exchange gave.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub text: String,
    pub message: Value,
    pub finish: Finish,
    pub model: Option<String>,
    /// As the endpoint tells it; nothing if it does not.
    pub usage: Option<Usage>,
    /// The model said that it will not.
    pub refused: bool,
    /// Octets that the model wrote, what it thought and the tools that it called included.
    pub octets: u64,
}

/// Reads a whole answer.
pub(crate) fn chat(body: &[u8]) -> Result<Reply, Failure> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Failure::malformed())?;
    if let Some(failure) = wire::error_in(&body) {
        return Err(failure);
    }
    let choice = body.pointer("/choices/0").ok_or_else(Failure::malformed)?;
    let message = choice
        .get("message")
        .filter(|message| message.is_object())
        .ok_or_else(Failure::malformed)?;
    let written = choice["finish_reason"].as_str();
    Ok(Reply {
        text: text_of(&message["content"]),
        message: message.clone(),
        finish: written.map_or(Finish::Stop, Finish::of),
        model: body["model"].as_str().map(str::to_owned),
        usage: Usage::of(&body["usage"]),
        refused: is_refusal(&message["refusal"]),
        octets: weigh(message),
    })
}

fn is_refusal(refusal: &Value) -> bool {
    refusal.as_str().is_some_and(|text| !text.is_empty())
}

/// Octets of every text in a message: none of its tokens hides outside them.
fn weigh(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(values) => values.iter().map(weigh).sum(),
        Value::Object(fields) => fields.values().map(weigh).sum(),
        _ => 0,
    }
}

/// Vectors, the tokens that they took, and the model.
type Vectors = (Vec<Vec<f32>>, Option<Usage>, Option<String>);

/// Reads vectors for that many texts.
pub(crate) fn vectors(body: &[u8], texts: usize) -> Result<Vectors, Failure> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Failure::malformed())?;
    if let Some(failure) = wire::error_in(&body) {
        return Err(failure);
    }
    let data = body["data"].as_array().ok_or_else(Failure::malformed)?;
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; texts];
    for (place, one) in data.iter().enumerate() {
        let index = one["index"]
            .as_u64()
            .and_then(|index| usize::try_from(index).ok())
            .unwrap_or(place);
        let slot = vectors.get_mut(index).ok_or_else(Failure::malformed)?;
        let vector: Vec<f32> =
            serde_json::from_value(one["embedding"].clone()).map_err(|_| Failure::malformed())?;
        *slot = Some(vector);
    }
    let vectors: Option<Vec<_>> = vectors.into_iter().collect();
    let vectors = vectors.ok_or_else(Failure::malformed)?;
    let length = vectors.first().map_or(0, Vec::len);
    if length == 0 || vectors.iter().any(|vector| vector.len() != length) {
        return Err(Failure::malformed());
    }
    let mut usage = body["usage"].clone();
    if usage.is_object() && usage.get("completion_tokens").is_none() {
        usage["completion_tokens"] = json!(0);
    }
    let usage = Usage::of(&usage);
    Ok((vectors, usage, body["model"].as_str().map(str::to_owned)))
}

/// A streamed answer as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    text: String,
    fields: Map<String, Value>,
    tools: Vec<Value>,
    model: Option<String>,
    usage: Option<Usage>,
    finish: Option<Finish>,
    octets: u64,
    /// Pieces that were no JSON.
    pub malformed: u32,
    /// Whether a piece of the answer has been seen.
    pub started: bool,
}

impl Assembly {
    /// Takes the data of one event and gives what is new in it for a listener.
    pub(crate) fn take(&mut self, data: &str) -> Result<Option<Delta>, Failure> {
        let Ok(chunk) = serde_json::from_str::<Value>(data) else {
            self.malformed += 1;
            return Ok(None);
        };
        if let Some(failure) = wire::error_in(&chunk) {
            return Err(failure);
        }
        if self.model.is_none() {
            self.model = chunk["model"].as_str().map(str::to_owned);
        }
        // Some endpoints tell the sum so far with every piece: the last one counts, not their sum.
        if let Some(usage) = Usage::of(&chunk["usage"]) {
            self.usage = Some(usage);
        }
        let Some(choice) = chunk.pointer("/choices/0") else {
            return Ok(None);
        };
        let delta = self.add(&choice["delta"]);
        if let Some(finish) = choice["finish_reason"].as_str() {
            self.finish = Some(Finish::of(finish));
        }
        Ok(delta)
    }

    fn add(&mut self, raw: &Value) -> Option<Delta> {
        let fields = raw.as_object()?;
        let mut new = false;
        let mut text = String::new();
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("content", value) => {
                    text = text_of(value);
                    self.text.push_str(&text);
                    new |= !text.is_empty();
                }
                ("tool_calls", Value::Array(calls)) => {
                    new |= !calls.is_empty();
                    for call in calls {
                        self.add_call(call);
                    }
                }
                ("role", Value::String(_)) => {
                    self.fields.insert(name.clone(), value.clone());
                }
                // `reasoning_content`, `refusal` and their like grow piece by piece.
                (_, Value::String(piece)) => {
                    new |= !piece.is_empty();
                    grow(&mut self.fields, name, piece);
                }
                _ => {}
            }
        }
        self.octets += weigh(raw);
        self.started |= new;
        new.then(|| Delta {
            text,
            raw: raw.clone(),
        })
    }

    /// Puts the pieces of one tool call together: its `index` says which one it is.
    fn add_call(&mut self, piece: &Value) {
        /// The most tool calls of one answer.
        const MOST: usize = 128;
        let index = piece["index"]
            .as_u64()
            .and_then(|index| usize::try_from(index).ok())
            .unwrap_or(self.tools.len());
        if index >= MOST {
            return;
        }
        while self.tools.len() <= index {
            self.tools
                .push(json!({"type": "function", "function": {"name": "", "arguments": ""}}));
        }
        let call = &mut self.tools[index];
        for name in ["id", "type"] {
            if let Some(text) = piece[name].as_str().filter(|text| !text.is_empty()) {
                call[name] = text.into();
            }
        }
        for name in ["name", "arguments"] {
            if let (Some(text), Some(function)) = (
                piece["function"][name].as_str(),
                call["function"].as_object_mut(),
            ) {
                grow(function, name, text);
            }
        }
    }

    /// Whether the endpoint has said why it ended; what comes after that may be lost.
    pub(crate) const fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// The octets that the model has written so far.
    pub(crate) const fn octets(&self) -> u64 {
        self.octets
    }

    /// The answer. A stream that ends without saying why was cut, however politely.
    pub(crate) fn finish(self) -> Result<Reply, Failure> {
        match self.finish {
            Some(finish) if self.started || self.malformed == 0 => Ok(self.ended(finish)),
            _ if self.malformed > 0 && !self.started => Err(Failure::malformed()),
            _ => Err(Failure::new(
                "cut",
                wire::Then::Retry,
                wire::Billed::Perhaps,
            )),
        }
    }

    /// The answer as far as it has come, ended for this reason.
    pub(crate) fn ended(mut self, finish: Finish) -> Reply {
        let refused = self.fields.get("refusal").is_some_and(is_refusal);
        self.fields
            .entry("role")
            .or_insert_with(|| "assistant".into());
        self.fields
            .insert("content".into(), self.text.clone().into());
        if !self.tools.is_empty() {
            self.fields.insert("tool_calls".into(), self.tools.into());
            if self.text.is_empty() {
                self.fields.insert("content".into(), Value::Null);
            }
        }
        Reply {
            text: self.text,
            message: Value::Object(self.fields),
            finish,
            model: self.model,
            usage: self.usage,
            refused,
            octets: self.octets,
        }
    }
}

fn grow(fields: &mut Map<String, Value>, name: &str, piece: &str) {
    match fields.get_mut(name) {
        Some(Value::String(text)) => text.push_str(piece),
        _ => drop(fields.insert(name.to_owned(), piece.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(delta: &Value, finish: Option<&str>) -> String {
        json!({"model": "small-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
            .to_string()
    }

    #[test]
    fn pieces_become_a_message() {
        let mut answer = Assembly::default();
        for delta in [
            json!({"role": "assistant", "content": null}),
            json!({"reasoning_content": "hm"}),
            json!({"content": "Ho"}),
            json!({"content": "la"}),
        ] {
            answer.take(&chunk(&delta, None)).unwrap();
        }
        answer.take(&chunk(&json!({}), Some("stop"))).unwrap();
        answer
            .take(r#"{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}"#)
            .unwrap();

        let reply = answer.finish().unwrap();

        assert_eq!(reply.text, "Hola");
        assert_eq!(
            reply.message,
            json!({"role": "assistant", "content": "Hola", "reasoning_content": "hm"})
        );
        assert_eq!(reply.usage.unwrap().output, 2);
        assert_eq!(reply.model.as_deref(), Some("small-1"));
        assert!(reply.octets >= 6);
    }

    #[test]
    fn pieces_of_tool_calls_are_put_together_by_their_index() {
        let mut answer = Assembly::default();
        for call in [
            json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}),
            json!({"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}),
            json!({"index": 0, "function": {"arguments": "{\"x\":"}}),
            json!({"index": 0, "function": {"arguments": "1}"}}),
            json!({"index": 4_000_000_000_u32}),
        ] {
            answer
                .take(&chunk(&json!({"tool_calls": [call]}), None))
                .unwrap();
        }
        answer.take(&chunk(&json!({}), Some("tool_calls"))).unwrap();

        let reply = answer.finish().unwrap();

        assert_eq!(reply.finish, Finish::ToolCalls);
        assert_eq!(
            reply.message["tool_calls"],
            json!([
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ])
        );
        assert_eq!(reply.message["content"], Value::Null);
    }

    #[test]
    fn a_stream_that_does_not_say_why_it_ended_was_cut() {
        let mut answer = Assembly::default();
        answer
            .take(&chunk(&json!({"content": "Ho"}), None))
            .unwrap();

        assert_eq!(answer.finish().unwrap_err().code, "cut");
    }

    #[test]
    fn a_malformed_piece_is_counted_and_nothing_but_them_is_no_answer() {
        let mut answer = Assembly::default();
        answer.take("{\"choices\":[{").unwrap();
        assert_eq!(answer.malformed, 1);
        assert_eq!(answer.finish().unwrap_err().code, "malformed");

        let mut answer = Assembly::default();
        answer.take("{").unwrap();
        answer
            .take(&chunk(&json!({"content": "Hola"}), Some("stop")))
            .unwrap();
        assert_eq!(answer.finish().unwrap().text, "Hola");
    }

    #[test]
    fn a_whole_answer_is_read_or_refused() {
        let body = json!({"model": "m", "choices": [{"message": {"role": "assistant",
            "content": [{"type": "text", "text": "Ho"}, {"type": "text", "text": "la"}]},
            "finish_reason": "length"}]});
        let reply = chat(body.to_string().as_bytes()).unwrap();

        assert_eq!(
            (reply.text.as_str(), reply.finish),
            ("Hola", Finish::Length)
        );
        assert_eq!(reply.usage, None);
        for bad in [
            "",
            "<html>",
            "{}",
            r#"{"choices": []}"#,
            r#"{"choices": [{"message": 1}]}"#,
        ] {
            assert_eq!(chat(bad.as_bytes()).unwrap_err().code, "malformed", "{bad}");
        }
    }

    #[test]
    fn vectors_come_in_the_order_of_the_texts_and_all_of_them() {
        let body = json!({"model": "e", "data": [
            {"index": 1, "embedding": [0.5, 1.0]}, {"index": 0, "embedding": [1.5, 2.0]},
        ], "usage": {"prompt_tokens": 4, "total_tokens": 4}});
        let (read, usage, _) = vectors(body.to_string().as_bytes(), 2).unwrap();

        assert_eq!(read, [vec![1.5, 2.0], vec![0.5, 1.0]]);
        assert_eq!(usage.unwrap().input, 4);
        assert!(vectors(body.to_string().as_bytes(), 3).is_err());
        assert!(vectors(body.to_string().as_bytes(), 1).is_err());
        let ragged = json!({"data": [{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}]});
        assert!(vectors(ragged.to_string().as_bytes(), 2).is_err());
    }
}
