//! Builds the functions with the dev profile, as the tests do, so that nothing is compiled twice.

use std::process::Command;

use crate::{
    console::{Step, note},
    failure::{Failure, Outcome, While},
    layout::Layout,
};

/// Builds every binary of the workspace; cargo itself shows how far it is.
pub fn workspace(layout: &Layout) -> Outcome {
    let step = Step::start("build", "cargo build --workspace --bins");
    note("");
    let status = Command::new(cargo())
        .current_dir(layout.root())
        .args(["build", "--workspace", "--bins"])
        .status()
        .during("starting cargo")?;
    if !status.success() {
        return Err(Failure::new("the build failed"));
    }
    step.done("functions built");
    Ok(())
}

/// The cargo that started this program, or the one on the PATH.
pub fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
