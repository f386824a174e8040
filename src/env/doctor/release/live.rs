//! The cluster behind it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use environment::names::{GROUP, KIND, PLURAL, VERSION};
use serde_json::{Value, json};

use super::Api;
use crate::env::cluster::{Cluster, Thing};

const OPERATOR: &str = "vdb-operator";
const OPERATORS: &str = "app.kubernetes.io/name=vdb-operator";
/// A living operator renews its lease every three seconds. Whether it does is seen, not computed: clocks differ.
const RENEWED_WITHIN: Duration = Duration::from_secs(12);

pub(super) struct Live<'a> {
    cluster: &'a Cluster,
}

impl<'a> Live<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        Self { cluster }
    }

    /// Namespace, holder and time of every lease that has a holder.
    async fn leases(&self) -> Result<Vec<(String, String, String)>> {
        let kind = Thing::new("coordination.k8s.io/v1", "Lease", "leases");
        let leases = self.cluster.named(&kind, OPERATOR).await?;
        let text = |lease: &Value, pointer: &str| {
            let text = lease.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let held = leases.iter().map(|lease| {
            (
                text(lease, "/metadata/namespace"),
                text(lease, "/spec/holderIdentity"),
                text(lease, "/spec/renewTime"),
            )
        });
        Ok(held.filter(|(_, holder, _)| !holder.is_empty()).collect())
    }
}

#[async_trait]
impl Api for Live<'_> {
    async fn operators(&self) -> Result<Vec<String>> {
        let mut living = Vec::new();
        let deployments = Thing::new("apps/v1", "Deployment", "deployments");
        for found in self.cluster.list(&deployments, OPERATORS).await? {
            let count = found["spec"]["replicas"].as_u64().unwrap_or(1);
            if count > 0 {
                living.push(format!("Deployment {} wants {count}", place(&found)));
            }
        }
        let pods = Thing::new("v1", "Pod", "pods");
        for found in self.cluster.list(&pods, OPERATORS).await? {
            if !matches!(
                found["status"]["phase"].as_str(),
                Some("Succeeded" | "Failed")
            ) {
                living.push(format!("Pod {}", place(&found)));
            }
        }
        if !living.is_empty() {
            return Ok(living);
        }
        // One that runs outside the cluster has the lease alone.
        let before = self.leases().await?;
        if !before.is_empty() {
            tokio::time::sleep(RENEWED_WITHIN).await;
            let after = self.leases().await?;
            let renewed = after.iter().filter(|lease| !before.contains(lease));
            living.extend(renewed.map(|(namespace, holder, _)| {
                format!("lease {namespace}/{OPERATOR} is renewed by {holder}")
            }));
        }
        Ok(living)
    }

    async fn resources(&self) -> Result<Vec<Value>> {
        let kind = Thing::new(&format!("{GROUP}/{VERSION}"), KIND, PLURAL);
        self.cluster.list(&kind, "").await
    }

    async fn volumes(&self, uid: &str) -> Result<Vec<String>> {
        let kind = Thing::new("v1", "PersistentVolume", "persistentvolumes");
        let labels = format!("postgres-vdb-platform/uid={uid}");
        let found = self.cluster.list(&kind, &labels).await?;
        let name = |volume: &Value| volume["metadata"]["name"].as_str().map(str::to_owned);
        Ok(found.iter().filter_map(name).collect())
    }

    async fn record(&self, uid: &str, entry: &Value) -> Result<()> {
        self.cluster.write_ledger(uid, entry).await
    }

    async fn keep_finalizers(&self, resource: &Value, finalizers: &[String]) -> Result<()> {
        let text = |key: &str| resource["metadata"][key].as_str();
        let namespace = text("namespace").context("it has no namespace")?;
        let name = text("name").context("it has no name")?;
        let kind = Thing::new(&format!("{GROUP}/{VERSION}"), KIND, PLURAL).within(namespace);
        let change = json!({ "metadata": {
            "resourceVersion": text("resourceVersion"),
            "finalizers": finalizers,
        } });
        self.cluster.merge(&kind, name, &change).await
    }
}

fn place(object: &Value) -> String {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}
