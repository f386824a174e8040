//! The definitions of the actions, generated from the types of the environment model.

use environment::actions::{GROUP, Kind, VERSION};
use environment::names::{PART_OF, PART_OF_LABEL};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use super::{Action, Spec};

/// How the API server names the kind.
pub fn resource(kind: Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk(GROUP, VERSION, kind.as_str());
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}

/// An object of this kind as the API server holds it.
///
/// # Errors
/// Why it is none: its definition is not the one of this version.
pub fn parse(kind: Kind, object: DynamicObject) -> Result<Action, serde_json::Error> {
    let part = |name: &str| object.data.get(name).cloned().unwrap_or(json!({}));
    let (spec, status) = (part("spec"), part("status"));
    Ok(Action {
        kind,
        spec: match kind {
            Kind::PostgresRefresh => Spec::Refresh(serde_json::from_value(spec)?),
            Kind::PostgresRewind => Spec::Rewind(serde_json::from_value(spec)?),
            Kind::PostgresSnapshot => Spec::Snapshot(serde_json::from_value(spec)?),
            Kind::PostgresTask => Spec::Task(serde_json::from_value(spec)?),
        },
        status: serde_json::from_value(status)?,
        metadata: object.metadata,
    })
}

/// The `CustomResourceDefinition` of a kind, as data.
pub fn definition(kind: Kind) -> Value {
    let column = |name: &str, kind: &str, path: &str| json!({ "name": name, "type": kind, "jsonPath": path });
    let mut spec = environment::schema::action_structural(kind);
    if let Some(rules) = spec
        .as_object_mut()
        .map(|s| s.entry("x-kubernetes-validations").or_insert(json!([])))
        .and_then(Value::as_array_mut)
    {
        rules.push(json!({
            "rule": "self == oldSelf",
            "message": "an action is carried out once; create another one instead of changing it",
        }));
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{}.{GROUP}", kind.plural()), "labels": { PART_OF_LABEL: PART_OF } },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.as_str(),
                "listKind": format!("{}List", kind.as_str()),
                "plural": kind.plural(),
                "singular": kind.singular(),
                "categories": ["delphix"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": [
                    column("Database", "string", ".spec.vdb"),
                    column("Phase", "string", ".status.phase"),
                    column("Message", "string", ".status.message"),
                    column("Age", "date", ".metadata.creationTimestamp"),
                ],
                "schema": { "openAPIV3Schema": {
                    "description": what(kind),
                    "type": "object",
                    "required": ["spec"],
                    "properties": { "spec": spec, "status": environment::schema::action_status_structural() },
                } },
            }],
        },
    })
}

fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::PostgresRefresh => "Gives a database the data of its source, once",
        Kind::PostgresRewind => "Takes a database back to an earlier moment of its own, once",
        Kind::PostgresSnapshot => "Bookmarks the data of a database as it is",
        Kind::PostgresTask => "Runs SQL or a command beside a database, once",
    }
}
