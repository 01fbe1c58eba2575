//! A model that speaks when it is told to, and notes the moment: an endpoint in the manner of `OpenAI` on this
//! machine.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Instant,
};

use fleet::{Outcome, failure::While};
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
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).during("opening a port")?;
        let address = listener.local_addr().during("reading a port")?;
        let ((go, told), (begins, begun)) = (channel(), channel());
        let voice = Arc::new(Voice {
            go: Mutex::new(told),
            begun: Mutex::new(begins),
        });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let voice = Arc::clone(&voice);
                // A client that goes away is no affair of the others.
                thread::spawn(move || voice.serve(&stream));
            }
        });
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
    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while read_request(&mut reader)? {
            self.answer(stream)?;
        }
        Ok(())
    }

    fn answer(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
        say(
            stream,
            &piece(&json!({"role": "assistant", "content": ""}), None),
        )?;
        let told = self
            .go
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        told.map_err(std::io::Error::other)?;
        let begun = Instant::now();
        say(stream, &piece(&json!({"content": "word "}), None))?;
        let sender = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        sender.send(begun).map_err(std::io::Error::other)?;
        drop(sender);
        for _ in 1..TOKENS {
            say(stream, &piece(&json!({"content": "word "}), None))?;
        }
        say(stream, &piece(&json!({}), Some("stop")))?;
        let usage =
            json!({"prompt_tokens": 4, "completion_tokens": TOKENS, "total_tokens": 4 + TOKENS});
        say(stream, &json!({"choices": [], "usage": usage}).to_string())?;
        say(stream, "[DONE]")?;
        stream.write_all(b"0\r\n\r\n")
    }
}

/// Reads a request to its end; false when there is none any more.
fn read_request(reader: &mut impl BufRead) -> std::io::Result<bool> {
    let mut length = 0_usize;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    Ok(true)
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

/// One event, as one chunk.
fn say(mut stream: &TcpStream, data: &str) -> std::io::Result<()> {
    let event = format!("data: {data}\n\n");
    stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())
}
