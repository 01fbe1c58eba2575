//! What a browser gets for a link: no SDK, and no signature but the one in the URL.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use ports::blobs::Blob;

/// What a GET brought.
pub struct Answer {
    pub status: u16,
    headers: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self
            .headers
            .lines()
            .filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// The name that a browser would save the file under (RFC 8187).
    pub fn file_name(&self) -> String {
        let disposition = self
            .header("content-disposition")
            .expect("a content-disposition");
        let (_, encoded) = disposition
            .split_once("filename*=UTF-8''")
            .expect("an encoded file name");
        let mut octets = Vec::new();
        let mut rest = encoded.bytes();
        while let Some(octet) = rest.next() {
            let digits = [rest.clone().next(), rest.clone().nth(1)];
            match (octet, digits) {
                (b'%', [Some(high), Some(low)]) => {
                    let hex = String::from_utf8(vec![high, low]).unwrap();
                    octets.push(u8::from_str_radix(&hex, 16).unwrap());
                    rest.nth(1);
                }
                _ => octets.push(octet),
            }
        }
        String::from_utf8(octets).unwrap()
    }

    pub fn into_blob(self) -> Blob {
        Blob {
            content_type: self.header("content-type").unwrap_or_default().to_owned(),
            bytes: self.body,
        }
    }
}

/// A GET of an address on this machine.
pub fn get(url: &str) -> Answer {
    ask("GET", url, "", &[])
}

/// A PUT of octets with these headers, to an address on this machine.
pub fn put(url: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> Answer {
    let lines = headers
        .iter()
        .map(|(name, value)| [name, ": ", value, "\r\n"].concat());
    ask("PUT", url, &lines.collect::<String>(), body)
}

fn ask(method: &str, url: &str, more: &str, body: &[u8]) -> Answer {
    let (host, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("a local URL");
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "{method} /{path} HTTP/1.0\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).unwrap();
    let end = octets
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("the end of the head");
    let head = String::from_utf8(octets[..end].to_vec()).unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    Answer {
        status: status.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.to_owned(),
        body: octets[end + 4..].to_vec(),
    }
}
