//! The ports on AWS: the only crate that names an SDK.
