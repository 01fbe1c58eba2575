//! Consumes SQS: says which messages of a batch were not done, so that only they come again.

use std::collections::HashSet;
use std::fmt::Display;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::{Context, LambdaEvent, service_fn};

use super::batch;
use crate::Error;
use crate::trace::TraceParent;

/// One delivery of a message.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The queue's id of the message: the same in every delivery.
    pub id: String,
    /// The body.
    pub body: String,
    /// Which delivery this is, from 1.
    pub attempt: u32,
}

/// Serves a queue, message by message, in order.
///
/// In a FIFO queue the messages that follow a failed one of the same group are not begun, because that
/// would overtake it.
pub async fn queue<E, F>(handle: F) -> Result<(), Error>
where
    E: Display,
    F: AsyncFn(Delivery) -> Result<(), E>,
{
    let handle = &handle;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(consume(event.payload, &event.context, handle).await)
    }))
    .await
}

/// Handles one batch.
pub(super) async fn consume<E, F>(
    batch: SqsEvent,
    context: &Context,
    handle: &F,
) -> SqsBatchResponse
where
    E: Display,
    F: AsyncFn(Delivery) -> Result<(), E>,
{
    let mut failures = Vec::new();
    let mut blocked = HashSet::new();
    for message in batch.records {
        let group = message.attributes.get("MessageGroupId").cloned();
        let id = message.message_id.clone().unwrap_or_default();
        let skip = group.as_ref().is_some_and(|group| blocked.contains(group))
            || !batch::has_time(context);
        let trace = trace_of(&message);
        let done = !skip
            && batch::one(&id, trace, handle(delivery(message)))
                .await
                .is_ok();
        if !done {
            blocked.extend(group);
            failures.push(failure(id));
        }
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures;
    response
}

fn delivery(message: SqsMessage) -> Delivery {
    let attempt = message
        .attributes
        .get("ApproximateReceiveCount")
        .and_then(|n| n.parse().ok());
    Delivery {
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        attempt: attempt.unwrap_or(1),
    }
}

fn trace_of(message: &SqsMessage) -> Option<TraceParent> {
    message
        .message_attributes
        .get("traceparent")?
        .string_value
        .as_ref()?
        .parse()
        .ok()
}

fn failure(id: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = id;
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Mutex;

    fn batch(messages: &[(&str, &str, Option<&str>)]) -> SqsEvent {
        let records: Vec<_> = messages
            .iter()
            .map(|(id, body, group)| {
                let mut attributes = json!({"ApproximateReceiveCount": "2"});
                if let Some(group) = group {
                    attributes["MessageGroupId"] = json!(group);
                }
                json!({"messageId": id, "body": body, "attributes": attributes, "messageAttributes": {}})
            })
            .collect();
        serde_json::from_value(json!({ "Records": records })).unwrap()
    }

    async fn run(messages: &[(&str, &str, Option<&str>)]) -> (Vec<String>, Vec<String>) {
        let seen = Mutex::new(Vec::new());
        let handle = async |delivery: Delivery| {
            seen.lock().unwrap().push(delivery.id.clone());
            match delivery.body.as_str() {
                "panic" => panic!("on purpose"),
                "fail" => Err("on purpose"),
                _ => Ok(()),
            }
        };
        let response = consume(batch(messages), &Context::default(), &handle).await;
        let failed = response
            .batch_item_failures
            .into_iter()
            .map(|f| f.item_identifier)
            .collect();
        (seen.into_inner().unwrap(), failed)
    }

    #[tokio::test]
    async fn a_poison_message_loses_nothing_else_wherever_it_stands() {
        for position in 0..3 {
            for poison in ["fail", "panic"] {
                let mut messages = [("a", "ok", None), ("b", "ok", None), ("c", "ok", None)];
                messages[position].1 = poison;

                let (seen, failed) = run(&messages).await;

                assert_eq!(seen, ["a", "b", "c"]);
                assert_eq!(failed, [messages[position].0]);
            }
        }
    }

    #[tokio::test]
    async fn nothing_overtakes_a_failed_message_of_its_group() {
        let (seen, failed) = run(&[
            ("a", "fail", Some("x")),
            ("b", "ok", Some("y")),
            ("c", "ok", Some("x")),
        ])
        .await;

        assert_eq!(seen, ["a", "b"]);
        assert_eq!(failed, ["a", "c"]);
    }
}
