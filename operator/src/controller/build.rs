//! From an order to Kubernetes objects. Pure: no client, no clock, no randomness.

use std::collections::BTreeMap;

use dct::types::Vdb;
use environment::names::{ENVIRONMENT_LABEL, INSTANCE_LABEL, NAME_LABEL, PART_OF, PART_OF_LABEL};
use environment::status::Delivery;
use k8s_openapi::api::core::v1::{
    Capabilities, PodSecurityContext, SeccompProfile, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cluster::{Kind, Name, Object};
use crate::crd::{Key, PostgresVdb};
use crate::reason::Reason;
use crate::rules::matches;
use crate::settings::Settings;
use crate::tower::Host;

pub mod config_map;
pub mod endpoint;
pub mod hook_job;
pub mod secret;
pub mod server_settings;
pub mod service;
pub mod stateful_set;
pub mod volume;

/// Ties every object, cluster-wide ones included, to one resource.
pub const UID_LABEL: &str = "postgres-vdb-platform/uid";
/// Hash of what was applied: an object that carries the wanted one is not written again.
pub const APPLIED: &str = "postgres-vdb-platform/applied";
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
const BACKSTAGE_LABEL: &str = "backstage.io/kubernetes-id";
/// Port of the server in its pod; the Service's port is the order's.
pub const SERVER_PORT: u16 = 5432;

/// The helper that runs in the database's pod.
#[derive(Clone, Debug)]
pub struct Helper {
    pub bytes: Vec<u8>,
    pub hash: String,
}

impl Helper {
    pub fn new(bytes: Vec<u8>) -> Self {
        let hash = digest(&bytes)[..8].to_owned();
        Self { bytes, hash }
    }
}

/// What every builder needs.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    pub cr: &'a PostgresVdb,
    pub settings: &'a Settings,
    pub helper: &'a Helper,
    /// Data generation.
    pub generation: u32,
}

impl Frame<'_> {
    /// Whether the server runs on a target host. What was decided when the order was sent stays so.
    pub fn is_remote(&self) -> bool {
        let vdb = self.cr.status.as_ref().and_then(|s| s.vdb.as_ref());
        match vdb.filter(|vdb| vdb.intent.is_some()) {
            Some(vdb) => vdb.delivery == Some(Delivery::TargetHost),
            None => self.settings.remote.as_ref().is_some_and(|remote| {
                let reference = &self.cr.spec.source.reference;
                let mut sources = remote.sources.iter();
                sources.any(|pattern| matches(pattern, reference))
            }),
        }
    }

    /// On a target host an ordered Secret names a role of the source with its password; then nobody else gets in.
    pub fn has_own_role(&self) -> bool {
        self.is_remote() && self.cr.spec.database.password_secret_ref.is_some()
    }

    /// Who is to own the files that a pod reads.
    pub fn owner(&self) -> Option<String> {
        (!self.is_remote()).then(|| self.cr.spec.ownership().to_owned())
    }

    pub fn host(&self) -> Host {
        if self.is_remote() {
            Host::Target
        } else {
            Host::Pod
        }
    }

    /// What the virtual database offers, or why it is not used.
    pub fn offered(&self, vdb: &Vdb) -> Result<Copy, (Reason, String)> {
        if !self.is_remote() {
            let offered = volume::offered(&self.settings.export, vdb);
            return offered.map_err(|why| (Reason::ExportRefused, why));
        }
        let refuse = |why| (Reason::AddressRefused, why);
        match &self.settings.remote {
            Some(remote) => endpoint::offered(remote, vdb).map_err(refuse),
            None => Err(refuse(
                "its server is on a target host, and the operator's settings name none any more"
                    .to_owned(),
            )),
        }
    }
}

/// What the engine delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// A directory, or `address:port` of a server on a target host.
    pub export: String,
    /// VDB and timeflow: another copy of the same data has another identity.
    pub identity: String,
    pub data_as_of: Option<String>,
}

/// Names of one resource's objects.
#[derive(Clone, Debug)]
pub struct Names {
    key: Key,
    generation: u32,
    helper: String,
    remote: bool,
}

impl Names {
    pub fn of(frame: &Frame<'_>) -> Self {
        Self {
            key: frame.cr.key(),
            generation: frame.generation,
            helper: frame.helper.hash.clone(),
            remote: frame.is_remote(),
        }
    }

    fn here(&self, kind: Kind, name: String) -> Name {
        Name::new(kind, &self.key.namespace, name)
    }

    /// One per namespace and version of the helper.
    pub fn helper(&self) -> Name {
        self.here(Kind::ConfigMap, format!("vdb-init-{}", self.helper))
    }
    pub fn config(&self) -> Name {
        self.here(Kind::ConfigMap, format!("{}-config", self.key.name))
    }
    pub fn admin(&self) -> Name {
        self.here(Kind::Secret, format!("{}-admin", self.key.name))
    }
    pub fn credentials(&self) -> Name {
        self.here(Kind::Secret, format!("{}-credentials", self.key.name))
    }
    pub fn service(&self) -> Name {
        self.here(Kind::Service, self.key.name.clone())
    }
    pub fn claim(&self) -> Name {
        self.here(
            Kind::PersistentVolumeClaim,
            format!("{}-g{}", self.key.name, self.generation),
        )
    }
    pub fn volume(&self) -> Name {
        Name::new(
            Kind::PersistentVolume,
            "",
            format!(
                "{}-{}-g{}",
                self.key.namespace, self.key.name, self.generation
            ),
        )
    }
    /// The object that stands for the delivered data, and records what it is.
    pub fn record(&self) -> Name {
        if !self.remote {
            return self.volume();
        }
        let name = format!("{}-g{}", self.key.name, self.generation);
        self.here(Kind::EndpointSlice, name)
    }

    /// What goes with a data generation, in the order in which it goes.
    pub fn data(&self) -> Vec<(Name, &'static str)> {
        if self.remote {
            return vec![(self.record(), "the server's address")];
        }
        vec![(self.claim(), "the claim"), (self.volume(), "the volume")]
    }

    /// Everything that is read to decide about the present generation.
    pub fn all(&self) -> Vec<Name> {
        if self.remote {
            return vec![
                self.admin(),
                self.credentials(),
                self.service(),
                self.record(),
            ];
        }
        vec![
            self.helper(),
            self.config(),
            self.admin(),
            self.credentials(),
            self.service(),
            self.claim(),
            self.volume(),
            self.stateful_set(),
            self.pod(),
        ]
    }

    pub fn stateful_set(&self) -> Name {
        self.here(Kind::StatefulSet, self.key.name.clone())
    }
    pub fn pod(&self) -> Name {
        self.here(Kind::Pod, format!("{}-0", self.key.name))
    }
    pub fn job(&self, name: String) -> Name {
        self.here(Kind::Job, name)
    }
}

/// Name of the virtual database: unique in its group, because the uid is.
pub fn vdb_name(cr: &PostgresVdb) -> String {
    let uid: String = cr.uid().chars().filter(|c| *c != '-').take(8).collect();
    let key = cr.key();
    format!("{}-{}-{uid}", key.namespace, key.name)
}

pub fn labels(cr: &PostgresVdb, component: &str) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<_, _> = [
        (NAME_LABEL, "postgres-vdb"),
        (INSTANCE_LABEL, cr.key().name.as_str()),
        (PART_OF_LABEL, PART_OF),
        (COMPONENT_LABEL, component),
        (UID_LABEL, cr.uid()),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    for key in [ENVIRONMENT_LABEL, BACKSTAGE_LABEL] {
        if let Some(value) = cr.metadata.labels.as_ref().and_then(|l| l.get(key)) {
            labels.insert(key.to_owned(), value.clone());
        }
    }
    labels
}

/// What finds the server's pod.
fn selector(cr: &PostgresVdb) -> BTreeMap<String, String> {
    [
        (INSTANCE_LABEL, cr.key().name.as_str()),
        (COMPONENT_LABEL, "database"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Metadata of an object beside the resource; it goes with it. `blockOwnerDeletion` stays unset: a foreground
/// deletion must not wait for what the finalizer waits for.
pub fn meta(cr: &PostgresVdb, name: &Name, component: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.name.clone()),
        namespace: Some(name.namespace.clone()).filter(|n| !n.is_empty()),
        labels: Some(labels(cr, component)),
        owner_references: (name.kind != Kind::PersistentVolume).then(|| vec![owner(cr)]),
        ..ObjectMeta::default()
    }
}

pub fn owner(cr: &PostgresVdb) -> OwnerReference {
    OwnerReference {
        api_version: format!(
            "{}/{}",
            environment::names::GROUP,
            environment::names::VERSION
        ),
        kind: environment::names::KIND.to_owned(),
        name: cr.key().name,
        uid: cr.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// Parses a manifest written as JSON into its type.
fn typed<T: serde::de::DeserializeOwned>(manifest: Value) -> T {
    serde_json::from_value(manifest).expect("builders write manifests of the type that they return")
}

/// Bytes that hold nearly every object as JSON: a text that grows is copied again and again.
const MOST: usize = 4096;

/// Stamps the object with the hash of what it says.
pub fn stamped(object: impl Into<Object>) -> Object {
    let mut object = object.into();
    let mut text = Vec::with_capacity(MOST);
    serde_json::to_writer(&mut text, &object).expect("an object is JSON");
    let hash = digest(&text)[..16].to_owned();
    object
        .meta_mut()
        .annotations
        .get_or_insert_default()
        .insert(APPLIED.to_owned(), hash);
    object
}

pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Restricted pod security, as the user that owns the data. No fsGroup: it would touch every file and make the data
/// directory group-writable, which the server refuses.
fn pod_security(owner: &str) -> PodSecurityContext {
    let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
    let number = |text: &str| text.parse::<i64>().unwrap_or(999);
    PodSecurityContext {
        run_as_user: Some(number(user)),
        run_as_group: Some(number(group)),
        run_as_non_root: Some(true),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}
