//! Looking for what harms.
//!
//! The engine is a trait: [`Signatures`] reads every octet itself, [`Elsewhere`] leaves it to a service
//! that sends its result as an event (Amazon `GuardDuty` Malware Protection for S3).

mod archive;
mod signatures;

pub use signatures::Signatures;

/// What an engine is told before the first octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// How many octets are to come.
    pub bytes: u64,
    /// Whether the file holds other files.
    pub is_archive: bool,
}

/// What an engine found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Clean,
    /// Something harmful, by this name.
    Infected(String),
    /// It could not look; a stable word says why.
    Failed(&'static str),
}

/// A way to look into files.
pub trait Engine: Send + Sync {
    /// Begins to look into a file. Nothing if the verdict comes as an event, from elsewhere.
    fn begin(&self, content: Content) -> Option<Box<dyn Scan>>;
}

/// A file being looked into, piece by piece in order.
pub trait Scan: Send {
    /// The next octets.
    fn feed(&mut self, octets: &[u8]);

    /// What was found in all of them.
    fn verdict(self: Box<Self>) -> Verdict;
}

/// A service that looks into the store by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Elsewhere;

impl Engine for Elsewhere {
    fn begin(&self, _: Content) -> Option<Box<dyn Scan>> {
        None
    }
}
