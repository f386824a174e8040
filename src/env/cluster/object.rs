//! Any object of the cluster as JSON, for whoever only looks.

use anyhow::{Context as _, Result};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use super::{Cluster, present};

/// Which object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    /// None for an object of the whole cluster.
    pub(crate) namespace: Option<&'static str>,
    pub(crate) name: &'static str,
}

impl Cluster {
    /// `None`: there is none, or its whole kind is not known.
    pub(crate) async fn object(&self, wanted: Reference) -> Result<Option<Value>> {
        let kind = GroupVersionKind::gvk(wanted.group, wanted.version, wanted.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, wanted.plural);
        let api: Api<DynamicObject> = match wanted.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let found = present(api.get_opt(wanted.name).await)
            .with_context(|| format!("cannot read {} {}", wanted.kind, wanted.name))?;
        Ok(found.map(|object| json!(object)))
    }
}
