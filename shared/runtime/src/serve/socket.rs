//! Answers a WebSocket API of API Gateway: a connection opens, speaks, closes.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use domain::Locale;
use futures::FutureExt;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::Instrument;

use crate::Error;
use crate::problem::{self, Problem};

/// Something that a connection did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketEvent {
    /// The gateway's id of the connection: where answers are sent, through [`ports::sockets::Sockets`].
    pub connection: String,
    /// What it did.
    pub moment: Moment,
}

/// What a connection did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It asks to be opened: the one moment at which it can be refused, and at which nothing can be sent to it.
    Opens(Handshake),
    /// It sent this text.
    Says(String),
    /// It is closed, by whichever side. The gateway tries to say so and does not promise to.
    Closes,
}

/// What the client's request to open says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The parameters of the address; of a repeated one the last.
    pub query: BTreeMap<String, String>,
    /// By `Accept-Language`.
    pub locale: Locale,
}

/// Serves a WebSocket API. A problem refuses a connection that opens; at any other moment the client
/// gets the gateway's own message of failure, so that what is wrong with a message is better said in a
/// text. A closing is told once, so that what it leaves behind has to be found again in another way.
pub async fn socket<F>(handle: F) -> Result<(), Error>
where
    F: AsyncFn(SocketEvent) -> Result<(), Problem>,
{
    let handle = &handle;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        Ok::<_, Error>(answer(&event.payload, handle).await?)
    }))
    .await
}

/// Reads an event as it is served.
pub(crate) fn socket_event_of(event: &Value) -> Result<SocketEvent, String> {
    let event = Proxied::deserialize(event).map_err(|e| format!("not a socket's event: {e}"))?;
    let moment = match event.request_context.event_type {
        EventType::Connect => Moment::Opens(event.handshake()),
        EventType::Message => Moment::Says(event.body.unwrap_or_default()),
        EventType::Disconnect => Moment::Closes,
    };
    Ok(SocketEvent {
        connection: event.request_context.connection_id,
        moment,
    })
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Answer {
    #[serde(rename = "statusCode")]
    status: u16,
}

async fn answer<F>(event: &Value, handle: &F) -> Result<Answer, String>
where
    F: AsyncFn(SocketEvent) -> Result<(), Problem>,
{
    let request = event["requestContext"]["requestId"]
        .as_str()
        .unwrap_or_default();
    let kind = event["requestContext"]["eventType"]
        .as_str()
        .unwrap_or_default();
    let span = tracing::info_span!("socket", request_id = request, moment = kind);
    let event = socket_event_of(event)?;
    let handled = AssertUnwindSafe(handle(event)).catch_unwind();
    async {
        let problem = match handled.await {
            Ok(Ok(())) => {
                tracing::info!(status = 200, "socket event finished");
                return Ok(Answer { status: 200 });
            }
            Ok(Err(problem)) => problem,
            Err(_) => {
                tracing::error!("a socket's handler panicked");
                Problem::new(&problem::INTERNAL_ERROR)
            }
        };
        let code = problem.code();
        tracing::info!(
            status = code.status,
            code = code.code,
            "socket event finished"
        );
        Ok(Answer {
            status: code.status,
        })
    }
    .instrument(span)
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proxied {
    request_context: Context,
    headers: Option<BTreeMap<String, String>>,
    query_string_parameters: Option<BTreeMap<String, String>>,
    body: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    connection_id: String,
    event_type: EventType,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum EventType {
    Connect,
    Message,
    Disconnect,
}

impl Proxied {
    fn handshake(&self) -> Handshake {
        let accepts = self.headers.iter().flatten();
        let mut accepts = accepts.filter(|(name, _)| name.eq_ignore_ascii_case("accept-language"));
        Handshake {
            query: self.query_string_parameters.clone().unwrap_or_default(),
            locale: accepts
                .next()
                .map_or_else(Locale::default, |(_, value)| Locale::negotiate(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(kind: &str) -> Value {
        json!({
            "requestContext": {
                "routeKey": "$default", "eventType": kind, "connectionId": "L0SM9cOFvHcCIhw=",
                "requestId": "request-1", "connectedAt": 1_767_323_045_000_i64
            },
            "isBase64Encoded": false
        })
    }

    async fn served(event: &Value, outcome: Result<(), Problem>) -> Result<Answer, String> {
        answer(event, &async |_: SocketEvent| outcome.clone()).await
    }

    #[test]
    fn a_handshake_has_its_query_and_its_language() {
        let mut connect = event("CONNECT");
        connect["headers"] =
            json!({"Accept-Language": "es-ES,es;q=0.9", "Host": "api.example.com"});
        connect["queryStringParameters"] = json!({"ticket": "abc"});

        let read = socket_event_of(&connect).unwrap();

        assert_eq!(read.connection, "L0SM9cOFvHcCIhw=");
        let Moment::Opens(handshake) = read.moment else {
            panic!("a connection that opens")
        };
        assert_eq!(handshake.locale, Locale::Es);
        assert_eq!(handshake.query["ticket"], "abc");
    }

    #[test]
    fn what_the_gateway_leaves_out_or_sets_to_null_is_absent() {
        let mut connect = event("CONNECT");
        connect["queryStringParameters"] = Value::Null;

        let opens = socket_event_of(&connect).unwrap().moment;
        let closes = socket_event_of(&event("DISCONNECT")).unwrap().moment;

        assert_eq!(opens, Moment::Opens(Handshake::default()));
        assert_eq!(closes, Moment::Closes);
        assert!(socket_event_of(&event("PING")).is_err());
        assert!(socket_event_of(&json!({})).is_err());
    }

    #[tokio::test]
    async fn a_problem_is_the_status_of_the_answer() {
        let refused = Err(Problem::new(&problem::TOKEN_INVALID));

        let (open, refused) = (
            served(&event("CONNECT"), Ok(())).await,
            served(&event("CONNECT"), refused).await,
        );

        assert_eq!(open, Ok(Answer { status: 200 }));
        assert_eq!(refused, Ok(Answer { status: 401 }));
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_that_says_nothing() {
        let panics = async |_: SocketEvent| -> Result<(), Problem> { panic!("on purpose") };

        let said = answer(&event("MESSAGE"), &panics).await;

        assert_eq!(said, Ok(Answer { status: 500 }));
    }
}
