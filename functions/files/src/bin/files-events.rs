//! Looks at what has arrived in the bucket.

use std::sync::Arc;

use files::scan::{Elsewhere, Engine, Signatures};
use files::{Files, notice};
use ports::clock::SystemClock;
use ports::ids::RandomIds;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let engine: Arc<dyn Engine> = match environment.require("SCAN_ENGINE")?.as_str() {
        "signatures" => Arc::new(Signatures::default()),
        "guardduty" => Arc::new(Elsewhere),
        _ => return Err("SCAN_ENGINE is neither signatures nor guardduty".into()),
    };
    let files = Files {
        table: aws.table(environment.require("FILES_TABLE")?),
        blobs: aws.uploads(environment.require("FILES_BUCKET")?),
        quota: environment.require("FILES_QUOTA")?.parse()?,
        clock: SystemClock::shared(),
        ids: RandomIds::shared(),
    };
    runtime::serve::queue(async |delivery| {
        for notice in notice::parse(&delivery.body)? {
            files.on(&*engine, &notice, delivery.attempt).await?;
        }
        Ok::<_, runtime::Error>(())
    })
    .await
}
