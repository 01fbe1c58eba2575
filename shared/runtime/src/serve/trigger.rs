//! Answers a service that waits for the result: a Cognito trigger, an authorizer, a direct invocation.

use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// Serves a function from one event to one answer. An error is Lambda's function error: the service
/// that asked treats it as a no.
pub async fn trigger<In, Out, F>(answer: F) -> Result<(), Error>
where
    In: DeserializeOwned,
    Out: Serialize,
    F: AsyncFn(In) -> Result<Out, Error>,
{
    let answer = &answer;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<In>| {
        answer(event.payload).await
    }))
    .await
}
