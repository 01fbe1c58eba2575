//! Failures on purpose, so that a test can cut a use case at any call.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::{Port, PortError};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens.
    Before,
    /// It happens, but the answer is lost.
    After,
    /// Nothing happens; the service says to come back later.
    Throttled,
}

/// The faults that a memory adapter still has to commit, and how many calls it has seen.
#[derive(Debug)]
pub struct Faults {
    port: Port,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: usize,
    coming: VecDeque<(usize, Fault)>,
}

impl Faults {
    /// No fault yet.
    pub fn of(port: Port) -> Self {
        Self {
            port,
            state: Mutex::default(),
        }
    }

    /// The call number `call`, counted from the next one as 0, will fail.
    pub fn fail_call(&self, call: usize, fault: Fault) {
        let mut state = self.lock();
        let at = state.calls + call;
        state.coming.push_back((at, fault));
    }

    /// The next call will fail.
    pub fn fail_next(&self, fault: Fault) {
        self.fail_call(0, fault);
    }

    /// How many calls there were, to assert what a use case costs.
    pub fn calls(&self) -> usize {
        self.lock().calls
    }

    /// Counts a call and gives the fault that it has to commit.
    pub(crate) fn enter(&self) -> Result<Ending, PortError> {
        let mut state = self.lock();
        let call = state.calls;
        state.calls += 1;
        let due = state.coming.iter().position(|(at, _)| *at == call);
        match due
            .and_then(|i| state.coming.remove(i))
            .map(|(_, fault)| fault)
        {
            None => Ok(Ending { lost: None }),
            Some(Fault::After) => Ok(Ending {
                lost: Some(self.unavailable("the answer was lost on purpose")),
            }),
            Some(Fault::Before) => Err(self.unavailable("failed on purpose")),
            Some(Fault::Throttled) => Err(PortError::Throttled {
                port: self.port,
                cause: "throttled on purpose".into(),
            }),
        }
    }

    fn unavailable(&self, cause: &str) -> PortError {
        PortError::Unavailable {
            port: self.port,
            cause: cause.into(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of a call's answer once its effect has happened.
#[derive(Debug)]
#[must_use = "an answer that is lost on purpose has to be lost"]
pub(crate) struct Ending {
    lost: Option<PortError>,
}

impl Ending {
    /// The answer, or the failure that takes its place.
    pub(crate) fn answer<T>(self, answer: T) -> Result<T, PortError> {
        self.lost.map_or(Ok(answer), Err)
    }
}
