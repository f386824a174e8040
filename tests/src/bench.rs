//! Measurements on a warm stack: printed, never asserted.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::Value;

use crate::context::Context;
use crate::demo::{place, stage_seconds};
use crate::gitea::Gitea;
use crate::kubernetes::Kubernetes;
use crate::output::line;
use crate::portal::Portal;
use crate::scenarios;

pub(crate) async fn run(context: &Context, orders: usize) -> anyhow::Result<ExitCode> {
    let portal = Portal::sign_in(context).await?;
    let forge = Gitea::new(context)?;
    let kubernetes = Kubernetes::new(context);
    let mut times = Vec::new();
    let mut stages: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let names: Vec<_> = (1..=orders).map(|n| format!("bench-{n}")).collect();
    for name in &names {
        times.push(place(context, &portal, &forge, &kubernetes, name).await?);
        for (stage, seconds) in stage_seconds(&kubernetes.vdb(name).await?) {
            stages.entry(stage).or_default().push(seconds);
        }
    }
    let total = median(&mut times);
    line(format!(
        "merge → ready over {orders} orders: p50 {total:.1} s, slowest {:.1} s",
        times.last().copied().unwrap_or_default()
    ));
    for (stage, mut seconds) in stages {
        let p50 = median(&mut seconds);
        line(format!(
            "  stage {stage:<12} p50 {p50:>6.2} s  {:>3.0} %",
            100.0 * p50 / total
        ));
    }
    memory(&kubernetes, orders).await?;
    for name in &names {
        scenarios::retire(context, &portal, &forge, name).await?;
    }
    for name in &names {
        scenarios::gone(&kubernetes, name).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Resident memory of the platform's pods, from the kubelet.
async fn memory(kubernetes: &Kubernetes<'_>, databases: usize) -> anyhow::Result<()> {
    let node = kubernetes.json(&["get", "nodes"]).await?["items"][0]["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let text = kubernetes
        .ok(&[
            "get",
            "--raw",
            &format!("/api/v1/nodes/{node}/proxy/stats/summary"),
        ])
        .await?;
    let summary: Value = serde_json::from_str(&text)?;
    for pod in summary["pods"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|p| p["podRef"]["namespace"] == "vdb-system")
    {
        for container in pod["containers"].as_array().into_iter().flatten() {
            let mib =
                container["memory"]["rssBytes"].as_f64().unwrap_or_default() / f64::from(1 << 20);
            line(format!(
                "{} with {databases} databases: {mib:.0} MiB resident",
                container["name"].as_str().unwrap_or_default()
            ));
        }
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
