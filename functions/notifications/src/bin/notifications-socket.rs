//! The WebSocket.

use notifications::socket::MESSAGES;
use notifications::{Socket, Tickets};
use ports::clock::SystemClock;
use ports::ids::RandomIds;
use runtime::rate_limit::Limiter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let (clock, ids) = (SystemClock::shared(), RandomIds::shared());
    let (table, endpoint) = (
        environment.require("CHANNELS_TABLE")?,
        environment.require("SOCKET_ENDPOINT")?,
    );
    let requests = aws.table(environment.require("REQUESTS_TABLE")?);
    let socket = Socket {
        table: aws.table(&table),
        tickets: Tickets {
            table: aws.table(&table),
            clock: clock.clone(),
            ids,
        },
        channels: aws.channels(&table, &endpoint),
        sockets: aws.sockets(&endpoint),
        messages: Limiter::new(requests, clock.clone(), MESSAGES),
        clock,
    };
    runtime::serve::socket(async |event| socket.on(event).await).await
}
