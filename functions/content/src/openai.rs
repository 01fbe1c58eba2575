//! `OpenAI`'s chat completions as this API speaks them: what goes out, word for word as its clients read
//! it.
//!
//! An HTTP API of API Gateway cannot send an answer piece by piece, so a request with `stream` gets the
//! whole event stream at once: clients work, and see no text before the last of it is there. Whoever wants
//! tokens as they come uses `POST /v1/content/generate` and the WebSocket.

use jiff::Timestamp;
use models::Completion;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Tokens of an answer where a client does not say.
pub const TOKENS: u32 = 2048;

/// The id of an answer.
pub fn id_of(seed: Uuid) -> String {
    format!("chatcmpl-{}", seed.simple())
}

/// An answer.
pub fn completion(id: &str, created: Timestamp, answer: &Completion) -> Value {
    let mut message = message(answer);
    // The schema of the real API demands them, and strict clients look.
    for (name, default) in [("refusal", Value::Null), ("annotations", json!([]))] {
        message.entry(name).or_insert(default);
    }
    json!({
        "id": id,
        "object": "chat.completion",
        "created": created.as_second(),
        "model": answer.model,
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": answer.finish.name(),
        }],
        "usage": usage(answer),
        "service_tier": "default",
        "system_fingerprint": null,
    })
}

fn message(answer: &Completion) -> Map<String, Value> {
    let mut message = match &answer.message {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    message.insert("role".to_owned(), json!("assistant"));
    let silent = answer.text.is_empty() && message.contains_key("tool_calls");
    let content = if silent {
        Value::Null
    } else {
        json!(answer.text)
    };
    message.insert("content".to_owned(), content);
    message
}

fn usage(answer: &Completion) -> Value {
    let usage = &answer.usage;
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

/// The same answer as an event stream, whole.
pub fn event_stream(
    id: &str,
    created: Timestamp,
    answer: &Completion,
    include_usage: bool,
) -> String {
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": created.as_second(),
            "model": answer.model,
            "system_fingerprint": null,
            "choices": choices,
        });
        if include_usage {
            chunk["usage"] = usage.unwrap_or(Value::Null);
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, finish: Option<&str>| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let mut stream = chunk(
        choice(json!({"role": "assistant", "content": ""}), None),
        None,
    );
    if !answer.text.is_empty() {
        stream += &chunk(choice(json!({"content": answer.text}), None), None);
    }
    if let Some(calls) = tool_calls(&answer.message) {
        stream += &chunk(choice(json!({"tool_calls": calls}), None), None);
    }
    stream += &chunk(choice(json!({}), Some(answer.finish.name())), None);
    if include_usage {
        stream += &chunk(json!([]), Some(usage(answer)));
    }
    stream + "data: [DONE]\n\n"
}

/// In a stream each call says which one it is.
fn tool_calls(message: &Value) -> Option<Vec<Value>> {
    let calls = message["tool_calls"].as_array()?;
    let numbered = calls.iter().enumerate().map(|(index, call)| {
        let mut call = call.clone();
        call["index"] = json!(index);
        call
    });
    Some(numbered.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use models::{Cost, Finish, Usage};

    fn answer(message: Value) -> Completion {
        Completion {
            text: message["content"].as_str().unwrap_or_default().to_owned(),
            data: None,
            message,
            finish: Finish::Stop,
            model: "small-1".into(),
            target: "main".into(),
            usage: Usage {
                input: 3,
                output: 2,
                ..Usage::default()
            },
            cost: Cost {
                micros: 1,
                currency: "USD".into(),
            },
            attempts: Vec::new(),
            cached: false,
            notices: Vec::new(),
            settled: true,
        }
    }

    fn events(stream: &str) -> Vec<Value> {
        let data = stream
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    #[test]
    fn a_stream_put_together_is_the_answer() {
        let answer = answer(json!({"role": "assistant", "content": "Hola\n\ndata: x"}));

        let stream = event_stream("chatcmpl-1", Timestamp::UNIX_EPOCH, &answer, true);

        let events = events(&stream);
        let text: String = events
            .iter()
            .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
            .collect();
        assert_eq!(text, answer.text);
        assert_eq!(events.last().unwrap()["usage"]["total_tokens"], 5);
        assert_eq!(events.last().unwrap()["choices"], json!([]));
        assert!(stream.ends_with("data: [DONE]\n\n"));
        assert_eq!(
            events
                .iter()
                .filter(|e| e["choices"][0]["finish_reason"] == "stop")
                .count(),
            1
        );
    }

    #[test]
    fn tools_that_are_called_are_numbered_in_a_stream_only() {
        let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let answer = answer(json!({"role": "assistant", "content": null, "tool_calls": [call]}));

        let whole = completion("chatcmpl-1", Timestamp::UNIX_EPOCH, &answer);
        let stream = events(&event_stream(
            "chatcmpl-1",
            Timestamp::UNIX_EPOCH,
            &answer,
            false,
        ));

        let message = &whole["choices"][0]["message"];
        assert_eq!(
            (&message["content"], &message["tool_calls"][0]),
            (&Value::Null, &call)
        );
        assert_eq!(
            stream[1]["choices"][0]["delta"]["tool_calls"][0]["index"],
            0
        );
        assert!(stream.iter().all(|event| event.get("usage").is_none()));
    }
}
