//! The one HTTP client of a process, for everything outside AWS.

use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);

/// How long a call may take by default; a caller with less time left sets its own on the request.
const TOTAL: Duration = Duration::from_secs(5);

/// A client with ring as its TLS back end and the roots compiled in, because parsing the system's takes
/// longer than the rest of a cold start. It follows no redirects: an address that was checked must not
/// lead to one that was not.
///
/// # Errors
/// If the client cannot be built, which is a mistake in the program.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that builds an HTTP client"
)]
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let tls = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}
