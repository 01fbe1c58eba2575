//! What a command says when it cannot go on: what happened, and what the developer can do about it.

use std::fmt;

/// The result of everything a command does.
pub type Outcome<T = ()> = Result<T, Failure>;

/// A failed step. It is shown once, by `main`.
#[derive(Debug)]
pub struct Failure {
    what: String,
    remedy: Option<String>,
}

impl Failure {
    /// A failure with nothing to advise.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: None,
        }
    }

    /// Adds what the developer can do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)?;
        match &self.remedy {
            Some(remedy) => write!(out, "\n  {remedy}"),
            None => Ok(()),
        }
    }
}

/// Says what was being done when an error came.
pub trait While<T> {
    /// Turns the error into a failure that begins with `doing`.
    fn during(self, doing: impl fmt::Display) -> Outcome<T>;
}

impl<T, E: std::error::Error> While<T> for Result<T, E> {
    fn during(self, doing: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| {
            let mut what = format!("{doing}: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                what = format!("{what}: {cause}");
                source = cause.source();
            }
            Failure::new(what)
        })
    }
}
