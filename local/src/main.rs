//! The `fleet` command: the whole cloud on one machine.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fleet::{
    Outcome, bench, check, console, demo, down, invoke, logs, mail, model, status, testing, token,
    up,
};

/// The whole fleet on this machine: real functions, the real template, emulated AWS.
#[derive(Parser)]
#[command(name = "cargo fleet", bin_name = "cargo fleet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build, start, deploy, and wait until the fleet answers.
    Up(up::Options),
    /// Stop the fleet; its state is kept.
    Down,
    /// Show what runs and whether it answers.
    Status,
    /// Show what the functions say.
    Logs(logs::Options),
    /// List the e-mails that the fleet sent, or show one.
    Mail(mail::Options),
    /// Install the local model, or check what it writes.
    Model(model::Options),
    /// Hand an event of events/ to a function.
    Invoke(invoke::Options),
    /// Sign up, confirm, log in and get a PDF, step by step.
    Demo,
    /// Find out why a token is refused.
    Token(token::Options),
    /// Run every test against a cloud of its own.
    Test(testing::Options),
    /// Format, lints, documentation and the template's scanners.
    Check,
    /// Measure speed and memory beside their baselines.
    Bench(bench::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console::note(format_args!("\nerror: {failure}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Outcome {
    match command {
        Command::Up(options) => up::run(&options).await,
        Command::Down => down::run(),
        Command::Status => status::run().await,
        Command::Logs(options) => logs::run(&options).await,
        Command::Mail(options) => mail::run(&options).await,
        Command::Model(options) => model::run(&options).await,
        Command::Invoke(options) => invoke::run(&options).await,
        Command::Demo => demo::run().await,
        Command::Token(options) => token::run(&options),
        Command::Test(options) => testing::run(&options).await,
        Command::Check => check::run(),
        Command::Bench(options) => bench::run(&options),
    }
}
