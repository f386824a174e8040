//! Carries a plan out, step by step, and waits until the programs run. Running it again goes on where it stopped.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::NAMESPACE;
use super::look::{Effect, Work};
use super::plan::Action;
use super::secrets::{self, ARGOCD_SECRET};
use super::settings::{Settings, Tower};
use super::tools::Tools;
use crate::output;

/// The images are pulled in this time, too.
const READY: Duration = Duration::from_secs(300);

pub(super) async fn run(tools: &Tools, settings: &Settings, work: &Work) -> Result<()> {
    if work.interrupted {
        tools.forget_pending().await?;
        output::progress("an interrupted installation was forgotten");
    }
    let mut changed = Vec::new();
    for (step, effect) in work.plan.steps.iter().zip(&work.effects) {
        if let Effect::Last(_) = effect {
            restart(tools, settings, &changed).await?;
            ready(tools, settings).await?;
        }
        if step.action == Action::Keep {
            continue;
        }
        match effect {
            Effect::Secret(manifest) if step.action == Action::Change => {
                tools.apply(&secrets::marked(manifest, true)).await?;
                changed.push(manifest);
            }
            Effect::Apply(manifest) | Effect::Secret(manifest) | Effect::Last(manifest) => {
                tools.apply(manifest).await?;
            }
            Effect::Release => {
                tools.upgrade(&work.plan.values, &[]).await?;
            }
        }
        output::progress(format!("{} {} done", step.kind, step.name));
        if step.name.ends_with(ARGOCD_SECRET) {
            output::progress(
                "restart argocd-applicationset-controller: it reads this at its start (docs/install.md, step 4)",
            );
        }
    }
    Ok(())
}

/// Programs read some of their Secrets at the start only.
async fn restart(tools: &Tools, settings: &Settings, changed: &[&Value]) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    for name in deployments(settings) {
        let deployment = format!("deployment/{name}");
        let args = ["rollout", "restart", &deployment, "--namespace", NAMESPACE];
        tools.ask(&args).await?;
        output::progress(format!("{name} restarted, because a Secret changed"));
    }
    for manifest in changed {
        tools.apply(&secrets::marked(manifest, false)).await?;
    }
    Ok(())
}

pub(super) fn deployments(settings: &Settings) -> Vec<&'static str> {
    let mut names = vec!["vdb-operator", "vdb-sidecar"];
    if matches!(settings.tower, Tower::Engine { .. }) {
        names.insert(0, "vdb-engine");
    }
    names
}

/// Every program answers, or its log's end says why not.
async fn ready(tools: &Tools, settings: &Settings) -> Result<()> {
    let until = tokio::time::Instant::now() + READY;
    for name in deployments(settings) {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        let timeout = format!("--timeout={}s", left.as_secs().max(1));
        let deployment = format!("deployment/{name}");
        let args = [
            "rollout",
            "status",
            &deployment,
            "--namespace",
            NAMESPACE,
            &timeout,
        ];
        let waited = tools.wait(&args, left + Duration::from_secs(10)).await;
        if let Err(error) = waited {
            let why = why_not(tools, name).await;
            return Err(error.context(format!("{name} is not ready: {why}")));
        }
        output::progress(format!("{name} is ready"));
    }
    Ok(())
}

/// What keeps the pod from running, or the last lines of its log.
pub(super) async fn why_not(tools: &Tools, name: &str) -> String {
    let selector = format!("--selector=app.kubernetes.io/name={name}");
    let args = ["get", "pods", "--namespace", NAMESPACE, &selector];
    let pods = tools.json(&args).await.unwrap_or_default();
    if let Some(reason) = waiting(&pods) {
        return reason;
    }
    let deployment = format!("deployment/{name}");
    let log = ["logs", &deployment, "--namespace", NAMESPACE, "--tail=5"];
    match tools.ask(&log).await {
        Ok(text) if !text.trim().is_empty() => format!("the end of its log is\n{}", text.trim()),
        _ => "it has no pod that runs; `kubectl describe` shows why".to_owned(),
    }
}

fn waiting(pods: &Value) -> Option<String> {
    let newest = pods["items"]
        .as_array()?
        .iter()
        .max_by_key(|pod| pod["metadata"]["creationTimestamp"].to_string())?;
    let status = &newest["status"];
    let state = &status["containerStatuses"][0]["state"]["waiting"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match state["reason"].as_str() {
        Some(
            reason @ ("ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull"
            | "InvalidImageName"),
        ) => {
            let image = text(&newest["spec"]["containers"][0]["image"]);
            Some(format!(
                "{reason}: push the image {image}, or correct images in the settings"
            ))
        }
        // Its log says more.
        Some("CrashLoopBackOff") => None,
        Some(reason) => Some(format!("{reason}: {}", text(&state["message"]))),
        None => {
            let conditions = status["conditions"].as_array()?;
            let unplaced = conditions
                .iter()
                .find(|c| c["type"] == "PodScheduled" && c["status"] == "False")?;
            Some(format!(
                "it cannot be placed: {}",
                text(&unplaced["message"])
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_missing_image_is_named() {
        let pod = |waiting: Value| {
            json!({"items": [{
                "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"containers": [{"image": "r/operator:1"}]},
                "status": {"containerStatuses": [{"state": {"waiting": waiting}}]},
            }]})
        };
        let said = waiting(&pod(json!({"reason": "ImagePullBackOff"}))).unwrap();
        assert!(said.contains("r/operator:1"), "{said}");
        assert_eq!(waiting(&pod(json!({"reason": "CrashLoopBackOff"}))), None);
        let unplaced = json!({"items": [{"status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]}}]});
        assert!(waiting(&unplaced).unwrap().contains("0/1 nodes"));
    }
}
