//! The cluster as all waiting orders see it: every PostgresVDB from one watch, or from lists while there is none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use environment::EnvironmentName;
use environment::names::NAMESPACE_PREFIX;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::shared::Shared;
use super::{Needed, Pace, Topics};
use crate::serve::cluster::{Change, Cluster, LiveDatabase, NamespaceState};
use crate::serve::error::ApiError;
use crate::web;

/// By namespace and name.
type Databases = BTreeMap<(String, String), Arc<LiveDatabase>>;

pub(crate) struct ClusterView {
    pace: Pace,
    cluster: Arc<dyn Cluster>,
    topics: Arc<Topics>,
    needed: Needed,
    list: Shared<Databases, ApiError>,
    namespaces: Shared<BTreeMap<String, NamespaceState>, ApiError>,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    /// Complete and kept up to date; none while it is not.
    databases: Option<Databases>,
    /// What was listed at the beginning, until it is complete.
    coming: Databases,
    /// The watch broke after this was complete: it holds again as soon as the watch says something.
    held: Option<Databases>,
}

impl ClusterView {
    pub(super) fn new(pace: Pace, cluster: Arc<dyn Cluster>, topics: Arc<Topics>) -> Self {
        Self {
            pace,
            cluster,
            topics,
            needed: Needed::new(pace.linger),
            list: Shared::new(),
            namespaces: Shared::new(),
            watched: Mutex::default(),
        }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The databases of one environment.
    pub(crate) async fn databases(
        self: &Arc<Self>,
        environment: &EnvironmentName,
    ) -> Result<Vec<Arc<LiveDatabase>>, ApiError> {
        let namespace = environment.namespace();
        self.look(|databases| of(databases, &namespace)).await
    }

    /// The databases of all environments, sorted by namespace and name.
    pub(crate) async fn all(self: &Arc<Self>) -> Result<Vec<Arc<LiveDatabase>>, ApiError> {
        self.look(|databases| databases.values().cloned().collect())
            .await
    }

    async fn look<T>(self: &Arc<Self>, read: impl Fn(&Databases) -> T) -> Result<T, ApiError> {
        if self.pace.streams && self.needed.touch() {
            tokio::spawn(Arc::clone(self).listen());
        }
        if let Some(databases) = &self.watched().databases {
            return Ok(read(databases));
        }
        let list = self.list.get(self.pace.list, self.read_list()).await?;
        Ok(read(&list))
    }

    async fn read_list(&self) -> Result<Databases, ApiError> {
        let all = self.cluster.all_databases().await?;
        Ok(all
            .into_iter()
            .map(|database| (key(&database), Arc::new(slim(database))))
            .collect())
    }

    pub(crate) async fn namespace(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<NamespaceState>, ApiError> {
        let read = async { Ok(self.cluster.namespaces().await?) };
        let namespaces = self.namespaces.get(self.pace.list, read).await?;
        Ok(namespaces.get(&environment.namespace()).copied())
    }

    /// Hears the watch while somebody needs it. It renews itself after every break, with growing pauses.
    async fn listen(self: Arc<Self>) {
        let mut changes = self.cluster.watch();
        let hear = async {
            while let Some(change) = changes.next().await {
                match change {
                    Ok(change) => {
                        let namespace = self.watched().take(change);
                        let name = namespace
                            .as_deref()
                            .and_then(|n| n.strip_prefix(NAMESPACE_PREFIX));
                        if let Some(name) = name {
                            self.topics.changed(name);
                        }
                    }
                    Err(error) => {
                        self.watched().broke();
                        tracing::debug!(
                            error = web::error_chain(&error),
                            "the watch of PostgresVDBs broke"
                        );
                    }
                }
            }
            self.watched().broke();
            // A watch that ends without being told to is not started again before the linger is over.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = hear => {}
            () = self.needed.over(|| *self.watched() = Watched::default()) => {}
        }
    }
}

impl Watched {
    /// The namespace in which something changed.
    fn take(&mut self, change: Change) -> Option<String> {
        match change {
            // Everything is listed again: until that is complete nothing holds.
            Change::Begin => {
                *self = Self::default();
                return None;
            }
            Change::Is(_) | Change::Gone { .. } => {
                self.databases = self.databases.take().or(self.held.take());
            }
            _ => {}
        }
        match change {
            Change::Begin => None,
            Change::Listed(database) => {
                self.coming
                    .insert(key(&database), Arc::new(slim(*database)));
                None
            }
            Change::Complete => {
                self.databases = Some(std::mem::take(&mut self.coming));
                None
            }
            Change::Is(database) => {
                let (key, namespace) = (key(&database), database.namespace.clone());
                if let Some(databases) = &mut self.databases {
                    databases.insert(key, Arc::new(slim(*database)));
                }
                Some(namespace)
            }
            Change::Gone { namespace, name } => {
                if let Some(databases) = &mut self.databases {
                    databases.remove(&(namespace.clone(), name));
                }
                Some(namespace)
            }
        }
    }

    fn broke(&mut self) {
        self.held = self.databases.take().or(self.held.take());
    }
}

fn key(database: &LiveDatabase) -> (String, String) {
    (database.namespace.clone(), database.name.clone())
}

fn of(databases: &Databases, namespace: &str) -> Vec<Arc<LiveDatabase>> {
    databases
        .range((namespace.to_owned(), String::new())..)
        .take_while(|((of, _), _)| of == namespace)
        .map(|(_, database)| Arc::clone(database))
        .collect()
}

/// Of the spec only what waiting orders and the status list show: hooks may hold long scripts.
fn slim(mut database: LiveDatabase) -> LiveDatabase {
    let text = |pointer| database.spec_text(pointer).map_or(Value::Null, Value::from);
    database.spec = json!({
        "source": {"reference": text("/source/reference")},
        "database": {"name": text("/database/name"), "user": text("/database/user")},
    });
    database
}
