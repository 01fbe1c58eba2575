//! Messages to an SQS queue.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use ports::queue::{BATCH, LONGEST_BODY, Message, Queue, check};
use ports::{Port, PortError};

use crate::failure;

/// The message attribute that carries the trace (W3C Trace Context).
const TRACE: &str = "traceparent";

/// A queue; its URL ends in `.fifo` if it is one of those.
pub struct SqsQueue {
    client: Client,
    url: String,
    fifo: bool,
}

impl SqsQueue {
    /// The queue of this URL.
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self {
            client: Client::new(config),
            // The service's own rule for names (case and all).
            fifo: url.rsplit('.').next() == Some("fifo"),
            url,
        }
    }

    async fn send_batch(&self, batch: Vec<SendMessageBatchRequestEntry>) -> Result<(), PortError> {
        let answer = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(batch))
            .send()
            .await
            .map_err(|error| failure::of_call(Port::Queue, &error))?;
        match answer.failed().first() {
            None => Ok(()),
            Some(entry) => {
                let cause = format!("{} of a batch: {}", answer.failed().len(), entry.code());
                Err(failure::of_code(
                    Port::Queue,
                    entry.code(),
                    !entry.sender_fault(),
                    cause,
                ))
            }
        }
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, messages: Vec<Message>) -> Result<(), PortError> {
        check(&messages, self.fifo)?;
        for batch in batches(messages) {
            let entries = batch
                .into_iter()
                .enumerate()
                .map(|(index, message)| entry(index, message));
            self.send_batch(entries.collect::<Result<_, _>>()?).await?;
        }
        Ok(())
    }
}

/// Cuts messages into calls: at most [`BATCH`] each, and no more octets than one message may have.
fn batches(messages: Vec<Message>) -> Vec<Vec<Message>> {
    let mut batches: Vec<Vec<Message>> = Vec::new();
    let mut octets = 0;
    for message in messages {
        let size = size(&message);
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH && octets + size <= LONGEST_BODY => {
                octets += size;
                batch.push(message);
            }
            _ => {
                octets = size;
                batches.push(vec![message]);
            }
        }
    }
    batches
}

/// What counts against the limit of a call: the body, and name, type and value of the attribute.
fn size(message: &Message) -> usize {
    let trace = message
        .trace
        .as_ref()
        .map_or(0, |trace| TRACE.len() + "String".len() + trace.len());
    message.body.len() + trace
}

fn entry(index: usize, message: Message) -> Result<SendMessageBatchRequestEntry, PortError> {
    let refused = |cause: String| PortError::Refused {
        port: Port::Queue,
        cause,
    };
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_body(message.body)
        .set_message_group_id(message.group)
        .set_message_deduplication_id(message.deduplication);
    if let Some(trace) = message.trace {
        let value = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(trace)
            .build();
        entry = entry.message_attributes(TRACE, value.map_err(|error| refused(error.to_string()))?);
    }
    entry.build().map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_takes_ten_messages_or_as_many_as_fit() {
        let of = |sizes: &[usize]| {
            let messages = sizes
                .iter()
                .map(|size| Message::new("x".repeat(*size)))
                .collect();
            batches(messages).iter().map(Vec::len).collect::<Vec<_>>()
        };

        assert_eq!(of(&[1; 25]), [10, 10, 5]);
        assert_eq!(of(&[LONGEST_BODY / 2; 3]), [2, 1]);
        assert_eq!(of(&[1, LONGEST_BODY, 1]), [1, 1, 1]);
        assert_eq!(of(&[]), Vec::<usize>::new());
    }
}
