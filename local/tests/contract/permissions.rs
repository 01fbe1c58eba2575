//! Each function has its own policy's rights and no other.

use serde_json::{Value, json};

use crate::cloud::{Contract, marker};

/// What a function is answered whose own role calls this.
async fn call_as(
    contract: &Contract,
    function: &str,
    service: &str,
    target: &str,
    input: Value,
) -> Value {
    let call = json!({ "call": {"service": service, "target": target, "input": input} });
    let path = format!(
        "/2015-03-31/functions/{}/invocations",
        contract.outputs.stack[function]
    );
    contract
        .cloud
        .signed("lambda", "POST", &path, &[], call.to_string().into_bytes())
        .await
        .unwrap()
        .json()
}

async fn put_item_as(contract: &Contract, function: &str) -> Value {
    let item = json!({ "pk": {"S": marker("permissions")}, "sk": {"S": "1"}, "seen": {"S": "{}"} });
    let input = json!({"TableName": contract.outputs.tables["observations"], "Item": item});
    call_as(
        contract,
        function,
        "dynamodb",
        "DynamoDB_20120810.PutItem",
        input,
    )
    .await
}

#[tokio::test]
async fn a_function_without_a_grant_gets_access_denied() {
    let contract = Contract::start().await;

    let refused = put_item_as(&contract, "StrangerName").await;

    assert_ne!(refused["status"], 200);
    assert!(
        refused["body"].as_str().unwrap().contains("AccessDenied"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_function_with_the_grant_may() {
    let contract = Contract::start().await;

    let accepted = put_item_as(&contract, "WorkerName").await;

    assert_eq!(accepted["status"], 200, "{accepted}");
}

#[tokio::test]
async fn whoever_may_send_a_message_may_send_several_at_once() {
    let contract = Contract::start().await;
    let input = json!({
        "QueueUrl": contract.outputs.queues["stream_failures"],
        "Entries": [{ "Id": "0", "MessageBody": marker("batch") }],
    });
    let send = async |function| {
        let target = "AmazonSQS.SendMessageBatch";
        call_as(&contract, function, "sqs", target, input.clone()).await
    };

    let (may, may_not) = (send("WorkerName").await, send("StrangerName").await);

    assert_eq!(may["status"], 200, "{may}");
    assert!(
        may_not["body"].as_str().unwrap().contains("AccessDenied"),
        "{may_not}"
    );
}

#[tokio::test]
async fn a_key_that_nobody_has_is_refused() {
    let contract = Contract::start().await;
    let forged = "AWS4-HMAC-SHA256 Credential=AKIAFORGED/20260101/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00";
    let headers = [
        ("authorization", forged),
        ("x-amz-target", "DynamoDB_20120810.ListTables"),
        ("content-type", "application/x-amz-json-1.0"),
    ];

    let answer = contract
        .cloud
        .plain("POST", "/", &headers, b"{}".to_vec())
        .await
        .unwrap();

    assert!(
        (400..500).contains(&answer.status),
        "{} {}",
        answer.status,
        answer.text()
    );
}
