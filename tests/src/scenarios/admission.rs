//! What the API server refuses, and what the operator explains, for resources that somebody wrote by hand.

use std::time::Duration;

use serde_json::{Value, json};

use crate::context::Context;
use crate::kubernetes::Kubernetes;

pub(super) const NAMESPACE: &str = "postgres-vdbs-feat-b";
const ENGINE: &str = "app.kubernetes.io/name=vdb-engine";

/// A name, what is wrong with the resource, and the word that the answer must hold.
type Case = (&'static str, fn(&mut Value), &'static str);

pub(super) fn vdb(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut manifest = json!({
        "apiVersion": "core.delphix.com/v1alpha1", "kind": "PostgresVDB",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "source": { "type": "dct-source", "reference": "10.0.1.54:largedb" },
            "database": { "name": "largedb", "user": "app" },
            "resources": { "requests": { "cpu": "10m", "memory": "128Mi" }, "limits": { "cpu": "500m", "memory": "256Mi" } },
        },
    });
    change(&mut manifest["spec"]);
    manifest
}

pub(crate) async fn refused(context: &Context) -> anyhow::Result<()> {
    let kubernetes = Kubernetes::new(context);
    let cases: [Case; 7] = [
        (
            "limit-below-request",
            |s| s["resources"]["limits"]["memory"] = json!("64Mi"),
            "raise the limit",
        ),
        (
            "wrong-quantity",
            |s| s["resources"]["limits"]["memory"] = json!("1GB"),
            "memory",
        ),
        (
            "two-passwords",
            |s| s["database"] = json!({ "name": "a", "user": "b", "password": "longenough", "passwordSecretRef": "s" }),
            "two password sources",
        ),
        (
            "quoted-setting",
            |s| s["postgresConfig"] = json!([{ "name": "work_mem", "value": "8\"MB" }]),
            "postgresConfig",
        ),
        (
            "two-owners",
            |s| {
                s["ownershipSpec"] = json!("999:999");
                s["OwnershipSpec"] = json!("1000:1000");
            },
            "two spellings",
        ),
        (
            "two-pins",
            |s| {
                s["source"]["snapshotId"] = json!("a");
                s["source"]["bookmark"] = json!("b");
            },
            "exclude each other",
        ),
        (
            "two-hooks",
            |s| s["hooks"] = json!([{ "name": "a", "stage": "post-create", "type": "sql", "script": "x" }, { "name": "a", "stage": "post-create", "type": "sql", "script": "x" }]),
            "same name",
        ),
    ];
    for (name, change, word) in cases {
        let applied = kubernetes.apply(&vdb(name, change)).await?;
        anyhow::ensure!(
            !applied.ok && applied.text().contains(word),
            "{name}: expected {word:?}, got {}",
            applied.text()
        );
    }
    let long = "a-name-of-more-than-forty-characters-is-too-long";
    let applied = kubernetes.apply(&vdb(long, |_| ())).await?;
    anyhow::ensure!(
        !applied.ok && applied.text().contains("40"),
        "a long name: {}",
        applied.text()
    );
    Ok(())
}

pub(crate) async fn explained(context: &Context) -> anyhow::Result<()> {
    let kubernetes = Kubernetes::new(context);
    let cases: [Case; 6] = [
        (
            "x-nosource",
            |s| s["source"]["reference"] = json!("10.0.1.54:nosuchdb"),
            "SourceNotFound",
        ),
        ("x-image", |s| s["image"] = json!("evil:1"), "NotAllowed"),
        (
            "x-standby",
            |s| s["mode"] = json!("Standby"),
            "ModeUnsupported",
        ),
        (
            "x-nodatabase",
            |s| s["database"]["name"] = json!("nosuchdb"),
            "DatabaseNotFound",
        ),
        (
            "x-setting",
            |s| s["postgresConfig"] = json!([{ "name": "work_mem", "value": "lots" }]),
            "InvalidSetting",
        ),
        (
            "x-hook",
            |s| s["hooks"] = json!([{ "name": "fails", "stage": "post-create", "type": "sql", "script": "select nonsense", "backoffLimit": 0 }]),
            "HookFailed",
        ),
    ];
    // One after the other: the environment's quota is that of one team.
    for (name, change, reason) in cases {
        let applied = kubernetes.apply(&vdb(name, change)).await?;
        anyhow::ensure!(applied.ok, "{name}: {}", applied.text());
        let seen = kubernetes
            .reason(NAMESPACE, name, reason, Duration::from_secs(90))
            .await;
        let deleted = kubernetes.delete_vdb(NAMESPACE, name).await?;
        let seen = seen?;
        let message = crate::kubernetes::condition(&seen, "Ready")
            .map(|c| c["message"].to_string())
            .unwrap_or_default();
        anyhow::ensure!(
            message.len() > 20,
            "{name}: {reason} has no message: {message}"
        );
        anyhow::ensure!(deleted.ok, "{name} cannot be deleted: {}", deleted.text());
    }
    Ok(())
}

/// While the engine is away, resources say so; once it is back, the order goes on by itself.
pub(crate) async fn engine_down(context: &Context) -> anyhow::Result<()> {
    let kubernetes = Kubernetes::new(context);
    let name = "x-waits";
    let scale = async |replicas: &str| {
        kubernetes
            .ok(&[
                "-n",
                "vdb-system",
                "scale",
                "deployment",
                "vdb-engine",
                replicas,
            ])
            .await
    };
    scale("--replicas=0").await?;
    let said = async {
        kubernetes
            .ok(&[
                "-n",
                "vdb-system",
                "wait",
                "pod",
                "-l",
                ENGINE,
                "--for=delete",
                "--timeout=60s",
            ])
            .await?;
        let applied = kubernetes.apply(&vdb(name, |_| ())).await?;
        anyhow::ensure!(applied.ok, "{name}: {}", applied.text());
        kubernetes
            .reason(
                NAMESPACE,
                name,
                "EngineUnreachable",
                Duration::from_secs(60),
            )
            .await
    }
    .await;
    scale("--replicas=1").await?;
    said?;
    kubernetes
        .reason(NAMESPACE, name, "Verified", Duration::from_secs(120))
        .await?;
    let deleted = kubernetes.delete_vdb(NAMESPACE, name).await?;
    anyhow::ensure!(deleted.ok, "{name} cannot be deleted: {}", deleted.text());
    Ok(())
}
