//! Prepares `template.yaml` for the emulator. The template itself is deployable as it stands; what the local
//! cloud leaves out stands in `refusals`, what it changes stands here, each with its reason.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::refusals;

/// What differs between one local cloud and another.
#[derive(Clone, Debug)]
pub struct Local {
    /// The emulator's address, without a slash at its end.
    pub endpoint: String,
    /// The bucket that holds the functions' packages.
    pub bucket: String,
    /// Object key of each binary's package.
    pub packages: BTreeMap<String, String>,
}

/// A template that the emulator accepts.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The whole template as JSON.
    pub body: Value,
    /// Values for the parameters that the template has.
    pub parameters: BTreeMap<String, String>,
    /// The binary of each function, by logical id.
    pub functions: BTreeMap<String, String>,
    /// What was left out, with the reason: `Resource (Type): reason`.
    pub dropped: Vec<String>,
}

/// Prepares a template.
pub fn prepare(template: Value, local: &Local) -> Prepared {
    let mut body = template;
    let mut dropped = drop_refused(&mut body);
    dropped.extend(drop_function_properties(&mut body));
    let functions = functions(&body);
    for (logical_id, binary) in &functions {
        localise_function(
            &mut body["Resources"][logical_id]["Properties"],
            binary,
            local,
        );
    }
    if let Some(globals) = body.pointer_mut("/Globals/Function") {
        set_architecture(globals);
    }
    without_aliases(&mut body, &functions);
    let parameters = parameters(&body, local);
    Prepared {
        body,
        parameters,
        functions,
        dropped,
    }
}

/// The binary that each function of a template runs: the last folder of its `CodeUri`.
pub fn functions(template: &Value) -> BTreeMap<String, String> {
    resources(template)
        .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
        .filter_map(|(id, resource)| {
            let code = resource.pointer("/Properties/CodeUri")?.as_str()?;
            let binary = code.trim_end_matches('/').rsplit('/').next()?;
            Some((id.clone(), binary.to_owned()))
        })
        .collect()
}

/// Logical ids and resources.
pub fn resources(template: &Value) -> impl Iterator<Item = (&String, &Value)> {
    template["Resources"].as_object().into_iter().flatten()
}

fn drop_refused(template: &mut Value) -> Vec<String> {
    let mut gone = BTreeSet::new();
    let mut told = Vec::new();
    for (id, resource) in resources(template) {
        let kind = resource["Type"].as_str().unwrap_or_default();
        if let Some(reason) = refusals::refusal(kind, &resource["Properties"]) {
            told.push(format!("{id} ({kind}): {reason}"));
            gone.insert(id.clone());
        }
    }
    if let Some(resources) = template["Resources"].as_object_mut() {
        resources.retain(|id, _| !gone.contains(id));
        for resource in resources.values_mut() {
            forget_dependencies(resource, &gone);
        }
    }
    if let Some(outputs) = template["Outputs"].as_object_mut() {
        outputs.retain(|_, output| !mentions(output, &gone));
    }
    told
}

fn forget_dependencies(resource: &mut Value, gone: &BTreeSet<String>) {
    match &mut resource["DependsOn"] {
        Value::Array(names) => {
            names.retain(|name| !name.as_str().is_some_and(|name| gone.contains(name)));
        }
        Value::String(name) if gone.contains(name) => resource["DependsOn"] = json!([]),
        _ => {}
    }
    if resource["DependsOn"].is_null() || resource["DependsOn"] == json!([]) {
        resource
            .as_object_mut()
            .map(|resource| resource.remove("DependsOn"));
    }
}

/// Whether a value refers to one of these resources by `Ref`, `Fn::GetAtt` or `Fn::Sub`.
fn mentions(value: &Value, names: &BTreeSet<String>) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .any(|(key, inner)| match (key.as_str(), inner) {
                ("Ref", Value::String(name)) => names.contains(name),
                ("Fn::GetAtt", Value::Array(path)) => {
                    path[0].as_str().is_some_and(|name| names.contains(name))
                }
                ("Fn::Sub", Value::String(text)) => names
                    .iter()
                    .any(|name| text.contains(&format!("${{{name}"))),
                _ => mentions(inner, names),
            }),
        Value::Array(items) => items.iter().any(|item| mentions(item, names)),
        _ => false,
    }
}

fn drop_function_properties(template: &mut Value) -> Vec<String> {
    let mut told = BTreeSet::new();
    let mut strip = |properties: &mut Value| {
        let Some(properties) = properties.as_object_mut() else {
            return;
        };
        for (name, reason) in refusals::FUNCTION_PROPERTIES {
            if properties.remove(name).is_some() {
                told.insert(format!("functions' {name}: {reason}"));
            }
        }
    };
    if let Some(globals) = template.pointer_mut("/Globals/Function") {
        strip(globals);
    }
    for resource in template["Resources"]
        .as_object_mut()
        .into_iter()
        .flat_map(Map::values_mut)
    {
        if resource["Type"] == "AWS::Serverless::Function" {
            strip(&mut resource["Properties"]);
        }
    }
    told.into_iter().collect()
}

fn localise_function(properties: &mut Value, binary: &str, local: &Local) {
    if let Some(key) = local.packages.get(binary) {
        properties["CodeUri"] = json!({ "Bucket": local.bucket, "Key": key });
    }
    if properties.get("Architectures").is_some() {
        set_architecture(properties);
    }
}

/// The binaries are built for this machine, whatever the template deploys on.
fn set_architecture(properties: &mut Value) {
    properties["Architectures"] = json!([architecture()]);
}

/// Lambda's name of this machine's architecture.
pub fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x86_64"
    }
}

/// What refers to a function's alias refers to the function: see `AutoPublishAlias` in `refusals`.
fn without_aliases(value: &mut Value, functions: &BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            let alias = fields
                .get("Ref")
                .and_then(Value::as_str)
                .and_then(|name| name.strip_suffix(".Alias"));
            if let Some(function) = alias.filter(|function| functions.contains_key(*function)) {
                *value = json!({ "Fn::GetAtt": [function, "Arn"] });
                return;
            }
            fields
                .values_mut()
                .for_each(|inner| without_aliases(inner, functions));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| without_aliases(item, functions)),
        Value::String(text) if text.contains(".Alias}") => {
            for function in functions.keys() {
                *text = text.replace(
                    &format!("${{{function}.Alias}}"),
                    &format!("${{{function}.Arn}}"),
                );
            }
        }
        _ => {}
    }
}

/// Values for the parameters that the local cloud decides; every other keeps its default.
fn parameters(template: &Value, local: &Local) -> BTreeMap<String, String> {
    [
        ("Stage", "local".to_owned()),
        ("Architecture", architecture().to_owned()),
        // Tokens carry the issuer of the real Cognito, whose keys only the emulator has.
        ("IdentityEndpoint", local.endpoint.clone()),
        // An API's own host name does not resolve here; its address by path does.
        (
            "SocketEndpoint",
            format!("{}/_aws/execute-api", local.endpoint),
        ),
    ]
    .into_iter()
    .filter(|(name, _)| template["Parameters"].get(name).is_some())
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn local() -> Local {
        Local {
            endpoint: "http://127.0.0.1:4566".to_owned(),
            bucket: "packages".to_owned(),
            packages: BTreeMap::from([("users-api".to_owned(), "users-api-1.zip".to_owned())]),
        }
    }

    fn prepared(text: &str) -> Prepared {
        prepare(yaml::parse(text).unwrap(), &local())
    }

    const FUNCTION: &str = "
Parameters: {Stage: {Type: String}, Other: {Type: String, Default: x}}
Globals: {Function: {Architectures: [!Ref Arch], AutoPublishAlias: live, Environment: {Variables: {A: b}}}}
Resources:
  UsersApi:
    Type: AWS::Serverless::Function
    DependsOn: [Trail, Table]
    Properties:
      CodeUri: target/lambda/users-api/
  Table: {Type: AWS::DynamoDB::Table}
  Trail: {Type: AWS::CloudTrail::Trail}
  Plain: {Type: AWS::CloudWatch::Alarm, Properties: {MetricName: Errors}}
  Computed: {Type: AWS::CloudWatch::Alarm, Properties: {Metrics: []}}
Outputs:
  TrailArn: {Value: !GetAtt Trail.Arn}
  TrailUrl: {Value: !Sub 'x/${Trail}'}
  TableName: {Value: !Ref Table}
";

    #[test]
    fn a_refused_resource_goes_with_all_that_depends_on_it() {
        let prepared = prepared(FUNCTION);

        assert!(prepared.body["Resources"].get("Trail").is_none());
        assert_eq!(
            prepared.body["Resources"]["UsersApi"]["DependsOn"],
            json!(["Table"])
        );
        assert_eq!(
            prepared.body["Outputs"],
            json!({"TableName": {"Value": {"Ref": "Table"}}})
        );
        assert!(
            prepared
                .dropped
                .iter()
                .any(|line| line.starts_with("Trail (AWS::CloudTrail::Trail): "))
        );
    }

    #[test]
    fn only_alarms_that_compute_are_left_out() {
        let prepared = prepared(FUNCTION);

        assert!(prepared.body["Resources"].get("Computed").is_none());
        assert!(prepared.body["Resources"].get("Plain").is_some());
    }

    #[test]
    fn a_function_runs_its_package_on_this_machine() {
        let prepared = prepared(FUNCTION);
        let function = &prepared.body["Resources"]["UsersApi"]["Properties"];

        assert_eq!(
            function["CodeUri"],
            json!({"Bucket": "packages", "Key": "users-api-1.zip"})
        );
        assert_eq!(
            prepared.body["Globals"]["Function"]["Architectures"],
            json!([architecture()])
        );
        assert!(
            prepared.body["Globals"]["Function"]
                .get("AutoPublishAlias")
                .is_none()
        );
        assert_eq!(
            prepared.functions,
            BTreeMap::from([("UsersApi".to_owned(), "users-api".to_owned())])
        );
    }

    #[test]
    fn what_refers_to_an_alias_refers_to_the_function() {
        let aliased = "Resources:
  UsersApi: {Type: AWS::Serverless::Function, Properties: {CodeUri: target/lambda/users-api/}}
  Other: {Type: X, Properties: {A: !Ref UsersApi.Alias, B: !Sub 'x/${UsersApi.Alias}', C: !Ref UsersApi}}
";
        let other = &prepared(aliased).body["Resources"]["Other"]["Properties"];

        assert_eq!(other["A"], json!({"Fn::GetAtt": ["UsersApi", "Arn"]}));
        assert_eq!(other["B"], json!({"Fn::Sub": "x/${UsersApi.Arn}"}));
        assert_eq!(other["C"], json!({"Ref": "UsersApi"}));
    }

    #[test]
    fn sockets_are_spoken_to_by_their_path() {
        let named = prepared("Parameters: {SocketEndpoint: {Type: String}}\nResources: {}");

        assert_eq!(
            named.parameters["SocketEndpoint"],
            "http://127.0.0.1:4566/_aws/execute-api"
        );
    }

    #[test]
    fn only_parameters_that_the_template_has_are_set() {
        assert_eq!(
            prepared(FUNCTION).parameters,
            BTreeMap::from([("Stage".to_owned(), "local".to_owned())])
        );
    }
}
