//! The list of model endpoints that content generation reads: a secret of the stack, filled here with the local
//! model while it answers, or with the developer's own list.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    cloud::Cloud,
    deploy::Deployment,
    emulator::Emulator,
    failure::{Failure, Outcome, While},
    layout::Layout,
    model::{
        record::{self, Record},
        server::ALIAS,
    },
    stack::Stack,
};

/// The variable that names a file with a list of one's own.
pub const VARIABLE: &str = "FLEET_MODEL_TARGETS";

/// The secret's name in the template.
const LOGICAL_ID: &str = "ModelTargets";

/// A secret has at most 65 536 octets.
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html>
const LIMIT: usize = 65_536;

/// What became of a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Published {
    /// The secret holds it.
    Written,
    /// The stack has no such secret; nobody reads it.
    NoSecret,
    /// The local cloud is not running; the next `up` writes it.
    NoCloud,
}

/// Reads and checks a developer's list. What is wrong is told by its place; no value is repeated, a key might be
/// among them.
pub fn read(path: &Path) -> Outcome<Value> {
    let advise = |failure: Failure| {
        failure.remedy(format!(
            "{VARIABLE} names a file [{{\"name\",\"base_url\",\"key\",\"model\",\"price\":{{\"input_micros_per_million\",\"output_micros_per_million\"}}}}]"
        ))
    };
    let text = fs::read_to_string(path)
        .during(format_args!("reading {}", path.display()))
        .map_err(advise)?;
    let list = serde_json::from_str(&text).map_err(|error| {
        advise(Failure::new(format!(
            "{} is no JSON at line {}, column {}",
            path.display(),
            error.line(),
            error.column()
        )))
    })?;
    let mut wrong = faults(&list);
    if text.len() > LIMIT {
        wrong.push(format!("it is longer than {LIMIT} octets"));
    }
    if wrong.is_empty() {
        Ok(list)
    } else {
        let all = wrong.join("\n  ");
        Err(advise(Failure::new(format!(
            "{} is no list of model endpoints:\n  {all}",
            path.display()
        ))))
    }
}

/// What is wrong with a list, each with a JSON pointer.
fn faults(list: &Value) -> Vec<String> {
    let Some(targets) = list.as_array() else {
        return vec!["/: must be a list".to_owned()];
    };
    let mut wrong = Vec::new();
    let mut names = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        let mut say = |field: &str, what: &str| wrong.push(format!("/{index}{field}: {what}"));
        if !target.is_object() {
            say("", "must be an object");
            continue;
        }
        for field in ["/name", "/model"] {
            if !filled(target, field) {
                say(field, "must be a text that is not empty");
            }
        }
        if !target["key"].is_string() {
            say("/key", "must be a text, empty if the endpoint wants none");
        }
        if !target["base_url"].as_str().is_some_and(is_address) {
            say("/base_url", "must be an address of http or https");
        }
        for field in [
            "/price/input_micros_per_million",
            "/price/output_micros_per_million",
        ] {
            if target.pointer(field).and_then(Value::as_u64).is_none() {
                say(field, "must be a whole number, 0 or more");
            }
        }
        if names.contains(&&target["name"]) {
            say("/name", "stands there twice");
        }
        names.push(&target["name"]);
    }
    wrong
}

fn filled(target: &Value, field: &str) -> bool {
    let text = target.pointer(field).and_then(Value::as_str);
    text.is_some_and(|text| !text.trim().is_empty())
}

fn is_address(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|address| {
        matches!(address.scheme_str(), Some("http" | "https")) && address.host().is_some()
    })
}

/// The list while the local model is so far: itself when it answers, else nothing.
fn local(record: Option<&Record>) -> Value {
    match record.and_then(Record::port) {
        Some(port) => json!([{
            "name": ALIAS,
            "base_url": format!("http://127.0.0.1:{port}/v1"),
            "key": "",
            "model": ALIAS,
            "price": { "input_micros_per_million": 0, "output_micros_per_million": 0 },
        }]),
        None => json!([]),
    }
}

/// Tells the cloud which endpoints there are now: those given, else the local model. What the record says and
/// what is written are one step, so that of two who publish at once none writes what is no longer true.
pub async fn publish(layout: &Layout, given: Option<&Value>) -> Outcome<Published> {
    let _together = record::lock(layout)?;
    let list = given.map_or_else(|| local(Record::read(layout).as_ref()), Value::clone);
    let Some(emulator) = Emulator::running(layout) else {
        return Ok(Published::NoCloud);
    };
    let cloud = Cloud::new(emulator.url())?;
    let deployment = Deployment::fleet(layout);
    let resources = Stack::new(&cloud, &deployment.stack).resources().await?;
    let secret = resources.into_iter().find(|resource| {
        resource.logical_id == LOGICAL_ID && resource.kind == "AWS::SecretsManager::Secret"
    });
    let Some(secret) = secret else {
        return Ok(Published::NoSecret);
    };
    write(&cloud, &secret.physical_id, &list).await?;
    Ok(Published::Written)
}

/// Writes a value unless the secret already has it: each writing makes a version.
async fn write(cloud: &Cloud, secret: &str, list: &Value) -> Outcome {
    let wanted = list.to_string();
    let found = cloud
        .json(
            "secretsmanager",
            "secretsmanager.GetSecretValue",
            &json!({ "SecretId": secret }),
        )
        .await?;
    if found.status == 200 && found.json()["SecretString"] == wanted.as_str() {
        return Ok(());
    }
    let input = json!({ "SecretId": secret, "SecretString": wanted });
    cloud
        .json("secretsmanager", "secretsmanager.PutSecretValue", &input)
        .await?
        .accepted("telling the cloud its model endpoints")
        .map(|_written| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{record::Phase, testing::scratch};

    fn target() -> Value {
        json!({
            "name": "main", "base_url": "https://models.example/v1", "key": "sk-hidden", "model": "m",
            "price": { "input_micros_per_million": 150_000, "output_micros_per_million": 600_000 }
        })
    }

    fn refused(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut list = json!([target()]);
        change(&mut list);
        faults(&list)
    }

    #[test]
    fn a_whole_list_is_taken_and_so_is_an_empty_one() {
        assert!(refused(|_| ()).is_empty());
        assert!(faults(&json!([])).is_empty());
    }

    #[test]
    fn each_fault_is_told_by_its_place() {
        assert_eq!(faults(&json!({})), ["/: must be a list"]);
        assert_eq!(
            refused(|list| list[0] = json!(1)),
            ["/0: must be an object"]
        );
        let place = |faults: Vec<String>| faults[0].split(':').next().unwrap().to_owned();
        for (field, value) in [
            ("name", json!(" ")),
            ("model", json!(null)),
            ("key", json!(1)),
            ("base_url", json!("models.example/v1")),
            ("base_url", json!("ftp://models.example")),
        ] {
            let faults = refused(|list| list[0][field] = value);
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert_eq!(place(faults), format!("/0/{field}"));
        }
        for field in ["input_micros_per_million", "output_micros_per_million"] {
            for value in [json!(-1), json!(0.5), json!("1"), json!(null)] {
                let faults = refused(|list| list[0]["price"][field] = value);
                assert_eq!(place(faults), format!("/0/price/{field}"));
            }
        }
        let twice = faults(&json!([target(), target()]));
        assert_eq!(twice, ["/1/name: stands there twice"]);
    }

    #[test]
    fn a_file_that_is_refused_does_not_give_its_key_away() {
        let home = scratch("targets");
        let path = home.join("targets.json");
        for text in ["[{\"key\": \"sk-hidden\", ]", "[{\"key\": \"sk-hidden\"}]"] {
            fs::write(&path, text).unwrap();

            let refused = read(&path).unwrap_err().to_string();

            assert!(!refused.contains("sk-hidden"), "{refused}");
            assert!(refused.contains(VARIABLE), "{refused}");
        }
        assert!(read(&home.join("absent.json")).is_err());
    }

    #[test]
    fn the_local_model_stands_in_the_list_only_while_it_answers() {
        let record = |phase| Record {
            choice: "default".to_owned(),
            model: "Qwen".to_owned(),
            phase,
        };

        let ready = local(Some(&record(Phase::Ready { pid: 1, port: 8123 })));

        assert!(faults(&ready).is_empty(), "{ready}");
        assert_eq!(ready[0]["base_url"], "http://127.0.0.1:8123/v1");
        assert_eq!(local(Some(&record(Phase::Starting))), json!([]));
        assert_eq!(local(None), json!([]));
    }
}
