//! Python environments under `target/`: made once, remade when their requirements change.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    console::Step,
    failure::{Failure, Outcome, While},
};

const CANDIDATES: [&str; 5] = [
    "python3",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.14",
];

/// The interpreter of an environment.
pub fn interpreter(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// Makes `venv` hold exactly `requirements`. A stamp with their text tells whether it already does.
/// Only archives whose hashes stand in the file are accepted.
pub fn ensure(venv: &Path, requirements: &Path) -> Outcome {
    let wanted = fs::read_to_string(requirements)
        .during(format_args!("reading {}", requirements.display()))?;
    let stamp = venv.join("requirements.installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let step = Step::start(
        "python",
        format_args!(
            "installing {} (only when it changes)",
            requirements.display()
        ),
    );
    if venv.exists() {
        fs::remove_dir_all(venv).during(format_args!("removing {}", venv.display()))?;
    }
    run(Command::new(find()?).args(["-m", "venv"]).arg(venv))?;
    let mut pip = Command::new(interpreter(venv));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]);
    pip.args(["--require-hashes", "--only-binary", ":all:"]);
    run(pip.arg("-r").arg(requirements))?;
    fs::write(&stamp, wanted).during(format_args!("writing {}", stamp.display()))?;
    step.done("environment ready");
    Ok(())
}

/// The first Python on the PATH that is new enough.
pub fn find() -> Outcome<&'static str> {
    let new_enough = "import sys; sys.exit(sys.version_info < (3, 11))";
    CANDIDATES
        .into_iter()
        .find(|name| {
            let tried = Command::new(name)
                .args(["-c", new_enough])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            tried.is_ok_and(|status| status.success())
        })
        .ok_or_else(|| {
            Failure::new("no Python 3.11 or newer on the PATH")
                .remedy("the emulator needs it: install python3 with venv")
        })
}

fn run(command: &mut Command) -> Outcome {
    let status = command
        .status()
        .during(format_args!("starting {}", command.get_program().display()))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("{command:?} failed")))
    }
}
