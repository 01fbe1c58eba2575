//! `fleet logs`: what the functions say, one line after the other.

use std::{collections::HashSet, fs, path::Path, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cloud::Cloud,
    console::say,
    emulator::Emulator,
    failure::{Failure, Outcome},
    layout::Layout,
    outputs::Outputs,
};

/// What `fleet logs` can be asked for.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// A function's binary, such as `users-api`, or `model`; all functions if none is named.
    function: Option<String>,
    /// Go on with what comes.
    #[arg(long, short)]
    follow: bool,
    /// How many of the lines that are there already to show.
    #[arg(long, short = 'n', default_value_t = 200)]
    lines: usize,
}

/// A line that was said.
struct Line {
    time: i64,
    id: String,
    function: String,
    text: String,
}

/// Runs the command.
pub async fn run(options: &Options) -> Outcome {
    let layout = Layout::developer();
    if options.function.as_deref() == Some("model") {
        return file(&layout.model_log(), options).await;
    }
    let cloud = Cloud::new(Emulator::require(&layout)?.url())?;
    let outputs = Outputs::read(&layout.outputs())?;
    let functions = groups(&cloud, chosen(&outputs, options.function.as_deref())?).await?;
    let (mut since, mut told) = (0, HashSet::new());
    let mut skipped = lines(&cloud, &functions, since)
        .await?
        .len()
        .saturating_sub(options.lines);
    loop {
        for line in lines(&cloud, &functions, since).await? {
            since = since.max(line.time);
            if told.insert(line.id) && skipped == 0 {
                say(format_args!("{} {}", line.function, line.text));
            }
            skipped = skipped.saturating_sub(1);
        }
        if !options.follow {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// The local model's own log, which lies in a file. It has no prompts and no texts.
async fn file(path: &Path, options: &Options) -> Outcome {
    let read = || fs::read_to_string(path).unwrap_or_default();
    let text = read();
    let skipped = text.lines().count().saturating_sub(options.lines);
    text.lines().skip(skipped).for_each(say);
    let mut told = text.len();
    if !options.follow {
        return Ok(());
    }
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let text = read();
        // A new run begins a new file.
        let news = text.get(told..).unwrap_or(&text);
        let whole = news.rfind('\n').map_or(0, |end| end + 1);
        news[..whole].lines().for_each(say);
        told = text.len() - news.len() + whole;
    }
}

/// Binaries and names of the functions to show.
fn chosen(outputs: &Outputs, binary: Option<&str>) -> Outcome<Vec<(String, String)>> {
    let all = outputs
        .functions
        .iter()
        .map(|(binary, name)| (binary.clone(), name.clone()));
    let functions: Vec<_> = all
        .filter(|(found, _)| binary.is_none_or(|wanted| wanted == found))
        .collect();
    if functions.is_empty() {
        let known = outputs
            .functions
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        return Err(
            Failure::new(format!("no function {}", binary.unwrap_or_default()))
                .remedy(format!("there are: {known}, model")),
        );
    }
    Ok(functions)
}

/// The log group of each function: its own choice, or the one that Lambda gives it.
async fn groups(cloud: &Cloud, functions: Vec<(String, String)>) -> Outcome<Vec<(String, String)>> {
    let mut groups = Vec::new();
    for (binary, name) in functions {
        let path = format!("/2015-03-31/functions/{name}/configuration");
        let configuration = cloud
            .signed("lambda", "GET", &path, &[], Vec::new())
            .await?
            .accepted("reading a function's configuration")?
            .json();
        let group = configuration["LoggingConfig"]["LogGroup"]
            .as_str()
            .map_or_else(|| format!("/aws/lambda/{name}"), str::to_owned);
        groups.push((binary, group));
    }
    Ok(groups)
}

async fn lines(cloud: &Cloud, groups: &[(String, String)], since: i64) -> Outcome<Vec<Line>> {
    let mut lines = Vec::new();
    for (binary, group) in groups {
        let mut token = Value::Null;
        loop {
            let mut input = json!({ "logGroupName": group, "startTime": since });
            if !token.is_null() {
                input["nextToken"] = token;
            }
            let page = cloud
                .json("logs", "Logs_20140328.FilterLogEvents", &input)
                .await?;
            // A function that was never invoked has said nothing and may have no group.
            let page = if page.status == 200 {
                page.json()
            } else {
                Value::Null
            };
            lines.extend(
                page["events"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|event| line(binary, event)),
            );
            token = page["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
    }
    lines.sort_by_key(|line| line.time);
    Ok(lines)
}

/// A line of the function's own or its REPORT; where an invocation starts and ends says nothing.
fn line(binary: &str, event: &Value) -> Option<Line> {
    let text = event["message"].as_str()?.trim_end();
    let noise = text.starts_with("START RequestId") || text.starts_with("END RequestId");
    (!noise).then(|| Line {
        time: event["timestamp"].as_i64().unwrap_or_default(),
        id: event["eventId"]
            .as_str()
            .map_or_else(|| format!("{binary}{event}"), str::to_owned),
        function: binary.to_owned(),
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_invocation_starts_and_ends_is_not_shown() {
        let event = |text: &str| json!({ "timestamp": 1, "eventId": "e", "message": text });

        assert!(line("users-api", &event("START RequestId: 1")).is_none());
        assert!(line("users-api", &event("END RequestId: 1")).is_none());
        assert_eq!(
            line("users-api", &event("{\"level\":\"INFO\"}\n"))
                .unwrap()
                .text,
            "{\"level\":\"INFO\"}"
        );
    }

    #[test]
    fn an_unknown_function_is_answered_with_those_there_are() {
        let outputs = Outputs {
            functions: [("users-api".to_owned(), "fleet-UsersApi".to_owned())].into(),
            ..Outputs::default()
        };

        let refused = chosen(&outputs, Some("user-api")).unwrap_err().to_string();

        assert!(refused.contains("there are: users-api"), "{refused}");
    }
}
