//! `vdb env template`: what Argo CD would apply, rendered by the same chart, values and platform grants.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use environment::{EnvironmentName, yaml};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::cluster::Cluster;
use super::settings::Settings;
use crate::output;

/// Where no cluster can be asked.
const KUBERNETES: &str = "1.34.0";
const APPLICATION_SET: &str = "applications/postgres-vdb-appset.yaml";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the environment
    name: String,
}

pub(super) async fn run(args: Args, settings: &Settings) -> Result<()> {
    let name = EnvironmentName::parse(&args.name).map_err(super::refused)?;
    let values = settings.repository.join(name.values_path());
    if !values.exists() {
        bail!("there is no {}", values.display());
    }
    let grants = grants(settings)?;
    let mut helm = Command::new(&settings.helm)
        .args(arguments(&name, &version(settings).await))
        .current_dir(&settings.repository)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| {
            format!(
                "cannot run {}: install Helm or set VDB_HELM",
                settings.helm.display()
            )
        })?;
    let mut input = helm
        .stdin
        .take()
        .context("helm takes the platform's values")?;
    input
        .write_all(grants.to_string().as_bytes())
        .await
        .context("cannot hand the platform's values to helm")?;
    drop(input);
    let done = helm.wait_with_output().await.context("cannot run helm")?;
    if !done.status.success() {
        bail!("{}", String::from_utf8_lossy(&done.stderr).trim_end());
    }
    output::line(String::from_utf8_lossy(&done.stdout).trim_end());
    Ok(())
}

/// What the ApplicationSet passes on, as a values file of its own: the last one wins, as `valuesObject` does.
fn grants(settings: &Settings) -> Result<Value> {
    let path = settings.repository.join(APPLICATION_SET);
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Ok(json!({}));
    };
    let set: Value = yaml::read(&text)
        .map_err(|error| anyhow::anyhow!("{} is not readable: {error}", path.display()))?;
    Ok(set
        .pointer("/spec/template/spec/source/helm/valuesObject")
        .cloned()
        .unwrap_or_else(|| json!({})))
}

async fn version(settings: &Settings) -> String {
    let Ok(kubeconfig) = settings.kubeconfig() else {
        return KUBERNETES.into();
    };
    let asked = async { Cluster::connect(kubeconfig).await?.version().await };
    asked.await.unwrap_or_else(|_| KUBERNETES.into())
}

fn arguments(name: &EnvironmentName, version: &str) -> Vec<String> {
    let fixed = [
        "template",
        name.as_str(),
        "charts/postgres-vdb",
        "--namespace",
        &name.namespace(),
        "--kube-version",
        version,
    ];
    let values = ["--values", &name.values_path(), "--values", "-"];
    fixed
        .iter()
        .chain(&values)
        .map(|argument| (*argument).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platforms_values_come_last() {
        let name = EnvironmentName::parse("feat-1").unwrap();
        let arguments = arguments(&name, "1.34.4");
        assert_eq!(arguments[1], "feat-1");
        assert_eq!(
            arguments[arguments.len() - 4..],
            [
                "--values",
                "environments/feat-1/values.yaml",
                "--values",
                "-"
            ]
        );
    }

    #[test]
    fn the_grants_are_those_of_the_application_set() {
        let here = Settings::from(|name| {
            (name == "VDB_REPO").then(|| env!("CARGO_MANIFEST_DIR").to_owned())
        });
        let grants = grants(&here).unwrap();
        assert_eq!(
            grants["platform"]["operator"]["serviceAccount"],
            "vdb-operator"
        );
    }
}
