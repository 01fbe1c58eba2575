//! The environment: read once, before serving, so that a missing variable fails the start and not the
//! thousandth request.

/// The variables of the process.
#[derive(Clone, Copy, Debug)]
pub struct Environment(());

/// A variable that the function cannot start without.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {name} is not set")]
pub struct ConfigError {
    /// Which.
    pub name: &'static str,
}

impl Environment {
    pub(crate) const fn of_process() -> Self {
        Self(())
    }

    /// A variable that must be there.
    pub fn require(self, name: &'static str) -> Result<String, ConfigError> {
        self.optional(name).ok_or(ConfigError { name })
    }

    /// A variable that may be absent or empty.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    pub fn optional(self, name: &'static str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
}
