//! Says who calls, for every route that is not public.

use auth::authorizer::{Authorizer, Question, Recent};
use auth::http_keys::HttpKeys;
use auth::jwks::KeySet;
use auth::token::Verifier;
use ports::clock::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    let environment = runtime::start();
    let aws = aws::Clients::from_environment().await;
    let clock = SystemClock::shared();
    let authorizer = Authorizer {
        verifier: Verifier::new(
            environment.require("TOKEN_ISSUER")?,
            environment.require("USER_POOL_CLIENT_ID")?,
        ),
        keys: KeySet::new(
            HttpKeys::at(&environment.require("JWKS_URL")?)?,
            clock.clone(),
        ),
        accounts: aws.table(environment.require("AUTH_TABLE")?),
        members: aws.table(environment.require("USERS_TABLE")?),
        usage: aws.table(environment.require("REQUESTS_TABLE")?),
        secrets: aws.secrets(),
        key_secret_id: environment.require("REFRESH_SECRET_ID")?,
        clock,
        recent: Recent::default(),
    };
    runtime::serve::trigger(async |question: Question| Ok(authorizer.answer(&question).await?))
        .await
}
