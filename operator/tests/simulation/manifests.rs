//! Manifests that were written for others: the vendor's documented shape and the public demo repository's.

use environment::spec::SourceType;
use k8s_openapi::api::core::v1::Secret;
use operator::cluster::{Kind, Name, Object};
use operator::crd::PostgresVdb;
use rstest::rstest;
use serde_json::{Value, json};

use super::world::{State, World, key};

const VENDOR: &str = include_str!("../manifests/vendor-shape.yaml");
const DEMO: &str = include_str!("../manifests/demo-repository.yaml");

fn parsed(manifest: &str) -> (Value, PostgresVdb) {
    let plain: Value = environment::yaml::read(manifest).unwrap();
    let typed = serde_json::from_value(plain.clone()).unwrap();
    (plain, typed)
}

/// What stands in one value and not in the other.
fn lost(at: &str, written: &Value, kept: &Value, out: &mut Vec<String>) {
    match (written, kept) {
        (Value::Object(written), Value::Object(kept)) => {
            for (name, value) in written {
                lost(&format!("{at}/{name}"), value, &kept[name], out);
            }
        }
        (Value::Array(written), Value::Array(kept)) if written.len() == kept.len() => {
            for (i, (written, kept)) in written.iter().zip(kept).enumerate() {
                lost(&format!("{at}/{i}"), written, kept, out);
            }
        }
        (written, kept) if written != kept => out.push(format!("{at}: {written}, kept {kept}")),
        _ => {}
    }
}

/// The closed schema is made from the same types as the structural one; the definition's own rules are asked of a real
/// API server (`target/debug/e2e run manifests_of_others`).
#[rstest]
#[case::vendor(VENDOR)]
#[case::demo(DEMO)]
fn a_manifest_of_others_fits_the_schema_and_loses_no_field(#[case] manifest: &str) {
    let (plain, typed) = parsed(manifest);
    let problems = environment::schema::check_values(&json!({ "vdb": plain["spec"] }));
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(typed.spec.source.kind, SourceType::DctSource);
    let mut gone = Vec::new();
    let kept = serde_json::to_value(&typed.spec).unwrap();
    lost("/spec", &plain["spec"], &kept, &mut gone);
    assert!(gone.is_empty(), "{gone:?}");
    assert_eq!(typed.spec.ownership(), "999:999");
}

#[rstest]
#[case::vendor(VENDOR)]
#[case::demo(DEMO)]
#[tokio::test]
async fn a_manifest_of_others_becomes_a_ready_database_and_goes(#[case] manifest: &str) {
    let (plain, _) = parsed(manifest);
    let mut base = World::new(json!({})).state().clone();
    base.cr.as_mut().unwrap().spec = serde_json::from_value(plain["spec"].clone()).unwrap();
    if let Some(name) = plain["spec"]["database"]["passwordSecretRef"].as_str() {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": key().namespace }, "data": { "password": "c2VjcmV0LXNlY3JldA==" },
        }))
        .unwrap();
        let name = Name::new(Kind::Secret, &key().namespace, name);
        base.objects.insert(name, Object::from(secret));
    }
    let world = World::of(base);
    world.drive(State::is_ready).await;
    {
        let state = world.state();
        assert_eq!((state.provisioned, state.ready_without_query), (1, false));
        let Some(Object::Secret(published)) =
            state.object(Kind::Secret, "dev-vdb-credentials").cloned()
        else {
            panic!("no credentials: {:?}", state.objects.keys());
        };
        let data = published.data.clone().unwrap();
        // Keys that charts of the demo repository read.
        for key in [
            "database-name",
            "database-user",
            "database-password",
            "connection-string",
            "jdbc-url",
        ] {
            assert!(data.contains_key(key), "{key}");
        }
        let (_, _, message) = state.condition("Ready").unwrap();
        let owned = plain["spec"]["postgresConfig"].is_array();
        assert_eq!(message.contains("listen_addresses"), owned, "{message}");
    }
    world.delete();
    world.drive(|s| s.cr.is_none()).await;
    assert!(world.state().vdbs.is_empty());
}
