//! The process behind a local model: installs what is missing while the rest of the cloud is already in use,
//! starts the server, tells the cloud where it is, and starts it again when it ends.

use std::{
    cell::Cell,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    cloud::Cloud,
    console::note,
    failure::{Failure, Outcome, While},
    layout::Layout,
    model::{
        Choice,
        install::{self, Installed},
        record::{self, Phase, Record},
        server,
        targets::{self, Published},
        weights::Profile,
    },
    port,
};

/// How long a server may take until it answers; a cold disk reads half a gigabyte.
const START_LIMIT: Duration = Duration::from_mins(3);
/// How long everything may take to end before it is ended.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// A server that ran so long was well; what ends sooner, and so often in a row, is not started again.
const STEADY: Duration = Duration::from_mins(1);
const ATTEMPTS: u32 = 4;
const TURN: Duration = Duration::from_millis(200);
/// How long until a cloud that could not be told is told again.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// How a keeper is started; only `up` and `test` do that.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The cloud it belongs to, unless it is the developer's.
    #[arg(long)]
    cloud: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    model: Profile,
    /// A model's file of one's own.
    #[arg(long)]
    path: Option<PathBuf>,
}

/// Has the model of a choice kept for this cloud: by the keeper that is there, if it keeps the same, else by a
/// new one. Returns at once.
pub fn ensure(layout: &Layout, choice: &Choice, cloud: Option<&str>) -> Outcome {
    let found = Record::read(layout);
    if found.is_some_and(|found| {
        found.choice == choice.key() && !matches!(found.phase, Phase::Failed { .. })
    }) {
        return Ok(());
    }
    stop(layout)?;
    spawn(layout, choice, cloud)
}

/// Starts a keeper in a process group of its own, so that a Ctrl-C is not for it, behind everything else that
/// wants the processor.
fn spawn(layout: &Layout, choice: &Choice, cloud: Option<&str>) -> Outcome {
    let doing = "starting the model's keeper";
    fs::create_dir_all(layout.model()).during(doing)?;
    record_of(
        choice,
        Phase::Installing {
            percent: 0,
            doing: "beginning".to_owned(),
        },
    )
    .write(layout)?;
    let log = File::create(layout.model_log()).during("opening the model's log")?;
    let errors = log.try_clone().during("opening the model's log")?;
    let (name, value) = record::mark(layout);
    let mut command = Command::new("nice");
    command.args(["-n", "10"]);
    command.arg(std::env::current_exe().during(doing)?);
    command.args(["model", "keep"]);
    if let Some(cloud) = cloud {
        command.args(["--cloud", cloud]);
    }
    choice.arguments(&mut command);
    command
        .env(name, value)
        .env("CARGO_TARGET_DIR", layout.target())
        .current_dir(layout.root())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .during(doing)?;
    Ok(())
}

fn record_of(choice: &Choice, phase: Phase) -> Record {
    Record {
        choice: choice.key(),
        model: choice.name(),
        phase,
    }
}

/// Ends the keeper of a cloud, its server and whatever it was installing with. Nothing of it runs and nothing
/// listens when this returns.
pub fn stop(layout: &Layout) -> Outcome {
    record::signal(layout, Signal::SIGTERM);
    let asked = Instant::now();
    while !record::processes(layout).is_empty() {
        if asked.elapsed() > STOP_LIMIT {
            record::signal(layout, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    match fs::remove_file(layout.model_record()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).during("removing the model's record")
        }
        _ => Ok(()),
    }
}

/// Runs a keeper until it is stopped, or until it is clear that there will be no model.
pub async fn run(options: &Options) -> Outcome {
    let layout = match &options.cloud {
        Some(name) => Layout::isolated(name),
        None => Layout::developer(),
    };
    let choice = match &options.path {
        Some(path) => Choice::Own(path.clone()),
        None => Choice::Profile(options.model),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&stop);
    ctrlc::set_handler(move || heard.store(true, Ordering::SeqCst))
        .during("listening for the end")?;
    let mut keeper = Keeper {
        layout,
        record: record_of(&choice, Phase::Starting),
        choice,
        stop,
        told: Cell::new(false),
    };
    match keeper.keep().await {
        Err(failure) if !keeper.is_stopped() => {
            note(format_args!("{:>10}  {failure}", "model"));
            let reason = failure.to_string().replace('\n', " ");
            keeper.enter(Phase::Failed { reason }).await
        }
        _ => Ok(()),
    }
}

struct Keeper {
    layout: Layout,
    choice: Choice,
    record: Record,
    stop: Arc<AtomicBool>,
    told: Cell<bool>,
}

impl Keeper {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    async fn keep(&mut self) -> Outcome {
        let installed = self.install().await?;
        self.record.model.clone_from(&installed.name);
        let mut short = 0;
        while !self.is_stopped() {
            let started = Instant::now();
            let ended = self.serve(&installed).await?;
            if self.is_stopped() {
                break;
            }
            short = if started.elapsed() > STEADY {
                1
            } else {
                short + 1
            };
            note(format_args!("{:>10}  the server ended ({ended})", "model"));
            if short == ATTEMPTS {
                return Err(Failure::new(format!(
                    "the model's server ended {short} times in a row: {}",
                    server::last_words(&self.layout)
                )));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    async fn install(&self) -> Outcome<Installed> {
        let mut last = (100, String::new());
        let (layout, stop) = (&self.layout, &self.stop);
        install::install(layout, &self.choice, |percent, doing| {
            if stop.load(Ordering::SeqCst) {
                return Err(Failure::new("stopped"));
            }
            if last != (percent, doing.to_owned()) {
                last = (percent, doing.to_owned());
                let doing = doing.to_owned();
                let phase = Phase::Installing { percent, doing };
                record_of(&self.choice, phase).write(layout)?;
            }
            Ok(())
        })
        .await
    }

    /// One life of the server; answers how it ended.
    async fn serve(&mut self, installed: &Installed) -> Outcome<String> {
        self.enter(Phase::Starting).await?;
        let port = port::any_free()?;
        let mut child = server::start(&self.layout, &installed.program, &installed.weights, port)?;
        let ended = self.attend(&mut child, port).await;
        end(&mut child)?;
        ended
    }

    /// Enters a phase and tells the cloud what that means for it.
    async fn enter(&mut self, phase: Phase) -> Outcome {
        note(format_args!("{:>10}  {phase:?}", "model"));
        self.record.phase = phase;
        self.record.write(&self.layout)?;
        self.tell().await;
        Ok(())
    }

    /// Tells the cloud; if that fails, it is told again later.
    async fn tell(&self) {
        match targets::publish(&self.layout, None).await {
            Ok(published) => {
                self.told.set(true);
                if published == Published::NoSecret {
                    note(format_args!(
                        "{:>10}  the stack has no list of model endpoints",
                        "model"
                    ));
                }
            }
            Err(failure) => {
                self.told.set(false);
                note(format_args!("{:>10}  {failure}", "model"));
            }
        }
    }

    async fn attend(&mut self, child: &mut Child, port: u16) -> Outcome<String> {
        let cloud = Cloud::new(format!("http://127.0.0.1:{port}"))?;
        let pid = i32::try_from(child.id()).during("reading the server's process id")?;
        let started = Instant::now();
        let mut tried = Instant::now();
        while !self.is_stopped() {
            if let Some(status) = child.try_wait().during("watching the model's server")? {
                return Ok(status.to_string());
            }
            if self.record.port().is_none() {
                if answers(&cloud).await {
                    self.enter(Phase::Ready { pid, port }).await?;
                } else if started.elapsed() > START_LIMIT {
                    return Ok("it did not answer in time".to_owned());
                }
            }
            if !self.told.get() && tried.elapsed() > TELL_AGAIN {
                tried = Instant::now();
                self.tell().await;
            }
            tokio::time::sleep(TURN).await;
        }
        Ok("stopped".to_owned())
    }
}

/// Whether the server has read its model and takes requests.
pub async fn answers(server: &Cloud) -> bool {
    let answer = server.plain("GET", "/health", &[], Vec::new()).await;
    answer.is_ok_and(|answer| answer.status == 200)
}

/// Ends the server: asks first.
fn end(child: &mut Child) -> Outcome {
    let doing = "stopping the model's server";
    let pid = i32::try_from(child.id()).during(doing)?;
    let asked = Instant::now();
    while child.try_wait().during(doing)?.is_none() {
        if asked.elapsed() > STOP_LIMIT {
            child.kill().during(doing)?;
        } else {
            let _already_gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
