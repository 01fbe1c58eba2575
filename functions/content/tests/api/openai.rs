//! `OpenAI`'s wire format, as its clients expect it.

use runtime::testing::{Answer, Call};
use serde_json::{Value, json};

use crate::World;

const PATH: &str = "/v1/openai/v1/chat/completions";

fn body() -> Value {
    json!({"model": "small", "messages": [{"role": "user", "content": "Hola"}], "max_tokens": 20})
}

fn with(field: &str, value: Value) -> Value {
    let mut body = body();
    body[field] = value;
    body
}

fn error(answer: &Answer) -> (u16, Value, Value) {
    let error = answer.json()["error"].clone();
    (
        answer.status.as_u16(),
        error["code"].clone(),
        error["param"].clone(),
    )
}

#[tokio::test]
async fn a_completion_has_every_field_that_a_strict_client_looks_for() {
    let world = World::new();
    world.says("Buenas");

    let answer = world.post(PATH, &body()).await.json();

    assert_eq!(
        (&answer["object"], &answer["model"]),
        (&json!("chat.completion"), &json!("small"))
    );
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(answer["created"], 1_795_515_072);
    let choice = &answer["choices"][0];
    assert_eq!(
        choice["message"],
        json!({"role": "assistant", "content": "Buenas", "refusal": null, "annotations": []})
    );
    assert_eq!(
        (&choice["finish_reason"], &choice["logprobs"]),
        (&json!("stop"), &Value::Null)
    );
    let usage = &answer["usage"];
    assert_eq!(
        usage["total_tokens"].as_u64(),
        Some(
            usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap()
        )
    );
}

#[tokio::test]
async fn a_stream_is_given_whole_in_the_right_shape() {
    let world = World::new();
    world.says("Buenas tardes");
    let mut asked = with("stream", json!(true));
    asked["stream_options"] = json!({"include_usage": true});

    let answer = world.post(PATH, &asked).await;

    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    let text = String::from_utf8(answer.body).unwrap();
    let events: Vec<&str> = text
        .split("\n\n")
        .filter(|event| !event.is_empty())
        .collect();
    assert_eq!(events.last(), Some(&"data: [DONE]"));
    let said: String = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok())
        .filter_map(|event| {
            event["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(said, "Buenas tardes");
}

#[tokio::test]
async fn what_is_wrong_is_an_error_object_with_the_field() {
    let world = World::new();
    let mut without = body();
    without.as_object_mut().unwrap().remove("messages");
    for (asked, status, param) in [
        (without, 400, json!("messages")),
        (with("messages", json!([])), 400, json!("messages")),
        (
            with("messages", json!([{"role": "x"}])),
            400,
            json!("messages[0]"),
        ),
        (with("temperature", json!(3)), 400, json!("temperature")),
        (with("n", json!(2)), 400, json!("n")),
        (with("model", json!("gpt-nothing")), 404, json!("model")),
    ] {
        let answer = world.post(PATH, &asked).await;

        let found = error(&answer);
        assert_eq!(
            (found.0, found.2),
            (status, param),
            "{asked}: {}",
            answer.json()
        );
        assert!(answer.json()["error"]["message"].is_string());
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    }
    let broken = world.send(Call::new("POST", PATH).body("{")).await;
    assert_eq!(error(&broken).0, 400);
    let unknown = world.post(PATH, &with("model", json!("gpt-nothing"))).await;
    assert_eq!(error(&unknown).1, json!("model_not_found"));
}

#[tokio::test]
async fn without_a_model_the_error_has_the_same_shape() {
    let world = World::without_models();

    let answer = world.post(PATH, &body()).await;

    assert_eq!(
        error(&answer),
        (503, json!("no_model_configured"), Value::Null)
    );
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn a_refusal_of_the_platform_itself_has_the_same_shape() {
    let world = World::new();

    let nobody = Call::post(PATH, &body()).send(&world.api.router()).await;
    let viewer = world
        .send_by(&crate::caller(1, "viewer"), Call::post(PATH, &body()))
        .await;

    assert_eq!(error(&nobody), (401, json!("token_missing"), Value::Null));
    assert_eq!(
        error(&viewer),
        (403, json!("permission_denied"), Value::Null)
    );
    assert_eq!(nobody.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn tools_and_formats_are_passed_on() {
    let world = World::new();
    world.says("{}");
    let tools =
        json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let mut asked = with("tools", tools.clone());
    asked["response_format"] = json!({"type": "json_object"});
    asked["tool_choice"] = json!("auto");

    world.post(PATH, &asked).await;

    let sent = &world.provider.received()[0].body;
    assert_eq!(
        (&sent["tools"], &sent["tool_choice"]),
        (&tools, &json!("auto"))
    );
    assert_eq!(sent["response_format"]["type"], "json_object");
}

async fn rules(world: &World, rules: &Value) {
    let put = Call::new("PUT", "/v1/content/guardrails").json(rules);
    assert!(world.send(put).await.status.is_success());
}

#[tokio::test]
async fn personal_data_stays_here_if_that_is_the_rule() {
    let world = World::new();
    rules(&world, &json!({"redact": true})).await;
    world.says("Escribo a [EMAIL_1].");
    let asked = with(
        "messages",
        json!([
            {"role": "system", "content": "Firma como ana@example.com"},
            {"role": "user", "content": [{"type": "text", "text": "Escribe a ana@example.com"}]},
        ]),
    );

    let answer = world.post(PATH, &asked).await.json();

    let sent = world.provider.received()[0].body.to_string();
    assert!(
        !sent.contains("ana@example.com") && sent.contains("[EMAIL_1]"),
        "{sent}"
    );
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "Escribo a ana@example.com."
    );
}

#[tokio::test]
async fn a_blocked_term_is_stopped_in_whichever_role_it_comes() {
    let world = World::new();
    rules(&world, &json!({"blocked_terms": ["acme"]})).await;
    for role in ["system", "developer", "user", "assistant"] {
        let asked = with("messages", json!([{"role": role, "content": "Di ACME"}]));

        let refused = world.post(PATH, &asked).await;

        assert_eq!(error(&refused).1, json!("content_blocked"), "{role}");
    }
    assert_eq!(world.provider.asked("small"), 0);
}

#[tokio::test]
async fn a_field_that_may_raise_the_price_is_refused_by_name() {
    let world = World::new();
    for (field, value) in [
        ("n_predict", json!(100_000)),
        ("models", json!(["dear"])),
        ("service_tier", json!("priority")),
    ] {
        let refused = world.post(PATH, &with(field, value)).await;

        let found = error(&refused);
        assert_eq!((found.0, found.2), (400, json!(field)));
    }
    assert_eq!(world.provider.asked("small"), 0);
}

#[tokio::test]
async fn the_models_are_listed_as_clients_list_them() {
    let world = World::new();

    let listed = world.get("/v1/openai/v1/models").await.json();

    assert_eq!(listed["object"], "list");
    assert_eq!(
        (&listed["data"][0]["id"], &listed["data"][0]["object"]),
        (&json!("small"), &json!("model"))
    );
}

#[tokio::test]
async fn one_model_is_read_as_clients_read_it() {
    let world = World::new();

    let read = world.get("/v1/openai/v1/models/small").await;
    let unknown = world.get("/v1/openai/v1/models/gpt-nothing").await;

    assert_eq!(
        read.json(),
        world.get("/v1/openai/v1/models").await.json()["data"][0]
    );
    assert_eq!(
        error(&unknown),
        (404, json!("model_not_found"), json!("model"))
    );
}

#[tokio::test]
async fn a_call_by_a_key_is_accounted_to_it() {
    let world = World::new();
    world.says("Hola");
    let mut caller = crate::owner();
    caller.key = Some("key_00000000000000000000000000000009".parse().unwrap());
    world.send_by(&caller, Call::post(PATH, &body())).await;
    world.post(PATH, &body()).await;

    let path = "/v1/content/usage?key=key_00000000000000000000000000000009";
    let usage = world.get(path).await.json();

    assert_eq!(usage["items"].as_array().unwrap().len(), 1, "{usage}");
    assert_eq!(usage["calls"], 2);
}
