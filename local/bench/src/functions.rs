//! How each function starts, how large it is, and what the platform's layer costs a request.

use std::path::Path;

use fleet::{Outcome, console::say, failure::While};

use crate::{
    figures::{megabytes, micros, millis, quantile},
    lambda::Function,
    report::Report,
};

/// Megabytes that a function's program may have.
const LARGEST: f64 = 15.0;

/// Every function with the variables that its start demands.
const FUNCTIONS: [(&str, &[(&str, &str)]); 17] = [
    (
        "auth-api",
        &[
            ("AUTH_TABLE", "bench"),
            ("REQUESTS_TABLE", "bench"),
            ("USER_POOL_ID", "eu-west-1_bench"),
            ("USER_POOL_CLIENT_ID", "bench"),
            ("SESSION_KEY_ID", "bench"),
            ("REFRESH_SECRET_ID", "bench"),
        ],
    ),
    ("auth-triggers", &[]),
    (
        "authorizer",
        &[
            ("AUTH_TABLE", "bench"),
            ("USERS_TABLE", "bench"),
            (
                "TOKEN_ISSUER",
                "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_bench",
            ),
            ("USER_POOL_CLIENT_ID", "bench"),
            ("JWKS_URL", "http://127.0.0.1:9/jwks.json"),
            ("REQUESTS_TABLE", "bench"),
            ("REFRESH_SECRET_ID", "bench"),
        ],
    ),
    (
        "users-api",
        &[
            ("AUTH_TABLE", "bench"),
            ("USERS_TABLE", "bench"),
            ("REQUESTS_TABLE", "bench"),
        ],
    ),
    (
        "users-worker",
        &[("AUTH_TABLE", "bench"), ("USERS_TABLE", "bench")],
    ),
    (
        "documents-api",
        &[
            ("DOCUMENTS_TABLE", "bench"),
            ("DOCUMENTS_BUCKET", "bench"),
            ("REQUESTS_TABLE", "bench"),
            ("RENDERER", "documents-render"),
        ],
    ),
    (
        "documents-worker",
        &[
            ("CONTENT_TABLE", "bench"),
            ("DOCUMENTS_TABLE", "bench"),
            ("DOCUMENTS_BUCKET", "bench"),
            ("DOCUMENT_JOBS_URL", "http://127.0.0.1:9/jobs"),
            ("CHANNELS_TABLE", "bench"),
            ("SOCKET_ENDPOINT", "http://127.0.0.1:9/socket"),
            ("RENDERER", "documents-render"),
        ],
    ),
    (
        "ai-api",
        &[
            ("AI_TABLE", "bench"),
            ("AI_JOBS_URL", "http://127.0.0.1:9/jobs"),
            ("CONTENT_TABLE", "bench"),
            ("MODELS_SECRET_ID", "bench"),
            ("REQUESTS_TABLE", "bench"),
        ],
    ),
    (
        "ai-worker",
        &[
            ("AI_TABLE", "bench"),
            ("AI_JOBS_URL", "http://127.0.0.1:9/jobs"),
            ("CONTENT_TABLE", "bench"),
            ("MODELS_SECRET_ID", "bench"),
            ("CHANNELS_TABLE", "bench"),
            ("SOCKET_ENDPOINT", "http://127.0.0.1:9/socket"),
        ],
    ),
    (
        "content-api",
        &[
            ("CONTENT_TABLE", "bench"),
            ("MODELS_SECRET_ID", "bench"),
            ("CONTENT_JOBS_URL", "http://127.0.0.1:9/jobs"),
            ("REQUESTS_TABLE", "bench"),
        ],
    ),
    (
        "content-worker",
        &[
            ("CONTENT_JOBS_URL", "http://127.0.0.1:9/jobs"),
            ("DOCUMENTS_TABLE", "bench"),
            ("CONTENT_TABLE", "bench"),
            ("MODELS_SECRET_ID", "bench"),
            ("CHANNELS_TABLE", "bench"),
            ("SOCKET_ENDPOINT", "http://127.0.0.1:9/socket"),
        ],
    ),
    (
        "notifications-api",
        &[
            ("CHANNELS_TABLE", "bench"),
            ("SOCKET_ENDPOINT", "http://127.0.0.1:9/socket"),
            ("REQUESTS_TABLE", "bench"),
        ],
    ),
    (
        "notifications-socket",
        &[
            ("CHANNELS_TABLE", "bench"),
            ("SOCKET_ENDPOINT", "http://127.0.0.1:9/socket"),
            ("REQUESTS_TABLE", "bench"),
        ],
    ),
    (
        "files-api",
        &[
            ("FILES_TABLE", "bench"),
            ("FILES_BUCKET", "bench"),
            ("FILES_QUOTA", "1000000"),
            ("REQUESTS_TABLE", "bench"),
        ],
    ),
    (
        "files-events",
        &[
            ("SCAN_ENGINE", "signatures"),
            ("FILES_TABLE", "bench"),
            ("FILES_BUCKET", "bench"),
            ("FILES_QUOTA", "1000000"),
        ],
    ),
    ("platform-api", &[("REQUESTS_TABLE", "bench")]),
    ("outbox", &[("BUS_NAME", "bench")]),
];

/// The variables that the start of this function demands.
pub fn variables(function: &str) -> &'static [(&'static str, &'static str)] {
    let known = FUNCTIONS.iter().find(|(name, _)| *name == function);
    known.map_or(&[], |(_, variables)| *variables)
}

/// Cold start, memory and size of every function against the empty one.
pub fn cold(binaries: &Path, runs: usize, report: &mut Report) -> Outcome {
    say(format_args!(
        "process start to first /next, {runs} runs, in turn with the empty function"
    ));
    say(format_args!(
        "{:16} {:>9} {:>8} {:>9} {:>8} {:>9}",
        "function", "cold ms", "ratio", "memory MB", "ratio", "size MB"
    ));
    let empty = binaries.join("baseline");
    let mut largest = 0_f64;
    for (name, variables) in FUNCTIONS {
        let binary = binaries.join(name);
        let (mut ours, mut theirs) = (Starts::default(), Starts::default());
        for _ in 0..runs {
            theirs.add(&Function::start(&empty, &[])?);
            ours.add(&Function::start(&binary, variables)?);
        }
        let size = std::fs::metadata(&binary)
            .during("reading a binary's size")?
            .len();
        let ((cold, memory), (empty_cold, empty_memory)) = (ours.medians(), theirs.medians());
        say(format_args!(
            "{name:16} {cold:>9.2} {:>8.2} {memory:>9.1} {:>8.2} {:>9.1}",
            cold / empty_cold,
            memory / empty_memory,
            megabytes(size),
        ));
        largest = largest.max(megabytes(size));
    }
    let what = "size of the largest function";
    if cfg!(debug_assertions) {
        report.unmeasured(what, "the dev profile's programs are not stripped");
    } else {
        report.below(what, largest, LARGEST, "MB");
    }
    Ok(())
}

#[derive(Default)]
struct Starts {
    cold: Vec<f64>,
    memory: Vec<f64>,
}

impl Starts {
    fn add(&mut self, function: &Function) {
        self.cold.push(millis(function.cold));
        self.memory.push(megabytes(function.memory));
    }

    fn medians(&mut self) -> (f64, f64) {
        (
            quantile(&mut self.cold, 0.5),
            quantile(&mut self.memory, 0.5),
        )
    }
}

/// What the platform's layer costs a warm request: a route that does nothing, against the empty function.
pub fn platform(binaries: &Path, runs: usize) -> Outcome {
    let event = GATEWAY_EVENT;
    let mut empty = Function::start(&binaries.join("baseline"), &[])?;
    let mut ours = Function::start(
        &binaries.join("platform-api"),
        &[("REQUESTS_TABLE", "bench")],
    )?;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let (theirs, mine) = (empty.invoke(event)?, ours.invoke(event)?);
        // The first invocations fill caches on both sides.
        if run >= runs / 10 {
            a.push(micros(theirs));
            b.push(micros(mine));
        }
    }
    say(format_args!(
        "\nwarm request through the platform layer, {runs} runs, in turn"
    ));
    for quantile_at in [0.5, 0.99] {
        let (theirs, mine) = (quantile(&mut a, quantile_at), quantile(&mut b, quantile_at));
        say(format_args!(
            "p{:<3} empty {theirs:>7.0} us   layer {mine:>7.0} us   overhead {:>7.0} us   ratio {:.2}",
            quantile_at * 100.0,
            mine - theirs,
            mine / theirs,
        ));
    }
    Ok(())
}

/// `GET /v1/health` as the gateway sends it.
const GATEWAY_EVENT: &str = r#"{"version":"2.0","routeKey":"GET /v1/health","rawPath":"/v1/health","rawQueryString":"","headers":{"accept":"application/json","accept-language":"es","user-agent":"bench"},"requestContext":{"accountId":"123456789012","apiId":"api","domainName":"api.example.com","http":{"method":"GET","path":"/v1/health","protocol":"HTTP/1.1","sourceIp":"192.0.2.1","userAgent":"bench"},"requestId":"bench","routeKey":"GET /v1/health","stage":"$default","time":"02/Jan/2026:03:04:05 +0000","timeEpoch":1767323045000},"isBase64Encoded":false}"#;
