//! `/v1/ws/tickets`.

use std::sync::Arc;

use notifications::api::{self, Desk};
use notifications::tickets::Tickets;
use ports::clock::SystemClock;
use ports::ids::RandomIds;
use runtime::{Api, Platform};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let (clock, ids) = (SystemClock::shared(), RandomIds::shared());
    let desk = Arc::new(Desk {
        tickets: Tickets {
            table: aws.table(environment.require("CHANNELS_TABLE")?),
            clock: clock.clone(),
            ids: ids.clone(),
        },
        url: api::url_of(&environment.require("SOCKET_ENDPOINT")?),
    });
    let platform = Platform {
        requests: aws.table(environment.require("REQUESTS_TABLE")?),
        clock,
        ids,
    };
    runtime::serve::http(Api::new(api::routes(desk), platform)?).await
}
