//! Drafts: a brief on its way to a document, with content's side played by what it publishes.

use std::collections::BTreeSet;

use documents::template::Template;
use domain::draft::{DraftAnswer, DraftWish, Unwritten, UnwrittenPlace};
use domain::id::Draft;
use domain::{Envelope, Event, Id};
use ports::channels::Channel;
use ports::table::{If, Item, Key, Table, Write};
use runtime::testing::{Answer, Call};
use serde_json::{Value, json};

use crate::{World, caller, notification, organisation};

const DRAFTS: &str = "/v1/documents/drafts";

fn brief() -> Value {
    json!({"template": "letter", "brief": "Tell them that the office moves in January"})
}

/// A letter as a model writes it, without what is known.
fn written() -> Value {
    json!({
        "subject": "We are moving", "paragraphs": ["Our office moves in January."],
        "closing": "Yours faithfully,", "signature": {"name": "The office"},
    })
}

fn known() -> Value {
    json!({
        "date": "2026-11-24", "sender": {"name": "Sender Ltd", "address": ["1 High Street"]},
        "recipient": {"name": "Reader Ltd", "address": ["2 Low Street"]},
    })
}

impl World {
    async fn drafted(&self, body: &Value) -> Answer {
        let call = Call::post(DRAFTS, body).header("accept-language", "en");
        self.send(call).await
    }

    async fn wish(&self, draft: &Value) -> DraftWish {
        let key = Key::new(organisation(1), DraftWish::sort(id(draft)));
        self.table
            .get(&key)
            .await
            .unwrap()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Answers as content does, and delivers the event twice.
    async fn answer(&self, draft: &Value, outcome: Result<Value, Unwritten>) {
        let draft = id(draft);
        let answer = DraftAnswer {
            draft,
            outcome,
            model: Some("small".to_owned()),
            cost_micros: Some(120),
            currency: Some("USD".to_owned()),
        };
        let row = Item::new(Key::new(organisation(1), DraftAnswer::sort(draft)), &answer);
        self.answers
            .write(vec![Write::Put(row, If::Always)])
            .await
            .unwrap();
        let body = notification(&Envelope {
            id: "evt_00000000000000000000000000000009".parse().unwrap(),
            time: "2026-11-24T10:11:12Z".parse().unwrap(),
            version: 1,
            org: organisation(1),
            trace: None,
            causation: None,
            event: Event::DraftAnswered { draft },
        });
        self.worker.once(&body).await.unwrap();
        self.worker.once(&body).await.unwrap();
        self.settle().await;
    }
}

fn id(draft: &Value) -> Id<Draft> {
    draft["id"].as_str().unwrap().parse().unwrap()
}

fn path(draft: &Value) -> String {
    format!("{DRAFTS}/{}", draft["id"].as_str().unwrap())
}

fn pointers(answer: &Answer) -> BTreeSet<String> {
    let errors = answer.json()["errors"].as_array().cloned();
    let errors = errors.unwrap_or_default();
    let pointers = errors.iter().map(|error| error["pointer"].as_str());
    pointers
        .map(|pointer| pointer.unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_brief_becomes_a_document() {
    let world = World::new();
    let mut body = brief();
    body["data"] = known();

    let taken = world.drafted(&body).await;

    let draft = taken.json();
    assert_eq!(taken.status.as_u16(), 202, "{draft}");
    assert_eq!(draft["status"], "queued");
    assert_eq!(world.announced("documents.draft_queued").len(), 1);
    let wish = world.wish(&draft).await;
    assert_eq!(wish.locale, "en");
    let asked = wish.schema["properties"].as_object().unwrap();
    assert!(asked.contains_key("paragraphs"));
    assert!(!asked.contains_key("date") && !asked.contains_key("locale"));

    world.answer(&draft, Ok(written())).await;

    let ready = world.get(&path(&draft)).await;
    assert_eq!(ready["status"], "ready", "{ready}");
    assert_eq!(ready["data"]["subject"], "We are moving");
    assert_eq!(ready["data"]["recipient"]["name"], "Reader Ltd");
    assert_eq!(
        ready["cost"],
        json!({"amount_micros": 120, "currency": "USD"})
    );
    let document = ready["document"].as_str().unwrap();
    let document = world.get(&format!("/v1/documents/{document}")).await;
    assert_eq!(
        [&document["status"], &document["template"]],
        ["ready", "letter"]
    );
    assert_eq!(world.announced("documents.rendered").len(), 1);
    let rows = world.table.rows();
    let keys = rows.iter().map(|row| row.key.sk.as_str());
    let kept: Vec<&str> = keys.filter(|key| key.starts_with("draft")).collect();
    assert_eq!(kept, [format!("draft#{}", draft["id"].as_str().unwrap())]);
    assert_eq!(world.blobs.keys().len(), 1, "the document, and no brief");
    let channel = Channel::draft(organisation(1), id(&draft));
    let told = world.channels.told(&channel);
    assert_eq!(told[0].kind, "draft.ready");
    assert_eq!(told[0].data["document"], ready["document"]);
}

#[tokio::test]
async fn a_brief_with_recipients_becomes_a_batch_and_the_model_sees_none_of_them() {
    let world = World::new();
    let mut body = brief();
    body["data"] = json!({"date": "2026-11-24", "sender": known()["sender"]});
    let recipients: Vec<Value> = (0..30)
        .map(|n| json!({"recipient": {"name": format!("Reader {n}"), "address": ["2 Low Street"]}}))
        .collect();
    body["recipients"] = json!(recipients);

    let draft = world.drafted(&body).await.json();

    let wish = serde_json::to_value(world.wish(&draft).await).unwrap();
    assert!(!wish.to_string().contains("Reader"), "{wish}");
    assert!(wish["schema"]["properties"].get("recipient").is_none());

    world.answer(&draft, Ok(written())).await;

    let ready = world.get(&path(&draft)).await;
    assert_eq!(ready["status"], "ready", "{ready}");
    let batch = format!("/v1/document-batches/{}", ready["batch"].as_str().unwrap());
    world
        .assert_made(&batch, 30, &BTreeSet::new(), "drafted")
        .await;
}

#[tokio::test]
async fn data_that_becomes_no_document_is_kept_with_what_is_wrong() {
    let world = World::new();
    let mut body = brief();
    body["data"] = known();
    let draft = world.drafted(&body).await.json();
    let mut data = written();
    data["subject"] = json!("A smile 😀");

    world.answer(&draft, Ok(data)).await;

    let failed = world.get(&path(&draft)).await;
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["error"]["code"], "validation_failed");
    assert_eq!(failed["error"]["errors"][0]["pointer"], "/data/subject");
    assert_eq!(failed["data"]["subject"], "A smile 😀");
    assert!(world.announced("documents.rendered").is_empty());
    let told = world
        .channels
        .told(&Channel::draft(organisation(1), id(&draft)));
    assert_eq!(told[0].kind, "draft.failed");
}

#[tokio::test]
async fn why_nothing_was_written_is_said_in_the_readers_language() {
    let world = World::new();
    let draft = world.drafted(&brief()).await.json();
    let place = UnwrittenPlace {
        pointer: String::new(),
        es: "No queda presupuesto".to_owned(),
        en: "There is no budget left".to_owned(),
    };

    world
        .answer(
            &draft,
            Err(Unwritten {
                code: "budget_exhausted".to_owned(),
                places: vec![place],
            }),
        )
        .await;

    let spanish = Call::get(&path(&draft)).header("accept-language", "es");
    let failed = world.send(spanish).await.json();
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["error"]["code"], "budget_exhausted");
    assert_eq!(
        failed["error"]["errors"],
        json!([{"pointer": "/brief", "detail": "No queda presupuesto"}])
    );
}

#[tokio::test]
async fn the_same_request_again_is_the_same_draft() {
    let world = World::new();
    let call = || Call::post(DRAFTS, &brief()).header("idempotency-key", "one");

    let first = world.send(call()).await.json();
    let second = world.send(call()).await.json();

    assert_eq!(first["id"], second["id"]);
    assert_eq!(world.announced("documents.draft_queued").len(), 1);
}

#[tokio::test]
async fn what_cannot_be_drafted_is_refused_by_name() {
    let world = World::new();
    let with = |field: &str, value: Value| {
        let mut body = brief();
        body[field] = value;
        body
    };
    let whole = Template::Letter.samples()[1].clone();
    let everything: Value = {
        let names = Template::Letter.schema()["properties"].as_object().unwrap();
        let known = names.keys().map(|name| (name.clone(), json!("x")));
        known.collect::<serde_json::Map<_, _>>().into()
    };
    for (body, pointer) in [
        (with("template", json!("novel")), "/template"),
        (with("brief", json!("  ")), "/brief"),
        (with("brief", json!("x".repeat(9000))), "/brief"),
        (with("data", json!({"x": "x".repeat(17_000)})), "/data"),
        (with("data", everything), "/data"),
        (with("recipients", json!([])), "/recipients"),
        (with("recipients", json!([whole, 7])), "/recipients/1"),
        (with("locale", json!("not a tag")), "/locale"),
        (with("max_tokens", json!(0)), "/max_tokens"),
    ] {
        let answer = world.drafted(&body).await;

        assert_eq!(answer.status.as_u16(), 422, "{pointer}: {}", answer.json());
        assert_eq!(pointers(&answer), [pointer.to_owned()].into());
    }
    assert!(world.announced("documents.draft_queued").is_empty());
}

#[tokio::test]
async fn a_draft_is_its_organisations_own() {
    let world = World::new();
    let draft = world.drafted(&brief()).await.json();

    let other = Call::get(&path(&draft)).by(&caller(2));

    assert_eq!(other.send(&world.router).await.status.as_u16(), 404);
    assert_eq!(world.all(DRAFTS).await.len(), 1);
}

#[tokio::test]
async fn a_draft_that_nobody_answers_is_said_to_be_lost() {
    let world = World::new();
    let draft = world.drafted(&brief()).await.json();

    world.clock.advance(std::time::Duration::from_hours(7));

    let lost = world.get(&path(&draft)).await;
    assert_eq!(
        [&lost["status"], &lost["error"]["code"]],
        ["failed", "interrupted"]
    );
}

#[tokio::test]
async fn a_draft_is_written_for_the_version_that_was_live() {
    let world = World::new();
    let template = json!({
        "name": "Note",
        "schema": {
            "type": "object", "required": ["text"], "additionalProperties": false,
            "properties": {"text": {"type": "string", "maxLength": 80}},
        },
        "source": "#set document(title: \"Note\")\n= Note\n#data.text",
        "samples": [{"text": "x"}],
    });
    let made = world
        .send(Call::post("/v1/document-templates", &template))
        .await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let body = json!({"template": id, "brief": "Anything"});
    let draft = world.drafted(&body).await.json();
    assert_eq!(draft["template"], format!("{id}@1"));

    world.answer(&draft, Ok(json!({"text": "Hello"}))).await;

    assert_eq!(world.get(&path(&draft)).await["status"], "ready");
}
