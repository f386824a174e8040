//! What the sidecar reads from Kubernetes, and what it keeps there: its signing key, its lease, and bookmarks.
//!
//! Secrets of environments are never read: nobody gets a password from here.

mod kubernetes;
mod through_argocd;

use std::collections::BTreeMap;

use async_trait::async_trait;
use environment::actions::{ActionStatus, SnapshotSpec};
use environment::names::{OWNER, REQUEST_ID, REQUESTED_BY};
use environment::{EnvironmentName, PostgresVdbStatus};
use futures::stream::BoxStream;
use serde_json::Value;

pub(crate) use crate::bookmark::NewBookmark;
pub(crate) use kubernetes::Kubernetes;
pub(crate) use through_argocd::ThroughArgoCd;

use crate::argocd;

/// A `PostgresVDB` as it is in the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LiveDatabase {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) generation: i64,
    pub(crate) created_at: Option<String>,
    pub(crate) deleting: bool,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) spec: Value,
    pub(crate) status: PostgresVdbStatus,
}

impl LiveDatabase {
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.annotations.get(REQUEST_ID).map(String::as_str)
    }

    pub(crate) fn requested_by(&self) -> Option<&str> {
        self.annotations.get(REQUESTED_BY).map(String::as_str)
    }

    pub(crate) fn owner(&self) -> Option<&str> {
        self.annotations.get(OWNER).map(String::as_str)
    }

    /// A text of the spec, by JSON pointer.
    pub(crate) fn spec_text(&self, pointer: &str) -> Option<&str> {
        self.spec.pointer(pointer)?.as_str()
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.deleting && self.status.is_ready(self.generation)
    }
}

/// A `PostgresSnapshot` that is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LiveBookmark {
    pub(crate) spec: SnapshotSpec,
    pub(crate) status: ActionStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamespaceState {
    Active,
    Terminating,
}

/// What a watch of all databases says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Everything is listed (again); what was known before does not hold any more.
    Begin,
    Listed(Box<LiveDatabase>),
    /// All were listed; from here on what changes is said.
    Complete,
    Is(Box<LiveDatabase>),
    Gone {
        namespace: String,
        name: String,
    },
}

pub(crate) type Changes = BoxStream<'static, Result<Change, Error>>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("kubernetes does not answer or refuses: {what}")]
    Kubernetes {
        what: &'static str,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("the watch of postgresvdbs broke")]
    Watch {
        #[source]
        source: Box<kube::runtime::watcher::Error>,
    },
    #[error("no access to kubernetes")]
    Access {
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("argo cd does not give what it has in the cluster")]
    ArgoCd {
        #[from]
        source: argocd::Error,
    },
    #[error("the API server refuses the bookmark: {said}")]
    Refused { said: String },
    #[error("the sidecar may not keep bookmarks in namespace {namespace}: {said}")]
    Forbidden { said: String, namespace: String },
    #[error("the cluster does not know the kind postgressnapshots.actions.delphix.com")]
    NoKind,
    #[error("bookmarks are kept beside the databases, and these run in another cluster")]
    Elsewhere,
    #[error("secret {name} has no key {key}")]
    Key {
        name: &'static str,
        key: &'static str,
    },
}

impl From<Error> for crate::serve::error::ApiError {
    fn from(error: Error) -> Self {
        let hint = match &error {
            Error::Refused { .. } => return Self::input(error.to_string()),
            Error::Elsewhere => {
                return Self::conflict(format!("{error}; create a PostgresSnapshot there"));
            }
            Error::Forbidden { .. } => {
                "sync the environment, so that the chart binds postgres-vdb-sidecar in it"
            }
            Error::NoKind => "update the platform's chart, which brings the definition",
            Error::ArgoCd { source } => source.hint(),
            _ => "check the rights of ServiceAccount vdb-sidecar",
        };
        Self::down(&error, hint)
    }
}

#[async_trait]
pub(crate) trait Cluster: Send + Sync {
    /// The databases of one environment.
    async fn databases(&self, environment: &EnvironmentName) -> Result<Vec<LiveDatabase>, Error>;
    /// The databases of all environments.
    async fn all_databases(&self) -> Result<Vec<LiveDatabase>, Error>;
    /// Whether each environment is asked for by itself: there is no watch, and a list is a call for each of them.
    fn is_read_one_by_one(&self) -> bool {
        false
    }
    /// The databases of all environments as they change. Goes on by itself after an error.
    fn watch(&self) -> Changes;
    /// The namespaces of all environments.
    async fn namespaces(&self) -> Result<BTreeMap<String, NamespaceState>, Error>;
    async fn namespace(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<NamespaceState>, Error>;
    /// The bookmark of this name in the environment's namespace.
    async fn bookmark(
        &self,
        environment: &EnvironmentName,
        name: &str,
    ) -> Result<Option<LiveBookmark>, Error>;
    /// The bookmark of this name: the one that there is, or a new one.
    async fn keep(
        &self,
        environment: &EnvironmentName,
        wanted: &NewBookmark,
    ) -> Result<LiveBookmark, Error>;
    /// The signing key as PEM: the one that is kept, or this one if there is none yet.
    async fn signing_key(&self, new: &str) -> Result<String, Error>;
    /// Takes or renews the lease; whether this replica holds it now.
    async fn lead(&self, identity: &str) -> Result<bool, Error>;
    /// Gives the lease back, so that the next replica need not wait for its end.
    async fn resign(&self, identity: &str) -> Result<(), Error>;
}
