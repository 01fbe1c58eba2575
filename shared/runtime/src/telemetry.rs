//! Logs as JSON lines with correlation ids. Never a body, a token or an address.

use tracing_subscriber::EnvFilter;

use crate::Environment;

/// Starts logging and gives access to the environment: the first line of every `main`.
///
/// The level comes from `RUST_LOG` (default `info`), in `tracing`'s filter syntax.
pub fn start() -> Environment {
    let environment = Environment::of_process();
    let filter = environment
        .optional("RUST_LOG")
        .unwrap_or_else(|| "info".to_owned());
    // A second start in the same process (a test) keeps the first subscriber.
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(EnvFilter::new(filter))
        .try_init();
    if started.is_err() {
        tracing::debug!("logging had been started before");
    }
    install_tls();
    environment
}

/// Ring is the process's one TLS back end: aws-lc spends 40 ms on entropy at the first handshake.
fn install_tls() {
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS back end had been installed before");
    }
}
