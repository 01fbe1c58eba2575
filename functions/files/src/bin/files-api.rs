//! `/v1/files/*`.

use std::sync::Arc;

use files::{Files, api};
use ports::clock::SystemClock;
use ports::ids::RandomIds;
use runtime::{Api, Platform};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let (clock, ids) = (SystemClock::shared(), RandomIds::shared());
    let files = Arc::new(Files {
        table: aws.table(environment.require("FILES_TABLE")?),
        blobs: aws.uploads(environment.require("FILES_BUCKET")?),
        quota: environment.require("FILES_QUOTA")?.parse()?,
        clock: clock.clone(),
        ids: ids.clone(),
    });
    let platform = Platform {
        requests: aws.table(environment.require("REQUESTS_TABLE")?),
        clock,
        ids,
    };
    runtime::serve::http(Api::new(api::routes(files), platform)?).await
}
