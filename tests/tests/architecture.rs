//! The arrows between the crates, checked over what Cargo itself resolves.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What a crate of the house may depend on, tests aside.
const ARROWS: [(&str, &[&str]); 6] = [
    ("domain", &[]),
    ("ports", &["domain"]),
    ("aws", &["domain", "ports"]),
    ("runtime", &["domain", "ports"]),
    ("models", &["domain", "ports", "runtime"]),
    ("FUNCTION", &["domain", "ports", "aws", "runtime", "models"]),
];

struct House {
    /// Package name to the names of everything that it depends on outside tests.
    dependencies: BTreeMap<String, BTreeSet<String>>,
    functions: BTreeSet<String>,
}

fn house() -> House {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let mut house = House {
        dependencies: BTreeMap::new(),
        functions: BTreeSet::new(),
    };
    for package in &metadata.packages {
        let name = package.name.to_string();
        if package
            .manifest_path
            .components()
            .any(|part| part.as_str() == "functions")
        {
            house.functions.insert(name.clone());
        }
        let normal = package
            .dependencies
            .iter()
            .filter(|d| d.kind == DependencyKind::Normal);
        house
            .dependencies
            .insert(name, normal.map(|d| d.name.clone()).collect());
    }
    house
}

#[test]
fn no_arrow_points_the_wrong_way() {
    let house = house();
    for (name, dependencies) in &house.dependencies {
        let role = if house.functions.contains(name) {
            "FUNCTION"
        } else {
            name
        };
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == role) else {
            continue;
        };
        let of_the_house = dependencies
            .iter()
            .filter(|d| house.dependencies.contains_key(*d));
        for dependency in of_the_house {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} may not depend on {dependency}"
            );
        }
    }
}

#[test]
fn only_aws_names_an_sdk_and_only_runtime_names_lambda() {
    // The local cloud's probe and the bench's empty function are what they are because they go without the runtime.
    let allowed = ["runtime", "fleet", "fleet-bench"];
    for (name, dependencies) in &house().dependencies {
        for dependency in dependencies {
            let sdk = dependency.starts_with("aws-sdk-") || dependency == "aws-config";
            assert!(!sdk || name == "aws", "{name} names {dependency}");
            let lambda = dependency.starts_with("lambda_") || dependency == "aws_lambda_events";
            assert!(
                !lambda || allowed.contains(&name.as_str()),
                "{name} names {dependency}"
            );
        }
    }
}

#[test]
fn the_domain_is_free_of_async_and_io() {
    let domain = &house().dependencies["domain"];

    for forbidden in ["tokio", "async-trait", "reqwest", "futures"] {
        assert!(!domain.contains(forbidden), "domain depends on {forbidden}");
    }
}

#[test]
fn versions_stand_once_at_the_root() {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("cargo metadata");
    for package in &metadata.packages {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("a manifest");
        let own = manifest
            .lines()
            .filter(|line| line.contains("version = \""));
        assert_eq!(
            own.count(),
            0,
            "{} names a version of its own",
            package.name
        );
    }
}
