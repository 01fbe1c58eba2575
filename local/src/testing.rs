//! `fleet test`: every test of the workspace, those that want a running cloud included.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use clap::Args;

use crate::{
    compile,
    console::{note, say},
    failure::{Failure, Outcome, While},
    layout::Layout,
    model::{Choice, Provision, check, peer::Peer, targets, weights::Profile},
    passing,
};

/// The name of the tests' own cloud.
const CLOUD: &str = "test";

const CLOSING_LINES: usize = 12;

/// What `fleet test` can be asked for.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Only tests whose name contains this.
    filter: Option<String>,
    /// Give the cloud a local model, check what it writes, and tell the tests its name in `FLEET_TEST_MODEL`.
    /// Without it there is only a peer that says again what it is asked: to build a model takes minutes on a new machine.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "tiny")]
    model: Option<Profile>,
}

/// Runs the command: a cloud of its own on a free port, the tests, the end of that cloud.
pub async fn run(options: &Options) -> Outcome {
    let layout = Layout::isolated(CLOUD);
    compile::workspace(&layout)?;
    passing::within(&layout, async || with_model(&layout, options).await).await
}

/// The tests, with the peer that some of them ask by its name, and before it the local model that was asked for.
async fn with_model(layout: &Layout, options: &Options) -> Outcome {
    let peer = Peer::start()?.targets();
    match options.model {
        Some(profile) if profile != Profile::None => {
            let choice = Choice::Profile(profile);
            let provision = Provision::Local(choice.clone());
            provision.bring(layout, Some(CLOUD)).await;
            check::check_kept(layout, &choice).await?;
            let both = targets::with_local(layout, peer);
            targets::publish(layout, Some(&both)).await?;
        }
        _ => {
            Provision::Given(peer).bring(layout, None).await;
            say(format_args!(
                "{:>10}  a peer that says again what it is asked; a real one: cargo fleet test --model",
                "model"
            ));
        }
    }
    tests(layout, options)
}

fn tests(layout: &Layout, options: &Options) -> Outcome {
    let mut closing = vec![runner(layout, options)?];
    if options.filter.is_none() {
        let mut doctests = compile::cargo();
        doctests.args(["test", "--workspace", "--doc"]);
        closing.push(watched(layout, doctests, "doctests")?);
    }
    let failed = closing.iter().any(|(passed, _)| !passed);
    closing.iter().flat_map(|(_, lines)| lines).for_each(say);
    if failed {
        Err(Failure::new("there are failed tests"))
    } else {
        Ok(())
    }
}

fn runner(layout: &Layout, options: &Options) -> Outcome<(bool, Vec<String>)> {
    let mut command = compile::cargo();
    let nextest = compile::cargo()
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if nextest {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]);
    }
    command.args(&options.filter);
    if let Some(profile) = options.model.filter(|profile| *profile != Profile::None) {
        command.env("FLEET_TEST_MODEL", Choice::Profile(profile).key());
    }
    watched(layout, command, "tests")
}

/// Runs a command with its output shown, and keeps the last lines: they are the runner's own summary.
fn watched(
    layout: &Layout,
    mut command: Command,
    what: &'static str,
) -> Outcome<(bool, Vec<String>)> {
    note(format_args!("{what:>10}  {}", compile::typed(&command)));
    let mut child = command
        .current_dir(layout.root())
        .env("FLEET_OUTPUTS", layout.outputs())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .during(format_args!("starting the {what}"))?;
    let errors = child
        .stderr
        .take()
        .map(|stream| std::thread::spawn(move || follow(stream)));
    let mut closing = child.stdout.take().map(follow).unwrap_or_default();
    let status = child
        .wait()
        .during(format_args!("waiting for the {what}"))?;
    closing.extend(
        errors
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default(),
    );
    Ok((
        status.success(),
        closing.split_off(closing.len().saturating_sub(CLOSING_LINES)),
    ))
}

fn follow(stream: impl std::io::Read) -> Vec<String> {
    let mut last = Vec::new();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        note(&line);
        last.push(line);
        if last.len() > CLOSING_LINES {
            last.remove(0);
        }
    }
    last
}
