//! The server's pod. The template names the claim itself, so that another data generation is a change of one name.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Volume;
use serde_json::{Value, json};

use super::{
    COMPONENT_LABEL, Copy, Frame, Names, SERVER_PORT, container_security, digest, labels, meta,
    pod_security, server_settings, typed,
};

/// Annotation that restarts the pod when its settings change.
const CONFIG_HASH: &str = "postgres-vdb-platform/config";
/// A fast shutdown writes one checkpoint; this is time enough for a large one on a slow volume.
const GRACE_SECONDS: u32 = 120;
/// Recovery may be long, and a killed recovery starts over: a day of one-second probes.
const STARTUP_PROBES: u32 = 86_400;
const HELPER: &str = "/vdb/vdb-init";

pub fn stateful_set(frame: &Frame<'_>, copy: &Copy, replicas: i32, helper: &str) -> StatefulSet {
    let name = Names::of(frame).stateful_set();
    let selector = json!({ environment::names::INSTANCE_LABEL: frame.cr.key().name, COMPONENT_LABEL: "database" });
    let spec = &frame.cr.spec;
    let config = digest(
        format!(
            "{}\0{}",
            server_settings::defaults(spec),
            server_settings::ordered(spec)
        )
        .as_bytes(),
    )[..16]
        .to_owned();
    let set = typed(json!({
        "spec": {
            "replicas": replicas,
            "serviceName": name.name,
            "selector": { "matchLabels": selector },
            "template": {
                "metadata": { "labels": labels(frame.cr, "database"), "annotations": { CONFIG_HASH: config } },
                "spec": pod(frame, copy, helper),
            },
        },
    }));
    StatefulSet {
        metadata: meta(frame.cr, &name, "database"),
        ..set
    }
}

fn pod(frame: &Frame<'_>, copy: &Copy, helper: &str) -> Value {
    json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": pod_security(frame.cr.spec.ownership()),
        "containers": [container(frame, copy)],
        "volumes": volumes(frame, helper),
    })
}

fn container(frame: &Frame<'_>, copy: &Copy) -> Value {
    let spec = &frame.cr.spec;
    let probe = |period: u32, failures: u32| json!({ "exec": { "command": [HELPER, "probe"] }, "periodSeconds": period, "timeoutSeconds": 5, "failureThreshold": failures });
    json!({
        "name": "postgres",
        "image": spec.image,
        "imagePullPolicy": frame.settings.image_pull_policy.as_str(),
        "command": [HELPER, "run"],
        "env": [
            { "name": "PGDATA", "value": format!("{}/data", spec.mount_path) },
            { "name": "PGHOST", "value": server_settings::RUN },
            { "name": "VDB_IDENTITY", "value": copy.identity },
        ],
        "ports": [{ "name": "postgres", "containerPort": SERVER_PORT, "protocol": "TCP" }],
        "resources": resources(frame),
        "securityContext": container_security(),
        "startupProbe": probe(1, STARTUP_PROBES),
        "readinessProbe": probe(5, 3),
        // Without it the server gets SIGTERM, a shutdown that waits for every session.
        "lifecycle": { "preStop": { "exec": { "command": [HELPER, "stop"] } } },
        "volumeMounts": [
            { "name": "data", "mountPath": spec.mount_path },
            { "name": "helper", "mountPath": "/vdb", "readOnly": true },
            { "name": "config", "mountPath": "/etc/vdb", "readOnly": true },
            { "name": "admin", "mountPath": "/etc/vdb-admin", "readOnly": true },
            { "name": "run", "mountPath": server_settings::RUN },
            { "name": "tmp", "mountPath": "/tmp" },
            { "name": "shm", "mountPath": "/dev/shm" },
        ],
    })
}

fn resources(frame: &Frame<'_>) -> Value {
    let resources = &frame.cr.spec.resources;
    let mut out = json!({});
    for (key, list) in [
        ("requests", &resources.requests),
        ("limits", &resources.limits),
    ] {
        for (name, quantity) in [("cpu", &list.cpu), ("memory", &list.memory)] {
            if let Some(quantity) = quantity {
                out[key][name] = json!(quantity.as_str());
            }
        }
    }
    out
}

fn volumes(frame: &Frame<'_>, helper: &str) -> Value {
    let names = Names::of(frame);
    let memory = |name: &str| json!({ "name": name, "emptyDir": { "medium": "Memory" } });
    json!([
        { "name": "data", "persistentVolumeClaim": { "claimName": names.claim().name } },
        { "name": "helper", "configMap": { "name": helper, "defaultMode": 0o555 } },
        { "name": "config", "configMap": { "name": names.config().name } },
        { "name": "admin", "secret": { "secretName": names.admin().name, "items": [{ "key": "verifier", "path": "verifier" }] } },
        memory("run"),
        memory("tmp"),
        memory("shm"),
    ])
}

/// The helper that a running server was started with.
pub fn helper_of(set: &StatefulSet) -> Option<&str> {
    let map = volume_of(set, "helper")?.config_map.as_ref()?;
    Some(map.name.as_str())
}

/// The claim of the data that a server runs on.
pub fn claim_of(set: &StatefulSet) -> Option<&str> {
    let claim = volume_of(set, "data")?.persistent_volume_claim.as_ref()?;
    Some(claim.claim_name.as_str())
}

fn volume_of<'a>(set: &'a StatefulSet, name: &str) -> Option<&'a Volume> {
    let pod = set.spec.as_ref()?.template.spec.as_ref()?;
    pod.volumes.as_ref()?.iter().find(|v| v.name == name)
}
