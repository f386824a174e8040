//! Path B where something stands in its way: a protected branch, an operator that is gone.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::json;

use super::command_line::make;
use super::gone;
use crate::context::Context;
use crate::gitea::{self, Gitea};
use crate::kubernetes::{Kubernetes, namespace};
use crate::wait;

const PROTECTED: &str = "feat-p";
const ABANDONED: &str = "feat-f";

/// Nobody may push: orders and removals become pull requests, and nothing happens before they are merged.
pub(crate) async fn protected_branch(context: &Context) -> anyhow::Result<()> {
    let (kubernetes, forge) = (Kubernetes::new(context), Gitea::new(context)?);
    let name = [("ENV", PROTECTED), ("YES", "1")];
    let number = proposed(context, &forge, "create-env", &name[..1]).await?;
    anyhow::ensure!(
        !kubernetes
            .exists(&["namespace", &namespace(PROTECTED)])
            .await?,
        "the environment came before its pull request was merged"
    );
    forge.merge(number).await?;
    let created = make(context, "create-env", &name[..1]).await?;
    anyhow::ensure!(created.ok, "make create-env: {}", created.text());
    kubernetes.ready(PROTECTED, Duration::from_secs(5)).await?;

    let number = proposed(context, &forge, "delete-env", &name).await?;
    kubernetes.ready(PROTECTED, Duration::from_secs(5)).await?;
    forge.merge(number).await?;
    let deleted = make(context, "delete-env", &name).await?;
    anyhow::ensure!(deleted.ok, "make delete-env: {}", deleted.text());
    gone(&kubernetes, PROTECTED).await?;
    let values = format!("environments/{PROTECTED}/values.yaml");
    anyhow::ensure!(!forge.holds(&values).await?, "Git still holds {values}");
    Ok(())
}

/// Runs a command while nobody may push to the base branch; the pull request that it opens.
async fn proposed(
    context: &Context,
    forge: &Gitea<'_>,
    target: &str,
    variables: &[(&str, &str)],
) -> anyhow::Result<u64> {
    let pushers = async |names: &[&str]| {
        let rule = json!({ "enable_push": true, "enable_push_whitelist": true, "push_whitelist_usernames": names });
        let (status, body) = forge
            .call(
                "root-admin",
                Method::PATCH,
                "/branch_protections/main",
                Some(rule),
            )
            .await?;
        anyhow::ensure!(status == 200, "protect the branch: {status} {body}");
        anyhow::Ok(())
    };
    pushers(&[]).await?;
    let asked = make(context, target, variables).await;
    pushers(&["engineer"]).await?;
    let asked = asked?;
    anyhow::ensure!(asked.ok, "make {target}: {}", asked.text());
    let url = asked
        .stdout
        .lines()
        .find(|line| line.contains("/pulls/"))
        .with_context(|| format!("make {target} names no pull request: {}", asked.text()))?;
    gitea::number(url.trim())
}

/// Nobody takes the finalizer off: past the deadline force does, and what is left is written down.
pub(crate) async fn forced(context: &Context) -> anyhow::Result<()> {
    let kubernetes = Kubernetes::new(context);
    let created = make(context, "create-env", &[("ENV", ABANDONED)]).await?;
    anyhow::ensure!(created.ok, "make create-env: {}", created.text());
    let vdb = kubernetes.vdb(ABANDONED).await?["status"]["vdb"]["id"].clone();
    let vdb = vdb.as_str().context("no VDB id in the status")?;

    let operator = async |replicas: &str| {
        let scale = ["-n", "vdb-system", "scale", "deployment", "vdb-operator"];
        kubernetes.ok(&[&scale[..], &[replicas]].concat()).await
    };
    operator("--replicas=0").await?;
    let end = [
        ("ENV", ABANDONED),
        ("YES", "1"),
        ("DEADLINE", "5s"),
        ("FORCE", "1"),
    ];
    let kept = make(context, "delete-env", &end[..3]).await;
    let forced = make(context, "delete-env", &end).await;
    operator("--replicas=1").await?;
    let (kept, forced) = (kept?, forced?);
    anyhow::ensure!(
        !kept.ok && kept.text().contains("these are left"),
        "without force the finalizers stay on: {}",
        kept.text()
    );
    anyhow::ensure!(forced.ok, "make delete-env FORCE=1: {}", forced.text());
    anyhow::ensure!(
        forced.stdout.contains(&format!("left  VDB {vdb}")),
        "the orphan is not listed: {}",
        forced.text()
    );
    let ledger = kubernetes
        .json(&["-n", "vdb-system", "get", "configmap", "vdb-orphans"])
        .await?;
    anyhow::ensure!(
        ledger["data"].to_string().contains(vdb),
        "the orphan is not recorded: {ledger}"
    );
    gone(&kubernetes, ABANDONED).await?;
    remove_orphan(context, vdb).await
}

/// What was recorded is deleted by hand, as the list says.
async fn remove_orphan(context: &Context, vdb: &str) -> anyhow::Result<()> {
    let delete = context.engine(Method::POST, &format!("/vdbs/{vdb}/delete"))?;
    let deleted = delete.json(&json!({})).send().await?;
    deleted.error_for_status()?;
    wait::until("the orphan to go", Duration::from_secs(60), || async {
        let asked = context.engine(Method::GET, &format!("/vdbs/{vdb}"))?;
        Ok((asked.send().await?.status() == 404).then_some(()))
    })
    .await
}
