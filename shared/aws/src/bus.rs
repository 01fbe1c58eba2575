//! Events to an `EventBridge` bus.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use domain::Envelope;
use ports::bus::{BATCH, Bus, PublishError};
use ports::{Port, PortError};

use crate::failure;

/// A bus. An entry's source and detail type are the event's, its detail is the whole envelope.
pub struct EventBridgeBus {
    client: Client,
    name: String,
}

impl EventBridgeBus {
    /// The bus of this name.
    pub fn new(config: &SdkConfig, name: String) -> Self {
        Self {
            client: Client::new(config),
            name,
        }
    }

    fn entry(&self, envelope: &Envelope) -> Result<PutEventsRequestEntry, PortError> {
        let detail = serde_json::to_string(envelope).map_err(|error| PortError::Refused {
            port: Port::Bus,
            cause: error.to_string(),
        })?;
        Ok(PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(envelope.event.source())
            .detail_type(envelope.event.name())
            .time(DateTime::from_millis(envelope.time.as_millisecond()))
            .detail(detail)
            .build())
    }

    /// Publishes at most [`BATCH`] events.
    async fn publish_batch(&self, events: &[Envelope]) -> Result<(), PublishError> {
        let none = |cause| PublishError {
            published: 0,
            cause,
        };
        let entries: Vec<_> = events
            .iter()
            .map(|event| self.entry(event))
            .collect::<Result<_, _>>()
            .map_err(none)?;
        let answer = self
            .client
            .put_events()
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| none(failure::of_call(Port::Bus, &error)))?;
        // The service takes each entry by itself: the first that it did not take is where to go on.
        let failed = answer
            .entries()
            .iter()
            .enumerate()
            .find_map(|(index, entry)| Some((index, entry.error_code()?)));
        match failed {
            None => Ok(()),
            Some((published, code)) => {
                let cause = failure::of_code(
                    Port::Bus,
                    code,
                    code.starts_with("Internal"),
                    code.to_owned(),
                );
                Err(PublishError { published, cause })
            }
        }
    }
}

#[async_trait]
impl Bus for EventBridgeBus {
    async fn publish(&self, events: &[Envelope]) -> Result<(), PublishError> {
        for (index, batch) in events.chunks(BATCH).enumerate() {
            self.publish_batch(batch)
                .await
                .map_err(|error| PublishError {
                    published: index * BATCH + error.published,
                    ..error
                })?;
        }
        Ok(())
    }
}
