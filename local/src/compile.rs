//! Builds the functions with the dev profile, as the tests do, so that nothing is compiled twice.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    console::{Step, note},
    failure::{Failure, Outcome, While},
    layout::Layout,
};

/// Builds every binary of the workspace; cargo itself shows how far it is.
pub fn workspace(layout: &Layout) -> Outcome {
    build(layout, &["build", "--workspace", "--bins"])
}

/// Builds what is deployed; answers where the binaries are.
pub fn release(layout: &Layout) -> Outcome<PathBuf> {
    build(layout, &["build", "--workspace", "--bins", "--release"])?;
    Ok(layout.releases())
}

fn build(layout: &Layout, arguments: &[&str]) -> Outcome {
    let step = Step::start("build", format_args!("cargo {}", arguments.join(" ")));
    note("");
    let status = cargo()
        .current_dir(layout.root())
        .args(arguments)
        .status()
        .during("starting cargo")?;
    if !status.success() {
        return Err(Failure::new("the build failed"));
    }
    step.done("functions built");
    Ok(())
}

/// The cargo that started this program, or the one on the PATH.
///
/// Without what `cargo run` tells this program about its own package: a build script that watches those
/// variables (ring's does) would run again, and with it half of the dependencies, at each change between
/// a build by hand and one from here.
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let about_us = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ];
        if name
            .to_str()
            .is_some_and(|name| about_us.iter().any(|prefix| name.starts_with(prefix)))
        {
            command.env_remove(name);
        }
    }
    command
}

/// A command as its reader would type it.
pub fn typed(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name();
    let words = program.into_iter().chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}
