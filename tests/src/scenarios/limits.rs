//! What ends: a hook's time, the room in the pool, a database's life; and deletions in which something goes first.

use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::process::Command;

use super::by_hand::ByHand;
use super::life;
use crate::context::Context;
use crate::process;
use crate::wait;

const NAMESPACE: &str = "postgres-vdbs-x-limits";
const RELEASED: &str = "postgres-vdbs-x-released";
const SOON: Duration = Duration::from_secs(120);
/// Until nothing more fits; then a little for the copies that are there already.
const FILL: &str =
    r#"mkdir "$1" && while fallocate -l 64M "$1/$((n=n+1))" 2>/dev/null; do :; done; rm "$1/1""#;
const ENDLESS: &str = "x-endless";
const EXPIRES: &str = "x-expires";
const FOREGROUND: &str = "x-foreground";

pub(crate) async fn all(context: &Context) -> anyhow::Result<()> {
    let ours = ByHand::begin(context, NAMESPACE).await?;
    // They have nothing to do with each other, and both mostly wait.
    let (retired, ended) = tokio::join!(life::retired(context), by_hand(&ours));
    retired?;
    ended?;
    ours.one_each(SOON).await?;
    ours.end().await
}

async fn by_hand(ours: &ByHand<'_>) -> anyhow::Result<()> {
    let soon = Timestamp::now() + SignedDuration::from_secs(25);
    ours.order(ENDLESS, |spec| {
        spec["hooks"] = hook("select pg_sleep(3600)");
    })
    .await?;
    ours.order(EXPIRES, |spec| {
        spec["expiresAt"] = format!("{soon:.0}").into();
    })
    .await?;
    ours.order(FOREGROUND, |spec| {
        let mut hooks = hook("select 1");
        hooks[0]["stage"] = "pre-delete".into();
        spec["hooks"] = hooks;
    })
    .await?;
    full_pool(ours).await?;
    endless_hook(ours).await?;
    secret_first(ours).await?;
    foreground(ours).await?;
    expiry(ours).await
}

fn hook(script: &str) -> Value {
    json!([{ "name": "lasts", "stage": "post-create", "type": "sql", "script": script, "deadline": "8s", "backoffLimit": 0 }])
}

async fn patch(ours: &ByHand<'_>, name: &str, spec: Value) -> anyhow::Result<()> {
    let patch = json!({ "spec": spec }).to_string();
    let args = ["-n", NAMESPACE, "patch", "postgresvdb", name];
    ours.kubernetes
        .ok(&[&args[..], &["--type=merge", "-p", &patch]].concat())
        .await
        .map(drop)
}

/// It is ended at its deadline, which is said; a hook that is edited runs again.
async fn endless_hook(ours: &ByHand<'_>) -> anyhow::Result<()> {
    ours.explains(ENDLESS, "HookFailed", &["lasts", "deadline"])
        .await?;
    patch(ours, ENDLESS, json!({ "hooks": hook("select 1") })).await?;
    ours.says(ENDLESS, "Verified").await.map(drop)
}

/// The order says how much room is missing, and goes on once there is some.
async fn full_pool(ours: &ByHand<'_>) -> anyhow::Result<()> {
    let name = "x-full";
    let filler = ours.node.pool().join("filler");
    let full = process::run(Command::new("sh").args(["-c", FILL, "fill"]).arg(&filler)).await?;
    let said = async {
        anyhow::ensure!(full.ok, "fill the pool: {}", full.text());
        ours.order(name, |_| ()).await?;
        ours.explains(name, "EngineUnavailable", &["no room", "enlarge the pool"])
            .await
    }
    .await;
    std::fs::remove_dir_all(&filler)?;
    said?;
    ours.says(name, "Verified").await.map(drop)
}

async fn delete(ours: &ByHand<'_>, name: &str, more: &str) -> anyhow::Result<()> {
    let delete = ["-n", NAMESPACE, "delete", "postgresvdb", name];
    ours.kubernetes
        .ok(&[&delete[..], &[more, "--timeout=90s"]].concat())
        .await
        .map(drop)
}

/// Nothing that was published is needed for the end.
async fn secret_first(ours: &ByHand<'_>) -> anyhow::Result<()> {
    let secrets = ["x-full-credentials", "x-full-admin"];
    let first = ["-n", NAMESPACE, "delete", "secret"];
    ours.kubernetes.ok(&[&first[..], &secrets].concat()).await?;
    delete(ours, "x-full", "--cascade=background").await
}

/// Nothing can be created any more, so its hook is passed over, which is said.
async fn foreground(ours: &ByHand<'_>) -> anyhow::Result<()> {
    ours.says(FOREGROUND, "Verified").await?;
    delete(ours, FOREGROUND, "--cascade=foreground").await?;
    let told = ours.events(FOREGROUND).await?;
    anyhow::ensure!(
        told.contains("skipped") && told.contains("hooks lasts"),
        "no event names the hook that was passed over: {told}"
    );
    Ok(())
}

/// At its end the server stops and its data stays; a later end starts it again.
async fn expiry(ours: &ByHand<'_>) -> anyhow::Result<()> {
    ours.explains(EXPIRES, "Expired", &["its data is kept"])
        .await?;
    wait::until("the server to stop", SOON, || async {
        let pod = ["-n", NAMESPACE, "pod", &format!("{EXPIRES}-0")];
        Ok((!ours.kubernetes.exists(&pod).await?).then_some(()))
    })
    .await?;
    let later = Timestamp::now() + SignedDuration::from_hours(2);
    patch(ours, EXPIRES, json!({ "expiresAt": format!("{later:.0}") })).await?;
    ours.says(EXPIRES, "Verified").await.map(drop)
}

/// The operator is uninstalled first: what is left is written down, then the database goes. This lets every database of
/// the cluster go, so no scenario that needs one may follow.
pub(crate) async fn released(context: &Context) -> anyhow::Result<()> {
    let ours = ByHand::begin(context, RELEASED).await?;
    let name = "x-released";
    ours.order(name, |_| ()).await?;
    let seen = ours.says(name, "Verified").await?;
    let vdb = &seen["status"]["vdb"]["id"];
    let vdb = vdb.as_str().context("no VDB id")?;
    let refused = ours.doctor(&["--release", "--yes"]).await?;
    anyhow::ensure!(
        !refused.ok && refused.text().contains("an operator lives"),
        "released beside a living operator: {}",
        refused.text()
    );
    let scale = ["-n", "vdb-system", "scale", "deployment", "vdb-operator"];
    ours.kubernetes
        .ok(&[&scale[..], &["--replicas=0"]].concat())
        .await?;
    let done = without_operator(&ours, name, vdb).await;
    ours.kubernetes
        .ok(&[&scale[..], &["--replicas=1"]].concat())
        .await?;
    done?;
    ours.remove(vdb).await?;
    let volume = format!("{RELEASED}-{name}-g1");
    ours.kubernetes
        .ok(&["delete", "persistentvolume", &volume, "--timeout=60s"])
        .await?;
    ours.end().await
}

async fn without_operator(ours: &ByHand<'_>, name: &str, vdb: &str) -> anyhow::Result<()> {
    let pods = [
        "-n",
        "vdb-system",
        "wait",
        "pod",
        "--for=delete",
        "--timeout=60s",
    ];
    let of = ["-l", "app.kubernetes.io/name=vdb-operator"];
    ours.kubernetes.ok(&[&pods[..], &of].concat()).await?;
    let delete = ["-n", RELEASED, "delete", "postgresvdb", name];
    ours.kubernetes
        .ok(&[&delete[..], &["--wait=false"]].concat())
        .await?;
    let dry = ours.doctor(&["--release", "--dry-run"]).await?;
    anyhow::ensure!(
        dry.text().contains(vdb) && dry.text().contains("would be released"),
        "--dry-run names nothing: {}",
        dry.text()
    );
    let released = ours.doctor(&["--release", "--yes"]).await?;
    anyhow::ensure!(released.ok, "vdb doctor --release: {}", released.text());
    wait::until(&format!("{name} to go"), SOON, || async {
        let there = ["-n", RELEASED, "postgresvdb", name];
        Ok((!ours.kubernetes.exists(&there).await?).then_some(()))
    })
    .await?;
    let ledger = ["-n", "vdb-system", "get", "configmap", "vdb-orphans"];
    let ledger = ours.kubernetes.json(&ledger).await?["data"].to_string();
    anyhow::ensure!(ledger.contains(vdb), "the ledger lacks {vdb}: {ledger}");
    Ok(())
}
