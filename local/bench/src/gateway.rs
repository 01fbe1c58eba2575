//! What the model gateway adds to a call: budgets, records and checks, against the same question sent bare.

use std::time::Instant;

use domain::Id;
use fleet::{Failure, Outcome, console::say, failure::While};
use jiff::SignedDuration;
use models::testing::Provider;
use models::{ChatRequest, Gateway, Message, Parts, Period, Scope, Spender};
use ports::clock::SystemClock;
use ports::ids::RandomIds;
use ports::table::MemoryTable;
use serde_json::json;
use uuid::Uuid;

use crate::{
    figures::{micros, quantile},
    report::Report,
};

/// The model that is asked; the endpoint is on this machine and answers at once.
const MODEL: &str = "bench";

/// Milliseconds that the gateway may add, half of the time and nearly always.
const MOST: [(f64, f64); 2] = [(0.5, 1.0), (0.99, 3.0)];

/// Measures whole answers, bare and through the gateway in turn, the tables in memory.
pub async fn overhead(runs: usize, report: &mut Report) -> Outcome {
    let provider = Provider::start();
    let client = runtime::outbound::client().during("making the HTTP client")?;
    let (clock, ids) = (SystemClock::shared(), RandomIds::shared());
    let parts = Parts {
        client: client.clone(),
        table: MemoryTable::shared(),
        clock: clock.clone(),
        ids: ids.clone(),
    };
    let gateway = Gateway::new(parts, vec![provider.target(MODEL)]);
    let spender = Spender {
        org: Id::new(Uuid::from_u128(1)),
        user: Id::new(Uuid::from_u128(2)),
        key: None,
    };
    for scope in [Scope::Organisation, Scope::User(spender.user)] {
        let limit = 1_000_000_000_000;
        let set = gateway
            .ledger()
            .set(spender.org, &scope, limit, Period::Month, None);
        set.await.map_err(|error| Failure::new(error.to_string()))?;
    }
    let request = ChatRequest::new(vec![Message::user("one two three")], 100);
    let bare = json!({"model": MODEL, "max_tokens": 100,
        "messages": [{"role": "user", "content": "one two three"}]})
    .to_string();
    let address = format!("{}/chat/completions", provider.base_url());
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let started = Instant::now();
        let answer = client.post(&address).body(bare.clone()).send();
        let answer = answer.await.during("asking bare")?;
        answer.bytes().await.during("reading a bare answer")?;
        let sent_bare = started.elapsed();

        let now = clock.now();
        let deadline = now
            .checked_add(SignedDuration::from_secs(30))
            .during("reckoning a deadline")?;
        let started = Instant::now();
        let call = gateway.complete(&spender, ids.uuid(now), &request, deadline);
        call.await
            .map_err(|error| Failure::new(error.to_string()))?;
        // The first calls make connections.
        if run >= runs / 10 {
            theirs.push(micros(sent_bare));
            ours.push(micros(started.elapsed()));
        }
    }
    say(format_args!(
        "\nwhole answer through the model gateway with two budgets, {runs} runs, in turn"
    ));
    for (at, most) in MOST {
        let (bare, through) = (quantile(&mut theirs, at), quantile(&mut ours, at));
        say(format_args!(
            "p{:<3} bare {bare:>7.0} us   gateway {through:>7.0} us   overhead {:>7.0} us",
            at * 100.0,
            through - bare,
        ));
        let what = format!("what the model gateway adds, p{}", at * 100.0);
        report.below(&what, (through - bare) / 1e3, most, "ms");
    }
    Ok(())
}
