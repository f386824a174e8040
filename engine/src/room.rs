//! An order that cannot fit is refused before anything is written.

use crate::actions::Refusal;
use crate::engine::Engine;
use crate::model::{Intent, Kind, TakenOf};
use crate::storage;
use crate::store::State;

impl Engine {
    /// For one more copy of this many bytes, besides those that are under way.
    pub(crate) fn room_for(&self, state: &State, bytes: Option<i64>) -> Result<(), Refusal> {
        let Some((_, free)) = storage::capacity(&self.settings.pool) else {
            return Ok(());
        };
        let going: u64 = state
            .going()
            .filter_map(|job| job.intent.as_ref())
            .flat_map(|intent| copied(state, intent))
            .map(|bytes| self.needs(Some(bytes)))
            .sum();
        let needed = self.needs(bytes) + going;
        let kept = self.settings.kept_free();
        if free >= needed.saturating_add(kept) {
            return Ok(());
        }
        Err(Refusal::Full(format!(
            "the pool has no room: {} MiB are needed (copies under way included) and {} MiB kept free (keepFree), but only {} MiB are free; delete copies or snapshots, or enlarge the pool",
            needed.div_ceil(1 << 20),
            kept >> 20,
            free >> 20
        )))
    }

    pub(crate) fn needs(&self, bytes: Option<i64>) -> u64 {
        let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
        self.storage.needs(bytes.unwrap_or(0))
    }
}

/// Sizes of the copies that an unfinished job makes.
fn copied(state: &State, intent: &Intent) -> Vec<i64> {
    let size = |kind, id: &str| state.any(kind, id)?.doc.get("size")?.as_i64();
    let of_dataset = |id: &str| size(Kind::DSource, id).or_else(|| size(Kind::Vdb, id));
    let found: Vec<Option<i64>> = match intent {
        Intent::Provision { snapshot, .. } | Intent::Refresh { snapshot, .. } => {
            let snapshot = state.any(Kind::Snapshot, snapshot);
            vec![snapshot.and_then(|s| of_dataset(s.parent.as_deref()?))]
        }
        Intent::SnapshotVdb { vdb, .. } => vec![of_dataset(vdb)],
        Intent::Bookmark { taken, .. } => taken
            .iter()
            .map(|TakenOf { vdb, .. }| of_dataset(vdb))
            .collect(),
        _ => Vec::new(),
    };
    found.into_iter().flatten().collect()
}
