//! The engine itself: settings, metadata, storage and sources put together, and where everything lies in the pool.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::origin::Origin;
use crate::settings::Settings;
use crate::storage::{self, Storage};
use crate::store::{self, Store};

/// More clones at once only wait for each other in the file system.
const CLONES_AT_ONCE: usize = 8;
/// Sizes are looked at again when a caller asks and they are older.
const SIZE_AGE: Duration = Duration::from_secs(30);

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
    pub(crate) clones: Arc<Semaphore>,
    sizes: Mutex<HashMap<String, Size>>,
}

#[derive(Clone, Copy)]
struct Size {
    bytes: i64,
    at: Instant,
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
            pool.join("run"),
        ] {
            if !storage::exists(&directory) {
                storage::private_directory(&directory)?;
            }
        }
        let store = Store::open(&pool.join("meta.db"))?;
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
            clones: Arc::new(Semaphore::new(CLONES_AT_ONCE)),
            sizes: Mutex::default(),
        };
        engine.register_sources()?;
        Ok(engine)
    }

    /// The root of a copy: its data directory is `data` below.
    pub fn vdb_root(&self, id: &str) -> PathBuf {
        self.settings.vdbs().join(id)
    }

    pub fn export_path(&self, id: &str) -> String {
        format!("{}/{id}", self.settings.export_prefix.trim_end_matches('/'))
    }

    pub fn snapshot_home(&self, id: &str) -> PathBuf {
        self.settings.pool.join("snapshots").join(id)
    }

    /// As the backup left it: with everything the source has.
    pub fn raw_root(&self, id: &str) -> PathBuf {
        self.snapshot_home(id).join("raw")
    }

    /// Recovered and harmless: what copies are made from.
    pub fn template_root(&self, id: &str) -> PathBuf {
        self.snapshot_home(id).join("template")
    }

    pub(crate) fn scratch(&self, id: &str) -> PathBuf {
        self.settings.pool.join("run").join(id)
    }

    /// Disk use of a copy by itself, as last seen; looks again behind the caller's back when that is old.
    pub fn own_size(self: &Arc<Self>, id: &str) -> Option<i64> {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = sizes.get(id).copied();
        if known.is_none_or(|size| size.at.elapsed() > SIZE_AGE)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // Marked as seen now, so that callers who ask meanwhile start no second look.
            sizes.insert(
                id.to_owned(),
                Size {
                    bytes: known.map_or(0, |s| s.bytes),
                    at: Instant::now(),
                },
            );
            let (engine, id) = (Arc::clone(self), id.to_owned());
            runtime.spawn_blocking(move || engine.measure(&id));
        }
        known.map(|size| size.bytes)
    }

    pub(crate) fn measure(&self, id: &str) {
        match self.storage.own_bytes(&self.vdb_root(id)) {
            Ok(bytes) => {
                let size = Size {
                    bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
                    at: Instant::now(),
                };
                self.sizes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(id.to_owned(), size);
            }
            Err(error) => {
                tracing::debug!(vdb = id, "cannot measure: {}", crate::error_chain(&error));
            }
        }
    }

    pub(crate) fn forget_size(&self, id: &str) {
        self.sizes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
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
