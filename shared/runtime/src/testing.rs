//! Calls an API as API Gateway would, without a network: the same event (payload 2.0), the same
//! conversion by `lambda_http`, the same router that Lambda serves.

use axum::Router;
use domain::{Caller, Envelope};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use crate::serve::{self, Change, SocketEvent};

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Call {
    method: String,
    path: String,
    query: String,
    headers: Map<String, Value>,
    body: Option<String>,
    authorizer: Value,
    source_ip: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's octets.
    pub body: Vec<u8>,
}

impl Call {
    /// A request without a body; the path may have a query.
    pub fn new(method: &str, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Map::new(),
            body: None,
            authorizer: Value::Null,
            source_ip: "192.0.2.1".to_owned(),
        }
    }

    /// The request that a gateway event holds, such as the samples in `events/`.
    pub fn of_event(event: &Value) -> Self {
        let http = &event["requestContext"]["http"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            method: text(&http["method"]),
            path: text(&event["rawPath"]),
            query: text(&event["rawQueryString"]),
            headers: event["headers"].as_object().cloned().unwrap_or_default(),
            body: event["body"].as_str().map(str::to_owned),
            authorizer: event["requestContext"]["authorizer"].clone(),
            source_ip: text(&http["sourceIp"]),
        }
    }

    /// `GET`.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// `POST` with a JSON body.
    pub fn post(path: &str, body: &Value) -> Self {
        Self::new("POST", path).json(body)
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(&body.to_string())
    }

    /// With this body, as it is.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    /// With this header; the name in lower case, as the gateway sends it.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), json!(value));
        self
    }

    /// From this address.
    #[must_use]
    pub fn from_ip(mut self, address: &str) -> Self {
        address.clone_into(&mut self.source_ip);
        self
    }

    /// As the authorizer lets this caller through.
    #[must_use]
    pub fn by(self, caller: &Caller) -> Self {
        let caller = serde_json::to_string(caller).unwrap_or_default();
        self.authorized(json!({ "caller": caller }))
    }

    /// As the authorizer refuses with this code.
    #[must_use]
    pub fn refused(self, code: &str) -> Self {
        self.authorized(json!({ "refused": code }))
    }

    /// With this context of the authorizer.
    #[must_use]
    pub fn authorized(mut self, context: Value) -> Self {
        self.authorizer = Value::Object(Map::from_iter([("lambda".to_owned(), context)]));
        self
    }

    /// The event that the gateway sends.
    pub fn event(&self) -> Value {
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": self.path,
            "rawQueryString": self.query,
            "headers": self.headers,
            "queryStringParameters": {},
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api",
                "authorizer": self.authorizer,
                "domainName": "api.example.com",
                "http": {
                    "method": self.method, "path": self.path, "protocol": "HTTP/1.1",
                    "sourceIp": self.source_ip, "userAgent": "test"
                },
                "requestId": "request-1",
                "routeKey": "$default",
                "stage": "$default",
                "time": "02/Jan/2026:03:04:05 +0000",
                "timeEpoch": 1_767_323_045_000_i64
            },
            "body": self.body,
            "isBase64Encoded": false
        })
    }

    /// Sends it.
    pub async fn send(&self, router: &Router) -> Answer {
        let request =
            lambda_http::request::from_str(&self.event().to_string()).expect("a gateway event");
        let request = request.map(|body| match body {
            lambda_http::Body::Text(text) => axum::body::Body::from(text),
            lambda_http::Body::Binary(octets) => axum::body::Body::from(octets),
            _ => axum::body::Body::empty(),
        });
        let response = router
            .clone()
            .oneshot(request)
            .await
            .expect("a router does not fail");
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .expect("a body in memory")
            .to_bytes()
            .to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The `code` of a problem, also of one in another API's shape, or nothing.
    pub fn code(&self) -> Option<String> {
        let body = self.json();
        let code = body["code"].as_str().or(body["error"]["code"].as_str());
        code.map(str::to_owned)
    }

    /// A header's text, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The domain events of a batch from a queue, as [`crate::serve::events`] reads them.
///
/// # Errors
/// What is wrong with the batch, or with the first message that is no event.
pub fn events_of(batch: &Value) -> Result<Vec<Envelope>, String> {
    serve::events_of(batch)
}

/// The changes of a batch from a table's stream, as [`crate::serve::changes`] reads them.
///
/// # Errors
/// What is wrong with the batch.
pub fn changes_of(batch: &Value) -> Result<Vec<Change>, String> {
    serve::changes_of(batch)
}

/// What a connection did, as [`crate::serve::socket`] reads it.
///
/// # Errors
/// What is wrong with the event.
pub fn socket_event_of(event: &Value) -> Result<SocketEvent, String> {
    serve::socket_event_of(event)
}
