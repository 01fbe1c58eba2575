//! `fleet status`: what runs, where, and whether it answers.

use crate::{
    cloud::Cloud,
    console::say,
    emulator::Emulator,
    failure::{Failure, Outcome},
    layout::Layout,
    model,
    outputs::Outputs,
};

/// Runs the command; fails when the fleet does not answer, so that scripts can ask.
pub async fn run() -> Outcome {
    let layout = Layout::developer();
    let emulator = Emulator::require(&layout)?;
    say(format_args!(
        "{:>14}  {} (pid {})",
        "emulator",
        emulator.url(),
        emulator.pid
    ));
    let outputs = Outputs::read(&layout.outputs())?;
    say(format_args!("{:>14}  {}", "API", outputs.api_url));
    for (binary, function) in &outputs.functions {
        say(format_args!("{binary:>14}  {function}"));
    }
    say(format_args!("{:>14}  {}", "model", model::words(&layout)));
    let cloud = Cloud::new(emulator.url())?;
    let answer = cloud
        .plain(
            "GET",
            &format!("{}/v1/ready", outputs.api_url),
            &[],
            Vec::new(),
        )
        .await?;
    say(format_args!(
        "{:>14}  {} {}",
        "ready",
        answer.status,
        answer.text()
    ));
    if answer.status == 200 {
        Ok(())
    } else {
        Err(Failure::new("the fleet is not ready"))
    }
}
