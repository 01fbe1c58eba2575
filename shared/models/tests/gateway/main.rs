//! The gateway over real sockets: what it answers, what it survives, what it pays.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod faults;
mod money;
mod storm;
mod support;
