//! Stories over HTTP against the running local cloud: real binaries, real policies.

use std::time::Duration;

use journeys::cloud::{Cloud, Socket, invoice, own_template};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test]
async fn a_stranger_signs_up_and_opens_an_invoice() {
    let cloud = Cloud::running();
    let ana = cloud.person("ana").await;

    let me = cloud.get("/v1/users/me", Some(&ana.access)).await;
    let made = cloud
        .post("/v1/documents", Some(&ana.access), &invoice())
        .await;

    assert_eq!(me.body["email"], ana.email);
    assert_eq!(me.body["locale"], "es");
    assert_eq!(me.body["roles"], json!(["user", "owner"]));
    assert_eq!(
        (made.status, &made.body["status"]),
        (StatusCode::CREATED, &json!("ready")),
        "{:?}",
        made.body
    );
    let (status, pdf) = cloud
        .follow(made.body["download_url"].as_str().unwrap())
        .await;
    assert_eq!(status, StatusCode::OK);
    assert!(pdf.starts_with(b"%PDF-"));
    assert_eq!(json!(pdf.len()), made.body["bytes"]);
    let id = made.body["id"].as_str().unwrap();
    let read = cloud
        .get(&format!("/v1/documents/{id}"), Some(&ana.access))
        .await;
    assert_eq!(read.body["sha256"], made.body["sha256"]);
}

#[tokio::test]
async fn the_profile_is_made_by_the_event_too() {
    let cloud = Cloud::running();
    let ana = cloud.person("evento").await;

    let organisations = cloud
        .wait_for("organisation", async || {
            let listed = cloud.get("/v1/orgs", Some(&ana.access)).await;
            let items = listed.body["items"].as_array()?.clone();
            (!items.is_empty()).then_some(items)
        })
        .await;

    assert_eq!(organisations.len(), 1);
    assert_eq!(
        (&organisations[0]["role"], &organisations[0]["personal"]),
        (&json!("owner"), &json!(true))
    );
}

#[tokio::test]
async fn what_is_wrong_gets_its_documented_problem() {
    let cloud = Cloud::running();
    let ana = cloud.person("mal").await;
    let token = Some(ana.access.as_str());
    let mut tampered = ana.access.clone();
    let middle = tampered.len() / 2;
    tampered.replace_range(
        middle..=middle,
        if &tampered[middle..=middle] == "A" {
            "B"
        } else {
            "A"
        },
    );
    let wrong = json!({"email": ana.email, "password": "Wrong-Horse-7-Battery"});
    let mut unknown_field = invoice();
    unknown_field["colour"] = json!("red");
    let mut bad_data = invoice();
    bad_data["data"]["lines"][0]["quantity"] = json!("many");

    for (answer, refusal) in [
        (
            cloud.post("/v1/auth/login", None, &wrong).await,
            (401, "invalid_credentials"),
        ),
        (
            cloud.get("/v1/users/me", None).await,
            (401, "token_missing"),
        ),
        (
            cloud.get("/v1/users/me", Some(&tampered)).await,
            (401, "token_invalid"),
        ),
        (
            cloud.get("/v1/users/me", Some("rubbish")).await,
            (401, "token_invalid"),
        ),
        (
            cloud.post("/v1/documents", token, &unknown_field).await,
            (400, "body_invalid"),
        ),
        (
            cloud.post("/v1/documents", token, &bad_data).await,
            (422, "validation_failed"),
        ),
        (
            cloud
                .get("/v1/documents/doc_00000000000000000000000000000000", token)
                .await,
            (404, "not_found"),
        ),
        (cloud.get("/v1/nothing", token).await, (404, "not_found")),
    ] {
        assert_eq!(answer.refusal(), refusal, "{:?}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(
            answer.headers["x-request-id"].to_str().unwrap(),
            answer.body["request_id"].as_str().unwrap()
        );
    }
    let broken = cloud
        .request(Method::POST, "/v1/documents")
        .bearer_auth(&ana.access);
    let broken = broken
        .header("content-type", "application/json")
        .body("{\"template\": ");
    assert_eq!(cloud.send(broken).await.refusal(), (400, "body_invalid"));
}

#[tokio::test]
async fn a_wrong_code_confirms_nobody() {
    let cloud = Cloud::running();
    let email = format!("codigo-{}@example.com", std::process::id());
    let new =
        json!({"email": email, "password": "Correct-Horse-7-Battery", "name": "C", "locale": "en"});
    cloud.post("/v1/auth/signup", None, &new).await;

    let refused = cloud
        .post(
            "/v1/auth/confirm",
            None,
            &json!({"email": email, "code": "000000"}),
        )
        .await;

    assert_eq!(refused.status.as_u16() / 100, 4, "{:?}", refused.body);
    assert!(refused.body["code"].is_string());
}

#[tokio::test]
async fn another_persons_document_does_not_exist() {
    let cloud = Cloud::running();
    let (ana, eve) = (cloud.person("ana").await, cloud.person("eve").await);
    let made = cloud
        .post("/v1/documents", Some(&ana.access), &invoice())
        .await;
    let path = format!("/v1/documents/{}", made.body["id"].as_str().unwrap());

    let seen = cloud.get(&path, Some(&eve.access)).await;
    let deleted = cloud
        .send(
            cloud
                .request(Method::DELETE, &path)
                .bearer_auth(&eve.access),
        )
        .await;

    assert_eq!(seen.refusal(), (404, "not_found"));
    assert_eq!(deleted.refusal(), (404, "not_found"));
    assert_eq!(
        cloud.get(&path, Some(&ana.access)).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_key_makes_one_document_and_refuses_another_body() {
    let cloud = Cloud::running();
    let ana = cloud.person("clave").await;
    let send = async |body: &Value| {
        let request = cloud
            .request(Method::POST, "/v1/documents")
            .bearer_auth(&ana.access);
        cloud
            .send(request.header("idempotency-key", "invoice-1").json(body))
            .await
    };
    let mut other = invoice();
    other["data"]["number"] = json!("2026-999");

    let (first, again, reused) = (
        send(&invoice()).await,
        send(&invoice()).await,
        send(&other).await,
    );

    assert_eq!(first.body["id"], again.body["id"]);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(reused.refusal(), (422, "idempotency_key_reused"));
}

#[tokio::test]
async fn a_session_that_was_ended_is_dead_within_five_seconds() {
    let cloud = Cloud::running();
    let ana = cloud.person("adios").await;
    assert_eq!(
        cloud.get("/v1/users/me", Some(&ana.access)).await.status,
        StatusCode::OK
    );

    let out = cloud
        .request(Method::POST, "/v1/auth/logout?scope=local")
        .bearer_auth(&ana.access);
    assert_eq!(cloud.send(out).await.status, StatusCode::NO_CONTENT);

    let dead = async || {
        let answer = cloud.get("/v1/users/me", Some(&ana.access)).await;
        (answer.refusal() == (401, "session_revoked")).then_some(())
    };
    let waited = tokio::time::timeout(Duration::from_secs(6), cloud.wait_for("end", dead)).await;
    assert!(waited.is_ok(), "the session was alive after 6 s");
    let refreshed = cloud
        .post(
            "/v1/auth/token/refresh",
            None,
            &json!({"refresh_token": ana.refresh}),
        )
        .await;
    assert_eq!(refreshed.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next() {
    let cloud = Cloud::running();
    let ana = cloud.person("rota").await;

    let next = cloud
        .post(
            "/v1/auth/token/refresh",
            None,
            &json!({"refresh_token": ana.refresh}),
        )
        .await;

    assert_eq!(next.status, StatusCode::OK, "{:?}", next.body);
    assert_ne!(next.body["refresh_token"], json!(ana.refresh));
    let access = next.body["access_token"].as_str().unwrap();
    assert_eq!(
        cloud.get("/v1/users/me", Some(access)).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn the_description_and_its_page_are_served() {
    let cloud = Cloud::running();

    let description = cloud.get("/v1/openapi.json", None).await;
    let (status, page) = cloud
        .follow(&format!("{}/docs/index.html", cloud.api_url))
        .await;

    assert!(
        description.body["openapi"]
            .as_str()
            .unwrap()
            .starts_with("3.1")
    );
    assert_eq!(status, StatusCode::OK);
    assert!(String::from_utf8(page).unwrap().contains("swagger-ui"));
}

#[tokio::test]
async fn functions_killed_in_the_middle_lose_and_double_nothing() {
    let cloud = Cloud::running();
    let ana = cloud.person("muerte").await;
    let wanted = 6;

    for n in 0..wanted {
        // The request and the killing race; whoever wins, the caller repeats until it is answered.
        let made = cloud.wait_for("document", async || {
            let request = cloud
                .request(Method::POST, "/v1/documents")
                .bearer_auth(&ana.access);
            let answer = cloud
                .send(
                    request
                        .header("idempotency-key", format!("k{n}"))
                        .json(&invoice()),
                )
                .await;
            (answer.status == StatusCode::CREATED).then_some(())
        });
        let killing = async {
            tokio::time::sleep(Duration::from_millis(7 * n as u64)).await;
            cloud.kill_one("documents-api");
        };
        tokio::join!(made, killing);
    }

    let listed = cloud
        .get("/v1/documents?limit=100", Some(&ana.access))
        .await;
    assert_eq!(
        listed.body["items"].as_array().unwrap().len(),
        wanted,
        "{:?}",
        listed.body
    );
}

/// What a caller says of a file before sending it.
fn agreement(name: &str, content_type: &str, octets: &[u8]) -> Value {
    let sha256 = ring::digest::digest(&ring::digest::SHA256, octets);
    json!({
        "name": name, "bytes": octets.len(), "content_type": content_type,
        "sha256": data_encoding::HEXLOWER.encode(sha256.as_ref()),
    })
}

/// Waits until a file is no longer on its way.
async fn judged(cloud: &Cloud, token: &str, id: &str) -> String {
    cloud
        .wait_for("verdict", async || {
            let file = cloud.get(&format!("/v1/files/{id}"), Some(token)).await;
            let status = file.body["status"].as_str()?.to_owned();
            (!["uploading", "pending"].contains(&status.as_str())).then_some(status)
        })
        .await
}

#[tokio::test]
async fn a_file_goes_straight_to_the_store_and_comes_back_when_it_is_clean() {
    let cloud = Cloud::running();
    let ana = cloud.person("archivo").await;
    let token = Some(ana.access.as_str());
    let octets = "año 2026, exactamente esto\n".as_bytes();
    let new = agreement("informe \"año\".txt", "text/plain", octets);
    let started = cloud.post("/v1/files/uploads", token, &new).await;
    assert_eq!(started.status, StatusCode::CREATED, "{:?}", started.body);
    let (id, upload) = (
        started.body["id"].as_str().unwrap(),
        &started.body["upload"],
    );
    let mut html = upload.clone();
    html["headers"]["content-type"] = json!("text/html");
    let mut other = octets.to_vec();
    other[0] ^= 1;

    for (upload, octets, status) in [
        (upload, &octets[..5], StatusCode::FORBIDDEN),
        (upload, &[octets, b"more"].concat(), StatusCode::FORBIDDEN),
        (&html, octets, StatusCode::FORBIDDEN),
        (upload, &other, StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(cloud.send_octets(upload, octets).await, status);
    }
    let early = cloud.get(&format!("/v1/files/{id}/download"), token).await;
    assert_eq!(early.refusal(), (409, "file_not_clean"));
    assert_eq!(cloud.send_octets(upload, octets).await, StatusCode::OK);

    assert_eq!(judged(&cloud, &ana.access, id).await, "clean");
    let link = cloud.get(&format!("/v1/files/{id}/download"), token).await;
    let (status, body) = cloud
        .follow(link.body["download_url"].as_str().unwrap())
        .await;
    assert_eq!((status, body.as_slice()), (StatusCode::OK, octets));
    let usage = cloud.get("/v1/files/usage", token).await;
    assert_eq!(
        (&usage.body["bytes"], &usage.body["reserved"]),
        (&json!(octets.len()), &json!(0))
    );
}

#[tokio::test]
async fn a_harmful_file_is_never_handed_out() {
    let cloud = Cloud::running();
    let ana = cloud.person("eicar").await;
    let token = Some(ana.access.as_str());
    let octets = files::scan::Signatures::test_file();
    let new = agreement("harmless.txt", "text/plain", &octets);
    let started = cloud.post("/v1/files/uploads", token, &new).await;
    let id = started.body["id"].as_str().unwrap();
    let sent = cloud.send_octets(&started.body["upload"], &octets).await;
    assert_eq!(sent, StatusCode::OK);

    assert_eq!(judged(&cloud, &ana.access, id).await, "infected");

    let link = cloud.get(&format!("/v1/files/{id}/download"), token).await;
    assert_eq!(link.refusal(), (409, "file_not_clean"));
}

#[tokio::test]
async fn a_file_in_parts_is_copied_deleted_and_given_up() {
    let cloud = Cloud::running();
    let ana = cloud.person("partes").await;
    let token = Some(ana.access.as_str());
    let octets: Vec<u8> = b"some text\n"
        .iter()
        .copied()
        .cycle()
        .take(10_000_001)
        .collect();
    let mut new = agreement("large.txt", "text/plain", &octets);
    new["parts"] = json!(2);
    let refused = cloud.post("/v1/files/uploads", token, &new).await;
    assert_eq!(
        refused.refusal(),
        (422, "validation_failed"),
        "parts of less than 5 MiB"
    );
    let octets: Vec<u8> = octets.iter().copied().cycle().take(10_485_759).collect();
    let mut new = agreement("large.txt", "text/plain", &octets);
    new["parts"] = json!(2);
    let started = cloud.post("/v1/files/uploads", token, &new).await;
    let id = started.body["id"].as_str().unwrap();
    let upload = format!("/v1/files/uploads/{id}");
    let each = usize::try_from(started.body["parts"]["bytes"].as_u64().unwrap()).unwrap();

    for (number, part) in octets.chunks(each).enumerate().rev() {
        let early = cloud
            .post(&format!("{upload}/complete"), token, &json!({}))
            .await;
        assert_eq!(early.refusal(), (409, "upload_incomplete"));
        let sha256 = agreement("", "", part)["sha256"].clone();
        let wanted = json!({"parts": [{"number": number + 1, "sha256": sha256}]});
        let signed = cloud.post(&format!("{upload}/parts"), token, &wanted).await;
        assert_eq!(signed.status, StatusCode::OK, "{:?}", signed.body);
        let ticket = &signed.body["items"][0]["upload"];
        assert_eq!(
            cloud.send_octets(ticket, &part[1..]).await,
            StatusCode::FORBIDDEN
        );
        assert_eq!(cloud.send_octets(ticket, part).await, StatusCode::OK);
    }
    let complete = cloud
        .post(&format!("{upload}/complete"), token, &json!({}))
        .await;
    assert_eq!(complete.status, StatusCode::OK, "{:?}", complete.body);
    assert_eq!(judged(&cloud, &ana.access, id).await, "clean");

    let copy = cloud
        .post(
            &format!("/v1/files/{id}/copy"),
            token,
            &json!({"name": "b.txt"}),
        )
        .await;
    assert_eq!(copy.status, StatusCode::CREATED, "{:?}", copy.body);
    let copied = copy.body["id"].as_str().unwrap();
    assert_eq!(judged(&cloud, &ana.access, copied).await, "clean");
    // The index of folders follows a moment later.
    let in_folder = async || {
        let listed = cloud.get("/v1/files?folder=", token).await;
        (listed.body["items"].as_array()?.len() == 2).then_some(())
    };
    cloud.wait_for("two files", in_folder).await;
    for id in [id, copied] {
        let delete = cloud.request(Method::DELETE, &format!("/v1/files/{id}"));
        let deleted = cloud.send(delete.bearer_auth(&ana.access)).await;
        assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{:?}", deleted.body);
    }
    let open = cloud.post("/v1/files/uploads", token, &new).await;
    let abort = format!(
        "/v1/files/uploads/{}/abort",
        open.body["id"].as_str().unwrap()
    );
    let aborted = cloud.post(&abort, token, &json!({})).await;
    assert_eq!(aborted.status, StatusCode::NO_CONTENT, "{:?}", aborted.body);

    let usage = cloud.get("/v1/files/usage", token).await.body;
    assert_eq!(
        (&usage["bytes"], &usage["files"], &usage["reserved"]),
        (&json!(0), &json!(0), &json!(0))
    );
}

/// Whether a model answers depends on the cloud; that the answer is honest does not.
#[tokio::test]
async fn a_prompt_is_published_a_voice_kept_and_a_text_made_or_honestly_refused() {
    let cloud = Cloud::running();
    let ana = cloud.person("contenido").await;
    let token = Some(ana.access.as_str());
    let put = async |path: &str, body: Value| {
        let request = cloud.request(Method::PUT, path).json(&body);
        cloud.send(request.bearer_auth(&ana.access)).await
    };

    let prompt = json!({"name": "welcome", "source": "Escribe un saludo corto para {{ who }}."});
    let made = cloud.post("/v1/prompts", token, &prompt).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    let second = json!({"source": "Saluda a {{ who }} en una frase."});
    let added = cloud
        .post("/v1/prompts/welcome/versions", token, &second)
        .await;
    assert_eq!(added.body["version"], 2, "{:?}", added.body);
    let moved = put("/v1/prompts/welcome/labels/live", json!({"version": 2})).await;
    assert_eq!(moved.body["labels"]["live"], 2, "{:?}", moved.body);
    let voice = json!({"name": "Casa", "banned": ["barato"]});
    let voice = cloud.post("/v1/brand-voices", token, &voice).await.body["id"].clone();
    let checked = json!({"text": "Muy barato", "voice": voice, "locale": "es"});
    let checked = cloud.post("/v1/content/check", token, &checked).await;
    assert_eq!(
        checked.body["violations"][0]["start"], 4,
        "{:?}",
        checked.body
    );
    let budget = put(
        "/v1/budgets/org",
        json!({"limit_micros": 1_000_000, "period": "month"}),
    )
    .await;
    assert_eq!(budget.body["left_micros"], 1_000_000, "{:?}", budget.body);

    let asked = json!({"template": "welcome", "variables": {"who": "Ana"}, "max_tokens": 24});
    let text = cloud.post("/v1/content/generate", token, &asked).await;

    match text.status {
        StatusCode::OK => {
            assert!(
                !text.body["text"].as_str().unwrap().is_empty(),
                "{:?}",
                text.body
            );
            let path = format!("/v1/content/{}", text.body["id"].as_str().unwrap());
            assert_eq!(cloud.get(&path, token).await.body["template"]["version"], 2);
        }
        _ => assert_eq!(text.refusal(), (503, "no_model_configured")),
    }
    let missing = json!({"template": "welcome", "variables": {}});
    let missing = cloud.post("/v1/content/generate", token, &missing).await;
    assert_eq!(
        missing.body["errors"][0]["pointer"], "/variables/who",
        "{:?}",
        missing.body
    );
}

#[tokio::test]
async fn two_texts_are_made_in_the_background_or_honestly_refused() {
    let cloud = Cloud::running();
    let ana = cloud.person("textos").await;
    let token = Some(ana.access.as_str());
    let order = json!({
        "items": [{"prompt": "Say good morning."}, {"prompt": "Say good night."}], "max_tokens": 24,
    });

    let taken = cloud.post("/v1/content/batches", token, &order).await;

    if taken.status != StatusCode::ACCEPTED {
        assert_eq!(taken.refusal(), (503, "no_model_configured"));
        return;
    }
    let path = format!("/v1/content/batches/{}", taken.body["id"].as_str().unwrap());
    let batch = cloud
        .wait_for("the batch's end", async || {
            let batch = cloud.get(&path, token).await.body;
            (batch["status"] == "done").then_some(batch)
        })
        .await;
    assert_eq!(batch["done"], 2, "{batch}");
    let items = cloud.get(&format!("{path}/items"), token).await.body;
    assert!(
        !items["items"][1]["text"].as_str().unwrap().is_empty(),
        "{items}"
    );
}

#[tokio::test]
async fn a_brief_becomes_a_letter_or_is_honestly_refused() {
    let cloud = Cloud::running();
    let ana = cloud.person("borrador").await;
    let token = Some(ana.access.as_str());
    let order = json!({
        "template": "letter", "brief": "Say that the office moves to the second floor on 7 January.",
        "locale": "en", "max_tokens": 400,
        "data": {
            "date": "2026-11-24", "signature": {"name": "Office"}, "closing": "Yours faithfully,",
            "sender": {"name": "Sender Ltd", "address": ["1 High Street"]},
            "recipient": {"name": "Reader Ltd", "address": ["2 Low Street"]},
        },
    });

    let taken = cloud.post("/v1/documents/drafts", token, &order).await;

    assert_eq!(taken.status, StatusCode::ACCEPTED, "{:?}", taken.body);
    let path = format!(
        "/v1/documents/drafts/{}",
        taken.body["id"].as_str().unwrap()
    );
    let draft = cloud
        .wait_for("the draft's end", async || {
            let draft = cloud.get(&path, token).await.body;
            (draft["status"] != "queued").then_some(draft)
        })
        .await;
    if draft["status"] == "failed" {
        assert_eq!(draft["error"]["code"], "no_model_configured", "{draft}");
        return;
    }
    assert_eq!(draft["data"]["recipient"]["name"], "Reader Ltd", "{draft}");
    let document = format!("/v1/documents/{}", draft["document"].as_str().unwrap());
    assert_eq!(cloud.get(&document, token).await.body["status"], "ready");
}

#[tokio::test]
async fn a_hundred_rows_become_documents_and_the_bad_one_an_error() {
    let cloud = Cloud::running();
    let ana = cloud.person("lote").await;
    let token = Some(ana.access.as_str());
    let mut common = invoice()["data"].clone();
    common.as_object_mut().unwrap().remove("number");
    let mut rows: Vec<Value> = (0..100)
        .map(|n| json!({"number": format!("2026-{n:03}")}))
        .collect();
    rows[57] = json!({"number": ""});
    let new = json!({"template": "invoice", "format": "pdf", "common": common, "rows": rows});

    let queued = cloud.post("/v1/document-batches", token, &new).await;

    assert_eq!(queued.status, StatusCode::ACCEPTED, "{:?}", queued.body);
    assert_eq!(
        [&queued.body["status"], &queued.body["total"]],
        [&json!("queued"), &json!(100)]
    );
    let path = format!(
        "/v1/document-batches/{}",
        queued.body["id"].as_str().unwrap()
    );
    let batch = cloud
        .wait_for("archive", async || {
            let batch = cloud.get(&path, token).await.body;
            batch["zip_url"].is_string().then_some(batch)
        })
        .await;
    assert_eq!(
        [&batch["status"], &batch["ready"], &batch["failed"]],
        [&json!("done"), &json!(99), &json!(1)]
    );
    let errors = cloud.get(&format!("{path}/errors"), token).await.body;
    assert_eq!(errors["items"].as_array().unwrap().len(), 1);
    assert_eq!(errors["items"][0]["pointer"], "/rows/57/number");
    let made = cloud
        .get(&format!("{path}/documents?limit=100"), token)
        .await
        .body;
    assert_eq!(made["items"].as_array().unwrap().len(), 99);
    let (status, zip) = cloud.follow(batch["zip_url"].as_str().unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(zip.starts_with(b"PK"));
    assert!(zip.windows(5).filter(|window| *window == b"%PDF-").count() >= 99);
}

#[tokio::test]
async fn a_ticket_opens_one_socket_that_answers() {
    let cloud = Cloud::running();
    let ana = cloud.person("socket").await;
    let issued = cloud
        .post("/v1/ws/tickets", Some(&ana.access), &json!({}))
        .await;
    let url = cloud.socket_url(issued.body["ticket"].as_str().unwrap());
    assert_eq!(
        issued.body["url"], url,
        "the address that outputs.json gives"
    );

    let mut socket = Socket::open(&url).await.unwrap();
    let again = Socket::open(&url).await.err();
    let without = Socket::open(url.split('?').next().unwrap()).await.err();

    assert_eq!((again, without), (Some(403), Some(403)));
    let pong = socket.ask(&json!({"action": "ping"})).await;
    assert_eq!(pong["type"], "pong");
    assert!(pong["expires_at"].is_string());
    let subscribed = socket
        .ask(&json!({"action": "subscribe", "channels": ["inbox"]}))
        .await;
    assert_eq!(
        subscribed["channels"],
        json!([{"channel": "inbox", "cursor": 0}])
    );
    let denied = socket
        .ask(&json!({"action": "subscribe", "channels": ["metrics:org_00000000000000000000000000000009"]}))
        .await;
    assert_eq!(denied["code"], "permission_denied");
    let prolonged = socket
        .ask(&json!({"action": "auth", "ticket": cloud.ticket(&ana.access).await}))
        .await;
    assert_eq!(prolonged["type"], "authenticated");
}

#[tokio::test]
async fn nobody_gets_a_ticket_without_a_token() {
    let cloud = Cloud::running();

    let refused = cloud.post("/v1/ws/tickets", None, &json!({})).await;

    assert_eq!(refused.refusal(), (401, "token_missing"));
}

#[tokio::test]
async fn an_organisation_makes_documents_with_a_template_of_its_own() {
    let cloud = Cloud::running();
    let ana = cloud.person("plantilla").await;
    let token = Some(ana.access.as_str());

    let mut hostile = own_template();
    hostile["source"] = json!("#let n = 1\n#while n > 0 { n += 1 }");
    let refused = cloud.post("/v1/document-templates", token, &hostile).await;
    let made = cloud
        .post("/v1/document-templates", token, &own_template())
        .await;
    let id = made.body["id"].as_str().unwrap_or_default();
    let live = cloud
        .request(
            Method::PUT,
            &format!("/v1/document-templates/{id}/aliases/live"),
        )
        .bearer_auth(&ana.access)
        .json(&json!({ "version": 1 }))
        .send()
        .await
        .unwrap();
    let order = json!({ "template": id, "data": { "number": "A-1" } });
    let document = cloud.post("/v1/documents", token, &order).await;

    assert_eq!(
        (refused.status, &refused.body["errors"][0]["pointer"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("/source"))
    );
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    assert_eq!(live.status(), StatusCode::OK);
    assert_eq!(document.status, StatusCode::CREATED, "{:?}", document.body);
    let (status, pdf) = cloud
        .follow(document.body["download_url"].as_str().unwrap())
        .await;
    assert_eq!(status, StatusCode::OK);
    assert!(pdf.starts_with(b"%PDF-"));
}

#[tokio::test]
async fn an_invoice_is_had_in_every_format() {
    let cloud = Cloud::running();
    let ana = cloud.person("formatos").await;
    for (format, start) in [
        ("pdf", "%PDF-"),
        ("docx", "PK"),
        ("xlsx", "PK"),
        ("html", "<!DOCTYPE"),
    ] {
        let mut order = invoice();
        order["format"] = json!(format);

        let made = cloud.post("/v1/documents", Some(&ana.access), &order).await;

        assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
        assert_eq!(made.body["format"], format);
        let (status, file) = cloud
            .follow(made.body["download_url"].as_str().unwrap())
            .await;
        assert_eq!(status, StatusCode::OK);
        assert!(file.starts_with(start.as_bytes()), "{format}");
    }
}

/// Waits until a key opens nothing any more.
async fn dies(cloud: &Cloud, key: &str) {
    let dead = async || {
        let answer = cloud.get("/v1/documents", Some(key)).await;
        (answer.refusal() == (401, "api_key_invalid")).then_some(())
    };
    cloud.wait_for("end", dead).await;
}

#[tokio::test]
async fn a_program_works_with_its_key_until_it_is_revoked() {
    let cloud = Cloud::running();
    let ana = cloud.person("llave").await;
    let wanted = json!({"name": "CI", "permissions": ["documents:create", "documents:read"]});
    let made = cloud.post("/v1/api-keys", Some(&ana.access), &wanted).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    let key = made.body["key"].as_str().unwrap().to_owned();
    let path = format!("/v1/api-keys/{}", made.body["id"].as_str().unwrap());
    let with = |method: Method, path: &str, key: &str| {
        cloud.request(method, path).header("x-api-key", key)
    };
    let mut typo = key.clone();
    typo.replace_range(40..41, if &key[40..41] == "0" { "1" } else { "0" });

    let document = cloud
        .send(with(Method::POST, "/v1/documents", &key).json(&invoice()))
        .await;
    let as_bearer = cloud.get("/v1/api-keys/whoami", Some(&key)).await;
    let refused = [
        cloud.send(with(Method::GET, "/v1/documents", &typo)).await,
        cloud.send(with(Method::GET, "/v1/api-keys", &key)).await,
        cloud
            .send(with(Method::GET, "/v1/documents", &key).bearer_auth(&ana.access))
            .await,
        cloud
            .send(with(Method::POST, "/v1/auth/logout?scope=global", &key))
            .await,
        cloud.get("/v1/api-keys/whoami", Some(&ana.access)).await,
    ];
    let listed = cloud.get("/v1/api-keys", Some(&ana.access)).await;

    assert_eq!(document.status, StatusCode::CREATED, "{:?}", document.body);
    assert_eq!(as_bearer.body["id"], made.body["id"]);
    let codes = refused.each_ref().map(journeys::cloud::Answer::refusal);
    assert_eq!(
        codes,
        [
            (401, "api_key_invalid"),
            (403, "person_required"),
            (400, "credentials_ambiguous"),
            (403, "person_required"),
            (403, "api_key_required"),
        ]
    );
    assert_eq!(listed.body["items"][0]["id"], made.body["id"]);
    assert!(listed.body["items"][0]["last_used_at"].is_string());
    assert!(!listed.body.to_string().contains(&key));

    let reroll = json!({"grace_seconds": 0});
    let fresh = cloud
        .post(&format!("{path}/reroll"), Some(&ana.access), &reroll)
        .await;
    let fresh = fresh.body["key"].as_str().unwrap().to_owned();
    let limit = Duration::from_secs(6);
    let rerolled = tokio::time::timeout(limit, dies(&cloud, &key)).await;
    assert!(rerolled.is_ok(), "the old secret was alive after 6 s");
    let changed = cloud
        .send(
            cloud
                .request(Method::PATCH, &path)
                .bearer_auth(&ana.access)
                .json(&json!({"name": "Nightly"})),
        )
        .await;
    assert_eq!(changed.body["name"], "Nightly");
    let revoke = cloud
        .request(Method::DELETE, &path)
        .bearer_auth(&ana.access);
    assert_eq!(cloud.send(revoke).await.status, StatusCode::NO_CONTENT);
    let revoked = tokio::time::timeout(limit, dies(&cloud, &fresh)).await;
    assert!(revoked.is_ok(), "the key was alive after 6 s");
}

#[tokio::test]
async fn the_languages_of_texts_are_told_by_a_job() {
    let cloud = Cloud::running();
    let ana = cloud.person("textos").await;
    let token = Some(ana.access.as_str());
    let texts = ["El pan de la casa es muy bueno.", "The bread is very good."];
    let new = json!({"task": "language", "input": {"texts": texts}});

    let taken = cloud.post("/v1/ai/jobs", token, &new).await;

    assert_eq!(taken.status, StatusCode::ACCEPTED, "{:?}", taken.body);
    let path = format!("/v1/ai/jobs/{}", taken.body["id"].as_str().unwrap());
    let looked = cloud.wait_for("job that is done", async || {
        let view = cloud.get(&path, token).await.body;
        (view["status"] == "done").then_some(view)
    });
    let done = looked.await;
    assert_eq!([&done["done"], &done["failed"]], [&json!(2), &json!(0)]);
    let items = cloud.get(&format!("{path}/items"), token).await.body;
    let language = |n: usize| items["items"][n]["result"]["language"].clone();
    assert_eq!([language(0), language(1)], ["es", "en"], "{items}");
}

#[tokio::test]
async fn documents_are_read_into_a_collection_searched_and_deleted_with_it() {
    let cloud = Cloud::running();
    let ana = cloud.person("manual").await;
    let token = Some(ana.access.as_str());
    let made = cloud
        .post(
            "/v1/ai/collections",
            token,
            &json!({"name": "Manual", "embedding": false}),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    let collection = format!("/v1/ai/collections/{}", made.body["id"].as_str().unwrap());
    let documents = format!("{collection}/documents");
    let hours = "# Horarios\n\nEl horno abre a las **siete**.";
    let new = json!({"title": "Horarios", "media_type": "text/markdown", "text": hours});

    let added = cloud.post(&documents, token, &new).await;

    assert_eq!(added.status, StatusCode::ACCEPTED, "{:?}", added.body);
    let document = format!("{documents}/{}", added.body["id"].as_str().unwrap());
    let ready = cloud.wait_for("document that can be found", async || {
        let view = cloud.get(&document, token).await.body;
        (view["status"] == "ready").then_some(view)
    });
    assert_eq!(ready.await["published"]["passages"], 1);
    let again = cloud.post(&documents, token, &new).await;
    assert_eq!(
        (again.status, &again.body["id"]),
        (StatusCode::OK, &added.body["id"])
    );
    let query = json!({"collection_ids": [made.body["id"]], "query": "¿a qué hora abre el horno?"});
    let found = cloud.post("/v1/ai/search", token, &query).await;
    assert_eq!(
        found.body["items"][0]["text"],
        "Horarios\n\nEl horno abre a las siete."
    );
    let question = json!({"collection_ids": [made.body["id"]], "question": "¿Cuál es la capital de Mongolia?"});
    let answer = cloud.post("/v1/ai/ask", token, &question).await;
    assert_eq!(
        answer.body["reason"]["code"], "nothing_relevant",
        "{:?}",
        answer.body
    );

    let replace = cloud
        .request(Method::PUT, &document)
        .bearer_auth(&ana.access);
    let longer = json!({"title": "Horarios", "media_type": "text/plain", "text": "El horno abre a las ocho."});
    let replaced = cloud.send(replace.json(&longer)).await;
    assert_eq!(replaced.status, StatusCode::ACCEPTED, "{:?}", replaced.body);
    let text = format!("{document}/text");
    cloud
        .wait_for("new text", async || {
            let view = cloud.get(&text, token).await.body;
            (view["text"] == "El horno abre a las ocho.").then_some(())
        })
        .await;
    for path in [&document, &collection] {
        let delete = cloud.request(Method::DELETE, path).bearer_auth(&ana.access);
        assert_eq!(
            cloud.send(delete).await.status,
            StatusCode::NO_CONTENT,
            "{path}"
        );
    }
    let gone = cloud.post("/v1/ai/search", token, &query).await;
    assert_eq!(gone.refusal(), (404, "not_found"));
}
