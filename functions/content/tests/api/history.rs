//! What was made, afterwards.

use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{World, caller, pointers, refusal};

async fn make(world: &World) -> String {
    world.says("Uno");
    let made = world.generate(&json!({"prompt": "a"})).await;
    assert_eq!(made.status, 200, "{}", made.json());
    format!("/v1/content/{}", made.json()["id"].as_str().unwrap())
}

#[tokio::test]
async fn an_edit_is_a_new_version_and_the_models_own_stays() {
    let world = World::new();
    let path = make(&world).await;
    let only = world.get(&format!("{path}/versions")).await.json();
    assert_eq!(only["items"].as_array().unwrap().len(), 1);

    let edited = world
        .send(Call::new("PATCH", &path).json(&json!({"text": "Dos"})))
        .await;
    let again = world
        .send(Call::new("PATCH", &path).json(&json!({"text": "Tres"})))
        .await;

    assert_eq!(edited.json()["version"], 2, "{}", edited.json());
    assert_eq!(
        (&again.json()["version"], &again.json()["text"]),
        (&json!(3), &json!("Tres"))
    );
    let versions = world.get(&format!("{path}/versions")).await.json();
    let texts: Vec<_> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| {
            (
                v["version"].clone(),
                v["text"].clone(),
                v["edited_by"].is_null(),
            )
        })
        .collect();
    assert_eq!(
        texts,
        [
            (json!(3), json!("Tres"), false),
            (json!(2), json!("Dos"), false),
            (json!(1), json!("Uno"), true),
        ]
    );
}

#[tokio::test]
async fn an_edit_on_an_old_reading_or_of_the_wrong_kind_is_refused() {
    let world = World::new();
    let path = make(&world).await;
    let etag = world.get(&path).await.header("etag").unwrap().to_owned();
    let edit = |body: Value| {
        Call::new("PATCH", &path)
            .json(&body)
            .header("if-match", &etag)
    };

    assert_eq!(
        pointers(&world.send(edit(json!({"data": {}}))).await),
        ["/data"]
    );
    assert_eq!(pointers(&world.send(edit(json!({}))).await), ["/text"]);
    assert_eq!(world.send(edit(json!({"text": "Dos"}))).await.status, 200);
    assert_eq!(
        refusal(&world.send(edit(json!({"text": "Tres"}))).await).0,
        412
    );
}

#[tokio::test]
async fn an_opinion_replaces_the_same_persons_earlier_one() {
    let world = World::new();
    let path = make(&world).await;
    let judge = |rating: u8| json!({"rating": rating, "comment": "ok"});

    let first = world.post(&format!("{path}/feedback"), &judge(2)).await;
    let second = world.post(&format!("{path}/feedback"), &judge(5)).await;
    let wrong = world.post(&format!("{path}/feedback"), &judge(6)).await;

    assert_eq!(
        (first.status.as_u16(), &second.json()["rating"]),
        (201, &json!(5))
    );
    assert_eq!(pointers(&wrong), ["/rating"]);
    let rows = world.table.rows();
    let kept = rows
        .iter()
        .filter(|row| row.key.sk.starts_with("content-feedback#"));
    assert_eq!(kept.count(), 1);
}

#[tokio::test]
async fn what_is_deleted_leaves_nothing_behind() {
    let world = World::new();
    let path = make(&world).await;
    world
        .send(Call::new("PATCH", &path).json(&json!({"text": "Dos"})))
        .await;
    world
        .post(&format!("{path}/feedback"), &json!({"rating": 4}))
        .await;

    let deleted = world.send(Call::new("DELETE", &path)).await;

    assert_eq!(deleted.status, 204);
    assert_eq!(world.get(&path).await.status, 404);
    let left = world
        .table
        .rows()
        .into_iter()
        .filter(|row| row.key.sk.starts_with("content"));
    assert_eq!(left.count(), 0);
    assert_eq!(world.send(Call::new("DELETE", &path)).await.status, 404);
}

#[tokio::test]
async fn the_newest_is_listed_first_and_pages_lead_on() {
    let world = World::new();
    let mut made = Vec::new();
    for _ in 0..3 {
        world.clock.advance(std::time::Duration::from_secs(1));
        made.push(make(&world).await.replace("/v1/content/", ""));
    }
    made.reverse();

    let first = world.get("/v1/content?limit=2").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = world
        .get(&format!("/v1/content?limit=2&cursor={cursor}"))
        .await
        .json();

    let ids: Vec<String> = [&first, &second]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, made);
}

#[tokio::test]
async fn another_tenants_text_does_not_exist() {
    let world = World::new();
    let path = make(&world).await;
    let stranger = caller(2, "owner");

    for call in [
        Call::get(&path),
        Call::get(&format!("{path}/versions")),
        Call::new("PATCH", &path).json(&json!({"text": "x"})),
        Call::post(&format!("{path}/feedback"), &json!({"rating": 1})),
        Call::post(&format!("{path}/cancel"), &json!({})),
        Call::new("DELETE", &path),
    ] {
        assert_eq!(
            refusal(&world.send_by(&stranger, call).await),
            (404, "not_found".into())
        );
    }
    let listed = world
        .send_by(&stranger, Call::get("/v1/content"))
        .await
        .json();
    assert_eq!(listed["items"], json!([]));
}
