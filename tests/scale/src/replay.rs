//! The comparison: the same objects, written by the same client in the same order, without anybody who decides.
//!
//! What the operator wrote for one database is the pattern. Its resource is of a kind with another group and the same
//! definition, so that the operator, which runs on, does not take it for an order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use environment::names::{GROUP, PART_OF, PART_OF_LABEL, VERSION};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use operator::crd::Key;
use serde_json::{Value, json};

use crate::children::Children;
use crate::control_plane::ControlPlane;
use crate::database;

/// As many as the operator works on at once.
const AT_ONCE: usize = 64;
const OTHER_GROUP: &str = "core.replay.test";

#[derive(Clone)]
struct Written {
    resource: ApiResource,
    object: Value,
    namespaced: bool,
}

pub(crate) struct Replay {
    client: Client,
    pattern: Key,
    uid: String,
    vdb: Value,
    /// In the order of their writing.
    before_pod: Vec<Written>,
    after_pod: Vec<Written>,
    status_writes: usize,
    events: usize,
}

/// The definition under the other group.
pub(crate) fn definition(yaml: &str) -> String {
    yaml.replace(GROUP, OTHER_GROUP)
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

fn core(kind: &str) -> ApiResource {
    resource("", "v1", kind, &format!("{}s", kind.to_lowercase()))
}

impl Replay {
    /// Learns from a database that is ready; `writes` is what the operator wrote for each.
    pub(crate) async fn learn(
        plane: &ControlPlane,
        client: Client,
        pattern: &Key,
        writes: &BTreeMap<String, usize>,
        vdbs: usize,
    ) -> anyhow::Result<Self> {
        let (ns, name) = (&pattern.namespace, &pattern.name);
        let get = async |kind: String, name: String| -> anyhow::Result<Value> {
            let args = ["get", kind.as_str(), name.as_str(), "-n", ns, "-o", "json"];
            let text = plane.kubectl(&args, "").await?;
            Ok(bare(serde_json::from_str(&text)?))
        };
        let vdb = get("postgresvdbs.core.delphix.com".into(), name.clone()).await?;
        let uid = vdb["metadata"]["uid"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mut before_pod = Vec::new();
        let names = plane
            .kubectl(&["get", "configmaps", "-n", ns, "-o", "name"], "")
            .await?;
        let helper = names.lines().find_map(|l| {
            l.strip_prefix("configmap/")
                .filter(|n| n.starts_with("vdb-init-"))
        });
        let helper = helper.context("there is no helper")?.to_owned();
        let sets = resource("apps", "v1", "StatefulSet", "statefulsets");
        for (resource, name, namespaced) in [
            (core("ConfigMap"), helper, true),
            (core("ConfigMap"), format!("{name}-config"), true),
            (core("Secret"), format!("{name}-admin"), true),
            (core("Service"), name.clone(), true),
            (core("PersistentVolume"), format!("{ns}-{name}-g1"), false),
            (core("PersistentVolumeClaim"), format!("{name}-g1"), true),
            (sets, name.clone(), true),
        ] {
            let object = get(resource.plural.clone(), name).await?;
            before_pod.push(Written {
                resource,
                object,
                namespaced,
            });
        }
        let object = get("secrets".into(), format!("{name}-credentials")).await?;
        let resource = core("Secret");
        let after_pod = vec![Written {
            resource,
            object,
            namespaced: true,
        }];
        let each = |what: &str| {
            let of_kind = writes.iter().filter(|(name, _)| name.ends_with(what));
            of_kind.map(|(_, n)| n).sum::<usize>().div_ceil(vdbs)
        };
        Ok(Self {
            client,
            pattern: pattern.clone(),
            uid,
            vdb,
            before_pod,
            after_pod,
            status_writes: each("postgresvdbs/status"),
            events: each(" events"),
        })
    }

    /// How long it takes until all are written and all their pods are ready.
    pub(crate) async fn run(&self, children: &Children, keys: &[Key]) -> anyhow::Result<Duration> {
        let before = children.ready();
        let started = Instant::now();
        stream::iter(keys)
            .map(|key| self.one(key))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        while children.ready() < before + keys.len() {
            anyhow::ensure!(
                started.elapsed() < Duration::from_mins(30),
                "pods are missing"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(started.elapsed())
    }

    fn api(&self, key: &Key, written: &Written) -> Api<DynamicObject> {
        if written.namespaced {
            Api::namespaced_with(self.client.clone(), &key.namespace, &written.resource)
        } else {
            Api::all_with(self.client.clone(), &written.resource)
        }
    }

    /// The pattern under another name. Its parts carry another label, so that the operator's watches pass them by.
    fn renamed(&self, value: &Value, key: &Key, uid: &str) -> Value {
        let text = value.to_string();
        let text = text
            .replace(&self.pattern.namespace, "\u{1}")
            .replace(&self.pattern.name, &key.name)
            .replace('\u{1}', &key.namespace)
            .replace(&self.uid, uid)
            .replace(GROUP, OTHER_GROUP);
        let mut value: Value = serde_json::from_str(&text).expect("names need no escape");
        for labels in ["/metadata/labels", "/spec/template/metadata/labels"] {
            if let Some(labels) = value.pointer_mut(labels) {
                labels[PART_OF_LABEL] = json!(format!("{PART_OF}-replay"));
            }
        }
        value
    }

    async fn one(&self, key: &Key) -> anyhow::Result<()> {
        let vdbs = resource(OTHER_GROUP, VERSION, "PostgresVDB", "postgresvdbs");
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &key.namespace, &vdbs);
        let post = PostParams {
            field_manager: Some("replay".into()),
            ..PostParams::default()
        };
        let mut order = json!(database::resource(key));
        order["apiVersion"] = json!(format!("{OTHER_GROUP}/{VERSION}"));
        let mut vdb = api.create(&post, &serde_json::from_value(order)?).await?;
        let uid = vdb.metadata.uid.clone().unwrap_or_default();
        let merge = PatchParams {
            field_manager: Some("replay".into()),
            ..PatchParams::default()
        };
        let finalizers =
            json!({ "metadata": { "finalizers": ["postgres-vdb-platform/finalizer"] } });
        vdb = api
            .patch(&key.name, &merge, &Patch::Merge(finalizers))
            .await?;
        let status = self.renamed(&self.vdb["status"], key, &uid);
        for write in 0..self.status_writes {
            let mut next = vdb.clone();
            next.metadata.managed_fields = None;
            next.data["status"] = status.clone();
            next.data["status"]["observedGeneration"] = json!(write);
            vdb = api.replace_status(&key.name, &post, &next).await?;
            let objects = match write {
                1 => self.before_pod.as_slice(),
                2 => self.after_pod.as_slice(),
                _ => &[],
            };
            for written in objects {
                // One for all databases of a namespace.
                if is_helper(written) && !key.name.ends_with("-0-vdb") {
                    continue;
                }
                let object = self.renamed(&written.object, key, &uid);
                let name = object["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                let apply = PatchParams::apply("replay").force();
                self.api(key, written)
                    .patch(&name, &apply, &Patch::Apply(&object))
                    .await?;
            }
        }
        for number in 0..self.events {
            self.event(key, &uid, number).await?;
        }
        Ok(())
    }

    async fn event(&self, key: &Key, uid: &str, number: usize) -> anyhow::Result<()> {
        let events = resource("events.k8s.io", "v1", "Event", "events");
        let api =
            Api::<DynamicObject>::namespaced_with(self.client.clone(), &key.namespace, &events);
        let event: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": { "name": format!("{}.{number}", key.name), "namespace": key.namespace },
            "eventTime": format!("{:.6}", jiff::Timestamp::now()), "action": "Reconcile", "type": "Normal", "reason": "Provisioning",
            "note": "the virtual database is being made", "reportingController": "replay", "reportingInstance": "replay",
            "regarding": { "apiVersion": format!("{OTHER_GROUP}/{VERSION}"), "kind": "PostgresVDB", "name": key.name, "namespace": key.namespace, "uid": uid },
        }))?;
        api.create(&PostParams::default(), &event).await?;
        Ok(())
    }
}

fn is_helper(written: &Written) -> bool {
    written.object["metadata"]["name"]
        .as_str()
        .is_some_and(|name| name.starts_with("vdb-init-"))
}

/// Without what the API server fills in.
fn bare(mut object: Value) -> Value {
    if object["kind"] != "PostgresVDB"
        && let Some(object) = object.as_object_mut()
    {
        object.remove("status");
    }
    if let Some(meta) = object["metadata"].as_object_mut() {
        let uid = meta.remove("uid");
        for key in [
            "resourceVersion",
            "creationTimestamp",
            "managedFields",
            "generation",
            "finalizers",
        ] {
            meta.remove(key);
        }
        if let (Some(uid), true) = (uid, object["kind"] == "PostgresVDB") {
            object["metadata"]["uid"] = uid;
        }
    }
    if object["kind"] == "Service"
        && let Some(spec) = object["spec"].as_object_mut()
    {
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            spec.remove(key);
        }
    }
    if let Some(claim) = object
        .pointer_mut("/spec/claimRef")
        .and_then(Value::as_object_mut)
    {
        claim.remove("uid");
        claim.remove("resourceVersion");
    }
    object
}
