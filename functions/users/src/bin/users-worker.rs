//! Makes a profile when an address has been confirmed.

use ports::clock::SystemClock;
use ports::ids::RandomIds;
use users::Users;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let users = Users {
        table: aws.table(environment.require("USERS_TABLE")?),
        accounts: aws.table(environment.require("AUTH_TABLE")?),
        clock: SystemClock::shared(),
        ids: RandomIds::shared(),
    };
    runtime::serve::events(async |event| users.on(&event).await).await
}
