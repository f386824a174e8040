//! The cluster as all waiting orders see it: every PostgresVDB from one watch, or from lists while there is none.

use std::collections::{BTreeMap, HashMap};
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
    /// Each environment by itself, where the cluster is read so.
    single: Mutex<HashMap<String, Arc<Single>>>,
    namespaces: Shared<BTreeMap<String, NamespaceState>, ApiError>,
    watched: Mutex<Watched>,
}

type Single = Shared<Databases, ApiError>;

/// Environments that somebody asked for; all are forgotten where there are more.
const MOST_SINGLE: usize = 4096;

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
            single: Mutex::default(),
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
        if self.is_read_one_by_one() {
            let read = async { Ok(keyed(self.cluster.databases(environment).await?)) };
            let single = self.single(environment.as_str());
            let found = single.get(self.pace.beside_stream, read).await?;
            return Ok(of(&found, &namespace));
        }
        self.look(|databases| of(databases, &namespace)).await
    }

    /// The databases of all environments, sorted by namespace and name.
    pub(crate) async fn all(self: &Arc<Self>) -> Result<Vec<Arc<LiveDatabase>>, ApiError> {
        self.look(|databases| databases.values().cloned().collect())
            .await
    }

    pub(crate) fn is_read_one_by_one(&self) -> bool {
        self.cluster.is_read_one_by_one()
    }

    /// Something of this environment has changed: where no watch says what, it is read again.
    pub(crate) fn expire(&self, environment: &EnvironmentName) {
        if self.is_read_one_by_one() {
            self.single(environment.as_str()).expire();
        }
    }

    fn single(&self, environment: &str) -> Arc<Single> {
        let mut single = self.single.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = single.get(environment) {
            return Arc::clone(known);
        }
        if single.len() >= MOST_SINGLE {
            single.clear();
        }
        let new = Arc::new(Shared::new());
        single.insert(environment.to_owned(), Arc::clone(&new));
        new
    }

    async fn look<T>(self: &Arc<Self>, read: impl Fn(&Databases) -> T) -> Result<T, ApiError> {
        let one_by_one = self.is_read_one_by_one();
        if self.pace.streams && !one_by_one && self.needed.touch() {
            tokio::spawn(Arc::clone(self).listen());
        }
        if let Some(databases) = &self.watched().databases {
            return Ok(read(databases));
        }
        let oldest = if one_by_one {
            self.pace.beside_stream
        } else {
            self.pace.list
        };
        let list = self.list.get(oldest, self.read_list()).await?;
        Ok(read(&list))
    }

    async fn read_list(&self) -> Result<Databases, ApiError> {
        Ok(keyed(self.cluster.all_databases().await?))
    }

    pub(crate) async fn namespace(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<NamespaceState>, ApiError> {
        if self.is_read_one_by_one() {
            return Ok(self.cluster.namespace(environment).await?);
        }
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

fn keyed(databases: Vec<LiveDatabase>) -> Databases {
    databases
        .into_iter()
        .map(|database| (key(&database), Arc::new(slim(database))))
        .collect()
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
