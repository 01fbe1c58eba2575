//! A function that does what its event tells it to: answers, refuses, fails, dies, and writes down what it saw.
//! The contract suite deploys it to find out what the emulator does around a function.

use std::{collections::BTreeMap, env};

use base64::{Engine, engine::general_purpose::STANDARD};
use fleet::cloud::{Answer, Cloud};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, request) = (event.payload, event.context.request_id);
    if event["type"] == "REQUEST" {
        return Ok(authorize(&event));
    }
    if event["requestContext"]["http"].is_object() {
        return web(&event);
    }
    if event["requestContext"]["connectionId"].is_string() {
        return socket(&event).await;
    }
    if let Some(source) = event["triggerSource"].as_str() {
        return Ok(message(&event, source));
    }
    if let Some(records) = event["Records"].as_array() {
        return batch(records, &request).await;
    }
    if event["call"].is_object() {
        return call(&event["call"]).await;
    }
    observe(
        event["marker"].as_str().unwrap_or_default(),
        &request,
        &event,
    )
    .await?;
    Ok(json!({ "seen": event }))
}

/// Lets everybody in and tells the function behind what it saw.
fn authorize(event: &Value) -> Value {
    let header = event["headers"]["authorization"].as_str().unwrap_or("none");
    json!({ "isAuthorized": header != "refuse", "context": { "caller": header } })
}

fn web(event: &Value) -> Result<Value, Error> {
    match event["pathParameters"]["does"].as_str() {
        Some("fail") => Err("secret detail of the failure".into()),
        Some("die") => std::process::abort(),
        _ => Ok(json!({
            "statusCode": 200,
            "headers": { "content-type": "application/json" },
            "body": json!({ "event": event }).to_string(),
        })),
    }
}

/// Sends a text back to its connection, with the function's own rights.
async fn socket(event: &Value) -> Result<Value, Error> {
    let context = &event["requestContext"];
    if context["eventType"] == "MESSAGE" {
        let text = |field: &str| context[field].as_str().unwrap_or_default().to_owned();
        let path = format!(
            "/_aws/execute-api/{}/{}/@connections/{}",
            text("apiId"),
            text("stage"),
            text("connectionId")
        );
        let body = event["body"]
            .as_str()
            .unwrap_or_default()
            .as_bytes()
            .to_vec();
        cloud()?
            .signed("execute-api", "POST", &path, &[], body)
            .await
            .map_err(explain)?
            .accepted("pushing")
            .map_err(explain)?;
    }
    Ok(json!({ "statusCode": 200 }))
}

fn message(event: &Value, source: &str) -> Value {
    let mut event = event.clone();
    event["response"] =
        json!({ "emailSubject": format!("probe {source}"), "emailMessage": "probe says {####}" });
    event
}

/// Treats each record as its payload says and reports the failed ones.
async fn batch(records: &[Value], request: &str) -> Result<Value, Error> {
    let mut failures = Vec::new();
    for record in records {
        let (id, payload) = payload(record)?;
        observe(
            payload["marker"].as_str().unwrap_or_default(),
            &format!("{request}#{id}"),
            &payload,
        )
        .await?;
        match payload["do"].as_str() {
            Some("fail") => failures.push(json!({ "itemIdentifier": id })),
            Some("error") => return Err("the whole batch".into()),
            Some("die") => std::process::abort(),
            _ => {}
        }
    }
    Ok(json!({ "batchItemFailures": failures }))
}

/// The identifier of a record for a partial answer, and what it carries.
fn payload(record: &Value) -> Result<(String, Value), Error> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if record["s3"].is_object() {
        let key = text(&record["s3"]["object"]["key"]);
        let marker = key.split('/').next().unwrap_or_default();
        return Ok((key.clone(), json!({ "marker": marker, "key": key })));
    }
    if record["kinesis"].is_object() {
        let data = STANDARD.decode(text(&record["kinesis"]["data"]))?;
        return Ok((
            text(&record["kinesis"]["sequenceNumber"]),
            serde_json::from_slice(&data)?,
        ));
    }
    if record["dynamodb"].is_object() {
        let image = text(&record["dynamodb"]["NewImage"]["payload"]["S"]);
        return Ok((
            text(&record["dynamodb"]["SequenceNumber"]),
            serde_json::from_str(&image)?,
        ));
    }
    let body: Value = serde_json::from_str(&text(&record["body"]))?;
    // An event that came over the bus carries the payload in its detail.
    let payload = if body["detail"].is_object() {
        body["detail"].clone()
    } else {
        body
    };
    Ok((text(&record["messageId"]), payload))
}

/// Makes a call with the rights of this function and answers with its result, a refusal included.
async fn call(call: &Value) -> Result<Value, Error> {
    let text = |field: &str| call[field].as_str().unwrap_or_default();
    let answer: Answer = cloud()?
        .json(text("service"), text("target"), &call["input"])
        .await
        .map_err(explain)?;
    Ok(json!({ "status": answer.status, "body": answer.text() }))
}

async fn observe(marker: &str, place: &str, what: &Value) -> Result<(), Error> {
    let item = BTreeMap::from([("pk", marker), ("sk", place)])
        .into_iter()
        .map(|(key, value)| (key.to_owned(), json!({ "S": value })));
    let mut item: serde_json::Map<String, Value> = item.collect();
    item.insert("seen".to_owned(), json!({ "S": what.to_string() }));
    let input = json!({ "TableName": env::var("OBSERVATIONS")?, "Item": item });
    cloud()?
        .json("dynamodb", "DynamoDB_20120810.PutItem", &input)
        .await
        .map_err(explain)?
        .accepted("observing")
        .map_err(explain)?;
    Ok(())
}

fn cloud() -> Result<Cloud, Error> {
    Cloud::of_function().map_err(explain)
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands it over")]
fn explain(failure: fleet::Failure) -> Error {
    failure.to_string().into()
}
