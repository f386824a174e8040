//! The product in the cluster: its Secrets, its chart, and the Argo CD objects of its repository.

use std::fs;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::command::{output, program, run};
use crate::files;
use crate::images;
use crate::instance::{Instance, NODE_NAME, SOURCE};
use crate::steps::Inside;
use crate::wait;

const VALUES: &str = include_str!("../../manifests/platform.yaml");
pub(crate) const NAMESPACE: &str = "vdb-system";
/// The first crashes may come from another part that is not up yet.
const CRASHES: u64 = 4;
const ENGINE: &str = "http://vdb-engine.vdb-system.svc.cluster.local:8080";
/// Seconds for a base backup of the source on a slow disk.
const LINKING: u64 = 300;
const DEPLOYMENTS: [(&str, &str); 3] = [
    (images::ENGINE, "vdb-engine"),
    (images::OPERATOR, "vdb-operator"),
    (images::SIDECAR, "vdb-sidecar"),
];

/// The repository's AppProject and ApplicationSet, pointed at the instance's Gitea.
pub(crate) async fn applications(inside: &Inside) -> Result<()> {
    for name in ["project.yaml", "postgres-vdb-appset.yaml"] {
        let text = fs::read_to_string(inside.order.checkout.join("applications").join(name))?;
        let text = text
            .replace("REPO_URL", &inside.instance.repository_url())
            .replace("REVISION", "main");
        inside.apply(&text).await?;
    }
    inside
        .progress
        .step("AppProject and ApplicationSet applied");
    Ok(())
}

/// Operator, sidecar and engine as pods.
pub(crate) async fn up(inside: &Inside, changed: &[&str]) -> Result<()> {
    secrets(inside).await?;
    let values = inside.instance.path("config/platform.yaml");
    files::put(&values, &fill(&inside.instance))?;
    let before = running(inside).await;
    forget_broken_release(inside).await?;
    run(program(inside.order.built.go.helm.join("helm"))
        .args([
            "upgrade",
            "--install",
            "vdb",
            "--namespace",
            NAMESPACE,
            "--values",
        ])
        .arg(&values)
        .arg(inside.order.checkout.join("charts/postgres-vdb-platform"))
        .env("KUBECONFIG", inside.instance.kubeconfig())
        .env("HOME", &inside.instance.state))
    .await?;
    inside.progress.step("platform chart installed");
    for (image, name) in DEPLOYMENTS {
        // The tag stays the same, so a new image needs a new pod.
        if before && changed.contains(&image) {
            run(&mut inside.kubectl(&[
                "--namespace",
                NAMESPACE,
                "rollout",
                "restart",
                &format!("deployment/{name}"),
            ]))
            .await?;
        }
    }
    Ok(())
}

/// An installation that was interrupted would block every later one.
async fn forget_broken_release(inside: &Inside) -> Result<()> {
    let pending = "--selector=owner=helm,name=vdb,status in (pending-install,pending-upgrade,pending-rollback)";
    run(&mut inside.kubectl(&["--namespace", NAMESPACE, "delete", "secret", pending])).await
}

pub(crate) async fn ready(inside: &Inside) -> Result<()> {
    let wait = async |name: &str| {
        let deployment = format!("deployment/{name}");
        let args = [
            "--namespace",
            NAMESPACE,
            "rollout",
            "status",
            &deployment,
            "--timeout=180s",
        ];
        let mut rollout = inside.kubectl(&args);
        let rolled_out = tokio::select! {
            done = run(&mut rollout) => done,
            crash = crashes(inside, name) => Err(crash),
        };
        if let Err(error) = rolled_out {
            let log = ["--namespace", NAMESPACE, "logs", &deployment, "--tail=15"];
            let tail = output(&mut inside.kubectl(&log))
                .await
                .unwrap_or_else(|error| format!("{error:#}"));
            return Err(error.context(format!("{name} is not ready; end of its log:\n{tail}")));
        }
        inside.progress.step(&format!("{name} ready"));
        Ok(())
    };
    let [engine, operator, sidecar] = DEPLOYMENTS.map(|(_, name)| name);
    tokio::try_join!(wait(engine), wait(operator), wait(sidecar)).map(drop)
}

/// Waits for the source's first snapshot: before it there is nothing to order.
pub(crate) async fn linked(inside: &Inside) -> Result<()> {
    let key = fs::read_to_string(inside.instance.secret("dct.key"))?;
    let http = reqwest::Client::new();
    let url = format!("{ENGINE}/dct/v3/snapshots/search");
    wait::until("the source's first snapshot", LINKING, None, || async {
        let asked = http
            .post(&url)
            .header("authorization", format!("apk {key}"));
        let answer: Value = asked.send().await?.error_for_status()?.json().await?;
        let count = answer["items"].as_array().map_or(0, Vec::len);
        ensure!(count > 0, "the base backup still runs");
        Ok(())
    })
    .await?;
    inside.progress.step(&format!(
        "source {SOURCE}:largedb linked, first snapshot taken"
    ));
    Ok(())
}

/// Ends when the newest pod of the deployment keeps crashing: waiting longer would show nothing new.
async fn crashes(inside: &Inside, name: &str) -> anyhow::Error {
    let selector = format!("--selector=app.kubernetes.io/name={name}");
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let args = [
            "--namespace",
            NAMESPACE,
            "get",
            "pods",
            &selector,
            "--sort-by=.metadata.creationTimestamp",
            "--output=json",
        ];
        let Ok(text) = output(&mut inside.kubectl(&args)).await else {
            continue;
        };
        let pods: Value = serde_json::from_str(&text).unwrap_or_default();
        let newest = pods["items"]
            .as_array()
            .and_then(|items| items.last())
            .cloned()
            .unwrap_or_default();
        let container = &newest["status"]["containerStatuses"][0];
        let restarts = container["restartCount"].as_u64().unwrap_or(0);
        let waiting = container["state"]["waiting"]["reason"]
            .as_str()
            .unwrap_or_default();
        if restarts >= CRASHES && waiting == "CrashLoopBackOff" {
            return anyhow!("the pod crashed {restarts} times");
        }
    }
}

async fn running(inside: &Inside) -> bool {
    let args = [
        "--namespace",
        NAMESPACE,
        "get",
        "deployment",
        "vdb-operator",
        "--output=name",
    ];
    output(&mut inside.kubectl(&args)).await.is_ok()
}

fn fill(instance: &Instance) -> String {
    let ports = instance.ports();
    VALUES
        .replace("@POOL@", &instance.path("pool").display().to_string())
        .replace("@NODE_NAME@", NODE_NAME)
        .replace("@SOURCE@", SOURCE)
        .replace("@BACKSTAGE@", &ports.backstage.to_string())
        .replace("@ARGOCD_WEBHOOK@", &ports.argocd_webhook.to_string())
        .replace("@ARGOCD@", &ports.argocd.to_string())
        .replace("@GITEA_URL@", &instance.gitea_url())
        .replace("@REPO_URL@", &instance.repository_url())
}

async fn secrets(inside: &Inside) -> Result<()> {
    let instance = &inside.instance;
    let read = |name: &str| Ok::<_, anyhow::Error>(fs::read_to_string(instance.secret(name))?);
    // As `vdb install` makes it.
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}});
    inside.apply(&namespace.to_string()).await?;
    let items: Vec<Value> = vec![
        secret(
            "vdb-dct",
            &json!({"api-key": files::secret(&instance.secret("dct.key"))?}),
        ),
        secret(
            "vdb-source-largedb",
            &json!({"password": read("source-vdb_replicator.password")?}),
        ),
        secret(
            "vdb-forge",
            &json!({"token": read("gitea-vdb-bot.token")?, "webhook-secret": read("forge-webhook.secret")?}),
        ),
        secret(
            "vdb-argocd",
            &json!({"token": read("argocd-bot.token")?, "webhook-secret": read("argocd-webhook.secret")?}),
        ),
    ];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    inside.apply(&list.to_string()).await
}

fn secret(name: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "stringData": data,
    })
}
