//! The description that an API gives of itself (`OpenAPI` 3.1), generated from its types.

use std::collections::BTreeMap;

use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, Content, InfoBuilder, OpenApi, RefOr, Response, ResponseBuilder,
};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::access::{Access, KEY_SCHEME, PEOPLE_SCHEME, SCHEME, declared};
use crate::problem::{FieldErrorBody, ProblemBody};

/// The refusals that any route may answer with; every route's `responses(…)` names it.
#[derive(Clone, Copy, Debug)]
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            ("400", "The request is not of the described shape"),
            ("401", "No valid access token or API key"),
            ("403", "Not permitted"),
            ("404", "Not found"),
            ("409", "Conflicts with the present state"),
            ("422", "Well-formed but not acceptable"),
            ("429", "Too many requests; see Retry-After"),
            ("500", "A mistake of ours"),
            ("503", "Temporarily unavailable; see Retry-After"),
        ]
        .into_iter()
        .map(|(status, description)| (status.to_owned(), RefOr::T(refusal(description))))
        .collect()
    }
}

fn refusal(description: &str) -> Response {
    let content = Content::new(Some(RefOr::Ref(utoipa::openapi::Ref::from_schema_name(
        "Problem",
    ))));
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build()
}

/// Adds what every part of the description shares: title, security schemes, the problem's shape.
pub fn finish(description: &mut OpenApi) {
    description.info = InfoBuilder::new()
        .title("Fleet")
        .version("1")
        .description(Some(
            "Back end of an AI company: accounts, documents. Errors are application/problem+json; texts follow \
             Accept-Language (es, en). Every POST takes an Idempotency-Key. Lists are paged by cursor.",
        ))
        .build();
    let components = description.components.get_or_insert_with(Components::new);
    components
        .schemas
        .insert("Problem".to_owned(), ProblemBody::schema());
    components.schemas.insert(
        FieldErrorBody::name().into_owned(),
        FieldErrorBody::schema(),
    );
    components.add_security_scheme(
        SCHEME,
        bearer("An access token, or an API key (`flt_live_…`)"),
    );
    components.add_security_scheme(
        PEOPLE_SCHEME,
        bearer("An access token of a person who has signed in; no API key opens these routes"),
    );
    components.add_security_scheme(
        KEY_SCHEME,
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            "X-Api-Key",
            "An API key of an organisation. A request carries a token or a key, never both",
        ))),
    );
    for item in description.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        operations.into_iter().flatten().for_each(open_to_keys);
    }
}

fn bearer(description: &str) -> SecurityScheme {
    SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(description))
            .build(),
    )
}

/// Where a token is taken, a key in the header of its own is taken too.
fn open_to_keys(operation: &mut Operation) {
    if let Some(Access::Needs(permissions)) = declared(operation) {
        operation.security = Some(vec![
            SecurityRequirement::new(SCHEME, &permissions),
            SecurityRequirement::new(KEY_SCHEME, &permissions),
        ]);
    }
}
