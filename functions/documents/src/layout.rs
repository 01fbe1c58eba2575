//! What a document is laid out by: the template that a request names, found and ready for its data.

use serde_json::Value;

use crate::check::{self, Checked, Fault};
use crate::format::Format;
use crate::template::Template;

/// A template that a request named.
#[derive(Clone, Debug)]
pub enum Layout {
    /// One that every organisation has.
    BuiltIn(Template),
}

impl Layout {
    /// The name or id that records and events carry.
    pub fn name(&self) -> String {
        match self {
            Self::BuiltIn(template) => template.name().to_owned(),
        }
    }

    /// The version that documents are made with. A built-in template changes only with the fleet, so its
    /// version is always the first.
    pub fn version(&self) -> u32 {
        match self {
            Self::BuiltIn(_) => 1,
        }
    }

    /// What its data must look like (JSON Schema 2020-12).
    pub fn schema(&self) -> &Value {
        match self {
            Self::BuiltIn(template) => template.schema(),
        }
    }

    /// Whether it can become a file of this kind.
    pub fn takes(&self, format: Format) -> bool {
        match self {
            Self::BuiltIn(_) => format == Format::Pdf,
        }
    }

    /// The data with its computed part, or every fault in it.
    ///
    /// # Errors
    /// The faults, at least one.
    pub fn check(&self, data: Value) -> Result<Checked, Vec<Fault>> {
        match self {
            Self::BuiltIn(template) => check::check(*template, data),
        }
    }
}
