//! The demo's order: as the guest through the portal's API, merged by the reviewer, queried, with all the addresses.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::context::Context;
use crate::gitea::{self, Gitea};
use crate::kubernetes::Kubernetes;
use crate::output::line;
use crate::portal::{self, Portal};

const NAME: &str = "demo-1";

pub(crate) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let portal = Portal::sign_in(context).await?;
    let forge = Gitea::new(context)?;
    let kubernetes = Kubernetes::new(context);
    if forge
        .holds(&format!("environments/{NAME}/values.yaml"))
        .await?
    {
        line(format!("order {NAME}: already there"));
        kubernetes.ready(NAME, Duration::from_secs(120)).await?;
    } else {
        let seconds = place(context, &portal, &forge, &kubernetes, NAME).await?;
        stages(&kubernetes.vdb(NAME).await?);
        line(format!("merge → ready: {seconds:.1} s"));
    }
    let rows = kubernetes.sql(NAME, "select count(*) from orders").await?;
    line(format!("query: select count(*) from orders → {rows}"));
    addresses(context)?;
    Ok(ExitCode::SUCCESS)
}

/// Orders, merges, waits; seconds from the merge to Ready.
pub(crate) async fn place(
    context: &Context,
    portal: &Portal<'_>,
    forge: &Gitea<'_>,
    kubernetes: &Kubernetes<'_>,
    name: &str,
) -> anyhow::Result<f64> {
    let task = portal.task("vdb-create", portal::order(name)).await?;
    anyhow::ensure!(
        task.completed,
        "the order of {name} failed in {}: {}",
        context.get("VDB_PORTAL_URL")?,
        task.log()
    );
    let url = task.pull_request()?;
    line(format!("order {name}: pull request {url}"));
    forge.merge(gitea::number(&url)?).await?;
    let merged = Instant::now();
    kubernetes.ready(name, Duration::from_secs(180)).await?;
    Ok(merged.elapsed().as_secs_f64())
}

/// One line a stage, from the resource's own status.
pub(crate) fn stages(vdb: &Value) {
    for (name, seconds) in stage_seconds(vdb) {
        line(format!("  stage {name:<12} {seconds:>6.2} s"));
    }
}

pub(crate) fn stage_seconds(vdb: &Value) -> Vec<(String, f64)> {
    let time = |v: &Value| v.as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok());
    let stages = vdb["status"]["stages"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    stages
        .iter()
        .filter_map(|s| {
            let took = time(&s["finishedAt"])?.duration_since(time(&s["startedAt"])?);
            Some((s["name"].as_str()?.to_owned(), took.as_secs_f64()))
        })
        .collect()
}

fn addresses(context: &Context) -> anyhow::Result<()> {
    let secrets = std::path::Path::new(context.get("VDB_STATE_DIR")?).join("secrets");
    line("");
    line(format!(
        "portal     {}   sign in as guest, then Create → PostgreSQL database",
        context.get("VDB_PORTAL_URL")?
    ));
    line(format!(
        "forge      {}   user reviewer, password in {}",
        context.get("VDB_FORGE_URL")?,
        secrets.join("gitea-reviewer.password").display()
    ));
    line(format!("argo cd    {}", context.get("VDB_ARGOCD_URL")?));
    line(format!(
        "cluster    kubectl --kubeconfig {} get postgresvdbs -A",
        context.get("VDB_KUBECONFIG")?
    ));
    line(format!(
        "entity     {}/catalog/default/resource/{NAME}",
        context.get("VDB_PORTAL_URL")?
    ));
    line("make create-env ENV=feat-b orders from the command line; make down stops everything.");
    Ok(())
}
