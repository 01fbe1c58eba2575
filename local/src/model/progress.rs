//! How far an installation is, as one number for people.

use crate::failure::{Failure, Outcome};

/// Who is told a percentage and what is being done.
type Tell<'a> = Box<dyn FnMut(u8, &str) -> Outcome + 'a>;

/// A plan of weighted steps that tells its percentage. Whoever is told may stop it by failing.
pub struct Progress<'a> {
    tell: Tell<'a>,
    total: u64,
    done: u64,
    step: u64,
    stopped: Option<String>,
}

impl<'a> Progress<'a> {
    /// A plan of steps that weigh so much together.
    pub fn new(total: u64, tell: impl FnMut(u8, &str) -> Outcome + 'a) -> Self {
        Self {
            tell: Box::new(tell),
            total: total.max(1),
            done: 0,
            step: 0,
            stopped: None,
        }
    }

    /// Ends the step before and begins one of this weight, unless it was stopped.
    pub fn step(&mut self, weight: u64, doing: &str) -> Outcome {
        self.done += self.step;
        self.step = weight;
        self.share(0, 1, doing);
        self.go_on()
    }

    /// Tells that the step is so far, `part` of `whole`.
    pub fn share(&mut self, part: u64, whole: u64, doing: &str) {
        let inside = self.step * 100 * part.min(whole) / whole.max(1);
        let percent = (self.done * 100 + inside) / self.total;
        let percent = u8::try_from(percent.min(99)).unwrap_or(99);
        if let Err(failure) = (self.tell)(percent, doing) {
            self.stopped = Some(failure.to_string());
        }
    }

    /// Fails when it was stopped.
    pub fn go_on(&self) -> Outcome {
        match &self.stopped {
            Some(why) => Err(Failure::new(why)),
            None => Ok(()),
        }
    }
}

/// `part` and `whole` of a line such as `[87/206] Building CXX object …`, as ninja writes it.
pub fn ninja(line: &str) -> Option<(u64, u64)> {
    let (counts, _rest) = line.strip_prefix('[')?.split_once(']')?;
    let (part, whole) = counts.split_once('/')?;
    Some((part.trim().parse().ok()?, whole.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentage_grows_with_the_weight_of_the_steps_and_ends_below_a_hundred() {
        let mut told = Vec::new();
        let mut progress = Progress::new(10, |percent, doing| {
            told.push((percent, doing.to_owned()));
            Ok(())
        });

        progress.step(2, "fetching").unwrap();
        progress.step(8, "compiling").unwrap();
        progress.share(103, 206, "compiling");
        progress.share(206, 206, "compiling");

        drop(progress);
        let percents: Vec<_> = told.iter().map(|(percent, _)| *percent).collect();
        assert_eq!(percents, [0, 20, 60, 99]);
        assert_eq!(told[0].1, "fetching");
    }

    #[test]
    fn a_count_larger_than_its_whole_does_not_overflow() {
        let mut last = 0;
        let mut progress = Progress::new(1, |percent, _| {
            last = percent;
            Ok(())
        });

        progress.step(1, "").unwrap();
        progress.share(9, 3, "");

        drop(progress);
        assert_eq!(last, 99);
    }

    #[test]
    fn whoever_is_told_can_stop_it() {
        let mut progress = Progress::new(2, |_, doing| match doing {
            "compiling" => Err(Failure::new("stopped")),
            _ => Ok(()),
        });

        progress.step(1, "fetching").unwrap();
        progress.share(1, 2, "compiling");

        assert_eq!(progress.go_on().unwrap_err().to_string(), "stopped");
        progress.step(1, "starting").unwrap_err();
    }

    #[test]
    fn ninjas_counter_is_read_and_nothing_else() {
        assert_eq!(ninja("[87/206] Building CXX object x.o"), Some((87, 206)));
        assert_eq!(ninja("[ 43%] Building"), None);
        assert_eq!(ninja("FAILED: x.o"), None);
        assert_eq!(ninja("[a/b] x"), None);
    }
}
