//! The HTTP API: routes of the template, the authorizer, and what the gateway says by itself.

use fleet::cloud::Answer;

use crate::cloud::Contract;

async fn get(
    contract: &Contract,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Answer {
    contract
        .cloud
        .plain(
            method,
            &format!("{}{path}", contract.outputs.api_url),
            headers,
            body,
        )
        .await
        .unwrap()
}

#[tokio::test]
async fn the_authorizers_context_reaches_the_function() {
    let contract = Contract::start().await;

    let answer = get(
        &contract,
        "GET",
        "/private/7",
        &[("authorization", "somebody")],
        Vec::new(),
    )
    .await;

    let event = &answer.json()["event"];
    assert_eq!(
        event["requestContext"]["authorizer"]["lambda"]["caller"],
        "somebody"
    );
    assert_eq!(event["pathParameters"]["id"], "7");
}

#[tokio::test]
async fn without_an_identity_source_the_authorizer_is_asked_about_everybody() {
    let contract = Contract::start().await;

    let nobody = get(&contract, "GET", "/private/7", &[], Vec::new()).await;
    let somebody = get(
        &contract,
        "GET",
        "/private/7",
        &[("authorization", "other")],
        Vec::new(),
    )
    .await;

    assert_eq!(
        nobody.json()["event"]["requestContext"]["authorizer"]["lambda"]["caller"],
        "none"
    );
    assert_eq!(
        somebody.json()["event"]["requestContext"]["authorizer"]["lambda"]["caller"],
        "other",
        "no answer is kept"
    );
}

#[tokio::test]
async fn whom_the_authorizer_refuses_does_not_reach_the_function() {
    let contract = Contract::start().await;

    let answer = get(
        &contract,
        "GET",
        "/private/7",
        &[("authorization", "refuse")],
        Vec::new(),
    )
    .await;

    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_public_route_asks_no_authorizer() {
    let contract = Contract::start().await;

    let answer = get(&contract, "GET", "/public/echo", &[], Vec::new()).await;

    assert_eq!(answer.status, 200);
    assert!(
        answer.json()["event"]["requestContext"]
            .get("authorizer")
            .is_none()
    );
}

#[tokio::test]
async fn cookies_and_the_forwarded_address_come_as_on_aws() {
    let contract = Contract::start().await;

    let answer = get(
        &contract,
        "GET",
        "/public/echo",
        &[("cookie", "a=1; b=2"), ("x-forwarded-for", "192.0.2.1")],
        Vec::new(),
    )
    .await;

    let event = &answer.json()["event"];
    assert_eq!(event["cookies"], serde_json::json!(["a=1", "b=2"]));
    assert!(event["headers"].get("cookie").is_none());
    assert_eq!(event["headers"]["x-forwarded-for"], "192.0.2.1, 127.0.0.1");
    assert!(
        event["headers"]["x-amzn-trace-id"]
            .as_str()
            .unwrap()
            .starts_with("Root=1-")
    );
}

#[tokio::test]
async fn a_body_of_twenty_megabytes_is_refused_by_the_gateway() {
    let contract = Contract::start().await;

    let answer = get(
        &contract,
        "POST",
        "/public/echo",
        &[("content-type", "application/json")],
        vec![b' '; 20_000_000],
    )
    .await;

    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn a_failed_function_is_a_500_that_tells_nothing() {
    let contract = Contract::start().await;

    let answer = get(&contract, "GET", "/public/fail", &[], Vec::new()).await;

    assert_eq!(
        (answer.status, answer.text().as_str()),
        (500, r#"{"message":"Internal Server Error"}"#)
    );
}

#[tokio::test]
async fn a_function_that_dies_is_a_500_and_the_next_request_finds_a_new_one() {
    let contract = Contract::start().await;

    let dead = get(&contract, "GET", "/public/die", &[], Vec::new()).await;
    let next = get(&contract, "GET", "/public/echo", &[], Vec::new()).await;

    assert_eq!((dead.status, next.status), (500, 200));
}

#[tokio::test]
async fn only_an_allowed_origin_gets_a_preflight_answer() {
    let contract = Contract::start().await;
    let preflight = async |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "GET")];
        get(&contract, "OPTIONS", "/private/7", &headers, Vec::new()).await
    };

    let allowed = preflight("https://app.example.com").await;
    let other = preflight("https://evil.example.com").await;

    assert_eq!(
        allowed.headers["access-control-allow-origin"],
        "https://app.example.com"
    );
    assert!(other.headers.get("access-control-allow-origin").is_none());
}
