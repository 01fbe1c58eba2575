//! Makes the documents of batches, and everything else that takes long.

use std::path::PathBuf;
use std::sync::Arc;

use documents::Documents;
use documents::batch::Batches;
use documents::batch::worker::{Told, Worker};
use documents::brand::Logos;
use documents::queued::PATIENCE;
use documents::renderer::Renderer;
use ports::clock::SystemClock;
use ports::ids::RandomIds;
use runtime::serve::Delivery;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let renderer = match environment.optional("RENDERER") {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe()?.with_file_name("render"),
    };
    let aws = aws::Clients::from_environment().await;
    let bucket = environment.require("DOCUMENTS_BUCKET")?;
    let documents = Arc::new(Documents {
        table: aws.table(environment.require("DOCUMENTS_TABLE")?),
        blobs: aws.blobs(&bucket),
        renderer: Renderer::new(renderer),
        logos: Logos::default(),
        patience: PATIENCE,
        clock: SystemClock::shared(),
        ids: RandomIds::shared(),
    });
    let worker = Worker {
        batches: Batches { documents },
        jobs: aws.queue(environment.require("DOCUMENT_JOBS_URL")?),
        channels: aws.channels(
            environment.require("CHANNELS_TABLE")?,
            environment.require("SOCKET_ENDPOINT")?,
        ),
        assembly: aws.assembly(&bucket),
        answers: aws.table(environment.require("CONTENT_TABLE")?),
        told: Told::default(),
    };
    runtime::serve::queue(async |message: Delivery| Box::pin(worker.on(&message.body)).await).await
}
