//! Budgets: set, spent, refused, told; and what is left when a process dies at any moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::Id;
use domain::id::ApiKey;
use models::budget::{Level, State};
use models::testing::Fault;
use models::{BudgetError, Gateway, ModelError, Period, Scope};
use ports::PortError;
use ports::clock::Clock;
use ports::faults::Fault as TableFault;
use ports::table::{Count, Counted, Item, Key, MemoryTable, Page, Query, Table, Write, WriteError};
use serde_json::json;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::support::{Stage, ask};

async fn limit(stage: &Stage, gateway: &Gateway, scope: &Scope, limit: i64) {
    let ledger = gateway.ledger();
    let set = ledger.set(stage.spender.org, scope, limit, Period::Month, None);
    set.await.unwrap();
}

fn everybody(stage: &Stage) -> Vec<Scope> {
    vec![
        Scope::Organisation,
        Scope::User(stage.spender.user),
        Scope::Model("small-1".into()),
    ]
}

#[tokio::test]
async fn each_budget_alone_refuses_before_anybody_is_asked() {
    let mut stage = Stage::new();
    stage.spender.key = Some(Id::<ApiKey>::new(Uuid::from_u128(3)));
    let gateway = stage.gateway(&["small-1"]);
    let mut scopes = everybody(&stage);
    scopes.extend(stage.spender.key.map(Scope::Key));

    for scope in scopes {
        limit(&stage, &gateway, &scope, 100).await;

        let refused = stage.complete(&gateway, &ask("one two", 100)).await;

        let Err(ModelError::Exhausted {
            scope: whose,
            limit: 100,
            left: 100,
            needed,
            resets_at,
            ..
        }) = refused
        else {
            panic!("{scope}: {refused:?}")
        };
        assert_eq!(whose, scope);
        assert!(needed > 100);
        assert_eq!(resets_at, Some("2026-12-01T00:00:00Z".parse().unwrap()));
        gateway
            .ledger()
            .remove(stage.spender.org, &scope, None)
            .await
            .unwrap();
    }
    assert!(stage.provider.received().is_empty());
    assert_eq!(stage.assert_sums().await, 0);
    assert!(
        stage.complete(&gateway, &ask("one two", 100)).await.is_ok(),
        "no budget, no limit"
    );
}

#[tokio::test]
async fn a_refusal_of_the_wide_leaves_nothing_set_aside_in_the_narrow() {
    let stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);
    for scope in everybody(&stage) {
        limit(&stage, &gateway, &scope, 1_000_000).await;
    }
    limit(&stage, &gateway, &Scope::Organisation, 100).await;

    let refused = stage.complete(&gateway, &ask("one two", 100)).await;

    assert!(matches!(
        refused,
        Err(ModelError::Exhausted {
            scope: Scope::Organisation,
            ..
        })
    ));
    for scope in everybody(&stage) {
        let standing = gateway
            .ledger()
            .get(stage.spender.org, &scope)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (standing.spent.reserved, standing.spent.settled),
            (0, 0),
            "{scope}"
        );
    }
}

#[tokio::test]
async fn a_spent_model_leaves_the_call_to_the_other_models() {
    let stage = Stage::new();
    let gateway = stage.gateway(&["small-1", "small-2"]);
    let scope = Scope::Model("small-1".into());
    limit(&stage, &gateway, &scope, 10).await;
    limit(&stage, &gateway, &Scope::Model("small-2".into()), 1_000_000).await;

    let answer = stage
        .complete(&gateway, &ask("one two", 100))
        .await
        .unwrap();

    assert_eq!(answer.target, "small-2");
    let ledger = gateway.ledger();
    let other = ledger
        .get(stage.spender.org, &Scope::Model("small-2".into()))
        .await;
    assert_eq!(other.unwrap().unwrap().spent.settled, 62);
    let spent = ledger
        .get(stage.spender.org, &scope)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((spent.spent.settled, spent.spent.reserved), (0, 0));
}

#[tokio::test]
async fn a_model_pays_for_what_it_was_asked_and_the_rest_for_all() {
    let stage = Stage::new();
    let gateway = stage.gateway(&[Fault::Html.model(), "small-1"]);
    let scopes = [
        Scope::Organisation,
        Scope::Model(Fault::Html.model().into()),
        Scope::Model("small-1".into()),
    ];
    for scope in &scopes {
        limit(&stage, &gateway, scope, 1_000_000).await;
    }

    let answer = stage
        .complete(&gateway, &ask("one two", 100))
        .await
        .unwrap();

    let mut settled = Vec::new();
    for scope in &scopes {
        let standing = gateway
            .ledger()
            .get(stage.spender.org, scope)
            .await
            .unwrap()
            .unwrap();
        let sum = gateway
            .ledger()
            .recompute(stage.spender.org, scope, "2026-11")
            .await
            .unwrap();
        assert_eq!(standing.spent.settled, sum, "{scope}");
        settled.push(sum);
    }
    assert_eq!(settled[0], answer.cost.micros);
    assert_eq!(settled[0], settled[1] + settled[2]);
    assert_eq!(settled[2], 62);
}

#[tokio::test]
async fn another_attempt_is_made_only_if_it_can_be_paid_too() {
    let stage = Stage::new();
    let gateway = stage.gateway(&[Fault::Html.model(), "small-1"]);
    let bound = gateway.estimate(&ask("one two", 100)).unwrap().micros;
    limit(&stage, &gateway, &Scope::Organisation, bound + 50).await;

    let refused = stage.complete(&gateway, &ask("one two", 100)).await;

    assert!(
        matches!(refused, Err(ModelError::Exhausted { .. })),
        "{refused:?}"
    );
    assert_eq!(stage.provider.asked("small-1"), 0);
    assert_eq!(stage.assert_sums().await, bound);
}

#[tokio::test]
async fn what_comes_near_its_end_is_told_once_and_a_new_limit_tells_again() {
    let stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);

    for micros in [1_000, 2_000] {
        limit(&stage, &gateway, &Scope::Organisation, micros).await;
        let mut notices = Vec::new();
        let mut refusals = Vec::new();
        while refusals.len() < 3 {
            match stage.complete(&gateway, &ask("one two", 100)).await {
                Ok(answer) => notices.extend(answer.notices),
                Err(ModelError::Exhausted { first, .. }) => refusals.push(first),
                Err(error) => panic!("{error}"),
            }
        }

        assert_eq!(refusals, [true, false, false]);
        assert_eq!(notices.len(), 1, "{notices:?}");
        let near = &notices[0];
        assert_eq!((near.level, near.limit), (Level::Near, micros));
        assert!(near.settled * 5 >= micros * 4 && (near.settled - 62) * 5 < micros * 4);
    }
    stage.assert_sums().await;
}

#[tokio::test]
async fn what_a_call_without_an_answer_brings_near_its_end_is_told_by_the_next_answer() {
    let stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);
    let broken = stage.gateway(&[Fault::Cut.model()]);
    let bound = gateway.estimate(&ask("one two", 100)).unwrap().micros;
    // Each stream that breaks costs its bound: together four fifths of what there is.
    limit(&stage, &gateway, &Scope::Organisation, bound * 5).await;

    for _ in 0..4 {
        let (_, interrupted) = stage.stream(&broken, &ask("one two", 100)).await;
        assert!(
            matches!(interrupted, Err(ModelError::Interrupted { .. })),
            "{interrupted:?}"
        );
    }
    let answer = stage.complete(&gateway, &ask("one two", 100)).await;

    let answer = answer.unwrap();
    let told: Vec<Level> = answer.notices.iter().map(|notice| notice.level).collect();
    assert_eq!(told, [Level::Near]);
    stage.assert_sums().await;
}

#[tokio::test]
async fn a_budget_begins_anew_with_its_period() {
    let stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);
    let (org, scope) = (stage.spender.org, Scope::Organisation);
    let bound = gateway.estimate(&ask("one two", 100)).unwrap().micros;
    let ledger = gateway.ledger();
    ledger
        .set(org, &scope, bound, Period::Day, None)
        .await
        .unwrap();

    assert!(stage.complete(&gateway, &ask("one two", 100)).await.is_ok());
    assert!(
        stage
            .complete(&gateway, &ask("one two", 100))
            .await
            .is_err()
    );
    stage.clock.advance(Duration::from_hours(24));
    assert!(stage.complete(&gateway, &ask("one two", 100)).await.is_ok());

    let today = ledger.get(org, &scope).await.unwrap().unwrap();
    assert_eq!(today.spent.settled, 62);
    assert_eq!(
        ledger.recompute(org, &scope, "2026-11-25").await.unwrap(),
        62
    );
    assert_eq!(stage.assert_sums().await, 124, "the month goes on");
}

#[tokio::test]
async fn a_limit_is_changed_on_its_latest_reading_and_holds_at_once_everywhere() {
    let stage = Stage::new();
    let (one, two) = (stage.gateway(&["small-1"]), stage.gateway(&["small-1"]));
    let (org, scope) = (stage.spender.org, Scope::Organisation);
    let set = async |micros, expected| {
        one.ledger()
            .set(org, &scope, micros, Period::Month, expected)
            .await
    };

    assert_eq!(set(-1, None).await, Err(BudgetError::Negative));
    let first = set(1_000_000, None).await.unwrap();
    assert!(stage.complete(&two, &ask("one two", 100)).await.is_ok());
    assert_eq!(
        set(1, Some(first.version + 1)).await,
        Err(BudgetError::Changed)
    );
    set(1, Some(first.version)).await.unwrap();
    assert!(matches!(
        stage.complete(&two, &ask("one two", 100)).await,
        Err(ModelError::Exhausted { .. })
    ));
    two.ledger().remove(org, &scope, None).await.unwrap();
    assert_eq!(two.ledger().get(org, &scope).await.unwrap(), None);
    assert!(two.ledger().list(org, 10, None).await.unwrap().0.is_empty());
    assert!(stage.complete(&one, &ask("one two", 100)).await.is_ok());
    let again = set(5_000_000, None).await.unwrap();
    assert!(again.version > first.version, "a version never comes back");
    let listed = two.ledger().list(org, 10, None).await.unwrap().0;
    assert_eq!(listed[0].budget, again);
    assert_eq!(
        listed[0].spent.settled, 124,
        "an organisation's month always counts"
    );
    stage.assert_sums().await;
}

#[tokio::test]
async fn another_organisation_neither_sees_nor_pays() {
    let mut stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);
    limit(&stage, &gateway, &Scope::Organisation, 1).await;
    let other = Id::new(Uuid::from_u128(77));
    assert!(
        stage
            .complete(&gateway, &ask("one two", 100))
            .await
            .is_err()
    );

    stage.spender.org = other;

    assert!(stage.complete(&gateway, &ask("one two", 100)).await.is_ok());
    assert_eq!(
        gateway
            .ledger()
            .get(other, &Scope::Organisation)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        gateway
            .ledger()
            .calls(other, 10, None)
            .await
            .unwrap()
            .0
            .len(),
        1
    );
    assert_eq!(stage.assert_sums().await, 62);
}

#[tokio::test]
async fn a_table_that_stumbles_once_changes_nothing() {
    let calls = {
        let stage = Stage::new();
        let gateway = budgeted(&stage).await;
        let before = stage.table.faults().calls();
        stage
            .complete(&gateway, &ask("one two", 100))
            .await
            .unwrap();
        stage.table.faults().calls() - before
    };
    for call in 0..calls {
        for fault in [TableFault::Before, TableFault::After, TableFault::Throttled] {
            let stage = Stage::new();
            let gateway = budgeted(&stage).await;
            stage.table.faults().fail_call(call, fault);

            let answer = stage.complete(&gateway, &ask("one two", 100)).await;

            let told = format!("call {call}, {fault:?}: {answer:?}");
            match answer {
                Ok(answer) => assert_eq!(answer.cost.micros, 62, "{told}"),
                // A reading that fails refuses the call before anybody is asked.
                Err(ModelError::Port(_)) => assert!(stage.provider.received().is_empty(), "{told}"),
                Err(error) => panic!("{error}: {told}"),
            }
            stage.clock.advance(Duration::from_mins(10));
            gateway.ledger().sweep(stage.spender.org).await.unwrap();
            let settled = stage.assert_sums().await;
            let asked = stage.provider.received().len();
            assert_eq!(settled, if asked == 0 { 0 } else { 62 }, "{told}");
            assert_budgets_agree(&stage, &gateway).await;
        }
    }
}

async fn budgeted(stage: &Stage) -> Gateway {
    let gateway = stage.gateway(&["small-1"]);
    for scope in everybody(stage) {
        limit(stage, &gateway, &scope, 1_000).await;
    }
    gateway
}

async fn assert_budgets_agree(stage: &Stage, gateway: &Gateway) {
    for scope in everybody(stage) {
        let standing = gateway
            .ledger()
            .get(stage.spender.org, &scope)
            .await
            .unwrap()
            .unwrap();
        let sum = gateway
            .ledger()
            .recompute(stage.spender.org, &scope, "2026-11")
            .await
            .unwrap();
        assert_eq!(standing.spent.settled, sum, "{scope}");
        assert_eq!(standing.spent.reserved, 0, "{scope}");
        assert!(standing.spent.settled <= standing.budget.limit, "{scope}");
    }
}

/// A table whose process dies at one of its calls: the answer never comes.
struct Mortal {
    table: Arc<MemoryTable>,
    left: AtomicUsize,
    after: bool,
    died: Notify,
}

impl Mortal {
    async fn live<T>(&self, call: impl Future<Output = T>) -> T {
        let last = self.left.fetch_sub(1, Ordering::Relaxed) == 1;
        if last && !self.after {
            self.die().await;
        }
        let answer = call.await;
        if last {
            self.die().await;
        }
        answer
    }

    async fn die(&self) {
        self.died.notify_one();
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl Table for Mortal {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        self.live(self.table.get(key)).await
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        self.live(self.table.query(query)).await
    }

    async fn write(&self, parts: Vec<Write>) -> Result<(), WriteError> {
        self.live(self.table.write(parts)).await
    }

    async fn count(&self, count: Count) -> Result<Counted, PortError> {
        self.live(self.table.count(count)).await
    }
}

/// What became of a process that dies at its n-th call of the table.
async fn die_at(call: usize, after: bool, models: &[&str]) -> bool {
    let stage = Stage::new();
    let alive = budgeted(&stage).await;
    let mortal = Arc::new(Mortal {
        table: stage.table.clone(),
        left: AtomicUsize::new(call),
        after,
        died: Notify::new(),
    });
    let mut parts = stage.parts();
    parts.table = mortal.clone();
    let targets = models.iter().map(|model| stage.provider.target(model));
    let dying = Gateway::new(parts, targets.collect());
    let request = ask("one two", 100);
    let survived = tokio::select! {
        answer = stage.complete(&dying, &request) => { answer.unwrap(); true }
        () = mortal.died.notified() => false,
    };

    stage.clock.advance(Duration::from_mins(10));
    alive.ledger().sweep(stage.spender.org).await.unwrap();

    let settled = stage.assert_sums().await;
    assert_budgets_agree(&stage, &alive).await;
    let asked = stage.provider.received().len();
    let told = format!("died at {call}, after: {after}, asked {asked}, settled {settled}");
    if asked > 0 {
        assert!(settled >= 62, "what an endpoint bills is lost: {told}");
    }
    // Whoever comes next finds the budgets in order.
    stage.complete(&alive, &ask("one two", 100)).await.unwrap();
    assert_budgets_agree(&stage, &alive).await;
    survived
}

#[tokio::test]
async fn a_process_that_dies_at_any_call_loses_nothing_and_overspends_nothing() {
    for models in [&["small-1"][..], &[Fault::Html.model(), "small-1"]] {
        for after in [false, true] {
            let mut call = 1;
            while !die_at(call, after, models).await {
                call += 1;
            }
            assert!(call > 10, "only {call} calls were cut");
        }
    }
}

#[tokio::test]
async fn a_zombie_that_comes_back_is_held_to_what_was_settled_without_it() {
    let stage = Stage::new();
    let gateway = budgeted(&stage).await;
    let slow = stage.provider.target_with(
        Fault::Stall.model(),
        &json!({"timeouts": {"total_ms": 300}}),
    );
    let zombie = stage.gateway_to(vec![slow]);
    let (call, request, deadline) = (stage.call(), ask("one two", 100), stage.deadline());
    let work = zombie.complete(&stage.spender, call, &request, deadline);
    let bury = async {
        while stage.provider.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stage.clock.advance(Duration::from_mins(10));
        gateway.ledger().sweep(stage.spender.org).await.unwrap()
    };

    let (late, swept) = tokio::join!(work, bury);

    assert!(late.is_err());
    assert_eq!(swept, 1);
    let record = gateway
        .ledger()
        .call(stage.spender.org, call)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (record.state, record.outcome.as_str()),
        (State::Settled, "lost")
    );
    assert!(record.micros > 62);
    assert_eq!(stage.assert_sums().await, record.micros);
    assert!(stage.clock.now() > deadline);
}
