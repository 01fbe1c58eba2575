//! The WebSocket API: a function pushes to a connection with its own rights. The client here is the few bytes of
//! RFC 6455 that the test needs.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::cloud::Contract;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const MASK: [u8; 4] = [1, 2, 3, 4];

/// An open connection.
struct Socket(TcpStream);

impl Socket {
    fn open(address: &str) -> Self {
        let (host, path) = address
            .strip_prefix("ws://")
            .unwrap()
            .split_once('/')
            .unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13";
        write!(
            stream,
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        Self(stream)
    }

    /// Sends a short text in one masked frame, as clients have to (section 5.3).
    fn send(&mut self, text: &str) {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 126);
        let masked = text
            .bytes()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask);
        let frame: Vec<u8> = [0x81, 0x80 | length]
            .into_iter()
            .chain(MASK)
            .chain(masked)
            .collect();
        self.0.write_all(&frame).unwrap();
    }

    fn receive(&mut self) -> String {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 0x81, "a whole text frame");
        let mut text = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }
}

#[tokio::test]
async fn a_function_pushes_to_the_connection_that_spoke_to_it() {
    let contract = Contract::start().await;
    let mut socket = Socket::open(contract.outputs.ws_url.as_ref().unwrap());

    socket.send(r#"{"action":"say","text":"hello"}"#);
    let pushed = tokio::task::spawn_blocking(move || socket.receive())
        .await
        .unwrap();

    assert_eq!(pushed, r#"{"action":"say","text":"hello"}"#);
}
