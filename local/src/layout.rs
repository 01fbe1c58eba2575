//! Where everything of the local cloud lies. All of it is under `target/`, so `cargo clean` forgets it.

use std::path::{Path, PathBuf};

/// The paths of one local cloud. A checkout has two: the developer's and the one of `fleet test`.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    target: PathBuf,
    home: PathBuf,
    binaries: PathBuf,
}

impl Layout {
    /// The cloud of `fleet up`.
    pub fn developer() -> Self {
        Self::named(None)
    }

    /// A second cloud beside it, with its own state, for tests.
    pub fn isolated(name: &str) -> Self {
        Self::named(Some(name))
    }

    fn named(name: Option<&str>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .map_or_else(PathBuf::new, Path::to_path_buf);
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let fleet = target.join("fleet");
        let home = name.map_or_else(|| fleet.clone(), |name| fleet.join(name));
        let binaries = target.join("debug");
        Self {
            root,
            target,
            home,
            binaries,
        }
    }

    /// The same cloud with the functions as they are deployed, instead of those of the dev profile.
    #[must_use]
    pub fn released(self) -> Self {
        Self {
            binaries: self.releases(),
            ..self
        }
    }

    /// The checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where this cloud's programs are: where cargo puts what it builds with the dev profile, unless they are to
    /// be those that are deployed.
    pub fn binaries(&self) -> PathBuf {
        self.binaries.clone()
    }

    /// Where cargo puts what it builds for deployment.
    pub fn releases(&self) -> PathBuf {
        self.target.join("release")
    }

    /// Where cargo puts everything it builds.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The directory of this cloud.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The emulator's Python environment, shared by all clouds of the checkout.
    pub fn venv(&self) -> PathBuf {
        self.target.join("fleet/venv")
    }

    /// The Python environment of what fetches and builds the model, shared by all clouds of the checkout.
    pub fn tools(&self) -> PathBuf {
        self.target.join("fleet/model-tools")
    }

    /// The model's files and its server, shared by all clouds of the checkout.
    pub fn store(&self) -> PathBuf {
        self.target.join("fleet/model-store")
    }

    /// Where this cloud's model is fetched, built and run.
    pub fn model(&self) -> PathBuf {
        self.home.join("model")
    }

    /// How far the model is.
    pub fn model_record(&self) -> PathBuf {
        self.home.join("model.json")
    }

    /// What the model's installation and its server say.
    pub fn model_log(&self) -> PathBuf {
        self.home.join("model.log")
    }

    /// What survives a restart: the emulator's stores, and what was deployed into them.
    pub fn state(&self) -> PathBuf {
        self.home.join("state")
    }

    /// The emulator's scratch space (unpacked functions).
    pub fn scratch(&self) -> PathBuf {
        self.home.join("tmp")
    }

    /// Zips, one a function.
    pub fn packages(&self) -> PathBuf {
        self.home.join("packages")
    }

    /// Who runs: process id and port.
    pub fn running(&self) -> PathBuf {
        self.home.join("emulator.json")
    }

    /// The emulator's own log.
    pub fn log(&self) -> PathBuf {
        self.home.join("emulator.log")
    }

    /// The addresses and names that scripts read.
    pub fn outputs(&self) -> PathBuf {
        self.home.join("outputs.json")
    }

    /// The project's launcher over the emulator.
    pub fn shim(&self) -> PathBuf {
        self.root.join("local/emulator/shim.py")
    }
}
