//! The side of HTTP/1.1 that a model's endpoint needs on this machine: questions with a body, answers whole or
//! piece by piece as event streams.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use serde_json::Value;

use crate::failure::{Outcome, While};

/// The largest question that is read, in octets; what is longer ends the connection.
const LARGEST: usize = 4 << 20;

/// A question as it arrived.
pub struct Question {
    /// The path, with its query.
    pub path: String,
    /// The body; null if it is no JSON.
    pub body: Value,
}

/// Answers questions on a free port of this machine, for as long as the process lives. Each connection has a
/// thread of its own, and ends with the first error of its answers.
///
/// # Errors
/// The machine has no port left.
pub fn listen(
    answer: impl Fn(&Question, &TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> Outcome<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).during("opening a port")?;
    let address = listener.local_addr().during("reading a port")?;
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // A client that goes away is no affair of the others.
            thread::spawn(move || serve(&stream, &*answer));
        }
    });
    Ok(address)
}

fn serve(
    stream: &TcpStream,
    answer: &impl Fn(&Question, &TcpStream) -> io::Result<()>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(question) = read(&mut reader)? {
        answer(&question, stream)?;
    }
    Ok(())
}

/// Reads a question to its end; nothing when there is none any more.
fn read(reader: &mut impl BufRead) -> io::Result<Option<Question>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let mut length = 0_usize;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    if length > LARGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Some(Question { path, body }))
}

/// A whole answer.
///
/// # Errors
/// The connection is gone.
pub fn whole(mut stream: &TcpStream, status: u16, body: &Value) -> io::Result<()> {
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} \r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// An answer whose events are still to come.
pub struct Events<'a>(&'a TcpStream);

impl<'a> Events<'a> {
    /// Says that they come.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn begin(mut stream: &'a TcpStream) -> io::Result<Self> {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
        Ok(Self(stream))
    }

    /// One event, as one chunk.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn say(&mut self, data: impl std::fmt::Display) -> io::Result<()> {
        let event = format!("data: {data}\n\n");
        self.0
            .write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())
    }

    /// The end of the stream, as `OpenAI` marks it.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn end(mut self) -> io::Result<()> {
        self.say("[DONE]")?;
        self.0.write_all(b"0\r\n\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_carries_one_question_after_the_other() {
        let mut sent = "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 7\r\n\r\n{\"a\":1}GET /v1/models HTTP/1.1\r\n\r\n"
            .as_bytes();

        let first = read(&mut sent).unwrap().unwrap();
        let second = read(&mut sent).unwrap().unwrap();

        assert_eq!(
            (first.path.as_str(), &first.body["a"]),
            ("/v1/chat/completions", &1.into())
        );
        assert_eq!(
            (second.path.as_str(), second.body),
            ("/v1/models", Value::Null)
        );
        assert!(read(&mut sent).unwrap().is_none());
    }

    #[test]
    fn half_a_question_is_none() {
        for half in [
            "POST / HTTP/1.1\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n{",
        ] {
            assert!(read(&mut half.as_bytes()).is_err(), "{half}");
        }
    }
}
