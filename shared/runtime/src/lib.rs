//! How a function meets Lambda: serve, problems, caller, idempotency, rate limit, configuration, telemetry.
