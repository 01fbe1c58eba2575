//! Prompts: versions that stay, labels that move.

use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{World, caller, pointers, refusal};

async fn create(world: &World) -> Value {
    let new = json!({"name": "welcome", "source": "Hola {{ who }}", "message": "first"});
    let made = world.post("/v1/prompts", &new).await;
    assert_eq!(made.status, 201, "{}", made.json());
    made.json()
}

async fn put_label(world: &World, label: &str, version: u32) -> runtime::testing::Answer {
    let path = format!("/v1/prompts/welcome/labels/{label}");
    world
        .send(Call::new("PUT", &path).json(&json!({"version": version})))
        .await
}

#[tokio::test]
async fn the_first_version_is_live_and_a_second_changes_nothing_until_the_label_moves() {
    let world = World::new();
    let first = create(&world).await;
    assert_eq!(
        (&first["version"], &first["labels"]),
        (&json!(1), &json!(["live", "latest"]))
    );

    let second = world
        .post(
            "/v1/prompts/welcome/versions",
            &json!({"source": "Buenos días, {{ who }}"}),
        )
        .await;

    assert_eq!(
        (second.status.as_u16(), &second.json()["labels"]),
        (201, &json!(["latest"]))
    );
    assert_eq!(world.get("/v1/prompts/welcome").await.json()["version"], 1);
    assert_eq!(put_label(&world, "live", 2).await.status, 200);
    assert_eq!(
        world.get("/v1/prompts/welcome").await.json()["source"],
        "Buenos días, {{ who }}"
    );
}

#[tokio::test]
async fn going_back_is_moving_the_label_and_each_move_is_announced() {
    let world = World::new();
    create(&world).await;
    world
        .post("/v1/prompts/welcome/versions", &json!({"source": "B"}))
        .await;
    put_label(&world, "live", 2).await;

    put_label(&world, "live", 1).await;
    put_label(&world, "live", 1).await;

    assert_eq!(
        world.get("/v1/prompts/welcome?label=live").await.json()["version"],
        1
    );
    let moves: Vec<Value> = world
        .events()
        .into_iter()
        .map(|(_, data)| data["version"].clone())
        .collect();
    assert_eq!(moves, [json!(1), json!(2), json!(1)]);
}

#[tokio::test]
async fn labels_and_versions_that_are_not_there_are_refused() {
    let world = World::new();
    create(&world).await;

    assert_eq!(pointers(&put_label(&world, "live", 9).await), ["/version"]);
    assert_eq!(pointers(&put_label(&world, "latest", 1).await), ["label"]);
    assert_eq!(
        world.get("/v1/prompts/welcome?label=beta").await.status,
        404
    );
    assert_eq!(world.get("/v1/prompts/welcome?version=2").await.status, 404);
    assert_eq!(world.get("/v1/prompts/Welcome%23x").await.status, 404);
}

#[tokio::test]
async fn a_label_moved_on_an_old_reading_is_refused() {
    let world = World::new();
    create(&world).await;
    world
        .post("/v1/prompts/welcome/versions", &json!({"source": "B"}))
        .await;

    let call = Call::new("PUT", "/v1/prompts/welcome/labels/live").json(&json!({"version": 2}));
    let refused = world.send(call.header("if-match", "\"v1\"")).await;

    assert_eq!(refusal(&refused), (412, "version_mismatch".into()));
}

#[tokio::test]
async fn a_name_is_taken_once_and_a_repeat_of_the_request_is_no_second() {
    let world = World::new();
    let new = json!({"name": "welcome", "source": "Hola"});
    let call = || Call::post("/v1/prompts", &new).header("idempotency-key", "k");

    let first = world.send(call()).await;
    let again = world.send(call()).await;
    let other = world.post("/v1/prompts", &new).await;

    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(refusal(&other), (409, "name_taken".into()));
    let elsewhere = world
        .send_by(&caller(2, "owner"), Call::post("/v1/prompts", &new))
        .await;
    assert_eq!(elsewhere.status, 201);
}

#[tokio::test]
async fn what_would_fail_at_use_is_found_when_it_is_published() {
    let world = World::new();
    for (new, expected) in [
        (json!({"name": "a", "source": "{{ x "}), vec!["/source"]),
        (json!({"name": "a", "source": " "}), vec!["/source"]),
        (
            json!({"name": "a", "source": "{% include 'b' %}"}),
            vec!["/source"],
        ),
        (
            json!({"name": "a", "source": "{{ x }}", "variables": {"type": "object", "properties": {}}}),
            vec!["/variables/properties/x"],
        ),
        (json!({"name": "A B", "source": "x"}), vec!["/name"]),
    ] {
        let refused = world.post("/v1/prompts", &new).await;

        assert_eq!(
            (refused.status.as_u16(), pointers(&refused)),
            (422, expected.iter().map(|p| (*p).to_owned()).collect()),
            "{new}"
        );
    }
}

#[tokio::test]
async fn prompts_and_versions_are_listed_page_by_page() {
    let world = World::new();
    for name in ["c", "a", "b"] {
        world
            .post("/v1/prompts", &json!({"name": name, "source": "x"}))
            .await;
    }
    world
        .post("/v1/prompts/a/versions", &json!({"source": "y"}))
        .await;

    let first = world.get("/v1/prompts?limit=2").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = world
        .get(&format!("/v1/prompts?limit=2&cursor={cursor}"))
        .await
        .json();
    let versions = world.get("/v1/prompts/a/versions").await.json();

    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (names(&first), names(&second)),
        (vec!["a".into(), "b".into()], vec!["c".into()])
    );
    let numbers: Vec<_> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["version"].clone())
        .collect();
    assert_eq!(numbers, [json!(2), json!(1)]);
}

#[tokio::test]
async fn another_tenants_prompt_does_not_exist() {
    let world = World::new();
    create(&world).await;
    let stranger = caller(2, "owner");

    for call in [
        Call::get("/v1/prompts/welcome"),
        Call::get("/v1/prompts/welcome/versions"),
        Call::post("/v1/prompts/welcome/versions", &json!({"source": "x"})),
        Call::new("PUT", "/v1/prompts/welcome/labels/live").json(&json!({"version": 1})),
    ] {
        assert_eq!(
            refusal(&world.send_by(&stranger, call).await),
            (404, "not_found".into())
        );
    }
}
