//! What Data Control Tower may answer, and what people are told of it; and what it leaves when it is away for a whole deletion.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::by_hand::ByHand;
use super::node_lost::{self, Found};
use crate::context::Context;
use crate::faults::{ADDRESS, Fault, Tower};
use crate::kubernetes::{Kubernetes, condition};
use crate::wait;

const NAMESPACE: &str = "postgres-vdbs-x-tower";
const SYSTEM: &str = "vdb-system";
pub(super) const ENGINE: &str = "http://vdb-engine.vdb-system.svc.cluster.local:8080";
const DEADLINE: &str = "20s";
const SOON: Duration = Duration::from_secs(120);
const PAGE: &str = "<!doctype html><html><head><title>Sign in</title></head></html>";
const BAD_GATEWAY: &str = "<html><head><title>502 Bad Gateway</title></head></html>";
const ORDERED: &str = "the fault that was ordered";

pub(crate) async fn answers(context: &Context) -> anyhow::Result<()> {
    let ours = ByHand::begin(context, NAMESPACE).await?;
    let tower = Tower::start(context)?;
    let before = settings(&ours.kubernetes).await?;
    let changed = with_deadline(&before, DEADLINE)?.replace(ENGINE, &format!("http://{ADDRESS}"));
    anyhow::ensure!(
        changed.contains(ADDRESS),
        "the stack's settings have other lines: {before}"
    );
    let tried = async {
        set(&ours.kubernetes, &changed).await?;
        refusals(&ours, &tower).await?;
        jobs(&ours, &tower).await?;
        node_lost::lost(&ours, "x-key", "x-later", Found::AtOnce).await?;
        away_for_a_whole_deletion(&ours, &tower).await?;
        checked(&ours).await
    }
    .await;
    tower.fault(Fault::None);
    let ended = match &tried {
        Ok(()) => ours.end().await,
        Err(_) => Ok(()),
    };
    set(&ours.kubernetes, &before).await?;
    tried.and(ended)
}

/// Each answer while a database is ordered. Afterwards all orders go on by themselves, and to one copy each.
async fn refusals(ours: &ByHand<'_>, tower: &Tower) -> anyhow::Result<()> {
    let json = "application/json";
    let everywhere = |status, kind, body| Fault::Answer {
        on: "/",
        status,
        kind,
        body,
    };
    let order_alone = Fault::Answer {
        on: "/provision_by_snapshot",
        status: 422,
        kind: "text/plain",
        body: "Input is not readable: field source_data_id",
    };
    let ssl = r#"{"error":"failed","error_description":"SSL failure."}"#;
    let cases: [(&str, Fault, &str, &[&str]); 6] = [
        (
            "x-key",
            everywhere(401, json, r#"{"error":"unauthorized"}"#),
            "EngineUnauthorized",
            &["401"],
        ),
        (
            "x-later",
            everywhere(503, json, ssl),
            "EngineUnavailable",
            &["503", "SSL failure."],
        ),
        (
            "x-gateway",
            everywhere(502, "text/html", BAD_GATEWAY),
            "EngineUnavailable",
            &["502 Bad Gateway"],
        ),
        (
            "x-page",
            everywhere(200, "text/html", PAGE),
            "EngineAnswerUnreadable",
            &["page, as a proxy sends it: Sign in"],
        ),
        (
            "x-silent",
            Fault::Dropped,
            "EngineUnreachable",
            &["did not answer"],
        ),
        (
            "x-refused",
            order_alone,
            "EngineRefused",
            &["422", "field source_data_id"],
        ),
    ];
    for (name, fault, reason, words) in cases {
        tower.fault(fault);
        ours.order(name, |_| ()).await?;
        ours.explains(name, reason, words).await?;
    }
    tokio::time::timeout(SOON, always_refused(ours, tower, "x-refused"))
        .await
        .context("the refused order is not sent again")??;
    tower.fault(Fault::None);
    ours.one_each(SOON).await
}

/// Between two tries nothing else is said.
async fn always_refused(ours: &ByHand<'_>, tower: &Tower, name: &str) -> anyhow::Result<()> {
    let tries = tower.met();
    while tower.met() < tries + 2 {
        let get = ["-n", NAMESPACE, "get", "postgresvdb", name];
        let seen = ours.kubernetes.json(&get).await?;
        let ready = condition(&seen, "Ready").context("no Ready condition")?;
        anyhow::ensure!(ready["reason"] == "EngineRefused", "{name}: {ready}");
    }
    Ok(())
}

async fn met(tower: &Tower) -> anyhow::Result<()> {
    wait::until("a call of the operator", SOON, || async {
        Ok((tower.met() > 0).then_some(()))
    })
    .await
}

/// Jobs that end badly, or of which nobody knows how they ended.
async fn jobs(ours: &ByHand<'_>, tower: &Tower) -> anyhow::Result<()> {
    for (name, kind, status, reason) in [
        (
            "x-made-failed",
            "DB_PROVISION",
            "FAILED",
            Some("ProvisionFailed"),
        ),
        ("x-made-late", "DB_PROVISION", "TIMEDOUT", None),
        ("x-enabled-left", "DB_ENABLE", "ABANDONED", None),
        (
            "x-enabled-failed",
            "DB_ENABLE",
            "FAILED",
            Some("EnableFailed"),
        ),
    ] {
        tower.fault(Fault::Job { kind, status });
        ours.order(name, |_| ()).await?;
        met(tower).await?;
        if let Some(reason) = reason {
            ours.explains(name, reason, &[ORDERED]).await?;
        }
        ours.says(name, "Verified").await?;
    }
    ours.one_each(SOON).await?;
    // Told to have failed, or nobody knows; in truth both are gone, and that is what counts.
    for (name, status) in [("x-made-failed", "FAILED"), ("x-made-late", "TIMEDOUT")] {
        tower.fault(Fault::Job {
            kind: "DB_DELETE",
            status,
        });
        delete(ours, name).await?;
        met(tower).await?;
        gone(ours, name).await?;
    }
    tower.fault(Fault::None);
    ours.one_each(SOON).await
}

pub(super) async fn delete(ours: &ByHand<'_>, name: &str) -> anyhow::Result<()> {
    let delete = [
        "-n",
        ours.namespace,
        "delete",
        "postgresvdb",
        name,
        "--wait=false",
    ];
    ours.kubernetes.ok(&delete).await.map(drop)
}

pub(super) async fn gone(ours: &ByHand<'_>, name: &str) -> anyhow::Result<()> {
    wait::until(&format!("{name} to go"), SOON, || async {
        let there = ["-n", ours.namespace, "postgresvdb", name];
        Ok((!ours.kubernetes.exists(&there).await?).then_some(()))
    })
    .await
}

/// The resource goes all the same; what remains is written down, and swept.
async fn away_for_a_whole_deletion(ours: &ByHand<'_>, tower: &Tower) -> anyhow::Result<()> {
    let (kubernetes, name) = (&ours.kubernetes, "x-silent");
    let resource = ["-n", NAMESPACE, "get", "postgresvdb"];
    let vdb = kubernetes.json(&[&resource[..], &[name]].concat()).await?;
    let (uid, id) = (&vdb["metadata"]["uid"], &vdb["status"]["vdb"]["id"]);
    let (uid, id) = (
        uid.as_str().context("no uid")?,
        id.as_str().context("no id")?,
    );
    tower.fault(Fault::Dropped);
    delete(ours, name).await?;
    ours.explains(name, "EngineUnreachable", &["did not answer"])
        .await?;
    // A database that runs needs no tower.
    let other = kubernetes
        .json(&[&resource[..], &["x-key"]].concat())
        .await?;
    let ready = condition(&other, "Ready").context("no Ready condition")?;
    anyhow::ensure!(ready["status"] == "True", "x-key: {ready}");
    gone(ours, name).await?;
    tower.fault(Fault::None);

    let ledger = ["-n", SYSTEM, "get", "configmap", "vdb-orphans"];
    let ledger = kubernetes.json(&ledger).await?;
    let entry: Value = serde_json::from_str(
        ledger["data"][uid]
            .as_str()
            .context("no entry in the ledger")?,
    )?;
    anyhow::ensure!(
        entry["vdbId"] == id && entry["kept"] == false,
        "the ledger says {entry}"
    );
    swept(ours, id).await
}

/// All three kinds: a copy without its resource, a resource without its copy, a volume without either.
async fn swept(ours: &ByHand<'_>, orphan: &str) -> anyhow::Result<()> {
    let robbed = "x-gateway";
    let get = ["-n", NAMESPACE, "get", "postgresvdb", robbed];
    let resource = ours.kubernetes.json(&get).await?;
    let lost = resource["status"]["vdb"]["id"].as_str().context("no id")?;
    ours.remove(lost).await?;
    let volume = volume();
    let applied = ours.kubernetes.apply(&volume).await?;
    anyhow::ensure!(applied.ok, "{}", applied.text());

    let dry = sweep(ours, &["--older-than=0s"]).await?;
    for (words, fate) in [
        (
            format!("virtual database {orphan} has no PostgresVDB"),
            "deleted if",
        ),
        (
            format!("resource {NAMESPACE}/{robbed}: its virtual database {lost}"),
            "left alone",
        ),
        ("volume   x-nobodys".to_owned(), "deleted if"),
    ] {
        let line = dry.lines().find(|line| line.contains(&words));
        anyhow::ensure!(
            line.is_some_and(|line| line.contains(fate)),
            "the sweep does not say {words:?}: {dry}"
        );
    }
    let young = sweep(ours, &["--delete"]).await?;
    anyhow::ensure!(
        young.trim() == "nothing is left behind",
        "what is young was not left alone: {young}"
    );
    sweep(ours, &["--older-than=0s", "--delete"]).await?;
    ours.absent(orphan).await?;
    delete(ours, robbed).await?;
    gone(ours, robbed).await?;
    let after = sweep(ours, &["--older-than=0s"]).await?;
    anyhow::ensure!(after.trim() == "nothing is left behind", "{after}");
    ours.one_each(SOON).await
}

fn volume() -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": { "name": "x-nobodys", "labels": {
            "app.kubernetes.io/part-of": "postgres-vdb-platform", "app.kubernetes.io/instance": "x-nobody",
            "postgres-vdb-platform/uid": "00000000-0000-0000-0000-000000000000" } },
        "spec": {
            "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "",
            "local": { "path": "/nowhere" },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                { "key": "kubernetes.io/hostname", "operator": "Exists" }] }] } },
        },
    })
}

/// In the operator's pod, as its account.
async fn within(ours: &ByHand<'_>, command: &[&str]) -> anyhow::Result<String> {
    let exec = [
        "-n",
        SYSTEM,
        "exec",
        "deployment/vdb-operator",
        "--",
        "vdb-operator",
    ];
    ours.kubernetes.ok(&[&exec[..], command].concat()).await
}

async fn sweep(ours: &ByHand<'_>, more: &[&str]) -> anyhow::Result<String> {
    within(ours, &[&["sweep"], more].concat()).await
}

/// The embedded engine keeps everything that is assumed of a tower.
async fn checked(ours: &ByHand<'_>) -> anyhow::Result<()> {
    let said = within(ours, &["dct-check", "--source", "10.0.1.54:largedb"]).await?;
    let lines = said.lines().filter(|line| line.starts_with("holds"));
    anyhow::ensure!(lines.count() == said.lines().count(), "{said}");
    Ok(())
}

/// The operator's settings with another deadline of deletions.
pub(super) fn with_deadline(settings: &str, deadline: &str) -> anyhow::Result<String> {
    let (is, wanted) = (
        "deletionDeadline: 3m",
        format!("deletionDeadline: {deadline}"),
    );
    anyhow::ensure!(
        settings.contains(is),
        "the stack's settings have other lines: {settings}"
    );
    Ok(settings.replace(is, &wanted))
}

pub(super) async fn settings(kubernetes: &Kubernetes<'_>) -> anyhow::Result<String> {
    let map = ["-n", SYSTEM, "get", "configmap", "vdb-operator"];
    let map = kubernetes.json(&map).await?;
    let text = map["data"]["settings.yaml"].as_str();
    Ok(text.context("no settings.yaml")?.to_owned())
}

/// Settings are read at the start.
pub(super) async fn set(kubernetes: &Kubernetes<'_>, text: &str) -> anyhow::Result<()> {
    let patch = json!({ "data": { "settings.yaml": text } }).to_string();
    let map = ["-n", SYSTEM, "patch", "configmap", "vdb-operator"];
    kubernetes
        .ok(&[&map[..], &["--type=merge", "-p", &patch]].concat())
        .await?;
    for verb in ["restart", "status"] {
        let rollout = ["-n", SYSTEM, "rollout", verb, "deployment/vdb-operator"];
        kubernetes.ok(&rollout).await?;
    }
    Ok(())
}
