//! A thousand streams at once against one budget.

use std::sync::Arc;

use futures::future::join_all;
use models::testing::Fault;
use models::{Gateway, ModelError, Period, Scope};
use serde_json::json;

use crate::support::{Heard, Stage, ask};

/// Numbers that look random and are the same in every run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn one(
    stage: &Stage,
    gateway: Arc<Gateway>,
    kind: u64,
    enough: u64,
) -> Result<i64, ModelError> {
    let mut heard = Heard {
        enough: (kind == 0).then_some(usize::try_from(enough).unwrap() + 1),
        fails: kind == 1,
        ..Heard::default()
    };
    let (call, request) = (stage.call(), ask("one two", 100));
    let answer = gateway
        .stream(&stage.spender, call, &request, stage.deadline(), &mut heard)
        .await?;
    Ok(answer.cost.micros)
}

#[tokio::test]
async fn a_thousand_streams_never_overspend_and_the_sum_is_theirs() {
    for seed in [1, 2] {
        let stage = Stage::new();
        let mut dice = Dice(seed);
        // A thousand at once on a small machine take their time, which is no fault here.
        let patient = json!({"timeouts": {"first_token_ms": 60_000, "idle_ms": 60_000}});
        // Two processes, and every way in which a stream goes: well, again, elsewhere, cut, stopped.
        let gateways: Vec<Arc<Gateway>> = (0..2)
            .flat_map(|_| {
                [
                    vec!["small-1"],
                    vec![Fault::Flapping.model(), "small-1"],
                    vec![Fault::Html.model(), "small-1"],
                    vec![Fault::Cut.model(), "small-1"],
                    vec![Fault::NoUsage.model()],
                ]
            })
            .map(|models| {
                let targets = models
                    .iter()
                    .map(|model| stage.provider.target_with(model, &patient));
                Arc::new(stage.gateway_to(targets.collect()))
            })
            .collect();
        let limit = 70_000;
        let ledger = gateways[0].ledger();
        let (org, scope) = (stage.spender.org, Scope::Organisation);
        ledger
            .set(org, &scope, limit, Period::Month, None)
            .await
            .unwrap();
        let person = Scope::User(stage.spender.user);
        ledger
            .set(org, &person, limit * 2, Period::Total, None)
            .await
            .unwrap();

        let streams = (0..1000).map(|_| {
            let which = usize::try_from(dice.roll(gateways.len() as u64)).unwrap();
            let gateway = Arc::clone(&gateways[which]);
            one(&stage, gateway, dice.roll(8), dice.roll(50))
        });
        let answers = join_all(streams).await;

        let standing = ledger.get(org, &scope).await.unwrap().unwrap();
        let sum = ledger.recompute(org, &scope, "2026-11").await.unwrap();
        assert_eq!(standing.spent.settled, sum, "seed {seed}");
        assert_eq!(standing.spent.reserved, 0, "seed {seed}");
        assert!(sum <= limit, "seed {seed}: {sum} of {limit}");
        let total = ledger.spent(org, &person, "total").await.unwrap();
        assert_eq!((total.settled, total.reserved), (sum, 0), "seed {seed}");
        let paid: i64 = answers.iter().flatten().sum();
        assert!(paid > 0 && paid <= sum, "seed {seed}: {paid} of {sum}");
        let refused =
            |answer: &&Result<i64, ModelError>| matches!(answer, Err(ModelError::Exhausted { .. }));
        let exhausted = answers.iter().filter(refused).count();
        assert!(
            (1..1000).contains(&exhausted),
            "seed {seed}: {exhausted} refused"
        );
        let known = |answer: &Result<i64, ModelError>| {
            !matches!(
                answer,
                Err(ModelError::Busy | ModelError::Failed { .. } | ModelError::TimedOut)
            )
        };
        assert!(answers.iter().all(known), "seed {seed}");
    }
}
