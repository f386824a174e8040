//! Any object of the cluster as JSON, for whoever only looks.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, LogParams, Patch, PatchParams,
};
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

/// A kind of objects, in one namespace or in the whole cluster.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    resource: ApiResource,
    namespace: Option<String>,
}

impl Thing {
    /// `version` as manifests write it, with the group.
    pub(crate) fn new(version: &str, kind: &str, plural: &str) -> Self {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = GroupVersionKind::gvk(group, version, kind);
        Self {
            resource: ApiResource::from_gvk_with_plural(&kind, plural),
            namespace: None,
        }
    }

    pub(crate) fn within(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }
}

impl Cluster {
    fn things(&self, thing: &Thing) -> Api<DynamicObject> {
        match &thing.namespace {
            Some(namespace) => {
                Api::namespaced_with(self.client.clone(), namespace, &thing.resource)
            }
            None => Api::all_with(self.client.clone(), &thing.resource),
        }
    }

    pub(crate) async fn get(&self, thing: &Thing, name: &str) -> Result<Option<Value>> {
        let found = present(self.things(thing).get_opt(name).await)
            .with_context(|| format!("cannot read {} {name}", thing.resource.kind))?;
        Ok(found.map(|object| json!(object)))
    }

    /// None where the whole kind is not known.
    pub(crate) async fn list(&self, thing: &Thing, labels: &str) -> Result<Vec<Value>> {
        let parameters = ListParams::default();
        let all = labels.is_empty();
        let parameters = if all {
            parameters
        } else {
            parameters.labels(labels)
        };
        self.listed(thing, &parameters).await
    }

    /// Those of one name, in whatever namespace.
    pub(crate) async fn named(&self, thing: &Thing, name: &str) -> Result<Vec<Value>> {
        let parameters = ListParams::default().fields(&format!("metadata.name={name}"));
        self.listed(thing, &parameters).await
    }

    /// Changes some fields; a `resourceVersion` among them makes it fail where the object has changed since.
    pub(crate) async fn merge(&self, thing: &Thing, name: &str, change: &Value) -> Result<()> {
        let parameters = PatchParams::default();
        let api = self.things(thing);
        let merged = api.patch(name, &parameters, &Patch::Merge(change)).await;
        present(merged.map(Some))
            .map(drop)
            .with_context(|| format!("cannot change {} {name}", thing.resource.kind))
    }

    async fn listed(&self, thing: &Thing, parameters: &ListParams) -> Result<Vec<Value>> {
        let list = self.things(thing).list(parameters).await;
        let list = present(list.map(|list| Some(list.items)))
            .with_context(|| format!("cannot list {}", thing.resource.plural))?;
        let list = list.unwrap_or_default();
        Ok(list.into_iter().map(|object| json!(object)).collect())
    }

    pub(crate) async fn secret_if_any(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Secret>> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        present(api.get_opt(name).await).with_context(|| format!("cannot read Secret {name}"))
    }

    /// The end of a pod's log.
    pub(crate) async fn log(&self, namespace: &str, pod: &str, lines: i64) -> Result<String> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let parameters = LogParams {
            tail_lines: Some(lines),
            ..LogParams::default()
        };
        let log = api.logs(pod, &parameters).await;
        log.with_context(|| format!("cannot read the log of {pod}"))
    }
}
