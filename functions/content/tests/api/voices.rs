//! Voices, and texts that are held against them.

use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{World, caller, pointers, refusal};

fn voice() -> Value {
    json!({
        "name": "Casa", "tone": "Clear.", "banned": ["synergy"],
        "locales": {"es": {"tone": "Cercano.", "banned": ["barato"],
            "glossary": [{"term": "inicio de sesión", "instead_of": ["login"]}]}},
    })
}

async fn create(world: &World) -> String {
    let made = world.post("/v1/brand-voices", &voice()).await;
    assert_eq!(made.status, 201, "{}", made.json());
    made.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_voice_is_made_changed_and_deleted() {
    let world = World::new();
    let id = create(&world).await;
    let path = format!("/v1/brand-voices/{id}");

    let change = Call::new("PATCH", &path).json(&json!({"tone": "Warm.", "max_characters": 10}));
    let changed = world
        .send(change.clone().header("if-match", "\"v1\""))
        .await;
    let late = world.send(change.header("if-match", "\"v1\"")).await;

    assert_eq!(
        (changed.status.as_u16(), changed.header("etag")),
        (200, Some("\"v2\""))
    );
    assert_eq!(
        (&changed.json()["tone"], &changed.json()["banned"]),
        (&json!("Warm."), &json!(["synergy"]))
    );
    assert_eq!(refusal(&late), (412, "version_mismatch".into()));
    assert_eq!(world.send(Call::new("DELETE", &path)).await.status, 204);
    assert_eq!(world.get(&path).await.status, 404);
    assert_eq!(world.send(Call::new("DELETE", &path)).await.status, 404);
}

#[tokio::test]
async fn a_text_is_held_against_a_voice_without_any_model() {
    let world = World::without_models();
    let id = create(&world).await;

    let checked = world
        .post(
            "/v1/content/check",
            &json!({"text": "Un login BARATO", "voice": id, "locale": "es-MX"}),
        )
        .await
        .json();

    assert_eq!(
        (&checked["ok"], &checked["characters"]),
        (&json!(false), &json!(15))
    );
    let found: Vec<_> = checked["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["rule"].clone(), v["start"].clone(), v["end"].clone()))
        .collect();
    assert_eq!(
        found,
        [
            (json!("glossary"), json!(3), json!(8)),
            (json!("banned"), json!(9), json!(15))
        ]
    );
    assert_eq!(
        checked["violations"][0]["detail"],
        "Instead of \"login\" the voice says \"inicio de sesión\""
    );
}

#[tokio::test]
async fn a_model_hears_the_voice_and_its_answer_is_held_against_it() {
    let world = World::new();
    let id = create(&world).await;
    world.says("Un hotel barato");

    let made = world
        .generate(&json!({"prompt": "Un lema", "voice": id, "locale": "es"}))
        .await
        .json();

    let system = world.provider.received()[0].body["messages"][0]["content"].clone();
    let system = system.as_str().unwrap();
    for part in [
        "Spanish (es)",
        "Clear.",
        "Cercano.",
        "\"barato\"",
        "\"inicio de sesión\"",
    ] {
        assert!(system.contains(part), "{part} in {system}");
    }
    assert_eq!(made["status"], "done");
    assert_eq!(
        (
            &made["violations"][0]["rule"],
            &made["violations"][0]["found"]
        ),
        (&json!("banned"), &json!("barato"))
    );
}

#[tokio::test]
async fn every_fault_of_a_voice_is_named() {
    let world = World::new();
    let bad = json!({"name": "", "banned": ["a", ""], "locales": {"español": {}}});

    let refused = world.post("/v1/brand-voices", &bad).await;
    let unknown = world
        .post("/v1/brand-voices", &json!({"name": "a", "colour": 1}))
        .await;

    let mut found = pointers(&refused);
    found.sort();
    assert_eq!(found, ["/banned/1", "/locales/español", "/name"]);
    assert_eq!(pointers(&unknown), ["/colour"]);
}

#[tokio::test]
async fn another_tenants_voice_does_not_exist() {
    let world = World::new();
    let id = create(&world).await;
    let stranger = caller(2, "owner");
    let path = format!("/v1/brand-voices/{id}");

    for call in [
        Call::get(&path),
        Call::new("DELETE", &path),
        Call::new("PATCH", &path).json(&json!({"tone": "x"})),
    ] {
        assert_eq!(
            refusal(&world.send_by(&stranger, call).await),
            (404, "not_found".into())
        );
    }
    let body = json!({"text": "a", "voice": id});
    let checked = world
        .send_by(&stranger, Call::post("/v1/content/check", &body))
        .await;
    assert_eq!(pointers(&checked), ["/voice"]);
}
