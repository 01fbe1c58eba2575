//! A model of one's own behind the local cloud, without a key: a small one, in llama.cpp's server on 127.0.0.1.
//! Both are installed in the background while the rest of the cloud is already in use. It is for development:
//! it answers every request as a model does, but what it writes is not fit to be published.

pub mod check;
pub mod child;
pub mod endpoint;
pub mod install;
pub mod keeper;
pub mod peer;
pub mod progress;
pub mod record;
pub mod server;
pub mod store;
pub mod targets;
pub mod tools;
pub mod trial;
pub mod weights;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use crate::{
    console::{Step, note, say},
    failure::{Failure, Outcome, While},
    layout::Layout,
    model::{
        record::{Phase, Record},
        targets::Published,
        weights::Profile,
    },
};

/// The variables that choose a model when no option does.
const PROFILE_VARIABLE: &str = "FLEET_MODEL";
const PATH_VARIABLE: &str = "FLEET_MODEL_PATH";

/// What `fleet model` can be asked for.
#[derive(Args, Clone, Debug)]
pub struct Options {
    #[command(subcommand)]
    command: Ask,
}

#[derive(Clone, Debug, Subcommand)]
enum Ask {
    /// Fetch and build what the model needs, now.
    Install(Which),
    /// Have the model write Spanish, English and JSON by a schema; fails if it does not.
    Check(Which),
    /// Have the running cloud write the same over the WebSocket, losing the connection in the middle; fails if a
    /// letter is lost.
    Try,
    /// Keep the model of a cloud running.
    #[command(hide = true)]
    Keep(keeper::Options),
}

/// Which model.
#[derive(Args, Clone, Copy, Debug)]
pub struct Which {
    /// The local model [default: `FLEET_MODEL`, else default].
    #[arg(long, value_enum)]
    pub model: Option<Profile>,
}

/// Runs the command.
pub async fn run(options: &Options) -> Outcome {
    match &options.command {
        Ask::Install(which) => {
            let choice = require(which.model)?;
            let installed = install_now(&Layout::developer(), &choice).await?;
            say(format_args!("{}", installed.name));
            Ok(())
        }
        Ask::Check(which) => check::run(&Layout::developer(), &require(which.model)?).await,
        Ask::Try => trial::run(&Layout::developer()).await,
        Ask::Keep(options) => keeper::run(options).await,
    }
}

/// A model that is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Choice {
    /// One of those that are known here.
    Profile(Profile),
    /// A file of the developer's own.
    Own(PathBuf),
}

impl Choice {
    /// What is asked for, as the record keeps it.
    pub fn key(&self) -> String {
        match self {
            Self::Profile(profile) => profile
                .to_possible_value()
                .map(|value| value.get_name().to_owned())
                .unwrap_or_default(),
            Self::Own(path) => path.display().to_string(),
        }
    }

    /// The model's name for people.
    pub fn name(&self) -> String {
        match self {
            Self::Profile(profile) => profile
                .weights()
                .map_or_else(|| "none".to_owned(), |weights| weights.name.to_owned()),
            Self::Own(path) => path.file_name().map_or_else(
                || path.display().to_string(),
                |name| name.to_string_lossy().into_owned(),
            ),
        }
    }

    fn arguments(&self, command: &mut Command) {
        match self {
            Self::Profile(_) => command.args(["--model", &self.key()]),
            Self::Own(path) => command.arg("--path").arg(path),
        };
    }
}

/// Where content generation finds its models in this cloud.
#[derive(Clone, Debug, PartialEq)]
pub enum Provision {
    /// The developer's own list of endpoints.
    Given(Value),
    /// The local model.
    Local(Choice),
    /// Nowhere.
    Nothing,
}

impl Provision {
    /// What an option and the environment choose together; what is wrong with it is said before anything is
    /// built.
    pub fn chosen(option: Option<Profile>) -> Outcome<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(path) = variable(targets::VARIABLE) {
            return targets::read(Path::new(&path)).map(Self::Given);
        }
        let profile = variable(PROFILE_VARIABLE)
            .map(|name| profile(&name.to_string_lossy()))
            .transpose()?;
        Self::of(option, profile, variable(PATH_VARIABLE).map(PathBuf::from))
    }

    fn of(
        option: Option<Profile>,
        variable: Option<Profile>,
        path: Option<PathBuf>,
    ) -> Outcome<Self> {
        let profile = option.or(variable).unwrap_or_default();
        match path {
            _ if profile == Profile::None => Ok(Self::Nothing),
            Some(path) if option.is_none() => {
                let path = path
                    .canonicalize()
                    .during(format_args!("{PATH_VARIABLE}, {}", path.display()))?;
                weights::require_gguf(&path)?;
                Ok(Self::Local(Choice::Own(path)))
            }
            _ => Ok(Self::Local(Choice::Profile(profile))),
        }
    }

    /// Tells a cloud that was brought up where its models are, and has the local one kept for it. A cloud
    /// without a model is a cloud all the same: what goes wrong here is told and no more.
    pub async fn bring(&self, layout: &Layout, cloud: Option<&str>) {
        let kept = match self {
            Self::Local(choice) => keeper::ensure(layout, choice, cloud),
            Self::Given(list) => keeper::stop(layout).and_then(|()| given(list).write(layout)),
            Self::Nothing => keeper::stop(layout),
        };
        let outcome = match kept {
            Ok(()) => self.publish(layout).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = outcome {
            note(format_args!("{:>10}  {failure}", "model"));
        }
    }

    /// Tells a cloud again, after its stack was changed.
    pub async fn publish(&self, layout: &Layout) -> Outcome {
        let given = match self {
            Self::Given(list) => Some(list),
            Self::Local(_) | Self::Nothing => None,
        };
        if targets::publish(layout, given).await? == Published::NoSecret {
            note(format_args!(
                "{:>10}  the stack has no list of model endpoints, so nothing asks for one",
                "model"
            ));
        }
        Ok(())
    }
}

fn given(list: &Value) -> Record {
    Record {
        choice: targets::VARIABLE.to_owned(),
        model: String::new(),
        phase: Phase::Given {
            endpoints: list.as_array().map_or(0, Vec::len),
        },
    }
}

/// How far the model of a cloud is.
pub fn words(layout: &Layout) -> String {
    Record::read(layout).map_or_else(|| "none".to_owned(), |record| record.words())
}

fn profile(name: &str) -> Outcome<Profile> {
    Profile::from_str(name, true).map_err(|_| {
        let all = Profile::value_variants().iter();
        let all: Vec<_> = all.map(|one| Choice::Profile(*one).key()).collect();
        Failure::new(format!("{PROFILE_VARIABLE} is none of {}", all.join(", ")))
    })
}

/// The local model that is asked for by a command that needs one.
fn require(option: Option<Profile>) -> Outcome<Choice> {
    match Provision::chosen(option)? {
        Provision::Local(choice) => Ok(choice),
        Provision::Given(_) => Err(Failure::new(format!(
            "{} takes the place of the local model",
            targets::VARIABLE
        ))
        .remedy("unset it for this command")),
        Provision::Nothing => Err(Failure::new("no model is wanted: there is nothing to do")),
    }
}

/// Installs with the progress shown.
pub async fn install_now(layout: &Layout, choice: &Choice) -> Outcome<install::Installed> {
    std::fs::create_dir_all(layout.model()).during("making the model's directory")?;
    let step = Step::start("model", format_args!("installing {}", choice.name()));
    let installed = install::install(layout, choice, |percent, doing| {
        step.detail(format_args!("{percent} %, {doing}"));
        Ok(())
    })
    .await?;
    step.done(format_args!("{} is installed", installed.name));
    Ok(installed)
}

#[cfg(test)]
pub(crate) mod testing {
    use std::{fs, path::PathBuf};

    /// An empty directory for one test.
    pub fn scratch(name: &str) -> PathBuf {
        let home = std::env::temp_dir().join(format!("fleet-model-{}-{name}", std::process::id()));
        let _absent = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).unwrap();
        home
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::testing::scratch;

    #[test]
    fn an_option_goes_before_the_environment_and_none_before_everything() {
        let own = scratch("own").join("my.gguf");
        fs::write(&own, b"GGUF....").unwrap();
        let local = |profile| Provision::Local(Choice::Profile(profile));
        let of = |option, variable, path: Option<&PathBuf>| {
            Provision::of(option, variable, path.cloned()).unwrap()
        };

        assert_eq!(of(None, None, None), local(Profile::Default));
        assert_eq!(
            of(None, Some(Profile::Better), None),
            local(Profile::Better)
        );
        assert_eq!(
            of(Some(Profile::Tiny), Some(Profile::Better), Some(&own)),
            local(Profile::Tiny)
        );
        assert_eq!(
            of(None, None, Some(&own)),
            Provision::Local(Choice::Own(own.canonicalize().unwrap()))
        );
        assert_eq!(
            of(Some(Profile::None), None, Some(&own)),
            Provision::Nothing
        );
        assert_eq!(
            of(None, Some(Profile::None), Some(&own)),
            Provision::Nothing
        );
    }

    #[test]
    fn a_model_of_ones_own_that_is_none_is_refused_before_anything_is_built() {
        let home = scratch("none");
        fs::write(home.join("page.gguf"), b"<html>").unwrap();

        for path in [home.join("page.gguf"), home.join("absent.gguf")] {
            Provision::of(None, None, Some(path)).unwrap_err();
        }
    }

    #[test]
    fn a_profile_that_does_not_exist_is_answered_with_those_there_are() {
        let refused = profile("huge").unwrap_err().to_string();

        assert!(refused.contains("default, better, tiny, none"), "{refused}");
        assert_eq!(profile("tiny").unwrap(), Profile::Tiny);
    }
}
