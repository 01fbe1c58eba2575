//! `/v1/auth/*`.

use std::sync::Arc;

use auth::Auth;
use ports::clock::SystemClock;
use ports::ids::RandomIds;
use runtime::{Api, Platform};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let (clock, ids) = (SystemClock::shared(), RandomIds::shared());
    let auth = Arc::new(Auth {
        identity: aws.identity(
            environment.require("USER_POOL_ID")?,
            environment.require("USER_POOL_CLIENT_ID")?,
        ),
        table: aws.table(environment.require("AUTH_TABLE")?),
        keys: aws.keys(environment.require("SESSION_KEY_ID")?),
        secrets: aws.secrets(),
        refresh_secret_id: environment.require("REFRESH_SECRET_ID")?,
        clock: clock.clone(),
        ids: ids.clone(),
    });
    let platform = Platform {
        requests: aws.table(environment.require("REQUESTS_TABLE")?),
        clock,
        ids,
    };
    runtime::serve::http(Api::new(auth::api::routes(auth, &platform), platform)?).await
}
