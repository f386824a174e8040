//! The environments' cluster as Argo CD sees it, where the sidecar runs in another one. The signing key and the lease
//! stay in the sidecar's own cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use environment::EnvironmentName;
use environment::names::{GROUP, KIND, VERSION};
use futures::{StreamExt as _, TryStreamExt as _};

use super::kubernetes::read;
use super::{Changes, Cluster, Error, LiveBookmark, LiveDatabase, NamespaceState, NewBookmark};
use crate::argocd::{Application, Object};
use crate::serve::app::ArgoCd;

/// A list of all environments must not be a thousand calls at once.
const CALLS_AT_ONCE: usize = 8;

pub(crate) struct ThroughArgoCd {
    argocd: Arc<dyn ArgoCd>,
    own: Arc<dyn Cluster>,
}

impl ThroughArgoCd {
    pub(crate) fn new(argocd: Arc<dyn ArgoCd>, own: Arc<dyn Cluster>) -> Self {
        Self { argocd, own }
    }

    async fn of(&self, application: &Application) -> Result<Vec<LiveDatabase>, Error> {
        let Ok(environment) = EnvironmentName::parse(&application.metadata.name) else {
            return Ok(Vec::new());
        };
        let namespace = environment.namespace();
        let mut found = Vec::new();
        for name in &application.status.databases {
            let object = Object {
                group: GROUP,
                version: VERSION,
                kind: KIND,
                namespace: &namespace,
                name,
            };
            let live = self
                .argocd
                .resource(environment.as_str(), object)
                .await?
                .and_then(read);
            found.extend(live.filter(|database| database.namespace == namespace));
        }
        Ok(found)
    }
}

#[async_trait]
impl Cluster for ThroughArgoCd {
    async fn databases(&self, environment: &EnvironmentName) -> Result<Vec<LiveDatabase>, Error> {
        match self.argocd.application(environment.as_str()).await? {
            Some(application) => self.of(&application).await,
            None => Ok(Vec::new()),
        }
    }

    async fn all_databases(&self) -> Result<Vec<LiveDatabase>, Error> {
        let applications = self.argocd.applications().await?;
        let found: Vec<_> = futures::stream::iter(applications)
            .map(|application| async move { self.of(&application).await })
            .buffer_unordered(CALLS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn is_read_one_by_one(&self) -> bool {
        true
    }

    fn watch(&self) -> Changes {
        futures::stream::pending().boxed()
    }

    async fn namespaces(&self) -> Result<BTreeMap<String, NamespaceState>, Error> {
        let applications = self.argocd.applications().await?;
        let mut found = BTreeMap::new();
        for application in applications {
            if let Ok(environment) = EnvironmentName::parse(&application.metadata.name) {
                let state = match application.metadata.deletion_timestamp {
                    Some(_) => NamespaceState::Terminating,
                    None => NamespaceState::Active,
                };
                found.insert(environment.namespace(), state);
            }
        }
        Ok(found)
    }

    /// An Application outlives what it made: its finalizer waits for the namespace to end.
    async fn namespace(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<NamespaceState>, Error> {
        let namespace = environment.namespace();
        let object = Object {
            group: "",
            version: "v1",
            kind: "Namespace",
            namespace: "",
            name: &namespace,
        };
        let found = self.argocd.resource(environment.as_str(), object).await?;
        Ok(found.map(
            |namespace| match namespace.pointer("/metadata/deletionTimestamp") {
                Some(_) => NamespaceState::Terminating,
                None => NamespaceState::Active,
            },
        ))
    }

    async fn bookmark(&self, _: &EnvironmentName, _: &str) -> Result<Option<LiveBookmark>, Error> {
        Err(Error::Elsewhere)
    }

    async fn keep(&self, _: &EnvironmentName, _: &NewBookmark) -> Result<LiveBookmark, Error> {
        Err(Error::Elsewhere)
    }

    async fn signing_key(&self, new: &str) -> Result<String, Error> {
        self.own.signing_key(new).await
    }

    async fn lead(&self, identity: &str) -> Result<bool, Error> {
        self.own.lead(identity).await
    }

    async fn resign(&self, identity: &str) -> Result<(), Error> {
        self.own.resign(identity).await
    }
}
