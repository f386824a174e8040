//! A copy of a moment between snapshots: the backup before it, recovered further with the log.

use std::path::{Path, PathBuf};

use dct::types::Snapshot;

use crate::actions::typed;
use crate::engine::Engine;
use crate::jobs::Error;
use crate::model::Kind;
use crate::origin::{self, DataPoint, Location};
use crate::storage;

/// Ending of a directory whose copy is not whole; the sweep at the start removes it.
pub(crate) const REPLAYED: &str = ".replay";
const GONE: &str = "the log behind snapshot";
/// What a server says that has found no more of the log.
const ENDED_EARLY: &str = "recovery ended before configured recovery target was reached";

impl Engine {
    /// The data of a snapshot, or of a place in the log behind it. Nothing happens if the root exists: it is whole.
    pub(crate) fn fill(&self, root: &Path, snapshot: &str, at: Option<&str>) -> Result<(), Error> {
        let Some(at) = at else {
            return Ok(self.storage.copy(&self.clone_root(snapshot), root)?);
        };
        if storage::exists(root) {
            return Ok(());
        }
        let growing = replayed(root);
        let mut pauses = self.backup_pauses.iter();
        let point = loop {
            let error = match self.replay(&growing, root, snapshot, at) {
                Ok(point) => break point,
                Err(error) => error,
            };
            let Some(pause) = pauses.next().filter(|_| is_short(&error)) else {
                return Err(error);
            };
            tracing::warn!(snapshot, at, again = ?pause, "{}", crate::error_chain(&error));
            std::thread::sleep(*pause);
        };
        self.storage.flush(&self.settings.pool)?;
        storage::files("rename", &growing, std::fs::rename(&growing, root))?;
        tracing::info!(snapshot, at, timestamp = point.timestamp, "replayed");
        Ok(())
    }

    /// Beside the root, from the beginning.
    fn replay(
        &self,
        growing: &Path,
        root: &Path,
        snapshot: &str,
        at: &str,
    ) -> Result<DataPoint, Error> {
        let gone = || Error::Failed(format!("{GONE} {snapshot} is gone"));
        let to: Location = at.parse().map_err(|()| gone())?;
        let (dsource, from) = self.behind(snapshot)?.ok_or_else(gone)?;
        let wal = self.log_of(&dsource, from).ok_or_else(gone)?;
        let source = self.source_of(&dsource).ok_or_else(|| {
            Error::Failed(format!(
                "the source of {dsource} is no longer in the settings"
            ))
        })?;
        self.storage.delete(growing)?;
        self.storage.copy(&self.raw_root(snapshot), growing)?;
        let name = root.file_name().unwrap_or_default().to_string_lossy();
        self.with_scratch(&name, |scratch| {
            Ok(self.origin.replay(source, growing, &wal, to, scratch)?)
        })
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

/// The log was there when the order was placed. A receiver that begins anew may receive its last file once more, and
/// meanwhile there is less of it.
fn is_short(error: &Error) -> bool {
    match error {
        Error::Origin(origin::Error::Server(said)) => said.contains(ENDED_EARLY),
        Error::Failed(why) => why.starts_with(GONE),
        _ => false,
    }
}

fn replayed(root: &Path) -> PathBuf {
    let mut name = root.as_os_str().to_owned();
    name.push(REPLAYED);
    name.into()
}
