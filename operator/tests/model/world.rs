//! What the operator acts on: the resource, the objects around it, the server's pod and the tower. Small, and in a
//! normal form: equal situations are equal values, however they came about.

use std::collections::BTreeMap;
use std::sync::Arc;

use dct::types::JobStatus;
use environment::names::INSTANCE_LABEL;
use environment::status::Vdb as Recorded;
use k8s_openapi::api::core::v1::Pod as KubePod;
use operator::cluster::{Kind, Name, Object};
use operator::controller::build::UID_LABEL;
use operator::crd::PostgresVdb;
use serde_json::json;

use super::table::{self, NAMES, OBJECTS, RESOURCES};
use super::tower::Tower;

pub(crate) const NAMESPACE: &str = "postgres-vdbs-dev";
pub(crate) const NAME: &str = "dev-vdb";
pub(crate) const UID: &str = "0a1b2c3d-4e5f";

/// What must never happen. The first one is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Broken {
    /// A virtual database was ordered though the resource has or had one.
    SecondVdb,
    /// The tower was told to change something after the finalizer was gone.
    WriteAfterRelease,
    /// The data of a resource that nobody deletes was deleted.
    LivingDataDeleted,
    /// The tower was told to change the data while a server runs on it.
    ChangedUnderAServer,
    /// Two servers on one directory, or one on a directory that the tower does not offer.
    WrongDirectory,
    /// Ready, though the generation that the status names did not answer.
    ReadyWithoutProof,
    /// A pass that began in a deletion created something.
    CreatedInADeletion,
    /// More volumes than the data before and the new data; the data that came back from a bookmark has one of its own.
    TooManyVolumes,
    /// The operator waits for a change while there is something to do.
    SleepsForEver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PodPhase {
    Starting,
    Running,
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pod {
    pub(crate) uid: u8,
    /// Data generation of its claim.
    pub(crate) generation: u8,
    pub(crate) phase: PodPhase,
    pub(crate) leaving: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) cr: Option<u32>,
    /// Changes of the resource since the operator's pass began.
    pub(crate) revision: u8,
    pub(crate) objects: BTreeMap<u32, u32>,
    pub(crate) pod: Option<Pod>,
    pub(crate) tower: Tower,
    /// The ledger names the virtual database.
    pub(crate) listed: bool,
    pub(crate) released: bool,
    /// Run and data generation of the server that answered the last query.
    pub(crate) proved: Option<(u8, u8)>,
    pub(crate) broken: Option<Broken>,
}

pub(crate) fn here(kind: Kind, name: impl Into<String>) -> Name {
    let namespace = if kind == Kind::PersistentVolume {
        ""
    } else {
        NAMESPACE
    };
    Name::new(kind, namespace, name)
}

impl World {
    pub(crate) fn new(cr: PostgresVdb) -> Self {
        Self {
            cr: Some(table::resource(cr)),
            revision: 0,
            objects: BTreeMap::new(),
            pod: None,
            tower: Tower::default(),
            listed: false,
            released: false,
            proved: None,
            broken: None,
        }
    }

    pub(crate) fn breaks(&mut self, what: Broken) {
        self.broken.get_or_insert(what);
    }

    pub(crate) fn resource(&self) -> Option<Arc<PostgresVdb>> {
        self.cr.map(|number| RESOURCES.at(number))
    }

    pub(crate) fn is_deleting(&self) -> bool {
        self.resource().is_none_or(|cr| cr.is_deleting())
    }

    pub(crate) fn recorded(&self) -> Recorded {
        let cr = self.resource();
        let vdb = cr.as_ref().and_then(|cr| cr.status.as_ref()?.vdb.clone());
        vdb.unwrap_or_default()
    }

    /// Somebody changes the resource.
    pub(crate) fn change(&mut self, with: impl FnOnce(&mut PostgresVdb)) {
        if let Some(cr) = self.resource() {
            let mut cr = (*cr).clone();
            with(&mut cr);
            self.cr = Some(table::resource(cr));
            self.revision += 1;
        }
    }

    pub(crate) fn object(&self, name: &Name) -> Option<Arc<Object>> {
        let number = self.objects.get(&table::name(name))?;
        Some(OBJECTS.at(*number))
    }

    pub(crate) fn put(&mut self, object: Object) {
        let name = table::name(&Name::of(&object));
        self.objects.insert(name, table::object(object));
    }

    /// The data before comes back, or came back, from its bookmark.
    pub(crate) fn is_rolled_back(&self) -> bool {
        let cr = self.resource();
        let refresh = cr
            .as_ref()
            .and_then(|cr| cr.status.as_ref()?.refresh.as_ref());
        refresh.is_some_and(|r| r.rollback)
    }

    /// A volume that is made of the first directory, whichever it is to be.
    pub(crate) fn mix_up(&self, object: &mut Object) {
        if let (Object::PersistentVolume(volume), Some(first)) = (object, self.export(1))
            && let Some(local) = Arc::make_mut(volume)
                .spec
                .as_mut()
                .and_then(|s| s.local.as_mut())
        {
            local.path = first;
        }
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        let of_kind = |number: &&u32| NAMES.at(**number).kind == kind;
        self.objects.keys().filter(of_kind).count()
    }

    /// Data generation that the set's pod is to have; `None`: it is to have none.
    fn wanted(&self) -> Option<u8> {
        let set = self.object(&here(Kind::StatefulSet, NAME))?;
        let Object::StatefulSet(set) = &*set else {
            return None;
        };
        let spec = set.spec.as_ref().filter(|s| s.replicas == Some(1))?;
        let volumes = spec.template.spec.as_ref()?.volumes.as_ref()?;
        let data = volumes.iter().find(|v| v.name == "data")?;
        let claim = &data.persistent_volume_claim.as_ref()?.claim_name;
        claim.rsplit_once("-g")?.1.parse().ok()
    }

    fn mountable(&self, generation: u8) -> bool {
        let claim = here(Kind::PersistentVolumeClaim, format!("{NAME}-g{generation}"));
        self.object(&claim).is_some() && self.export(generation).is_some()
    }

    /// Directory of a data generation's volume.
    pub(crate) fn export(&self, generation: u8) -> Option<String> {
        let name = format!("{NAMESPACE}-{NAME}-g{generation}");
        let volume = self.object(&here(Kind::PersistentVolume, name))?;
        let Object::PersistentVolume(volume) = &*volume else {
            return None;
        };
        Some(volume.spec.as_ref()?.local.as_ref()?.path.clone())
    }

    /// The set's controller makes a pod where one is wanted.
    pub(crate) fn can_make_pod(&self) -> bool {
        self.pod.is_none() && self.wanted().is_some_and(|g| self.mountable(g))
    }

    /// `taken`: numbers that somebody still knows an earlier pod by.
    pub(crate) fn make_pod(&mut self, taken: &[String]) {
        let Some(generation) = self.wanted() else {
            return;
        };
        let free = |n: &u8| !taken.contains(&pod_uid(*n));
        let uid = (1..u8::MAX).find(free).unwrap();
        self.pod = Some(Pod {
            uid,
            generation,
            phase: PodPhase::Starting,
            leaving: false,
        });
        if self.tower.offered() != self.export(generation) {
            self.breaks(Broken::WrongDirectory);
        }
    }

    pub(crate) fn pod_leaves(&self) -> bool {
        self.pod
            .is_some_and(|pod| pod.leaving || self.wanted() != Some(pod.generation))
    }

    pub(crate) fn pod_becomes(&mut self, phase: PodPhase) {
        if let Some(pod) = &mut self.pod {
            pod.phase = phase;
        }
    }

    pub(crate) fn pod_ends(&mut self) {
        self.pod = None;
    }

    /// The pod as the API server shows it.
    pub(crate) fn shown_pod(&self) -> Option<Object> {
        let pod = self.pod?;
        let report =
            json!({ "reason": "VersionMismatch", "message": "the data is of PostgreSQL 17" })
                .to_string();
        let container = |ready: bool, state: serde_json::Value| json!({ "name": "postgres", "image": "i", "imageID": "", "ready": ready, "restartCount": 0, "state": state });
        let status = match pod.phase {
            PodPhase::Starting => container(false, json!({ "running": {} })),
            PodPhase::Running => container(true, json!({ "running": {} })),
            PodPhase::Broken => container(
                false,
                json!({ "terminated": { "exitCode": 3, "message": report } }),
            ),
        };
        let deleted = pod.leaving.then(|| super::time::now().to_string());
        let made: KubePod = serde_json::from_value(json!({
            "metadata": { "name": format!("{NAME}-0"), "namespace": NAMESPACE, "uid": pod_uid(pod.uid), "deletionTimestamp": deleted,
                "labels": { INSTANCE_LABEL: NAME, UID_LABEL: UID } },
            "spec": { "nodeName": "node1", "containers": [] }, "status": { "containerStatuses": [status] },
        }))
        .unwrap();
        Some(made.into())
    }

    /// The resource is gone: what it owned goes with it.
    pub(crate) fn collect(&mut self) {
        self.objects.retain(|_, number| {
            let object = OBJECTS.at(*number);
            object
                .meta()
                .owner_references
                .as_ref()
                .is_none_or(Vec::is_empty)
        });
    }

    /// The data that the present pod serves, if it serves.
    pub(crate) fn serving(&self) -> Option<Pod> {
        self.pod.filter(|pod| {
            pod.phase == PodPhase::Running
                && !pod.leaving
                && self.tower.offered() == self.export(pod.generation)
        })
    }

    /// Nobody holds an older revision of the resource any more, and only what can still be asked for is kept.
    pub(crate) fn settle(&mut self) {
        self.revision = 0;
        let recorded = self.recorded();
        let job = recorded.job.map(|job| job.id);
        self.tower.prune(job.as_deref(), recorded.id.is_some());
    }
}

pub(crate) fn pod_uid(number: u8) -> String {
    format!("pod-{number}")
}

/// How a job ends, and whether it had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Completed,
    Failed,
    /// The tower gave up watching, and it was done all the same.
    Abandoned,
    /// The tower gave up, and nothing was done.
    TimedOut,
}

impl End {
    pub(crate) fn status(self) -> JobStatus {
        match self {
            Self::Completed => JobStatus::Completed,
            Self::Failed => JobStatus::Failed,
            Self::Abandoned => JobStatus::Abandoned,
            Self::TimedOut => JobStatus::Timedout,
        }
    }

    pub(crate) fn has_effect(self) -> bool {
        matches!(self, Self::Completed | Self::Abandoned)
    }
}
