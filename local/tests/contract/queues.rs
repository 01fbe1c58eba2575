//! Queues: partial batches, dead letters, the bus in front of a queue.

use serde_json::{Value, json};

use crate::cloud::{Contract, eventually, marker};

async fn send(contract: &Contract, queue: &str, bodies: &[Value]) {
    let entries: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(id, body)| json!({ "Id": id.to_string(), "MessageBody": body.to_string() }))
        .collect();
    let input = json!({ "QueueUrl": contract.outputs.queues[queue], "Entries": entries });
    contract
        .call("sqs", "AmazonSQS.SendMessageBatch", input)
        .await;
}

#[tokio::test]
async fn of_a_partial_batch_only_the_failed_message_comes_again_and_ends_in_the_dlq() {
    let contract = Contract::start().await;
    let marker = marker("partial");

    send(
        &contract,
        "work",
        &[
            json!({ "marker": marker, "n": 1 }),
            json!({ "marker": marker, "n": 2, "do": "fail" }),
            json!({ "marker": marker, "n": 3 }),
        ],
    )
    .await;
    let dead = contract.message("work_dlq", &marker).await;

    assert_eq!(dead["n"], 2);
    assert_eq!(
        contract.attempts(&marker, 2).await,
        2,
        "the queue's maxReceiveCount"
    );
    assert_eq!(
        (
            contract.attempts(&marker, 1).await,
            contract.attempts(&marker, 3).await
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn a_message_whose_function_died_comes_again() {
    let contract = Contract::start().await;
    let marker = marker("died");

    send(
        &contract,
        "fatal",
        &[json!({ "marker": marker, "n": 1, "do": "die" })],
    )
    .await;

    let dead = contract.message("fatal_dlq", &marker).await;
    assert_eq!(dead["n"], 1);
    assert_eq!(contract.attempts(&marker, 1).await, 2);
}

#[tokio::test]
async fn an_event_on_the_bus_reaches_the_function_behind_its_queue() {
    let contract = Contract::start().await;
    let marker = marker("bus");
    let entry = json!({
        "EventBusName": contract.outputs.cloud.bus,
        "Source": "contract",
        "DetailType": "probe",
        "Detail": json!({ "marker": marker }).to_string(),
    });

    contract
        .call(
            "events",
            "AWSEvents.PutEvents",
            json!({ "Entries": [entry] }),
        )
        .await;

    let seen = eventually("the event", async || {
        Some(contract.observed(&marker).await).filter(|seen| !seen.is_empty())
    })
    .await;
    assert_eq!(seen.len(), 1);
}
