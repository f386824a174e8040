//! No value can change the structure: an order is refused, or its files say exactly what it says and nothing else.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

mod orders;

use environment::render;
use environment::values::Request;
use environment::{Order, yaml};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Every field of an order.
const FIELDS: [&str; 14] = [
    "name",
    "owner",
    "source",
    "snapshotId",
    "database",
    "user",
    "image",
    "cpu",
    "memory",
    "initSql",
    "description",
    "requestId",
    "postgresConfig",
    "createIfMissing",
];

fn request() -> Request {
    Request {
        id: Some("x.create-0123456789".into()),
        by: Some("user:default/guest".into()),
    }
}

/// The text of an input's field; the default where it is absent or empty.
fn text<'a>(input: &'a Value, field: &str, default: &'a str) -> &'a str {
    input[field]
        .as_str()
        .filter(|text| !text.is_empty())
        .unwrap_or(default)
}

/// The values file that an input must lead to, written down by hand: shares nothing with the code that makes it
/// except for the quantities' parts.
fn values(input: &Value, order: &Order) -> Value {
    let mut vdb = Map::new();
    let mut source = json!({ "type": "dct-source", "reference": input["source"] });
    let mut database = json!({ "name": input["database"], "user": input["user"] });
    let snapshot = text(input, "snapshotId", "");
    if !snapshot.is_empty() {
        source["snapshotId"] = json!(snapshot);
    }
    if input["createIfMissing"] == true {
        database["createIfMissing"] = json!(true);
    }
    vdb.insert("source".into(), source);
    vdb.insert("database".into(), database);
    vdb.insert("image".into(), json!(text(input, "image", "postgres:16.9")));
    let (cpu, memory) = (text(input, "cpu", "1"), text(input, "memory", "512Mi"));
    let whole = Order {
        cpu: Some(cpu.into()),
        memory: Some(memory.into()),
        ..order.clone()
    };
    let requests = whole.spec_json()["resources"]["requests"].clone();
    vdb.insert(
        "resources".into(),
        json!({ "requests": requests, "limits": { "cpu": cpu, "memory": memory } }),
    );
    if input["postgresConfig"]
        .as_array()
        .is_some_and(|settings| !settings.is_empty())
    {
        vdb.insert("postgresConfig".into(), input["postgresConfig"].clone());
    }
    let sql = text(input, "initSql", "");
    if !sql.is_empty() {
        let hook = json!({ "name": "init", "stage": "post-create", "type": "sql", "script": sql });
        vdb.insert("hooks".into(), json!([hook]));
    }
    json!({
        "owner": input["owner"],
        "request": { "id": "x.create-0123456789", "by": "user:default/guest" },
        "vdb": vdb,
    })
}

/// The catalog entity that an input must lead to.
fn entity(input: &Value) -> Value {
    let name = input["name"].as_str().unwrap_or_default();
    let mut metadata = json!({
        "name": name,
        "annotations": {
            "postgres-vdb-platform/environment": name,
            "postgres-vdb-platform/request-id": "x.create-0123456789",
            "backstage.io/kubernetes-id": name,
            "backstage.io/kubernetes-namespace": format!("postgres-vdbs-{name}"),
            "backstage.io/source-template": "template:default/vdb-create",
            "argocd/app-name": name,
            "argocd/app-namespace": "argocd",
            "argocd/project-name": "postgres-vdb-platform",
        },
        "tags": ["postgresql", "delphix"],
    });
    let description = text(input, "description", "");
    if !description.is_empty() {
        metadata["description"] = json!(description);
    }
    let mut spec = json!({
        "type": "database", "lifecycle": "experimental", "owner": input["owner"],
        "system": "postgres-vdb-platform",
    });
    let source = input["source"].as_str().unwrap_or_default();
    let dataset = source.rsplit(':').next().unwrap_or_default();
    let is_a_name = dataset
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if is_a_name && (1..=63).contains(&dataset.len()) {
        spec["dependsOn"] = json!([format!("resource:default/{dataset}")]);
    }
    json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Resource", "metadata": metadata, "spec": spec,
    })
}

/// Whether the order was taken; what it led to is right if so.
fn check(input: &Value) -> Result<bool, TestCaseError> {
    let order = match Order::parse(input) {
        Ok(order) => order,
        Err(problems) => {
            prop_assert!(!problems.0.is_empty());
            for problem in &problems.0 {
                let one_line = !problem.message.contains(['\n', '\r']);
                prop_assert!(one_line, "{problem:?}");
            }
            return Ok(false);
        }
    };
    let files = render::files(&order, &request());
    prop_assert!(files.is_ok(), "{input}\n{files:?}");
    let files = files.unwrap();
    let read = |text: &str| yaml::read::<Value>(text).unwrap();
    prop_assert_eq!(read(&files.values), values(input, &order));
    prop_assert_eq!(read(&files.catalog_info), entity(input));
    Ok(true)
}

#[test]
fn an_order_is_refused_or_says_exactly_what_it_says() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let taken = std::cell::Cell::new(0_u32);
    runner
        .run(&orders::input(9), |input| {
            taken.set(taken.get() + u32::from(check(&input)?));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(taken.get() > 100, "hardly any order is taken: {taken:?}");
}

#[test]
fn a_single_hostile_field_is_refused_or_stays_in_its_place() {
    let right = json!({
        "name": "feat-1", "owner": "group:default/a", "source": "h:d", "database": "a", "user": "b",
    });
    let config = ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(field in proptest::sample::select(&FIELDS[..]), text in orders::hostile(), deep in any::<bool>())| {
        let mut input = right.clone();
        input[field] = match field {
            "postgresConfig" if deep => json!([{ "name": "a", "value": text }]),
            "postgresConfig" => json!([{ "name": text, "value": "1" }]),
            _ => json!(text),
        };
        check(&input)?;
    });
}
