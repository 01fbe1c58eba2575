//! W3C trace context (<https://www.w3.org/TR/trace-context/>): one trace from the front end's request to
//! the last consumer of its last event.

use std::fmt;
use std::future::Future;
use std::str::FromStr;

use ports::ids::Ids;

tokio::task_local! {
    static CURRENT: TraceParent;
}

/// A `traceparent` header of version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    parent: u64,
    sampled: bool,
}

/// A text is not a `traceparent` that this version of the standard can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct TraceError;

impl TraceParent {
    /// A new trace.
    pub fn start(ids: &dyn Ids) -> Self {
        // An all-zero id is invalid by the standard, so the lowest bit is set.
        Self {
            trace: u128::from_be_bytes(ids.octets()) | 1,
            parent: u64::from_be_bytes(ids.octets()) | 1,
            sampled: true,
        }
    }

    /// The same trace, one step further.
    #[must_use]
    pub fn child(self, ids: &dyn Ids) -> Self {
        Self {
            parent: u64::from_be_bytes(ids.octets()) | 1,
            ..self
        }
    }

    /// The trace's id, 32 hexadecimal digits.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }
}

impl FromStr for TraceParent {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        let parts: Vec<&str> = text.trim().split('-').collect();
        let [version, trace, parent, flags, ..] = parts[..] else {
            return Err(TraceError);
        };
        let lengths =
            version.len() == 2 && trace.len() == 32 && parent.len() == 16 && flags.len() == 2;
        let lower = text.bytes().all(|b| !b.is_ascii_uppercase());
        if !lengths || !lower || version == "ff" || (version == "00" && parts.len() != 4) {
            return Err(TraceError);
        }
        let trace = u128::from_str_radix(trace, 16).map_err(|_| TraceError)?;
        let parent = u64::from_str_radix(parent, 16).map_err(|_| TraceError)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| TraceError)?;
        if trace == 0 || parent == 0 {
            return Err(TraceError);
        }
        Ok(Self {
            trace,
            parent,
            sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace,
            self.parent,
            u8::from(self.sampled)
        )
    }
}

/// The trace of the request or message being handled, for events and outgoing calls.
pub fn current() -> Option<String> {
    CURRENT.try_with(ToString::to_string).ok()
}

/// Runs a future inside a trace.
pub async fn within<F: Future>(trace: TraceParent, future: F) -> F::Output {
    CURRENT.scope(trace, future).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_standards_own_example_survives_its_text() {
        assert_eq!(EXAMPLE.parse::<TraceParent>().unwrap().to_string(), EXAMPLE);
    }

    #[test]
    fn what_the_standard_calls_invalid_starts_no_trace() {
        for text in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(TraceError), "{text}");
        }
    }

    #[tokio::test]
    async fn a_trace_is_current_only_inside_its_scope() {
        let inside = within(EXAMPLE.parse().unwrap(), async { current() }).await;

        assert_eq!(inside.as_deref(), Some(EXAMPLE));
        assert_eq!(current(), None);
    }
}
