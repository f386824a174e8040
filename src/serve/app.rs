//! What handlers and background work share: the ports to the outside world, and nothing that must survive a restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use environment::capabilities::Capabilities;
use tokio::sync::{Mutex, watch};

use crate::argocd;
use crate::forge::{Error as ForgeError, Forge, Pull};
use crate::serve::auth::{Authenticator, SigningKey};
use crate::serve::cluster::Cluster;
use crate::serve::metrics::Metrics;
use crate::serve::portal::Portal;
use crate::serve::review::Memory;
use crate::serve::settings::Settings;
use crate::serve::sources::Sources;
use crate::serve::watch::Watch;

/// A status page that is asked every few seconds does not need pull requests that are newer than this.
const PULLS_KEPT: Duration = Duration::from_secs(5);

#[async_trait]
pub(crate) trait ArgoCd: Send + Sync {
    async fn application(&self, name: &str) -> Result<Option<argocd::Application>, argocd::Error>;
    /// Every Application of the project.
    async fn applications(&self) -> Result<Vec<argocd::Application>, argocd::Error>;
    /// Every Application of the project as it changes, until the connection ends.
    async fn stream(&self) -> Result<argocd::Events, argocd::Error>;
    async fn application_set(&self) -> Result<Option<argocd::ApplicationSet>, argocd::Error>;
    /// An object that an Application has in its cluster.
    async fn resource(
        &self,
        application: &str,
        object: argocd::Object<'_>,
    ) -> Result<Option<serde_json::Value>, argocd::Error>;
}

#[async_trait]
impl ArgoCd for argocd::Client {
    async fn application(&self, name: &str) -> Result<Option<argocd::Application>, argocd::Error> {
        self.application(name).await
    }

    async fn applications(&self) -> Result<Vec<argocd::Application>, argocd::Error> {
        self.applications().await
    }

    async fn stream(&self) -> Result<argocd::Events, argocd::Error> {
        self.stream().await
    }

    async fn application_set(&self) -> Result<Option<argocd::ApplicationSet>, argocd::Error> {
        self.application_set().await
    }

    async fn resource(
        &self,
        application: &str,
        object: argocd::Object<'_>,
    ) -> Result<Option<serde_json::Value>, argocd::Error> {
        self.resource(application, object).await
    }
}

pub(crate) struct App {
    pub(crate) settings: Settings,
    /// What the operator can do with a database that exists.
    pub(crate) capabilities: Capabilities,
    /// For push events to Argo CD: it trusts Argo CD's certificate authority.
    pub(crate) to_argocd: reqwest::Client,
    pub(crate) forge: Arc<dyn Forge>,
    /// What waiting orders look at; nobody asks Argo CD past it.
    pub(crate) watch: Watch,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) portal: Arc<dyn Portal>,
    pub(crate) sources: Sources,
    pub(crate) authenticator: Authenticator,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) metrics: Metrics,
    /// One proposal at a time: two orders of one environment must see each other's pull request.
    pub(crate) proposing: Mutex<()>,
    /// Changes whenever something happened at the forge: whoever waits looks at once.
    pub(crate) wake: watch::Sender<u64>,
    pub(crate) pulls: Pulls,
    /// The commit of the base branch that Argo CD was told of last.
    pub(crate) told_head: Mutex<Option<String>>,
    /// Which pull requests were judged and which merges were seen. Only saves calls.
    pub(crate) reviews: Mutex<Memory>,
}

impl App {
    /// Something happened at the forge: what is kept of it is old, and whoever waits looks at once.
    pub(crate) async fn wake(&self) {
        self.pulls.forget().await;
        self.watch.forge.expire();
        self.wake.send_modify(|n| *n = n.wrapping_add(1));
    }
}

/// Open and recently finished pull requests, kept for a moment.
#[derive(Default)]
pub(crate) struct Pulls(Mutex<Option<(Instant, Arc<Vec<Pull>>)>>);

impl Pulls {
    pub(crate) async fn recent(&self, forge: &dyn Forge) -> Result<Arc<Vec<Pull>>, ForgeError> {
        let mut kept = self.0.lock().await;
        if let Some((since, pulls)) = kept.as_ref()
            && since.elapsed() < PULLS_KEPT
        {
            return Ok(Arc::clone(pulls));
        }
        let mut pulls = forge.open_pulls().await?;
        pulls.extend(forge.recent_pulls().await?);
        let pulls = Arc::new(pulls);
        *kept = Some((Instant::now(), Arc::clone(&pulls)));
        Ok(pulls)
    }

    /// What was kept is old: a webhook said so, or we have changed something ourselves.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}
