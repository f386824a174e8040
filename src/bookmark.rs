//! A bookmark as an object of the cluster: its name and manifest, the same from the portal and the command line.

use environment::EnvironmentName;
use environment::actions::{GROUP, Kind, SnapshotSpec, VERSION};
use environment::names::{PART_OF, PART_OF_LABEL, REQUESTED_BY};
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// One that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct NewBookmark {
    pub(crate) name: String,
    pub(crate) by: String,
    pub(crate) spec: SnapshotSpec,
}

/// The resource's name, the same for every repetition of one call.
pub(crate) fn resource_name(environment: &EnvironmentName, database: &str, key: &str) -> String {
    let text = json!(["bookmark", environment.as_str(), database, key]).to_string();
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    format!("bookmark-{}", &digest[..10])
}

impl NewBookmark {
    /// The object as it is sent.
    pub(crate) fn manifest(&self, namespace: &str) -> Value {
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": Kind::PostgresSnapshot.as_str(),
            "metadata": {
                "name": self.name,
                "namespace": namespace,
                "labels": { PART_OF_LABEL: PART_OF },
                "annotations": { REQUESTED_BY: self.by },
            },
            "spec": self.spec,
        })
    }
}

/// Those of one namespace.
pub(crate) fn api(client: kube::Client, namespace: &str) -> Api<DynamicObject> {
    let kind = Kind::PostgresSnapshot;
    let gvk = GroupVersionKind::gvk(GROUP, VERSION, kind.as_str());
    let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural());
    Api::namespaced_with(client, namespace, &resource)
}
