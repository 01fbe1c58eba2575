//! Pins what the fleet relies on the emulator for. An upgrade of the emulator, or of the patches over it, passes
//! here or does not come in.
//!
//! With `FLEET_OUTPUTS` the suite deploys its own stack beside the fleet's in the cloud that is already up; without
//! it, it starts a cloud of its own and stops it at the end.

#![expect(clippy::unwrap_used, reason = "in a test a surprise is a failure")]

mod cloud;
mod cognito;
mod gateway;
mod permissions;
mod queues;
mod sources;
mod streams;
mod websocket;
