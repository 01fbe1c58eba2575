//! Brings what was built into a running emulator, until it answers.

use std::time::{Duration, Instant};

use crate::{
    cloud::Cloud,
    console::Step,
    deploy::Deployment,
    emulator::Emulator,
    failure::{Failure, Outcome},
    layout::Layout,
    outputs::Outputs,
};

/// How long the fleet may take to say that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Packs, deploys, waits until the fleet says that it is ready, and writes the outputs.
pub async fn bring(
    layout: &Layout,
    deployment: &Deployment,
    emulator: &Emulator,
) -> Outcome<Outputs> {
    let outputs = place(layout, deployment, emulator).await?;
    ready(&Cloud::new(emulator.url())?, &outputs).await?;
    outputs.write(&layout.outputs())?;
    Ok(outputs)
}

/// Packs while the emulator starts, then deploys.
pub async fn place(
    layout: &Layout,
    deployment: &Deployment,
    emulator: &Emulator,
) -> Outcome<Outputs> {
    let packed = deployment.pack(layout)?;
    let step = Step::start(
        "emulator",
        format_args!("starting on 127.0.0.1:{}", emulator.port),
    );
    emulator.ready(layout).await?;
    step.done(format_args!("listens on 127.0.0.1:{}", emulator.port));
    deployment
        .run(layout, &Cloud::new(emulator.url())?, packed)
        .await
}

async fn ready(cloud: &Cloud, outputs: &Outputs) -> Outcome {
    let step = Step::start("ready", "asking /v1/ready");
    let started = Instant::now();
    loop {
        let answer = cloud
            .plain(
                "GET",
                &format!("{}/v1/ready", outputs.api_url),
                &[],
                Vec::new(),
            )
            .await?;
        if answer.status == 200 {
            step.done("the fleet answers");
            return Ok(());
        }
        if started.elapsed() > READY_LIMIT {
            return Err(Failure::new(format!(
                "/v1/ready answers {}: {}",
                answer.status,
                answer.text()
            ))
            .remedy("see what the function says: cargo fleet logs platform-api"));
        }
        step.detail(format_args!("/v1/ready answers {}", answer.status));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
