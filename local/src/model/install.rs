//! Brings everything here that a model needs: its server first, because whether that can be built is known
//! before half a gigabyte is fetched.

use std::path::PathBuf;

use crate::{
    console::note,
    failure::{Failure, Outcome},
    layout::Layout,
    model::{
        Choice,
        progress::Progress,
        server,
        store::Store,
        weights::{Profile, Weights},
    },
};

/// What fetching a model weighs in a plan, in rough seconds for half a gigabyte.
const FETCH_WEIGHT: u64 = 60;

/// A model that can be started.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The server's program.
    pub program: PathBuf,
    /// The model's file.
    pub weights: PathBuf,
    /// The model's name for people. It is another than the one asked for when that could not be had.
    pub name: String,
}

/// What is here already, if it is all that the choice needs.
pub fn installed(layout: &Layout, choice: &Choice) -> Outcome<Option<Installed>> {
    let store = Store::of(layout);
    let weights = match choice {
        Choice::Own(path) => Some(path.clone()),
        Choice::Profile(profile) => profile
            .weights()
            .and_then(|weights| weights.installed(&store)),
    };
    let program = server::installed(layout, &store)?;
    Ok(program.zip(weights).map(|(program, weights)| Installed {
        program,
        weights,
        name: choice.name(),
    }))
}

/// Installs what is missing. `tell` hears how far it is, and stops it by failing.
pub async fn install(
    layout: &Layout,
    choice: &Choice,
    mut tell: impl FnMut(u8, &str) -> Outcome,
) -> Outcome<Installed> {
    if let Some(installed) = installed(layout, choice)? {
        return Ok(installed);
    }
    let store = Store::of(layout);
    let _alone = store.lock(|| tell(0, "waiting for another checkout that installs"))?;
    let builds = server::installed(layout, &store)?.is_none();
    let total = FETCH_WEIGHT + if builds { server::WEIGHT } else { 0 };
    let mut progress = Progress::new(total, tell);
    let program = server::install(layout, &store, &mut progress)?;
    progress.step(FETCH_WEIGHT, "fetching the model")?;
    let (weights, name) = match choice {
        Choice::Own(path) => (path.clone(), choice.name()),
        Choice::Profile(profile) => fetch(layout, &store, *profile, &mut progress).await?,
    };
    Ok(Installed {
        program,
        weights,
        name,
    })
}

/// The model of a profile; the tiny one when that cannot be had.
async fn fetch(
    layout: &Layout,
    store: &Store,
    profile: Profile,
    progress: &mut Progress<'_>,
) -> Outcome<(PathBuf, String)> {
    let named = |weights: &Weights, path: PathBuf| (path, weights.name.to_owned());
    let Some(wanted) = profile.weights() else {
        return Err(Failure::new("no model is wanted"));
    };
    let failure = match wanted.install(layout, store, progress).await {
        Ok(path) => return Ok(named(wanted, path)),
        Err(failure) => failure,
    };
    match Profile::Tiny.weights() {
        Some(tiny) if tiny.sha256 != wanted.sha256 && progress.go_on().is_ok() => {
            note(format_args!(
                "{:>10}  {failure}; taking {} instead",
                "model", tiny.name
            ));
            let path = tiny.install(layout, store, progress).await;
            path.map(|path| named(tiny, path)).map_err(|_| failure)
        }
        _ => Err(failure),
    }
}
