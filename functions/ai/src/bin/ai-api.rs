//! `/v1/ai/jobs`, `/v1/ai/collections`, `/v1/ai/search` and `/v1/ai/ask`.

use std::sync::Arc;

use ai::search::{Search, Shelves};
use ai::{Ai, api};
use models::Targets;
use models::gateway::{Gateway, Parts};
use ports::clock::SystemClock;
use ports::ids::RandomIds;
use runtime::{Api, Platform, outbound};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let (clock, ids) = (SystemClock::shared(), RandomIds::shared());
    let gateway = Gateway::new(
        Parts {
            client: outbound::client()?,
            table: aws.table(environment.require("CONTENT_TABLE")?),
            clock: clock.clone(),
            ids: ids.clone(),
        },
        Vec::new(),
    );
    let secret = environment.require("MODELS_SECRET_ID")?;
    let search = Arc::new(Search {
        ai: Arc::new(Ai {
            table: aws.table(environment.require("AI_TABLE")?),
            clock: clock.clone(),
            ids: ids.clone(),
        }),
        targets: Targets::new(aws.fresh_secrets(), secret, clock.clone(), gateway),
        shelves: Shelves::default(),
    });
    let jobs = aws.queue(environment.require("AI_JOBS_URL")?);
    let platform = Platform {
        requests: aws.table(environment.require("REQUESTS_TABLE")?),
        clock,
        ids,
    };
    runtime::serve::http(Api::new(api::routes(search, jobs), platform)?).await
}
