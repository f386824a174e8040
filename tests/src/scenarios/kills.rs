//! Operator, engine and API server are killed at random while databases are ordered and deleted.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tokio::sync::watch;

use super::by_hand::ByHand;
use crate::context::Context;
use crate::output::line;

const NAMESPACE: &str = "postgres-vdbs-x-kills";
const SYSTEM: &str = "vdb-system";
/// In `make test`; `make soak` gives twenty.
const FEW: usize = 4;
/// The kubelet waits longer before each further start of a container; a pod that is made anew starts at once.
const IN_PLACE: f64 = 0.5;

pub(crate) async fn few(context: &Context) -> anyhow::Result<()> {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok());
    orders(context, FEW, seed.unwrap_or(1)).await
}

pub(crate) async fn orders(context: &Context, count: usize, seed: u64) -> anyhow::Result<()> {
    line(format!("kills: seed {seed}, {count} orders"));
    let ours = ByHand::begin(context, NAMESPACE).await?;
    let names: Vec<_> = (1..=count).map(|n| format!("x-killed-{n}")).collect();

    // What is killed must start again before the work can end, so the kills end before.
    let window = Duration::from_secs(2 * count as u64);
    let killed = while_killing(&ours, (seed, window), async {
        for (at, name) in names.iter().enumerate() {
            ours.order(name, |_| ()).await?;
            // In the middle of it all, and only once: nothing can be seen while it is away.
            if at == count / 2 {
                ours.node.kill_program("kube-apiserver").await?;
            }
        }
        ours.one_each(Duration::from_secs(60 + 20 * count as u64))
            .await
    })
    .await?;
    line(format!("kills while they were ordered: {killed}"));
    ours.one_each(Duration::from_secs(120)).await?;

    let killed = while_killing(&ours, (seed + 1, window / 2), async { ours.end().await }).await?;
    line(format!("kills while they were deleted: {killed}"));
    ours.nothing_left(Duration::from_secs(60)).await?;
    for name in ["vdb-operator", "vdb-engine"] {
        let deployment = format!("deployment/{name}");
        let status = ["-n", SYSTEM, "rollout", "status", &deployment];
        ours.kubernetes
            .ok(&[&status[..], &["--timeout=120s"]].concat())
            .await?;
    }
    Ok(())
}

/// Kills operator and engine until the work is done; how often.
async fn while_killing(
    ours: &ByHand<'_>,
    (seed, window): (u64, Duration),
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<usize> {
    let (over, told) = watch::channel(false);
    let killer = killer(ours, (StdRng::seed_from_u64(seed), window), told);
    let work = async {
        let result = work.await;
        // The killer has ended by itself if nobody listens.
        let _ = over.send(true);
        result
    };
    let (count, done) = tokio::join!(killer, work);
    done?;
    count
}

async fn killer(
    ours: &ByHand<'_>,
    (mut random, window): (StdRng, Duration),
    mut over: watch::Receiver<bool>,
) -> anyhow::Result<usize> {
    let mut killed = 0;
    let begin = Instant::now();
    while begin.elapsed() < window {
        let pause = Duration::from_millis(random.random_range(200..2500));
        let name = ["vdb-operator", "vdb-engine"][random.random_range(0..2)];
        let in_place = random.random_bool(IN_PLACE);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = over.changed() => break,
        }
        killed += usize::from(kill(ours, name, in_place).await.unwrap_or(false));
    }
    Ok(killed)
}

/// False: it is not running.
async fn kill(ours: &ByHand<'_>, name: &str, in_place: bool) -> anyhow::Result<bool> {
    let label = format!("app.kubernetes.io/name={name}");
    let pods = ours
        .kubernetes
        .json(&["-n", SYSTEM, "get", "pods", "-l", &label])
        .await?;
    let running = |pod: &&Value| {
        pod["status"]["containerStatuses"][0]["state"]["running"].is_object()
            && pod["metadata"]["deletionTimestamp"].is_null()
    };
    let pods = pods["items"].as_array().context("no pods")?;
    let Some(pod) = pods.iter().find(running) else {
        return Ok(false);
    };
    let id = &pod["status"]["containerStatuses"][0]["containerID"];
    let killed = ours
        .node
        .kill_container(id.as_str().context("no container")?)
        .await?;
    if !in_place {
        let pod = pod["metadata"]["name"].as_str().context("no name")?;
        let delete = ["-n", SYSTEM, "delete", "pod", pod, "--wait=false"];
        ours.kubernetes.run(&delete).await?;
    }
    Ok(killed)
}
