//! The goals: each is told where it was measured, and all of them together at the end.

use fleet::console::say;

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

    /// A goal of which nothing can be said, and why.
    pub fn unmeasured(&mut self, what: &str, why: &str) {
        let line = format!("{what}: {why}");
        say(format_args!("goal  {line}: not measured"));
        self.unmeasured.push(line);
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
