//! Reads the texts of jobs, and documents into their collections.

use std::sync::Arc;

use ai::Ai;
use ai::worker::Worker;
use models::Targets;
use models::gateway::{Gateway, Parts};
use ports::clock::SystemClock;
use ports::ids::RandomIds;
use runtime::outbound;
use runtime::serve::Delivery;

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
    let ai = Arc::new(Ai {
        table: aws.table(environment.require("AI_TABLE")?),
        clock: clock.clone(),
        ids,
    });
    let channels = aws.channels(
        environment.require("CHANNELS_TABLE")?,
        environment.require("SOCKET_ENDPOINT")?,
    );
    let worker = Worker {
        ai,
        targets: Targets::new(aws.fresh_secrets(), secret, clock, gateway),
        jobs: aws.queue(environment.require("AI_JOBS_URL")?),
        channels,
    };
    runtime::serve::queue(async |delivery: Delivery| Box::pin(worker.on(&delivery.body)).await)
        .await
}
