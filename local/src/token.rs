//! `fleet token`: hands over to the program that is built with the authorizer's verifier.

use std::{ffi::OsString, process::Command};

use clap::Args;

use crate::{
    compile,
    failure::{Failure, Outcome, While},
    layout::Layout,
};

/// Everything after `token` is for that program.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// `verify --jwks FILE --issuer URL --client ID < tokens.txt`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    arguments: Vec<OsString>,
}

/// Runs the command; the standard streams are that program's.
pub fn run(options: &Options) -> Outcome {
    let layout = Layout::developer();
    compile::workspace(&layout)?;
    let program = layout.binaries().join("fleet-token");
    let status = Command::new(&program)
        .args(&options.arguments)
        .status()
        .during(format_args!("starting {}", program.display()))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new("no verdict"))
    }
}
