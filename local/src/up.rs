//! `fleet up`: from the sources to a fleet that answers.

use std::{
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;

use crate::{
    bring, compile,
    console::{Step, note, say},
    deploy::{self, Deployment},
    emulator::{DEFAULT_PORT, Emulator},
    failure::{Failure, Outcome, While},
    layout::Layout,
    model::{
        self, Provision, keeper,
        record::{Milestone, Record},
        weights::Profile,
    },
    outputs::Outputs,
    port, python, watch,
};

/// How often a command that stays looks at the local model.
const MODEL_TURN: Duration = Duration::from_secs(2);

/// What `fleet up` can be asked for.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Return when the fleet is ready and leave it running.
    #[arg(long, conflicts_with = "watch")]
    pub detach: bool,
    /// Begin with empty stores instead of those of the last run.
    #[arg(long)]
    pub fresh: bool,
    /// Where the emulator listens [default: 4566, or where it already runs].
    #[arg(long)]
    pub port: Option<u16>,
    /// The local model that content generation gets [default: `FLEET_MODEL`, else default].
    #[arg(long, value_enum)]
    pub model: Option<Profile>,
    /// Build and deploy again at each change under functions/, shared/ and template.yaml.
    #[arg(long)]
    pub watch: bool,
}

/// Runs the command.
pub async fn run(options: &Options) -> Outcome {
    let layout = Layout::developer();
    let deployment = Deployment::fleet(&layout);
    let provision = Provision::chosen(options.model)?;
    let found = Emulator::running(&layout);
    require_place(&layout, found.as_ref(), options)?;
    compile::workspace(&layout)?;
    let stop = interruption()?;
    let (emulator, child) = match found.filter(|_| !options.fresh) {
        Some(emulator) => {
            note(format_args!(
                "{:>10}  already running on port {}, deploying to it",
                "emulator", emulator.port
            ));
            (emulator, None)
        }
        None => start(&layout, options).map(|(emulator, child)| (emulator, Some(child)))?,
    };
    let brought = bring::bring(&layout, &deployment, &emulator).await;
    match brought {
        Ok(outputs) => {
            provision.bring(&layout, None).await;
            table(&outputs, &model::words(&layout));
        }
        Err(failure) => {
            if child.is_some() {
                keeper::stop(&layout)?;
                emulator.stop(&layout)?;
            }
            return Err(failure);
        }
    }
    if options.detach || (child.is_none() && !options.watch) {
        return Ok(());
    }
    let running = Running {
        layout: &layout,
        deployment: &deployment,
        emulator: &emulator,
        provision: &provision,
    };
    running.stay(child, options.watch, &stop).await
}

/// Refuses before anything is built, when it is already clear that it cannot work.
fn require_place(layout: &Layout, found: Option<&Emulator>, options: &Options) -> Outcome {
    match (found, options.port) {
        (Some(emulator), Some(port)) if emulator.port != port && !options.fresh => {
            Err(Failure::new(format!(
                "this checkout's cloud already runs on port {}",
                emulator.port
            ))
            .remedy("stop it first: cargo fleet down"))
        }
        (Some(emulator), _) if options.fresh => {
            note(format_args!("{:>10}  stopping the running cloud", "fresh"));
            emulator.stop(layout)
        }
        (Some(_), _) => Ok(()),
        (None, port) => port::require_free(port.unwrap_or(DEFAULT_PORT)),
    }
}

/// Starts the emulator of a layout; its state is what the layout has, or nothing if asked so.
fn start(layout: &Layout, options: &Options) -> Outcome<(Emulator, Child)> {
    if options.fresh {
        deploy::forget(layout)?;
    }
    start_emulator(layout, options.port.unwrap_or(DEFAULT_PORT))
}

/// Installs and starts an emulator. It needs two seconds until it listens, which others can use.
pub fn start_emulator(layout: &Layout, port: u16) -> Outcome<(Emulator, Child)> {
    python::ensure(
        &layout.venv(),
        &layout.root().join("local/emulator/requirements.txt"),
    )?;
    Emulator::start(layout, port)
}

/// Set when the developer, or the system, asks to stop.
fn interruption() -> Outcome<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&stop);
    ctrlc::set_handler(move || heard.store(true, Ordering::SeqCst))
        .during("listening for Ctrl-C")?;
    Ok(stop)
}

/// A fleet that is up, and whose command stays.
struct Running<'a> {
    layout: &'a Layout,
    deployment: &'a Deployment,
    emulator: &'a Emulator,
    provision: &'a Provision,
}

impl Running<'_> {
    async fn stay(&self, mut child: Option<Child>, watching: bool, stop: &AtomicBool) -> Outcome {
        note(format_args!(
            "{:>10}  Ctrl-C stops the fleet{}",
            "running",
            if watching {
                "; watching the sources"
            } else {
                ""
            }
        ));
        let mut seen = watch::state(self.layout);
        let (mut told, mut asked) = (None, Instant::now());
        while !stop.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if let Some(child) = &mut child
                && child.try_wait().during("watching the emulator")?.is_some()
            {
                keeper::stop(self.layout)?;
                return Err(Failure::new("the emulator ended")
                    .remedy(format!("its log: {}", self.layout.log().display())));
            }
            if watching {
                self.turn(&mut seen).await;
            }
            if asked.elapsed() > MODEL_TURN {
                asked = Instant::now();
                tell_model(self.layout, &mut told);
            }
        }
        let Some(mut child) = child else {
            return Ok(());
        };
        let ending = Step::start("down", "saving the state and stopping");
        keeper::stop(self.layout)?;
        self.emulator.stop(self.layout)?;
        child.wait().during("waiting for the emulator")?;
        ending.done("stopped");
        Ok(())
    }

    async fn turn(&self, seen: &mut watch::State) {
        let before = *seen;
        watch::turn(self.layout, self.deployment, self.emulator, seen).await;
        // A changed template may have given the list of endpoints its first value again.
        if *seen != before
            && let Err(failure) = self.provision.publish(self.layout).await
        {
            note(format_args!("{:>10}  {failure}", "model"));
        }
    }
}

/// Tells how far the local model is, as often as that says something new.
fn tell_model(layout: &Layout, told: &mut Option<Milestone>) {
    let record = Record::read(layout);
    let now = record.as_ref().map(Record::milestone);
    if let Some(record) = record.filter(|_| now != *told) {
        note(format_args!("{:>10}  {}", "model", record.words()));
    }
    *told = now;
}

fn table(outputs: &Outputs, model: &str) {
    let row = |name: &str, value: &str| say(format_args!("{name:>14}  {value}"));
    row("API", &outputs.api_url);
    row("reference", &format!("{}/docs", outputs.api_url));
    row(
        "description",
        &format!("{}/v1/openapi.json", outputs.api_url),
    );
    if let Some(address) = &outputs.ws_url {
        row("WebSocket", address);
    }
    row("AWS services", &outputs.emulator_url);
    row("model", model);
    row("mail", "cargo fleet mail");
    row("logs", "cargo fleet logs --follow");
    row("stop", "cargo fleet down");
}
