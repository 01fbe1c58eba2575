//! `cargo fleet bench`: speed and memory, each beside its baseline or its peers of the same run, and held against
//! the goals.
//!
//! A program of its own, because it is built from the fleet's code, on which `fleet` itself does not depend.

mod figures;
mod functions;
mod gateway;
mod invoices;
mod lambda;
mod peers;
mod process;
mod report;

use std::process::ExitCode;

use clap::Parser;
use fleet::{
    Outcome,
    console::{note, say},
    failure::While,
};
use report::Report;

/// Measures the binaries that lie beside this one.
#[derive(Parser)]
struct Options {
    /// How often each thing is done.
    #[arg(long, default_value_t = 30)]
    runs: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(format_args!("error: {failure}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Outcome {
    let program = std::env::current_exe().during("finding the binaries")?;
    let binaries = program.parent().unwrap_or(&program);
    let mut report = Report::default();
    say(if cfg!(debug_assertions) {
        "binaries of the dev profile: the fleet's own code is not optimised, what is deployed is faster and smaller"
    } else {
        "binaries as they are deployed"
    });
    functions::cold(binaries, options.runs, &mut report)?;
    functions::platform(binaries, options.runs * 30)?;
    gateway::overhead(options.runs * 30, &mut report).await?;
    invoices::measure(binaries, options.runs, &mut report).await?;
    report.end();
    Ok(())
}
