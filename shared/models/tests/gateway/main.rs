//! The gateway over real sockets: what it answers, what it survives, what it pays.

mod answers;
mod faults;
mod money;
mod storm;
mod support;
