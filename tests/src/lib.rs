//! The whole fleet in one process, and the same stories over HTTP.
