//! `fleet invoke`: hands a sample of `events/` to a function and shows its answer.

use std::{fs, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;

use crate::{
    cloud::Cloud,
    console::{note, say},
    emulator::Emulator,
    failure::{Failure, Outcome, While},
    layout::Layout,
    outputs::Outputs,
};

/// What `fleet invoke` needs.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// A function's binary, such as `users-api`.
    function: String,
    /// A file with the event.
    event: PathBuf,
}

/// Runs the command; fails when the function does.
pub async fn run(options: &Options) -> Outcome {
    let layout = Layout::developer();
    let cloud = Cloud::new(Emulator::require(&layout)?.url())?;
    let outputs = Outputs::read(&layout.outputs())?;
    let name = outputs.functions.get(&options.function).ok_or_else(|| {
        let known = outputs
            .functions
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        Failure::new(format!("no function {}", options.function))
            .remedy(format!("there are: {known}"))
    })?;
    let event =
        fs::read(&options.event).during(format_args!("reading {}", options.event.display()))?;
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let headers = [
        ("content-type", "application/json"),
        ("x-amz-log-type", "Tail"),
    ];
    let answer = cloud
        .signed("lambda", "POST", &path, &headers, event)
        .await?
        .accepted("invoking")?;
    if let Some(log) = answer
        .headers
        .get("x-amz-log-result")
        .and_then(|log| STANDARD.decode(log).ok())
    {
        note(String::from_utf8_lossy(&log).trim_end());
    }
    say(format_args!("{:#}", answer.json()));
    match answer.headers.get("x-amz-function-error") {
        Some(kind) => Err(Failure::new(format!(
            "the function failed: {}",
            kind.to_str().unwrap_or_default()
        ))),
        None => Ok(()),
    }
}
