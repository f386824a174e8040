//! Pages say what the programs do: names that stand in both are the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::root;

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_github_app_asks_for_no_more_than_the_platform_uses() {
    let manifest: Value = serde_json::from_str(&text("docs/github-app-manifest.json")).unwrap();
    assert_eq!(
        manifest["default_permissions"],
        json!({"checks": "write", "contents": "write", "metadata": "read", "pull_requests": "write"})
    );
    assert_eq!(
        manifest["default_events"],
        json!(["merge_group", "pull_request", "push"])
    );
    assert_eq!(manifest["public"], false);
}

#[test]
fn every_step_that_a_remedy_names_is_a_heading_of_the_page() {
    let page = text("docs/install.md");
    let mut named = 0;
    for file in [
        "checks.rs",
        "checks/programs.rs",
        "settings/parse.rs",
        "example.yaml",
    ] {
        for rest in text(&format!("src/install/{file}")).split("step ").skip(1) {
            let Some(number) = rest.chars().next().filter(char::is_ascii_digit) else {
                continue;
            };
            assert!(
                page.contains(&format!("\n## {number}. ")),
                "{file}: step {number}"
            );
            named += 1;
        }
    }
    assert!(named > 8, "{named}");
}

/// Names as they are registered: the first text after `register(`.
fn registered(path: &str) -> BTreeSet<String> {
    let source = text(path);
    let calls = source.split("registry.register(").skip(1);
    calls
        .map(|call| call.split('"').nth(1).unwrap().to_owned())
        .collect()
}

#[test]
fn every_metric_is_in_the_page_and_no_other() {
    let page = text("docs/monitoring.md");
    for (prefix, path) in [
        ("vdb_operator_", "operator/src/metrics.rs"),
        ("vdb_sidecar_", "src/serve/metrics.rs"),
    ] {
        let rows = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.strip_prefix(prefix))
            .map(|row| row.split(['`', '{']).next().unwrap());
        let described: BTreeSet<String> = rows
            .map(|name| name.strip_suffix("_total").unwrap_or(name).to_owned())
            .collect();
        assert_eq!(described, registered(path), "{path}");
    }
}

/// What a person copies into app-config.yaml is what the tested portal runs with.
#[test]
fn the_portals_keys_are_those_of_the_portal_that_is_tested() {
    let page = text("docs/install.md");
    let section = page.split("\n## 7. ").nth(1).unwrap();
    let block = section.split("```yaml\n").nth(1).unwrap();
    let keys: Value = environment::yaml::read(block.split("```").next().unwrap()).unwrap();
    let tested: Value = environment::yaml::read(&text("backstage/app-config.yaml")).unwrap();
    assert_eq!(keys["backend"]["actions"], tested["backend"]["actions"]);
    assert_eq!(keys["catalog"]["rules"], tested["catalog"]["rules"]);
    let proxy = |config: &Value| {
        let mut proxy = config["proxy"]["endpoints"]["/vdb"].clone();
        assert!(proxy["target"].as_str().unwrap().ends_with("/api/vdb"));
        proxy["target"] = Value::Null;
        proxy
    };
    assert_eq!(proxy(&keys), proxy(&tested));
    let endpoint = &keys["discovery"]["endpoints"][0];
    let other = &tested["discovery"]["endpoints"][0];
    assert_eq!(endpoint["plugins"], other["plugins"]);
    assert!(endpoint["target"]["external"].is_null());
    // The default of the tested portal's variable is the address of the page.
    let address = endpoint["target"]["internal"].as_str().unwrap();
    let tested = other["target"]["internal"].as_str().unwrap();
    assert!(
        tested.contains(address.strip_suffix("/api/vdb").unwrap()),
        "{address}"
    );
}
