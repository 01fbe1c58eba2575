//! A model that speaks when it is told to, and notes the moment: an endpoint in the manner of `OpenAI` on this
//! machine.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    time::Instant,
};

use fleet::{
    Outcome,
    failure::While,
    model::endpoint::{self, Events},
};
use serde_json::{Value, json};

/// Tokens of an answer.
const TOKENS: usize = 12;

/// The endpoint.
pub struct Provider {
    address: SocketAddr,
    go: Sender<()>,
    begun: Receiver<Instant>,
}

/// The provider's own side, which every connection shares.
struct Voice {
    go: Mutex<Receiver<()>>,
    begun: Mutex<Sender<Instant>>,
}

impl Provider {
    /// Starts it on a free port, for as long as the process lives.
    pub fn start() -> Outcome<Self> {
        let ((go, told), (begins, begun)) = (channel(), channel());
        let voice = Voice {
            go: Mutex::new(told),
            begun: Mutex::new(begins),
        };
        let address = endpoint::listen(move |_, stream| voice.answer(stream))?;
        Ok(Self { address, go, begun })
    }

    /// The list of endpoints with this one alone.
    pub fn targets(&self) -> Value {
        json!([{
            "name": "bench",
            "base_url": format!("http://{}/v1", self.address),
            "key": "",
            "model": "bench",
            "price": {"input_micros_per_million": 0, "output_micros_per_million": 0},
            "timeouts": {"first_token_ms": 30_000, "idle_ms": 10_000, "total_ms": 60_000},
        }])
    }

    /// Lets one answer begin, and gives the moment at which its first token was written.
    pub fn speak(&self) -> Outcome<Instant> {
        self.go.send(()).during("letting the model speak")?;
        self.begun.recv().during("hearing the model speak")
    }
}

impl Voice {
    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        let mut events = Events::begin(stream)?;
        events.say(piece(&json!({"role": "assistant", "content": ""}), None))?;
        let told = self
            .go
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        told.map_err(io::Error::other)?;
        let begun = Instant::now();
        events.say(piece(&json!({"content": "word "}), None))?;
        let sender = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        sender.send(begun).map_err(io::Error::other)?;
        drop(sender);
        for _ in 1..TOKENS {
            events.say(piece(&json!({"content": "word "}), None))?;
        }
        events.say(piece(&json!({}), Some("stop")))?;
        let usage =
            json!({"prompt_tokens": 4, "completion_tokens": TOKENS, "total_tokens": 4 + TOKENS});
        events.say(json!({"choices": [], "usage": usage}))?;
        events.end()
    }
}

fn piece(delta: &Value, finish: Option<&str>) -> String {
    json!({
        "id": "bench",
        "object": "chat.completion.chunk",
        "model": "bench",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
    .to_string()
}
