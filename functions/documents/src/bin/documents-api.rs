//! `/v1/documents` and `/v1/document-templates`.

use std::path::PathBuf;
use std::sync::Arc;

use documents::renderer::Renderer;
use documents::{Documents, api};
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
        clock: clock.clone(),
        ids: ids.clone(),
    });
    let platform = Platform {
        requests: aws.table(environment.require("REQUESTS_TABLE")?),
        clock,
        ids,
    };
    runtime::serve::http(Api::new(api::routes(documents), platform)?).await
}
