//! Consumes domain events: `EventBridge` through SQS.

use std::fmt::Display;

use aws_lambda_events::event::sqs::SqsEvent;
use domain::{Envelope, Event};
use serde::Deserialize;

use super::queue::{self, Delivery};
use crate::Error;
use crate::trace::{self, TraceParent};

/// Serves a queue of events. Events are delivered at least once and in no order: the handler is
/// idempotent by [`Envelope::id`]. A type that this build does not know is ignored, since it is newer
/// than the consumer.
pub async fn events<E, F>(handle: F) -> Result<(), Error>
where
    E: Display,
    F: AsyncFn(Envelope) -> Result<(), E>,
{
    let handle = &handle;
    queue::queue(async |delivery: Delivery| on(&delivery.body, handle).await).await
}

/// Hands over the event in a message, in the event's own trace.
async fn on<E, F>(body: &str, handle: &F) -> Result<(), String>
where
    E: Display,
    F: AsyncFn(Envelope) -> Result<(), E>,
{
    let Some(envelope) = event_of(body)? else {
        return Ok(());
    };
    let trace = envelope
        .trace
        .as_deref()
        .and_then(|trace| trace.parse::<TraceParent>().ok());
    let work = handle(envelope);
    let outcome = match trace {
        Some(trace) => trace::within(trace, work).await,
        None => work.await,
    };
    outcome.map_err(|error| error.to_string())
}

/// Every known event of a batch.
pub(crate) fn events_of(batch: &serde_json::Value) -> Result<Vec<Envelope>, String> {
    let batch = SqsEvent::deserialize(batch).map_err(|e| format!("not a batch: {e}"))?;
    let bodies = batch
        .records
        .iter()
        .filter_map(|message| message.body.as_deref());
    bodies
        .filter_map(|body| event_of(body).transpose())
        .collect()
}

#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "detail-type")]
    detail_type: String,
    detail: serde_json::Value,
}

/// The event in a message; nothing if its type is unknown. For a consumer whose queue brings other messages
/// too; any other uses [`events`].
///
/// # Errors
/// What is wrong, if the message is no event.
pub fn event_of(body: &str) -> Result<Option<Envelope>, String> {
    let notification: Notification =
        serde_json::from_str(body).map_err(|e| format!("not an event: {e}"))?;
    if !Event::is_known(&notification.detail_type) {
        tracing::debug!(
            event_type = notification.detail_type,
            "an event of an unknown type was ignored"
        );
        return Ok(None);
    }
    serde_json::from_value(notification.detail)
        .map(Some)
        .map_err(|e| format!("not an event envelope: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Mutex;

    fn message(id: &str, detail_type: &str, detail: &serde_json::Value) -> serde_json::Value {
        let body =
            json!({"detail-type": detail_type, "source": "fleet", "detail": detail}).to_string();
        json!({"messageId": id, "body": body, "attributes": {}, "messageAttributes": {}})
    }

    #[tokio::test]
    async fn an_unknown_type_is_ignored_and_a_broken_event_is_kept() {
        let good = json!({
            "id": "evt_00000000000000000000000000000009", "time": "2026-01-02T03:04:05Z", "version": 1,
            "org": "org_00000000000000000000000000000003",
            "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "type": "auth.user_confirmed", "data": {"user": "usr_00000000000000000000000000000001"}
        });
        let records = [
            message("known", "auth.user_confirmed", &good),
            message("newer", "auth.something_new", &json!({})),
            message("broken", "auth.user_confirmed", &json!({"id": 1})),
        ];
        let batch = serde_json::from_value(json!({ "Records": records })).unwrap();
        let traces = Mutex::new(Vec::new());

        let handle = async |_: Envelope| {
            traces.lock().unwrap().push(trace::current());
            Ok::<_, String>(())
        };
        let deliver = async |delivery: Delivery| on(&delivery.body, &handle).await;
        let response = queue::consume(batch, &lambda_runtime::Context::default(), &deliver).await;

        let failed: Vec<_> = response
            .batch_item_failures
            .into_iter()
            .map(|f| f.item_identifier)
            .collect();
        assert_eq!(failed, ["broken"]);
        assert_eq!(
            traces.into_inner().unwrap(),
            [Some(
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()
            )]
        );
    }
}
