//! The engine itself: settings, metadata, storage and sources put together, and where everything lies in the pool.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;

use crate::archive::Lines;
use crate::model::Kind;
use crate::origin::{Origin, Progress};
use crate::settings::Settings;
use crate::sizes::Sizes;
use crate::storage::{self, Storage};
use crate::store::{self, Store};
use crate::timeflows;

/// The metadata in the pool.
pub(crate) const METADATA: &str = "meta.db";
/// More clones at once only wait for each other in the file system.
pub(crate) const CLONES_AT_ONCE: usize = 8;
/// A source that restarts is back within a minute; after that the job says so.
const BACKUP_PAUSES: [Duration; 5] = [
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
    Duration::from_secs(32),
];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error("{} holds copies but its metadata (meta.db) is missing; restore it, or empty the pool", pool.display())]
    Forgotten { pool: PathBuf },
    #[error("cannot tell who runs the engine")]
    Owner(#[source] std::io::Error),
}

pub struct Engine {
    pub settings: Settings,
    pub store: Store,
    pub storage: Box<dyn Storage>,
    pub origin: Box<dyn Origin>,
    /// `uid:gid` of every file the engine makes.
    pub owner: String,
    /// One base backup at a time: the source is never at risk.
    pub(crate) backup: Mutex<()>,
    /// Pauses before a base backup that broke off, or a replay that lacked a part of the log, is tried again.
    pub backup_pauses: Vec<Duration>,
    /// How far the base backups under way are, of what their sources told, by snapshot.
    backups: Mutex<HashMap<String, Progress>>,
    pub(crate) lines: Mutex<Lines>,
    /// What sources hold back, by dSource.
    pub(crate) lags: Mutex<HashMap<String, u64>>,
    pub(crate) clones: Arc<Semaphore>,
    pub(crate) sizes: Sizes,
    /// When the certificate of its servers was written that they have.
    pub(crate) certificates: Mutex<Option<[SystemTime; 2]>>,
    /// When the last order was carried out.
    pub(crate) last_order: Mutex<Instant>,
    /// Looks at sizes that nobody waits for.
    pub(crate) looks: Semaphore,
    /// It stops its servers with itself.
    pub(crate) stopping: AtomicBool,
    /// Called before and after each start and stop of a server: a test kills the engine there.
    pub at_step: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Engine {
    /// Opens the pool. Nothing runs yet: [`Engine::recover`] comes next.
    pub fn open(
        settings: Settings,
        storage: Box<dyn Storage>,
        origin: Box<dyn Origin>,
    ) -> Result<Self, Error> {
        let pool = settings.pool.clone();
        for directory in [
            pool.clone(),
            pool.join("vdbs"),
            pool.join("snapshots"),
            pool.join("wal"),
            pool.join("run"),
        ] {
            if !storage::exists(&directory) {
                storage::private_directory(&directory)?;
            }
        }
        let store = Store::open(&pool.join(METADATA))?;
        Self::with(settings, storage, origin, store)
    }

    /// With metadata that is open already. Of the pool itself nothing is changed.
    pub(crate) fn with(
        settings: Settings,
        storage: Box<dyn Storage>,
        origin: Box<dyn Origin>,
        store: Store,
    ) -> Result<Self, Error> {
        let pool = settings.pool.clone();
        // The sweep would take copies without metadata for debris.
        if store.read(|state| state.fresh) && !children(&pool.join("vdbs")).is_empty() {
            return Err(Error::Forgotten { pool });
        }
        let me = fs::metadata("/proc/self").map_err(Error::Owner)?;
        let engine = Self {
            owner: format!("{}:{}", me.uid(), me.gid()),
            settings,
            store,
            storage,
            origin,
            backup: Mutex::new(()),
            backup_pauses: BACKUP_PAUSES.to_vec(),
            backups: Mutex::default(),
            lines: Mutex::default(),
            lags: Mutex::default(),
            clones: Arc::new(Semaphore::new(CLONES_AT_ONCE)),
            sizes: Sizes::default(),
            certificates: Mutex::default(),
            last_order: Mutex::new(Instant::now()),
            looks: Semaphore::new(1),
            stopping: AtomicBool::default(),
            at_step: None,
        };
        engine.register_sources()?;
        engine.register_timeflows()?;
        Ok(engine)
    }

    /// The root of a copy as it is now: its data directory is `data` below.
    pub fn vdb_root(&self, id: &str) -> PathBuf {
        let name = self.store.read(|state| timeflows::current(state, id));
        self.settings.vdbs().join(name)
    }

    /// Where others see a directory of a copy.
    pub(crate) fn export_of(&self, directory: &str) -> String {
        let prefix = self.settings.export_prefix.trim_end_matches('/');
        format!("{prefix}/{directory}")
    }

    pub fn snapshot_home(&self, id: &str) -> PathBuf {
        self.settings.pool.join("snapshots").join(id)
    }

    /// As the backup left it: with everything the source has.
    pub fn raw_root(&self, id: &str) -> PathBuf {
        self.snapshot_home(id).join("raw")
    }

    /// What copies of a snapshot are made from. A backup of a source is never copied as it is.
    pub(crate) fn clone_root(&self, id: &str) -> PathBuf {
        let of_vdb = self.store.read(|state| {
            let dataset = state.any(Kind::Snapshot, id)?.parent.clone()?;
            state.any(Kind::Vdb, &dataset).map(drop)
        });
        match of_vdb {
            Some(()) => self.raw_root(id),
            None => self.template_root(id),
        }
    }

    /// Recovered and harmless: what copies are made from.
    pub fn template_root(&self, id: &str) -> PathBuf {
        self.snapshot_home(id).join("template")
    }

    pub(crate) fn backups(&self) -> MutexGuard<'_, HashMap<String, Progress>> {
        self.backups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn scratch(&self, id: &str) -> PathBuf {
        self.settings.pool.join("run").join(id)
    }
}

/// Names in a directory; none if it cannot be read.
pub(crate) fn children(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}
