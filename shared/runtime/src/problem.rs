//! Every refusal and failure as `application/problem+json` (RFC 9457), in the caller's language.

use axum::response::{IntoResponse, Response};
use domain::{Locale, Text};
use http::{HeaderName, HeaderValue, StatusCode, header};
use ports::PortError;
use serde::Serialize;

/// A kind of problem: what a program tells apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable, `snake_case`, unique in the fleet.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// The same for every problem of this kind.
    pub title: Text,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $code:literal, $es:literal, $en:literal;)*) => {
        $($(#[$doc])* pub static $name: Code = Code { code: $code, status: $status, title: Text::fixed($es, $en) };)*

        /// The platform's own codes, which any route may answer with.
        pub static PLATFORM: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    /// The body is not JSON, or not of the described shape.
    BODY_INVALID = 400 "body_invalid", "El cuerpo de la petición no es válido", "The request body is not valid";
    /// A parameter of the path or the query is not of the described shape.
    PARAMETER_INVALID = 400 "parameter_invalid", "Un parámetro no es válido", "A parameter is not valid";
    /// `Idempotency-Key` is empty, too long, or not visible ASCII.
    IDEMPOTENCY_KEY_INVALID = 400 "idempotency_key_invalid", "La clave de idempotencia no es válida", "The idempotency key is not valid";
    /// Neither `Authorization: Bearer …` nor `X-Api-Key` where one is needed.
    TOKEN_MISSING = 401 "token_missing", "Falta el token de acceso", "The access token is missing";
    /// The token is not one of ours, or was changed.
    TOKEN_INVALID = 401 "token_invalid", "El token de acceso no es válido", "The access token is not valid";
    /// The token was good once.
    TOKEN_EXPIRED = 401 "token_expired", "El token de acceso ha caducado", "The access token has expired";
    /// An ID token or a refresh token stands where an access token belongs.
    WRONG_TOKEN_USE = 401 "wrong_token_use", "Este token no es un token de acceso", "This token is not an access token";
    /// Not an API key of ours, or one that was revoked or is past its time.
    API_KEY_INVALID = 401 "api_key_invalid", "La clave de API no es válida", "The API key is not valid";
    /// A token and a key in one request: whose word would count?
    CREDENTIALS_AMBIGUOUS = 400 "credentials_ambiguous", "Envía un token o una clave de API, no ambos", "Send a token or an API key, not both";
    /// The session was signed out, or the password was set anew.
    SESSION_REVOKED = 401 "session_revoked", "La sesión ha terminado", "The session has ended";
    /// `X-Organisation` names one that the caller does not belong to.
    NOT_A_MEMBER = 403 "not_a_member", "No perteneces a esta organización", "You are not a member of this organisation";
    /// The caller's roles do not include what the route needs.
    PERMISSION_DENIED = 403 "permission_denied", "No tienes permiso para esto", "You may not do this";
    /// The request came with an API key, and the route is for people.
    PERSON_REQUIRED = 403 "person_required", "Esto solo puede hacerlo una persona que haya iniciado sesión", "Only a person who has signed in may do this";
    /// No such route, or nothing there that the caller can see.
    NOT_FOUND = 404 "not_found", "No existe", "Not found";
    /// The path exists, with other methods.
    METHOD_NOT_ALLOWED = 405 "method_not_allowed", "Método no permitido", "Method not allowed";
    /// The first request with this `Idempotency-Key` is still being worked on.
    REQUEST_IN_PROGRESS = 409 "request_in_progress", "La misma petición está en curso", "The same request is in progress";
    /// `If-Match` names a version that is no longer current.
    VERSION_MISMATCH = 412 "version_mismatch", "El recurso ha cambiado entretanto", "The resource has changed meanwhile";
    /// The body is larger than the route takes.
    BODY_TOO_LARGE = 413 "body_too_large", "El cuerpo de la petición es demasiado grande", "The request body is too large";
    /// The body is not declared as `application/json`.
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported_media_type", "Se espera application/json", "application/json is expected";
    /// The same `Idempotency-Key` came with another request.
    IDEMPOTENCY_KEY_REUSED = 422 "idempotency_key_reused", "La clave de idempotencia ya se usó con otra petición", "The idempotency key was used with another request";
    /// Fields that are of the right shape but not acceptable.
    VALIDATION_FAILED = 422 "validation_failed", "Hay datos que no son válidos", "Some data are not valid";
    /// More requests than the policy allows.
    RATE_LIMITED = 429 "rate_limited", "Demasiadas peticiones", "Too many requests";
    /// A mistake of ours.
    INTERNAL_ERROR = 500 "internal_error", "Error interno", "Internal error";
    /// Something that we depend on does not answer.
    UNAVAILABLE = 503 "unavailable", "Servicio no disponible por el momento", "Temporarily unavailable";
    /// The work did not fit the time that a request has.
    TIMED_OUT = 504 "timed_out", "La petición ha tardado demasiado", "The request took too long";
}

/// What is wrong with one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) into the request body, or the name of a parameter.
    pub pointer: String,
    /// For people.
    pub detail: Text,
}

/// A refusal or failure on its way to the caller.
#[derive(Clone, Debug)]
pub struct Problem {
    code: &'static Code,
    detail: Option<Text>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this kind that says no more than its title.
    pub const fn new(code: &'static Code) -> Self {
        Self {
            code,
            detail: None,
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Says what is wrong this time.
    #[must_use]
    pub fn detail(mut self, detail: Text) -> Self {
        self.detail = Some(detail);
        self
    }

    /// Names one more value that is wrong.
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, detail: Text) -> Self {
        self.errors.push(FieldError {
            pointer: pointer.into(),
            detail,
        });
        self
    }

    /// Names all values that are wrong.
    #[must_use]
    pub fn fields(mut self, errors: Vec<FieldError>) -> Self {
        self.errors.extend(errors);
        self
    }

    /// Says when to come back, in whole seconds, at least 1 (`Retry-After`, RFC 9110).
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, &seconds.max(1).to_string())
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Its kind.
    pub const fn code(&self) -> &'static Code {
        self.code
    }

    /// The body of the answer.
    pub fn body(&self, locale: Locale, instance: &str, request_id: &str) -> ProblemBody {
        let title = self.code.title.get(locale).to_owned();
        ProblemBody {
            kind: format!("urn:fleet:problem:{}", self.code.code),
            detail: self
                .detail
                .as_ref()
                .map_or_else(|| title.clone(), |d| d.get(locale).to_owned()),
            title,
            status: self.code.status,
            code: self.code.code.to_owned(),
            instance: instance.to_owned(),
            request_id: request_id.to_owned(),
            errors: self.errors.iter().map(|e| e.body(locale)).collect(),
        }
    }
}

impl FieldError {
    fn body(&self, locale: Locale) -> FieldErrorBody {
        FieldErrorBody {
            pointer: self.pointer.clone(),
            detail: self.detail.get(locale).to_owned(),
        }
    }
}

/// `application/problem+json`.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A URN that names the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:fleet:problem:validation_failed")]
    pub kind: String,
    /// The kind, for people.
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// The kind, for programs.
    #[schema(example = "validation_failed")]
    pub code: String,
    /// What is wrong this time.
    pub detail: String,
    /// The path that was asked for.
    pub instance: String,
    /// To be quoted when asking for help; the same as `X-Request-Id`.
    pub request_id: String,
    /// The values that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldErrorBody>,
}

/// One value that is wrong.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = FieldError)]
pub struct FieldErrorBody {
    /// JSON Pointer (RFC 6901) into the request body.
    #[schema(example = "/data/lines/0/quantity")]
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// The answer carries the problem as an extension; the platform's layer writes its body, because only
/// the layer knows the caller's language and the request's id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        for (name, value) in &self.headers {
            response.headers_mut().append(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The cause is logged here, once; the caller learns only that it is not their fault.
impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        match &error {
            PortError::Throttled { .. } | PortError::Unavailable { .. } => {
                tracing::warn!(error = %error, "a service is not available");
                Self::new(&UNAVAILABLE).retry_after(1)
            }
            PortError::Refused { .. } => {
                tracing::error!(error = %error, "a service refused a call");
                Self::new(&INTERNAL_ERROR)
            }
        }
    }
}
