//! The API over memory ports and the real renderer: requests as the gateway hands them over, answers
//! as a caller sees them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod brand;
mod cut;
mod derive;
mod pictures;
mod refusals;
mod samples;
mod story;
mod templates;
mod word;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use documents::batch::Batches;
use documents::brand::Logos;
use documents::renderer::Renderer;
use documents::template::Template;
use documents::{Documents, api, batch_api};
use http_body_util::BodyExt;
use lambda_http::RequestExt;
use lambda_http::http::{HeaderMap, Request, StatusCode};
use ports::blobs::MemoryBlobs;
use ports::clock::{Clock, ManualClock};
use ports::ids::SequentialIds;
use ports::table::Item;
use ports::table::memory::MemoryTable;
use runtime::{Api, Platform};
use serde_json::{Value, json};
use tower::ServiceExt;

const NOW: &str = "2026-11-24T10:11:12Z";

/// The function with everything around it in memory.
struct Function {
    router: Router,
    table: Arc<MemoryTable>,
    blobs: Arc<MemoryBlobs>,
    clock: Arc<ManualClock>,
}

/// An answer as its caller sees it.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Function {
    fn new() -> Self {
        Self::over(Renderer::new(env!("CARGO_BIN_EXE_documents-render")))
    }

    fn over(renderer: Renderer) -> Self {
        let clock = ManualClock::at_text(NOW);
        let (table, blobs) = (MemoryTable::shared(), MemoryBlobs::shared(clock.clone()));
        let ids = SequentialIds::shared();
        let documents = Documents {
            table: table.clone(),
            blobs: blobs.clone(),
            renderer,
            logos: Logos::default(),
            // However busy the machine is: what is asked of this world is asked at once.
            patience: Duration::from_mins(1),
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let platform = Platform {
            requests: MemoryTable::shared(),
            clock: clock.clone(),
            ids,
        };
        let documents = Arc::new(documents);
        let batches = Batches {
            documents: documents.clone(),
        };
        let routes = api::routes(documents).merge(batch_api::routes(batches));
        let api = Api::new(routes, platform).unwrap();
        Self {
            router: api.router(),
            table,
            blobs,
            clock,
        }
    }

    /// Hands over an event of API Gateway (payload 2.0).
    async fn handle(&self, event: &Value) -> Answer {
        let request = lambda_http::request::from_str(&event.to_string()).unwrap();
        let (parts, body) = request
            .with_lambda_context(lambda_http::Context::default())
            .into_parts();
        let request = Request::from_parts(parts, Body::from(body.to_vec()));
        let (parts, body) = self
            .router
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .into_parts();
        let octets = body.collect().await.unwrap().to_bytes();
        let body = if octets.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&octets).unwrap()
        };
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    async fn ask(&self, caller: &Value, method: &str, path: &str) -> Answer {
        self.handle(&event(caller, method, path, None)).await
    }

    async fn create(&self, caller: &Value, template: &str, data: &Value) -> Answer {
        let body = json!({ "template": template, "data": data, "format": "pdf" });
        self.handle(&event(caller, "POST", "/v1/documents", Some(&body)))
            .await
    }

    fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }
}

/// A member of an organisation; equal numbers are the same organisation.
fn caller(organisation: u32, role: &str) -> Value {
    let role: domain::OrganisationRole = serde_json::from_value(json!(role)).unwrap();
    let caller = domain::Caller::new(
        format!("usr_{organisation:032x}").parse().unwrap(),
        format!("org_{organisation:032x}").parse().unwrap(),
        format!("ses_{organisation:032x}").parse().unwrap(),
        domain::PlatformRole::User,
        Some(role),
    );
    serde_json::to_value(caller).unwrap()
}

fn owner() -> Value {
    caller(1, "owner")
}

/// A request as the gateway hands it over after the authorizer.
fn event(caller: &Value, method: &str, target: &str, body: Option<&Value>) -> Value {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": { "content-type": "application/json", "accept-language": "en", "host": "api.example.com" },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "example",
            "authorizer": { "lambda": { "caller": caller.to_string() } },
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.10", "userAgent": "example-client/1.0",
            },
            "requestId": "request-1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "24/Nov/2026:10:11:12 +0000",
            "timeEpoch": 1_795_515_072_000_i64,
        },
        "isBase64Encoded": false,
    });
    if let Some(body) = body {
        event["body"] = json!(body.to_string());
    }
    event
}

/// The English sample of a template.
fn sample(template: Template) -> Value {
    template.samples()[1].clone()
}

/// The type of the event that a row announces; nothing for another row.
fn announced(row: &Item) -> &str {
    let envelope = row.attributes.get("envelope");
    envelope
        .and_then(|envelope| envelope["type"].as_str())
        .unwrap_or_default()
}
