//! Streams what a model makes to its channel.

use std::sync::Arc;

use content::stream::Worker;
use content::{Content, Targets};
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
        clock,
        ids,
    });
    let channels = aws.channels(
        environment.require("CHANNELS_TABLE")?,
        environment.require("SOCKET_ENDPOINT")?,
    );
    let worker = Worker {
        content,
        channels,
        jobs: aws.queue(environment.require("CONTENT_JOBS_URL")?),
        wishes: aws.table(environment.require("DOCUMENTS_TABLE")?),
    };
    runtime::serve::queue(async |delivery: Delivery| Box::pin(worker.on(&delivery.body)).await)
        .await
}
