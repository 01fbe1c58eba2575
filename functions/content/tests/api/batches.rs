//! Many texts of one request.

use ports::channels::Channel;
use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{World, caller, owner, pointers, refusal};

const BATCHES: &str = "/v1/content/batches";

impl World {
    async fn batch(&self, items: &Value) -> Value {
        let taken = self
            .post(BATCHES, &json!({"items": items, "max_tokens": 100}))
            .await;
        assert_eq!(taken.status, 202, "{}", taken.json());
        taken.json()
    }

    /// Delivers the announcements of batches as the rule of the bus does, each twice, and every order.
    async fn settle(&self) {
        for (name, data) in self.events() {
            if name == "content.batch_queued" {
                self.announce(&name, &data).await;
            }
        }
        self.work_through().await;
    }

    async fn announce(&self, name: &str, data: &Value) {
        let body = json!({
            "version": "0", "detail-type": name,
            "detail": {
                "id": "evt_00000000000000000000000000000009", "time": "2026-11-24T10:11:12Z", "version": 1,
                "org": owner().organisation, "type": name, "data": data,
            },
        });
        self.worker.on(&body.to_string()).await.unwrap();
    }

    async fn work_through(&self) {
        while self.work().await > 0 {}
    }

    async fn state(&self, batch: &Value) -> Value {
        self.get(&path(batch)).await.json()
    }

    async fn outcomes(&self, batch: &Value) -> Vec<Value> {
        let items = self.get(&format!("{}/items?limit=100", path(batch))).await;
        items.json()["items"].as_array().unwrap().clone()
    }

    fn heard(&self, batch: &Value) -> Vec<String> {
        let id = batch["id"].as_str().unwrap().parse().unwrap();
        let told = self
            .channels
            .told(&Channel::batch(owner().organisation, id));
        told.into_iter().map(|frame| frame.kind).collect()
    }
}

fn path(batch: &Value) -> String {
    format!("{BATCHES}/{}", batch["id"].as_str().unwrap())
}

fn prompts(count: usize) -> Value {
    let items = (0..count).map(|n| json!({"prompt": format!("Question {n}")}));
    items.collect::<Vec<_>>().into()
}

#[tokio::test]
async fn every_item_becomes_a_text_and_is_paid_once() {
    let world = World::new();
    world.says("A sentence.");
    let batch = world.batch(&prompts(20)).await;
    assert_eq!(
        [&batch["status"], &batch["total"]],
        [&json!("queued"), &json!(20)]
    );

    world.settle().await;
    world.settle().await;

    let done = world.state(&batch).await;
    assert_eq!(
        [&done["status"], &done["done"], &done["failed"]],
        [&json!("done"), &json!(20), &json!(0)]
    );
    assert_eq!(world.provider.asked("small"), 20);
    assert_eq!(world.announced("content.batch_done"), 1);
    let items = world.outcomes(&batch).await;
    let places: Vec<u64> = items
        .iter()
        .map(|item| item["index"].as_u64().unwrap())
        .collect();
    assert_eq!(places, (0..20).collect::<Vec<_>>());
    assert!(items.iter().all(|item| item["text"] == "A sentence."));
    let costs = items
        .iter()
        .map(|item| item["cost"]["amount_micros"].as_i64().unwrap());
    assert_eq!(done["cost"]["amount_micros"], costs.sum::<i64>());
    let heard = world.heard(&batch);
    assert_eq!(
        heard.iter().filter(|kind| *kind == "batch.item").count(),
        20
    );
    assert_eq!(heard.last().unwrap(), "batch.done");
    assert!(
        !world
            .table
            .rows()
            .iter()
            .any(|row| row.key.sk.starts_with("batch-item#")),
        "no question is kept"
    );
}

#[tokio::test]
async fn a_template_is_filled_for_each_item_with_the_version_of_the_beginning() {
    let world = World::new();
    world.says("Hola.");
    let prompt = json!({"name": "welcome", "source": "Greet {{ who }}"});
    assert_eq!(world.post("/v1/prompts", &prompt).await.status, 201);
    let point = Call::new("PUT", "/v1/prompts/welcome/labels/live").json(&json!({"version": 1}));
    assert_eq!(world.send(point).await.status, 200);
    let items = json!([{"variables": {"who": "Ana"}}, {"variables": {"who": "Luis"}}]);

    let taken = world
        .post(BATCHES, &json!({"template": "welcome", "items": items}))
        .await;
    assert_eq!(taken.status, 202, "{}", taken.json());
    world.settle().await;

    let asked: Vec<String> = world
        .provider
        .received()
        .iter()
        .map(|received| {
            received.body["messages"][0]["content"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(asked, ["Greet Ana", "Greet Luis"]);
    let items = world.outcomes(&taken.json()).await;
    let text = world
        .get(&format!("/v1/content/{}", items[0]["id"].as_str().unwrap()))
        .await;
    assert_eq!(
        text.json()["template"],
        json!({"name": "welcome", "version": 1})
    );
}

#[tokio::test]
async fn what_is_wrong_is_named_by_the_item_and_nothing_is_taken_on() {
    let world = World::new();
    let prompt = json!({"name": "welcome", "source": "Greet {{ who }}"});
    world.post("/v1/prompts", &prompt).await;
    let with = |items: Value| json!({"items": items});
    let of_template = json!({
        "template": "welcome", "version": 1,
        "items": [{"variables": {"who": "Ana"}}, {"variables": {}}, {"prompt": "x"}],
    });
    for (body, expected) in [
        (with(json!([])), vec!["/items"]),
        (with(prompts(1001)), vec!["/items"]),
        (
            with(json!([{"prompt": "x"}, {}, {"prompt": " "}])),
            vec!["/items/1/prompt", "/items/2/prompt"],
        ),
        (of_template, vec!["/items/1/variables/who", "/template"]),
        (
            json!({"items": [{"prompt": "x"}], "max_tokens": 0, "schema": {"type": "array"}}),
            vec!["/max_tokens", "/schema/type"],
        ),
        (
            json!({"items": [{"variables": {}}], "template": "nothing"}),
            vec!["/template"],
        ),
    ] {
        let answer = world.post(BATCHES, &body).await;

        assert_eq!(answer.status, 422, "{}", answer.json());
        assert_eq!(pointers(&answer), expected);
    }
    assert_eq!(world.announced("content.batch_queued"), 0);
}

#[tokio::test]
async fn one_that_fails_stops_no_other() {
    let world = World::new();
    world.provider.says(
        "small",
        &[
            ("One.", "stop"),
            ("Two.", "content_filter"),
            ("Three.", "stop"),
        ],
    );
    let batch = world.batch(&prompts(3)).await;

    world.settle().await;

    let state = world.state(&batch).await;
    assert_eq!([&state["done"], &state["failed"]], [&json!(2), &json!(1)]);
    let items = world.outcomes(&batch).await;
    assert_eq!(items[1]["status"], "failed");
    assert_eq!(items[1]["problem"]["code"], "content_filtered");
    assert_eq!(items[2]["text"], "Three.");
}

#[tokio::test]
async fn a_budget_ends_the_spending_and_says_so_for_each_text() {
    let world = World::new();
    world.says("A sentence.");
    let batch = world.batch(&prompts(5)).await;
    let budget = json!({"limit_micros": 110, "period": "month"});
    let set = Call::new("PUT", "/v1/budgets/org").json(&budget);
    assert_eq!(world.send(set).await.status, 200);

    world.settle().await;

    let state = world.state(&batch).await;
    assert_eq!(state["status"], "done");
    assert!(
        state["cost"]["amount_micros"].as_i64().unwrap_or(0) <= 110,
        "{state}"
    );
    assert!(state["failed"].as_u64().unwrap() > 0, "{state}");
    let items = world.outcomes(&batch).await;
    let refused = items.iter().filter(|item| item["status"] == "failed");
    for item in refused {
        assert_eq!(item["problem"]["code"], "budget_exhausted");
    }
}

#[tokio::test]
async fn a_batch_that_is_stopped_begins_nothing_more() {
    let world = World::new();
    world.says("A sentence.");
    let batch = world.batch(&prompts(10)).await;
    let queued = json!({"batch": batch["id"]});
    world.announce("content.batch_queued", &queued).await;
    let orders = world.jobs.drain();
    for order in &orders[..3] {
        world.worker.on(&order.body).await.unwrap();
    }

    let stopped = world
        .post(&format!("{}/cancel", path(&batch)), &json!({}))
        .await;
    world.announce("content.batch_queued", &queued).await;
    for order in &orders[3..] {
        world.worker.on(&order.body).await.unwrap();
    }

    assert_eq!(stopped.status, 200, "{}", stopped.json());
    let state = world.state(&batch).await;
    assert_eq!(
        [&state["status"], &state["done"], &state["cancelled"]],
        [&json!("cancelled"), &json!(3), &json!(7)]
    );
    assert_eq!(world.provider.asked("small"), 3);
    let again = world
        .post(&format!("{}/cancel", path(&batch)), &json!({}))
        .await;
    assert_eq!(again.json()["status"], "cancelled");
}

#[tokio::test]
async fn a_batch_that_is_over_cannot_be_stopped() {
    let world = World::new();
    world.says("A sentence.");
    let batch = world.batch(&prompts(1)).await;
    world.settle().await;

    let stopped = world
        .post(&format!("{}/cancel", path(&batch)), &json!({}))
        .await;

    assert_eq!(refusal(&stopped), (409, "not_now".to_owned()));
}

#[tokio::test]
async fn a_batch_is_its_organisations_own() {
    let world = World::new();
    let batch = world.batch(&prompts(1)).await;
    let other = caller(2, "owner");

    for call in [
        Call::get(&path(&batch)),
        Call::get(&format!("{}/items", path(&batch))),
        Call::post(&format!("{}/cancel", path(&batch)), &json!({})),
    ] {
        assert_eq!(world.send_by(&other, call).await.status, 404);
    }
    let own = world.get(BATCHES).await.json();
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    let others = world.send_by(&other, Call::get(BATCHES)).await.json();
    assert!(others["items"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_model_nothing_is_taken_on() {
    let world = World::without_models();

    let answer = world.post(BATCHES, &json!({"items": prompts(2)})).await;

    assert_eq!(refusal(&answer), (503, "no_model_configured".to_owned()));
    assert_eq!(world.announced("content.batch_queued"), 0);
}
