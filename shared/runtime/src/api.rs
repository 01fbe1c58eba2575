//! One router with everything that every route gets.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ports::clock::Clock;
use ports::ids::Ids;
use ports::table::Table;
use tracing::Instrument;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::access::{AccessTable, Undeclared};
use crate::context::Context;
use crate::dialect::Dialects;
use crate::idempotency::{self, Attempt, Claim, Seed};
use crate::problem::{self, Problem};
use crate::rate_limit::{Limiter, Policy, Standing};
use crate::{openapi, trace};

/// The largest body that a route takes, in octets.
pub const LARGEST_BODY: usize = 1024 * 1024;

/// The version of the API that answers announce.
const API_VERSION: &str = "1";

/// What the platform itself stands on.
#[derive(Clone)]
pub struct Platform {
    /// Rate-limit counters and idempotency records; shared by all functions.
    pub requests: Arc<dyn Table>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Request ids, traces, seeds.
    pub ids: Arc<dyn Ids>,
}

/// A capability's routes with the platform around them.
pub struct Api {
    router: Router,
    description: OpenApi,
    access: Arc<AccessTable>,
}

impl Api {
    /// Puts the platform around these routes.
    ///
    /// # Errors
    /// [`Undeclared`] if a route does not say who may call it.
    pub fn new(declared: OpenApiRouter, platform: Platform) -> Result<Self, Undeclared> {
        let (handlers, mut description) = declared.split_for_parts();
        let access = Arc::new(AccessTable::read(&description)?);
        let dialects = Dialects::read(&description);
        openapi::finish(&mut description);
        let limiter = Limiter::new(
            platform.requests.clone(),
            platform.clock.clone(),
            Policy::PER_CALLER,
        );
        let layer = Arc::new(Layer {
            platform,
            limiter,
            access: access.clone(),
            dialects,
        });
        let router = handlers
            .fallback(async || Problem::new(&problem::NOT_FOUND))
            .method_not_allowed_fallback(async || Problem::new(&problem::METHOD_NOT_ALLOWED))
            .layer(middleware::from_fn_with_state(layer, platform_layer));
        Ok(Self {
            router,
            description,
            access,
        })
    }

    /// The service, for [`crate::serve::http`] and for tests.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// The description of the routes, `OpenAPI` 3.1.
    pub fn description(&self) -> &OpenApi {
        &self.description
    }

    /// Who may call what.
    pub fn access(&self) -> &AccessTable {
        &self.access
    }
}

struct Layer {
    platform: Platform,
    limiter: Limiter,
    access: Arc<AccessTable>,
    dialects: Dialects,
}

async fn platform_layer(State(layer): State<Arc<Layer>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut context = Context::of(&parts, &*layer.platform.clock, &*layer.platform.ids);
    let route = parts
        .extensions
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    context.dialect = layer.dialects.of(&context.method, route.as_deref());
    let span = tracing::info_span!(
        "request",
        request_id = %context.request_id,
        trace_id = %context.trace.trace_id(),
        user = context.caller().map(|c| c.user.to_string()),
        key = context.caller().and_then(|c| c.key).map(|key| key.to_string()),
        org = context.caller().map(|c| c.organisation.to_string()),
    );
    let handled = async {
        let started = layer.platform.clock.now();
        let answer = layer
            .handle(
                &context,
                route.as_deref(),
                Request::from_parts(parts, body),
                next,
            )
            .await;
        let response = dress(&context, answer);
        let elapsed = layer.platform.clock.now().duration_since(started);
        tracing::info!(
            method = %context.method,
            route = route.as_deref().unwrap_or("(none)"),
            status = response.status().as_u16(),
            duration_ms = elapsed.as_millis_f64(),
            "request finished"
        );
        response
    };
    trace::within(context.trace, handled.instrument(span)).await
}

impl Layer {
    async fn handle(
        &self,
        context: &Context,
        route: Option<&str>,
        request: Request,
        next: Next,
    ) -> Response {
        if context.method == Method::OPTIONS {
            // A preflight that the gateway's catch-all route passed on: it asks for nothing, and the gateway
            // writes the headers that it is about.
            return StatusCode::NO_CONTENT.into_response();
        }
        let Some(route) = route else {
            return next.run(request).await;
        };
        match self.admit(context, route).await {
            Err(problem) => problem.into_response(),
            Ok(standing) => {
                let mut response = match self.run(context, request, next).await {
                    Ok(response) => response,
                    Err(problem) => problem.into_response(),
                };
                if let Some(standing) = standing {
                    standing.write_on(&mut response);
                }
                response
            }
        }
    }

    /// Permission first: whoever may not call a route costs no write.
    async fn admit(&self, context: &Context, route: &str) -> Result<Option<Standing>, Problem> {
        self.access.check(context, route)?;
        if UNCOUNTED.contains(&route) {
            return Ok(None);
        }
        let caller = context.caller().map_or_else(
            || format!("ip:{}", context.source_ip),
            domain::Caller::actor,
        );
        Ok(Some(self.limiter.admit(&caller).await?))
    }

    async fn run(
        &self,
        context: &Context,
        request: Request,
        next: Next,
    ) -> Result<Response, Problem> {
        let Platform {
            requests,
            clock,
            ids,
        } = &self.platform;
        let (mut parts, body) = request.into_parts();
        let body = read(body).await?;
        let key = parts
            .headers
            .get(idempotency::HEADER)
            .filter(|_| parts.method == Method::POST)
            .cloned();
        let attempt = match key {
            None => None,
            Some(key) => {
                let query = parts.uri.query().unwrap_or_default();
                match idempotency::claim(
                    &**requests,
                    &**ids,
                    clock.now(),
                    context,
                    query,
                    &key,
                    &body,
                )
                .await?
                {
                    Claim::Replay(response) => return Ok(response),
                    Claim::Run(attempt) => Some(attempt),
                }
            }
        };
        parts.extensions.insert(
            attempt
                .as_ref()
                .map_or_else(|| Seed(ids.uuid(clock.now())), Attempt::seed),
        );
        parts.extensions.insert(context.clone());
        let response = guard(
            context,
            &**clock,
            next.run(Request::from_parts(parts, Body::from(body))),
        )
        .await;
        match attempt {
            None => Ok(response),
            Some(attempt) => self.store(context, attempt, response).await,
        }
    }

    /// Stores the answer as the caller will see it, so that a repeat is the same to the letter.
    async fn store(
        &self,
        context: &Context,
        attempt: Attempt,
        response: Response,
    ) -> Result<Response, Problem> {
        let Platform {
            requests,
            clock,
            ids,
        } = &self.platform;
        let (parts, body) = write_problem(context, response).into_parts();
        let body = body
            .collect()
            .await
            .map_err(|_| Problem::new(&problem::INTERNAL_ERROR))?
            .to_bytes();
        attempt
            .finish(
                &**requests,
                &**ids,
                clock.now(),
                parts.status,
                &parts.headers,
                &body,
            )
            .await;
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

/// Routes that are asked by machines every few seconds, and cost nothing.
const UNCOUNTED: [&str; 2] = ["/v1/health", "/v1/ready"];

async fn read(body: Body) -> Result<Bytes, Problem> {
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::new(&problem::BODY_TOO_LARGE)),
        Err(_) => Err(Problem::new(&problem::BODY_INVALID)),
    }
}

/// A panic is our mistake and answered as one; work that does not end in time is cut while the caller
/// can still be told.
async fn guard(
    context: &Context,
    clock: &dyn Clock,
    work: impl Future<Output = Response>,
) -> Response {
    let left = context.deadline.duration_since(clock.now());
    let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
    match tokio::time::timeout(left, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!("a handler panicked");
            Problem::new(&problem::INTERNAL_ERROR).into_response()
        }
        Err(_) => {
            tracing::error!("a handler did not finish in time");
            Problem::new(&problem::TIMED_OUT).into_response()
        }
    }
}

/// Headers of every answer. The API serves data, so nothing in it may be framed, run or sniffed.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::STRICT_TRANSPORT_SECURITY,
        "max-age=63072000; includeSubDomains",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("api-version"), API_VERSION),
];

fn dress(context: &Context, response: Response) -> Response {
    let mut response = write_problem(context, response);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers.append(
        header::VARY,
        HeaderValue::from_static("accept-language, authorization, origin, x-api-key"),
    );
    for (name, value) in [
        ("x-request-id", context.request_id.clone()),
        ("traceparent", context.trace.to_string()),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

/// Gives a problem its body, in the caller's language.
fn write_problem(context: &Context, mut response: Response) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let body = problem.body(context.locale, &context.path, &context.request_id);
    *response.body_mut() = Body::from(context.dialect.write(&body));
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(context.dialect.media_type()),
    );
    headers.insert(
        header::CONTENT_LANGUAGE,
        HeaderValue::from_static(context.locale.tag()),
    );
    if problem.code().status >= 500 {
        tracing::error!(code = problem.code().code, "answered with a failure");
    }
    debug_assert_ne!(
        response.status(),
        StatusCode::OK,
        "a problem has a status of its own"
    );
    response
}
