//! Collects everything that is wrong with a body, so that its sender hears it all at once.

use domain::Text;

use crate::problem::{self, FieldError, Problem};

/// The errors of one body.
#[derive(Debug, Default)]
pub struct Fields(Vec<FieldError>);

impl Fields {
    /// Nothing wrong so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes what is wrong with the value at a JSON Pointer.
    pub fn wrong(&mut self, pointer: impl Into<String>, detail: Text) {
        self.0.push(FieldError {
            pointer: pointer.into(),
            detail,
        });
    }

    /// Notes an error unless the condition holds.
    pub fn check(&mut self, holds: bool, pointer: &str, detail: Text) {
        if !holds {
            self.wrong(pointer, detail);
        }
    }

    /// The value, or a note of why there is none.
    pub fn take<T, E>(
        &mut self,
        pointer: &str,
        value: Result<T, E>,
        detail: impl FnOnce(E) -> Text,
    ) -> Option<T> {
        value
            .map_err(|error| self.wrong(pointer, detail(error)))
            .ok()
    }

    /// Goes on if nothing was wrong.
    ///
    /// # Errors
    /// `validation_failed` with every pointer.
    pub fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Problem::new(&problem::VALIDATION_FAILED).fields(self.0))
        }
    }
}
