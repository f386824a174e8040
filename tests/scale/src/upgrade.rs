//! From the definition that was landed first to the one of today, on a real API server: objects with every field that the
//! first one knew are read back unchanged, their status is still accepted, and the operator goes on from it.

use std::time::Duration;

use anyhow::Context as _;
use environment::names::{GROUP, VERSION};
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use operator::crd::{Key, PostgresVdb};
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::database::{self, Seen, key};

const FIRST: &str = include_str!("../../../operator/tests/manifests/first-definition.yaml");
const WITHIN: Duration = Duration::from_mins(1);

/// What stood in the cluster under the first definition.
pub(crate) struct Earlier(Vec<Value>);

fn place() -> Key {
    key("upgrade", 0, 1)
}

/// It was ordered and nothing has happened yet.
fn ordered() -> Value {
    let mut order = json!(database::resource(&place()));
    // The types fill in a default that the first definition did not know.
    if let Some(spec) = order["spec"].as_object_mut() {
        spec.remove("collations");
    }
    let at = "2026-01-01T00:00:00Z";
    let condition = json!({
        "type": "Ready", "status": "False", "reason": "Pending", "message": "", "observedGeneration": 1, "lastTransitionTime": at,
    });
    order["status"] = json!({
        "observedGeneration": 1, "phase": "Pending", "conditions": [condition], "stages": [{ "name": "Pending", "startedAt": at }],
    });
    order
}

/// Three, because fields exclude each other. Together they have every field that the definition knew.
fn complete() -> Vec<Value> {
    let at = "2026-01-01T00:00:00Z";
    let hook = json!({
        "name": "first", "stage": "post-create", "type": "sql", "script": "select 1", "database": "largedb", "as": "admin",
        "weight": 1, "backoffLimit": 2, "deadline": "5m", "transaction": true, "env": { "A": "b" },
        "envFrom": [{ "secretRef": { "name": "s" } }, { "configMapRef": { "name": "c" } }],
    });
    let amounts = json!({ "cpu": "100m", "memory": "512Mi" });
    let spec = json!({
        "source": { "type": "dct-source", "reference": "10.0.1.54:largedb", "namespace": "n", "snapshotId": "s-1" },
        "database": { "name": "largedb", "user": "app", "password": "not-a-secret", "createIfMissing": false },
        "port": 5433, "image": "postgres:16.9", "mountPath": "/mnt/postgres", "ownershipSpec": "999:999", "OwnershipSpec": "999:999",
        "mode": "Primary", "enabled": false, "errorBackoffPeriod": "5m", "resources": { "requests": amounts, "limits": amounts },
        "postgresConfig": [{ "name": "work_mem", "value": "4MB" }], "hooks": [hook],
        "storageClass": "fast", "storageSize": "1Gi", "deletionPolicy": "Retain",
    });
    let status = json!({
        "observedGeneration": 1, "phase": "Suspended", "dataAsOf": at, "connectionString": "postgresql://h:5433/largedb",
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "Suspended", "message": "m", "observedGeneration": 1, "lastTransitionTime": at,
        }],
        "endpoint": { "host": "h", "port": 5433 }, "credentialsSecret": "c",
        "vdb": {
            "id": "v-0", "name": "v", "engine": "e", "intent": { "name": "v", "at": at }, "job": { "id": "j-0", "operation": "provision" },
            "export": "/pool/vdbs/v-0", "generation": 1,
        },
        "verified": { "podUID": "p", "restarts": 0, "secretHash": "h" },
        "stages": [{ "name": "Pending", "startedAt": at, "finishedAt": at }],
    });
    let with = |name: &str, source: Value, database: Value| {
        let mut object = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "PostgresVDB",
            "metadata": { "name": name, "namespace": place().namespace }, "spec": spec, "status": status,
        });
        for (field, value) in [("source", source), ("database", database)] {
            if !value.is_null() {
                object["spec"][field] = value;
            }
        }
        object
    };
    let source = |field: &str, value: &str| {
        let mut source = json!({ "type": "dct-source", "reference": "10.0.1.54:largedb" });
        source[field] = json!(value);
        source
    };
    vec![
        with("every-vdb", Value::Null, Value::Null),
        with(
            "timestamp-vdb",
            source("timestamp", at),
            json!({ "passwordSecretRef": "s" }),
        ),
        with("bookmark-vdb", source("bookmark", "b"), json!({})),
    ]
}

fn api(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(GROUP, VERSION, "PostgresVDB");
    let resource = ApiResource::from_gvk_with_plural(&kind, "postgresvdbs");
    Api::namespaced_with(client.clone(), &place().namespace, &resource)
}

/// Under the first definition, before anything of today is there.
pub(crate) async fn before(plane: &ControlPlane, client: &Client) -> anyhow::Result<Earlier> {
    let apply = ["apply", "--server-side", "-f", "-"];
    plane.kubectl(&apply, FIRST).await?;
    plane.established().await?;
    database::make_namespaces(client, &[place()]).await?;
    let api = api(client);
    let mut stood = Vec::new();
    for object in complete().into_iter().chain([ordered()]) {
        let made: DynamicObject = serde_json::from_value(object.clone())?;
        let mut made = api.create(&PostParams::default(), &made).await?;
        made.data["status"] = object["status"].clone();
        let name = made.metadata.name.clone().unwrap_or_default();
        let made = api
            .replace_status(&name, &PostParams::default(), &made)
            .await?;
        let is = json!(made);
        for part in ["spec", "status"] {
            let dropped = missing(part, &object[part], &is[part]);
            anyhow::ensure!(
                dropped.is_empty(),
                "the first definition dropped of {name}: {dropped:?}"
            );
        }
        stood.push(is);
    }
    Ok(Earlier(stood))
}

impl Earlier {
    /// Under today's definition, before the operator runs.
    pub(crate) async fn is_kept(&self, client: &Client) -> anyhow::Result<()> {
        let api = api(client);
        for stood in &self.0 {
            let name = stood["metadata"]["name"].as_str().unwrap_or_default();
            let now = api.get(name).await?;
            let is = json!(now);
            for part in ["spec", "status"] {
                // A default of a field that is new may be shown; nothing that stood is another.
                let changed = missing(part, &stood[part], &is[part]);
                anyhow::ensure!(
                    changed.is_empty(),
                    "{name} has changed its {part} with the definition: {} instead of {}",
                    is[part],
                    stood[part]
                );
            }
            let read: PostgresVdb = serde_json::from_value(is.clone())
                .with_context(|| format!("the operator cannot read {name}"))?;
            let dropped = missing("status", &is["status"], &json!(read.status));
            anyhow::ensure!(
                dropped.is_empty(),
                "the operator would drop of {name}: {dropped:?}"
            );
            let now = api
                .replace(name, &PostParams::default(), &now)
                .await
                .with_context(|| format!("{name} is refused"))?;
            api.replace_status(name, &PostParams::default(), &now)
                .await
                .with_context(|| format!("the status of {name} is refused"))?;
            if name != place().name {
                // No virtual database is behind it.
                api.delete(name, &DeleteParams::default()).await?;
            }
        }
        Ok(())
    }
}

/// What was ordered under the first definition becomes ready under today's.
pub(crate) async fn goes_on(seen: &Seen) -> anyhow::Result<()> {
    seen.all(&[place()], 1, WITHIN).await.map(drop)
}

/// Where the later value lacks, or has otherwise, what the earlier one has.
fn missing(at: &str, earlier: &Value, later: &Value) -> Vec<String> {
    match (earlier, later) {
        (Value::Object(fields), Value::Object(_)) => {
            let inner = fields.iter();
            inner
                .flat_map(|(name, value)| missing(&format!("{at}.{name}"), value, &later[name]))
                .collect()
        }
        _ if earlier == later => Vec::new(),
        _ => vec![at.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn known(at: &str, schema: &Value, out: &mut BTreeSet<String>) {
        out.insert(at.to_owned());
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            known(&format!("{at}.{name}"), inner, out);
        }
        for inner in [&schema["items"], &schema["additionalProperties"]] {
            if inner.is_object() {
                known(&format!("{at}[]"), inner, out);
            }
        }
    }

    fn used(at: &str, schema: &Value, value: &Value, out: &mut BTreeSet<String>) {
        out.insert(at.to_owned());
        let open = schema["additionalProperties"].is_object();
        for (name, inner) in value.as_object().into_iter().flatten() {
            if open {
                used(
                    &format!("{at}[]"),
                    &schema["additionalProperties"],
                    inner,
                    out,
                );
            } else {
                used(
                    &format!("{at}.{name}"),
                    &schema["properties"][name],
                    inner,
                    out,
                );
            }
        }
        for inner in value.as_array().into_iter().flatten() {
            used(&format!("{at}[]"), &schema["items"], inner, out);
        }
    }

    #[test]
    fn together_they_have_every_field_that_the_first_definition_knew() {
        let first: Value = environment::yaml::read(FIRST).unwrap();
        let schema = &first["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let (mut all, mut found) = (BTreeSet::new(), BTreeSet::new());
        for part in ["spec", "status"] {
            known(part, &schema["properties"][part], &mut all);
            for object in complete() {
                used(part, &schema["properties"][part], &object[part], &mut found);
            }
        }
        assert_eq!(all, found);
    }

    #[test]
    fn what_is_missing_is_named() {
        let earlier = json!({ "a": { "b": 1, "c": 2 } });
        let later = json!({ "a": { "b": 1, "d": 3 } });
        assert_eq!(missing("spec", &earlier, &later), ["spec.a.c"]);
        assert_eq!(missing("spec", &earlier, &earlier), [""; 0]);
    }
}
