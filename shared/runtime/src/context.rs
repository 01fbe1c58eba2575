//! What is known of a request before anybody looks at its body.

use std::time::Duration;

use domain::{Caller, Locale};
use http::{Extensions, HeaderMap, Method, header, request::Parts};
use jiff::Timestamp;
use lambda_http::request::RequestContext;
use ports::clock::Clock;
use ports::ids::Ids;

use crate::dialect::Dialect;
use crate::trace::TraceParent;

/// A request's circumstances; a handler may take it as an extractor.
#[derive(Clone, Debug)]
pub struct Context {
    /// The gateway's id of the request, answered as `X-Request-Id`.
    pub request_id: String,
    /// The caller's trace, or a new one.
    pub trace: TraceParent,
    /// By `Accept-Language`.
    pub locale: Locale,
    /// The address that the gateway saw: never taken from a header that the caller can write.
    pub source_ip: String,
    /// The method.
    pub method: Method,
    /// The path without its query.
    pub path: String,
    /// What the authorizer found out; nothing on public routes.
    pub(crate) authorizer: Option<Verdict>,
    /// When the answer must be on its way.
    pub deadline: Timestamp,
    /// The shape of the route's refusals.
    pub(crate) dialect: Dialect,
}

/// The authorizer's word.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// This caller.
    Caller(Box<Caller>),
    /// Nobody, because of this problem code.
    Refused(String),
}

/// How long a request may take where Lambda does not say (a test).
const DEFAULT_TIME: Duration = Duration::from_secs(25);

/// What is kept back from Lambda's time, so that an honest 504 is sent before Lambda cuts.
const RESERVE: Duration = Duration::from_millis(500);

impl Context {
    pub(crate) fn of(parts: &Parts, clock: &dyn Clock, ids: &dyn Ids) -> Self {
        let gateway = Gateway::of(&parts.extensions);
        let trace = text(&parts.headers, "traceparent")
            .and_then(|t| t.parse::<TraceParent>().ok())
            .map_or_else(|| TraceParent::start(ids), |t| t.child(ids));
        let now = clock.now();
        Self {
            request_id: gateway
                .request_id
                .unwrap_or_else(|| ids.uuid(now).simple().to_string()),
            trace,
            locale: parts
                .headers
                .get(header::ACCEPT_LANGUAGE)
                .and_then(|v| v.to_str().ok())
                .map_or_else(Locale::default, Locale::negotiate),
            source_ip: gateway.source_ip.unwrap_or_else(|| "unknown".to_owned()),
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            authorizer: gateway.verdict,
            deadline: deadline(&parts.extensions, now),
            dialect: Dialect::default(),
        }
    }

    /// The caller, if the authorizer let one through.
    pub fn caller(&self) -> Option<&Caller> {
        match &self.authorizer {
            Some(Verdict::Caller(caller)) => Some(caller),
            _ => None,
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn deadline(extensions: &Extensions, now: Timestamp) -> Timestamp {
    let by_lambda = extensions
        .get::<lambda_http::Context>()
        .and_then(|context| i64::try_from(context.deadline).ok())
        .filter(|millis| *millis > 0)
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .and_then(|at| at.checked_sub(RESERVE).ok());
    by_lambda.unwrap_or_else(|| now.checked_add(DEFAULT_TIME).unwrap_or(now))
}

/// The part of the API Gateway event (payload 2.0) that a request's circumstances come from.
#[derive(Default)]
struct Gateway {
    request_id: Option<String>,
    source_ip: Option<String>,
    verdict: Option<Verdict>,
}

impl Gateway {
    fn of(extensions: &Extensions) -> Self {
        let Some(RequestContext::ApiGatewayV2(context)) = extensions.get::<RequestContext>() else {
            return Self::default();
        };
        let fields = context
            .authorizer
            .as_ref()
            .map(|authorizer| &authorizer.fields);
        let field = |name: &str| fields?.get(name)?.as_str();
        let verdict = match (field("caller"), field("refused")) {
            (_, Some(code)) => Some(Verdict::Refused(code.to_owned())),
            (Some(caller), None) => Some(match serde_json::from_str(caller) {
                Ok(caller) => Verdict::Caller(Box::new(caller)),
                Err(error) => {
                    tracing::error!(%error, "the authorizer sent a caller of another shape");
                    Verdict::Refused("token_invalid".to_owned())
                }
            }),
            (None, None) => None,
        };
        Self {
            request_id: context.request_id.clone(),
            source_ip: context.http.source_ip.clone(),
            verdict,
        }
    }
}
