//! An order that cannot fit is refused before anything is written.

use dct::types::Snapshot;

use crate::actions::{Refusal, typed};
use crate::engine::Engine;
use crate::model::{Intent, Kind, TakenOf};
use crate::origin::{Location, Progress};
use crate::storage;
use crate::store::State;

/// What an empty cluster takes.
pub(crate) const EMPTY_BYTES: u64 = 48 << 20;
/// What recovery writes to a base backup, beside a tenth of it.
const RECOVERY: u64 = 64 << 20;
/// The first segment of the log of its own that a server begins at the end of a replay.
const SEGMENT: u64 = 16 << 20;

impl Engine {
    /// For what an order is about to write, besides what the others under way still have to.
    pub(crate) fn room_for(&self, state: &State, intent: &Intent) -> Result<(), Refusal> {
        let Some((_, free)) = self.storage.capacity(&self.settings.pool) else {
            return Ok(());
        };
        let going = state.going().filter_map(|job| job.intent.as_ref());
        let others = going.filter(|other| *other != intent);
        let needed: u64 = others
            .chain([intent])
            .map(|intent| self.written_by(state, intent))
            .fold(0, u64::saturating_add);
        let kept = self.settings.kept_free();
        if free >= needed.saturating_add(kept) {
            return Ok(());
        }
        Err(Refusal::Full(format!(
            "the pool has no room: {} MiB are needed (orders under way included) and {} MiB kept free (keepFree), but only {} MiB are free; delete copies or snapshots, or enlarge the pool",
            needed.div_ceil(1 << 20),
            kept >> 20,
            free >> 20
        )))
    }

    /// Bytes that a job writes before it is over.
    fn written_by(&self, state: &State, intent: &Intent) -> u64 {
        match intent {
            Intent::Provision { snapshot, at, .. } | Intent::Refresh { snapshot, at, .. } => {
                let log = at.as_deref().map(|at| replayed(state, snapshot, at));
                let copy = self.storage.needs(self.size_to_copy(state, snapshot));
                copy.saturating_add(log.unwrap_or_default())
            }
            Intent::Empty { .. } => EMPTY_BYTES,
            Intent::SnapshotVdb { vdb, .. } => self.storage.needs(self.present_size(state, vdb)),
            Intent::Bookmark { taken, .. } => taken
                .iter()
                .map(|TakenOf { vdb, .. }| self.storage.needs(self.present_size(state, vdb)))
                .fold(0, u64::saturating_add),
            Intent::Snapshot {
                dsource, snapshot, ..
            } => self.left_of_backup(state, dsource, snapshot),
            Intent::Start { .. }
            | Intent::Stop { .. }
            | Intent::Enable { .. }
            | Intent::Disable { .. }
            | Intent::Switch { .. }
            | Intent::Delete { .. }
            | Intent::DeleteBookmark { .. }
            | Intent::DeleteSnapshot { .. }
            | Intent::DeleteDSource { .. }
            | Intent::Nothing => 0,
        }
    }

    /// Of what a snapshot's copies are made from. Only where they share nothing does it count.
    fn size_to_copy(&self, state: &State, snapshot: &str) -> u64 {
        if self.storage.shares_blocks() {
            return 0;
        }
        let known = || {
            let snapshot = state.any(Kind::Snapshot, snapshot)?;
            size_of_dataset(state, snapshot.parent.as_deref()?)
        };
        let found = self.bytes_to_copy(snapshot).or_else(known);
        found.unwrap_or_default()
    }

    /// Of a virtual database with all that was written to it.
    fn present_size(&self, state: &State, vdb: &str) -> u64 {
        if self.storage.shares_blocks() {
            return 0;
        }
        let found = storage::size(&self.vdb_root(vdb)).ok();
        let found = found.or_else(|| size_of_dataset(state, vdb));
        found.unwrap_or_default()
    }

    /// The backup, what recovery writes to the template, and the template itself where it shares no blocks. How large it
    /// will be the source tells when it begins; until then it is as large as the last.
    fn left_of_backup(&self, state: &State, dsource: &str, snapshot: &str) -> u64 {
        let begun = self.backups().get(snapshot).copied();
        let Progress { done, total } = begun.unwrap_or_else(|| Progress {
            done: 0,
            total: size_of_dataset(state, dsource).unwrap_or_default(),
        });
        let besides = [total / 10, self.storage.needs(total), RECOVERY];
        let left = total.saturating_sub(done);
        besides.into_iter().fold(left, u64::saturating_add)
    }
}

fn size_of_dataset(state: &State, id: &str) -> Option<u64> {
    let size = |kind| state.any(kind, id)?.doc.get("size")?.as_i64();
    let size = size(Kind::DSource).or_else(|| size(Kind::Vdb));
    u64::try_from(size?).ok()
}

/// The log from a snapshot to a place behind it: each page that a replay changes is in it once as a whole, or was made
/// by it.
fn replayed(state: &State, snapshot: &str, at: &str) -> u64 {
    let of_snapshot = state.any(Kind::Snapshot, snapshot);
    let doc: Option<Snapshot> = of_snapshot.and_then(|s| typed(s).ok());
    let from: Option<Location> = doc.and_then(|doc| doc.location?.parse().ok());
    let between = from.zip(at.parse::<Location>().ok());
    let log = between.map_or(0, |(from, to)| to.0.saturating_sub(from.0));
    log.saturating_add(SEGMENT)
}
