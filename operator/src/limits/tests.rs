use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const FEATURE: &str = "postgres-vdbs-feat-7";

fn now() -> Timestamp {
    "2026-11-23T10:00:00Z".parse().unwrap()
}

/// An order that keeps within `rules()`, with some of it changed.
fn order(change: &Value) -> PostgresVdbSpec {
    let mut order = json!({
        "source": { "type": "dct-source", "reference": "10.0.1.54:largedb" },
        "database": {},
        "resources": { "requests": { "cpu": "100m", "memory": "1Gi" }, "limits": { "cpu": "2", "memory": "4Gi" } },
        "storageSize": "20Gi",
        "expiresAt": "2026-11-24T10:00:00Z",
        "hooks": [{ "name": "mask", "stage": "post-create", "type": "sql", "script": "x" }],
    });
    for (key, value) in change.as_object().unwrap() {
        order[key] = value.clone();
    }
    serde_json::from_value(order).unwrap()
}

fn allow(rules: &Value) -> Allow {
    serde_json::from_value(json!({ "rules": rules })).unwrap()
}

fn rules() -> Allow {
    allow(&json!([
        { "namespaces": ["postgres-vdbs-hr"], "sources": ["hr:*"] },
        {
            "namespaces": ["postgres-vdbs-feat-*", "postgres-vdbs-qa"],
            "sources": ["*:largedb"], "images": ["postgres:16*"], "hooks": ["sql"],
            "maxCpu": 2, "maxMemory": "4Gi", "maxStorage": "50Gi", "maxLife": "48h",
        },
        { "namespaces": ["*"], "sources": [] },
    ]))
}

#[test]
fn an_order_within_its_rule_is_allowed() {
    assert_eq!(
        breaches(&order(&json!({})), FEATURE, &rules(), now()),
        [""; 0]
    );
}

#[rstest]
#[case::source(json!({ "source": { "type": "dct-source", "reference": "hr:people" } }), "source.reference \"hr:people\" is not allowed: allowed are *:largedb (allow.rules[1].sources of the operator's settings, for postgres-vdbs-feat-*, postgres-vdbs-qa)")]
#[case::image(json!({ "image": "postgres:15.1" }), "image \"postgres:15.1\" is not allowed: allowed are postgres:16* (allow.rules[1].images ")]
#[case::hook(json!({ "hooks": [{ "name": "sh", "stage": "pre-create", "type": "command", "script": "x" }] }), "type of hook \"sh\": \"command\" is not allowed: allowed are sql (allow.rules[1].hooks ")]
#[case::cpu(json!({ "resources": { "limits": { "cpu": "2001m", "memory": "1Gi" } } }), "resources.limits.cpu \"2001m\" is not allowed: at most 2 is (allow.rules[1].maxCpu ")]
#[case::no_cpu(json!({ "resources": { "limits": { "memory": "1Gi" } } }), "resources.limits.cpu is missing: write one of at most 2 (allow.rules[1].maxCpu ")]
#[case::memory(json!({ "resources": { "limits": { "cpu": 1, "memory": "5G" } } }), "resources.limits.memory \"5G\" is not allowed: at most 4Gi is (allow.rules[1].maxMemory ")]
#[case::request(json!({ "resources": { "requests": { "memory": "1Ti" }, "limits": { "cpu": 1, "memory": "1Gi" } } }), "resources.requests.memory \"1Ti\" is not allowed")]
#[case::no_quantity(json!({ "resources": { "limits": { "cpu": 1, "memory": "1GB" } } }), "resources.limits.memory \"1GB\" is not allowed")]
#[case::storage(json!({ "storageSize": "51Gi" }), "storageSize \"51Gi\" is not allowed: at most 50Gi is (allow.rules[1].maxStorage ")]
#[case::life(json!({ "expiresAt": "2026-11-25T10:00:01Z" }), "expiresAt \"2026-11-25T10:00:01Z\" is too far away: a database may live at most 48 hours from now on (allow.rules[1].maxLife ")]
#[case::endless(json!({ "expiresAt": null }), "expiresAt is missing: a database may live at most 48 hours from now on (allow.rules[1].maxLife ")]
fn a_breach_names_field_value_and_what_may_stand_there(#[case] change: Value, #[case] says: &str) {
    let found = breaches(&order(&change), FEATURE, &rules(), now());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(says), "{}", found[0]);
}

#[test]
fn all_breaches_are_named_at_once() {
    let change = json!({
        "source": { "type": "dct-source", "reference": "elsewhere" },
        "image": "evil:1",
        "resources": {},
        "storageSize": "1Ti",
        "expiresAt": null,
        "hooks": [{ "name": "sh", "stage": "pre-create", "type": "command", "script": "x" }],
    });
    let found = breaches(&order(&change), FEATURE, &rules(), now());
    let fields = [
        // The image is in neither list.
        "image",
        "source.reference",
        "image",
        "type of hook",
        "resources.limits.cpu",
        "resources.limits.memory",
        "storageSize",
        "expiresAt",
    ];
    assert_eq!(found.len(), fields.len(), "{found:?}");
    for (found, field) in found.iter().zip(fields) {
        assert!(found.starts_with(field), "{found}, not of {field}");
    }
}

#[rstest]
#[case::its_own("postgres-vdbs-hr", "hr:people", true)]
#[case::not_the_next_one("postgres-vdbs-hr", "10.0.1.54:largedb", false)]
#[case::second_pattern("postgres-vdbs-qa", "10.0.1.54:largedb", true)]
#[case::everybody_else("postgres-vdbs-dev", "10.0.1.54:largedb", false)]
fn the_first_rule_that_speaks_of_a_namespace_holds(
    #[case] namespace: &str,
    #[case] reference: &str,
    #[case] allowed: bool,
) {
    let order = order(&json!({ "source": { "type": "dct-source", "reference": reference } }));
    let found = breaches(&order, namespace, &rules(), now());
    assert_eq!(found.is_empty(), allowed, "{found:?}");
}

#[test]
fn what_a_rule_leaves_out_it_allows_but_never_more_than_stands_above_the_rules() {
    let mut allow = allow(&json!([{ "namespaces": ["*"], "images": ["*"] }]));
    let plain = order(&json!({ "resources": {}, "expiresAt": null }));
    assert_eq!(breaches(&plain, "n", &allow, now()), [""; 0]);
    let image = order(&json!({ "image": "evil:1" }));
    let found = breaches(&image, "n", &allow, now());
    assert!(
        found.len() == 1 && found[0].contains("(allow.images of"),
        "{found:?}"
    );
    allow.max_life = Some(Duration::from_hours(24));
    for allowed in ["2026-11-24T10:00:00Z", "2020-01-01T00:00:00Z"] {
        let order = order(&json!({ "expiresAt": allowed }));
        assert_eq!(breaches(&order, "n", &allow, now()), [""; 0]);
    }
    let found = breaches(&plain, "n", &allow, now());
    assert!(
        found[0].contains("is missing: a database may live at most 24 hours"),
        "{found:?}"
    );
}
