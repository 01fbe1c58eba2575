//! The whole cloud on one machine: builds the functions, starts the emulator, deploys `template.yaml` to it
//! and shows what goes on inside. One module a subcommand; the rest is what they share.

pub mod bench;
pub mod bring;
pub mod check;
pub mod cloud;
pub mod compile;
pub mod console;
pub mod demo;
pub mod deploy;
pub mod down;
pub mod emulator;
pub mod failure;
pub mod invoke;
pub mod layout;
pub mod logs;
pub mod mail;
pub mod model;
pub mod node;
pub mod outputs;
pub mod package;
pub mod passing;
pub mod person;
pub mod port;
pub mod python;
pub mod refusals;
pub mod socket;
pub mod stack;
pub mod status;
pub mod template;
pub mod testing;
pub mod token;
pub mod up;
pub mod watch;
pub mod yaml;

pub use failure::{Failure, Outcome};
