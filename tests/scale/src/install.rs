//! The platform as its charts install it, without its pods.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use crate::control_plane::{ControlPlane, REPLAY};
use crate::operate::NAMESPACE;
use crate::{process, replay, tower};

/// The stripped helper of a release, about.
const HELPER: usize = 700 << 10;

/// Definitions and roles as the charts have them, and the leader's place.
pub(crate) async fn install(plane: &ControlPlane, helm: &Path) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("crds")? {
        let yaml = std::fs::read_to_string(entry?.path())?;
        if yaml.contains("name: postgresvdbs.") {
            all.push(replay::definition(&yaml));
        }
        all.push(yaml);
    }
    let mut rendered = Command::new(helm);
    rendered.args([
        "template",
        "vdb-platform",
        "charts/postgres-vdb-platform",
        "--kube-version",
        "1.34.4",
    ]);
    rendered.args([
        "--namespace",
        NAMESPACE,
        "--show-only",
        "templates/rbac-operator.yaml",
    ]);
    rendered.args(["--show-only", "templates/admission-volumes.yaml"]);
    let prefix = format!("operator.settings.export.prefix={}", tower::EXPORTS);
    rendered.args([
        "--set",
        &prefix,
        "--set",
        "operator.settings.export.kind=local",
    ]);
    rendered.args(["--set", "operator.settings.export.node=node1"]);
    let rendered = rendered.output().await?;
    anyhow::ensure!(
        rendered.status.success(),
        "helm: {}",
        String::from_utf8_lossy(&rendered.stderr)
    );
    all.push(String::from_utf8_lossy(&rendered.stdout).into_owned());
    let administrator = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "replay" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "name": REPLAY, "namespace": NAMESPACE }],
    });
    all.push(administrator.to_string());
    let all = all.join("\n---\n");
    plane
        .kubectl(&["create", "namespace", NAMESPACE], "")
        .await?;
    plane
        .kubectl(&["apply", "--server-side", "-f", "-"], &all)
        .await?;
    plane.established().await
}

pub(crate) fn settings(work: &Path) -> anyhow::Result<()> {
    std::fs::write(work.join("key"), "key")?;
    // Its content is not run; like a program it does not compress to nothing.
    let helper: Vec<u8> = (0..HELPER)
        .map(|n| ((n * n) >> 7).to_le_bytes()[0])
        .collect();
    std::fs::write(work.join("helper"), helper)?;
    let settings = json!({
        "dct": { "url": format!("http://{}", tower::ADDRESS), "apiKeyFile": work.join("key"), "group": "vdbs", "pollMin": format!("{}ms", tower::POLL.as_millis()) },
        "export": { "kind": "local", "prefix": tower::EXPORTS, "node": "node1" },
        "helperFile": work.join("helper"),
        "listen": process::METRICS,
        // Not within a run.
        "sweep": { "interval": "8760h" },
    });
    std::fs::write(work.join("settings.yaml"), settings.to_string())?;
    Ok(())
}
