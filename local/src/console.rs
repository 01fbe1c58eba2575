//! The only place that prints. Results go to the standard output, progress to the standard error, so that
//! `cargo fleet mail --json | …` stays clean.

use std::{
    fmt::Display,
    io::{IsTerminal, Write, stderr, stdout},
    time::{Duration, Instant},
};

/// One line of result. A reader that has gone away is no error.
pub fn say(line: impl Display) {
    let _closed = writeln!(stdout(), "{line}");
}

/// One line of progress.
pub fn note(line: impl Display) {
    let _closed = writeln!(stderr(), "{line}");
}

/// A named step with its time; `detail` may overwrite its line while it goes on.
pub struct Step {
    name: &'static str,
    started: Instant,
    live: bool,
}

impl Step {
    /// Announces the step.
    pub fn start(name: &'static str, detail: impl Display) -> Self {
        let live = stderr().is_terminal();
        let step = Self {
            name,
            started: Instant::now(),
            live,
        };
        if live {
            step.detail(detail);
        } else {
            note(format_args!("{name:>10}  {detail}"));
        }
        step
    }

    /// Shows how far the step is. Without a terminal only the end is told.
    pub fn detail(&self, detail: impl Display) {
        if self.live {
            let _closed = write!(stderr(), "\r\x1b[2K{:>10}  {detail}", self.name);
            let _closed = stderr().flush();
        }
    }

    /// Ends the step with what came out of it.
    pub fn done(self, result: impl Display) -> Duration {
        let took = self.started.elapsed();
        let start = if self.live { "\r\x1b[2K" } else { "" };
        note(format_args!(
            "{start}{:>10}  {result} ({:.1} s)",
            self.name,
            took.as_secs_f32()
        ));
        took
    }
}
