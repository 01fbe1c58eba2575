//! Texts that the operator's moderation model looks at.

use models::testing::UNFIT_TEXT;
use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{SECRET, World, refusal};

impl World {
    /// With the organisation's rule, and an endpoint that moderates if `able`.
    async fn moderated(able: bool) -> Self {
        let world = Self::in_real_time();
        let mut target = json!({
            "name": "small", "base_url": world.provider.base_url(), "model": "small",
            "price": {"input_micros_per_million": 1_000_000, "output_micros_per_million": 1_000_000},
        });
        if able {
            target["moderation"] = json!("judge");
        }
        world.secrets.set(SECRET, json!([target]).to_string());
        let rules = Call::new("PUT", "/v1/content/guardrails").json(&json!({"moderate": true}));
        assert_eq!(world.send(rules).await.status, 200);
        world
    }

    async fn streamed(&self, prompt: &str) -> Value {
        let body = json!({"prompt": prompt, "stream": true, "max_tokens": 60});
        let taken = self.generate(&body).await.json();
        assert_eq!(self.work().await, 0);
        taken
    }

    fn kinds(&self, taken: &Value) -> Vec<String> {
        let frames = self.told(&taken["id"]).into_iter();
        frames.map(|frame| frame.kind).collect()
    }
}

#[tokio::test]
async fn a_prompt_that_is_flagged_reaches_no_model() {
    let world = World::moderated(true).await;

    let answer = world
        .generate(&json!({"prompt": format!("Please {UNFIT_TEXT}")}))
        .await;

    assert_eq!(refusal(&answer), (422, "content_blocked".to_owned()));
    assert_eq!(answer.json()["detail"], "Moderation refused the request");
    assert_eq!(world.provider.asked("small"), 0);
    let blocked = world
        .events()
        .into_iter()
        .find(|(name, _)| name == "content.blocked");
    assert_eq!(blocked.unwrap().1["rule"], "moderation");
}

#[tokio::test]
async fn an_answer_that_is_flagged_is_not_shown_and_is_paid() {
    let world = World::moderated(true).await;
    world.says(UNFIT_TEXT);

    let answer = world.generate(&json!({"prompt": "Hello"})).await;

    assert_eq!(refusal(&answer), (422, "content_blocked".to_owned()));
    let usage = world.get("/v1/content/usage").await.json();
    assert!(usage.to_string().contains("micros"), "{usage}");
    assert!(
        !world
            .get("/v1/content")
            .await
            .json()
            .to_string()
            .contains(UNFIT_TEXT)
    );
}

#[tokio::test]
async fn what_is_fit_passes() {
    let world = World::moderated(true).await;
    world.says("A fit sentence.");

    let answer = world.generate(&json!({"prompt": "Hello"})).await;

    assert_eq!(answer.json()["text"], "A fit sentence.");
    assert_eq!(
        world.provider.asked("judge"),
        2,
        "the prompt and the answer"
    );
}

#[tokio::test]
async fn a_stream_is_told_only_after_it_was_looked_at() {
    let world = World::moderated(true).await;
    world.says("A fit sentence.");
    let fit = world.streamed("Hello").await;
    world.says(UNFIT_TEXT);
    let unfit = world.streamed("Hello").await;

    assert_eq!(world.kinds(&fit), ["content.delta", "content.done"]);
    assert_eq!(world.told(&fit["id"])[0].data["text"], "A fit sentence.");
    assert_eq!(world.kinds(&unfit), ["content.failed"]);
}

#[tokio::test]
async fn where_nobody_can_look_nothing_passes() {
    let world = World::moderated(false).await;

    let answer = world.generate(&json!({"prompt": "Hello"})).await;
    let streamed = world.streamed("Hello").await;

    assert_eq!(
        refusal(&answer),
        (503, "no_moderation_configured".to_owned())
    );
    assert_eq!(world.kinds(&streamed), ["content.failed"]);
    assert_eq!(world.provider.asked("small"), 0);
}

#[tokio::test]
async fn existing_clients_are_moderated_too() {
    let world = World::moderated(true).await;
    let path = "/v1/openai/v1/chat/completions";
    let ask =
        |text: &str| json!({"model": "small", "messages": [{"role": "user", "content": text}]});

    let asked = world.post(path, &ask(UNFIT_TEXT)).await;
    world.says(UNFIT_TEXT);
    let answered = world.post(path, &ask("Hello")).await;

    for answer in [asked, answered] {
        assert_eq!(answer.status, 422, "{}", answer.json());
        assert_eq!(answer.json()["error"]["code"], "content_blocked");
    }
    assert_eq!(world.provider.asked("small"), 1);
}
