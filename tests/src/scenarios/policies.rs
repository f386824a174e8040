//! What the cluster keeps from happening: volumes that are none of the operator's, the end of what is protected, and a
//! namespace that goes without its databases.

use serde_json::{Value, json};

use super::admission::{NAMESPACE, vdb};
use super::by_hand::ByHand;
use crate::context::Context;
use crate::kubernetes::Kubernetes;

const OPERATOR: &str = "--as=system:serviceaccount:vdb-system:vdb-operator";
const PROTECTED: &str = "x-protected";
const ENDING: &str = "postgres-vdbs-x-ends";
/// The stack's settings have a rule for it (stack/manifests/platform.yaml).
const RULED: &str = "postgres-vdbs-x-ruled";
const ENDS: &str = "x-ends";

/// Who takes the operator's account over gets no way into the node, and no Secret of the platform.
pub(crate) async fn account(context: &Context) -> anyhow::Result<()> {
    let kubernetes = Kubernetes::new(context);
    let outside = volume("/etc");
    let refused = kubernetes.apply_as(OPERATOR, &outside).await?;
    anyhow::ensure!(
        !refused.ok && refused.text().contains("operator.settings.export"),
        "a volume outside the prefix: {}",
        refused.text()
    );
    let by_path = json!({ "hostPath": { "path": "/" } });
    let mut of_another_kind = volume("/");
    of_another_kind["spec"]["local"] = Value::Null;
    of_another_kind["spec"]["hostPath"] = by_path["hostPath"].clone();
    let refused = kubernetes.apply_as(OPERATOR, &of_another_kind).await?;
    anyhow::ensure!(!refused.ok, "a volume of another kind was made");
    for (verb, resource, namespace) in [
        ("get", "secrets", "vdb-system"),
        ("list", "secrets", NAMESPACE),
        ("create", "pods", NAMESPACE),
        ("create", "rolebindings", NAMESPACE),
    ] {
        let may = ["auth", "can-i", verb, resource, "-n", namespace, OPERATOR];
        let answer = kubernetes.run(&may).await?;
        anyhow::ensure!(
            answer.stdout.trim() == "no",
            "{verb} {resource} in {namespace}: {}",
            answer.text()
        );
    }
    Ok(())
}

fn volume(path: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": { "name": "x-outside", "labels": { "app.kubernetes.io/part-of": "postgres-vdb-platform" } },
        "spec": {
            "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "",
            "claimRef": { "namespace": NAMESPACE, "name": "x-outside" },
            "local": { "path": path },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                { "key": "kubernetes.io/hostname", "operator": "Exists" }] }] } },
        },
    })
}

/// Neither the resource nor a namespace that holds one goes before the protection does.
pub(crate) async fn protected(context: &Context) -> anyhow::Result<()> {
    let kubernetes = Kubernetes::new(context);
    let manifest = vdb(PROTECTED, |spec| {
        spec["protected"] = json!(true);
        spec["source"]["reference"] = json!("10.0.1.54:nosuchdb");
    });
    let applied = kubernetes.apply(&manifest).await?;
    anyhow::ensure!(applied.ok, "{PROTECTED}: {}", applied.text());
    let delete = ["-n", NAMESPACE, "delete", "postgresvdb", PROTECTED];
    let delete = [&delete[..], &["--timeout=90s"]].concat();
    let kept = kubernetes.run(&delete).await?;
    let unprotect = r#"{"spec":{"protected":false}}"#;
    let patch = ["-n", NAMESPACE, "patch", "postgresvdb", PROTECTED];
    let lifted = [&patch[..], &["--type=merge", "-p", unprotect]].concat();
    kubernetes.ok(&lifted).await?;
    let gone = kubernetes.run(&delete).await?;
    anyhow::ensure!(
        !kept.ok && kept.text().contains("set protected: false"),
        "a protected resource was deleted: {}",
        kept.text()
    );
    anyhow::ensure!(gone.ok, "{PROTECTED} stays: {}", gone.text());

    let labels = json!({ "app.kubernetes.io/part-of": "postgres-vdb-platform", "postgres-vdb-platform/protected": "true" });
    kubernetes.namespace(ENDING, &labels).await?;
    let kept = kubernetes.run(&["delete", "namespace", ENDING]).await?;
    let unlabel = [
        "label",
        "namespace",
        ENDING,
        "postgres-vdb-platform/protected-",
    ];
    kubernetes.ok(&unlabel).await?;
    kubernetes
        .ok(&["delete", "namespace", ENDING, "--timeout=60s"])
        .await?;
    anyhow::ensure!(
        !kept.ok && kept.text().contains("set protected: false"),
        "a namespace with a protected resource was deleted: {}",
        kept.text()
    );
    Ok(())
}

/// What a rule of the operator's settings keeps from one namespace is a database in the other one, until that namespace
/// goes and takes the operator's role with it before it takes the resource.
pub(crate) async fn namespaces(context: &Context) -> anyhow::Result<()> {
    let (ruled, free) = tokio::try_join!(
        ByHand::begin(context, RULED),
        ByHand::begin(context, ENDING)
    )?;
    for one in [&ruled, &free] {
        one.order(ENDS, |_| ()).await?;
    }
    let refused = [
        "source.reference \"10.0.1.54:largedb\" is not allowed: allowed are *:people (allow.rules[0].sources",
        "resources.limits.memory",
        "allow.rules[0].maxMemory",
    ];
    ruled.explains(ENDS, "NotAllowed", &refused).await?;
    free.says(ENDS, "Verified").await?;
    let made = ruled.data().await?;
    anyhow::ensure!(made.is_empty(), "a refused order made {made:?}");
    tokio::try_join!(ruled.end(), free.end()).map(drop)
}
