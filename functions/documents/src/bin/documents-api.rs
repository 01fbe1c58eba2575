//! `/v1/documents`, `/v1/document-templates` and `/v1/document-batches`.

use std::path::PathBuf;
use std::sync::Arc;

use documents::batch::Batches;
use documents::brand::Logos;
use documents::queued::PATIENCE;
use documents::renderer::Renderer;
use documents::{Documents, api, batch_api};
use ports::clock::SystemClock;
use ports::ids::RandomIds;
use runtime::{Api, Platform};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let renderer = match environment.optional("RENDERER") {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe()?.with_file_name("render"),
    };
    let aws = aws::Clients::from_environment().await;
    let (clock, ids) = (SystemClock::shared(), RandomIds::shared());
    let documents = Arc::new(Documents {
        table: aws.table(environment.require("DOCUMENTS_TABLE")?),
        blobs: aws.blobs(environment.require("DOCUMENTS_BUCKET")?),
        renderer: Renderer::new(renderer),
        logos: Logos::default(),
        patience: PATIENCE,
        clock: clock.clone(),
        ids: ids.clone(),
    });
    let platform = Platform {
        requests: aws.table(environment.require("REQUESTS_TABLE")?),
        clock,
        ids,
    };
    let batches = Batches {
        documents: documents.clone(),
    };
    let routes = api::routes(documents).merge(batch_api::routes(batches));
    runtime::serve::http(Api::new(routes, platform)?).await
}
