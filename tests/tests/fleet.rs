//! Stories across functions, in one process: once, twice, out of order, and cut off in the middle.

use std::time::Duration;

use data_encoding::BASE64;
use domain::{OrganisationRole, PlatformRole};
use journeys::cloud::{invoice, own_template};
use journeys::{Fleet, access};
use ports::channels::{Channel, Channels, Frame};
use ports::faults::Fault;
use runtime::access::Access;
use runtime::testing::Call;
use serde_json::{Value, json};

#[tokio::test]
async fn a_stranger_signs_up_and_opens_an_invoice() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;

    let me = fleet.get("/v1/users/me", Some(&ana)).await;
    let made = fleet.post("/v1/documents", Some(&ana), &invoice()).await;

    assert_eq!(
        (me.status.as_u16(), &me.json()["email"]),
        (200, &json!("ana@example.com"))
    );
    assert_eq!(made.status.as_u16(), 201, "{:?}", made.json());
    let link = made.json()["download_url"].as_str().unwrap().to_owned();
    let file = fleet
        .blobs
        .follow(&link, ports::clock::Clock::now(&*fleet.clock))
        .unwrap();
    assert!(file.blob.bytes.starts_with(b"%PDF-"));
    fleet.clock.advance(Duration::from_secs(15 * 60 + 1));
    assert!(
        fleet
            .blobs
            .follow(&link, ports::clock::Clock::now(&*fleet.clock))
            .is_err()
    );
}

#[tokio::test]
async fn an_invoice_is_marked_put_together_and_locked() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    let made = fleet.post("/v1/documents", Some(&ana), &invoice()).await;
    let path = |document: &Value| format!("/v1/documents/{}", document["id"].as_str().unwrap());
    let first = made.json();

    let mark = format!("{}/watermark", path(&first));
    let marked = fleet
        .post(&mark, Some(&ana), &json!({"text": "Copia"}))
        .await;
    let merge = format!("{}/merge", path(&marked.json()));
    let with = json!({"with": [first["id"]]});
    let merged = fleet.post(&merge, Some(&ana), &with).await;
    let encrypt = format!("{}/encrypt", path(&merged.json()));
    let password = json!({"user_password": "correct horse"});
    let locked = fleet.post(&encrypt, Some(&ana), &password).await;

    assert_eq!(marked.status.as_u16(), 201, "{:?}", marked.json());
    assert_eq!(merged.status.as_u16(), 201, "{:?}", merged.json());
    assert_eq!(locked.status.as_u16(), 201, "{:?}", locked.json());
    assert_eq!(marked.json()["conformance"], first["conformance"]);
    assert_eq!(locked.json()["conformance"], Value::Null);
    let events = fleet.publish().await;
    let rendered = events
        .iter()
        .filter(|event| event.event.name() == "documents.rendered");
    assert_eq!(rendered.count(), 4);
}

#[tokio::test]
async fn what_happened_is_announced_once_and_in_order() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    fleet.get("/v1/users/me", Some(&ana)).await;
    fleet.post("/v1/documents", Some(&ana), &invoice()).await;

    let names: Vec<&str> = fleet
        .publish()
        .await
        .iter()
        .map(|e| e.event.name())
        .collect();

    assert_eq!(
        names,
        [
            "auth.user_signed_up",
            "auth.user_confirmed",
            "users.created",
            "documents.rendered"
        ]
    );
}

#[tokio::test]
async fn events_that_come_twice_and_backwards_make_one_profile() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    let mut events = fleet.publish().await;
    events.reverse();

    fleet.deliver(&events).await;
    fleet.deliver(&events).await;
    fleet.get("/v1/users/me", Some(&ana)).await;

    let made = fleet.publish().await;
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0].event.name(), "users.created");
}

#[tokio::test]
async fn another_tenants_document_does_not_exist() {
    let fleet = Fleet::new();
    let (ana, eve) = (
        fleet.person("ana@example.com").await,
        fleet.person("eve@example.com").await,
    );
    let made = fleet
        .post("/v1/documents", Some(&ana), &invoice())
        .await
        .json();
    let path = format!("/v1/documents/{}", made["id"].as_str().unwrap());

    for call in [
        Call::get(&path),
        Call::get(&format!("{path}/download")),
        Call::new("DELETE", &path),
    ] {
        let seen = fleet
            .send(call.header("authorization", &eve.bearer()))
            .await;
        assert_eq!(seen.code().as_deref(), Some("not_found"));
    }
    assert_eq!(fleet.get(&path, Some(&ana)).await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_document_that_was_cut_off_anywhere_is_made_once_by_its_retry() {
    // Reading the brand, writing the row, and looking for it when the write seems to have failed.
    for calls in [&[0][..], &[1], &[1, 2]] {
        for fault in [Fault::Before, Fault::After] {
            let fleet = Fleet::new();
            let ana = fleet.person("ana@example.com").await;
            let request = || {
                let call =
                    Call::post("/v1/documents", &invoice()).header("idempotency-key", "invoice-1");
                call.header("authorization", &ana.bearer())
            };
            for call in calls {
                fleet.documents_table.faults().fail_call(*call, fault);
            }

            fleet.send(request()).await;
            fleet.clock.advance(Duration::from_mins(1));
            let again = fleet.send(request()).await;

            assert_eq!(
                again.status.as_u16(),
                201,
                "{fault:?} at {calls:?}: {:?}",
                again.json()
            );
            let listed = fleet.get("/v1/documents", Some(&ana)).await.json();
            assert_eq!(
                listed["items"].as_array().unwrap().len(),
                1,
                "{fault:?} at {calls:?}"
            );
            let rendered: Vec<_> = fleet
                .publish()
                .await
                .into_iter()
                .filter(|e| e.event.name() == "documents.rendered")
                .collect();
            assert_eq!(rendered.len(), 1, "{fault:?} at {calls:?}");
        }
    }
}

#[tokio::test]
async fn a_file_is_sent_to_the_store_looked_at_and_downloaded() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    let octets = b"some text";
    let sha256 = ring::digest::digest(&ring::digest::SHA256, octets);
    let new = json!({
        "name": "notas.txt", "bytes": octets.len(), "content_type": "text/plain",
        "sha256": data_encoding::HEXLOWER.encode(sha256.as_ref()),
    });

    let started = fleet.post("/v1/files/uploads", Some(&ana), &new).await;
    assert_eq!(started.status.as_u16(), 201, "{}", started.json());
    let started = started.json();
    let headers = serde_json::from_value(started["upload"]["headers"].clone()).unwrap();
    let url = started["upload"]["url"].as_str().unwrap();
    assert_eq!(fleet.files_blobs.receive(url, &headers, octets), Ok(()));
    let key = fleet.files_blobs.keys().remove(0);
    let record = json!({"eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}});
    let message = json!({"Records": [record]}).to_string();
    fleet.deliver_files(&message).await;
    fleet.deliver_files(&message).await;

    let path = format!("/v1/files/{}/download", started["id"].as_str().unwrap());
    let link = fleet.get(&path, Some(&ana)).await.json();
    let now = ports::clock::Clock::now(&*fleet.clock);
    let download = fleet
        .files_blobs
        .follow(link["download_url"].as_str().unwrap(), now)
        .unwrap();
    assert_eq!(download.blob.bytes, octets);
    let events = fleet.publish().await;
    let names: Vec<&str> = events.iter().map(|event| event.event.name()).collect();
    assert_eq!(
        names[names.len() - 2..],
        ["files.uploaded", "files.scanned"]
    );
}

#[tokio::test]
async fn a_text_is_streamed_to_its_channel_within_a_budget_and_announced() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    let body = json!({"prompt": "Una frase", "stream": true, "max_tokens": 100});
    let without = fleet.post("/v1/content/generate", Some(&ana), &body).await;
    assert_eq!(without.code().as_deref(), Some("no_model_configured"));
    let provider = models::testing::Provider::start();
    fleet.name_models(&json!([{
        "name": "small", "base_url": provider.base_url(), "model": "small",
        "price": {"input_micros_per_million": 1_000_000, "output_micros_per_million": 1_000_000},
    }]));
    fleet.clock.advance(Duration::from_secs(5));
    fleet.publish().await;

    let taken = fleet.post("/v1/content/generate", Some(&ana), &body).await;
    fleet.stream_content().await;

    assert_eq!(taken.status.as_u16(), 202, "{}", taken.json());
    let path = format!("/v1/content/{}", taken.json()["id"].as_str().unwrap());
    let view = fleet.get(&path, Some(&ana)).await.json();
    assert_eq!(view["status"], "done", "{view}");
    let id = view["id"].as_str().unwrap().parse().unwrap();
    let me = fleet.get("/v1/users/me", Some(&ana)).await.json();
    let organisation = me["organisation"].as_str().unwrap().parse().unwrap();
    let channel = Channel::content(organisation, id);
    let told = fleet.channels.since(&channel, 0, 100).await.unwrap();
    assert_eq!(told.frames.last().unwrap().1.kind, "content.done");
    let names: Vec<&str> = fleet
        .publish()
        .await
        .iter()
        .map(|e| e.event.name())
        .collect();
    assert!(names.contains(&"content.generated"), "{names:?}");
}

#[tokio::test]
async fn a_brief_for_two_recipients_is_written_once_and_becomes_two_letters() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    let provider = models::testing::Provider::start();
    provider.says(
        "small",
        &[(
            r#"{"subject": "We move", "paragraphs": ["In January."], "closing": "Yours,"}"#,
            "stop",
        )],
    );
    fleet.name_models(
        &json!([{"name": "small", "base_url": provider.base_url(), "model": "small",
        "price": {"input_micros_per_million": 1_000_000, "output_micros_per_million": 1_000_000}}]),
    );
    let reader = |name: &str| json!({"recipient": {"name": name, "address": ["2 Low Street"]}});
    let body = json!({
        "template": "letter", "brief": "The office moves in January", "locale": "en",
        "data": {
            "date": "2026-01-02", "signature": {"name": "Ana"},
            "sender": {"name": "Sender Ltd", "address": ["1 High Street"]},
        },
        "recipients": [reader("One Ltd"), reader("Two Ltd")],
    });

    let taken = fleet.post("/v1/documents/drafts", Some(&ana), &body).await;
    fleet.settle().await;

    assert_eq!(taken.status.as_u16(), 202, "{}", taken.json());
    let path = format!(
        "/v1/documents/drafts/{}",
        taken.json()["id"].as_str().unwrap()
    );
    let draft = fleet.get(&path, Some(&ana)).await.json();
    assert_eq!(draft["status"], "ready", "{draft}");
    let batch = format!("/v1/document-batches/{}", draft["batch"].as_str().unwrap());
    let batch = fleet.get(&batch, Some(&ana)).await.json();
    assert_eq!(
        [&batch["status"], &batch["ready"]],
        [&json!("done"), &json!(2)]
    );
    assert_eq!(provider.asked("small"), 1);
}

#[tokio::test]
async fn texts_are_read_by_a_job_that_tells_how_far_it_is_and_is_announced() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    fleet.publish().await;
    let texts = ["El pan de la casa es muy bueno.", "The bread is very good."];
    let new = json!({"task": "language", "input": {"texts": texts}});

    let taken = fleet.post("/v1/ai/jobs", Some(&ana), &new).await;
    fleet.read_texts().await;

    assert_eq!(taken.status.as_u16(), 202, "{}", taken.json());
    let path = format!("/v1/ai/jobs/{}", taken.json()["id"].as_str().unwrap());
    let view = fleet.get(&path, Some(&ana)).await.json();
    assert_eq!(
        [&view["status"], &view["done"]],
        [&json!("done"), &json!(2)]
    );
    let items = fleet.get(&format!("{path}/items"), Some(&ana)).await.json();
    let language = |n: usize| items["items"][n]["result"]["language"].clone();
    assert_eq!([language(0), language(1)], ["es", "en"], "{items}");
    let me = fleet.get("/v1/users/me", Some(&ana)).await.json();
    let organisation = me["organisation"].as_str().unwrap().parse().unwrap();
    let channel = Channel::job(organisation, view["id"].as_str().unwrap().parse().unwrap());
    let told = fleet.channels.since(&channel, 0, 100).await.unwrap();
    let kinds: Vec<&str> = told.frames.iter().map(|(_, frame)| &*frame.kind).collect();
    assert_eq!(kinds, ["ai.job_progress", "ai.done"]);
    let events = fleet.publish().await;
    let names = events.iter().map(|event| event.event.name());
    let of_jobs: Vec<&str> = names.filter(|name| name.starts_with("ai.")).collect();
    assert_eq!(of_jobs, ["ai.job_done"]);
}

#[tokio::test]
async fn an_invoice_that_the_fleet_made_is_found_again_and_answers_a_question() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    fleet.publish().await;
    let mut collection = Vec::new();
    for format in ["pdf", "docx"] {
        let order = json!({"format": format, "template": "invoice", "data": invoice()["data"]});
        let made = fleet.post("/v1/documents", Some(&ana), &order).await.json();
        let link = made["download_url"].as_str().unwrap();
        let file = fleet
            .blobs
            .follow(link, ports::clock::Clock::now(&*fleet.clock))
            .unwrap()
            .blob;
        let new = json!({"name": format, "embedding": false});
        let made = fleet
            .post("/v1/ai/collections", Some(&ana), &new)
            .await
            .json();
        let path = format!(
            "/v1/ai/collections/{}/documents",
            made["id"].as_str().unwrap()
        );
        let sent = json!({
            "title": "Factura", "media_type": file.content_type, "file": BASE64.encode(&file.bytes),
        });
        let added = fleet.post(&path, Some(&ana), &sent).await;
        assert_eq!(added.status.as_u16(), 202, "{}", added.json());
        collection.push(made["id"].clone());
    }
    fleet.read_texts().await;
    let events = fleet.publish().await;
    let names = events.iter().map(|event| event.event.name());
    let ready: Vec<&str> = names.filter(|name| name.starts_with("ai.")).collect();
    assert_eq!(ready, ["ai.document_ready"; 2]);

    for id in &collection {
        let query = json!({"collection_ids": [id], "query": "consultoría técnica"});
        let found = fleet.post("/v1/ai/search", Some(&ana), &query).await.json();
        let words = found["items"][0]["text"].as_str().unwrap();
        assert!(words.contains("Consultoría técnica"), "{found}");
    }
    let provider = models::testing::Provider::start();
    fleet.name_models(&json!([{
        "name": "small", "base_url": provider.base_url(), "model": "small",
        "price": {"input_micros_per_million": 1_000_000, "output_micros_per_million": 1_000_000},
    }]));
    fleet.clock.advance(Duration::from_secs(5));
    let said = json!({"answer": "Sí.", "citations": [{"passage": 1, "quote": "Factura"}]});
    provider.says("small", &[(&said.to_string(), "stop")]);
    let question =
        json!({"collection_ids": collection, "question": "¿Es una factura?", "min_relevance": 0.1});
    let answer = fleet.post("/v1/ai/ask", Some(&ana), &question).await.json();
    assert_eq!(answer["answer"], "Sí.", "{answer}");
    let cited = answer["citations"][0]["text"].as_str().unwrap();
    assert_eq!(cited.to_lowercase(), "factura");
}

#[tokio::test]
async fn a_batch_is_made_by_its_events_and_orders() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    let mut bad = invoice()["data"].clone();
    bad["lines"][0]["quantity"] = json!(0);
    let rows = vec![invoice()["data"].clone(), bad, invoice()["data"].clone()];
    let new = json!({"template": "invoice", "format": "pdf", "rows": rows});

    let taken = fleet.post("/v1/document-batches", Some(&ana), &new).await;
    fleet.settle().await;

    assert_eq!(taken.status.as_u16(), 202, "{:?}", taken.json());
    let path = format!(
        "/v1/document-batches/{}",
        taken.json()["id"].as_str().unwrap()
    );
    let batch = fleet.get(&path, Some(&ana)).await.json();
    assert_eq!(
        [&batch["status"], &batch["ready"], &batch["failed"]],
        [&json!("done"), &json!(2), &json!(1)]
    );
    let made = fleet
        .get(&format!("{path}/documents"), Some(&ana))
        .await
        .json();
    let document = format!("/v1/documents/{}", made["items"][1]["id"].as_str().unwrap());
    assert_eq!(
        fleet.get(&document, Some(&ana)).await.json()["status"],
        "ready"
    );
    let link = batch["zip_url"].as_str().unwrap();
    let file = fleet
        .blobs
        .follow(link, ports::clock::Clock::now(&*fleet.clock))
        .unwrap();
    assert!(file.blob.bytes.starts_with(b"PK"));
}

#[tokio::test]
async fn a_signed_out_session_is_dead_within_five_seconds() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    assert_eq!(
        fleet.get("/v1/users/me", Some(&ana)).await.status.as_u16(),
        200
    );

    fleet
        .post("/v1/auth/logout?scope=global", Some(&ana), &json!({}))
        .await;
    fleet.clock.advance(Duration::from_secs(5));

    let refused = fleet.get("/v1/users/me", Some(&ana)).await;
    assert_eq!(refused.code().as_deref(), Some("session_revoked"));
}

/// Every role against every route: allowed exactly where its permissions say so, and never without a token.
#[tokio::test]
async fn each_role_reaches_its_routes_and_no_other() {
    let fleet = Fleet::new();
    let routers: Vec<_> = fleet.apis().iter().map(runtime::Api::router).collect();
    for (route, rule) in access() {
        let (method, path) = route.split_once(' ').unwrap();
        let call = Call::new(method, path).json(&Value::Null);
        let needs = match rule {
            Access::Public => continue,
            Access::Needs(needs) | Access::NeedsPerson(needs) => needs,
        };
        for platform in PlatformRole::ALL {
            for organisation in OrganisationRole::ALL.map(Some).into_iter().chain([None]) {
                let caller = domain::Caller::new(
                    "usr_00000000000000000000000000000001".parse().unwrap(),
                    "org_00000000000000000000000000000002".parse().unwrap(),
                    "ses_00000000000000000000000000000003".parse().unwrap(),
                    platform,
                    organisation,
                );
                let allowed = needs.iter().all(|need| caller.may(need));
                let mut denied = false;
                for router in &routers {
                    let code = call.clone().by(&caller).send(router).await.code();
                    denied |= code.as_deref() == Some("permission_denied");
                }
                assert_eq!(denied, !allowed, "{route} by {platform:?} {organisation:?}");
            }
        }
        for router in &routers {
            let status = call.send(router).await.status.as_u16();
            assert!(
                status == 401 || status == 404,
                "{route} without a token gave {status}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_told_reaches_its_organisation_and_a_reconnection_loses_nothing() {
    let fleet = Fleet::new();
    let (ana, eve) = (
        fleet.person("ana@example.com").await,
        fleet.person("eve@example.com").await,
    );
    let me = fleet.get("/v1/users/me", Some(&ana)).await.json();
    let organisation = me["organisation"].as_str().unwrap().parse().unwrap();
    let content = "con_00000000000000000000000000000009";
    let channel = Channel::content(organisation, content.parse().unwrap());
    let name = format!("content:{content}");
    let tell = async |text: &str| {
        let frame = Frame::new("content.delta", json!({ "text": text }));
        fleet.channels.publish(&channel, vec![frame]).await.unwrap()
    };
    let subscribe = json!({"action": "subscribe", "channels": [name]});
    fleet.open("ana-1", &ana).await;
    fleet.open("eve-1", &eve).await;
    fleet.say("ana-1", &subscribe).await;
    fleet.say("eve-1", &subscribe).await;

    tell("uno").await;
    let seen = fleet.heard("ana-1");
    fleet.sockets.vanish("ana-1");
    tell("dos").await;
    fleet.open("ana-2", &ana).await;
    let back = json!({"action": "subscribe", "channels": [name], "since": seen[0]["cursor"]});
    let mut frames = fleet.say("ana-2", &back).await.split_off(1);
    tell("tres").await;
    frames.extend(fleet.heard("ana-2"));

    let texts: Vec<&Value> = seen
        .iter()
        .chain(&frames)
        .map(|f| &f["data"]["text"])
        .collect();
    assert_eq!(texts, ["uno", "dos", "tres"]);
    assert_eq!(fleet.heard("eve-1"), [Value::Null; 0]);
}

#[tokio::test]
async fn an_organisation_makes_documents_with_a_template_of_its_own() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    let eva = fleet.person("eva@example.com").await;
    for person in [&ana, &eva] {
        fleet.get("/v1/users/me", Some(person)).await;
    }
    fleet.publish().await;

    let made = fleet
        .post("/v1/document-templates", Some(&ana), &own_template())
        .await;
    assert_eq!(made.status.as_u16(), 201, "{:?}", made.json());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let live = format!("/v1/document-templates/{id}/aliases/live");
    let published = fleet
        .send(
            Call::new("PUT", &live)
                .json(&json!({ "version": 1 }))
                .header("authorization", &ana.bearer()),
        )
        .await;
    let order = json!({ "template": id, "data": { "number": "A-1" } });
    let document = fleet.post("/v1/documents", Some(&ana), &order).await;
    let stranger = fleet.post("/v1/documents", Some(&eva), &order).await;

    assert_eq!(
        (published.status.as_u16(), &published.json()["live"]),
        (200, &json!(1))
    );
    assert_eq!(document.status.as_u16(), 201, "{:?}", document.json());
    assert_eq!(stranger.json()["errors"][0]["pointer"], "/template");
    let names: Vec<&str> = fleet
        .publish()
        .await
        .iter()
        .map(|envelope| envelope.event.name())
        .collect();
    assert_eq!(
        names,
        [
            "documents.template_version_added",
            "documents.template_published",
            "documents.rendered",
        ]
    );
}

/// A key with every permission that a key may have, against every route: what is for people stays shut.
#[tokio::test]
async fn a_key_reaches_what_is_open_to_keys_and_no_other() {
    let fleet = Fleet::new();
    let routers: Vec<_> = fleet.apis().iter().map(runtime::Api::router).collect();
    let everything = domain::role::permissions(PlatformRole::Admin, Some(OrganisationRole::Owner));
    let key = domain::Caller::with_key(
        "usr_00000000000000000000000000000001".parse().unwrap(),
        "org_00000000000000000000000000000002".parse().unwrap(),
        "key_00000000000000000000000000000003".parse().unwrap(),
        &everything,
        PlatformRole::Admin,
        OrganisationRole::Owner,
    );
    let mut for_people = Vec::new();
    for (route, rule) in access() {
        let (method, path) = route.split_once(' ').unwrap();
        let call = Call::new(method, path).json(&Value::Null).by(&key);
        let mut codes = Vec::new();
        for router in &routers {
            codes.extend(call.send(router).await.code());
        }
        let expected = match &rule {
            Access::NeedsPerson(_) => Some("person_required"),
            Access::Needs(needs) if needs.iter().any(|need| !key.may(need)) => {
                Some("permission_denied")
            }
            Access::Public | Access::Needs(_) => None,
        };
        for code in ["person_required", "permission_denied"] {
            assert_eq!(
                codes.iter().any(|known| known == code),
                expected == Some(code),
                "{route}: {codes:?}"
            );
        }
        if expected.is_some() {
            for_people.push(route);
        }
    }
    for route in [
        "POST /v1/api-keys",
        "POST /v1/auth/logout",
        "PATCH /v1/users/me",
    ] {
        assert!(for_people.iter().any(|known| known == route), "{route}");
    }
}

#[tokio::test]
async fn a_program_makes_documents_with_its_key_until_the_key_is_revoked() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    let wanted = json!({"name": "CI", "permissions": ["documents:create", "documents:read"]});
    let made = fleet.post("/v1/api-keys", Some(&ana), &wanted).await.json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let with_key = |call: Call| call.header("x-api-key", key);
    let path = format!("/v1/api-keys/{id}");

    let document = fleet
        .send(with_key(Call::post("/v1/documents", &invoice())))
        .await;
    let deleted = fleet
        .send(with_key(Call::new(
            "DELETE",
            &format!("/v1/documents/{}", document.json()["id"].as_str().unwrap()),
        )))
        .await;
    let keys = fleet.send(with_key(Call::get("/v1/api-keys"))).await;
    let whoami = fleet
        .send(Call::get("/v1/api-keys/whoami").header("authorization", &format!("Bearer {key}")))
        .await;
    let seen = fleet.get("/v1/documents", Some(&ana)).await.json();
    let used = fleet.get(&path, Some(&ana)).await.json()["last_used_at"].clone();

    assert_eq!(document.status.as_u16(), 201, "{:?}", document.json());
    assert_eq!(deleted.code().as_deref(), Some("permission_denied"));
    assert_eq!(keys.code().as_deref(), Some("person_required"));
    assert_eq!(whoami.json()["id"], id);
    assert_eq!(seen["items"][0]["id"], document.json()["id"]);
    assert_eq!(used, json!("2026-01-02T03:00:00Z"));
    let revoke = Call::new("DELETE", &path).header("authorization", &ana.bearer());
    assert_eq!(fleet.send(revoke).await.status.as_u16(), 204);
    fleet.clock.advance(Duration::from_secs(5));
    let refused = fleet
        .send(with_key(Call::post("/v1/documents", &invoice())))
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_deref()),
        (401, Some("api_key_invalid"))
    );
    let names: Vec<_> = fleet
        .publish()
        .await
        .iter()
        .map(|e| e.event.name())
        .collect();
    assert!(names.contains(&"auth.api_key_created") && names.contains(&"auth.api_key_revoked"));
    assert!(!names.contains(&"documents.deleted"));
}

/// One repeats the other's request with the same `Idempotency-Key`: each gets their own.
#[tokio::test]
async fn a_key_and_its_maker_repeat_only_their_own_requests() {
    let fleet = Fleet::new();
    let ana = fleet.person("ana@example.com").await;
    let wanted = json!({"name": "CI", "permissions": ["documents:create"]});
    let made = fleet.post("/v1/api-keys", Some(&ana), &wanted).await.json();
    let request = || Call::post("/v1/documents", &invoice()).header("idempotency-key", "k-1");

    let by_ana = fleet
        .send(request().header("authorization", &ana.bearer()))
        .await;
    let by_key = fleet
        .send(request().header("x-api-key", made["key"].as_str().unwrap()))
        .await;

    assert_eq!((by_ana.status.as_u16(), by_key.status.as_u16()), (201, 201));
    assert_ne!(by_ana.json()["id"], by_key.json()["id"]);
}
