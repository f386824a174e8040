//! Manifests that were written for another operator: the API server takes them with every field, and they become databases.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::admission::NAMESPACE;
use crate::context::Context;
use crate::kubernetes::Kubernetes;

const MANIFESTS: [(&str, &str); 2] = [
    (
        "x-demo",
        include_str!("../../../operator/tests/manifests/demo-repository.yaml"),
    ),
    (
        "x-vendor",
        include_str!("../../../operator/tests/manifests/vendor-shape.yaml"),
    ),
];
const SOON: Duration = Duration::from_secs(120);

pub(crate) async fn run(context: &Context) -> anyhow::Result<()> {
    let kubernetes = Kubernetes::new(context);
    for (name, text) in MANIFESTS {
        let mut manifest: Value =
            environment::yaml::read(text).map_err(|why| anyhow::anyhow!("{name}: {why}"))?;
        manifest["metadata"]["name"] = json!(name);
        manifest["metadata"]["namespace"] = json!(NAMESPACE);
        password(&kubernetes, &manifest["spec"]).await?;
        let applied = kubernetes.apply(&manifest).await?;
        anyhow::ensure!(applied.ok, "{name}: {}", applied.text());
        let worked = works(&kubernetes, name, &manifest["spec"]).await;
        let deleted = kubernetes.delete_vdb(NAMESPACE, name).await?;
        worked.with_context(|| name.to_owned())?;
        anyhow::ensure!(deleted.ok, "{name} cannot be deleted: {}", deleted.text());
    }
    Ok(())
}

/// What the order names instead of a password.
async fn password(kubernetes: &Kubernetes<'_>, spec: &Value) -> anyhow::Result<()> {
    let Some(name) = spec["database"]["passwordSecretRef"].as_str() else {
        return Ok(());
    };
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": NAMESPACE },
        "stringData": { "password": "written-by-somebody-else" },
    });
    let applied = kubernetes.apply(&secret).await?;
    anyhow::ensure!(applied.ok, "Secret {name}: {}", applied.text());
    Ok(())
}

async fn works(kubernetes: &Kubernetes<'_>, name: &str, spec: &Value) -> anyhow::Result<()> {
    let live = kubernetes.reason(NAMESPACE, name, "Verified", SOON).await?;
    for (field, written) in spec.as_object().into_iter().flatten() {
        // Defaults are filled in; what was written is as it was.
        let kept = &live["spec"][field];
        let same = match written {
            Value::Object(fields) => fields.iter().all(|(key, value)| kept[key] == *value),
            other => kept == other,
        };
        anyhow::ensure!(same, "{field} was {written} and is {kept}");
    }
    let uri = json!({ "secretKeyRef": { "name": format!("{name}-credentials"), "key": "uri" } });
    let environment = NAMESPACE.trim_start_matches("postgres-vdbs-");
    let user = kubernetes
        .sql_as(environment, uri, "select current_user")
        .await?;
    anyhow::ensure!(user == spec["database"]["user"], "connected as {user}");
    Ok(())
}
