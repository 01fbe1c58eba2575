//! `/v1/users/*` and `/v1/orgs`.

use std::sync::Arc;

use ports::clock::SystemClock;
use ports::ids::RandomIds;
use runtime::{Api, Platform};
use users::Users;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let (clock, ids) = (SystemClock::shared(), RandomIds::shared());
    let users = Arc::new(Users {
        table: aws.table(environment.require("USERS_TABLE")?),
        accounts: aws.table(environment.require("AUTH_TABLE")?),
        clock: clock.clone(),
        ids: ids.clone(),
    });
    let platform = Platform {
        requests: aws.table(environment.require("REQUESTS_TABLE")?),
        clock,
        ids,
    };
    runtime::serve::http(Api::new(users::api::routes(users), platform)?).await
}
