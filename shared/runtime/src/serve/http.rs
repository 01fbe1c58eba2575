//! Answers API Gateway (HTTP API, payload 2.0).

use crate::{Api, Error};

/// Serves an API until Lambda ends the process.
pub async fn http(api: Api) -> Result<(), Error> {
    lambda_http::run(api.router()).await
}
