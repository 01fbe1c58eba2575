//! Consumes ordered streams (`DynamoDB`, Kinesis): stops at the first record that was not done and says
//! so, because what follows it may not overtake it.

use std::fmt::Display;

use data_encoding::BASE64;
use domain::Envelope;
use lambda_runtime::{Context, LambdaEvent, service_fn};
use ports::outbox::Announced;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::batch;
use crate::Error;

/// Where a record stands in its shard: the checkpoint's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position(pub String);

/// A row of a table as it was after a change, in plain JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its place in the stream.
    pub position: Position,
    /// The row; nothing if it was deleted.
    pub row: Option<Map<String, Value>>,
}

impl Change {
    /// The event that the row announces, if it is one of the outbox.
    pub fn envelope(&self) -> Option<Result<Envelope, serde_json::Error>> {
        let row = self.row.as_ref()?;
        let is_event = row
            .get("sk")?
            .as_str()?
            .starts_with(ports::outbox::SORT_PREFIX);
        is_event.then(|| {
            let row: Announced = serde_json::from_value(Value::Object(row.clone()))?;
            Ok(row.envelope)
        })
    }
}

#[derive(Serialize, Default)]
struct Answer {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<Failure>,
}

#[derive(Serialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    position: String,
}

#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    kinesis: Option<Kinesis>,
    dynamodb: Option<Dynamo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kinesis {
    sequence_number: String,
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dynamo {
    sequence_number: String,
    new_image: Option<Map<String, Value>>,
}

/// Serves a Kinesis stream, record by record in order; the octets are the producer's.
pub async fn stream<E, F>(handle: F) -> Result<(), Error>
where
    E: Display,
    F: AsyncFn(Position, Vec<u8>) -> Result<(), E>,
{
    let handle = &handle;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Batch>| {
        let one = async |record: Record| {
            let kinesis = record.kinesis.ok_or("not a Kinesis record")?;
            let octets = BASE64
                .decode(kinesis.data.as_bytes())
                .map_err(|e| e.to_string())?;
            handle(Position(kinesis.sequence_number), octets)
                .await
                .map_err(|e| e.to_string())
        };
        Ok::<_, Error>(consume(event.payload, &event.context, &one).await)
    }))
    .await
}

/// Serves the changes of a table. The whole batch is handed over, in order; the handler says how many
/// it did before it failed, so that one call can publish many.
pub async fn changes<E, F>(handle: F) -> Result<(), Error>
where
    E: Display,
    F: AsyncFn(Vec<Change>) -> Result<(), (usize, E)>,
{
    let handle = &handle;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Batch>| {
        let changes: Vec<Change> = event
            .payload
            .records
            .into_iter()
            .filter_map(change)
            .collect();
        let positions: Vec<String> = changes.iter().map(|c| c.position.0.clone()).collect();
        let mut answer = Answer::default();
        if let Err((done, error)) = handle(changes).await {
            tracing::error!(%error, done, "a batch of changes was not done");
            answer.failures.extend(
                positions
                    .into_iter()
                    .nth(done)
                    .map(|position| Failure { position }),
            );
        }
        Ok::<_, Error>(answer)
    }))
    .await
}

/// Every change of a batch.
pub(crate) fn changes_of(batch: &Value) -> Result<Vec<Change>, String> {
    let batch = Batch::deserialize(batch).map_err(|e| format!("not a batch: {e}"))?;
    Ok(batch.records.into_iter().filter_map(change).collect())
}

async fn consume<F>(batch: Batch, context: &Context, handle: &F) -> Answer
where
    F: AsyncFn(Record) -> Result<(), String>,
{
    for record in batch.records {
        let position = record.position();
        let done =
            batch::has_time(context) && batch::one(&position, None, handle(record)).await.is_ok();
        if !done {
            return Answer {
                failures: vec![Failure { position }],
            };
        }
    }
    Answer::default()
}

impl Record {
    fn position(&self) -> String {
        let kinesis = self.kinesis.as_ref().map(|k| &k.sequence_number);
        kinesis
            .or(self.dynamodb.as_ref().map(|d| &d.sequence_number))
            .cloned()
            .unwrap_or_default()
    }
}

fn change(record: Record) -> Option<Change> {
    let dynamo = record.dynamodb?;
    let row = dynamo
        .new_image
        .map(|image| image.into_iter().map(|(k, v)| (k, plain(v))).collect());
    Some(Change {
        position: Position(dynamo.sequence_number),
        row,
    })
}

/// `DynamoDB`'s typed JSON (`{"S": "…"}`) as plain JSON. Binary values stay text, sets become lists.
fn plain(typed: Value) -> Value {
    let Value::Object(map) = typed else {
        return typed;
    };
    let Some((kind, value)) = map.into_iter().next() else {
        return Value::Null;
    };
    match (kind.as_str(), value) {
        ("NULL", _) => Value::Null,
        ("N", Value::String(number)) => {
            serde_json::from_str(&number).unwrap_or(Value::String(number))
        }
        ("NS", Value::Array(numbers)) => numbers
            .into_iter()
            .map(|n| plain(Value::Object(Map::from_iter([("N".to_owned(), n)]))))
            .collect(),
        ("M", Value::Object(fields)) => {
            Value::Object(fields.into_iter().map(|(k, v)| (k, plain(v))).collect())
        }
        ("L", Value::Array(items)) => items.into_iter().map(plain).collect(),
        (_, value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_of_the_outbox_gives_its_event() {
        let record = json!({"dynamodb": {"SequenceNumber": "7", "NewImage": {
            "pk": {"S": "usr_1"},
            "sk": {"S": "event#evt_00000000000000000000000000000009"},
            "version": {"N": "1"},
            "envelope": {"M": {
                "version": {"N": "1"},
                "id": {"S": "evt_00000000000000000000000000000009"},
                "time": {"S": "2026-01-02T03:04:05Z"},
                "org": {"S": "org_00000000000000000000000000000003"},
                "type": {"S": "users.updated"},
                "data": {"M": {
                    "user": {"S": "usr_00000000000000000000000000000001"},
                    "fields": {"L": [{"S": "name"}]}
                }}
            }}
        }}});

        let change = change(serde_json::from_value(record).unwrap()).unwrap();

        let envelope = change.envelope().unwrap().unwrap();
        assert_eq!(envelope.event.name(), "users.updated");
        assert_eq!(change.position, Position("7".into()));
    }

    #[tokio::test]
    async fn a_stream_stops_at_the_first_record_that_was_not_done() {
        let records: Vec<_> = ["1", "2", "3"]
            .iter()
            .map(|n| json!({"kinesis": {"sequenceNumber": n, "data": BASE64.encode(n.as_bytes())}}))
            .collect();
        let batch = serde_json::from_value(json!({ "Records": records })).unwrap();

        let answer = consume(batch, &Context::default(), &async |record: Record| {
            if record.position() == "2" {
                Err("on purpose".to_owned())
            } else {
                Ok(())
            }
        })
        .await;

        assert_eq!(answer.failures.len(), 1);
        assert_eq!(answer.failures[0].position, "2");
    }
}
