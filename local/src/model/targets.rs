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
        server::{ALIAS, TOKENS},
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
        let key = &target["key"];
        if !key.is_string() && !key.is_null() {
            say("/key", "must be a text, empty if the endpoint wants none");
        }
        let has_key = key.as_str().is_some_and(|key| !key.is_empty());
        if let Err(what) = check_address(target["base_url"].as_str(), has_key) {
            say("/base_url", what);
        }
        for (place, price) in prices(&target["price"]) {
            for field in ["input_micros_per_million", "output_micros_per_million"] {
                if !price[field].is_u64() {
                    let place = format!("{place}/{field}");
                    say(&place, "must be a whole number, 0 or more");
                }
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

/// A price, or each of the prices that hold from different days.
fn prices(written: &Value) -> Vec<(String, &Value)> {
    match written.as_array().filter(|all| !all.is_empty()) {
        Some(all) => {
            let numbered = all.iter().enumerate();
            numbered
                .map(|(index, price)| (format!("/price/{index}"), price))
                .collect()
        }
        None => vec![("/price".to_owned(), written)],
    }
}

/// A key travels over TLS only, unless it stays on this machine.
fn check_address(text: Option<&str>, has_key: bool) -> Result<(), &'static str> {
    let address = text.and_then(|text| text.parse::<http::Uri>().ok());
    let parts = address
        .as_ref()
        .and_then(|it| it.scheme_str().zip(it.host()));
    match parts {
        Some(("https", _)) => Ok(()),
        Some(("http", host)) => {
            let here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
            if here || !has_key {
                Ok(())
            } else {
                Err("must be an address of https: a key is not sent without it")
            }
        }
        _ => Err("must be an address of http or https"),
    }
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
            "embeddings": ALIAS,
            "context": TOKENS,
            // A long prompt takes a processor half a minute to read; who asks has a deadline of his own.
            "timeouts": { "first_token_ms": 120_000, "idle_ms": 60_000, "total_ms": 600_000 },
        }]),
        None => json!([]),
    }
}

/// The local model, if it answers now, and then others.
pub fn with_local(layout: &Layout, others: Value) -> Value {
    let mut list = local(Record::read(layout).as_ref());
    if let (Some(list), Value::Array(others)) = (list.as_array_mut(), others) {
        list.extend(others);
    }
    list
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
        assert!(refused(|list| list[0]["key"] = json!(null)).is_empty());
        assert!(refused(|list| list[0]["price"] = json!([list[0]["price"]])).is_empty());
        assert!(refused(|list| list[0]["base_url"] = json!("http://127.0.0.1:1/v1")).is_empty());
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
            ("base_url", json!("http://models.example/v1")),
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
        let later = refused(|list| list[0]["price"] = json!([list[0]["price"], { "from": "x" }]));
        assert_eq!(later.len(), 2);
        assert_eq!(place(later), "/0/price/1/input_micros_per_million");
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
