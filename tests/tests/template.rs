//! The template against the code: every binary has its function, every variable that a binary demands is
//! set, and no policy is wider than a name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use journeys::template::Template;

/// A program that travels inside another function's package and is no function itself.
const COMPANIONS: [&str; 1] = ["documents-render"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every binary of the fleet with its source.
fn binaries() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for capability in std::fs::read_dir(root().join("functions"))
        .expect("functions/")
        .flatten()
    {
        let Ok(bins) = std::fs::read_dir(capability.path().join("src/bin")) else {
            continue;
        };
        for file in bins.flatten() {
            let name = file
                .path()
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            found.insert(
                name,
                std::fs::read_to_string(file.path()).expect("a source"),
            );
        }
    }
    found
}

#[test]
fn every_binary_is_a_function_and_every_function_a_binary() {
    let binaries: BTreeSet<String> = binaries()
        .into_keys()
        .filter(|b| !COMPANIONS.contains(&b.as_str()))
        .collect();

    let functions: BTreeSet<String> = Template::read().functions().into_keys().collect();

    assert_eq!(functions, binaries);
}

#[test]
fn every_variable_that_a_binary_demands_is_set_for_it_and_no_other() {
    let template = Template::read();
    for (binary, function) in template.functions() {
        let source = &binaries()[&binary];
        let named: BTreeSet<String> = ["require(\"", "optional(\""]
            .iter()
            .flat_map(|call| source.split(call).skip(1))
            .filter_map(|rest| rest.split('"').next())
            .map(str::to_owned)
            .collect();
        let set = template.variables(function);
        let demanded: BTreeSet<&String> = named
            .iter()
            .filter(|name| source.contains(&format!("require(\"{name}\"")))
            .collect();
        for name in &demanded {
            assert!(
                set.contains(*name),
                "{binary} demands {name}, which the template does not set"
            );
        }
        for name in &set {
            assert!(
                named.contains(name),
                "the template sets {name} for {binary}, which does not read it"
            );
        }
    }
}

#[test]
fn no_action_holds_a_star() {
    for (policy, actions) in Template::read().actions() {
        for action in actions {
            assert!(!action.contains('*'), "{policy} grants {action}");
        }
    }
}

#[test]
fn every_function_has_a_role_of_its_own() {
    let template = Template::read();
    let functions = template.functions();
    let roles: BTreeSet<String> = functions.values().map(|f| template.role(f)).collect();

    assert_eq!(roles.len(), functions.len());
}

#[test]
fn a_queue_hides_a_message_six_times_as_long_as_its_consumer_may_work() {
    let template = Template::read();
    let consumers = template.queue_consumers();
    assert!(!consumers.is_empty());
    for (function, timeout, queue, visibility) in consumers {
        assert!(
            visibility >= 6 * timeout,
            "{queue} hides for {visibility} s, {function} may work {timeout} s"
        );
    }
}
