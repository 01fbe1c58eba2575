//! The tables' streams to the bus.

use platform::outbox::Outbox;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let outbox = Outbox {
        bus: aws.bus(environment.require("BUS_NAME")?),
    };
    runtime::serve::changes(async |changes| outbox.publish(&changes).await).await
}
