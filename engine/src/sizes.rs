//! What copies and snapshots take on the disk. Only the disk knows, and looking takes time: one at a time for each copy.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::json;

use crate::doc::Doc;
use crate::engine::Engine;
use crate::error_chain;
use crate::model::Kind;
use crate::storage::{self, Bytes};
use crate::store::State;

#[derive(Default)]
pub(crate) struct Sizes {
    known: Mutex<HashMap<String, Known>>,
    /// Who looks at a copy holds its lock.
    looking: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

struct Known {
    bytes: Bytes,
    /// The same as attributes.
    doc: Doc,
    /// When somebody began to look.
    at: Instant,
}

/// Attributes that only the disk knows.
pub(crate) const MEASURED: [&str; 3] = ["size", "storage_size", "unvirtualized_space"];

/// What was last seen of all copies, to be looked at without looking at the disk.
pub(crate) struct Seen<'a>(MutexGuard<'a, HashMap<String, Known>>);

impl Seen<'_> {
    pub(crate) fn of(&self, id: &str) -> Option<&Doc> {
        self.0.get(id).map(|known| &known.doc)
    }
}

/// A copy as it looks to whoever has it: its own bytes, and what it would take if nothing were shared.
pub(crate) fn measured(bytes: Bytes) -> Doc {
    json!({ "size": bytes.whole, "storage_size": bytes.own, "unvirtualized_space": bytes.whole })
        .into()
}

fn snapshots_of(state: &State, dsource: &str) -> Vec<String> {
    let all = state.live(Kind::Snapshot);
    let own = all.filter(|s| s.parent.as_deref() == Some(dsource));
    own.map(|s| s.id.clone()).collect()
}

/// Each key is the place below the snapshots' own.
fn together(snapshots: &[String], size: impl Fn(&str) -> Option<Bytes>) -> Option<Bytes> {
    let mut all = Bytes::default();
    for id in snapshots {
        all.held += size(id)?.held;
    }
    all.whole = size(&format!("{}/template", snapshots.last()?))?.whole;
    Some(all)
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
        if let Some(known) = self.sizes.known().get(vdb)
            && known.at >= asked
        {
            return Some(known.bytes);
        }
        self.look(vdb, &self.vdb_root(vdb))
    }

    /// As somebody last saw it; looks at no disk.
    pub(crate) fn last_size(&self, vdb: &str) -> Option<Bytes> {
        self.sizes.known().get(vdb).map(|known| known.bytes)
    }

    /// All of them. Whoever holds this looks at no disk; it is taken after the store, never before.
    pub(crate) fn sizes_seen(&self) -> Seen<'_> {
        Seen(self.sizes.known())
    }

    /// What the snapshots of a dSource take together, and how large the newest would be by itself. They never change,
    /// so that each is looked at once.
    pub(crate) fn size_of_snapshots(&self, dsource: &str) -> Option<Bytes> {
        let snapshots = self.store.read(|state| snapshots_of(state, dsource));
        together(&snapshots, |key| {
            let known = self.last_size(key);
            known.or_else(|| self.look(key, &self.snapshot_home(key)))
        })
    }

    /// As somebody last saw them, if all of them were seen.
    pub(crate) fn last_size_of_snapshots(&self, state: &State, dsource: &str) -> Option<Bytes> {
        together(&snapshots_of(state, dsource), |key| self.last_size(key))
    }

    /// What a full copy of a snapshot takes. It never changes, so it is looked at once.
    pub(crate) fn bytes_to_copy(&self, snapshot: &str) -> Option<u64> {
        let key = format!("{snapshot}/copied");
        if let Some(known) = self.last_size(&key) {
            return Some(known.whole);
        }
        let whole = storage::size(&self.clone_root(snapshot)).ok()?;
        let bytes = Bytes {
            whole,
            ..Bytes::default()
        };
        let (doc, at) = (measured(bytes), Instant::now());
        self.sizes.known().insert(key, Known { bytes, doc, at });
        Some(whole)
    }

    fn look(&self, id: &str, root: &Path) -> Option<Bytes> {
        let at = Instant::now();
        match self.storage.bytes(root) {
            Ok(bytes) => {
                let doc = measured(bytes);
                let known = Known { bytes, doc, at };
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
