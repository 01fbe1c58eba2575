//! `/v1/ai/jobs`.

use std::sync::Arc;

use ai::{Ai, api};
use ports::clock::SystemClock;
use ports::ids::RandomIds;
use runtime::{Api, Platform};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let (clock, ids) = (SystemClock::shared(), RandomIds::shared());
    let ai = Arc::new(Ai {
        table: aws.table(environment.require("AI_TABLE")?),
        clock: clock.clone(),
        ids: ids.clone(),
    });
    let jobs = aws.queue(environment.require("AI_JOBS_URL")?);
    let platform = Platform {
        requests: aws.table(environment.require("REQUESTS_TABLE")?),
        clock,
        ids,
    };
    runtime::serve::http(Api::new(api::routes(ai, jobs), platform)?).await
}
