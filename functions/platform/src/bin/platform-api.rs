//! Health, readiness, the API's description, and the answer to every path that does not exist.

use std::sync::Arc;

use platform::api::{Health, routes};
use ports::clock::SystemClock;
use ports::ids::RandomIds;
use runtime::{Api, Platform};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let requests = aws.table(environment.require("REQUESTS_TABLE")?);
    let health = Arc::new(Health {
        requests: requests.clone(),
    });
    let platform = Platform {
        requests,
        clock: SystemClock::shared(),
        ids: RandomIds::shared(),
    };
    runtime::serve::http(Api::new(routes(health), platform)?).await
}
