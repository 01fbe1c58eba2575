//! What stands in the cloud's own stores, read past the functions.

use fleet::{
    Failure, Outcome,
    cloud::{self, percent, text, texts},
    layout::Layout,
    outputs::Outputs,
};
use journeys::cloud::{Cloud, Person};
use serde_json::{Value, json};

/// The stores of documents-worker, as one organisation's rows and objects.
pub struct Store {
    cloud: cloud::Cloud,
    table: String,
    bucket: String,
    org: String,
}

impl Store {
    /// Those of a person's own organisation.
    pub async fn of(cloud: &Cloud, person: &Person, layout: &Layout) -> Outcome<Self> {
        let outputs = Outputs::read(&layout.outputs())?;
        let named = |what: &str, names: &std::collections::BTreeMap<String, String>| {
            let name = names.get("documents").cloned();
            name.ok_or_else(|| Failure::new(format!("this cloud has no {what} of documents")))
        };
        let listed = cloud.get("/v1/orgs", Some(&person.access)).await.body;
        let org = listed["items"][0]["id"]
            .as_str()
            .ok_or_else(|| Failure::new(format!("no organisation in {listed}")))?;
        Ok(Self {
            table: named("table", &outputs.tables)?,
            bucket: named("bucket", &outputs.buckets)?,
            cloud: cloud::Cloud::new(outputs.emulator_url)?,
            org: org.to_owned(),
        })
    }

    /// How many rows there are whose key begins with this.
    pub async fn count(&self, prefix: &str) -> Outcome<usize> {
        Ok(self.keys(prefix).await?.len())
    }

    /// The ids of the documents that have a row.
    pub async fn documents(&self) -> Outcome<Vec<String>> {
        let prefix = "document#";
        let keys = self.keys(prefix).await?.into_iter();
        Ok(keys
            .map(|key| key.trim_start_matches(prefix).to_owned())
            .collect())
    }

    async fn keys(&self, prefix: &str) -> Outcome<Vec<String>> {
        let mut query = json!({
            "TableName": self.table, "ConsistentRead": true, "ProjectionExpression": "sk",
            "KeyConditionExpression": "pk = :org AND begins_with(sk, :prefix)",
            "ExpressionAttributeValues": {":org": {"S": self.org}, ":prefix": {"S": prefix}},
        });
        let mut keys = Vec::new();
        loop {
            let answer = self
                .cloud
                .json("dynamodb", "DynamoDB_20120810.Query", &query)
                .await?
                .accepted("reading the table")?
                .json();
            let items = answer["Items"].as_array().into_iter().flatten();
            keys.extend(items.filter_map(|item| item["sk"]["S"].as_str().map(str::to_owned)));
            match &answer["LastEvaluatedKey"] {
                Value::Null => return Ok(keys),
                last => query["ExclusiveStartKey"] = last.clone(),
            }
        }
    }

    /// The ids of the documents that have a file; the whole name of a file that is none.
    pub async fn objects(&self) -> Outcome<Vec<String>> {
        let prefix = format!("{}/", self.org);
        let list = format!("/{}?list-type=2&prefix={}", self.bucket, percent(&prefix));
        let (mut ids, mut page) = (Vec::new(), list.clone());
        loop {
            let answer = self
                .cloud
                .signed("s3", "GET", &page, &[], Vec::new())
                .await?
                .accepted("listing the bucket")?
                .text();
            ids.extend(texts(&answer, "Key").into_iter().map(|key| {
                let name = key.strip_prefix(&prefix);
                let id = name.and_then(|name| name.strip_suffix(".pdf"));
                id.map_or(key.clone(), str::to_owned)
            }));
            let next = text(&answer, "NextContinuationToken");
            if next.is_empty() {
                return Ok(ids);
            }
            page = format!("{list}&continuation-token={}", percent(&next));
        }
    }
}
