//! The goals: each is told where it was measured, and all of them together at the end.

use fleet::{Failure, Outcome, console::say};

use crate::storm::apart;

/// Faults of a kind that are shown at the most.
const SHOWN: usize = 5;

/// What has become of the goals so far.
#[derive(Default)]
pub struct Report {
    met: usize,
    missed: Vec<String>,
    unmeasured: Vec<String>,
}

impl Report {
    /// Holds a figure against what it has to stay below.
    pub fn below(&mut self, what: &str, value: f64, limit: f64, unit: &str) {
        let line = format!("{what}: {value:.2} {unit}, goal below {limit:.2}");
        if value < limit {
            self.met += 1;
            say(format_args!("goal  {line}: met"));
        } else {
            say(format_args!("goal  {line}: MISSED by {:.2}", value - limit));
            self.missed.push(line);
        }
    }

    /// Holds faults against none at all; some of them are shown.
    pub fn none(&mut self, what: &str, faults: &[String]) {
        let line = format!("{what}: {}", faults.len());
        self.flawless(line, faults);
    }

    /// Holds things against those that have to be there, each as often as it stands there.
    pub fn same(&mut self, what: &str, found: &[String], wanted: &[String]) {
        let (missing, more) = apart(found, wanted);
        let line = format!(
            "{what}: {} of {}, {} missing, {} too many",
            found.len(),
            wanted.len(),
            missing.len(),
            more.len()
        );
        self.flawless(line, &[missing, more].concat());
    }

    fn flawless(&mut self, line: String, faults: &[String]) {
        if faults.is_empty() {
            self.met += 1;
            say(format_args!("goal  {line}: met"));
        } else {
            let shown = faults[..faults.len().min(SHOWN)].join("; ");
            say(format_args!("goal  {line}: MISSED, {shown}"));
            self.missed.push(line);
        }
    }

    /// A goal of which nothing can be said, and why.
    pub fn unmeasured(&mut self, what: &str, why: &str) {
        let line = format!("{what}: {why}");
        say(format_args!("goal  {line}: not measured"));
        self.unmeasured.push(line);
    }

    /// Fails if a goal was missed.
    ///
    /// # Errors
    /// How many were.
    pub fn all_met(&self) -> Outcome {
        match self.missed.len() {
            0 => Ok(()),
            missed => Err(Failure::new(format!("{missed} goals were missed"))),
        }
    }

    /// The sum.
    pub fn end(&self) {
        say(format_args!(
            "\ngoals: {} met, {} missed, {} not measured",
            self.met,
            self.missed.len(),
            self.unmeasured.len()
        ));
        for line in &self.missed {
            say(format_args!("  missed        {line}"));
        }
        for line in &self.unmeasured {
            say(format_args!("  not measured  {line}"));
        }
    }
}
