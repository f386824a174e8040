//! The custom resource `PostgresVDB` as the API server sees it: the Rust type and the generated definition.
//!
//! The fields are declared in the environment model; this file adds metadata, columns and the rules that only the
//! whole object can check. Schemas are rewritten to the structural subset that Kubernetes accepts.

use std::borrow::Cow;

use environment::actions::Kind;
use environment::names::{GROUP, KIND, MAX_CR_NAME, PART_OF, PART_OF_LABEL, PLURAL, VERSION};
use environment::{PostgresVdbSpec, PostgresVdbStatus};
use kube::api::ObjectMeta;
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::actions::definition as actions;

#[cfg(test)]
mod upgrade;

/// What every object says of its type, filled in where an answer leaves it out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TypeNames {
    api_version: String,
    kind: String,
}

impl Default for TypeNames {
    fn default() -> Self {
        Self {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: KIND.to_owned(),
        }
    }
}

/// One ordered database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PostgresVdb {
    #[serde(flatten)]
    pub types: TypeNames,
    pub metadata: ObjectMeta,
    pub spec: PostgresVdbSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PostgresVdbStatus>,
}

impl PostgresVdb {
    pub fn new(metadata: ObjectMeta, spec: PostgresVdbSpec) -> Self {
        Self {
            types: TypeNames::default(),
            metadata,
            spec,
            status: None,
        }
    }

    /// Name and namespace: a namespaced object that came from the API server has both.
    pub fn key(&self) -> Key {
        Key {
            namespace: self.metadata.namespace.clone().unwrap_or_default(),
            name: self.metadata.name.clone().unwrap_or_default(),
        }
    }

    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    pub fn generation(&self) -> i64 {
        self.metadata.generation.unwrap_or_default()
    }

    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    pub fn has_finalizer(&self) -> bool {
        self.metadata
            .finalizers
            .iter()
            .flatten()
            .any(|f| f == environment::names::FINALIZER)
    }
}

/// Names one `PostgresVDB` in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl kube::Resource for PostgresVdb {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        KIND.into()
    }
    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }
    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }
    fn plural((): &()) -> Cow<'_, str> {
        PLURAL.into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Name of the definition in the cluster.
pub fn definition_name() -> String {
    format!("{PLURAL}.{GROUP}")
}

/// The `CustomResourceDefinition`, as data.
pub fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": definition_name(), "labels": { PART_OF_LABEL: PART_OF } },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": format!("{KIND}List"),
                "plural": PLURAL,
                "singular": "postgresvdb",
                "shortNames": ["vdb", "pvdb"],
                "categories": ["delphix"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns(),
                "schema": { "openAPIV3Schema": root_schema() },
            }],
        },
    })
}

fn columns() -> Value {
    let column = |name: &str, kind: &str, path: &str| json!({ "name": name, "type": kind, "jsonPath": path });
    json!([
        column("Phase", "string", ".status.phase"),
        column(
            "Ready",
            "string",
            ".status.conditions[?(@.type==\"Ready\")].status"
        ),
        column("Source", "string", ".spec.source.reference"),
        column("DataAsOf", "date", ".status.dataAsOf"),
        column("Expires", "string", ".spec.expiresAt"),
        column("Age", "date", ".metadata.creationTimestamp"),
    ])
}

fn root_schema() -> Value {
    json!({
        "description": "A virtual PostgreSQL database: a thin copy of a snapshot, running in a pod",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": environment::schema::spec_structural(),
            "status": environment::schema::status_structural(),
        },
        "x-kubernetes-validations": [
            {
                "rule": format!("size(self.metadata.name) <= {MAX_CR_NAME}"),
                "message": format!("metadata.name may have at most {MAX_CR_NAME} characters; choose a shorter name for the environment or its key"),
            },
            {
                // Until something was ordered from it, a wrong source can be corrected.
                "rule": "!has(oldSelf.status) || !has(oldSelf.status.vdb) || self.spec.source == oldSelf.spec.source",
                "message": "source cannot be changed on an existing database; order a new environment with the other source",
            },
        ],
    })
}

/// Every definition with its committed copy, from the root of the repository.
pub fn definitions() -> Vec<(String, Value)> {
    let actions = Kind::ALL.map(|kind| {
        let path = format!("crds/{}.yaml", kind.singular());
        (path, actions::definition(kind))
    });
    [("crds/postgresvdb.yaml".to_owned(), definition())]
        .into_iter()
        .chain(actions)
        .collect()
}

/// A definition as it is committed and printed.
///
/// # Errors
/// Never in practice: a definition is plain data.
pub fn yaml(definition: &Value) -> Result<String, String> {
    let body = environment::yaml::write(definition)?;
    Ok(format!(
        "# Generated by `vdb-operator crd`; change the types in crates/environment instead.\n{body}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn walk(value: &Value, path: &str, visit: &mut dyn FnMut(&str, &Map<String, Value>)) {
        match value {
            Value::Object(object) => {
                visit(path, object);
                for (key, inner) in object {
                    walk(inner, &format!("{path}/{key}"), visit);
                }
            }
            Value::Array(items) => items
                .iter()
                .enumerate()
                .for_each(|(i, inner)| walk(inner, &format!("{path}/{i}"), visit)),
            _ => {}
        }
    }

    #[test]
    fn every_field_of_the_schema_has_a_type_and_nothing_that_is_not_structural() {
        let mut all = vec![root_schema()];
        all.extend(Kind::ALL.map(|kind| {
            actions::definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take()
        }));
        walk(&Value::Array(all), "", &mut |path, object| {
            for keyword in ["$ref", "title", "$schema", "nullable"] {
                assert!(!object.contains_key(keyword), "{keyword} at {path}");
            }
            assert_ne!(
                object.get("additionalProperties"),
                Some(&json!(false)),
                "{path}"
            );
            if path.ends_with("/items") || path.rsplit('/').nth(1) == Some("properties") {
                let typed = object.get("type").is_some_and(Value::is_string)
                    || object.contains_key("x-kubernetes-int-or-string");
                assert!(typed, "no type at {path}: {object:?}");
            }
        });
    }

    #[test]
    fn the_committed_definitions_are_fresh() {
        for (committed, definition) in definitions() {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(&committed);
            let wanted = yaml(&definition).unwrap();
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&path, &wanted).unwrap();
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(found == wanted, "{committed} is stale: run `make generate`");
            let read: Value = environment::yaml::read(&found).unwrap();
            assert_eq!(read, definition, "the YAML reads back as the definition");
        }
    }

    #[test]
    fn the_rules_and_defaults_of_the_model_reach_the_schema() {
        let schema = root_schema();
        let spec = &schema["properties"]["spec"];
        assert_eq!(spec["properties"]["image"]["default"], "postgres:16.9");
        assert_eq!(
            spec["properties"]["source"]["properties"]["type"]["enum"][0],
            "dct-source"
        );
        assert!(spec["x-kubernetes-validations"].as_array().unwrap().len() >= 3);
        assert_eq!(spec["properties"]["postgresConfig"]["maxItems"], 100);
        assert_eq!(
            schema["x-kubernetes-validations"][0]["rule"],
            "size(self.metadata.name) <= 40"
        );
    }
}
