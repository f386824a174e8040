//! Which cluster it is, and everything about it that would make an installation fail later.

use anyhow::{Context as _, Result, bail};
use environment::{Problem, Problems};
use serde_json::Value;

use super::plan::Identity;
use super::settings::{Settings, Tower};
use super::tools::Tools;

/// The chart's own lower bound.
const OLDEST: u64 = 30;
pub(super) const DEFINITION: &str = "postgresvdbs.core.delphix.com";
const PART_OF: &str = "app.kubernetes.io/part-of";
pub(super) async fn identity(tools: &Tools) -> Result<Identity> {
    let view = match tools.json(&["config", "view", "--minify"]).await {
        Ok(view) => view,
        Err(error) => {
            let known = tools
                .ask(&["config", "get-contexts", "--output=name"])
                .await;
            // No answer at all: kubectl itself is the problem.
            let Ok(known) = known else {
                return Err(error);
            };
            let known: Vec<&str> = known.lines().collect();
            return Err(error.context(format!(
                "the kubeconfig has no context {:?}; it has: {}",
                tools.context,
                known.join(", ")
            )));
        }
    };
    let server = view["clusters"][0]["cluster"]["server"]
        .as_str()
        .with_context(|| format!("context {:?} names no cluster", tools.context))?;
    let version = tools.json(&["version"]).await;
    let version = version.with_context(|| format!("the API server {server} does not answer"))?;
    let version = version["serverVersion"]["gitVersion"].as_str();
    Ok(Identity {
        context: tools.context.clone(),
        server: server.to_owned(),
        version: version
            .context("kubectl shows no server version")?
            .to_owned(),
    })
}

/// Everything about the cluster that would make the installation fail later.
pub(super) async fn fits(tools: &Tools, settings: &Settings, version: &str) -> Result<()> {
    let definition = tools
        .get("customresourcedefinitions", "default", DEFINITION)
        .await?;
    if definition.is_some_and(|definition| !is_own(&definition)) {
        bail!(
            "another operator's {DEFINITION} is in this cluster, and a cluster has one such operator: remove that one first, or use another cluster"
        );
    }
    let mut problems = Vec::new();
    if minor(version).is_none_or(|minor| minor < OLDEST) {
        let problem = Problem::at("", format!("Kubernetes {version} is too old"));
        problems.push(problem.hint(format!("1.{OLDEST} or later is needed")));
    }
    let namespace = &settings.argocd.namespace;
    let argo = "applicationsets.argoproj.io";
    let kinds = tools
        .get("customresourcedefinitions", "default", argo)
        .await?;
    let config = tools.get("configmap", namespace, "argocd-cm").await?;
    if kinds.is_none() || config.is_none() {
        let problem = Problem::at(
            "/argocd/namespace",
            format!("there is no Argo CD with ApplicationSets in namespace {namespace}"),
        );
        problems.push(problem.hint("install Argo CD, or name its namespace"));
    }
    if let Tower::Engine { node, .. } = &settings.tower {
        let selector = format!("--selector=kubernetes.io/hostname={node}");
        let nodes = tools
            .ask(&["get", "nodes", &selector, "--output=name"])
            .await?;
        if nodes.trim().is_empty() {
            let problem = Problem::at("/engine/node", format!("there is no node {node:?}"));
            problems.push(problem.hint("`kubectl get nodes -L kubernetes.io/hostname` lists them"));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problems(problems).into())
    }
}

pub(super) fn is_own(definition: &Value) -> bool {
    definition["metadata"]["labels"][PART_OF] == "postgres-vdb-platform"
}

/// "v1.34.4+k3s1" is 34.
fn minor(version: &str) -> Option<u64> {
    let digits = version.strip_prefix("v1.")?;
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_of_every_vendor_are_read() {
        for (version, wanted) in [
            ("v1.34.4", Some(34)),
            ("v1.29.1+k3s1", Some(29)),
            ("v1.33-gke.5", Some(33)),
            ("1.30", None),
            ("v2.0", None),
        ] {
            assert_eq!(minor(version), wanted, "{version}");
        }
    }

    #[test]
    fn a_definition_without_our_label_is_anothers() {
        assert!(!is_own(&json!({"metadata": {"name": DEFINITION}})));
        let own = json!({"metadata": {"labels": {PART_OF: "postgres-vdb-platform"}}});
        assert!(is_own(&own));
    }
}
