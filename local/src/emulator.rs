//! The emulator's process: started through the project's shim with a clean environment, found again by its
//! record, stopped until nothing of it is left.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::{
    failure::{Failure, Outcome, While},
    layout::Layout,
    python,
};

/// The region of the local cloud.
pub const REGION: &str = "eu-west-1";

/// The port when nobody asks for another.
pub const DEFAULT_PORT: u16 = 4566;

const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// An emulator that runs, as its record says.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Emulator {
    /// Its process, which leads its own session.
    pub pid: i32,
    /// Where it listens, on 127.0.0.1 only.
    pub port: u16,
}

impl Emulator {
    /// The emulator of this layout, if it runs. A record that outlived its process is ignored: a process id
    /// alone is not trusted, the process must be our shim.
    pub fn running(layout: &Layout) -> Option<Self> {
        let record = fs::read(layout.running()).ok()?;
        let emulator: Self = serde_json::from_slice(&record).ok()?;
        is_our_shim(emulator.pid, &layout.shim()).then_some(emulator)
    }

    /// The emulator of this layout, or what to do to have one.
    pub fn require(layout: &Layout) -> Outcome<Self> {
        Self::running(layout).ok_or_else(|| {
            Failure::new("the local cloud is not running")
                .remedy("start it: cargo fleet up --detach")
        })
    }

    /// The address of every service.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts an emulator and does not wait for it; `ready` does.
    pub fn start(layout: &Layout, port: u16) -> Outcome<(Self, Child)> {
        for directory in [
            layout.home().to_path_buf(),
            layout.state(),
            layout.scratch(),
        ] {
            fs::create_dir_all(&directory)
                .during(format_args!("making {}", directory.display()))?;
        }
        let log = fs::File::create(layout.log()).during("opening the emulator's log")?;
        let errors = log.try_clone().during("opening the emulator's log")?;
        let child = Command::new(python::interpreter(&layout.venv()))
            .arg("-s")
            .arg(layout.shim())
            .env_clear()
            .envs(environment(layout, port))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .during("starting the emulator")?;
        let pid = i32::try_from(child.id()).during("reading the emulator's process id")?;
        let emulator = Self { pid, port };
        let record = serde_json::to_vec(&emulator).during("writing the emulator's record")?;
        fs::write(layout.running(), record).during("writing the emulator's record")?;
        Ok((emulator, child))
    }

    /// Waits until the emulator listens; says what its log says when it does not.
    pub async fn ready(&self, layout: &Layout) -> Outcome {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if !is_our_shim(self.pid, &layout.shim()) || started.elapsed() > START_LIMIT {
                return Err(Failure::new(format!(
                    "the emulator did not start:\n{}",
                    tail(&layout.log(), 15)
                )));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Stops the emulator: asks, waits while it saves its state, insists only at the limit. Nothing listens and
    /// no function runs when this returns.
    pub fn stop(&self, layout: &Layout) -> Outcome {
        let pid = Pid::from_raw(self.pid);
        let _already_gone = kill(pid, Signal::SIGTERM);
        let started = Instant::now();
        while is_our_shim(self.pid, &layout.shim()) || !functions(layout).is_empty() {
            if started.elapsed() > STOP_LIMIT {
                let _already_gone = kill(pid, Signal::SIGKILL);
                for function in functions(layout) {
                    let _already_gone = kill(Pid::from_raw(function), Signal::SIGKILL);
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        fs::remove_file(layout.running())
            .or_else(ignore_absent)
            .during("removing the emulator's record")
    }
}

fn ignore_absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

/// The whole environment of the emulator. Functions inherit it, so nothing of the developer's shell is in it.
fn environment(layout: &Layout, port: u16) -> Vec<(&'static str, String)> {
    let path = |path: &Path| path.display().to_string();
    vec![
        ("PATH", "/usr/bin:/bin".to_owned()),
        ("HOME", path(layout.home())),
        ("TMPDIR", path(&layout.scratch())),
        ("LANG", "C.UTF-8".to_owned()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("GATEWAY_PORT", port.to_string()),
        ("BIND_HOST", "127.0.0.1".to_owned()),
        ("MINISTACK_HOST", "127.0.0.1".to_owned()),
        ("MINISTACK_REGION", REGION.to_owned()),
        // Functions get it from here: without it their SDK would look for the real AWS.
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
        // Signatures, each function's own policy, confirmation codes and sign-out are real only with it.
        ("AUTH", "true".to_owned()),
        ("PERSIST_STATE", "1".to_owned()),
        ("STATE_DIR", path(&layout.state())),
        ("S3_PERSIST", "1".to_owned()),
        ("S3_DATA_DIR", path(&layout.state().join("s3"))),
        // It would listen on all interfaces.
        ("IOT_MTLS_ENABLED", "0".to_owned()),
    ]
}

fn is_our_shim(pid: i32, shim: &Path) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let shim = shim.as_os_str().as_encoded_bytes();
    command
        .split(|byte| *byte == 0)
        .any(|argument| argument == shim)
}

/// The processes that run a function of this cloud: their program lies in its scratch space.
fn functions(layout: &Layout) -> Vec<i32> {
    let scratch = layout.scratch();
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            fs::read_link(format!("/proc/{pid}/exe"))
                .is_ok_and(|program| program.starts_with(&scratch))
        })
        .collect()
}

/// The last lines of a file.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
