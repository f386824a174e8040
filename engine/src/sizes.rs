//! What copies and snapshots take on the disk. Only the disk knows, and looking takes time: one at a time for each copy.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::engine::Engine;
use crate::error_chain;
use crate::model::Kind;
use crate::storage::Bytes;

#[derive(Default)]
pub(crate) struct Sizes {
    known: Mutex<HashMap<String, Known>>,
    /// Who looks at a copy holds its lock.
    looking: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

#[derive(Clone, Copy)]
struct Known {
    bytes: Bytes,
    /// When somebody began to look.
    at: Instant,
}

impl Sizes {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn looking(&self) -> MutexGuard<'_, HashMap<String, Arc<Mutex<()>>>> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// As it is now: looked at no earlier than this was called. None if it cannot be told.
    pub fn size_of(&self, vdb: &str) -> Option<Bytes> {
        let asked = Instant::now();
        let lock = Arc::clone(self.sizes.looking().entry(vdb.to_owned()).or_default());
        let _one_at_a_time = lock.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else began after us, and was faster.
        let known = self.sizes.known().get(vdb).copied();
        if let Some(known) = known.filter(|known| known.at >= asked) {
            return Some(known.bytes);
        }
        self.look(vdb, &self.vdb_root(vdb))
    }

    /// As somebody last saw it; looks at no disk.
    pub(crate) fn last_size(&self, vdb: &str) -> Option<Bytes> {
        self.sizes.known().get(vdb).map(|known| known.bytes)
    }

    /// What the snapshots of a dSource take together, and how large the newest would be by itself. They never change,
    /// so that each is looked at once.
    pub(crate) fn size_of_snapshots(&self, dsource: &str) -> Option<Bytes> {
        let snapshots: Vec<String> = self.store.read(|state| {
            let own = state.live(Kind::Snapshot);
            let own = own.filter(|s| s.parent.as_deref() == Some(dsource));
            own.map(|s| s.id.clone()).collect()
        });
        let mut all = Bytes::default();
        for id in &snapshots {
            let known = self.last_size(id);
            let held = known
                .or_else(|| self.look(id, &self.snapshot_home(id)))?
                .held;
            all.held += held;
        }
        let newest = format!("{}/template", snapshots.last()?);
        let known = self.last_size(&newest);
        let template = self.template_root(snapshots.last()?);
        all.whole = known.or_else(|| self.look(&newest, &template))?.whole;
        Some(all)
    }

    fn look(&self, id: &str, root: &Path) -> Option<Bytes> {
        let at = Instant::now();
        match self.storage.bytes(root) {
            Ok(bytes) => {
                let known = Known { bytes, at };
                self.sizes.known().insert(id.to_owned(), known);
                Some(bytes)
            }
            Err(error) => {
                self.sizes.known().remove(id);
                tracing::debug!(id, "cannot measure: {}", error_chain(&error));
                None
            }
        }
    }

    pub(crate) fn forget_size(&self, id: &str) {
        self.sizes.known().remove(id);
        self.sizes.looking().remove(id);
    }

    /// Those of objects that are gone.
    pub(crate) fn tidy_sizes(&self) {
        let there = |id: &str| {
            let id = id.split('/').next().unwrap_or_default();
            self.store.read(|state| {
                state.any(Kind::Vdb, id).is_some() || state.any(Kind::Snapshot, id).is_some()
            })
        };
        let ids: Vec<String> = self.sizes.known().keys().cloned().collect();
        for id in ids.iter().filter(|id| !there(id)) {
            self.forget_size(id);
        }
    }
}
