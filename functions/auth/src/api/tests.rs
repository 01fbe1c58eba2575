//! The routes as API Gateway calls them.

use std::time::Duration;

use domain::{Locale, Text};
use jiff::Timestamp;
use ports::clock::Clock;
use ports::identity::totp;
use runtime::access::Access;
use runtime::testing::{Answer, Call};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::api_keys::{ApiKeys, NewKey};
use crate::problems;
use crate::world::{PASSWORD, World, address, caller, origin};

const ANA: &str = "ana@example.com";

async fn post(world: &World, path: &str, body: Value) -> Answer {
    Call::post(path, &body).send(&world.api().router()).await
}

/// Status and code of an answer, as short as a table needs.
fn outcome(answer: &Answer) -> (u16, Option<String>) {
    (answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn a_person_signs_up_confirms_signs_in_refreshes_and_signs_out() {
    let world = World::new();

    let signed_up = post(
        &world,
        "/v1/auth/signup",
        json!({"email": ANA, "password": PASSWORD, "name": "Ana", "locale": "es"}),
    )
    .await;
    assert_eq!(signed_up.status, 201);
    let user = signed_up.json()["user_id"].as_str().unwrap().to_owned();
    assert_eq!(
        signed_up.json(),
        json!({"user_id": user, "status": "unconfirmed"})
    );
    assert!(user.starts_with("usr_"));

    let confirmed = post(
        &world,
        "/v1/auth/confirm",
        json!({"email": ANA, "code": world.code(ANA)}),
    )
    .await;
    assert_eq!(
        (confirmed.status.as_u16(), confirmed.json()),
        (200, json!({"status": "confirmed"}))
    );

    let login = post(
        &world,
        "/v1/auth/login",
        json!({"email": ANA, "password": PASSWORD}),
    )
    .await;
    assert_eq!(login.status, 200);
    let mut names: Vec<_> = login.json().as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(
        names,
        ["access_token", "expires_in", "refresh_token", "token_type"]
    );
    assert_eq!(
        (&login.json()["token_type"], &login.json()["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );

    let refreshed = post(
        &world,
        "/v1/auth/token/refresh",
        json!({"refresh_token": login.json()["refresh_token"]}),
    )
    .await;
    assert_eq!(refreshed.status, 200);

    let tokens = world.sign_in(ANA).await;
    let signed_out = Call::new("POST", "/v1/auth/logout?scope=global")
        .by(&caller(&tokens))
        .send(&world.api().router())
        .await;
    assert_eq!(
        (signed_out.status.as_u16(), signed_out.body.as_slice()),
        (204, b"".as_slice())
    );
    let user = origin(&tokens).0;
    assert_eq!(world.alive(user), 0);
}

#[tokio::test]
async fn a_second_factor_is_a_challenge_and_not_a_refusal() {
    let world = World::new();
    world.member(ANA).await;
    let secret = world.identity.enrol_totp(&address(ANA));

    let login = post(
        &world,
        "/v1/auth/login",
        json!({"email": ANA, "password": PASSWORD}),
    )
    .await;
    let session = login.json()["challenge"]["session"].clone();
    assert_eq!(
        login.json(),
        json!({"challenge": {"kind": "totp", "session": session}})
    );

    let wrong = post(
        &world,
        "/v1/auth/challenge",
        json!({"session": session, "code": "000000"}),
    )
    .await;
    assert_eq!(outcome(&wrong), (422, Some("invalid_code".into())));
    let code = totp::code(&secret, world.clock.now());
    let right = post(
        &world,
        "/v1/auth/challenge",
        json!({"session": session, "code": code}),
    )
    .await;
    assert_eq!(right.status, 200);
    assert!(right.json()["access_token"].is_string());
}

/// Everything that a caller can see of an answer, with what is different in each request taken out.
fn visible(answer: &Answer, took: Duration) -> (u16, Value, Vec<String>, Duration) {
    let mut body = answer.json();
    if let Some(body) = body.as_object_mut() {
        for own in ["request_id", "user_id"] {
            body.remove(own);
        }
    }
    let own = [
        "traceparent",
        "x-request-id",
        "ratelimit",
        "ratelimit-remaining",
        "ratelimit-reset",
    ];
    let headers = answer
        .headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()));
    let mut headers: Vec<_> = headers
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    (answer.status.as_u16(), body, headers, took)
}

#[tokio::test]
async fn known_unconfirmed_and_unknown_addresses_get_one_answer_in_one_time() {
    for (path, rest) in [
        (
            "/v1/auth/signup",
            json!({"password": PASSWORD, "name": "Ana", "locale": "es"}),
        ),
        (
            "/v1/auth/signup",
            json!({"password": "short", "name": "Ana"}),
        ),
        ("/v1/auth/confirm", json!({"code": "000000"})),
        ("/v1/auth/resend", json!({})),
        (
            "/v1/auth/login",
            json!({"password": "not the right password"}),
        ),
        ("/v1/auth/password/forgot", json!({})),
        (
            "/v1/auth/password/reset",
            json!({"code": "000000", "password": "a new and better password"}),
        ),
        (
            "/v1/auth/password/reset",
            json!({"code": "000000", "password": "short"}),
        ),
    ] {
        let mut seen = Vec::new();
        for email in [ANA, "unconfirmed@example.com", "nobody@example.com"] {
            let world = World::new();
            world.member(ANA).await;
            world.sign_up("unconfirmed@example.com").await;
            let mut body = rest.clone();
            body["email"] = json!(email);
            let begun: Timestamp = world.clock.now();

            let answer = post(&world, path, body).await;

            let took = Duration::try_from(world.clock.now().duration_since(begun)).unwrap();
            seen.push(visible(&answer, took));
        }
        assert_eq!(seen[0], seen[1], "{path}");
        assert_eq!(seen[0], seen[2], "{path}");
        assert!(seen[0].3 >= Duration::from_millis(250), "{path}");
    }
}

#[tokio::test]
async fn a_made_up_person_has_an_id_of_the_same_shape() {
    let world = World::new();
    let real = world.member(ANA).await.to_string();

    let answer = post(
        &world,
        "/v1/auth/signup",
        json!({"email": ANA, "password": PASSWORD, "name": "Ana"}),
    )
    .await;

    let made_up = answer.json()["user_id"].as_str().unwrap().to_owned();
    assert_ne!(made_up, real);
    // Version and variant of the UUID.
    assert_eq!(
        (&made_up[16..17], made_up.len()),
        (&real[16..17], real.len())
    );
}

#[tokio::test]
async fn each_problem_comes_with_its_code_in_both_languages() {
    let world = World::new();
    world.member(ANA).await;
    let tokens = world.sign_in(ANA).await;
    let stolen = tokens.refresh.expose_secret().to_owned();
    let second = world.refresh(&tokens).await.unwrap();
    world.refresh(&second).await.unwrap();
    world.clock.advance(Duration::from_mins(1));
    for (path, body, status, code) in [
        (
            "/v1/auth/login",
            json!({"email": ANA, "password": "wrong"}),
            401,
            "invalid_credentials",
        ),
        (
            "/v1/auth/confirm",
            json!({"email": ANA, "code": "1"}),
            422,
            "invalid_code",
        ),
        (
            "/v1/auth/signup",
            json!({"email": ANA, "password": "short", "name": "A"}),
            422,
            "weak_password",
        ),
        (
            "/v1/auth/challenge",
            json!({"session": "x", "code": "1"}),
            401,
            "invalid_challenge",
        ),
        (
            "/v1/auth/token/refresh",
            json!({"refresh_token": "x"}),
            401,
            "refresh_invalid",
        ),
        (
            "/v1/auth/token/refresh",
            json!({"refresh_token": stolen}),
            401,
            "refresh_reused",
        ),
        (
            "/v1/auth/signup",
            json!({"email": "x", "password": PASSWORD, "name": "A"}),
            400,
            "body_invalid",
        ),
        (
            "/v1/auth/signup",
            json!({"email": ANA, "password": PASSWORD, "name": " "}),
            422,
            "validation_failed",
        ),
        (
            "/v1/auth/signup",
            json!({"email": ANA, "password": PASSWORD, "name": "A\nB"}),
            422,
            "validation_failed",
        ),
        (
            "/v1/auth/signup",
            json!({"email": ANA, "password": PASSWORD, "name": "A", "locale": "de"}),
            422,
            "validation_failed",
        ),
        (
            "/v1/auth/login",
            json!({"email": ANA, "password": PASSWORD, "admin": true}),
            400,
            "body_invalid",
        ),
    ] {
        let router = world.api().router();
        let es = Call::post(path, &body)
            .header("accept-language", "es")
            .send(&router)
            .await;
        assert_eq!(
            outcome(&es),
            (status, Some(code.to_owned())),
            "{path} {body}"
        );
        if let Some(known) = problems::ALL.iter().find(|known| known.code == code) {
            let title: &Text = &known.title;
            assert_eq!(es.json()["title"], title.get(Locale::Es));
        }
        assert_eq!(es.header("content-type"), Some("application/problem+json"));
    }
}

#[tokio::test]
async fn too_many_tries_are_told_when_to_come_back_and_the_victim_still_gets_in() {
    let world = World::new();
    world.member(ANA).await;
    let router = world.api().router();
    let body = json!({"email": ANA, "password": "a wrong password"});
    for _ in 0..20 {
        assert_eq!(
            Call::post("/v1/auth/login", &body)
                .send(&router)
                .await
                .status,
            401
        );
    }

    let denied = Call::post("/v1/auth/login", &body).send(&router).await;

    assert_eq!(outcome(&denied), (429, Some("rate_limited".into())));
    assert!(
        denied
            .header("retry-after")
            .unwrap()
            .parse::<u32>()
            .unwrap()
            > 0
    );
    // The pool makes whoever is attacked wait a little; what is ours lets the victim try.
    world.clock.advance(Duration::from_mins(15));
    let victim = Call::post(
        "/v1/auth/login",
        &json!({"email": ANA, "password": PASSWORD}),
    )
    .from_ip("198.51.100.7");
    assert_eq!(victim.send(&router).await.status, 200);
}

#[tokio::test]
async fn signing_out_needs_somebody_who_is_in_and_a_scope_that_exists() {
    let world = World::new();
    world.member(ANA).await;
    let tokens = world.sign_in(ANA).await;
    let router = world.api().router();

    let nobody = Call::new("POST", "/v1/auth/logout").send(&router).await;
    let expired = Call::new("POST", "/v1/auth/logout")
        .refused("token_expired")
        .send(&router)
        .await;
    let odd = Call::new("POST", "/v1/auth/logout?scope=universe")
        .by(&caller(&tokens))
        .send(&router)
        .await;

    assert_eq!(outcome(&nobody), (401, Some("token_missing".into())));
    assert_eq!(outcome(&expired), (401, Some("token_expired".into())));
    assert_eq!(outcome(&odd), (400, Some("parameter_invalid".into())));
    assert_eq!(world.alive(origin(&tokens).0), 1);
}

#[tokio::test]
async fn a_login_under_one_key_opens_one_session() {
    let world = World::new();
    let user = world.member(ANA).await;
    let router = world.api().router();
    let login = Call::post(
        "/v1/auth/login",
        &json!({"email": ANA, "password": PASSWORD}),
    )
    .header("idempotency-key", "k-1");

    let (first, second) = (login.send(&router).await, login.send(&router).await);

    assert_eq!(first.body, second.body);
    assert_eq!(world.sessions(user).len(), 1);
}

#[tokio::test]
async fn every_sample_event_is_of_the_described_shape() {
    let samples = std::fs::read_dir(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../events/auth-api"
    ))
    .unwrap();
    let mut answered = 0;
    for sample in samples {
        let path = sample.unwrap().path();
        let event: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let call = Call::of_event(&event);
        let world = World::new();
        world.member("bea@example.com").await;
        if let Some(caller) = event["requestContext"]["authorizer"]["lambda"]["caller"].as_str() {
            let caller = serde_json::from_str(caller).unwrap();
            ApiKeys::new(&world.auth, world.requests.clone())
                .create(&caller, SAMPLE_KEY, sample_key())
                .await
                .unwrap();
        }

        let answer = call.send(&world.api().router()).await;

        assert!(
            !matches!(answer.status.as_u16(), 400 | 404 | 405 | 415 | 500..),
            "{}: {:?}",
            path.display(),
            answer.json()
        );
        answered += 1;
    }
    assert_eq!(answered, World::new().api().access().rows().count());
}

/// The key that the samples are about.
const SAMPLE_KEY: uuid::Uuid = uuid::Uuid::from_u128(0x019a_0000_0000_7000_8000_0000_0000_0001);

fn sample_key() -> NewKey {
    NewKey {
        name: "Nightly invoices".into(),
        permissions: ["documents:read".to_owned()].into(),
        expires_at: None,
    }
}

#[tokio::test]
async fn signing_out_and_keys_ask_who_is_there_and_a_key_may_only_ask_what_it_is() {
    let world = World::new();
    let api = world.api();

    let mut needing: Vec<_> = api
        .access()
        .rows()
        .filter(|(_, _, access)| **access != Access::Public)
        .map(|(method, path, access)| (format!("{method} {path}"), access.clone()))
        .collect();
    needing.sort_by(|a, b| a.0.cmp(&b.0));

    let manages = || Access::NeedsPerson(vec!["api-keys:manage".into()]);
    assert_eq!(
        needing,
        [
            ("DELETE /v1/api-keys/{id}".to_owned(), manages()),
            ("GET /v1/api-keys".to_owned(), manages()),
            ("GET /v1/api-keys/whoami".to_owned(), Access::Needs(vec![])),
            ("GET /v1/api-keys/{id}".to_owned(), manages()),
            ("PATCH /v1/api-keys/{id}".to_owned(), manages()),
            ("POST /v1/api-keys".to_owned(), manages()),
            ("POST /v1/api-keys/{id}/reroll".to_owned(), manages()),
            (
                "POST /v1/auth/logout".to_owned(),
                Access::NeedsPerson(vec![])
            ),
        ]
    );
}
