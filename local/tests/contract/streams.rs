//! Streams: the checkpoint at the first failed record, the limit of retries, the record of what was given up.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::cloud::{Contract, eventually, marker};

async fn put_records(contract: &Contract, stream: &str, payloads: &[Value]) {
    let records: Vec<_> = payloads
        .iter()
        .map(|payload| json!({ "PartitionKey": "one", "Data": STANDARD.encode(payload.to_string()) }))
        .collect();
    let input = json!({ "StreamName": contract.outputs.stack[stream], "Records": records });
    contract
        .call("kinesis", "Kinesis_20131202.PutRecords", input)
        .await;
}

/// All items in one transaction, so that they stand in the stream one after the other.
async fn put_items(contract: &Contract, table: &str, marker: &str, payloads: &[Value]) {
    let items: Vec<_> = payloads
        .iter()
        .enumerate()
        .map(|(n, payload)| {
            let item = json!({ "pk": {"S": format!("{marker}/{n}")}, "payload": {"S": payload.to_string()} });
            json!({ "Put": {"TableName": contract.outputs.tables[table], "Item": item} })
        })
        .collect();
    contract
        .call(
            "dynamodb",
            "DynamoDB_20120810.TransactWriteItems",
            json!({ "TransactItems": items }),
        )
        .await;
}

fn three(marker: &str, second: &str) -> [Value; 3] {
    [
        json!({ "marker": marker, "n": 1 }),
        json!({ "marker": marker, "n": 2, "do": second }),
        json!({ "marker": marker, "n": 3 }),
    ]
}

async fn settled(contract: &Contract, marker: &str) {
    eventually("the record behind the failed one", async || {
        // The last record is first seen in the batch that failed; it is done when the retries are over.
        (contract.attempts(marker, 3).await > contract.attempts(marker, 1).await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_kinesis_batch_goes_on_from_its_first_failed_record() {
    let contract = Contract::start().await;
    let marker = marker("kinesis");

    put_records(&contract, "StreamName", &three(&marker, "fail")).await;
    settled(&contract, &marker).await;
    eventually("the end of the retries", async || {
        (contract.attempts(&marker, 2).await == 3).then_some(())
    })
    .await;

    assert_eq!(
        contract.attempts(&marker, 1).await,
        1,
        "what was done is not done again"
    );
}

#[tokio::test]
async fn a_dynamodb_batch_goes_on_from_its_first_failed_record() {
    let contract = Contract::start().await;
    let marker = marker("dynamodb");

    put_items(&contract, "source", &marker, &three(&marker, "fail")).await;
    settled(&contract, &marker).await;

    assert_eq!(
        contract.attempts(&marker, 1).await,
        1,
        "what was done is not done again"
    );
}

#[tokio::test]
async fn what_a_stream_gives_up_is_named_in_the_failure_queue() {
    let contract = Contract::start().await;
    let marker = marker("given-up");

    put_records(
        &contract,
        "HopelessName",
        &[json!({ "marker": marker, "n": 1, "do": "fail" })],
    )
    .await;
    let seen = eventually("three attempts", async || {
        Some(contract.observed(&marker).await).filter(|seen| seen.len() == 3)
    })
    .await;

    let sequence = seen[0].0.split('#').nth(1).unwrap().to_owned();
    let record = contract.message("stream_failures", &sequence).await;
    assert_eq!(
        record["requestContext"]["condition"],
        "RetryAttemptsExhausted"
    );
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 3);
    assert_eq!(record["KinesisBatchInfo"]["batchSize"], 1);
}

#[tokio::test]
async fn a_batch_that_kills_its_function_is_halved_until_the_culprit_is_alone() {
    let contract = Contract::start().await;
    let marker = marker("bisect");

    put_items(&contract, "fragile", &marker, &three(&marker, "die")).await;

    eventually("the record behind the culprit", async || {
        (contract.attempts(&marker, 3).await > 0).then_some(())
    })
    .await;
    let culprit = contract
        .observed(&marker)
        .await
        .into_iter()
        .find(|(_, payload)| payload["n"] == 2)
        .unwrap();
    let sequence = culprit.0.split('#').nth(1).unwrap().to_owned();
    let record = contract.message("stream_failures", &sequence).await;
    assert_eq!(record["DDBStreamBatchInfo"]["batchSize"], 1);
}

#[tokio::test]
async fn a_change_that_the_filter_does_not_want_is_passed_over() {
    let contract = Contract::start().await;
    let (first, second) = (marker("filter"), marker("filter"));
    let change = json!({
        "TableName": contract.outputs.tables["filtered"],
        "Key": {"pk": {"S": format!("{first}/0")}},
        "UpdateExpression": "SET payload = :payload",
        "ExpressionAttributeValues": {":payload": {"S": json!({ "marker": first, "n": 2 }).to_string()}},
    });

    put_items(
        &contract,
        "filtered",
        &first,
        &[json!({ "marker": first, "n": 1 })],
    )
    .await;
    contract
        .call("dynamodb", "DynamoDB_20120810.UpdateItem", change)
        .await;
    put_items(
        &contract,
        "filtered",
        &second,
        &[json!({ "marker": second, "n": 1 })],
    )
    .await;
    contract.sees(&second).await;

    assert_eq!(contract.attempts(&first, 1).await, 1);
    assert_eq!(contract.attempts(&first, 2).await, 0);
}
