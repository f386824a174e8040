//! From a values file to the `PostgresVDB`s that the chart renders from it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::names::{
    ENVIRONMENT_LABEL, EnvironmentName, GROUP, INSTANCE_LABEL, KIND, NAME_LABEL, OWNER, PART_OF,
    PART_OF_LABEL, REQUEST_ID, REQUESTED_BY, VERSION, VdbKey,
};
use crate::problem::Problem;
use crate::values::{Global, Values, VdbValues};

/// Argo CD applies resources in this order.
const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";

/// One database of an environment, as it is to be in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    pub cr_name: String,
    /// JSON pointer of its values in the file.
    pub pointer: String,
    /// `spec` as the chart writes it: what the file says, completed by `global`.
    pub spec: Value,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

impl Database {
    /// The resource as the chart writes it.
    pub fn manifest(&self, environment: &EnvironmentName) -> Value {
        let mut annotations = self.annotations.clone();
        // The last wave: databases go before the namespace does, and no sync stays open while one starts.
        annotations.insert(SYNC_WAVE.to_owned(), "1".to_owned());
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": KIND,
            "metadata": {
                "name": self.cr_name,
                "namespace": environment.namespace(),
                "labels": self.labels,
                "annotations": annotations,
            },
            "spec": self.spec,
        })
    }
}

/// The databases of a file, and what keeps a key from becoming one.
pub fn of(name: &EnvironmentName, values: &Values) -> (Vec<Database>, Vec<Problem>) {
    let mut databases = Vec::new();
    let mut problems = Vec::new();
    if let Some(vdb) = &values.vdb {
        databases.push(database(name, None, "/vdb".into(), vdb, values));
    }
    for (key, vdb) in &values.vdbs {
        match VdbKey::parse(name, key) {
            Ok(key) => {
                let pointer = format!("/vdbs/{}", key.as_str());
                databases.push(database(name, Some(&key), pointer, vdb, values));
            }
            Err(problem) => problems.push(problem),
        }
    }
    (databases, problems)
}

fn database(
    environment: &EnvironmentName,
    key: Option<&VdbKey>,
    pointer: String,
    vdb: &VdbValues,
    values: &Values,
) -> Database {
    let cr_name = environment.cr_name(key);
    let labels = [
        (NAME_LABEL, "postgres-vdb"),
        (INSTANCE_LABEL, &cr_name),
        (PART_OF_LABEL, PART_OF),
        (ENVIRONMENT_LABEL, environment.as_str()),
        ("backstage.io/kubernetes-id", environment.as_str()),
    ];
    let request = values.request.as_ref();
    let annotations = [
        (OWNER, values.owner.as_ref()),
        (REQUEST_ID, request.and_then(|r| r.id.as_ref())),
        (REQUESTED_BY, request.and_then(|r| r.by.as_ref())),
    ];
    Database {
        labels: labels
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect(),
        annotations: annotations
            .into_iter()
            .filter_map(|(k, v)| Some((k.to_owned(), v.filter(|v| !v.is_empty())?.clone())))
            .collect(),
        spec: complete(vdb, values.global.as_ref()),
        cr_name,
        pointer,
    }
}

/// What is empty in `global` says nothing, as for the chart.
fn complete(vdb: &VdbValues, global: Option<&Global>) -> Value {
    let mut spec = vdb.0.clone();
    let mut default = |key: &str, value: Option<Value>| {
        if let Some(value) = value
            && !spec.contains_key(key)
        {
            spec.insert(key.to_owned(), value);
        }
    };
    if let Some(global) = global {
        let text = |t: &Option<String>| t.clone().filter(|t| !t.is_empty()).map(Value::from);
        default(
            "source",
            global
                .source_database
                .as_ref()
                .map(|r| json!({ "type": "dct-source", "reference": r })),
        );
        default("image", text(&global.postgres_image));
        default("storageClass", text(&global.storage_class));
        default(
            "resources",
            global
                .default_resources
                .as_ref()
                .filter(|r| !r.0.is_empty())
                .map(|r| json!(r)),
        );
    }
    default("database", Some(json!({})));
    Value::Object(spec)
}
