//! The other side of a function: a Lambda Runtime API that hands out one event after another and takes
//! the time, as close to the wire as a standard library gets.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use fleet::{Failure, Outcome, failure::While};

use crate::process;

/// How long a function may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A started function that has asked for its first event.
pub struct Function {
    child: Child,
    connection: BufReader<TcpStream>,
    /// From the process's start to its first `/next`.
    pub cold: Duration,
    /// Resident memory when it asked, in octets.
    pub memory: u64,
}

impl Function {
    /// Starts a binary as Lambda does, with nothing but the variables it is given.
    pub fn start(binary: &Path, variables: &[(&str, &str)]) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").during("opening a port")?;
        let address = listener.local_addr().during("reading a port")?;
        let mut command = Command::new(binary);
        command
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.env("AWS_LAMBDA_RUNTIME_API", address.to_string());
        command.envs(LAMBDA).envs(variables.iter().copied());
        let arrived = wake(address);
        let started = Instant::now();
        let child = command.spawn().during("starting a function")?;
        let (stream, _) = listener.accept().during("waiting for a function")?;
        drop(arrived);
        stream
            .set_read_timeout(Some(PATIENCE))
            .during("setting a time-out")?;
        stream.set_nodelay(true).during("setting a socket option")?;
        let mut function = Self {
            child,
            connection: BufReader::new(stream),
            cold: Duration::ZERO,
            memory: 0,
        };
        function.request().map_err(|failure| {
            Failure::new(format!("{} does not start: {failure}", binary.display()))
                .remedy("the variables that it demands stand in functions.rs")
        })?;
        function.cold = started.elapsed();
        function.memory = process::resident(function.child.id()).unwrap_or_default();
        Ok(function)
    }

    /// Hands out an event and waits for its answer.
    pub fn invoke(&mut self, event: &str) -> Result<Duration, Failure> {
        let head = format!(
            "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
             lambda-runtime-deadline-ms: 4102444800000\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-west-1:123456789012:function:bench\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            event.len()
        );
        let started = Instant::now();
        self.send(&format!("{head}{event}"))?;
        self.request()?;
        let taken = started.elapsed();
        self.send("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
        self.request()?;
        Ok(taken)
    }

    /// The most resident memory that it ever had, in octets.
    pub fn peak(&self) -> u64 {
        process::peak(self.child.id()).unwrap_or_default()
    }

    fn send(&mut self, text: &str) -> Outcome {
        self.connection
            .get_mut()
            .write_all(text.as_bytes())
            .during("answering a function")
    }

    /// Reads one request, whose content does not matter here.
    fn request(&mut self) -> Outcome {
        let mut length = Some(0_usize);
        loop {
            let mut line = String::new();
            let read = self
                .connection
                .read_line(&mut line)
                .during("reading from a function")?;
            if read == 0 {
                return Err(Failure::new("the function closed its connection"));
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            } else if line.starts_with("transfer-encoding:") {
                length = None;
            }
        }
        match length {
            Some(length) => self.skip(length),
            None => self.skip_chunks(),
        }
    }

    fn skip(&mut self, length: usize) -> Outcome {
        let mut body = vec![0; length];
        self.connection
            .read_exact(&mut body)
            .during("reading from a function")
    }

    fn skip_chunks(&mut self) -> Outcome {
        loop {
            let mut size = String::new();
            self.connection
                .read_line(&mut size)
                .during("reading from a function")?;
            let size = usize::from_str_radix(size.trim(), 16)
                .map_err(|_| Failure::new("the function sent a broken chunk"))?;
            self.skip(size + 2)?;
            if size == 0 {
                return Ok(());
            }
        }
    }
}

/// Ends the wait for a function that never comes, because it lacks a variable for instance: unless what is given
/// back is dropped before, somebody else connects in its place and says nothing.
fn wake(address: SocketAddr) -> Sender<()> {
    let (arrived, waiting) = channel();
    thread::spawn(move || {
        if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            drop(TcpStream::connect(address));
        }
    });
    arrived
}

impl Drop for Function {
    fn drop(&mut self) {
        // A function that has ended by itself needs no killing, and there is nobody to tell.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// What Lambda tells every function, with credentials that open nothing.
const LAMBDA: [(&str, &str); 9] = [
    ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
    ("AWS_REGION", "eu-west-1"),
    ("AWS_ACCESS_KEY_ID", "bench"),
    ("AWS_SECRET_ACCESS_KEY", "bench"),
    ("RUST_LOG", "warn"),
];
