//! The description that an API gives of itself (`OpenAPI` 3.1), generated from its types.

use std::collections::BTreeMap;

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, Content, InfoBuilder, OpenApi, RefOr, Response, ResponseBuilder,
};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::access::SCHEME;
use crate::problem::{FieldErrorBody, ProblemBody};

/// The refusals that any route may answer with; every route's `responses(…)` names it.
#[derive(Clone, Copy, Debug)]
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            ("400", "The request is not of the described shape"),
            ("401", "No valid access token"),
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

/// Adds what every part of the description shares: title, security scheme, the problem's shape.
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
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("JWT")
                .build(),
        ),
    );
}
