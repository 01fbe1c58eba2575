//! What the others stand on: the outbox that brings events to the bus, health, and the description of
//! the API with a page to read it on.
//!
//! **In:** the changes of every table with an outbox. **Out:** every event of the fleet.

pub mod api;
pub mod docs;
pub mod outbox;
