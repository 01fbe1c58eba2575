//! What the platform does around every route, as a caller sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use domain::{OrganisationRole, PlatformRole};
use http::StatusCode;
use ports::clock::ManualClock;
use ports::faults::Fault;
use ports::ids::SequentialIds;
use ports::table::MemoryTable;
use runtime::testing::{Answer, Call};
use runtime::{Api, Caller, Json, Platform, Problem, Refusals, Seed, problem};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewThing {
    size: u32,
}

#[derive(Serialize, ToSchema)]
struct Thing {
    id: String,
    size: u32,
}

#[utoipa::path(get, path = "/v1/open", responses((status = 200), Refusals), security(()))]
async fn open() -> &'static str {
    "open"
}

#[utoipa::path(get, path = "/v1/things", responses((status = 200), Refusals), security(("token" = ["documents:read"])))]
async fn list(caller: Caller) -> String {
    caller.user.to_string()
}

#[utoipa::path(get, path = "/v1/mine", responses((status = 200), Refusals), security(("session" = ["documents:read"])))]
async fn mine(caller: Caller) -> String {
    caller.user.to_string()
}

#[utoipa::path(post, path = "/v1/things", request_body = NewThing, responses((status = 201, body = Thing), Refusals),
    security(("token" = ["documents:create"])))]
async fn create(
    State(made): State<Arc<AtomicUsize>>,
    seed: Seed,
    Json(new): Json<NewThing>,
) -> Result<(StatusCode, axum::Json<Thing>), Problem> {
    made.fetch_add(1, Ordering::Relaxed);
    match new.size {
        0 => Err(Problem::new(&problem::UNAVAILABLE)),
        666 => panic!("on purpose"),
        size => Ok((
            StatusCode::CREATED,
            axum::Json(Thing {
                id: seed.0.simple().to_string(),
                size,
            }),
        )),
    }
}

struct World {
    api: Api,
    table: Arc<MemoryTable>,
    clock: Arc<ManualClock>,
    made: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        let (table, clock) = (
            MemoryTable::shared(),
            ManualClock::at_text("2026-01-02T03:04:05Z"),
        );
        let made = Arc::new(AtomicUsize::default());
        let routes = OpenApiRouter::new()
            .routes(routes!(open))
            .routes(routes!(mine))
            .routes(routes!(list, create))
            .with_state(made.clone());
        let platform = Platform {
            requests: table.clone(),
            clock: clock.clone(),
            ids: SequentialIds::shared(),
        };
        Self {
            api: Api::new(routes, platform).expect("declared routes"),
            table,
            clock,
            made,
        }
    }

    async fn send(&self, call: &Call) -> Answer {
        call.send(&self.api.router()).await
    }

    async fn create(&self, key: &str, size: u32) -> Answer {
        self.send(&post(size).header("idempotency-key", key)).await
    }
}

fn caller(role: OrganisationRole) -> domain::Caller {
    domain::Caller::new(
        "usr_00000000000000000000000000000001"
            .parse()
            .expect("an id"),
        "org_00000000000000000000000000000002"
            .parse()
            .expect("an id"),
        "ses_00000000000000000000000000000003"
            .parse()
            .expect("an id"),
        PlatformRole::User,
        Some(role),
    )
}

/// A program with a key of the same person.
fn program(given: &[&str]) -> domain::Caller {
    let person = caller(OrganisationRole::Editor);
    domain::Caller::with_key(
        person.user,
        person.organisation,
        "key_00000000000000000000000000000004"
            .parse()
            .expect("an id"),
        &given.iter().map(|&given| given.to_owned()).collect(),
        PlatformRole::User,
        OrganisationRole::Editor,
    )
}

fn post(size: u32) -> Call {
    Call::post("/v1/things", &json!({ "size": size })).by(&caller(OrganisationRole::Editor))
}

#[tokio::test]
async fn every_refusal_is_a_problem_with_its_code_and_request_id() {
    let world = World::new();
    let editor = caller(OrganisationRole::Editor);
    for (call, status, code) in [
        (Call::get("/v1/things"), 401, "token_missing"),
        (
            Call::get("/v1/things").refused("token_expired"),
            401,
            "token_expired",
        ),
        (
            Call::get("/v1/things").refused("whatever"),
            401,
            "token_invalid",
        ),
        (
            Call::get("/v1/things").authorized(json!({"caller": "{}"})),
            401,
            "token_invalid",
        ),
        (
            post(1).by(&caller(OrganisationRole::Viewer)),
            403,
            "permission_denied",
        ),
        (Call::get("/v1/nothing").by(&editor), 404, "not_found"),
        (Call::new("DELETE", "/v1/open"), 405, "method_not_allowed"),
        (
            Call::new("POST", "/v1/things").by(&editor).body("{}"),
            415,
            "unsupported_media_type",
        ),
        (post(1).body("{"), 400, "body_invalid"),
        (
            post(1).json(&json!({"size": 1, "colour": "red"})),
            400,
            "body_invalid",
        ),
        (
            post(1).body(&" ".repeat(1024 * 1024 + 1)),
            413,
            "body_too_large",
        ),
        (
            post(1).header("idempotency-key", "a b"),
            400,
            "idempotency_key_invalid",
        ),
        (post(666), 500, "internal_error"),
    ] {
        let answer = world.send(&call).await;

        assert_eq!(
            (answer.status.as_u16(), answer.code().as_deref()),
            (status, Some(code)),
            "{call:?}"
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(answer.header("x-request-id"), Some("request-1"));
        assert_eq!(answer.json()["request_id"], "request-1");
        assert_eq!(answer.json()["status"], status);
    }
}

#[tokio::test]
async fn a_route_for_people_is_shut_to_keys_whatever_they_may_do() {
    let world = World::new();
    let read = program(&["documents:read"]);

    for (call, status, code) in [
        (
            Call::get("/v1/mine").by(&read),
            403,
            Some("person_required"),
        ),
        (
            Call::get("/v1/mine").by(&program(&[])),
            403,
            Some("person_required"),
        ),
        (Call::get("/v1/mine"), 401, Some("token_missing")),
        (
            Call::get("/v1/mine").by(&caller(OrganisationRole::Viewer)),
            200,
            None,
        ),
        (Call::get("/v1/things").by(&read), 200, None),
        (post(1).by(&read), 403, Some("permission_denied")),
        (
            Call::get("/v1/things").refused("api_key_invalid"),
            401,
            Some("api_key_invalid"),
        ),
        (
            Call::get("/v1/things").refused("credentials_ambiguous"),
            400,
            Some("credentials_ambiguous"),
        ),
    ] {
        let answer = world.send(&call).await;

        assert_eq!(
            (answer.status.as_u16(), answer.code().as_deref()),
            (status, code),
            "{call:?}"
        );
    }
}

#[tokio::test]
async fn the_description_says_where_a_key_is_taken() {
    let description = serde_json::to_value(World::new().api.description()).unwrap();
    let security =
        |path: &str, method: &str| description["paths"][path][method]["security"].clone();

    assert_eq!(security("/v1/open", "get"), json!([{}]));
    assert_eq!(
        security("/v1/things", "post"),
        json!([{"token": ["documents:create"]}, {"api_key": ["documents:create"]}])
    );
    assert_eq!(
        security("/v1/mine", "get"),
        json!([{"session": ["documents:read"]}])
    );
    for scheme in ["token", "session", "api_key"] {
        assert!(description["components"]["securitySchemes"][scheme].is_object());
    }
}

#[tokio::test]
async fn a_preflight_that_the_gateway_passed_on_is_no_failure() {
    let world = World::new();

    for path in ["/v1/things", "/v1/nothing"] {
        let answer = world.send(&Call::new("OPTIONS", path)).await;

        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{path}");
    }
}

#[tokio::test]
async fn a_problem_speaks_the_callers_language() {
    let answer = World::new()
        .send(&Call::get("/v1/things").header("accept-language", "es-ES,en;q=0.5"))
        .await;

    assert_eq!(answer.json()["title"], "Falta el token de acceso");
    assert_eq!(answer.header("content-language"), Some("es"));
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_the_trace() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    let answer = World::new()
        .send(&Call::get("/v1/open").header("traceparent", trace))
        .await;

    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(
        answer
            .header("traceparent")
            .unwrap()
            .starts_with("00-0af7651916cd43dd8448eb211c80319c-")
    );
}

#[tokio::test]
async fn a_repeated_key_is_done_once_and_answered_again() {
    let world = World::new();

    let first = world.create("key-1", 7).await;
    let again = world.create("key-1", 7).await;

    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!((again.status, again.json()), (first.status, first.json()));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(world.made.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_key_is_not_for_another_body_and_not_shared_by_callers() {
    let world = World::new();
    world.create("key-1", 7).await;
    let other = domain::Caller {
        user: "usr_00000000000000000000000000000009".parse().unwrap(),
        ..caller(OrganisationRole::Editor)
    };

    let by_program = post(8)
        .header("idempotency-key", "key-1")
        .by(&program(&["documents:create"]));

    let reused = world.create("key-1", 8).await;
    let program = world.send(&by_program).await;
    let somebody_else = world
        .send(&post(8).header("idempotency-key", "key-1").by(&other))
        .await;

    assert_eq!(
        (reused.status.as_u16(), reused.code().as_deref()),
        (422, Some("idempotency_key_reused"))
    );
    assert_eq!(somebody_else.status, StatusCode::CREATED);
    assert_eq!(program.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_not_remembered_but_its_ids_are() {
    let world = World::new();

    let failed = world.create("key-1", 0).await;
    let again = world.create("key-1", 0).await;

    assert_eq!((failed.status.as_u16(), again.status.as_u16()), (503, 503));
    assert_eq!(world.made.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_attempt_that_died_is_in_progress_until_its_time_is_up_and_then_repeated_with_the_same_ids()
 {
    let world = World::new();
    // The claim is written, the completing write is not: as if the process had been killed after its work.
    world.table.faults().fail_call(3, Fault::Before);
    let first = world.create("key-1", 7).await;

    let too_soon = world.create("key-1", 7).await;
    world.clock.advance(Duration::from_mins(1));
    let later = world.create("key-1", 7).await;

    assert_eq!(
        (too_soon.status.as_u16(), too_soon.code().as_deref()),
        (409, Some("request_in_progress"))
    );
    assert!(too_soon.header("retry-after").is_some());
    assert_eq!(later.json()["id"], first.json()["id"]);
}

#[tokio::test]
async fn once_is_refused_rather_than_risked_while_the_table_is_down() {
    let world = World::new();
    world.send(&post(1)).await;
    // The rate limit is counted, then the key is claimed.
    world.table.faults().fail_call(1, Fault::Before);

    let answer = world.create("key-1", 7).await;

    assert_eq!(answer.status.as_u16(), 503);
    assert_eq!(world.made.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn request_1001_in_a_minute_is_refused_and_says_when_to_come_back() {
    let world = World::new();
    let call = Call::get("/v1/things").by(&caller(OrganisationRole::Viewer));
    for n in 1..=1000 {
        assert_eq!(
            world.send(&call).await.status,
            StatusCode::OK,
            "request {n}"
        );
    }

    let refused = world.send(&call).await;
    world.clock.advance(Duration::from_secs(
        refused.header("retry-after").unwrap().parse().unwrap(),
    ));
    let admitted = world.send(&call).await;

    assert_eq!(
        (refused.status.as_u16(), refused.code().as_deref()),
        (429, Some("rate_limited"))
    );
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some("\"user\";q=1000;w=60")
    );
    assert_eq!(refused.header("ratelimit-remaining"), Some("0"));
    assert_eq!(admitted.status, StatusCode::OK);
}

#[tokio::test]
async fn a_program_uses_up_its_own_quota_and_not_its_makers() {
    let world = World::new();
    let by_key = Call::get("/v1/things").by(&program(&["documents:read"]));
    for n in 1..=1000 {
        assert_eq!(
            world.send(&by_key).await.status,
            StatusCode::OK,
            "request {n}"
        );
    }

    let refused = world.send(&by_key).await;
    let person = world
        .send(&Call::get("/v1/things").by(&caller(OrganisationRole::Viewer)))
        .await;

    assert_eq!(refused.code().as_deref(), Some("rate_limited"));
    assert_eq!(person.status, StatusCode::OK);
}

#[test]
fn a_route_that_does_not_say_who_may_call_it_is_not_served() {
    #[utoipa::path(get, path = "/v1/forgotten", responses((status = 200)))]
    async fn forgotten() {}
    let platform = Platform {
        requests: MemoryTable::shared(),
        clock: ManualClock::at_text("2026-01-02T03:04:05Z"),
        ids: SequentialIds::shared(),
    };

    let refused = Api::new(OpenApiRouter::new().routes(routes!(forgotten)), platform)
        .err()
        .unwrap();

    assert_eq!(refused.path, "/v1/forgotten");
}
