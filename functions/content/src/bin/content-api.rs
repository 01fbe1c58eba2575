//! `/v1/content*`, `/v1/prompts*`, `/v1/brand-voices*`, `/v1/budgets*`, `/v1/models` and `/v1/openai/*`.

use std::sync::Arc;

use content::{Content, Targets, api};
use models::gateway::{Gateway, Parts};
use ports::clock::SystemClock;
use ports::ids::RandomIds;
use runtime::{Api, Platform, outbound};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let (clock, ids) = (SystemClock::shared(), RandomIds::shared());
    let table = aws.table(environment.require("CONTENT_TABLE")?);
    let gateway = Gateway::new(
        Parts {
            client: outbound::client()?,
            table: table.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
        },
        Vec::new(),
    );
    let secret = environment.require("MODELS_SECRET_ID")?;
    let content = Arc::new(Content {
        table,
        targets: Targets::new(aws.fresh_secrets(), secret, clock.clone(), gateway),
        clock: clock.clone(),
        ids: ids.clone(),
    });
    let jobs = aws.queue(environment.require("CONTENT_JOBS_URL")?);
    let platform = Platform {
        requests: aws.table(environment.require("REQUESTS_TABLE")?),
        clock,
        ids,
    };
    runtime::serve::http(Api::new(api::routes(content, jobs), platform)?).await
}
