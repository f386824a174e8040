//! The end of an environment's life: the platform opens one pull request that retires it, and people merge that.

use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::context::Context;
use crate::gitea::Gitea;
use crate::kubernetes::{Kubernetes, namespace};
use crate::scenarios::gone;
use crate::wait;

const NAME: &str = "expired";
const FILE: &str = "environments/expired/values.yaml";
const BY: &str = "developer";
const SOON: Duration = Duration::from_secs(180);
/// What the sidecar's log says of a pull request that is there.
const PROPOSED: &str = "expired, and its retirement is proposed";

/// The life is over for longer than the stack's `expiry.retireAfter`, which is a day.
pub(crate) async fn retired(context: &Context) -> anyhow::Result<()> {
    let (forge, kubernetes) = (Gitea::new(context)?, Kubernetes::new(context));
    let values = |hours: i64| {
        let end = Timestamp::now() + SignedDuration::from_hours(hours);
        format!(
            "owner: group:default/team-orders\nvdb:\n  source: {{type: dct-source, reference: '10.0.1.54:largedb'}}\n  \
             database: {{name: largedb, user: app}}\n  expiresAt: '{end:.0}'\n"
        )
    };
    let branch = |what| format!("expired-{what}-{}", Timestamp::now().as_millisecond());
    let order = [(FILE, &*values(48))];
    let (number, _) = forge.propose(BY, &branch("order"), &order).await?;
    forge.merge(number).await?;
    kubernetes.ready(NAME, SOON).await?;

    let shorter = branch("shorter");
    let number = forge.change(BY, &shorter, FILE, &values(-25)).await?;
    forge.merge(number).await?;
    let database = format!("{NAME}-vdb");
    kubernetes
        .reason(&namespace(NAME), &database, "Expired", SOON)
        .await?;

    let number = proposed(&kubernetes).await?;
    let retirements = || async { anyhow::Ok(numbers(&forge.open_pulls().await?)) };
    anyhow::ensure!(
        retirements().await? == [number],
        "open: {:?}, proposed: {number}",
        retirements().await?
    );
    // Another replica, which knows nothing of the first one's work.
    let again = proposed(&kubernetes).await?;
    anyhow::ensure!(
        again == number && retirements().await? == [number],
        "proposed again: {again} after {number}"
    );
    kubernetes
        .reason(&namespace(NAME), &database, "Expired", SOON)
        .await?;

    forge.merge(number).await?;
    gone(&kubernetes, NAME).await?;
    anyhow::ensure!(!forge.holds(FILE).await?, "Git still holds {FILE}");
    Ok(())
}

/// The open pull requests of the platform that retire the environment.
fn numbers(pulls: &[Value]) -> Vec<u64> {
    let retires = |pull: &&Value| {
        let branch = pull["head"]["ref"].as_str().unwrap_or_default();
        branch.starts_with(&format!("vdb/{NAME}.retire-"))
    };
    let found = pulls.iter().filter(retires);
    found.filter_map(|pull| pull["number"].as_u64()).collect()
}

/// A sidecar looks for ended lives when it starts, and then every five minutes; the pull request that a new one speaks of.
async fn proposed(kubernetes: &Kubernetes<'_>) -> anyhow::Result<u64> {
    let deployment = ["-n", "vdb-system", "rollout"];
    for verb in ["restart", "status"] {
        let rollout = [&deployment[..], &[verb, "deployment/vdb-sidecar"]].concat();
        kubernetes.ok(&rollout).await?;
    }
    let of = "app.kubernetes.io/name=vdb-sidecar";
    wait::until("the retirement to be proposed", SOON, || async {
        let pods = kubernetes
            .json(&["-n", "vdb-system", "get", "pods", "-l", of])
            .await?;
        let pods = pods["items"].as_array().into_iter().flatten();
        let mut alive = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let pod = alive.next().context("no sidecar")?;
        let pod = pod["metadata"]["name"].as_str().context("no name")?;
        let log = kubernetes.ok(&["-n", "vdb-system", "logs", pod]).await?;
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let mut told = lines.filter_map(|line: Value| {
            let ours = line["message"] == PROPOSED && line["environment"] == NAME;
            line["pull"].as_u64().filter(|_| ours)
        });
        Ok(told.next())
    })
    .await
}
