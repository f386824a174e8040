//! Orders: namespaces with the operator's role in them, resources, and when each became ready.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use environment::names::NAMESPACE_PREFIX;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use operator::crd::{Key, PostgresVdb};
use serde_json::json;

use crate::control_plane::OPERATOR;
use crate::operate::NAMESPACE;

/// How many orders arrive at once.
pub(crate) const AT_ONCE: usize = 32;

pub(crate) fn key(prefix: &str, number: usize, per_namespace: usize) -> Key {
    let environment = format!("{prefix}{}", number / per_namespace);
    Key {
        namespace: format!("{NAMESPACE_PREFIX}{environment}"),
        name: format!("{environment}-{}-vdb", number % per_namespace),
    }
}

/// As the environments' chart does.
pub(crate) async fn make_namespaces(client: &Client, keys: &[Key]) -> anyhow::Result<()> {
    let mut names: Vec<_> = keys.iter().map(|key| key.namespace.clone()).collect();
    names.dedup();
    let made = stream::iter(names).map(|name| async move {
        let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
        let namespaces = Api::<Namespace>::all(client.clone());
        namespaces.create(&PostParams::default(), &namespace).await?;
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": { "name": "postgres-vdb-operator" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "postgres-vdb-platform-environment" },
            "subjects": [{ "kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE }],
        }))?;
        let bindings = Api::<RoleBinding>::namespaced(client.clone(), &name);
        bindings.create(&PostParams::default(), &binding).await?;
        anyhow::Ok(())
    });
    made.buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// As the rendered values file of an environment has it.
pub(crate) fn resource(key: &Key) -> PostgresVdb {
    serde_json::from_value(json!({
        "metadata": { "name": key.name, "namespace": key.namespace, "labels": { "postgres-vdb-platform/environment": key.namespace } },
        "spec": {
            "source": { "type": "dct-source", "reference": "10.0.1.54:largedb" },
            "database": { "name": "largedb", "user": "app" },
            "resources": { "requests": { "cpu": "100m", "memory": "512Mi" }, "limits": { "memory": "512Mi" } },
            "postgresConfig": [
                { "name": "max_connections", "value": "30" }, { "name": "shared_buffers", "value": "128MB" },
                { "name": "work_mem", "value": "4MB" }, { "name": "statement_timeout", "value": "60s" },
            ],
        },
    }))
    .expect("it has the resource's shape")
}

pub(crate) async fn order(client: &Client, keys: &[Key]) -> anyhow::Result<()> {
    let made = stream::iter(keys).map(|key| async move {
        let api = Api::<PostgresVdb>::namespaced(client.clone(), &key.namespace);
        api.create(&PostParams::default(), &resource(key)).await?;
        anyhow::Ok(())
    });
    made.buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// Which databases are ready, and since when.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<HashMap<Key, (Instant, i64)>>>);

impl Seen {
    /// Watches until the program ends.
    pub(crate) async fn watch(self, client: Client) -> anyhow::Result<()> {
        let api = Api::<PostgresVdb>::all(client);
        let mut changes =
            std::pin::pin!(watcher(api, watcher::Config::default()).applied_objects());
        while let Some(vdb) = changes.try_next().await? {
            let generation = vdb.metadata.generation.unwrap_or_default();
            let key = Key {
                namespace: vdb.namespace().unwrap_or_default(),
                name: vdb.name_any(),
            };
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let ready = vdb.status.is_some_and(|s| s.is_ready(generation));
            match all.get(&key) {
                _ if !ready => drop(all.remove(&key)),
                Some((_, known)) if *known == generation => {}
                _ => drop(all.insert(key, (Instant::now(), generation))),
            }
        }
        Ok(())
    }

    pub(crate) fn at(&self, key: &Key, generation: i64) -> Option<Instant> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(key)
            .filter(|(_, g)| *g == generation)
            .map(|(at, _)| *at)
    }

    /// When the last of them became ready.
    pub(crate) async fn all(
        &self,
        keys: &[Key],
        generation: i64,
        within: Duration,
    ) -> anyhow::Result<Instant> {
        let deadline = Instant::now() + within;
        loop {
            let at: Vec<_> = keys
                .iter()
                .filter_map(|key| self.at(key, generation))
                .collect();
            if let (true, Some(last)) = (at.len() == keys.len(), at.iter().max()) {
                return Ok(*last);
            }
            if Instant::now() > deadline {
                bail!("{} of {} are ready after {within:?}", at.len(), keys.len());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
