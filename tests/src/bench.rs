//! Measurements on a warm stack: printed, never asserted.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::Value;

use crate::context::Context;
use crate::demo::{place, stage_seconds};
use crate::gitea::{self, Gitea};
use crate::kubernetes::Kubernetes;
use crate::output::line;
use crate::portal::Portal;
use crate::scenarios;
use crate::wait;

/// Calls that wait at once.
const WAITING: usize = 1000;

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
    disk(context, &kubernetes, &names).await?;
    for (container, mib) in memory(&kubernetes).await? {
        line(format!(
            "{container} with {orders} databases: {mib:.0} MiB resident"
        ));
    }
    waiting(&portal, &forge, &kubernetes).await?;
    for name in &names {
        scenarios::retire(context, &portal, &forge, name).await?;
    }
    for name in &names {
        scenarios::gone(&kubernetes, name).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the copies take of the engine's disk by themselves.
async fn disk(
    context: &Context,
    kubernetes: &Kubernetes<'_>,
    names: &[String],
) -> anyhow::Result<()> {
    let mut own = Vec::new();
    let mut whole = 0.0_f64;
    for name in names {
        let vdb = kubernetes.vdb(name).await?;
        let id = vdb["status"]["vdb"]["id"].as_str().unwrap_or_default();
        let seen = async || -> anyhow::Result<Value> {
            let asked = context.engine(Method::GET, &format!("/vdbs/{id}"))?;
            Ok(asked.send().await?.error_for_status()?.json().await?)
        };
        // What was written last is not on the disk yet, and counts for nothing.
        let seen = wait::until(
            &format!("the size of {name}"),
            Duration::from_secs(30),
            || async {
                let vdb = seen().await?;
                Ok((vdb["storage_size"].as_f64().unwrap_or_default() > 0.0).then_some(vdb))
            },
        )
        .await?;
        own.push(seen["storage_size"].as_f64().unwrap_or_default() / f64::from(1 << 20));
        whole = whole.max(seen["size"].as_f64().unwrap_or_default() / f64::from(1 << 20));
    }
    let p50 = median(&mut own);
    line(format!(
        "a copy of {whole:.0} MiB takes p50 {p50:.1} MiB of its own, at most {:.1} MiB",
        own.last().copied().unwrap_or_default()
    ));
    Ok(())
}

/// Resident memory of the platform's containers in MiB, from the kubelet.
async fn memory(kubernetes: &Kubernetes<'_>) -> anyhow::Result<Vec<(String, f64)>> {
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
    let pods = summary["pods"].as_array().into_iter().flatten();
    let platform = pods.filter(|pod| pod["podRef"]["namespace"] == "vdb-system");
    let containers = platform.flat_map(|pod| pod["containers"].as_array().into_iter().flatten());
    Ok(containers
        .map(|container| {
            let bytes = container["memory"]["rssBytes"].as_f64().unwrap_or_default();
            let name = container["name"].as_str().unwrap_or_default();
            (name.to_owned(), bytes / f64::from(1 << 20))
        })
        .collect())
}

/// What the sidecar takes while many wait for one order that nobody merges.
async fn waiting(
    portal: &Portal<'_>,
    forge: &Gitea<'_>,
    kubernetes: &Kubernetes<'_>,
) -> anyhow::Result<()> {
    let task = portal
        .task("vdb-create", crate::portal::order("bench-waits"))
        .await?;
    let number = gitea::number(&task.pull_request()?)?;
    let head = forge.get(&format!("/pulls/{number}")).await?["head"]["ref"].clone();
    let request = head
        .as_str()
        .and_then(|head| head.strip_prefix("vdb/"))
        .context("the branch is no request's")?;
    let path = format!("/api/proxy/vdb/v1/requests/{request}?wait=25s");
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..WAITING {
        calls.spawn(portal.request(Method::GET, &path).send());
    }
    // The kubelet looks every ten seconds or so: the highest of what it saw while they waited.
    let (mut most, mut answered, mut refused) = (0.0_f64, 0, 0);
    while answered < WAITING {
        match tokio::time::timeout(Duration::from_secs(2), calls.join_next()).await {
            Ok(Some(answer)) => {
                answered += 1;
                refused += usize::from(!answer?.is_ok_and(|a| a.status().is_success()));
            }
            Ok(None) => break,
            Err(_) => {
                let found = memory(kubernetes).await?;
                let sidecar = found.iter().find(|(name, _)| name.contains("sidecar"));
                most = most.max(sidecar.map_or(0.0, |(_, mib)| *mib));
            }
        }
    }
    forge.close(number).await?;
    line(format!(
        "sidecar with {WAITING} calls that wait: {most:.0} MiB resident, {refused} not answered well"
    ));
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
