//! The server's pod. The template names the claim itself, so that another data generation is a change of one name.

use std::collections::BTreeMap;

use environment::quantity::Quantity as Amount;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, ExecAction,
    KeyToPath, Lifecycle, LifecycleHandler, PersistentVolumeClaimVolumeSource, PodSpec,
    PodTemplateSpec, Probe, ResourceRequirements, SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::{
    Copy, Frame, Names, SERVER_PORT, container_security, digest, labels, meta, pod_security,
    selector, server_settings,
};

/// Annotation that restarts the pod when its settings change.
const CONFIG_HASH: &str = "postgres-vdb-platform/config";
/// A fast shutdown writes one checkpoint; this is time enough for a large one on a slow volume.
const GRACE_SECONDS: i64 = 120;
/// Recovery may be long, and a killed recovery starts over: a day of one-second probes.
const STARTUP_PROBES: i32 = 86_400;
const HELPER: &str = "/vdb/vdb-init";

pub fn stateful_set(frame: &Frame<'_>, copy: &Copy, replicas: i32, helper: &str) -> StatefulSet {
    let name = Names::of(frame).stateful_set();
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
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(frame.cr, "database")),
            annotations: Some([(CONFIG_HASH.to_owned(), config)].into()),
            ..Default::default()
        }),
        spec: Some(pod(frame, copy, helper)),
    };
    StatefulSet {
        metadata: meta(frame.cr, &name, "database"),
        spec: Some(StatefulSetSpec {
            replicas: Some(replicas),
            service_name: Some(name.name),
            selector: LabelSelector {
                match_labels: Some(selector(frame.cr)),
                ..Default::default()
            },
            template,
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn pod(frame: &Frame<'_>, copy: &Copy, helper: &str) -> PodSpec {
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(pod_security(frame.cr.spec.ownership())),
        containers: vec![container(frame, copy)],
        volumes: Some(volumes(frame, helper)),
        ..Default::default()
    }
}

fn container(frame: &Frame<'_>, copy: &Copy) -> Container {
    let spec = &frame.cr.spec;
    let env = |name: &str, value: String| EnvVar {
        name: name.to_owned(),
        value: Some(value),
        ..Default::default()
    };
    Container {
        name: "postgres".to_owned(),
        image: Some(spec.image.clone()),
        image_pull_policy: Some(frame.settings.image_pull_policy.as_str().to_owned()),
        command: command("run").command,
        env: Some(vec![
            env("PGDATA", format!("{}/data", spec.mount_path)),
            env("PGHOST", server_settings::RUN.to_owned()),
            env("VDB_IDENTITY", copy.identity.clone()),
        ]),
        ports: Some(vec![ContainerPort {
            name: Some("postgres".to_owned()),
            container_port: SERVER_PORT.into(),
            protocol: Some("TCP".to_owned()),
            ..Default::default()
        }]),
        resources: Some(resources(frame)),
        security_context: Some(container_security()),
        startup_probe: Some(probe(1, STARTUP_PROBES)),
        readiness_probe: Some(probe(5, 3)),
        // Without it the server gets SIGTERM, a shutdown that waits for every session.
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                exec: Some(command("stop")),
                ..Default::default()
            }),
            ..Default::default()
        }),
        volume_mounts: Some(vec![
            mount("data", &spec.mount_path, None),
            mount("helper", "/vdb", Some(true)),
            mount("config", "/etc/vdb", Some(true)),
            mount("admin", "/etc/vdb-admin", Some(true)),
            mount("run", server_settings::RUN, None),
            mount("tmp", "/tmp", None),
            mount("shm", "/dev/shm", None),
        ]),
        ..Default::default()
    }
}

/// The helper with one word for what it is to do.
fn command(word: &str) -> ExecAction {
    ExecAction {
        command: Some(vec![HELPER.to_owned(), word.to_owned()]),
    }
}

fn probe(period: i32, failures: i32) -> Probe {
    Probe {
        exec: Some(command("probe")),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Default::default()
    }
}

fn mount(volume: &str, path: &str, read_only: Option<bool>) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only,
        ..Default::default()
    }
}

fn resources(frame: &Frame<'_>) -> ResourceRequirements {
    let resources = &frame.cr.spec.resources;
    let list = |cpu: &Option<Amount>, memory: &Option<Amount>| {
        let named = [("cpu", cpu), ("memory", memory)];
        let given = named.into_iter().filter_map(|(name, amount)| {
            let amount = amount.as_ref()?.as_str().to_owned();
            Some((name.to_owned(), Quantity(amount)))
        });
        Some(given.collect::<BTreeMap<_, _>>()).filter(|given| !given.is_empty())
    };
    ResourceRequirements {
        requests: list(&resources.requests.cpu, &resources.requests.memory),
        limits: list(&resources.limits.cpu, &resources.limits.memory),
        ..Default::default()
    }
}

fn volumes(frame: &Frame<'_>, helper: &str) -> Vec<Volume> {
    let names = Names::of(frame);
    let volume = |name: &str| Volume {
        name: name.to_owned(),
        ..Default::default()
    };
    let memory = |name: &str| Volume {
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".to_owned()),
            ..Default::default()
        }),
        ..volume(name)
    };
    let config_map = |name: &str, map: String, mode: Option<i32>| Volume {
        config_map: Some(ConfigMapVolumeSource {
            name: map,
            default_mode: mode,
            ..Default::default()
        }),
        ..volume(name)
    };
    vec![
        Volume {
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: names.claim().name,
                ..Default::default()
            }),
            ..volume("data")
        },
        config_map("helper", helper.to_owned(), Some(0o555)),
        config_map("config", names.config().name, None),
        Volume {
            secret: Some(SecretVolumeSource {
                secret_name: Some(names.admin().name),
                items: Some(vec![KeyToPath {
                    key: "verifier".to_owned(),
                    path: "verifier".to_owned(),
                    ..Default::default()
                }]),
                ..Default::default()
            }),
            ..volume("admin")
        },
        memory("run"),
        memory("tmp"),
        memory("shm"),
    ]
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
