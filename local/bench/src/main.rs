//! `cargo fleet bench`: speed and memory, each beside its baseline or its peers of the same run, and held against
//! the goals.
//!
//! A program of its own, because it is built from the fleet's code, on which `fleet` itself does not depend.

mod batches;
mod figures;
mod functions;
mod gateway;
mod invoices;
mod lambda;
mod peers;
mod process;
mod provider;
mod report;
mod storm;
mod tokens;

use std::{process::ExitCode, thread};

use clap::Parser;
use fleet::{
    Outcome,
    console::{note, say},
    failure::While,
    layout::Layout,
    passing,
};
use journeys::cloud::Cloud;
use report::Report;

/// Measures the binaries that lie beside this one.
#[derive(Parser)]
struct Options {
    /// How often each thing is done.
    #[arg(long, default_value_t = 30)]
    runs: usize,
    /// Measure nothing that wants a running cloud.
    #[arg(long, conflicts_with = "batches")]
    no_cloud: bool,
    /// Let the cloud make a batch of 100 documents and one of 10 000.
    #[arg(long)]
    batches: bool,
    /// Measure nothing; let the cloud make 10 000 documents while those who make them are killed, by the chances of
    /// this seed; those of 0 are new each time.
    #[arg(long, conflicts_with_all = ["no_cloud", "batches"])]
    storm: Option<u64>,
}

/// The name of the bench's own cloud.
const CLOUD: &str = "bench";

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
    if let (Some(load), Ok(processors)) = (process::load(), thread::available_parallelism()) {
        say(format_args!(
            "load {load:.1} on {processors} processors; above half of them, what else runs is measured too"
        ));
    }
    match options.storm {
        None => {}
        Some(0) => return storm(fastrand::u64(1..)).await,
        Some(seed) => return storm(seed).await,
    }
    functions::cold(binaries, options.runs, &mut report)?;
    functions::platform(binaries, options.runs * 30)?;
    gateway::overhead(options.runs * 30, &mut report).await?;
    invoices::measure(binaries, options.runs, &mut report).await?;
    if !options.no_cloud {
        let layout = layout();
        passing::within(&layout, async || {
            in_cloud(&layout, options, &mut report).await
        })
        .await?;
    }
    report.end();
    Ok(())
}

/// The storm alone, in a cloud of its own. Here a goal that is missed is a fault, and not a figure.
async fn storm(seed: u64) -> Outcome {
    let (layout, mut report) = (layout(), Report::default());
    passing::within(&layout, async || {
        runtime::start();
        let cloud = Cloud::of(&layout.outputs());
        storm::measure(&cloud, &layout, seed, &mut report).await
    })
    .await?;
    report.end();
    report.all_met()
}

/// The bench's own cloud, of the binaries that are measured.
fn layout() -> Layout {
    let layout = Layout::isolated(CLOUD);
    if cfg!(debug_assertions) {
        layout
    } else {
        layout.released()
    }
}

async fn in_cloud(layout: &Layout, options: &Options, report: &mut Report) -> Outcome {
    // The client of the API wants the process's TLS provider.
    runtime::start();
    let cloud = Cloud::of(&layout.outputs());
    tokens::measure(&cloud, layout, options.runs, report).await?;
    if options.batches {
        batches::measure(&cloud, layout, report).await?;
    }
    Ok(())
}
