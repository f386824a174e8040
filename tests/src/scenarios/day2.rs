//! Day 2: a database gets more memory, a longer life and other data, each by a pull request, and its data of before again.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::json;

use crate::context::Context;
use crate::demo;
use crate::gitea::{self, Gitea};
use crate::kubernetes::{Kubernetes, condition, namespace};
use crate::portal::Portal;
use crate::scenarios::{gone, renewal};
use crate::wait;

const NAME: &str = "day-2";
const BOOKMARK: &str = "day-2-before-refresh";

pub(crate) async fn change(context: &Context) -> anyhow::Result<()> {
    let (forge, kubernetes) = (Gitea::new(context)?, Kubernetes::new(context));
    let portal = Portal::sign_in(context).await?;
    demo::place(context, &portal, &forge, &kubernetes, NAME).await?;
    kubernetes
        .sql(NAME, "create table kept as select 1 as one")
        .await?;

    more_memory(context, &portal, &forge, &kubernetes).await?;
    let kept = kubernetes.sql(NAME, "select one from kept").await?;
    anyhow::ensure!(kept == "1", "the update lost data: {kept}");
    longer_life(context, &portal, &forge, &kubernetes).await?;
    let old = renewal::old_collation();
    renewal::act(&kubernetes, NAME, "PostgresTask", "old", old).await?;
    bookmarked(&portal).await?;
    other_data(context, &portal, &forge, &kubernetes).await?;
    back_to_the_bookmark(&kubernetes).await?;

    super::retire(context, &portal, &forge, NAME).await?;
    gone(&kubernetes, NAME).await
}

/// From 256Mi to 512Mi; one file of the repository changes, the server restarts with the new limit.
async fn more_memory(
    context: &Context,
    portal: &Portal<'_>,
    forge: &Gitea<'_>,
    kubernetes: &Kubernetes<'_>,
) -> anyhow::Result<()> {
    let values = json!({ "entity": format!("resource:default/{NAME}"), "memory": "512Mi", "reason": "larger sorts" });
    let task = portal.task("vdb-update", values).await?;
    anyhow::ensure!(
        task.completed,
        "the update failed in {}: {}",
        context.get("VDB_PORTAL_URL")?,
        task.log()
    );
    let number = gitea::number(&task.pull_request()?)?;
    let files = forge.get(&format!("/pulls/{number}/files")).await?;
    let names: Vec<_> = files
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|file| file["filename"].as_str())
        .collect();
    anyhow::ensure!(
        names == [format!("environments/{NAME}/values.yaml")],
        "the update touches {names:?}"
    );
    merged_and_ready(portal, forge, number).await?;
    // READY means the new server, not the one that is about to go.
    let object = |kind: &'static str, name: String| async move {
        kubernetes
            .json(&["-n", &namespace(NAME), "get", kind, &name])
            .await
    };
    let set = object("statefulset", format!("{NAME}-vdb")).await?;
    let pod = object("pod", format!("{NAME}-vdb-0")).await?;
    for (what, spec) in [
        ("StatefulSet", &set["spec"]["template"]["spec"]),
        ("pod", &pod["spec"]),
    ] {
        let limit = &spec["containers"][0]["resources"]["limits"]["memory"];
        anyhow::ensure!(*limit == "512Mi", "the {what} has {limit}");
    }
    Ok(())
}

/// The end moves in Git and then in the resource; the server goes on.
async fn longer_life(
    context: &Context,
    portal: &Portal<'_>,
    forge: &Gitea<'_>,
    kubernetes: &Kubernetes<'_>,
) -> anyhow::Result<()> {
    let values = json!({ "entity": format!("resource:default/{NAME}"), "days": 30 });
    let task = portal.task("vdb-extend", values).await?;
    anyhow::ensure!(
        task.completed,
        "the extension failed in {}: {}",
        context.get("VDB_PORTAL_URL")?,
        task.log()
    );
    merged_and_ready(portal, forge, gitea::number(&task.pull_request()?)?).await?;
    let vdb = kubernetes.vdb(NAME).await?;
    let end = vdb["spec"]["expiresAt"].as_str().context("no expiresAt")?;
    let left = end.parse::<Timestamp>()?.duration_since(Timestamp::now());
    anyhow::ensure!(
        (29..=30).contains(&(left.as_hours() / 24)),
        "30 days more end at {end}"
    );
    Ok(())
}

/// The form keeps the data under a name; no pull request.
async fn bookmarked(portal: &Portal<'_>) -> anyhow::Result<()> {
    let values = json!({
        "entity": format!("resource:default/{NAME}"), "bookmark": BOOKMARK, "retentionDays": 1,
    });
    let task = portal.task("vdb-bookmark", values).await?;
    anyhow::ensure!(task.completed, "the bookmark failed: {}", task.log());
    Ok(())
}

/// What the refresh took away is there again.
async fn back_to_the_bookmark(kubernetes: &Kubernetes<'_>) -> anyhow::Result<()> {
    let back = json!({ "bookmark": BOOKMARK });
    renewal::act(kubernetes, NAME, "PostgresRewind", "back", back).await?;
    let vdb = kubernetes.ready(NAME, Duration::from_secs(60)).await?;
    // Of a library that the server does not have, which is only said.
    let differ = renewal::collations(&vdb, "False", "CollationMismatch")?;
    let ready = condition(&vdb, "Ready").context("no Ready condition")?;
    let said = ready["message"].as_str().unwrap_or_default();
    anyhow::ensure!(
        differ.contains("has recorded version 0.0") && said.contains(&differ),
        "{differ}; Ready says {said}"
    );
    let kept = kubernetes.sql(NAME, "select one from kept").await?;
    anyhow::ensure!(kept == "1", "the bookmark's data is not back: {kept}");
    Ok(())
}

/// What was written is lost; host, user and password stay.
async fn other_data(
    context: &Context,
    portal: &Portal<'_>,
    forge: &Gitea<'_>,
    kubernetes: &Kubernetes<'_>,
) -> anyhow::Result<()> {
    let values = json!({ "entity": format!("resource:default/{NAME}"), "confirmation": NAME });
    let task = portal.task("vdb-refresh", values).await?;
    anyhow::ensure!(
        task.completed,
        "the refresh failed in {}: {}",
        context.get("VDB_PORTAL_URL")?,
        task.log()
    );
    merged_and_ready(portal, forge, gitea::number(&task.pull_request()?)?).await?;
    let left = kubernetes
        .sql(NAME, "select to_regclass('kept') is null")
        .await?;
    anyhow::ensure!(left == "t", "the refreshed database has the old data");
    renewal::collations(&kubernetes.vdb(NAME).await?, "True", "Match").map(drop)
}

/// Merges a request and waits until it says READY.
async fn merged_and_ready(
    portal: &Portal<'_>,
    forge: &Gitea<'_>,
    number: u64,
) -> anyhow::Result<()> {
    let head = forge.get(&format!("/pulls/{number}")).await?["head"]["ref"].clone();
    let request = head
        .as_str()
        .and_then(|head| head.strip_prefix("vdb/"))
        .context("the branch is no request's")?;
    forge.merge(number).await?;
    wait::until(
        "the request to be READY",
        Duration::from_secs(180),
        || async {
            let seen = portal
                .get(&format!("/api/proxy/vdb/v1/requests/{request}"))
                .await?;
            anyhow::ensure!(
                seen["state"] == "READY",
                "{}: {}",
                seen["state"],
                seen["message"]
            );
            Ok(Some(()))
        },
    )
    .await
}
