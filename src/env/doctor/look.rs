//! Asks everybody along the way. Reads only; an answer that does not come is part of what is found.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dct::{Client, ClientSettings, filter};
use environment::EnvironmentName;
use environment::names::{GROUP, KIND, PLURAL, VERSION};
use serde_json::{Value, json};
use tokio::process::Command;

use super::super::cluster::{Cluster, Thing};
use super::super::connect;
use super::super::git::Git as Clone;
use super::super::observed;
use super::super::settings::Settings;
use super::state::{Asked, Database, Git, State};
use crate::forge;

/// No single part is waited for longer.
const PART: Duration = Duration::from_secs(25);
const LOG_LINES: i64 = 20;

async fn timely<T>(what: impl Future<Output = Result<T>>) -> Asked<T> {
    match tokio::time::timeout(PART, what).await {
        Ok(answer) => answer.into(),
        Err(_) => Asked::Failed(format!("no answer within {} seconds", PART.as_secs())),
    }
}

pub(super) async fn look(name: &EnvironmentName, settings: &Settings) -> State {
    let git = async {
        match &settings.forge {
            Some(forge) => timely(in_forge(name, settings, forge.clone())).await,
            None => Asked::Not(
                "set VDB_FORGE_URL, VDB_FORGE_OWNER, VDB_FORGE_REPOSITORY and VDB_FORGE_TOKEN_FILE"
                    .to_owned(),
            ),
        }
    };
    let (git, rest) = tokio::join!(git, in_cluster(name, settings));
    State {
        environment: name.to_string(),
        git,
        ..rest
    }
}

async fn in_forge(
    name: &EnvironmentName,
    settings: &Settings,
    forge: forge::Settings,
) -> Result<Git> {
    let branch = forge.branch.clone();
    let forge = forge::connect(forge)?;
    let head = forge.base().await?;
    let values = forge.read(&head, &name.values_path()).await?;
    let pulls = forge.open_pulls().await?;
    let ours = format!("vdb/{name}.");
    let pull = pulls.iter().find(|pull| pull.branch.starts_with(&ours));
    // The forge is asked for no history; the clone, where there is one, knows it.
    let clone = Clone::open(&settings.repository, &settings.branch).await;
    let last_commit = match clone {
        Ok(clone) => clone.last_commit(&name.values_path()).await,
        Err(_) => None,
    };
    Ok(Git {
        branch,
        head,
        values,
        last_commit,
        pull: pull.map(|pull| format!("#{} {} ({})", pull.number, pull.title, pull.url)),
    })
}

async fn in_cluster(name: &EnvironmentName, settings: &Settings) -> State {
    let Ok(kubeconfig) = settings.kubeconfig() else {
        let not = "set VDB_KUBECONFIG".to_owned();
        return State {
            application: Asked::Not(not.clone()),
            namespace: Asked::Not(not.clone()),
            databases: Asked::Not(not),
            ..State::default()
        };
    };
    let cluster = match Cluster::connect(kubeconfig).await {
        Ok(cluster) => cluster,
        Err(error) => {
            let failed = crate::web::one_line(&format!("{error:#}"), 300);
            return State {
                application: Asked::Failed(failed.clone()),
                namespace: Asked::Failed(failed.clone()),
                databases: Asked::Failed(failed),
                ..State::default()
            };
        }
    };
    let namespace = name.namespace();
    let argo = Thing::new("argoproj.io/v1alpha1", "Application", "applications").within("argocd");
    let space = Thing::new("v1", "Namespace", "namespaces");
    let kind = resources(&namespace);
    let (application, space, found) = tokio::join!(
        timely(cluster.get(&argo, name.as_str())),
        timely(cluster.get(&space, &namespace)),
        timely(cluster.list(&kind, "")),
    );
    let mut state = State {
        application,
        namespace: space,
        ..State::default()
    };
    state.databases = match found {
        Asked::Is(found) => {
            let mut databases = Vec::new();
            for resource in found {
                let (database, secrets) =
                    Box::pin(database(name, settings, &cluster, resource)).await;
                databases.push(database);
                state.secrets.extend(secrets);
            }
            Asked::Is(databases)
        }
        Asked::Failed(why) => Asked::Failed(why),
        Asked::Not(why) => Asked::Not(why),
    };
    state
}

pub(super) fn resources(namespace: &str) -> Thing {
    Thing::new(&format!("{GROUP}/{VERSION}"), KIND, PLURAL).within(namespace)
}

/// Everything behind one resource, and the values that must not be shown.
async fn database(
    environment: &EnvironmentName,
    settings: &Settings,
    cluster: &Cluster,
    resource: Value,
) -> (Database, Vec<String>) {
    let read = observed::Database::read(&resource);
    let (name, namespace) = (read.name.clone(), environment.namespace());
    let generation = read.status.vdb.as_ref().and_then(|vdb| vdb.generation);
    let claim = format!("{name}-g{}", generation.unwrap_or(1));
    let volume = format!("{namespace}-{claim}");
    let secret = read.status.credentials_secret.clone();
    let secret = secret.unwrap_or_else(|| format!("{name}-credentials"));
    let core = |kind: &str, plural: &str| Thing::new("v1", kind, plural).within(&namespace);
    let volumes = Thing::new("v1", "PersistentVolume", "persistentvolumes");
    let (claims, pods, services) = (
        core("PersistentVolumeClaim", "persistentvolumeclaims"),
        core("Pod", "pods"),
        core("Service", "services"),
    );
    let pod_name = format!("{name}-0");
    let (tower, volume, claim, pod, events, service, endpoints, credentials) = tokio::join!(
        in_tower(settings, &read),
        timely(cluster.get(&volumes, &volume)),
        timely(cluster.get(&claims, &claim)),
        timely(cluster.get(&pods, &pod_name)),
        timely(events(cluster, &namespace, &name)),
        timely(cluster.get(&services, &name)),
        timely(endpoints(cluster, &namespace, &name)),
        timely(cluster.secret_if_any(&namespace, &secret)),
    );
    let credentials = match credentials {
        Asked::Is(found) => Asked::Is(found.and_then(|s| s.data).map(|data| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            data.into_iter()
                .map(|(key, value)| (key, text(&value.0)))
                .collect::<std::collections::BTreeMap<_, _>>()
        })),
        Asked::Failed(why) => Asked::Failed(why),
        Asked::Not(why) => Asked::Not(why),
    };
    let (keys, secrets, query) = match credentials {
        Asked::Is(Some(credentials)) => {
            let query = if has_psql().await {
                timely(query(environment, settings, &read, &credentials)).await
            } else {
                Asked::Not("install psql here: the query is asked with it".to_owned())
            };
            // Host, port and names are no secrets, and their values stand everywhere.
            let hidden = ["password", "uri", "jdbc-uri", "pgpass"];
            let secrets = credentials
                .iter()
                .filter(|(key, _)| hidden.iter().any(|h| key.ends_with(h)))
                .map(|(_, value)| value.clone());
            (
                Asked::Is(Some(credentials.keys().cloned().collect())),
                secrets.collect(),
                query,
            )
        }
        Asked::Is(None) => (
            Asked::Is(None),
            Vec::new(),
            Asked::Not("the database publishes its Secret first".to_owned()),
        ),
        Asked::Failed(why) => (
            Asked::Failed(why),
            Vec::new(),
            Asked::Not("get the right to read the Secret (access.groups)".to_owned()),
        ),
        Asked::Not(why) => (Asked::Not(why.clone()), Vec::new(), Asked::Not(why)),
    };
    let log = log(cluster, &namespace, &pod).await;
    let database = Database {
        resource,
        vdb: tower.0,
        job: tower.1,
        volume,
        claim,
        pod,
        events: match events {
            Asked::Is(events) => events,
            Asked::Failed(_) | Asked::Not(_) => Vec::new(),
        },
        log,
        service,
        endpoints,
        secret: keys,
        query,
    };
    (database, secrets)
}

type FromTower = (Asked<Option<Value>>, Option<Asked<Option<Value>>>);

async fn in_tower(settings: &Settings, read: &observed::Database) -> FromTower {
    let recorded = read.status.vdb.clone().unwrap_or_default();
    let not = || Asked::Not("set VDB_DCT_URL and VDB_DCT_API_KEY_FILE".to_owned());
    let Some(tower) = &settings.tower else {
        return (not(), recorded.job.map(|_| not()));
    };
    let client = ClientSettings::new(tower.url.clone(), tower.key_file.clone(), "vdb-doctor");
    let client = match Client::new(client) {
        Ok(client) => client,
        Err(error) => {
            let failed = || Asked::Failed(crate::web::error_chain(&error));
            return (failed(), recorded.job.map(|_| failed()));
        }
    };
    let vdb = timely(async {
        let found = match (&recorded.id, &recorded.intent) {
            (Some(id), _) => client.vdb(id).await?,
            (None, Some(intent)) => {
                let wanted = filter::equals("name", &intent.name).context("an odd name")?;
                client
                    .search_vdbs(&wanted, 1)
                    .await?
                    .items
                    .into_iter()
                    .next()
            }
            (None, None) => None,
        };
        Ok(found.map(|vdb| json!(vdb)))
    });
    let job = async {
        let id = &recorded.job.as_ref()?.id;
        Some(timely(async { Ok(client.job(id).await?.map(|job| json!(job))) }).await)
    };
    tokio::join!(vdb, job)
}

/// Warnings about anything whose name begins with the database's.
async fn events(cluster: &Cluster, namespace: &str, name: &str) -> Result<Vec<String>> {
    let kind = Thing::new("v1", "Event", "events").within(namespace);
    let mut found = cluster.list(&kind, "").await?;
    let text = |event: &Value, pointer: &str| {
        let text = event.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let at = |event: &Value| {
        let last = text(event, "/lastTimestamp");
        let time = if last.is_empty() {
            text(event, "/eventTime")
        } else {
            last
        };
        time.chars().take(19).collect::<String>()
    };
    let is_ours = |object: &str| {
        let rest = object.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    found.retain(|event| {
        event["type"] == "Warning" && is_ours(&text(event, "/involvedObject/name"))
    });
    found.sort_by_key(at);
    let line = |event: &Value| format!("{}: {}", text(event, "/reason"), text(event, "/message"));
    Ok(found.iter().map(line).collect())
}

async fn endpoints(cluster: &Cluster, namespace: &str, service: &str) -> Result<usize> {
    let kind =
        Thing::new("discovery.k8s.io/v1", "EndpointSlice", "endpointslices").within(namespace);
    let selector = format!("kubernetes.io/service-name={service}");
    let slices = cluster.list(&kind, &selector).await?;
    let endpoints = slices
        .iter()
        .flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    // "No word" counts as ready in this API.
    Ok(endpoints
        .filter(|e| e.pointer("/conditions/ready") != Some(&json!(false)))
        .count())
}

/// Only where the pod is not as it should be: a healthy server's log says nothing here.
async fn log(cluster: &Cluster, namespace: &str, pod: &Asked<Option<Value>>) -> String {
    let Asked::Is(Some(pod)) = pod else {
        return String::new();
    };
    let statuses = pod["status"]["containerStatuses"].as_array();
    let well = statuses.is_some_and(|all| {
        all.iter()
            .all(|s| s["ready"] == true && s["restartCount"] == 0)
    });
    let Some(name) = pod["metadata"]["name"].as_str().filter(|_| !well) else {
        return String::new();
    };
    match timely(cluster.log(namespace, name, LOG_LINES)).await {
        Asked::Is(log) => log,
        Asked::Failed(_) | Asked::Not(_) => String::new(),
    }
}

async fn has_psql() -> bool {
    let asked = Command::new("psql")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.await.is_ok()
}

/// `SELECT 1` as the application: the way that `vdb env connect` takes. The password is never an argument.
async fn query(
    environment: &EnvironmentName,
    settings: &Settings,
    database: &observed::Database,
    credentials: &std::collections::BTreeMap<String, String>,
) -> Result<String> {
    let of = |key: &str| {
        let value = credentials.get(key);
        value.with_context(|| format!("the Secret has no key {key}"))
    };
    let endpoint = database.status.endpoint.as_ref();
    let port = endpoint.map_or(5432, |endpoint| endpoint.port);
    let (mut tunnel, local) = connect::tunnel(settings, environment, database, 0, port).await?;
    let (user, name) = (of("username")?, of("dbname")?);
    let answer = Command::new("psql")
        .args(connect::psql_arguments(local, user, name, Some("SELECT 1")))
        .args(["--no-password", "--tuples-only", "--no-align"])
        .env("PGPASSWORD", of("password")?)
        .env("PGCONNECT_TIMEOUT", "10")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    tunnel.kill().await.ok();
    let answer = answer.context("psql cannot be run")?;
    let said = String::from_utf8_lossy(&answer.stdout);
    if answer.status.success() && said.trim() == "1" {
        return Ok(format!("SELECT 1 as {user} on {name} through the Service"));
    }
    bail!("{}", String::from_utf8_lossy(&answer.stderr).trim())
}
