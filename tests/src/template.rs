//! `template.yaml` as tests ask about it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_norway::Value;

/// The parsed template. `CloudFormation`'s short tags (`!Ref`) are kept as tagged values.
pub struct Template(Value);

impl Template {
    /// The template at the root of the repository.
    ///
    /// # Panics
    /// If it is not there or not YAML.
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let text = std::fs::read_to_string(path).expect("template.yaml");
        Self(serde_norway::from_str(&text).expect("template.yaml is YAML"))
    }

    fn resources(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0["Resources"]
            .as_mapping()
            .into_iter()
            .flatten()
            .filter_map(|(name, r)| Some((name.as_str()?, r)))
    }

    fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.resources()
            .filter(move |(_, resource)| resource["Type"] == kind)
    }

    /// Every function: the name of its binary, and its logical id.
    pub fn functions(&self) -> BTreeMap<String, &str> {
        self.of_type("AWS::Serverless::Function")
            .map(|(name, function)| {
                let code = function["Properties"]["CodeUri"]
                    .as_str()
                    .expect("a CodeUri");
                let binary = code
                    .trim_end_matches('/')
                    .rsplit('/')
                    .next()
                    .unwrap_or_default();
                (binary.to_owned(), name)
            })
            .collect()
    }

    fn function(&self, name: &str) -> &Value {
        &self.0["Resources"][name]["Properties"]
    }

    /// The variables of one function alone; what `Globals` sets for all is every function's.
    pub fn variables(&self, function: &str) -> BTreeSet<String> {
        keys(&self.function(function)["Environment"]["Variables"])
    }

    /// What a function acts as.
    pub fn role(&self, function: &str) -> String {
        let role = &self.function(function)["Role"];
        if role.is_null() {
            format!("{function}Role")
        } else {
            format!("{:?}", untagged(role))
        }
    }

    /// Every HTTP route as `METHOD /path`, without the catch-all.
    pub fn routes(&self) -> BTreeSet<String> {
        self.http_events().map(|(route, _)| route).collect()
    }

    /// The routes that no authorizer is asked about.
    pub fn public_routes(&self) -> BTreeSet<String> {
        self.http_events()
            .filter(|(_, event)| event["Auth"]["Authorizer"] == "NONE")
            .map(|(route, _)| route)
            .collect()
    }

    fn http_events(&self) -> impl Iterator<Item = (String, &Value)> {
        self.of_type("AWS::Serverless::Function")
            .flat_map(|(_, function)| {
                function["Properties"]["Events"]
                    .as_mapping()
                    .into_iter()
                    .flatten()
            })
            .filter(|(_, event)| event["Type"] == "HttpApi")
            .map(|(_, event)| &event["Properties"])
            .filter(|event| event["Path"] != "$default" && !event["Path"].is_null())
            .map(|event| {
                let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
                (
                    format!("{} {}", text("Method").to_uppercase(), text("Path")),
                    event,
                )
            })
    }

    /// The actions that each role or managed policy allows.
    pub fn actions(&self) -> Vec<(String, Vec<String>)> {
        let roles = self
            .of_type("AWS::IAM::Role")
            .chain(self.of_type("AWS::IAM::ManagedPolicy"));
        let mut found = Vec::new();
        for (name, resource) in roles.chain(self.of_type("AWS::Serverless::Function")) {
            let properties = &resource["Properties"];
            let inline = properties["Policies"].as_sequence().into_iter().flatten();
            let documents = inline.map(|p| {
                if p["PolicyDocument"].is_null() {
                    p
                } else {
                    &p["PolicyDocument"]
                }
            });
            for document in documents.chain([&properties["PolicyDocument"]]) {
                for statement in document["Statement"].as_sequence().into_iter().flatten() {
                    found.push((name.to_owned(), texts(&statement["Action"])));
                }
            }
        }
        found
    }

    /// Consumers of queues: function, its time-out, the queue, its visibility time-out, in seconds.
    pub fn queue_consumers(&self) -> Vec<(String, u64, String, u64)> {
        let mut found = Vec::new();
        for (name, function) in self.of_type("AWS::Serverless::Function") {
            let properties = &function["Properties"];
            let default = &self.0["Globals"]["Function"]["Timeout"];
            let timeout = properties["Timeout"]
                .as_u64()
                .or(default.as_u64())
                .expect("a time-out");
            for (_, event) in properties["Events"].as_mapping().into_iter().flatten() {
                if event["Type"] != "SQS" {
                    continue;
                }
                let arn = untagged(&event["Properties"]["Queue"])
                    .as_str()
                    .expect("a queue")
                    .to_owned();
                let queue = arn.trim_end_matches(".Arn").to_owned();
                let visibility =
                    self.0["Resources"][queue.as_str()]["Properties"]["VisibilityTimeout"].as_u64();
                found.push((
                    name.to_owned(),
                    timeout,
                    queue,
                    visibility.expect("a visibility time-out"),
                ));
            }
        }
        found
    }
}

fn untagged(value: &Value) -> &Value {
    match value {
        Value::Tagged(tagged) => &tagged.value,
        value => value,
    }
}

fn keys(mapping: &Value) -> BTreeSet<String> {
    mapping
        .as_mapping()
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.as_str().map(str::to_owned))
        .collect()
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        many => many
            .as_sequence()
            .into_iter()
            .flatten()
            .filter_map(|v| v.as_str().map(str::to_owned))
            .collect(),
    }
}
