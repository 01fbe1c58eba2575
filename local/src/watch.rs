//! `fleet up --watch`: sees that a source changed and brings it live.

use std::{
    fs,
    path::Path,
    time::{Instant, SystemTime},
};

use crate::{
    bring, compile, console::note, deploy::Deployment, emulator::Emulator, layout::Layout,
};

const WATCHED: [&str; 3] = ["functions", "shared", "template.yaml"];

/// When the sources last changed, and how many they are (a removal changes no time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    newest: Option<SystemTime>,
    files: usize,
}

/// The sources as they are now.
pub fn state(layout: &Layout) -> State {
    let mut state = State {
        newest: None,
        files: 0,
    };
    for name in WATCHED {
        visit(&layout.root().join(name), &mut state);
    }
    state
}

fn visit(path: &Path, state: &mut State) {
    if let Ok(entries) = fs::read_dir(path) {
        entries
            .flatten()
            .for_each(|entry| visit(&entry.path(), state));
    } else if let Ok(modified) = fs::metadata(path).and_then(|metadata| metadata.modified()) {
        state.files += 1;
        state.newest = state.newest.max(Some(modified));
    }
}

/// Brings a change live. A build that fails is told and waits for the next save; the fleet keeps running.
pub async fn turn(layout: &Layout, deployment: &Deployment, emulator: &Emulator, seen: &mut State) {
    let now = state(layout);
    if now == *seen {
        return;
    }
    *seen = now;
    let started = Instant::now();
    let result = match compile::workspace(layout) {
        Ok(()) => bring::bring(layout, deployment, emulator)
            .await
            .map(|_outputs| ()),
        Err(failure) => Err(failure),
    };
    match result {
        Ok(()) => note(format_args!(
            "{:>10}  {:.1} s after the save",
            "live",
            started.elapsed().as_secs_f32()
        )),
        Err(failure) => note(format_args!("{:>10}  {failure}", "not live")),
    }
}
