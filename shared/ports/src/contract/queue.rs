//! What every queue must do.

use super::assert_refused;
use crate::queue::{LONGEST_BODY, Message, Queue};

/// Runs every check on an empty standard queue. `drain` takes that many messages at the far end, or
/// fewer if there are no more.
pub async fn holds_for(queue: &dyn Queue, drain: impl AsyncFn(usize) -> Vec<Message>) {
    refused_messages_take_nothing_with_them(queue).await;
    every_message_arrives(queue, drain).await;
}

async fn refused_messages_take_nothing_with_them(queue: &dyn Queue) {
    let fine = Message::new("{}".into());
    let long = Message::new("x".repeat(LONGEST_BODY + 1));
    let grouped = Message {
        group: Some("org_1".into()),
        ..fine.clone()
    };

    assert_refused(
        queue.send(vec![fine.clone(), long]).await,
        "a message that is too long",
    );
    assert_refused(
        queue.send(vec![fine.clone(), grouped]).await,
        "a group on a standard queue",
    );
    assert_refused(
        queue.send(vec![fine, Message::new(String::new())]).await,
        "an empty message",
    );
}

/// More messages than a call takes, and in the middle some that fill a call by their size alone.
async fn every_message_arrives(queue: &dyn Queue, drain: impl AsyncFn(usize) -> Vec<Message>) {
    let trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let mut sent: Vec<Message> = (0..25_u8)
        .map(|n| Message {
            trace: trace.clone().filter(|_| n.is_multiple_of(2)),
            ..Message::new(format!("{{\"n\":{n:02},\"ñ\":\"🦤\"}}"))
        })
        .collect();
    sent.extend((0..3).map(|n| Message::new(format!("{n}{}", "x".repeat(LONGEST_BODY - 1)))));

    assert_eq!(queue.send(sent.clone()).await, Ok(()));

    let mut arrived = drain(sent.len()).await;
    arrived.sort_by(|a, b| a.body.cmp(&b.body));
    sent.sort_by(|a, b| a.body.cmp(&b.body));
    assert_eq!(arrived, sent);
    assert_eq!(queue.send(vec![]).await, Ok(()), "nothing to send");
}
