//! What fetches and builds: pip and `CMake` in a Python environment of their own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{failure::Outcome, layout::Layout, python};

/// Makes the environment if it is not there, and answers its interpreter.
pub fn ensure(layout: &Layout) -> Outcome<PathBuf> {
    let venv = layout.tools();
    python::ensure(&venv, &layout.root().join("local/model/requirements.txt"))?;
    Ok(python::interpreter(&venv))
}

/// `pip download`, from the index that the developer's pip is set up with. Nothing is installed, and pip's own
/// cache gets no copy of what the store keeps.
pub fn pip_download(python: &Path, directory: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--quiet", "--no-input"]);
    pip.args(["--disable-pip-version-check", "--no-cache-dir", "--no-deps"]);
    pip.arg("--dest").arg(directory);
    pip
}
