//! Port to Kubernetes: the few reads and writes that the controller needs. Objects are written by server-side apply
//! only, with one field manager.

use std::sync::Arc;

use async_trait::async_trait;
use environment::PostgresVdbStatus;
use environment::actions::{ActionStatus, Kind as ActionKind};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ObjectMeta;
use serde::Serialize;

use crate::actions::Action;
use crate::crd::{Key, PostgresVdb};
use crate::reason::Reason;

mod kubernetes;
pub use kubernetes::{Kubernetes, LEDGER};

/// Owner of every field that the operator writes.
pub const MANAGER: &str = "vdb-operator";

macro_rules! kinds {
    ($($kind:ident),* $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($kind,)* }

        impl Kind {
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind),)* }
            }
        }

        /// One object of a kind that the operator reads or writes. A copy costs nothing.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object { $($kind(Arc<$kind>),)* }

        impl Serialize for Object {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $(Self::$kind(object) => object.as_ref().serialize(serializer),)* }
            }
        }

        impl Object {
            pub fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind,)* }
            }

            pub fn meta(&self) -> &ObjectMeta {
                match self { $(Self::$kind(object) => &object.metadata,)* }
            }

            pub fn meta_mut(&mut self) -> &mut ObjectMeta {
                match self { $(Self::$kind(object) => &mut Arc::make_mut(object).metadata,)* }
            }
        }

        $(impl From<$kind> for Object {
            fn from(object: $kind) -> Self {
                Self::$kind(Arc::new(object))
            }
        })*
    };
}

kinds!(
    ConfigMap,
    Secret,
    Service,
    PersistentVolume,
    PersistentVolumeClaim,
    EndpointSlice,
    StatefulSet,
    Pod,
    Job
);

impl Object {
    pub fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.meta().labels.as_ref()?.get(key).map(String::as_str)
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.meta()
            .annotations
            .as_ref()?
            .get(key)
            .map(String::as_str)
    }
}

/// Names one object; cluster-wide kinds have an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

impl Name {
    pub fn new(kind: Kind, namespace: &str, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.into(),
        }
    }

    pub fn of(object: &Object) -> Self {
        Self::new(
            object.kind(),
            object.meta().namespace.as_deref().unwrap_or_default(),
            object.name(),
        )
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

/// How an object ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In its own time; what it owns follows in the background.
    Graceful,
    /// The object alone, at once: for a pod whose volume will never unmount.
    Forced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Somebody else was faster.
    Conflict,
    NotFound,
    Forbidden,
    /// Refused for what it says.
    Rejected,
    Unreachable,
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("{call}: {message}")]
pub struct Error {
    pub kind: ErrorKind,
    pub call: String,
    pub message: String,
}

/// A virtual database that outlived its resource.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    pub uid: String,
    pub namespace: String,
    pub resource: String,
    pub vdb_id: Option<String>,
    pub vdb_name: Option<String>,
    pub at: String,
    pub why: String,
    /// It is to stay: the sweep leaves it alone.
    pub kept: bool,
}

/// How a hook's Job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Running,
    Succeeded,
    Failed,
}

#[derive(Clone, Debug)]
pub struct HookRun {
    pub job: String,
    pub progress: Progress,
    /// Why it was ended, where that was not its own doing: then its pod may be gone, and its log with it.
    pub ended: Option<String>,
}

impl HookRun {
    /// What the Job says of itself.
    pub fn of(job: &Job) -> Self {
        let holds = |kind: &str| {
            let conditions = job.status.as_ref().and_then(|s| s.conditions.as_ref());
            conditions.is_some_and(|all| all.iter().any(|c| c.type_ == kind && c.status == "True"))
        };
        let progress = match (
            holds("Complete") || holds("SuccessCriteriaMet"),
            holds("Failed"),
        ) {
            (true, _) => Progress::Succeeded,
            (_, true) => Progress::Failed,
            _ => Progress::Running,
        };
        let conditions = job
            .status
            .iter()
            .flat_map(|s| s.conditions.iter().flatten());
        let ended = conditions
            .filter(|c| c.type_ == "Failed" && c.status == "True")
            .find(|c| c.reason.as_deref() != Some("BackoffLimitExceeded"));
        let deadline = job.spec.as_ref().and_then(|s| s.active_deadline_seconds);
        let ended = ended.map(|condition| match (condition.reason.as_deref(), deadline) {
            (Some("DeadlineExceeded"), Some(seconds)) => {
                format!("it was ended at its deadline of {seconds} s")
            }
            _ => condition.message.clone().unwrap_or_default(),
        });
        Self {
            job: job.metadata.name.clone().unwrap_or_default(),
            progress,
            ended,
        }
    }
}

/// A change of reason, told to people.
#[derive(Clone, Debug)]
pub struct Notice {
    pub warning: bool,
    /// It may come again and again, and is counted then under the words in which it came first.
    pub counted: bool,
    pub reason: Reason,
    pub note: String,
}

#[async_trait]
pub trait Cluster: Send + Sync {
    /// Whether this process may act, as far as it knows without asking: nobody else can hold the lease yet. Where there
    /// is no lease, it may.
    fn leads(&self) -> bool {
        true
    }
    /// Never from a cache: what is decided from it cannot be taken back.
    async fn vdb(&self, key: &Key) -> Result<Option<PostgresVdb>, Error>;
    /// The same for the next pass of one visit: the answer to this process's own write just before is as good as a read.
    async fn vdb_again(&self, key: &Key) -> Result<Option<PostgresVdb>, Error> {
        self.vdb(key).await
    }
    /// The visit is over: nobody asks again.
    fn leave(&self, _key: &Key) {}
    /// Adds or removes the finalizer; a conflict if the resource has changed since it was read.
    async fn set_finalizer(&self, cr: &PostgresVdb, present: bool) -> Result<(), Error>;
    /// A conflict if the resource has changed since it was read: this is the fence between two operators.
    async fn write_status(&self, cr: &PostgresVdb, status: &PostgresVdbStatus)
    -> Result<(), Error>;
    async fn action(&self, kind: ActionKind, key: &Key) -> Result<Option<Action>, Error>;
    /// All actions of a namespace.
    async fn actions(&self, namespace: &str) -> Result<Vec<Action>, Error>;
    /// A conflict if the action has changed since it was read.
    async fn write_action_status(
        &self,
        action: &Action,
        status: &ActionStatus,
    ) -> Result<(), Error>;
    async fn object(&self, name: &Name) -> Result<Option<Object>, Error>;
    /// Hook jobs of one resource.
    async fn hook_runs(&self, key: &Key) -> Result<Vec<HookRun>, Error>;
    async fn apply(&self, object: &Object) -> Result<(), Error>;
    /// The same, with the object as it stands afterwards; `None`: read it.
    async fn applied(&self, object: &Object) -> Result<Option<Object>, Error> {
        self.apply(object).await.map(|()| None)
    }
    /// Done as well if it is gone, or another object of this name has taken its place.
    async fn delete(&self, name: &Name, uid: &str, ending: Ending) -> Result<(), Error>;
    /// The last lines of a job's newest pod.
    async fn job_log(&self, namespace: &str, job: &str) -> Result<String, Error>;
    async fn namespace_ends(&self, namespace: &str) -> Result<bool, Error>;
    /// What a namespace says about who may order from its copies.
    async fn shared_with(&self, namespace: &str) -> Result<Option<String>, Error>;
    async fn cluster_id(&self) -> Result<String, Error>;
    async fn record_orphan(&self, orphan: &Orphan) -> Result<(), Error>;
    async fn notify(&self, cr: &PostgresVdb, notice: &Notice) -> Result<(), Error>;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_that_was_ended_says_why_and_one_that_failed_by_itself_has_its_log() {
        let of = |reason: &str| {
            let failed = json!({ "type": "Failed", "status": "True", "reason": reason, "message": "as it says" });
            let job = json!({
                "metadata": { "name": "j" },
                "spec": { "activeDeadlineSeconds": 8, "template": {} },
                "status": { "conditions": [failed] },
            });
            HookRun::of(&serde_json::from_value(job).unwrap()).ended
        };
        assert_eq!(of("BackoffLimitExceeded"), None);
        assert_eq!(
            of("DeadlineExceeded").as_deref(),
            Some("it was ended at its deadline of 8 s")
        );
        assert_eq!(of("PodFailurePolicy").as_deref(), Some("as it says"));
    }
}
