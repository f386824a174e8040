//! A copy of a moment between snapshots: the backup before it, recovered further with the log.

use std::path::{Path, PathBuf};

use dct::types::Snapshot;

use crate::actions::typed;
use crate::engine::Engine;
use crate::jobs::Error;
use crate::model::Kind;
use crate::origin::Location;
use crate::storage;

/// Ending of a directory whose copy is not whole; the sweep at the start removes it.
pub(crate) const REPLAYED: &str = ".replay";

impl Engine {
    /// The data of a snapshot, or of a place in the log behind it. Nothing happens if the root exists: it is whole.
    pub(crate) fn fill(&self, root: &Path, snapshot: &str, at: Option<&str>) -> Result<(), Error> {
        let Some(at) = at else {
            return Ok(self.storage.copy(&self.clone_root(snapshot), root)?);
        };
        if storage::exists(root) {
            return Ok(());
        }
        let gone = || Error::Failed(format!("the log behind snapshot {snapshot} is gone"));
        let to: Location = at.parse().map_err(|()| gone())?;
        let (dsource, from) = self.behind(snapshot)?.ok_or_else(gone)?;
        let wal = self.log_of(&dsource, from).ok_or_else(gone)?;
        let source = self.source_of(&dsource).ok_or_else(|| {
            Error::Failed(format!(
                "the source of {dsource} is no longer in the settings"
            ))
        })?;
        let growing = replayed(root);
        self.storage.delete(&growing)?;
        self.storage.copy(&self.raw_root(snapshot), &growing)?;
        let name = root.file_name().unwrap_or_default().to_string_lossy();
        let point = self.with_scratch(&name, |scratch| {
            Ok(self.origin.replay(source, &growing, &wal, to, scratch)?)
        })?;
        self.storage.flush(&self.settings.pool)?;
        storage::files("rename", &growing, std::fs::rename(&growing, root))?;
        tracing::info!(snapshot, at, timestamp = point.timestamp, "replayed");
        Ok(())
    }

    /// The dSource of a snapshot, and where its log begins.
    pub(crate) fn behind(&self, snapshot: &str) -> Result<Option<(String, Location)>, Error> {
        let object = self
            .store
            .read(|state| state.any(Kind::Snapshot, snapshot).cloned());
        let Some(object) = object else {
            return Ok(None);
        };
        let doc: Snapshot =
            typed(&object).map_err(|error| Error::Failed(crate::error_chain(&error)))?;
        let place = doc.location.and_then(|place| place.parse().ok());
        Ok(object.parent.zip(place))
    }

    /// What a replay that failed left.
    pub(crate) fn discard_replayed(&self, root: &Path) {
        self.discard_root(&replayed(root));
    }
}

fn replayed(root: &Path) -> PathBuf {
    let mut name = root.as_os_str().to_owned();
    name.push(REPLAYED);
    name.into()
}
