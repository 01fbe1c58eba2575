//! How long the first token of a streamed text is under way, from the model's endpoint to a client's socket,
//! through the running cloud: the worker, the channel's table, the gateway's connections.

use fleet::{Failure, Outcome, console::say, layout::Layout, model::Provision};
use journeys::cloud::{Cloud, Socket};
use serde_json::{Value, json};

use crate::{
    figures::{millis, quantile},
    provider::Provider,
    report::Report,
};

/// Milliseconds that a first token may be under way.
const MOST: f64 = 30.0;

/// Texts that are streamed before any counts: they start the functions and make the connections.
const WARM_UP: usize = 5;

/// Streams texts one after another.
pub async fn measure(cloud: &Cloud, layout: &Layout, runs: usize, report: &mut Report) -> Outcome {
    let provider = Provider::start()?;
    // As `FLEET_MODEL_TARGETS` would have it.
    Provision::Given(provider.targets())
        .bring(layout, None)
        .await;
    let person = cloud.person("bench").await;
    let mut socket = cloud.socket(&person.access).await;
    let mut taken = Vec::new();
    for run in 0..WARM_UP + runs {
        let under_way = one(cloud, &person.access, &mut socket, &provider).await?;
        if run >= WARM_UP {
            taken.push(under_way);
        }
    }
    let (middle, late) = (quantile(&mut taken, 0.5), quantile(&mut taken, 0.99));
    say(format_args!(
        "\nfirst token of a streamed text, from the model to the socket, {runs} texts\n\
         min {:.1} ms   p50 {middle:.1} ms   p99 {late:.1} ms",
        quantile(&mut taken, 0.0)
    ));
    report.below("first token at the socket, p50", middle, MOST, "ms");
    report.below("first token at the socket, p99", late, MOST, "ms");
    Ok(())
}

/// Milliseconds that the first token of one text took.
async fn one(cloud: &Cloud, token: &str, socket: &mut Socket, provider: &Provider) -> Outcome<f64> {
    let wish = json!({"prompt": "Say words.", "max_tokens": 50, "stream": true});
    let taken_on = cloud.post("/v1/content/generate", Some(token), &wish).await;
    let channel = taken_on.body["channel"]
        .as_str()
        .ok_or_else(|| Failure::new(format!("no text was taken on: {:?}", taken_on.body)))?;
    let subscribed = socket
        .ask(&json!({"action": "subscribe", "channels": [channel]}))
        .await;
    if subscribed["type"] != "subscribed" {
        return Err(Failure::new(format!("no subscription: {subscribed}")));
    }
    let begun = provider.speak()?;
    heard(socket, "content.delta").await?;
    let under_way = begun.elapsed();
    heard(socket, "content.done").await?;
    Ok(millis(under_way))
}

async fn heard(socket: &mut Socket, event: &str) -> Outcome<Value> {
    loop {
        match socket.hear().await {
            Some(frame) if frame["event"] == event => return Ok(frame),
            Some(frame) if frame["event"] == "content.failed" => {
                return Err(Failure::new(format!("the text failed: {frame}")));
            }
            Some(_) => {}
            None => return Err(Failure::new("the socket was closed")),
        }
    }
}
