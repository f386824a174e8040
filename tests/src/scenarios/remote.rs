//! A database whose server runs on a target host: an engine that starts servers itself stands in for the host. No pod of the
//! platform has the data; the Service leads to the host.

use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::by_hand::ByHand;
use super::tower;
use crate::context::Context;
use crate::process;
use crate::wait;

const ENVIRONMENT: &str = "x-remote";
const NAMESPACE: &str = "postgres-vdbs-x-remote";
const NAME: &str = "x-served";
/// The node plays the target host, as pods reach it.
const HOST: &str = "10.200.0.1";
const PORT: u16 = 18098;
/// User of the servers in the engine's image.
const SERVER: u32 = 999;
/// Subvolumes, the inner ones first: some are read-only.
const REMOVE: &str = r#"find "$1" -type d -inum 256 | sort -r | xargs -r -d '\n' btrfs --quiet subvolume delete && rm -rf "$1""#;
const SOON: Duration = Duration::from_secs(180);

pub(crate) async fn served(context: &Context) -> anyhow::Result<()> {
    let ours = ByHand::begin(context, NAMESPACE).await?;
    let before = tower::settings(&ours.kubernetes).await?;
    let pool = ours.node.pool().join(ENVIRONMENT);
    let tried = async {
        engine(&ours, &pool).await?;
        let own = format!("http://{HOST}:{PORT}");
        let changed = format!(
            "{}\nremote:\n  sources: ['*']\n  hosts: [{HOST}/32]\n",
            before.trim_end().replace(tower::ENGINE, &own)
        );
        anyhow::ensure!(
            changed.contains(&own),
            "the stack's settings have other lines"
        );
        tower::set(&ours.kubernetes, &changed).await?;
        life(&ours, &pool).await
    }
    .await;
    tower::set(&ours.kubernetes, &before).await?;
    tried?;
    ours.end().await?;
    let place = Path::new(context.get("VDB_STATE_DIR")?).join("pool");
    let mut remove = ours.node.in_mounts("sh");
    let remove = remove.args(["-c", REMOVE, "remove"]);
    let removed = process::run(remove.arg(place.join(ENVIRONMENT))).await?;
    anyhow::ensure!(removed.ok, "remove the pool: {}", removed.text());
    Ok(())
}

/// An engine of the stack's own image that runs servers and the hooks that come with an order, on the node's addresses.
async fn engine(ours: &ByHand<'_>, pool: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(pool)?;
    chown(pool, Some(SERVER), Some(SERVER))?;
    let place = ours.context.get("VDB_STATE_DIR")?;
    let settings = json!({
        "listen": format!("{HOST}:{PORT}"), "pool": "/pool", "storage": "btrfs", "exportPrefix": "/pool/vdbs",
        "apiKeys": [{ "name": "platform", "keyFile": "/etc/vdb/key" }],
        "postgresBin": "/usr/lib/postgresql/16/bin", "clientBin": "/usr/lib/postgresql/17/bin",
        "servers": { "listen": HOST, "ports": "18200-18209" },
        "sources": [{ "name": "largedb", "host": "10.0.1.54", "database": "largedb", "user": "vdb_replicator",
            "passwordFile": "/etc/vdb/password" }],
    });
    let files = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "engine", "namespace": NAMESPACE },
        "stringData": { "settings.yaml": settings.to_string(), "key": ours.context.secret("dct.key")?,
            "password": ours.context.secret("source-vdb_replicator.password")? },
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "engine", "namespace": NAMESPACE },
        "spec": {
            "hostNetwork": true, "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 20,
            "securityContext": { "runAsUser": SERVER, "runAsGroup": SERVER },
            "containers": [{
                "name": "engine", "image": "docker.io/postgres-vdb-platform/engine:local", "imagePullPolicy": "Never",
                "command": ["/usr/local/bin/vdb-engine", "serve", "--run-hooks", "--config", "/etc/vdb/settings.yaml"],
                "readinessProbe": { "httpGet": { "host": HOST, "path": "/readyz", "port": PORT }, "periodSeconds": 1 },
                "volumeMounts": [{ "name": "files", "mountPath": "/etc/vdb" }, { "name": "pool", "mountPath": "/pool" },
                    { "name": "run", "mountPath": "/run/vdb" }, { "name": "tmp", "mountPath": "/tmp" }],
            }],
            "volumes": [{ "name": "files", "secret": { "secretName": "engine" } },
                { "name": "pool", "hostPath": { "path": format!("{place}/pool/{ENVIRONMENT}") } },
                { "name": "run", "emptyDir": { "medium": "Memory" } }, { "name": "tmp", "emptyDir": {} }],
        },
    });
    // What the chart's role has where the settings have target hosts.
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "target-hosts", "namespace": NAMESPACE },
        "rules": [{ "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "create", "patch", "delete"] }],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "target-hosts", "namespace": NAMESPACE },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "target-hosts" },
        "subjects": [{ "kind": "ServiceAccount", "name": "vdb-operator", "namespace": "vdb-system" }],
    });
    for manifest in [role, binding, files, pod] {
        let applied = ours.kubernetes.apply(&manifest).await?;
        anyhow::ensure!(applied.ok, "the engine: {}", applied.text());
    }
    let ready = [
        "-n",
        NAMESPACE,
        "wait",
        "pod/engine",
        "--for=condition=Ready",
    ];
    ours.kubernetes
        .ok(&[&ready[..], &["--timeout=120s"]].concat())
        .await
        .map(drop)
}

async fn life(ours: &ByHand<'_>, pool: &Path) -> anyhow::Result<()> {
    // Said to be missing until the engine has its first base backup.
    ours.order(NAME, |_| ()).await?;
    let seen = ours.says(NAME, "Verified").await?;
    anyhow::ensure!(
        seen["status"]["vdb"]["delivery"] == "TargetHost",
        "delivered otherwise: {}",
        seen["status"]["vdb"]
    );
    let pod = ["-n", NAMESPACE, "pod", "x-served-0"];
    anyhow::ensure!(!ours.kubernetes.exists(&pod).await?, "it has a pod");
    anyhow::ensure!(addresses(ours).await? == [HOST], "it is elsewhere");

    let rows = query(ours, "select count(*) > 100000 from orders").await?;
    anyhow::ensure!(rows == "t", "the copy holds the source's rows: {rows}");
    query(ours, "create table mine as select 1 as one").await?;
    refreshed(ours).await?;
    rests(ours).await?;

    let mine = query(ours, "select to_regclass('mine') is null").await?;
    anyhow::ensure!(mine == "t", "what was written before the refresh is there");
    tower::delete(ours, NAME).await?;
    tower::gone(ours, NAME).await?;
    let left = addresses(ours).await?;
    anyhow::ensure!(left.is_empty(), "its address is left: {left:?}");
    let copies = std::fs::read_dir(pool.join("vdbs"))?.count();
    anyhow::ensure!(copies == 0, "{copies} folders are left in the pool");
    Ok(())
}

/// As the application, with what its Secret says.
async fn query(ours: &ByHand<'_>, sql: &str) -> anyhow::Result<String> {
    let uri = json!({ "secretKeyRef": { "name": format!("{NAME}-credentials"), "key": "uri" } });
    ours.kubernetes.sql_as(ENVIRONMENT, uri, sql).await
}

/// Where the Service leads to.
async fn addresses(ours: &ByHand<'_>) -> anyhow::Result<Vec<String>> {
    let of = format!("kubernetes.io/service-name={NAME}");
    let list = ["-n", NAMESPACE, "get", "endpointslices", "-l", &of];
    let slices = ours.kubernetes.json(&list).await?;
    let slices = slices["items"].as_array().cloned().unwrap_or_default();
    let all = slices
        .iter()
        .filter_map(|slice| slice["endpoints"].as_array());
    let all = all.flatten().filter_map(|end| end["addresses"][0].as_str());
    Ok(all.map(str::to_owned).collect())
}

async fn patch(ours: &ByHand<'_>, spec: Value) -> anyhow::Result<()> {
    let patch = json!({ "spec": spec }).to_string();
    let args = ["-n", NAMESPACE, "patch", "postgresvdb", NAME];
    ours.kubernetes
        .ok(&[&args[..], &["--type=merge", "-p", &patch]].concat())
        .await
        .map(drop)
}

async fn refreshed(ours: &ByHand<'_>) -> anyhow::Result<()> {
    patch(ours, json!({ "refresh": { "token": "other-data" } })).await?;
    wait::until("the refresh", SOON, || async {
        let get = ["-n", NAMESPACE, "get", "postgresvdb", NAME];
        let status = ours.kubernetes.json(&get).await?["status"].clone();
        let refresh = &status["refresh"];
        anyhow::ensure!(
            refresh["token"] == "other-data" && refresh["state"] == "Succeeded",
            "{refresh}"
        );
        Ok(Some(()))
    })
    .await?;
    ours.says(NAME, "Verified").await.map(drop)
}

/// The engine stops it, its address goes, and both come back.
async fn rests(ours: &ByHand<'_>) -> anyhow::Result<()> {
    patch(ours, json!({ "enabled": false })).await?;
    ours.says(NAME, "Suspended").await?;
    wait::until("its address to go", SOON, || async {
        let left = addresses(ours).await?;
        anyhow::ensure!(left.is_empty(), "{left:?}");
        Ok(Some(()))
    })
    .await?;
    patch(ours, json!({ "enabled": true })).await?;
    ours.says(NAME, "Verified").await.map(drop)
}
