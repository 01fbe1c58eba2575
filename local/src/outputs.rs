//! `outputs.json`: the addresses and names of a running cloud, for scripts, front ends and tests.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    emulator::REGION,
    failure::{Failure, Outcome, While},
    stack::{Resource, Stack},
    template::Prepared,
};

/// The file's shape, which scripts rely on.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Outputs {
    /// The HTTP API; a path such as `/v1/health` is appended as it is.
    pub api_url: String,
    /// The WebSocket API, when the fleet has one.
    pub ws_url: Option<String>,
    /// The emulator, which is every AWS service.
    pub emulator_url: String,
    /// The region of everything.
    pub region: String,
    /// What signs Stripe's webhooks locally, when the fleet takes payments.
    pub stripe_webhook_secret: Option<String>,
    /// Bucket names.
    pub buckets: BTreeMap<String, String>,
    /// Table names.
    pub tables: BTreeMap<String, String>,
    /// Queue addresses.
    pub queues: BTreeMap<String, String>,
    /// Function names, by binary.
    pub functions: BTreeMap<String, String>,
    /// What else tests and tools want to know.
    pub cloud: Cloud,
    /// The stack's own outputs, by their names in the template.
    pub stack: BTreeMap<String, String>,
}

/// Identifiers that are neither addresses nor names of stores.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Cloud {
    /// Cognito's user pool.
    pub user_pool_id: Option<String>,
    /// The pool's client.
    pub user_pool_client_id: Option<String>,
    /// The event bus.
    pub bus: Option<String>,
    /// The HTTP API's id.
    pub api_id: Option<String>,
}

impl Outputs {
    /// Reads what a deployed stack made.
    pub async fn of(stack: &Stack<'_>, prepared: &Prepared, emulator_url: &str) -> Outcome<Self> {
        let resources = stack.resources().await?;
        let named = |kind: &str, suffix: &str| -> BTreeMap<String, String> {
            let found = resources.iter().filter(|resource| resource.kind == kind);
            found
                .map(|resource| {
                    (
                        snake(&resource.logical_id, suffix),
                        resource.physical_id.clone(),
                    )
                })
                .collect()
        };
        let first = |kind: &str| {
            resources
                .iter()
                .find(|resource| resource.kind == kind)
                .map(|found| found.physical_id.clone())
        };
        let functions = resources
            .iter()
            .filter(|resource| resource.kind == "AWS::Lambda::Function")
            .filter_map(|resource| {
                Some((
                    prepared.functions.get(&resource.logical_id)?.clone(),
                    resource.physical_id.clone(),
                ))
            });
        let (http, websocket) = apis(&prepared.body, &resources);
        let outputs = stack.outputs().await?;
        Ok(Self {
            api_url: http
                .as_ref()
                .map(|id| format!("{emulator_url}/_aws/execute-api/{id}"))
                .unwrap_or_default(),
            ws_url: websocket.map(|path| {
                format!(
                    "{}/_aws/execute-api/{path}",
                    emulator_url.replacen("http", "ws", 1)
                )
            }),
            emulator_url: emulator_url.to_owned(),
            region: REGION.to_owned(),
            stripe_webhook_secret: None,
            buckets: named("AWS::S3::Bucket", "Bucket"),
            tables: named("AWS::DynamoDB::Table", "Table"),
            queues: named("AWS::SQS::Queue", "Queue"),
            functions: functions.collect(),
            cloud: Cloud {
                user_pool_id: first("AWS::Cognito::UserPool"),
                user_pool_client_id: first("AWS::Cognito::UserPoolClient"),
                bus: first("AWS::Events::EventBus"),
                api_id: http,
            },
            stack: outputs,
        })
    }

    /// Reads the file of a cloud that is up.
    pub fn read(path: &Path) -> Outcome<Self> {
        let text = fs::read(path).map_err(|error| {
            Failure::new(format!("{}: {error}", path.display()))
                .remedy("start the local cloud: cargo fleet up --detach")
        })?;
        serde_json::from_slice(&text).during(format_args!("reading {}", path.display()))
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, path: &Path) -> Outcome {
        let draft = path.with_extension("json.new");
        let text = serde_json::to_vec_pretty(self).during("writing the outputs")?;
        fs::write(&draft, text).during("writing the outputs")?;
        fs::rename(&draft, path).during("writing the outputs")
    }
}

/// The HTTP API's id, and `id/stage` of the WebSocket API.
fn apis(template: &Value, resources: &[Resource]) -> (Option<String>, Option<String>) {
    let (mut http, mut websocket) = (None, None);
    for resource in resources
        .iter()
        .filter(|resource| resource.kind == "AWS::ApiGatewayV2::Api")
    {
        if template["Resources"][&resource.logical_id]["Properties"]["ProtocolType"] == "WEBSOCKET"
        {
            let stage = websocket_stage(template, &resource.logical_id);
            websocket = stage.map(|stage| format!("{}/{stage}", resource.physical_id));
        } else {
            http = http.or_else(|| Some(resource.physical_id.clone()));
        }
    }
    (http, websocket)
}

fn websocket_stage(template: &Value, api: &str) -> Option<String> {
    let mut stages = crate::template::resources(template)
        .filter(|(_, resource)| resource["Type"] == "AWS::ApiGatewayV2::Stage");
    let (_, stage) = stages.find(|(_, stage)| stage["Properties"]["ApiId"]["Ref"] == api)?;
    stage["Properties"]["StageName"].as_str().map(str::to_owned)
}

/// `UsersEventsQueue` without its suffix in `snake_case`: `users_events`.
fn snake(logical_id: &str, suffix: &str) -> String {
    let name = logical_id
        .strip_suffix(suffix)
        .filter(|name| !name.is_empty())
        .unwrap_or(logical_id);
    name.char_indices()
        .fold(String::new(), |mut out, (index, letter)| {
            if index > 0 && letter.is_ascii_uppercase() {
                out.push('_');
            }
            out.push(letter.to_ascii_lowercase());
            out
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_the_templates_without_their_kind() {
        assert_eq!(snake("UsersEventsQueue", "Queue"), "users_events");
        assert_eq!(snake("UsersEventsDlq", "Queue"), "users_events_dlq");
        assert_eq!(snake("Table", "Table"), "table");
    }

    #[test]
    fn a_websocket_api_is_told_from_an_http_api() {
        let template = json!({"Resources": {
            "Ws": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"ProtocolType": "WEBSOCKET"}},
            "WsStage": {"Type": "AWS::ApiGatewayV2::Stage", "Properties": {"ApiId": {"Ref": "Ws"}, "StageName": "v1"}},
            "Api": {"Type": "AWS::Serverless::HttpApi"},
        }});
        let api = |logical: &str, physical: &str| Resource {
            logical_id: logical.to_owned(),
            physical_id: physical.to_owned(),
            kind: "AWS::ApiGatewayV2::Api".to_owned(),
        };

        let found = apis(&template, &[api("Ws", "1111"), api("Api", "2222")]);

        assert_eq!(found, (Some("2222".to_owned()), Some("1111/v1".to_owned())));
    }

    #[test]
    fn absent_addresses_are_written_as_null() {
        let written = serde_json::to_value(Outputs::default()).unwrap();

        assert_eq!(written["ws_url"], Value::Null);
        assert_eq!(written["stripe_webhook_secret"], Value::Null);
    }
}
