//! Stands in for the controllers, the scheduler and the kubelet: a set's pod is there and ready, a volume is bound.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::TryStreamExt as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource as _, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// As many hands as a busy cluster has; more would only queue at the API server.
const AT_ONCE: usize = 32;
/// What the sets' controller writes on a pod and into the set.
const REVISION: &str = "revision-1";

#[derive(Clone)]
pub(crate) struct Children {
    client: Client,
    hands: Arc<Semaphore>,
    ready: Arc<AtomicUsize>,
}

impl Children {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            hands: Arc::new(Semaphore::new(AT_ONCE)),
            ready: Arc::default(),
        }
    }

    /// Pods that were made ready so far.
    pub(crate) fn ready(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }

    /// Works until the program ends.
    pub(crate) async fn work(self) -> anyhow::Result<()> {
        let sets = Api::<StatefulSet>::all(self.client.clone());
        let mut changes =
            std::pin::pin!(watcher(sets, watcher::Config::default()).applied_objects());
        let mut known = HashSet::new();
        while let Some(set) = changes.try_next().await? {
            let uid = set.uid().unwrap_or_default();
            if known.insert((uid, set.metadata.generation)) {
                let this = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = this.bring_up(&set).await {
                        crate::report::line(&format!("{}: {error:#}", set.name_any()));
                    }
                });
            }
        }
        Ok(())
    }

    async fn bring_up(&self, set: &StatefulSet) -> anyhow::Result<()> {
        let _hand = self.hands.acquire().await?;
        let namespace = set.namespace().unwrap_or_default();
        let spec = set.spec.clone().unwrap_or_default();
        let template = json!(spec.template);
        self.bind(&namespace, &template).await?;
        if set.metadata.generation == Some(1) {
            self.run_pod(set, &namespace, template).await?;
        }
        let sets = Api::<StatefulSet>::namespaced(self.client.clone(), &namespace);
        let status = json!({ "status": {
            "replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "currentReplicas": 1, "updatedReplicas": 1,
            "observedGeneration": set.metadata.generation, "currentRevision": REVISION, "updateRevision": REVISION,
        }});
        say(&sets, &set.name_any(), status).await
    }

    async fn bind(&self, namespace: &str, template: &Value) -> anyhow::Result<()> {
        let volumes = template["spec"]["volumes"].as_array();
        let mut claims = volumes.into_iter().flatten();
        let name = claims.find_map(|v| v["persistentVolumeClaim"]["claimName"].as_str());
        let Some(name) = name else { return Ok(()) };
        let claims = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), namespace);
        let bound = json!({ "status": { "phase": "Bound" } });
        let volume = claims.get(name).await?.spec.and_then(|s| s.volume_name);
        say(&claims, name, bound.clone()).await?;
        let volumes = Api::<PersistentVolume>::all(self.client.clone());
        say(&volumes, &volume.unwrap_or_default(), bound).await
    }

    async fn run_pod(
        &self,
        set: &StatefulSet,
        namespace: &str,
        template: Value,
    ) -> anyhow::Result<()> {
        let name = format!("{}-0", set.name_any());
        let mut pod = template;
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["labels"]["controller-revision-hash"] = json!(REVISION);
        pod["metadata"]["ownerReferences"] = json!([set.controller_owner_ref(&())]);
        pod["spec"]["nodeName"] = json!("node1");
        let pod: Pod = serde_json::from_value(pod)?;
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        pods.create(&PostParams::default(), &pod).await?;
        let now = jiff::Timestamp::now();
        let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"];
        let conditions = conditions.map(
            |kind| json!({ "type": kind, "status": "True", "lastTransitionTime": format!("{now:.0}") }),
        );
        let container = json!({
            "name": "postgres", "image": "postgres:16.9", "imageID": "", "ready": true, "started": true, "restartCount": 0,
            "state": { "running": { "startedAt": format!("{now:.0}") } },
        });
        let status = json!({ "status": { "phase": "Running", "conditions": conditions, "containerStatuses": [container] } });
        say(&pods, &name, status).await?;
        self.ready.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

async fn say<K>(api: &Api<K>, name: &str, status: Value) -> anyhow::Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}
