//! What adapters make of answers that no emulator gives: throttled, cancelled, lost on the way.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws::Clients;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::config::Credentials;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use domain::{Envelope, Event, Id};
use ports::PortError;
use ports::clock::ManualClock;
use ports::identity::{IdentityError, SignIn};
use ports::queue::Message;
use ports::table::{Count, Counted, Guard, If, Item, Key, Query, Write, WriteError};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

/// A service that says what it was told to, call after call.
#[derive(Clone, Debug)]
struct Replay(Arc<Mutex<Tape>>);

#[derive(Debug)]
struct Tape {
    answers: VecDeque<Answer>,
    calls: Vec<Value>,
}

#[derive(Debug)]
enum Answer {
    Of(u16, Value),
    /// The request arrives, the answer does not.
    Lost,
}

impl Replay {
    /// Clients of this service, and what it was asked.
    async fn clients(answers: Vec<Answer>) -> (Clients, Arc<ManualClock>, Self) {
        let replay = Self(Arc::new(Mutex::new(Tape {
            answers: answers.into(),
            calls: vec![],
        })));
        let clock = ManualClock::at_text("2026-01-02T03:04:05Z");
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "replay"))
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_micros(1)))
            .http_client(replay.clone())
            .load()
            .await;
        (Clients::new(config, clock.clone()), clock, replay)
    }

    /// The bodies of the calls so far.
    fn calls(&self) -> Vec<Value> {
        self.0.lock().unwrap().calls.clone()
    }
}

impl HttpConnector for Replay {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut tape = self.0.lock().unwrap();
        tape.calls
            .push(serde_json::from_slice(request.body().bytes().unwrap()).unwrap_or_default());
        HttpConnectorFuture::ready(
            match tape.answers.pop_front().expect("no call beyond the tape") {
                Answer::Lost => Err(ConnectorError::io("reset by peer".into())),
                Answer::Of(status, body) => {
                    let status = StatusCode::try_from(status).unwrap();
                    Ok(HttpResponse::new(status, SdkBody::from(body.to_string())))
                }
            },
        )
    }
}

impl HttpClient for Replay {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn done(body: Value) -> Answer {
    Answer::Of(200, body)
}

fn error(code: &str) -> Answer {
    Answer::Of(
        400,
        json!({"__type": code, "message": "about ana@example.com"}),
    )
}

fn cancelled(reasons: &[&str]) -> Answer {
    let reasons: Vec<Value> = reasons.iter().map(|code| json!({"Code": code})).collect();
    let code = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    Answer::Of(
        400,
        json!({"__type": code, "Message": "cancelled", "CancellationReasons": reasons}),
    )
}

fn first_write() -> Vec<Write> {
    let row = Item::new(Key::new("org_1", "a"), &json!({"name": "a"}));
    vec![
        Write::Put(row, If::Absent),
        Write::Check(Key::new("org_1", "b"), If::Present),
    ]
}

async fn write_answered_by(answers: Vec<Answer>) -> Result<(), WriteError> {
    let (clients, ..) = Replay::clients(answers).await;
    clients.table("fleet").write(first_write()).await
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_repeated_as_the_same_transaction() {
    let (clients, _, replay) = Replay::clients(vec![Answer::Lost, done(json!({}))]).await;

    let answer = clients.table("fleet").write(first_write()).await;

    let calls = replay.calls();
    assert_eq!(answer, Ok(()));
    assert_eq!(calls.len(), 2);
    assert!(calls[0]["ClientRequestToken"].is_string());
    assert_eq!(calls[0], calls[1]);
}

#[tokio::test]
async fn a_cancelled_transaction_says_which_conditions_failed() {
    let both = cancelled(&["ConditionalCheckFailed", "ConditionalCheckFailed"]);
    let second = cancelled(&["TransactionConflict", "ConditionalCheckFailed"]);

    assert_eq!(
        write_answered_by(vec![both]).await,
        Err(WriteError::Condition(vec![0, 1]))
    );
    assert_eq!(
        write_answered_by(vec![second]).await,
        Err(WriteError::Condition(vec![1]))
    );
}

#[tokio::test]
async fn a_transaction_that_met_another_one_may_be_tried_again() {
    let met = cancelled(&["None", "TransactionConflict"]);

    assert_eq!(
        write_answered_by(vec![met]).await,
        Err(WriteError::Conflict)
    );
}

#[tokio::test]
async fn a_transaction_cancelled_for_want_of_capacity_is_throttled() {
    for code in ["ThrottlingError", "ProvisionedThroughputExceeded"] {
        let answer = write_answered_by(vec![cancelled(&["None", code])]).await;

        assert!(
            matches!(answer, Err(WriteError::Port(PortError::Throttled { .. }))),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn failures_are_told_apart_by_what_a_retry_can_do() {
    let thrice = |answer: fn() -> Answer| vec![answer(), answer(), answer()];
    let asked = async |answers| {
        let (clients, _, replay) = Replay::clients(answers).await;
        let answer = clients
            .table("fleet")
            .query(&Query::prefix("org_1", ""))
            .await;
        (answer.unwrap_err(), replay.calls().len())
    };

    let (throttled, tries) = asked(thrice(|| error("ThrottlingException"))).await;
    assert!(
        matches!(throttled, PortError::Throttled { .. }),
        "{throttled}"
    );
    assert_eq!(tries, 3);
    let (broken, tries) = asked(thrice(|| {
        Answer::Of(500, json!({"__type": "InternalServerError"}))
    }))
    .await;
    assert!(matches!(broken, PortError::Unavailable { .. }), "{broken}");
    assert_eq!(tries, 3);
    let (silent, tries) = asked(thrice(|| Answer::Lost)).await;
    assert!(matches!(silent, PortError::Unavailable { .. }), "{silent}");
    assert_eq!(tries, 3);
    let (denied, tries) = asked(vec![error("AccessDeniedException")]).await;
    assert!(matches!(denied, PortError::Refused { .. }), "{denied}");
    assert_eq!(tries, 1);
}

#[tokio::test]
async fn a_write_without_a_condition_costs_no_transaction() {
    let (clients, _, replay) = Replay::clients(vec![done(json!({}))]).await;
    let row = Item::new(Key::new("org_1", "a"), &json!({}));

    clients
        .table("fleet")
        .write(vec![Write::Put(row, If::Always)])
        .await
        .unwrap();

    assert_eq!(replay.calls()[0]["Item"]["pk"], json!({"S": "org_1"}));
}

#[tokio::test]
async fn a_refused_count_gives_the_numbers_as_they_stand() {
    let code = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
    let row =
        json!({"pk": {"S": "usr_1"}, "sk": {"S": "w"}, "version": {"N": "0"}, "used": {"N": "7"}});
    let refusal = Answer::Of(400, json!({"__type": code, "message": "no", "Item": row}));
    let (clients, _, replay) = Replay::clients(vec![refusal]).await;
    let count = Count {
        key: Key::new("usr_1", "w"),
        guards: vec![Guard::AtMost("used".into(), 6)],
        add: vec![("used".into(), 1)],
        set: vec![],
        remove: vec![],
        expires_at: None,
    };

    let answer = clients.table("fleet").count(count).await;

    assert_eq!(
        answer,
        Ok(Counted::Refused([("used".to_owned(), 7)].into()))
    );
    assert_eq!(
        replay.calls()[0]["ReturnValuesOnConditionCheckFailure"],
        "ALL_OLD"
    );
}

#[tokio::test]
async fn a_publication_stops_at_the_first_event_that_was_not_taken() {
    let taken = || json!({"EventId": "1"});
    let full = done(json!({"FailedEntryCount": 0, "Entries": vec![taken(); 10]}));
    let failed = json!({"ErrorCode": "ThrottlingException", "ErrorMessage": "later"});
    let holed = done(
        json!({"FailedEntryCount": 1, "Entries": [taken(), taken(), failed, taken(), taken()]}),
    );
    let (clients, ..) = Replay::clients(vec![full, holed]).await;
    let event = |n| Envelope {
        id: Id::new(Uuid::from_u128(n)),
        time: "2026-01-02T03:04:05Z".parse().unwrap(),
        version: 1,
        org: Id::new(Uuid::from_u128(1)),
        trace: None,
        causation: None,
        event: Event::UserConfirmed {
            user: Id::new(Uuid::from_u128(n)),
        },
    };
    let events: Vec<Envelope> = (0..15).map(event).collect();

    let stopped = clients.bus("fleet").publish(&events).await.unwrap_err();

    assert_eq!(stopped.published, 12);
    assert!(matches!(stopped.cause, PortError::Throttled { .. }));
}

#[tokio::test]
async fn a_message_that_was_not_taken_fails_the_send() {
    let entry = |fault| json!({"Id": "0", "Code": "InternalError", "SenderFault": fault});
    let sent = async |fault| {
        let answer = done(json!({"Successful": [], "Failed": [entry(fault)]}));
        let (clients, ..) = Replay::clients(vec![answer]).await;
        clients
            .queue("https://sqs.eu-west-1.amazonaws.com/1/q")
            .send(vec![Message::new("{}".into())])
            .await
    };

    assert!(matches!(
        sent(false).await,
        Err(PortError::Unavailable { .. })
    ));
    assert!(matches!(sent(true).await, Err(PortError::Refused { .. })));
}

#[tokio::test]
async fn a_secret_is_read_again_after_five_minutes() {
    let value = |text| done(json!({"SecretString": text}));
    let (clients, clock, _) = Replay::clients(vec![value("old"), value("new")]).await;
    let secrets = clients.secrets();
    let read = async || {
        secrets
            .get("refresh")
            .await
            .unwrap()
            .expose_secret()
            .to_owned()
    };

    assert_eq!(read().await, "old");
    clock.advance(Duration::from_secs(299));
    assert_eq!(read().await, "old");
    clock.advance(Duration::from_secs(1));
    assert_eq!(read().await, "new");
}

#[tokio::test]
async fn the_pool_asks_for_a_second_factor_and_hears_the_persons_own_name_for_it() {
    let asked = done(json!({
        "ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": "opaque:1", "ChallengeParameters": {"USER_ID_FOR_SRP": "sub-1"},
    }));
    let admitted = done(
        json!({"AuthenticationResult": {"AccessToken": "a", "RefreshToken": "r", "ExpiresIn": 900}}),
    );
    let (clients, _, replay) = Replay::clients(vec![asked, admitted]).await;
    let (identity, email) = (
        clients.identity("pool", "client"),
        "ana@example.com".parse().unwrap(),
    );

    let SignIn::TotpChallenge { session } = identity
        .sign_in(&email, &"a password".into())
        .await
        .unwrap()
    else {
        panic!("a challenge was asked");
    };
    let tokens = identity
        .answer_totp(&email, &session, "123456")
        .await
        .unwrap();

    assert_eq!(tokens.expires_in, Duration::from_mins(15));
    let answer = &replay.calls()[1];
    assert_eq!(
        (
            &answer["Session"],
            &answer["ChallengeResponses"]["USERNAME"]
        ),
        (&json!("opaque:1"), &json!("sub-1"))
    );
}

async fn sign_in_answered_by(answers: Vec<Answer>) -> IdentityError {
    let (clients, ..) = Replay::clients(answers).await;
    let identity = clients.identity("pool", "client");
    let email = "ana@example.com".parse().unwrap();
    identity
        .sign_in(&email, &"a password".into())
        .await
        .unwrap_err()
}

#[tokio::test]
async fn the_pool_has_two_names_for_too_many_tries() {
    let locked =
        json!({"__type": "NotAuthorizedException", "message": "Password attempts exceeded"});
    // The SDK takes the second for throttling and tries three times.
    let limited = (0..3).map(|_| error("LimitExceededException")).collect();

    assert_eq!(
        sign_in_answered_by(vec![Answer::Of(400, locked)]).await,
        IdentityError::TooManyTries
    );
    assert_eq!(
        sign_in_answered_by(limited).await,
        IdentityError::TooManyTries
    );
}

#[tokio::test]
async fn what_the_pool_says_of_a_person_stays_out_of_the_logs() {
    let refused = sign_in_answered_by(vec![error("SomethingNewException")]).await;

    assert_eq!(
        refused.to_string(),
        "identity refused: SomethingNewException"
    );
}
