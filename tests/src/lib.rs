//! The whole fleet in one process, and the same stories over HTTP.
//!
//! [`Fleet`] wires every capability to memory ports as its binaries wire it to AWS, with a gateway that
//! asks the real authorizer and with the streams, the bus and the queue between them. [`cloud::Cloud`] is
//! the running local cloud as a front end sees it.

pub mod cloud;
pub mod template;

mod description;
mod fleet;
mod pool;

pub use description::{access, description};
pub use fleet::{Fleet, Person};
