//! Questions that are answered, over real sockets.

use std::time::Duration;

use domain::Id;
use models::testing::UNFIT_TEXT;
use models::{ChatRequest, Finish, Message, ModelError, Schema};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Stage, ask};

#[tokio::test]
async fn a_question_is_answered_and_paid_for() {
    let stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);

    let answer = stage
        .complete(&gateway, &ask("one two three", 100))
        .await
        .unwrap();

    assert_eq!(answer.text, models::testing::text_of(60));
    assert_eq!(answer.finish, Finish::Stop);
    assert_eq!((answer.usage.input, answer.usage.output), (3, 60));
    assert_eq!(answer.cost.micros, 63);
    assert!(answer.settled && !answer.usage.estimated);
    let received = stage.provider.received();
    assert_eq!(received[0].authorization.as_deref(), Some("Bearer sk-test"));
    assert_eq!(received[0].path, "/v1/chat/completions");
    stage.assert_sums().await;
}

#[tokio::test]
async fn without_a_target_nobody_is_asked() {
    let stage = Stage::new();
    let none = stage.gateway(&[]);
    let one = stage.gateway(&["small-1"]);
    let mut other = ask("Hola", 10);
    other.model = Some("large-1".into());

    assert_eq!(
        stage.complete(&none, &ask("Hola", 10)).await,
        Err(ModelError::NoTarget)
    );
    assert_eq!(
        stage.complete(&one, &other).await,
        Err(ModelError::UnknownModel)
    );
    let empty = ChatRequest::new(Vec::<Message>::new(), 10);
    assert!(matches!(
        stage.complete(&one, &empty).await,
        Err(ModelError::Invalid(_))
    ));
    assert!(stage.provider.received().is_empty());
}

fn shaped(max_tokens: u32) -> ChatRequest {
    let mut request = ask("one two", max_tokens);
    request.schema = Some(Schema {
        name: "number".into(),
        schema: json!({"type": "object", "required": ["n"], "additionalProperties": false,
            "properties": {"n": {"type": "integer"}}}),
        strict: true,
    });
    request
}

#[tokio::test]
async fn an_answer_fits_its_schema_or_is_repaired_once() {
    let stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);
    stage.provider.says(
        "small-1",
        &[(r#"{"n": "one"}"#, "stop"), (r#"{"n": 1}"#, "stop")],
    );

    let answer = stage.complete(&gateway, &shaped(100)).await.unwrap();

    assert_eq!(answer.data, Some(json!({"n": 1})));
    assert_eq!(answer.attempts.len(), 2);
    let repair = stage.provider.received()[1].body["messages"].clone();
    assert_eq!(repair[1]["content"], r#"{"n": "one"}"#);
    assert!(repair[2]["content"].as_str().unwrap().contains("/n"));
    stage.assert_sums().await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_repaired_names_its_place_and_is_paid() {
    let stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);
    stage
        .provider
        .says("small-1", &[(r#"{"n": "one"}"#, "stop")]);

    let whole = stage.complete(&gateway, &shaped(100)).await;
    let (_, streamed) = stage.stream(&gateway, &shaped(100)).await;

    for unfit in [whole, streamed] {
        assert!(matches!(unfit, Err(ModelError::Unfit { path, .. }) if path == "/n"));
    }
    assert_eq!(
        stage.provider.asked("small-1"),
        2 + 1,
        "what was told is not repaired"
    );
    assert!(stage.assert_sums().await > 0);
}

#[tokio::test]
async fn an_answer_that_was_too_long_gets_twice_the_tokens_once() {
    let stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);
    stage.provider.says(
        "small-1",
        &[(r#"{"n": "#, "length"), (r#"{"n": 1}"#, "stop")],
    );

    let answer = stage.complete(&gateway, &shaped(100)).await.unwrap();
    stage.provider.says("small-1", &[(r#"{"n": "#, "length")]);
    let never = stage.complete(&gateway, &shaped(100)).await;

    assert_eq!(answer.data, Some(json!({"n": 1})));
    assert_eq!(never, Err(ModelError::TooShort));
    let asked = stage.provider.received();
    let tokens: Vec<_> = asked.iter().map(|r| r.body["max_tokens"].clone()).collect();
    assert_eq!(tokens, [json!(100), json!(200), json!(100), json!(200)]);
    stage.assert_sums().await;
}

#[tokio::test]
async fn a_schema_that_is_none_is_refused_before_anybody_is_asked() {
    let stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);
    let mut request = shaped(100);
    request.schema.as_mut().unwrap().schema = json!({"type": "wizard"});

    let refused = stage.complete(&gateway, &request).await;

    assert!(matches!(refused, Err(ModelError::BadSchema { .. })));
    assert!(stage.provider.received().is_empty());
}

#[tokio::test]
async fn the_same_question_is_answered_from_memory_only_if_asked_for_and_only_to_the_same_tenant() {
    let mut stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);
    let mut request = ask("one two", 100);
    stage.complete(&gateway, &request).await.unwrap();
    request.cache = Some(Duration::from_mins(1));

    let first = stage.complete(&gateway, &request).await.unwrap();
    let (heard, second) = stage.stream(&gateway, &request).await;
    let second = second.unwrap();

    assert!(!first.cached && second.cached);
    assert_eq!((heard.text, second.text), (first.text.clone(), first.text));
    assert_eq!((second.cost.micros, second.usage.output), (0, 0));
    assert_eq!(stage.provider.asked("small-1"), 2);
    // Another question, another tenant, another time: each is asked.
    request.temperature = Some(0.5);
    assert!(!stage.complete(&gateway, &request).await.unwrap().cached);
    request.temperature = None;
    stage.assert_sums().await;
    stage.clock.advance(Duration::from_secs(61));
    assert!(!stage.complete(&gateway, &request).await.unwrap().cached);
    stage.spender.org = Id::new(Uuid::from_u128(99));
    assert!(!stage.complete(&gateway, &request).await.unwrap().cached);
}

#[tokio::test]
async fn texts_become_vectors_where_a_target_can_do_that() {
    let stage = Stage::new();
    let chat = stage.provider.target("small-1");
    let both = stage.provider.target_with(
        "both",
        &json!({"embeddings": "vectors-1", "price": {"input_micros_per_million": 1_000_000,
            "output_micros_per_million": 1_000_000, "embedding_micros_per_million": 2_000_000}}),
    );
    let gateway = stage.gateway_to(vec![chat.clone(), both]);
    let texts = ["one two three".to_owned(), "four".to_owned()];

    let vectors = gateway
        .embed(&stage.spender, stage.call(), &texts, stage.deadline())
        .await
        .unwrap();
    let none = stage
        .gateway_to(vec![chat])
        .embed(&stage.spender, stage.call(), &texts, stage.deadline())
        .await;

    assert_eq!(vectors.vectors, [vec![13.0, 1.0, 0.5], vec![4.0, 1.0, 0.5]]);
    assert_eq!(
        (vectors.model.as_str(), vectors.target.as_str()),
        ("vectors-1", "both")
    );
    assert_eq!((vectors.usage.input, vectors.cost.micros), (4, 8));
    assert_eq!(none, Err(ModelError::NoTarget));
    assert_eq!(stage.assert_sums().await, 8);
}

#[tokio::test]
async fn a_call_of_one_id_is_made_once() {
    let stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);
    let (call, request) = (stage.call(), ask("one two", 100));
    let made = gateway
        .complete(&stage.spender, call, &request, stage.deadline())
        .await;

    let again = gateway
        .complete(&stage.spender, call, &request, stage.deadline())
        .await;

    assert!(made.is_ok());
    assert_eq!(again, Err(ModelError::CallUsed));
    assert_eq!(stage.assert_sums().await, 62);
}

#[tokio::test]
async fn an_estimate_is_never_less_than_the_cost() {
    let stage = Stage::new();
    let dear = json!({"price": {"input_micros_per_million": 9_000_000, "output_micros_per_million": 9_000_000}});
    let gateway = stage.gateway_to(vec![
        stage.provider.target("small-1"),
        stage.provider.target_with("dear", &dear),
    ]);

    let estimate = gateway.estimate(&ask("one two", 100)).unwrap();
    let answer = stage
        .complete(&gateway, &ask("one two", 100))
        .await
        .unwrap();

    assert!(estimate.micros >= 900, "the dearest target's price counts");
    assert!(estimate.micros >= answer.cost.micros);
}

#[tokio::test]
async fn texts_are_moderated_by_the_next_target_that_can() {
    let stage = Stage::new();
    let dead = stage.provider.target_with(
        "small",
        &json!({"name": "dead", "base_url": "http://127.0.0.1:9/v1", "moderation": "judge"}),
    );
    let unable = stage.provider.target("small");
    let able = stage
        .provider
        .target_with("other", &json!({"name": "able", "moderation": "judge"}));
    let gateway = stage.gateway_to(vec![unable, dead, able]);
    let texts = |text: &str| vec!["fine".to_owned(), text.to_owned()];

    let fit = gateway.moderate(&texts("fine too"), stage.deadline()).await;
    let unfit = gateway.moderate(&texts(UNFIT_TEXT), stage.deadline()).await;

    assert!(!fit.unwrap().flagged);
    assert_eq!(unfit.unwrap().categories, ["violence"]);
}

#[tokio::test]
async fn without_a_verdict_there_is_an_error() {
    let stage = Stage::new();
    let unable = stage.gateway_to(vec![stage.provider.target("small")]);
    let dead = stage.provider.target_with(
        "small",
        &json!({"base_url": "http://127.0.0.1:9/v1", "moderation": "judge"}),
    );
    let dead = stage.gateway_to(vec![dead]);
    let texts = ["fine".to_owned()];

    let unable = unable.moderate(&texts, stage.deadline()).await;
    let dead = dead.moderate(&texts, stage.deadline()).await;

    assert!(matches!(unable, Err(ModelError::NoTarget)));
    assert!(matches!(dead, Err(ModelError::Failed { .. })));
}
