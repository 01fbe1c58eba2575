//! `fleet check`: everything that can be said about the sources without running them.

use std::process::Command;

use crate::{
    compile,
    console::Step,
    failure::{Failure, Outcome, While},
    layout::Layout,
    python,
};

/// Runs the command; stops at the first thing that is wrong.
pub fn run() -> Outcome {
    let layout = Layout::developer();
    cargo(&layout, "format", &["fmt", "--all", "--check"], &[])?;
    cargo(
        &layout,
        "clippy",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        &[],
    )?;
    cargo(
        &layout,
        "docs",
        &["doc", "--workspace", "--no-deps"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )?;
    scanners(&layout)
}

fn cargo(
    layout: &Layout,
    name: &'static str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Outcome {
    let mut command = compile::cargo();
    command.args(arguments).envs(environment.iter().copied());
    step(layout, name, command)
}

/// The template's scanners, which keep their tools in a Python environment of their own.
fn scanners(layout: &Layout) -> Outcome {
    let mut command = Command::new(python::find()?);
    command.arg(layout.root().join("local/scan/scan.py"));
    step(layout, "template", command)
}

fn step(layout: &Layout, name: &'static str, mut command: Command) -> Outcome {
    let step = Step::start(name, compile::typed(&command));
    let status = command
        .current_dir(layout.root())
        .status()
        .during(format_args!("starting {name}"))?;
    if !status.success() {
        return Err(Failure::new(format!("{name} found something")));
    }
    step.done("nothing to say");
    Ok(())
}
