//! What came back, and what it cost.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::Notice;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// What was said; empty if the model only called tools.
    pub text: String,
    /// The text as a value that fits the request's schema, if it had one.
    pub data: Option<Value>,
    /// The message as the endpoint wrote it, with its tool calls.
    pub message: Value,
    /// Why it ended.
    pub finish: Finish,
    /// The model, as the endpoint calls it.
    pub model: String,
    /// The target that answered.
    pub target: String,
    /// Tokens of all attempts that are paid for.
    pub usage: Usage,
    /// What all attempts cost together.
    pub cost: Cost,
    /// What was tried, in order.
    pub attempts: Vec<Attempt>,
    /// Whether it was answered from memory.
    pub cached: bool,
    /// Budgets that this call brought near their end or to it, each told once.
    pub notices: Vec<Notice>,
    /// Whether the cost is written down. If not, the table did not answer, and what was set aside is
    /// charged in its place once its time is up.
    pub settled: bool,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was complete.
    Stop,
    /// The most tokens were reached.
    Length,
    /// The model waits for tools.
    ToolCalls,
    /// The endpoint cut it for its content.
    ContentFilter,
    /// Whoever listened had enough.
    Cancelled,
}

impl Finish {
    pub(crate) fn of(written: &str) -> Self {
        match written {
            "length" | "max_tokens" => Self::Length,
            "tool_calls" | "function_call" => Self::ToolCalls,
            "content_filter" => Self::ContentFilter,
            _ => Self::Stop,
        }
    }

    /// As `OpenAI`'s API writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop | Self::Cancelled => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Of the question, cached ones included.
    pub input: u64,
    /// Of the answer, reasoning included.
    pub output: u64,
    /// Of the question, still known to the endpoint.
    pub cached: u64,
    /// Of the answer, thought and not said.
    pub reasoning: u64,
    /// Whether any of it is a bound of ours, because the endpoint did not say.
    pub estimated: bool,
    /// As the endpoint told it the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Value>,
}

impl Usage {
    /// Reads a `usage` object; nothing if it does not tell both sides.
    pub(crate) fn of(raw: &Value) -> Option<Self> {
        let count = |pointer: &str| raw.pointer(pointer).and_then(Value::as_u64);
        let input = count("/prompt_tokens").or_else(|| count("/input_tokens"))?;
        let output = count("/completion_tokens").or_else(|| count("/output_tokens"));
        let total = count("/total_tokens").map(|total| total.saturating_sub(input));
        Some(Self {
            input,
            output: output.or(total)?,
            cached: count("/prompt_tokens_details/cached_tokens")
                .or_else(|| count("/input_tokens_details/cached_tokens"))
                .unwrap_or(0)
                .min(input),
            reasoning: count("/completion_tokens_details/reasoning_tokens").unwrap_or(0),
            estimated: false,
            raw: Some(raw.clone()),
        })
    }

    /// A bound of ours.
    pub(crate) const fn bound(input: u64, output: u64) -> Self {
        Self {
            input,
            output,
            cached: 0,
            reasoning: 0,
            estimated: true,
            raw: None,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cached = self.cached.saturating_add(other.cached);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.estimated |= other.estimated;
        if other.raw.is_some() {
            self.raw.clone_from(&other.raw);
        }
    }
}

/// Money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Millionths of the currency's unit.
    pub micros: i64,
    /// ISO 4217.
    pub currency: String,
}

/// One question to one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which target.
    pub target: String,
    /// Its model.
    pub model: String,
    /// `ok`, or a stable word for what went wrong.
    pub outcome: String,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// The tokens that are paid for; nothing if certainly none are.
    pub usage: Option<Usage>,
    /// The price that they were multiplied with, in micro-units for a million tokens.
    pub price: crate::price::Price,
    /// What it cost.
    pub micros: i64,
}

/// A piece of an answer on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    /// The text that is new; empty for a piece of a tool call.
    pub text: String,
    /// The `delta` as the endpoint wrote it.
    pub raw: Value,
}

/// Texts as vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// One for each text, in the texts' order, all of one length.
    pub vectors: Vec<Vec<f32>>,
    /// The model, as the endpoint calls it.
    pub model: String,
    /// The target that answered.
    pub target: String,
    /// Tokens.
    pub usage: Usage,
    /// What it cost.
    pub cost: Cost,
    /// What was tried, in order.
    pub attempts: Vec<Attempt>,
    /// Budgets that this call brought near their end or to it.
    pub notices: Vec<Notice>,
    /// Whether the cost is written down; see [`Completion::settled`].
    pub settled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn usage_is_read_as_endpoints_write_it() {
        let raw = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 2}});
        let usage = Usage::of(&raw).unwrap();

        assert_eq!(
            (usage.input, usage.output, usage.cached, usage.reasoning),
            (10, 5, 4, 2)
        );
        assert_eq!(usage.raw, Some(raw));
        assert!(!usage.estimated);
    }

    #[test]
    fn usage_that_says_too_little_is_no_usage() {
        for raw in [
            json!(null),
            json!({}),
            json!({"prompt_tokens": 1}),
            json!({"completion_tokens": 1}),
        ] {
            assert_eq!(Usage::of(&raw), None, "{raw}");
        }
        assert_eq!(
            Usage::of(&json!({"prompt_tokens": 10, "total_tokens": 15}))
                .unwrap()
                .output,
            5
        );
    }
}
