//! Budgets hold on every route.

use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{World, caller, owner, pointers, refusal};

async fn set(world: &World, scope: &str, limit: i64) -> runtime::testing::Answer {
    let body = json!({"limit_micros": limit, "period": "month"});
    world
        .send(Call::new("PUT", &format!("/v1/budgets/{scope}")).json(&body))
        .await
}

#[tokio::test]
async fn an_exhausted_budget_is_a_402_that_names_its_scope_and_is_announced_once() {
    let world = World::new();
    world.says("Hola");
    let user = owner().user;
    assert_eq!(set(&world, &format!("user:{user}"), 10).await.status, 200);

    let refused = world
        .generate(&json!({"prompt": "Hola", "max_tokens": 100}))
        .await;
    world
        .generate(&json!({"prompt": "Hola", "max_tokens": 100}))
        .await;
    let chat = json!({"model": "small", "messages": [{"role": "user", "content": "Hola"}]});
    let compatible = world.post("/v1/openai/v1/chat/completions", &chat).await;

    assert_eq!(refusal(&refused), (402, "budget_exhausted".into()));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&format!("user:{user}")), "{detail}");
    let body = compatible.json();
    let error = &body["error"];
    assert_eq!(
        (compatible.status.as_u16(), &error["type"], &error["code"]),
        (
            429,
            &json!("insufficient_quota"),
            &json!("insufficient_quota")
        ),
        "what OpenAI's clients know"
    );
    assert_eq!(compatible.header("x-should-retry"), Some("false"));
    assert_eq!(world.provider.asked("small"), 0);
    assert_eq!(world.announced("content.budget_exhausted"), 1);
    assert_eq!(world.get("/v1/content").await.json()["items"], json!([]));
}

#[tokio::test]
async fn what_was_spent_is_settled_told_and_the_sum_of_its_calls() {
    let world = World::new();
    world.says("Hola");
    set(&world, "org", 1_000_000).await;
    let mut cost = 0;
    for _ in 0..3 {
        let made = world
            .generate(&json!({"prompt": "Hola", "max_tokens": 10}))
            .await
            .json();
        cost += made["cost"]["amount_micros"].as_i64().unwrap();
    }

    let budget = world.get("/v1/budgets/org").await;
    let usage = world.get("/v1/content/usage").await.json();

    assert_eq!(
        (
            &budget.json()["settled_micros"],
            &budget.json()["reserved_micros"]
        ),
        (&json!(cost), &json!(0)),
        "{}",
        budget.json()
    );
    assert_eq!(budget.json()["left_micros"], 1_000_000 - cost);
    assert_eq!(
        (&usage["settled_micros"], &usage["calls"]),
        (&json!(cost), &json!(3)),
        "{usage}"
    );
    let sum: i64 = usage["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["cost_micros"].as_i64().unwrap())
        .sum();
    assert_eq!(sum, cost);
}

#[tokio::test]
async fn four_fifths_of_a_budget_are_announced_once() {
    let world = World::new();
    world.says("Hola");
    let estimate = world
        .post(
            "/v1/content/generate?dry_run=true",
            &json!({"prompt": "Hola", "max_tokens": 5}),
        )
        .await
        .json();
    let most = estimate["cost"]["amount_micros"].as_i64().unwrap();
    set(&world, "org", most + 1).await;

    for _ in 0..40 {
        world
            .generate(&json!({"prompt": "Hola", "max_tokens": 5}))
            .await;
    }

    let budget = world.get("/v1/budgets/org").await.json();
    assert!(
        budget["settled_micros"].as_i64() <= budget["limit_micros"].as_i64(),
        "{budget}"
    );
    assert!(world.announced("content.budget_80") <= 1);
    assert_eq!(world.announced("content.budget_exhausted"), 1);
}

#[tokio::test]
async fn a_budget_is_set_read_listed_changed_on_its_version_and_removed() {
    let world = World::new();
    let first = set(&world, "org", 5).await;
    set(&world, "model:small", 7).await;
    let etag = first.header("etag").unwrap().to_owned();
    let change = |etag: &str| {
        Call::new("PUT", "/v1/budgets/org")
            .json(&json!({"limit_micros": 9, "period": "total"}))
            .header("if-match", etag)
    };

    assert_eq!(world.send(change(&etag)).await.status, 200);
    assert_eq!(refusal(&world.send(change(&etag)).await).0, 412);
    let listed = world.get("/v1/budgets").await.json();
    let scopes: Vec<&Value> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| &b["scope"])
        .collect();
    assert_eq!(scopes, ["model:small", "org"]);
    assert_eq!(
        world
            .send(Call::new("DELETE", "/v1/budgets/org"))
            .await
            .status,
        204
    );
    assert_eq!(world.get("/v1/budgets/org").await.status, 404);
}

#[tokio::test]
async fn a_scope_that_is_none_and_a_limit_below_nothing_are_named() {
    let world = World::new();

    assert_eq!(
        pointers(&set(&world, "everybody", -1).await),
        ["scope", "/limit_micros"]
    );
    assert_eq!(world.get("/v1/budgets/everybody").await.status, 404);
}

#[tokio::test]
async fn an_editor_spends_and_does_not_set_limits() {
    let world = World::new();
    let editor = caller(1, "editor");
    let call =
        Call::new("PUT", "/v1/budgets/org").json(&json!({"limit_micros": 1, "period": "day"}));

    assert_eq!(world.send_by(&editor, call).await.status, 403);
    assert_eq!(
        world.send_by(&editor, Call::get("/v1/models")).await.status,
        200
    );
}

#[tokio::test]
async fn a_budget_of_one_tenant_says_nothing_to_another() {
    let world = World::new();
    world.says("Hola");
    set(&world, "org", 0).await;
    let stranger = caller(2, "owner");

    let made = world
        .send_by(
            &stranger,
            Call::post("/v1/content/generate", &json!({"prompt": "Hola"})),
        )
        .await;

    assert_eq!(made.status, 200, "{}", made.json());
    assert_eq!(
        world
            .send_by(&stranger, Call::get("/v1/budgets/org"))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn the_models_are_listed_in_order_and_without_their_keys() {
    let world = World::without_models();
    world.models(&["second", "first"]);

    let listed = world.get("/v1/models").await;

    let names: Vec<Value> = listed.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["name"].clone())
        .collect();
    assert_eq!(names, [json!("second"), json!("first")]);
    assert!(!listed.json().to_string().contains("sk-test"));
}
