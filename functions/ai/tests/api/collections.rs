//! Collections and their documents: what is taken on, found, replaced, deleted, and refused.

use ports::faults::Fault;
use ports::table::{Query, Table};
use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{World, caller, id_of, owner, pointers};

const BREAD: &str =
    "El horno abre a las siete de la mañana.\n\nLos domingos vendemos tartas de manzana.";

#[tokio::test]
async fn a_text_is_taken_on_read_and_found() {
    let world = World::without_models();
    let collection = world.collection().await;
    let body = json!({
        "title": "Horarios", "media_type": "text/plain", "text": BREAD, "source": "intranet/7", "tags": ["casa"],
    });
    let queued = world.post(&format!("{collection}/documents"), &body).await;
    assert_eq!(
        (queued.status.as_u16(), &queued.json()["status"]),
        (202, &json!("queued"))
    );

    assert_eq!(world.work().await, 0);

    let document = format!(
        "{collection}/documents/{}",
        queued.json()["id"].as_str().unwrap()
    );
    let view = world.view(&document).await;
    assert_eq!(
        (
            &view["status"],
            &view["published"]["passages"],
            &view["published"]["embedded"]
        ),
        (&json!("ready"), &json!(1), &json!(0)),
        "{view}"
    );
    let found = world
        .search(&collection, "¿a que hora abre el HORNO?")
        .await;
    assert_eq!(found["mode"], "keyword");
    let hit = &found["items"][0];
    assert_eq!(
        (&hit["title"], &hit["source"], &hit["tags"]),
        (&json!("Horarios"), &json!("intranet/7"), &json!(["casa"])),
        "{found}"
    );
    let told: Vec<String> = world
        .told_of(&queued.json())
        .into_iter()
        .map(|frame| frame.kind)
        .collect();
    assert_eq!(told, ["ai.document_ready"]);
    assert_eq!(world.events()[0].0, "ai.document_ready");
    let counted = world.view(&collection).await;
    assert_eq!(
        (&counted["documents"], &counted["octets"]),
        (&json!(1), &json!(BREAD.len()))
    );
    assert_eq!(world.view(&format!("{document}/text")).await["text"], BREAD);
}

#[tokio::test]
async fn what_cannot_be_done_names_its_places() {
    let world = World::without_models();
    let collection = world.collection().await;
    let documents = format!("{collection}/documents");
    let document = |change: Value| {
        let mut body = json!({"title": "a", "media_type": "text/plain", "text": "b"});
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        body
    };
    let search = json!({"collection_ids": [id_of(&collection)], "query": "pan"});
    let with = |name: &str, value: Value| {
        let mut body = search.clone();
        body[name] = value;
        body
    };
    for (path, body, places) in [
        ("/v1/ai/collections", json!({"name": " "}), vec!["/name"]),
        (
            "/v1/ai/collections",
            json!({"name": "a", "description": "x".repeat(1001)}),
            vec!["/description"],
        ),
        (&documents, document(json!({"title": ""})), vec!["/title"]),
        (&documents, document(json!({"text": ""})), vec!["/text"]),
        (&documents, document(json!({"text": null})), vec![""]),
        (&documents, document(json!({"file": "AAAA"})), vec![""]),
        (
            &documents,
            document(json!({"text": null, "file": "?"})),
            vec!["/file"],
        ),
        (
            &documents,
            document(json!({"media_type": "application/pdf"})),
            vec!["/media_type"],
        ),
        (
            &documents,
            document(json!({"tags": (0..11).map(|n| n.to_string()).collect::<Vec<_>>()})),
            vec!["/tags"],
        ),
        ("/v1/ai/search", with("query", json!("")), vec!["/query"]),
        ("/v1/ai/search", with("limit", json!(51)), vec!["/limit"]),
        (
            "/v1/ai/search",
            with("collection_ids", json!([])),
            vec!["/collection_ids"],
        ),
        (
            "/v1/ai/ask",
            json!({"collection_ids": [id_of(&collection)], "question": "?", "max_tokens": 0, "min_relevance": 2}),
            vec!["/max_tokens", "/min_relevance"],
        ),
    ] {
        let refused = world.post(path, &body).await;

        assert_eq!(refused.status, 422, "{body}: {}", refused.json());
        assert_eq!(pointers(&refused), places, "{body}");
    }
    let unknown = world
        .post(&documents, &document(json!({"media_type": "image/png"})))
        .await;
    assert_eq!(pointers(&unknown), ["/media_type"]);
    assert!(world.jobs.drain().is_empty());
}

#[tokio::test]
async fn the_same_content_is_one_document_and_one_that_failed_is_tried_again() {
    let world = World::without_models();
    let collection = world.collection().await;
    let document = world.add(&collection, "Horarios", BREAD).await;
    world.work().await;
    let body = json!({"title": "Otra vez", "media_type": "text/plain", "text": BREAD});

    let again = world.post(&format!("{collection}/documents"), &body).await;

    assert_eq!(again.status, 200, "{}", again.json());
    assert_eq!(again.json()["id"], id_of(&document));
    assert_eq!(again.json()["title"], "Horarios");
    assert_eq!(world.view(&collection).await["documents"], 1);

    let broken = json!({"title": "Roto", "media_type": "application/pdf", "file": "JVBERi0xLjcK"});
    let failed = world.send_document(&collection, &broken).await;
    world.work().await;
    let view = world.view(&failed).await;
    assert_eq!(
        (&view["status"], &view["problem"]["code"]),
        (&json!("failed"), &json!("document_unreadable")),
        "{view}"
    );
    let retried = world.send_document(&collection, &broken).await;
    assert_eq!(retried, failed);
    assert_eq!(world.view(&failed).await["revision"], 2);
}

#[tokio::test]
async fn a_document_that_is_replaced_is_found_as_it_was_until_the_new_one_is_read() {
    let world = World::without_models();
    let collection = world.collection().await;
    let document = world.add(&collection, "Horarios", BREAD).await;
    world
        .add(&collection, "Vinos", "El vino tinto es de la casa.")
        .await;
    world.work().await;
    let new =
        |text: &str| json!({"title": "Horarios", "media_type": "text/markdown", "text": text});

    let put = |body: Value| Call::new("PUT", &document).json(&body);
    let replaced = world
        .send_by(&owner(), put(new("El horno abre a las **ocho**.")))
        .await;

    assert_eq!(replaced.status, 202, "{}", replaced.json());
    let before = world.search(&collection, "horno").await;
    assert!(
        before["items"][0]["text"]
            .as_str()
            .unwrap()
            .contains("siete"),
        "{before}"
    );
    world.work().await;
    let after = world.search(&collection, "horno").await;
    assert_eq!(
        after["items"][0]["text"], "El horno abre a las ocho.",
        "{after}"
    );
    assert_eq!(
        world.search(&collection, "tartas").await["items"],
        json!([])
    );
    let counted = world.view(&collection).await;
    assert_eq!(
        counted["octets"],
        "El horno abre a las ocho.".len() + "El vino tinto es de la casa.".len()
    );
    let taken =
        json!({"title": "a", "media_type": "text/plain", "text": "El vino tinto es de la casa."});
    let refused = world.send_by(&owner(), put(taken)).await;
    assert_eq!(refused.code().as_deref(), Some("duplicate_document"));
    let free = world
        .post(
            &format!("{collection}/documents"),
            &json!({"title": "Viejo", "media_type": "text/plain", "text": BREAD}),
        )
        .await;
    assert_eq!(
        free.status, 202,
        "the content of before is nobody's any more"
    );
}

#[tokio::test]
async fn a_document_that_is_deleted_is_not_found_even_if_it_is_being_read() {
    let world = World::without_models();
    let collection = world.collection().await;
    let document = world.add(&collection, "Horarios", BREAD).await;
    let waiting = world.add(&collection, "Vinos", "El vino tinto.").await;
    let orders = world.jobs.drain();
    world.worker.on(&orders[0].body).await.unwrap();

    for path in [&document, &waiting] {
        let deleted = world.send_by(&owner(), Call::new("DELETE", path)).await;
        assert_eq!(deleted.status, 204);
    }
    for order in orders {
        world.worker.on(&order.body).await.unwrap();
    }

    assert_eq!(world.get(&document).await.status, 404);
    assert_eq!(
        world.search(&collection, "horno vino").await["items"],
        json!([])
    );
    let counted = world.view(&collection).await;
    assert_eq!(
        (&counted["documents"], &counted["octets"]),
        (&json!(0), &json!(0))
    );
    assert!(left_in(&world, &collection).await.is_empty());
}

#[tokio::test]
async fn a_collection_that_is_deleted_leaves_nothing_whatever_happens_on_the_way() {
    let world = World::without_models();
    let collection = world.collection().await;
    for number in 0..30 {
        world
            .add(&collection, "Nota", &format!("Nota número {number}"))
            .await;
    }
    world.work().await;
    world.add(&collection, "Tarde", "Llega tarde").await;
    let late = world.jobs.drain().remove(0).body;
    let delete = || Call::new("DELETE", &collection);
    world.jobs.faults().fail_next(Fault::Before);

    let lost = world.send_by(&owner(), delete()).await;
    assert!(lost.status.is_server_error());
    assert_eq!(world.get(&collection).await.status, 404);
    assert_eq!(world.send_by(&owner(), delete()).await.status, 204);
    world.worker.on(&late).await.unwrap();
    let order = world.jobs.drain().remove(0).body;
    world.table.faults().fail_call(3, Fault::Throttled);
    world.worker.on(&order).await.unwrap();
    world.worker.on(&order).await.unwrap();

    assert!(left_in(&world, &collection).await.is_empty());
    assert_eq!(world.send_by(&owner(), delete()).await.status, 404);
    let body = json!({"collection_ids": [id_of(&collection)], "query": "nota"});
    assert_eq!(world.post("/v1/ai/search", &body).await.status, 404);
}

#[tokio::test]
async fn another_organisation_sees_nothing_and_a_viewer_only_reads() {
    let world = World::without_models();
    let collection = world.collection().await;
    let document = world.add(&collection, "Horarios", BREAD).await;
    world.work().await;
    let stranger = caller(2, "owner");
    let asked = json!({"collection_ids": [id_of(&collection)], "query": "horno"});
    let question = json!({"collection_ids": [id_of(&collection)], "question": "horno"});
    let body = json!({"title": "a", "media_type": "text/plain", "text": "b"});
    let documents = format!("{collection}/documents");
    for call in [
        Call::get(&collection),
        Call::get(&documents),
        Call::get(&document),
        Call::get(&format!("{document}/text")),
        Call::post(&documents, &body),
        Call::new("PUT", &document).json(&body),
        Call::new("DELETE", &document),
        Call::new("DELETE", &collection),
        Call::post("/v1/ai/search", &asked),
        Call::post("/v1/ai/ask", &question),
    ] {
        let name = format!("{call:?}");
        assert_eq!(world.send_by(&stranger, call).await.status, 404, "{name}");
    }
    let listed = world
        .send_by(&stranger, Call::get("/v1/ai/collections"))
        .await
        .json();
    assert_eq!(listed["items"], json!([]));

    let viewer = caller(1, "viewer");
    assert_eq!(
        world
            .send_by(&viewer, Call::post("/v1/ai/search", &asked))
            .await
            .status,
        200
    );
    for call in [
        Call::post(&documents, &body),
        Call::post("/v1/ai/ask", &question),
        Call::new("DELETE", &collection),
    ] {
        assert_eq!(world.send_by(&viewer, call).await.status, 403);
    }
}

#[tokio::test]
async fn collections_and_documents_are_listed_by_pages_the_newest_first() {
    let world = World::without_models();
    let collection = world.collection().await;
    for number in 0..3 {
        world
            .add(&collection, &format!("Nota {number}"), &number.to_string())
            .await;
    }
    world.collection().await;

    let first = world.view(&format!("{collection}/documents?limit=2")).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = world
        .view(&format!("{collection}/documents?limit=2&cursor={cursor}"))
        .await;

    assert_eq!(first["items"][0]["title"], "Nota 2");
    assert_eq!(second["items"][0]["title"], "Nota 0", "{second}");
    let collections = world.view("/v1/ai/collections?limit=1").await;
    assert_eq!(collections["items"][0]["documents"], 0, "the newest first");
    assert!(collections["next_cursor"].is_string());
}

#[tokio::test]
async fn the_same_request_sent_again_makes_nothing_twice_and_a_lost_order_is_sent() {
    let world = World::without_models();
    let key = |call: Call| call.header("idempotency-key", "0123456789abcdef");
    let make = || key(Call::post("/v1/ai/collections", &json!({"name": "Una"})));
    world.table.faults().fail_next(Fault::After);
    world.send_by(&owner(), make()).await;
    assert_eq!(world.send_by(&owner(), make()).await.status, 201);
    let listed = world.view("/v1/ai/collections").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let collection = format!(
        "/v1/ai/collections/{}",
        listed["items"][0]["id"].as_str().unwrap()
    );

    let body = json!({"title": "Horarios", "media_type": "text/plain", "text": BREAD});
    let add = || key(Call::post(&format!("{collection}/documents"), &body));
    world.jobs.faults().fail_next(Fault::Before);
    assert!(
        world
            .send_by(&owner(), add())
            .await
            .status
            .is_server_error()
    );
    assert_eq!(world.send_by(&owner(), add()).await.status, 202);

    world.work().await;
    let documents = world.view(&format!("{collection}/documents")).await;
    assert_eq!(documents["items"].as_array().unwrap().len(), 1);
    assert_eq!(documents["items"][0]["status"], "ready");
}

#[tokio::test]
async fn an_organisation_has_as_many_collections_as_it_may() {
    let world = World::without_models();
    let mut last = String::new();
    for _ in 0..50 {
        last = world.collection().await;
    }

    let refused = world
        .post("/v1/ai/collections", &json!({"name": "Una más"}))
        .await;
    assert_eq!(
        refused.code().as_deref(),
        Some("limit_reached"),
        "{}",
        refused.json()
    );

    world.send_by(&owner(), Call::new("DELETE", &last)).await;
    world.collection().await;
}

#[tokio::test]
async fn the_texts_of_a_collection_have_as_much_room_as_they_may() {
    let world = World::without_models();
    let collection = world.collection().await;
    for number in 0..14 {
        let text = format!("{number} pan ").repeat(290_000 / 6 + 1);
        world.add(&collection, "Largo", &text[..290_000]).await;
    }

    world.work().await;

    let documents = world.view(&format!("{collection}/documents")).await;
    let last = &documents["items"][0];
    assert_eq!(
        (&last["status"], &last["problem"]["code"]),
        (&json!("failed"), &json!("limit_reached")),
        "{last}"
    );
    let counted = world.view(&collection).await["octets"].as_i64().unwrap();
    assert!((3_500_000..=4_000_000).contains(&counted), "{counted}");
}

/// Keys of rows that are left under a collection.
async fn left_in(world: &World, collection: &str) -> Vec<String> {
    let prefix = format!("in#{}#", id_of(collection));
    let query = Query::prefix(owner().organisation, prefix);
    let page = world.table.query(&query).await.unwrap();
    page.items.into_iter().map(|row| row.key.sk).collect()
}
