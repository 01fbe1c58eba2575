//! Code, description and template agree on every route.

use std::collections::BTreeSet;
use std::path::Path;

use journeys::{description, template};
use runtime::access::operations;

const COMMITTED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../functions/platform/openapi.json"
);

/// To write the description anew: `UPDATE_OPENAPI=1 cargo test -p journeys --test openapi`.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever changes the API asks for the new description by the environment"
)]
#[test]
fn the_published_description_is_the_one_that_the_types_give() {
    let generated = serde_json::to_string_pretty(&description()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(COMMITTED, &generated).expect("functions/platform is writable");
    }

    let committed = std::fs::read_to_string(Path::new(COMMITTED)).expect("a committed description");

    assert!(
        committed == generated,
        "run UPDATE_OPENAPI=1 cargo test -p journeys --test openapi"
    );
}

#[test]
fn the_template_has_every_described_route_and_no_other() {
    let description = description();
    let described: BTreeSet<String> = operations(&description)
        .into_iter()
        .map(|(method, path, _)| format!("{method} {}", path.replace("{proxy}", "{proxy+}")))
        .collect();

    assert_eq!(template::Template::read().routes(), described);
}

#[test]
fn a_route_is_public_in_the_template_if_and_only_if_it_is_in_the_description() {
    let public: BTreeSet<String> = journeys::access()
        .into_iter()
        .filter(|(_, access)| *access == runtime::access::Access::Public)
        .map(|(route, _)| route.replace("{proxy}", "{proxy+}"))
        .collect();

    assert_eq!(template::Template::read().public_routes(), public);
}
