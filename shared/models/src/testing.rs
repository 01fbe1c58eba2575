//! An endpoint that misbehaves on demand, for tests: the name of the model picks the fault.
//!
//! It speaks `OpenAI`'s API over real sockets, so that a reset is a reset and silence is silence. The
//! sixteen faults are those of the Failover Bench, written anew here; see [`Fault`].

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::target::{self, Target};

/// Tokens of an answer that nothing cuts short.
pub const TOKENS: usize = 60;

/// Tokens that arrive before a stream is cut.
pub const BEFORE_CUT: usize = 40;

/// Tokens that arrive before a stream stalls.
pub const BEFORE_STALL: usize = 20;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $model:literal;)*) => {
        /// What goes wrong when this model is asked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {$($(#[$doc])* $name,)*}

        impl Fault {
            /// All of them: the sixteen, then ours.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name of the model that has it.
            pub const fn model(self) -> &'static str {
                match self {$(Self::$name => $model,)*}
            }
        }
    };
}

faults! {
    /// 429 with `Retry-After: 1` once, then an answer.
    RateLimitedOnce = "rate-limited-once";
    /// 429 for ever, with `Retry-After: 30`.
    RateLimited = "rate-limited";
    /// 500 once, then an answer.
    ErrorOnce = "error-once";
    /// 503 for ever.
    Unavailable = "unavailable";
    /// The connection is reset once the question is sent.
    Reset = "reset";
    /// The question is read and nothing is ever said.
    Silent = "silent";
    /// The answer's head comes at once, its first token never in time.
    SlowFirstToken = "slow-first-token";
    /// The connection closes in the middle of the answer.
    Cut = "cut";
    /// The answer stops in its middle, and the connection stays open.
    Stall = "stall";
    /// One piece is no JSON; all others arrive.
    MalformedChunk = "malformed-chunk";
    /// The answer is complete but for its `[DONE]`.
    NoDone = "no-done";
    /// The question is too long for this model.
    ContextLength = "context-length";
    /// The question is refused for its content.
    ContentFilter = "content-filter";
    /// A conversation that ends with the assistant's words is refused.
    PrefillRefused = "prefill-refused";
    /// Every second question fails with 500, the first one too.
    Flapping = "flapping";
    /// The sum of tokens so far comes with every piece, cached ones among them.
    Accounting = "accounting";
    /// Like `cut`, but the end is clean: only the reason is missing.
    CutPolitely = "cut-politely";
    /// The answer is given without a word on tokens.
    NoUsage = "no-usage";
    /// The quota is spent: a 429 that no patience cures.
    QuotaSpent = "quota-spent";
    /// The key is refused.
    KeyRefused = "key-refused";
    /// Every piece is no JSON.
    AllMalformed = "all-malformed";
    /// An error comes inside a stream that began with 200, before the first token.
    ErrorInStream = "error-in-stream";
    /// A head that says 200, and a page of HTML.
    Html = "html";
    /// The answer is cut for its content after some tokens.
    FilteredLate = "filtered-late";
}

/// A question as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The path.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The body.
    pub body: Value,
}

impl Received {
    /// The model that was asked.
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    counts: BTreeMap<String, usize>,
    scripts: BTreeMap<String, VecDeque<(String, String)>>,
    pace: Duration,
}

/// An endpoint on this machine, until it is dropped.
pub struct Provider {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    over: Arc<AtomicBool>,
}

impl Provider {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// If the machine has no port left.
    pub fn start() -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on this machine");
        let address = listener.local_addr().expect("the address of the port");
        let provider = Self {
            address,
            state: Arc::default(),
            over: Arc::default(),
        };
        let (state, over) = (Arc::clone(&provider.state), Arc::clone(&provider.over));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let session = Session {
                    state: Arc::clone(&state),
                    over: Arc::clone(&over),
                };
                let small = thread::Builder::new().stack_size(256 * 1024);
                // A machine without threads left drops the connection, which a client sees.
                drop(small.spawn(move || session.serve(stream)));
            }
        });
        provider
    }

    /// Where its API begins.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// A target here with this model, by which it is named too, at a micro-unit a token for each side, and
    /// with time-outs short enough for a test.
    ///
    /// # Panics
    /// If the name cannot be one.
    pub fn target(&self, model: &str) -> Arc<Target> {
        self.target_with(model, &json!({}))
    }

    /// The same with some fields of the list's entry replaced.
    ///
    /// # Panics
    /// If that is no valid entry.
    pub fn target_with(&self, model: &str, fields: &Value) -> Arc<Target> {
        let mut entry = json!({
            "name": model, "base_url": self.base_url(), "key": "sk-test", "model": model,
            "price": {"input_micros_per_million": 1_000_000, "output_micros_per_million": 1_000_000},
            "timeouts": {"first_token_ms": 400, "idle_ms": 300, "total_ms": 3000},
        });
        if let (Some(entry), Some(fields)) = (entry.as_object_mut(), fields.as_object()) {
            entry.extend(fields.clone());
        }
        let mut targets = target::parse(&json!([entry]).to_string()).expect("a valid target");
        targets.remove(0)
    }

    /// Lets a model say these texts, one a question, each with why it ends (`stop`, `length`); the last one
    /// again and again.
    pub fn says(&self, model: &str, texts: &[(&str, &str)]) {
        let texts = texts
            .iter()
            .map(|(text, finish)| ((*text).to_owned(), (*finish).to_owned()))
            .collect();
        self.lock().scripts.insert(model.to_owned(), texts);
    }

    /// Waits that long before each token of a stream.
    pub fn pace(&self, pace: Duration) {
        self.lock().pace = pace;
    }

    /// All questions so far.
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    /// How often a model was asked.
    pub fn asked(&self, model: &str) -> usize {
        self.lock().counts.get(model).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect(self.address));
    }
}

/// What the moderation model of the tests has something against.
pub const UNFIT_TEXT: &str = "moderate me";

/// The text of that many tokens.
pub fn text_of(tokens: usize) -> String {
    (0..tokens).map(token).collect()
}

fn token(index: usize) -> String {
    format!("w{index} ")
}

struct Session {
    state: Arc<Mutex<State>>,
    over: Arc<AtomicBool>,
}

/// How a connection goes on.
enum Then {
    Next,
    Close,
}

type Io<T> = std::io::Result<T>;

impl Session {
    fn serve(&self, stream: TcpStream) {
        drop(stream.set_nodelay(true));
        let Ok(clone) = stream.try_clone() else {
            return;
        };
        let mut reader = BufReader::with_capacity(1, clone);
        let mut writer = stream;
        while let Ok(Then::Next) = self.answer_one(&mut reader, &mut writer) {}
    }

    fn answer_one(&self, reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> Io<Then> {
        let Some(head) = Head::read(reader)? else {
            return Ok(Then::Close);
        };
        // Whoever resets leaves an octet unread: closing then is no polite end.
        let mut octets = vec![0; head.length.saturating_sub(1)];
        reader.read_exact(&mut octets)?;
        let resets = String::from_utf8_lossy(&octets)
            .contains(&format!("\"model\":\"{}\"", Fault::Reset.model()));
        if resets {
            let model = Fault::Reset.model();
            self.note(&head, json!({"model": model}));
            return Ok(Then::Close);
        }
        let mut last = vec![0; head.length.min(1)];
        reader.read_exact(&mut last)?;
        octets.extend_from_slice(&last);
        let body: Value = serde_json::from_slice(&octets)?;
        let turn = self.note(&head, body.clone());
        if head.path.ends_with("/embeddings") {
            return embed(writer, &body);
        }
        if head.path.ends_with("/moderations") {
            return moderate(writer, &body);
        }
        self.answer(writer, &body, turn)
    }

    /// Remembers a question and gives how many there were for that model before.
    fn note(&self, head: &Head, body: Value) -> usize {
        let mut state = self.lock();
        let received = Received {
            path: head.path.clone(),
            authorization: head.authorization.clone(),
            body,
        };
        let count = state.counts.entry(received.model().to_owned()).or_default();
        *count += 1;
        let before = *count - 1;
        state.received.push(received);
        before
    }

    fn answer(&self, writer: &mut TcpStream, body: &Value, turn: usize) -> Io<Then> {
        let model = body["model"].as_str().unwrap_or_default();
        let fault = Fault::ALL.iter().find(|fault| fault.model() == model);
        let Some(fault) = fault else {
            return self.talk(writer, body, Fault::NoDone, false);
        };
        match fault {
            Fault::RateLimitedOnce if turn == 0 => {
                refuse(writer, 429, "rate_limit", "Retry-After: 1\r\n")
            }
            Fault::RateLimited => refuse(writer, 429, "rate_limit", "Retry-After: 30\r\n"),
            Fault::QuotaSpent => refuse(writer, 429, "insufficient_quota", ""),
            Fault::KeyRefused => refuse(writer, 401, "invalid_api_key", ""),
            Fault::ErrorOnce if turn == 0 => refuse(writer, 500, "server_error", ""),
            Fault::Flapping if turn.is_multiple_of(2) => refuse(writer, 500, "server_error", ""),
            Fault::Unavailable => refuse(writer, 503, "overloaded", ""),
            Fault::ContextLength => refuse(writer, 400, "context_length_exceeded", ""),
            Fault::ContentFilter => refuse(writer, 400, "content_filter", ""),
            Fault::PrefillRefused if ends_with_assistant(body) => {
                refuse(writer, 400, "prefill_not_supported", "")
            }
            Fault::Silent => self.hold(writer),
            Fault::Html => {
                let page = "<html>Welcome</html>";
                write!(
                    writer,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
                    page.len()
                )?;
                Ok(Then::Next)
            }
            fault => self.talk(writer, body, *fault, true),
        }
    }

    /// Answers, whole or in pieces, with the fault that an answer can have.
    fn talk(&self, writer: &mut TcpStream, body: &Value, fault: Fault, faulty: bool) -> Io<Then> {
        let script = self.next_line(body["model"].as_str().unwrap_or_default());
        let most = body["max_tokens"]
            .as_u64()
            .or_else(|| body["max_completion_tokens"].as_u64())
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(TOKENS);
        let (tokens, finish): (Vec<String>, String) = if let Some((text, finish)) = script {
            let half = text.chars().count() / 2;
            let first: String = text.chars().take(half).collect();
            let rest = text[first.len()..].to_owned();
            (vec![first, rest], finish)
        } else {
            let length = TOKENS.min(most);
            let finish = if most < TOKENS { "length" } else { "stop" };
            ((0..length).map(token).collect(), finish.to_owned())
        };
        let answer = Answer {
            body,
            tokens,
            finish,
            fault: faulty.then_some(fault),
        };
        if body["stream"] == true {
            self.stream(writer, &answer)
        } else {
            self.whole(writer, &answer)
        }
    }

    fn whole(&self, writer: &mut TcpStream, answer: &Answer<'_>) -> Io<Then> {
        if matches!(answer.fault, Some(Fault::SlowFirstToken)) {
            return self.hold(writer);
        }
        let text = answer.whole().to_string();
        let half = &text[..text.len() / 2];
        let sent = match answer.fault {
            Some(Fault::Cut | Fault::CutPolitely | Fault::Stall) => half,
            Some(Fault::AllMalformed | Fault::MalformedChunk) => "{\"choices\":[{",
            _ => &text,
        };
        let announced = match answer.fault {
            Some(Fault::AllMalformed | Fault::MalformedChunk) => sent.len(),
            _ => text.len(),
        };
        write!(
            writer,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {announced}\r\n\r\n{sent}"
        )?;
        match answer.fault {
            Some(Fault::Cut | Fault::CutPolitely) => Ok(Then::Close),
            Some(Fault::Stall) => self.hold(writer),
            _ => Ok(Then::Next),
        }
    }

    fn stream(&self, writer: &mut TcpStream, answer: &Answer<'_>) -> Io<Then> {
        let pace = self.lock().pace;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        writer.write_all(head.as_bytes())?;
        event(
            writer,
            &answer.piece(&json!({"role": "assistant", "content": ""}), None, 0),
        )?;
        if answer.fault == Some(Fault::SlowFirstToken) {
            return self.hold(writer);
        }
        if answer.fault == Some(Fault::ErrorInStream) {
            event(
                writer,
                r#"{"error": {"message": "overloaded", "code": 503}}"#,
            )?;
            return end(writer);
        }
        for (index, token) in answer.tokens.iter().enumerate() {
            if !pace.is_zero() {
                thread::sleep(pace);
            }
            match answer.fault {
                Some(Fault::Cut) if index == BEFORE_CUT => return Ok(Then::Close),
                Some(Fault::CutPolitely) if index == BEFORE_CUT => return end(writer),
                Some(Fault::Stall) if index == BEFORE_STALL => return self.hold(writer),
                Some(Fault::MalformedChunk) if index == 10 => {
                    event(writer, "{\"choices\":[{\"del")?;
                }
                Some(Fault::FilteredLate) if index == 10 => {
                    event(
                        writer,
                        &answer.piece(&json!({}), Some("content_filter"), index),
                    )?;
                    event(writer, "[DONE]")?;
                    return end(writer);
                }
                _ => {}
            }
            if answer.fault == Some(Fault::AllMalformed) {
                event(writer, "{\"choices\":[{\"del")?;
            } else {
                event(
                    writer,
                    &answer.piece(&json!({"content": token}), None, index + 1),
                )?;
            }
        }
        if answer.fault == Some(Fault::AllMalformed) {
            return end(writer);
        }
        event(
            writer,
            &answer.piece(&json!({}), Some(&answer.finish), answer.tokens.len()),
        )?;
        if answer.tells_usage() && answer.body["stream_options"]["include_usage"] == true {
            let usage = answer.usage(answer.tokens.len());
            event(writer, &json!({"choices": [], "usage": usage}).to_string())?;
        }
        if answer.fault != Some(Fault::NoDone) {
            event(writer, "[DONE]")?;
        }
        end(writer)
    }

    fn next_line(&self, model: &str) -> Option<(String, String)> {
        let mut state = self.lock();
        let script = state.scripts.get_mut(model)?;
        if script.len() > 1 {
            script.pop_front()
        } else {
            script.front().cloned()
        }
    }

    /// Says nothing more until the client has gone.
    fn hold(&self, writer: &TcpStream) -> Io<Then> {
        writer.set_read_timeout(Some(Duration::from_millis(20)))?;
        let mut octet = [0];
        while !self.over.load(Ordering::Relaxed) {
            match writer.peek(&mut octet) {
                Ok(0) => break,
                Ok(_) => thread::sleep(Duration::from_millis(20)),
                Err(error) if is_patience(&error) => {}
                Err(_) => break,
            }
        }
        Ok(Then::Close)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_patience(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
    )
}

struct Answer<'a> {
    body: &'a Value,
    tokens: Vec<String>,
    finish: String,
    fault: Option<Fault>,
}

impl Answer<'_> {
    fn tells_usage(&self) -> bool {
        self.fault != Some(Fault::NoUsage)
    }

    /// A token for each word of the question, half of them cached where that is told.
    fn usage(&self, completion: usize) -> Value {
        let words = self.body["messages"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|message| message["content"].as_str())
            .map(|text| text.split_whitespace().count())
            .sum::<usize>();
        let mut usage = json!({
            "prompt_tokens": words, "completion_tokens": completion, "total_tokens": words + completion,
        });
        if self.fault == Some(Fault::Accounting) {
            usage["prompt_tokens_details"] = json!({"cached_tokens": words / 2});
        }
        usage
    }

    fn piece(&self, delta: &Value, finish: Option<&str>, so_far: usize) -> String {
        let mut piece = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.body["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        });
        if self.fault == Some(Fault::Accounting) {
            piece["usage"] = self.usage(so_far);
        }
        piece.to_string()
    }

    fn whole(&self) -> Value {
        let finish = match self.fault {
            Some(Fault::FilteredLate) => "content_filter",
            _ => &self.finish,
        };
        let mut whole = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": self.body["model"],
            "choices": [{"index": 0, "finish_reason": finish,
                "message": {"role": "assistant", "content": self.tokens.concat()}}],
        });
        if self.tells_usage() {
            whole["usage"] = self.usage(self.tokens.len());
        }
        whole
    }
}

struct Head {
    path: String,
    authorization: Option<String>,
    length: usize,
}

impl Head {
    fn read(reader: &mut BufReader<TcpStream>) -> Io<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let path = line
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let mut head = Self {
            path,
            authorization: None,
            length: 0,
        };
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else {
                return Ok(Some(head));
            };
            match name.to_ascii_lowercase().as_str() {
                "authorization" => head.authorization = Some(value.trim().to_owned()),
                "content-length" => head.length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

fn ends_with_assistant(body: &Value) -> bool {
    let last = body["messages"].as_array().and_then(|all| all.last());
    last.is_some_and(|message| message["role"] == "assistant")
}

fn refuse(writer: &mut TcpStream, status: u16, code: &str, header: &str) -> Io<Then> {
    let body = json!({"error": {"message": code, "type": "fault", "code": code}}).to_string();
    write!(
        writer,
        "HTTP/1.1 {status} Fault\r\nContent-Type: application/json\r\n{header}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(Then::Next)
}

/// Has something against texts that say [`UNFIT_TEXT`].
fn moderate(writer: &mut TcpStream, body: &Value) -> Io<Then> {
    let flagged = body["input"].to_string().contains(UNFIT_TEXT);
    let result = json!({"flagged": flagged, "categories": {"violence": flagged, "hate": false}});
    send(
        writer,
        &json!({"model": body["model"], "results": [result]}),
    )
}

fn embed(writer: &mut TcpStream, body: &Value) -> Io<Then> {
    let texts: Vec<&str> = body["input"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({"index": index, "embedding": [text.len(), 1.0, 0.5]}))
        .collect();
    let tokens: usize = texts
        .iter()
        .map(|text| text.split_whitespace().count())
        .sum();
    let answer = json!({"object": "list", "model": body["model"], "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens}});
    send(writer, &answer)
}

fn send(writer: &mut TcpStream, answer: &Value) -> Io<Then> {
    let answer = answer.to_string();
    write!(
        writer,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    )?;
    Ok(Then::Next)
}

/// One event as one chunk.
fn event(writer: &mut TcpStream, data: &str) -> Io<()> {
    let event = format!("data: {data}\n\n");
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    writer.write_all(chunk.as_bytes())
}

fn end(writer: &mut TcpStream) -> Io<Then> {
    writer.write_all(b"0\r\n\r\n")?;
    Ok(Then::Next)
}
