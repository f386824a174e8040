//! Path A: a person, a browser, a pull request.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::context::Context;
use crate::demo;
use crate::gitea::{self, Gitea};
use crate::kubernetes::Kubernetes;
use crate::output::line;
use crate::portal::{self, Portal};
use crate::scenarios::gone;

const NAME: &str = "feat-1";
const SIBLING: &str = "feat-12";

pub(crate) async fn order(context: &Context) -> anyhow::Result<()> {
    let (forge, kubernetes) = (Gitea::new(context)?, Kubernetes::new(context));
    let init =
        "create table made_by_hook(owner name); insert into made_by_hook select current_user;";
    let done = portal::browser(
        context,
        "order.mjs",
        &json!({ "name": NAME, "initSql": init, "description": "A first try" }),
    )
    .await?;
    let url = done["pullRequestUrl"]
        .as_str()
        .with_context(|| format!("the task names no pull request: {done}"))?;
    let number = gitea::number(url)?;
    one_commit_with_two_files(&forge, number).await?;

    forge.merge(number).await?;
    let merged = std::time::Instant::now();
    let vdb = kubernetes.ready(NAME, Duration::from_secs(120)).await?;
    line(format!(
        "       merge → ready: {:.1} s",
        merged.elapsed().as_secs_f64()
    ));
    demo::stages(&vdb);
    Portal::sign_in(context)
        .await?
        .notified(NAME, "ready")
        .await?;
    portal::browser(context, "entity.mjs", &json!({ "name": NAME })).await?;

    let owner = kubernetes
        .sql(NAME, "select owner from made_by_hook")
        .await?;
    anyhow::ensure!(owner == "app", "the hook ran as {owner}");
    source_is_untouched(context, &kubernetes).await
}

async fn one_commit_with_two_files(forge: &Gitea<'_>, number: u64) -> anyhow::Result<()> {
    let commits = forge.get(&format!("/pulls/{number}/commits")).await?;
    anyhow::ensure!(
        commits.as_array().is_some_and(|c| c.len() == 1),
        "the pull request has more than one commit: {commits}"
    );
    let files = forge.get(&format!("/pulls/{number}/files")).await?;
    let mut names: Vec<_> = files
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|f| f["filename"].as_str())
        .collect();
    names.sort_unstable();
    let expected = [
        format!("environments/{NAME}/catalog-info.yaml"),
        format!("environments/{NAME}/values.yaml"),
    ];
    anyhow::ensure!(names == expected, "the pull request touches {names:?}");
    Ok(())
}

/// What is written to the copy shows in the copy alone; the source answers as before.
async fn source_is_untouched(context: &Context, kubernetes: &Kubernetes<'_>) -> anyhow::Result<()> {
    let password = context.secret("source-app.password")?;
    let source = json!(format!(
        "postgresql://app:{password}@10.0.1.54:5432/largedb"
    ));
    let count =
        "select count(*) from order_items where order_id = (select min(order_id) from orders)";
    let before = kubernetes.sql_as(NAME, source.clone(), count).await?;
    anyhow::ensure!(
        kubernetes.sql(NAME, count).await? == before,
        "the copy has not the source's rows"
    );
    kubernetes
        .sql(
            NAME,
            "delete from order_items where order_id = (select min(order_id) from orders)",
        )
        .await?;
    anyhow::ensure!(
        kubernetes.sql(NAME, count).await? == "0",
        "the write is lost"
    );
    let after = kubernetes.sql_as(NAME, source, count).await?;
    anyhow::ensure!(
        after == before,
        "a write to the copy shows in the source: {before} before, {after} after"
    );
    Ok(())
}

pub(crate) async fn retire(context: &Context) -> anyhow::Result<()> {
    let (forge, kubernetes) = (Gitea::new(context)?, Kubernetes::new(context));
    let portal = Portal::sign_in(context).await?;
    demo::place(context, &portal, &forge, &kubernetes, SIBLING).await?;
    let pod = kubernetes
        .ok(&[
            "-n",
            "postgres-vdbs-feat-12",
            "get",
            "pod",
            "feat-12-vdb-0",
            "-o",
            "jsonpath={.metadata.uid}",
        ])
        .await?;

    let done = portal::browser(context, "retire.mjs", &json!({ "name": NAME })).await?;
    let url = done["pullRequestUrl"]
        .as_str()
        .with_context(|| format!("the task names no pull request: {done}"))?;
    forge.merge(gitea::number(url)?).await?;
    gone(&kubernetes, NAME).await?;
    portal.notified(NAME, "retired").await?;

    kubernetes.ready(SIBLING, Duration::from_secs(5)).await?;
    let after = kubernetes
        .ok(&[
            "-n",
            "postgres-vdbs-feat-12",
            "get",
            "pod",
            "feat-12-vdb-0",
            "-o",
            "jsonpath={.metadata.uid}",
        ])
        .await?;
    anyhow::ensure!(pod == after, "retiring {NAME} restarted {SIBLING}");
    super::retire(context, &portal, &forge, SIBLING).await?;
    gone(&kubernetes, SIBLING).await
}
