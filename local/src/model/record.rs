//! How far the model of a cloud is: written by its keeper, read by everybody else.

use std::{
    ffi::OsString,
    fs::{self, File},
    mem::{Discriminant, discriminant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::{
    failure::{Outcome, While},
    layout::Layout,
};

/// What a keeper last wrote.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Record {
    /// What was asked for; the same again needs no second keeper.
    pub choice: String,
    /// The model's name for people.
    pub model: String,
    /// How far it is.
    #[serde(flatten)]
    pub phase: Phase,
}

/// The life of a model: installed, started, ready; a server that ends is started again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Something is fetched or built.
    Installing {
        /// Of the whole installation, 0 to 99.
        percent: u8,
        /// What is being done.
        doing: String,
    },
    /// Everything is here, the server reads the model.
    Starting,
    /// It answers.
    Ready {
        /// The server's process.
        pid: i32,
        /// Where it listens, on 127.0.0.1 only.
        port: u16,
    },
    /// The developer's own list of endpoints takes its place.
    Given {
        /// How many there are.
        endpoints: usize,
    },
    /// It will not come in this run.
    Failed {
        /// Why, with what the developer can do.
        reason: String,
    },
}

/// A phase, and the tens of its percentage.
pub type Milestone = (Discriminant<Phase>, u8);

impl Record {
    /// The record of a cloud as far as it is true: what is not kept by a living process any more is none; a
    /// failure outlives its keeper, and a list of endpoints has none.
    pub fn read(layout: &Layout) -> Option<Self> {
        let text = fs::read(layout.model_record()).ok()?;
        let record: Self = serde_json::from_slice(&text).ok()?;
        record.credible(!processes(layout).is_empty())
    }

    fn credible(self, kept: bool) -> Option<Self> {
        let alone = matches!(self.phase, Phase::Failed { .. } | Phase::Given { .. });
        (kept || alone).then_some(self)
    }

    /// Writes the record, whole or not at all.
    pub fn write(&self, layout: &Layout) -> Outcome {
        let path = layout.model_record();
        let draft = path.with_extension("json.new");
        let text = serde_json::to_vec(self).during("recording the model")?;
        fs::write(&draft, text).during("recording the model")?;
        fs::rename(&draft, &path).during("recording the model")
    }

    /// How far it is, as coarse as people want to hear of it again.
    pub fn milestone(&self) -> Milestone {
        match self.phase {
            Phase::Installing { percent, .. } => (discriminant(&self.phase), percent / 10),
            _ => (discriminant(&self.phase), 0),
        }
    }

    /// The port of a model that answers.
    pub fn port(&self) -> Option<u16> {
        match self.phase {
            Phase::Ready { port, .. } => Some(port),
            _ => None,
        }
    }

    /// What to tell people.
    pub fn words(&self) -> String {
        match &self.phase {
            Phase::Installing { percent, doing } => {
                format!("installing {percent} % ({doing}): {}", self.model)
            }
            Phase::Starting => format!("starting: {}", self.model),
            Phase::Ready { pid, port } => {
                let memory = resident_mib(*pid)
                    .map_or_else(String::new, |resident| format!(", {resident} MiB"));
                format!(
                    "ready: {} on http://127.0.0.1:{port}/v1 (pid {pid}{memory})",
                    self.model
                )
            }
            Phase::Given { endpoints } => format!("{endpoints} endpoint(s) of {}", self.choice),
            Phase::Failed { reason } => format!("none: {reason}"),
        }
    }
}

/// Holds what is recorded and what the cloud is told together, until it is dropped.
pub fn lock(layout: &Layout) -> Outcome<File> {
    let doing = "locking the model's record";
    fs::create_dir_all(layout.home()).during(doing)?;
    let lock = File::create(layout.home().join("model.lock")).during(doing)?;
    lock.lock().during(doing)?;
    Ok(lock)
}

/// The mark that everything that runs for a cloud's model has in its environment: the checkout and the cloud,
/// since two checkouts may be given the same target directory.
pub fn mark(layout: &Layout) -> (&'static str, OsString) {
    let mut whose = OsString::from(layout.root());
    whose.push(" ");
    whose.push(layout.home());
    ("FLEET_MODEL_OF", whose)
}

/// Everything that runs for this cloud's model, by its mark; process ids are not remembered, because they are
/// given away again. A process that ended and waits to be asked for its result has no environment any more.
pub fn processes(layout: &Layout) -> Vec<i32> {
    let (name, whose) = mark(layout);
    let mark = [name.as_bytes(), b"=", whose.as_encoded_bytes()].concat();
    let Ok(all) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    all.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == mark)
        })
        .collect()
}

/// Sends a signal to everything that runs for this cloud's model.
pub fn signal(layout: &Layout, signal: Signal) {
    for process in processes(layout) {
        let _already_gone = kill(Pid::from_raw(process), signal);
    }
}

/// The memory that a process holds, its mapped model included.
pub fn resident_mib(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(phase: Phase) -> Record {
        Record {
            choice: "tiny".to_owned(),
            model: "Smol".to_owned(),
            phase,
        }
    }

    #[test]
    fn a_record_outlives_its_keeper_only_to_say_why_there_is_none() {
        let failed = record(Phase::Failed {
            reason: "no compiler".to_owned(),
        });
        let ready = record(Phase::Ready { pid: 1, port: 2 });

        let given = record(Phase::Given { endpoints: 2 });

        assert_eq!(failed.clone().credible(false), Some(failed));
        assert_eq!(given.clone().credible(false), Some(given));
        assert_eq!(ready.clone().credible(false), None);
        assert_eq!(ready.clone().credible(true), Some(ready));
    }

    #[test]
    fn scripts_read_the_phase_beside_the_choice() {
        let written = serde_json::to_value(record(Phase::Installing {
            percent: 43,
            doing: "compiling".to_owned(),
        }))
        .unwrap();

        assert_eq!(
            written,
            json!({"choice": "tiny", "model": "Smol", "phase": "installing", "percent": 43, "doing": "compiling"})
        );
    }

    #[test]
    fn people_are_told_how_far_it_is() {
        let own = i32::try_from(std::process::id()).unwrap();
        let installing = record(Phase::Installing {
            percent: 43,
            doing: "compiling".to_owned(),
        });

        assert_eq!(installing.words(), "installing 43 % (compiling): Smol");
        assert_eq!(record(Phase::Starting).words(), "starting: Smol");
        let ready = record(Phase::Ready { pid: own, port: 81 }).words();
        assert!(ready.contains("http://127.0.0.1:81/v1"), "{ready}");
        assert!(ready.contains("MiB"), "{ready}");
    }
}
