//! The log of linked sources between their snapshots, received as it is written: `<pool>/wal/<dSource>/<generation>`.
//!
//! A generation is a log without a gap. A slot at the source makes the source keep what is not received yet, so a pause
//! of the engine leaves no gap; when the slot is given up because the engine lags too far, or is lost, a new generation
//! begins, and a new base backup with it.

mod leftovers;
mod receiving;
mod replaying;
mod retention;

use std::path::PathBuf;
use std::sync::PoisonError;

use pgdata::wal;

use crate::actions::going;
use crate::engine::{Engine, children};
use crate::model::Kind;
use crate::origin::Location;
use crate::settings::{SourceSettings, WalSettings};
use crate::{jobs, storage};

pub(crate) use leftovers::works_on;
pub use receiving::Archiving;
pub(crate) use receiving::Lines;
pub(crate) use replaying::REPLAYED;

impl Engine {
    pub(crate) fn wal_home(&self, dsource: &str) -> PathBuf {
        self.settings.pool.join("wal").join(dsource)
    }

    /// Directories of the generations, oldest first.
    fn generations(&self, dsource: &str) -> Vec<(u64, PathBuf)> {
        let home = self.wal_home(dsource);
        let names = children(&home).into_iter();
        let mut found: Vec<(u64, PathBuf)> = names
            .filter_map(|name| Some((name.parse().ok()?, home.join(name))))
            .collect();
        found.sort_unstable();
        found
    }

    /// The log without a gap that begins before a place.
    pub(crate) fn log_of(&self, dsource: &str, from: Location) -> Option<PathBuf> {
        let generations = self.generations(dsource).into_iter().rev();
        generations
            .map(|(_, path)| path)
            .find(|path| matches!(wal::first(path), Ok(Some(first)) if first <= from))
    }

    /// The source of a dSource as the settings have it.
    pub(crate) fn source_of(&self, dsource: &str) -> Option<&SourceSettings> {
        let name = self.store.read(|state| {
            let dsource = state.any(Kind::DSource, dsource)?;
            let source = state.any(Kind::Source, dsource.parent.as_deref()?)?;
            Some(source.name.clone())
        })?;
        self.declared(&name)
    }

    /// The source of a dSource whose log is to be kept.
    fn logged(&self, dsource: &str) -> Option<(&SourceSettings, &WalSettings)> {
        let source = self.source_of(dsource)?;
        let leaves = self.store.read(|state| {
            going(state, dsource).is_some() || state.any(Kind::DSource, dsource).is_none()
        });
        Some((source, source.wal.as_ref().filter(|_| !leaves)?))
    }

    /// One for each engine and source, so that none is ever left behind unknown.
    fn slot_name(&self, dsource: &str) -> String {
        self.store.read(|state| {
            let uuid = state.system_uuid.chars();
            let uuid: String = uuid.filter(char::is_ascii_alphanumeric).take(8).collect();
            let source = state.any(Kind::DSource, dsource);
            let source = source.and_then(|d| state.any(Kind::Source, d.parent.as_deref()?));
            let number = source.map_or(0, |source| source.number);
            format!("vdb_{}_{number}", uuid.to_lowercase())
        })
    }

    /// Stops receiving, drops the slot and removes the log. Repeating it changes nothing.
    pub(crate) fn end_log(&self, dsource: &str, force: bool) -> Result<(), jobs::Error> {
        let home = self.wal_home(dsource);
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(dsource);
        if !storage::exists(&home) {
            return Ok(());
        }
        let slot = self.slot_name(dsource);
        if let Err(why) = self.release(dsource, &slot) {
            let what = format!(
                "slot {slot} could not be dropped, and the source keeps its log for it: {why}; \
                 run select pg_drop_replication_slot('{slot}') there"
            );
            if !force {
                return Err(jobs::Error::Failed(format!(
                    "{what} and ask again, or with force: true"
                )));
            }
            tracing::error!(dsource, "{what}");
        }
        storage::files("delete", &home, std::fs::remove_dir_all(&home))?;
        Ok(())
    }

    fn release(&self, dsource: &str, slot: &str) -> Result<(), String> {
        let source = self
            .source_of(dsource)
            .ok_or("its source is no longer in the settings")?;
        self.with_scratch(&format!("slot-{dsource}"), |scratch| {
            Ok(self.origin.drop_slot(source, slot, scratch)?)
        })
        .map_err(|error| crate::error_chain(&error))
    }

    /// A private directory that goes with the password in it.
    pub(crate) fn with_scratch<T>(
        &self,
        name: &str,
        work: impl FnOnce(&std::path::Path) -> Result<T, jobs::Error>,
    ) -> Result<T, jobs::Error> {
        let scratch = self.scratch(name);
        storage::private_directory(&scratch)?;
        let done = work(&scratch);
        if let Err(error) = std::fs::remove_dir_all(&scratch) {
            tracing::error!(path = %scratch.display(), "cannot remove: {error}");
        }
        done
    }
}
