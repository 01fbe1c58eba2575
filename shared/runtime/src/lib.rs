//! How a function meets Lambda: what every function needs and none should write again.
//!
//! # A capability's HTTP API
//!
//! ```text
//! pub fn routes(documents: Arc<Documents>) -> OpenApiRouter {
//!     OpenApiRouter::new().routes(routes!(create)).with_state(documents)
//! }
//!
//! #[utoipa::path(
//!     post, path = "/v1/documents", tag = "documents",
//!     request_body = NewDocument,
//!     responses((status = 201, body = DocumentView), Refusals),
//!     security(("token" = ["documents:create"])),     // "session" = people only; security(()) = everybody
//! )]
//! async fn create(
//!     State(documents): State<Arc<Documents>>,
//!     caller: Caller,                                  // who asks; 401 without
//!     seed: Seed,                                      // the same in every retry of one request
//!     Json(new): Json<NewDocument>,                    // problem+json with pointers if it does not fit
//! ) -> Result<(StatusCode, axum::Json<DocumentView>), Problem> { … }
//! ```
//!
//! The `security` of the description is not a comment: [`Api::new`] reads it, refuses to build an API
//! with a route that has none, and checks it before any handler runs. So code, description and
//! enforcement cannot disagree.
//!
//! [`Api`] adds to every route: request id and trace, problems in the caller's language, permission,
//! rate limit, `Idempotency-Key` on POST, size limit, a time-out before Lambda's own, security headers
//! and one log line.
//!
//! # Everything that is not HTTP
//!
//! [`serve::queue`], [`serve::events`], [`serve::stream`], [`serve::schedule`], [`serve::socket`] and
//! [`serve::trigger`] are plain generic functions over an `async` closure; which messages of a batch failed is
//! theirs to say.

pub mod access;
pub mod api;
pub mod caller;
pub mod config;
pub mod context;
mod dialect;
pub mod etag;
pub mod fields;
pub mod idempotency;
pub mod json;
pub mod openapi;
pub mod outbound;
pub mod page;
pub mod problem;
pub mod rate_limit;
pub mod serve;
pub mod telemetry;
pub mod testing;
pub mod trace;

pub use api::{Api, Platform};
pub use caller::Caller;
pub use config::{ConfigError, Environment};
pub use context::Context;
pub use fields::Fields;
pub use idempotency::Seed;
pub use json::{Json, Path, Query};
pub use lambda_http::Error;
pub use openapi::Refusals;
pub use page::Listed;
pub use problem::{Code, Problem};
pub use telemetry::start;
