//! `fleet bench`: builds what is deployed and hands over to the program that measures it (`local/bench`).

use std::process::Command;

use clap::Args;

use crate::{
    compile,
    failure::{Failure, Outcome, While},
    layout::Layout,
};

/// What `fleet bench` can be asked for.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Measure the binaries of the dev profile, which are there already, instead of building a release.
    #[arg(long)]
    dev: bool,
    /// How often each thing is done.
    #[arg(long, default_value_t = 30)]
    runs: usize,
    /// Measure nothing that wants a running cloud.
    #[arg(long, conflicts_with = "batches")]
    no_cloud: bool,
    /// Also make a batch of 100 documents and one of 10 000, and compare the workers' memory; takes many minutes.
    #[arg(long)]
    batches: bool,
    /// Measure nothing; have 10 000 documents made while those who make them are killed, and fail if one is lost,
    /// doubled, or told before it is there; takes a quarter of an hour and more. A seed, which each run says, repeats
    /// its chances; without one they are new.
    #[arg(long, value_name = "SEED", num_args = 0..=1, default_missing_value = "0")]
    #[arg(conflicts_with_all = ["no_cloud", "batches"])]
    storm: Option<u64>,
}

/// Runs the command.
pub fn run(options: &Options) -> Outcome {
    let layout = Layout::developer();
    let binaries = if options.dev {
        compile::workspace(&layout)?;
        layout.binaries()
    } else {
        compile::release(&layout)?
    };
    let mut bench = Command::new(binaries.join("fleet-bench"));
    bench.args(["--runs", &options.runs.to_string()]);
    let flags = [
        (options.no_cloud, "--no-cloud"),
        (options.batches, "--batches"),
    ];
    bench.args(flags.iter().filter(|(on, _)| *on).map(|(_, flag)| flag));
    let seed = options.storm.map(|seed| seed.to_string());
    bench.args(seed.iter().flat_map(|seed| ["--storm", seed]));
    let status = bench.status().during("starting the bench")?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new("the bench ended early"))
    }
}
