//! Documents: a template and data become a PDF that anybody can archive and read.

pub mod check;
pub mod iban;
pub mod invoice;
pub mod job;
pub mod renderer;
pub mod template;
pub mod typeset;
