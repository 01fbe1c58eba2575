//! The data of documents, written for another capability.

use domain::draft::{DraftAnswer, DraftWish};
use domain::id::Draft;
use domain::{Envelope, Event, Id, Locale};
use ports::table::{Item, Key, Table};
use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{World, owner};

const DRAFT: &str = "drf_0194fe2a4c8d7e11a0b3c5d7e9f10213";

fn draft() -> Id<Draft> {
    DRAFT.parse().unwrap()
}

fn wish() -> DraftWish {
    DraftWish {
        draft: draft(),
        brief: "Tell them that the office moves".to_owned(),
        known: json!({"date": "2026-11-24"}),
        schema: json!({
            "type": "object", "additionalProperties": false, "required": ["subject"],
            "properties": {"subject": {"type": "string", "maxLength": 100}},
        }),
        locale: "en".to_owned(),
        voice: None,
        model: None,
        max_tokens: 200,
        reader: Locale::En,
        user: owner().user,
        key: None,
    }
}

impl World {
    async fn wishes(&self, wish: &DraftWish) {
        let key = Key::new(owner().organisation, DraftWish::sort(wish.draft));
        self.wishes
            .write(vec![ports::table::Write::Put(
                Item::new(key, wish),
                ports::table::If::Absent,
            )])
            .await
            .unwrap();
    }

    /// Delivers the event as the rule of the bus does.
    async fn draft(&self) -> Result<(), content::stream::NotDone> {
        let envelope = Envelope {
            id: "evt_00000000000000000000000000000009".parse().unwrap(),
            time: "2026-11-24T10:11:12Z".parse().unwrap(),
            version: 1,
            org: owner().organisation,
            trace: None,
            causation: None,
            event: Event::DraftQueued { draft: draft() },
        };
        let body = json!({
            "version": "0", "detail-type": envelope.event.name(), "detail": envelope,
        });
        self.worker.on(&body.to_string()).await
    }

    async fn answer(&self) -> Option<DraftAnswer> {
        let key = Key::new(owner().organisation, DraftAnswer::sort(draft()));
        let row = self.table.get(&key).await.unwrap();
        row.map(|row| row.parse().unwrap())
    }

    async fn text(&self) -> Value {
        let path = format!("/v1/content/{}", DRAFT.replace("drf_", "con_"));
        self.get(&path).await.json()
    }
}

#[tokio::test]
async fn a_wish_is_written_by_its_schema_and_answered() {
    let world = World::new();
    world.says(r#"{"subject": "We are moving"}"#);
    world.wishes(&wish()).await;

    world.draft().await.unwrap();

    let answer = world.answer().await.unwrap();
    assert_eq!(answer.outcome, Ok(json!({"subject": "We are moving"})));
    assert!(answer.cost_micros.is_some_and(|micros| micros > 0));
    assert_eq!(world.announced("content.draft_answered"), 1);
    assert_eq!(world.announced("content.generated"), 1);
    let asked = &world.provider.received()[0].body;
    let said = asked["messages"].to_string();
    assert!(said.contains("Tell them that the office moves"), "{said}");
    assert!(said.contains("2026-11-24"), "{said}");
    assert_eq!(
        world.text().await["data"],
        json!({"subject": "We are moving"}),
        "the text is in the organisation's history"
    );
}

#[tokio::test]
async fn an_event_that_comes_again_asks_nobody_again() {
    let world = World::new();
    world.says(r#"{"subject": "We are moving"}"#);
    world.wishes(&wish()).await;

    world.draft().await.unwrap();
    world.draft().await.unwrap();

    assert_eq!(world.provider.asked("small"), 1);
    assert_eq!(world.announced("content.draft_answered"), 1);
}

#[tokio::test]
async fn a_text_that_was_deleted_is_not_written_again() {
    let world = World::new();
    world.says(r#"{"subject": "We are moving"}"#);
    world.wishes(&wish()).await;
    world.draft().await.unwrap();
    let path = format!("/v1/content/{}", DRAFT.replace("drf_", "con_"));
    assert_eq!(world.send(Call::new("DELETE", &path)).await.status, 204);

    world.draft().await.unwrap();

    assert_eq!(world.provider.asked("small"), 1);
    assert_eq!(world.get(&path).await.status, 404);
}

#[tokio::test]
async fn without_a_model_the_answer_says_so() {
    let world = World::without_models();
    world.wishes(&wish()).await;

    world.draft().await.unwrap();

    let unwritten = world.answer().await.unwrap().outcome.unwrap_err();
    assert_eq!(unwritten.code, "no_model_configured");
    assert!(unwritten.places[0].es.contains("ModelTargets"));
    assert_eq!(world.announced("content.draft_answered"), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_wish_is_named_where_the_wish_has_it() {
    let world = World::new();
    let voice = "voi_0194fe2a4c8d7e11a0b3c5d7e9f10213".parse().unwrap();
    world
        .wishes(&DraftWish {
            voice: Some(voice),
            ..wish()
        })
        .await;

    world.draft().await.unwrap();

    let unwritten = world.answer().await.unwrap().outcome.unwrap_err();
    assert_eq!(unwritten.code, "validation_failed");
    assert_eq!(unwritten.places[0].pointer, "/voice");
    assert_eq!(world.provider.asked("small"), 0);
}

#[tokio::test]
async fn the_organisations_guardrails_hold_for_drafts_too() {
    let world = World::new();
    let rules = json!({"blocked_terms": ["office"]});
    let set = world
        .send(Call::new("PUT", "/v1/content/guardrails").json(&rules))
        .await;
    assert_eq!(set.status, 200, "{}", set.json());
    world.wishes(&wish()).await;

    world.draft().await.unwrap();

    let unwritten = world.answer().await.unwrap().outcome.unwrap_err();
    assert_eq!(unwritten.code, "content_blocked");
    assert_eq!(world.provider.asked("small"), 0);
}

#[tokio::test]
async fn data_that_never_fits_its_schema_is_no_data() {
    let world = World::new();
    world.says(r#"{"topic": "We are moving"}"#);
    world.wishes(&wish()).await;

    world.draft().await.unwrap();

    let unwritten = world.answer().await.unwrap().outcome.unwrap_err();
    assert_eq!(unwritten.code, "output_unfit");
}

#[tokio::test]
async fn a_wish_that_is_gone_is_no_poison() {
    let world = World::new();

    world.draft().await.unwrap();

    assert_eq!(world.answer().await, None);
}
