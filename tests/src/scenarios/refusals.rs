//! Wrong orders: one clear error each, no pull request, no branch, nothing in the cluster.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::context::Context;
use crate::gitea::{self, Gitea};
use crate::portal::{self, Portal};

/// What is changed in a good order, and what the task must say.
fn wrong() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("name", json!("feat-b"), "feat-b"),
        ("name", json!("main"), "reserved"),
        ("source", json!("10.0.1.54:nosuchdb"), "nosuchdb"),
        ("image", json!("evil:1"), "evil:1"),
        ("memory", json!("1GB"), "memory"),
        ("user", json!("app;drop"), "user"),
        (
            "postgresConfig",
            json!([{ "name": "work_mem", "value": "'\"" }]),
            "postgresConfig",
        ),
        ("initSql", json!("select '{{ x }}'"), "template syntax"),
        ("owner", json!("group:default/strangers"), "owner"),
    ]
}

pub(crate) async fn orders(context: &Context) -> anyhow::Result<()> {
    let (forge, portal) = (Gitea::new(context)?, Portal::sign_in(context).await?);
    let (pulls, branches) = (
        numbers(&forge).await?,
        forge.get("/branches?limit=50").await?,
    );
    for (field, value, word) in wrong() {
        let mut order = portal::order("refused-1");
        order[field] = value.clone();
        // The form's own schema refuses some of these before a task exists; both are one clear error.
        let body = json!({ "templateRef": "template:default/vdb-create", "values": order });
        let (status, answer) = portal
            .call(
                reqwest::Method::POST,
                "/api/scaffolder/v2/tasks",
                Some(body),
            )
            .await?;
        if status == 400 {
            anyhow::ensure!(
                answer.to_string().contains(field),
                "{field}={value}: {answer}"
            );
            continue;
        }
        let task = portal.task("vdb-create", order).await?;
        anyhow::ensure!(!task.completed, "{field}={value} was accepted");
        anyhow::ensure!(
            task.log().contains(word),
            "{field}={value}: the task does not say {word:?}: {}",
            task.log()
        );
    }
    anyhow::ensure!(
        numbers(&forge).await? == pulls,
        "a refused order left a pull request"
    );
    anyhow::ensure!(
        forge.get("/branches?limit=50").await? == branches,
        "a refused order left a branch"
    );
    closed_unmerged(&forge, &portal).await
}

async fn numbers(forge: &Gitea<'_>) -> anyhow::Result<Vec<u64>> {
    let open = forge.open_pulls().await?;
    Ok(open.iter().filter_map(|p| p["number"].as_u64()).collect())
}

/// A pull request that was closed is a no: the state says so.
async fn closed_unmerged(forge: &Gitea<'_>, portal: &Portal<'_>) -> anyhow::Result<()> {
    let task = portal
        .task("vdb-create", portal::order("unwanted-1"))
        .await?;
    let number = gitea::number(&task.pull_request()?)?;
    let head = forge.get(&format!("/pulls/{number}")).await?["head"]["ref"].clone();
    let request = head
        .as_str()
        .and_then(|h| h.strip_prefix("vdb/"))
        .context("the branch is no order's")?;
    forge.close(number).await?;
    crate::wait::until(
        "the order to be rejected",
        std::time::Duration::from_secs(30),
        || async {
            let seen = portal
                .get(&format!("/api/proxy/vdb/v1/requests/{request}"))
                .await?;
            anyhow::ensure!(seen["state"] == "REJECTED", "state is {}", seen["state"]);
            Ok(Some(()))
        },
    )
    .await
}
