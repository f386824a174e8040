//! The node is lost: its kubelet is not heard of any more. What runs there says so, what is deleted goes all the same, and
//! when the node is back everything is as before.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::by_hand::ByHand;
use super::tower;
use crate::context::Context;
use crate::kubernetes::Kubernetes;
use crate::node;
use crate::wait;

const NAMESPACE: &str = "postgres-vdbs-x-lost";
/// Deleted as a whole while the node is away.
const WHOLE: &str = "postgres-vdbs-x-lost-whole";
const SOON: Duration = Duration::from_secs(180);
const DEADLINE: &str = "30s";
/// What lives on the only node and would be on another one in a cluster of several.
const ELSEWHERE: [(&str, &str); 2] = [("vdb-system", "vdb-engine"), ("kube-system", "kube-dns")];

/// Who finds out that the node is lost.
pub(crate) enum Found<'a> {
    /// The cluster, by its own patience: the better part of a minute. There is time for a whole namespace to go.
    ByTheCluster(&'a ByHand<'a>),
    /// The scenario writes at once what the cluster would.
    AtOnce,
}

/// The long form, for `make soak`.
pub(crate) async fn alone(context: &Context) -> anyhow::Result<()> {
    let ours = ByHand::begin(context, NAMESPACE).await?;
    let (stays, leaves) = ("x-stays", "x-leaves");
    for name in [stays, leaves] {
        ours.order(name, |_| ()).await?;
    }
    ours.one_each(SOON).await?;
    let whole = ByHand::begin(context, WHOLE).await?;
    whole.order("x-goes", |_| ()).await?;
    whole.one_each(SOON).await?;
    let before = tower::settings(&ours.kubernetes).await?;
    tower::set(&ours.kubernetes, &tower::with_deadline(&before, DEADLINE)?).await?;
    found_although_unready(&ours.kubernetes, true).await?;
    let tried = lost(&ours, stays, leaves, Found::ByTheCluster(&whole)).await;
    found_although_unready(&ours.kubernetes, false).await?;
    tower::set(&ours.kubernetes, &before).await?;
    tried?;
    ours.end().await
}

/// All pods of the only node are called unready, also those that are not meant to be lost.
async fn found_although_unready(kubernetes: &Kubernetes<'_>, found: bool) -> anyhow::Result<()> {
    let patch = json!({ "spec": { "publishNotReadyAddresses": found } }).to_string();
    for (namespace, name) in ELSEWHERE {
        let service = ["-n", namespace, "patch", "service", name, "-p", &patch];
        kubernetes.ok(&service).await?;
    }
    Ok(())
}

/// Of two databases one is deleted meanwhile, and one is there again afterwards.
pub(crate) async fn lost(
    ours: &ByHand<'_>,
    stays: &str,
    leaves: &str,
    found: Found<'_>,
) -> anyhow::Result<()> {
    let (kept, left) = (pod(ours, stays).await?, pod(ours, leaves).await?);
    let node = kept["spec"]["nodeName"].as_str().context("no node")?;
    let get = ["-n", ours.namespace, "get", "postgresvdb", leaves];
    let vdb = ours.kubernetes.json(&get).await?;
    let id = vdb["status"]["vdb"]["id"].as_str().context("no VDB")?;
    let uid = vdb["metadata"]["uid"].as_str().context("no uid")?;

    let frozen = ours.node.freeze("kubelet")?;
    // The one server ends with its node; of the other one the node only lost sight, the worse case.
    let killed = ours.node.kill_container(container(&kept)?).await?;
    anyhow::ensure!(killed, "the server of {stays} did not run");
    match &found {
        Found::AtOnce => tell(ours, node, &[stays, leaves]).await?,
        Found::ByTheCluster(_) => unready(ours, node).await?,
    }
    ours.explains(stays, "NodeLost", &[node, "does not report"])
        .await?;
    tower::delete(ours, leaves).await?;
    tower::gone(ours, leaves).await?;
    ours.absent(id).await?;
    let ledger = ["-n", "vdb-system", "get", "configmap", "vdb-orphans"];
    let ledger = ours.kubernetes.run(&ledger).await?;
    anyhow::ensure!(
        !ledger.stdout.contains(uid),
        "what is gone stands in the ledger: {}",
        ledger.text()
    );
    if let Found::ByTheCluster(whole) = &found {
        whole.end().await?;
    }
    drop(frozen);
    ours.says(stays, "Verified").await?;
    nothing_on_the_node(ours, &left).await?;
    ours.one_each(SOON).await
}

async fn pod(ours: &ByHand<'_>, database: &str) -> anyhow::Result<Value> {
    let name = format!("{database}-0");
    let get = ["-n", ours.namespace, "get", "pod", &name];
    ours.kubernetes.json(&get).await
}

fn container(pod: &Value) -> anyhow::Result<&str> {
    let id = &pod["status"]["containerStatuses"][0]["containerID"];
    id.as_str().context("the pod has no container")
}

/// What the cluster's controller writes when it hears nothing more: the node is unknown, and its pods are not ready.
async fn tell(ours: &ByHand<'_>, node: &str, databases: &[&str]) -> anyhow::Result<()> {
    let status = async |object: &[&str], condition: Value| {
        let patch = json!({ "status": { "conditions": [condition] } }).to_string();
        let how = ["--subresource=status", "--type=strategic", "-p", &patch];
        ours.kubernetes
            .ok(&[object, &how[..]].concat())
            .await
            .map(drop)
    };
    let now = format!("{:.0}", Timestamp::now());
    let unknown = json!({ "type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.", "lastTransitionTime": now });
    status(&["patch", "node", node], unknown).await?;
    for database in databases {
        let pod = format!("{database}-0");
        let unready = json!({ "type": "Ready", "status": "False", "lastTransitionTime": now });
        status(&["-n", ours.namespace, "patch", "pod", &pod], unready).await?;
    }
    Ok(())
}

async fn unready(ours: &ByHand<'_>, node: &str) -> anyhow::Result<()> {
    wait::until("the node to be missed", SOON, || async {
        let seen = ours.kubernetes.json(&["get", "node", node]).await?;
        let conditions = seen["status"]["conditions"].as_array();
        let ready = conditions.into_iter().flatten();
        let unknown =
            |condition: &Value| condition["type"] == "Ready" && condition["status"] == "Unknown";
        Ok(ready.into_iter().any(unknown).then_some(()))
    })
    .await
}

/// Neither its server nor its mounts.
async fn nothing_on_the_node(ours: &ByHand<'_>, pod: &Value) -> anyhow::Result<()> {
    let uid = pod["metadata"]["uid"].as_str().context("no uid")?;
    let id = container(pod)?;
    wait::until("the node to clean up", SOON, || async {
        anyhow::ensure!(!node::runs(id)?, "its server runs");
        anyhow::ensure!(!ours.node.mounts()?.contains(uid), "it has mounts");
        Ok(Some(()))
    })
    .await
}
