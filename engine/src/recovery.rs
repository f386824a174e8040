//! The start after a stop or a crash: unfinished jobs are carried out or given up, and files that no metadata knows go.

mod plan;

use std::path::{Path, PathBuf};

use crate::engine::Engine;
use crate::jobs::Error;
use crate::processes;
use crate::{error_chain, storage, store};

pub use plan::{Missing, Plan, Program, Unfinished, dry_run};

impl Engine {
    /// Gives interrupted base backups up and sweeps the pool. Returns the jobs to be carried out again, oldest first.
    /// [`dry_run`] tells all of it before.
    pub fn recover(&self) -> Result<Vec<String>, store::Error> {
        let (again, given_up) = self.unfinished();
        let all = again.iter().chain(&given_up);
        Self::kill_hooks(&all.map(|u| u.job.clone()).collect::<Vec<_>>());
        processes::end_those(self.is_left_at_work());
        for Unfinished { job, intent } in &given_up {
            tracing::warn!(job, ?intent, "was interrupted; given up");
            let error = Error::Failed("the engine was restarted during the base backup".to_owned());
            self.finish(job, intent, &Err(error))?;
        }
        for Unfinished { job, intent } in &again {
            tracing::info!(job, ?intent, "was interrupted; is carried out now");
        }
        for path in self.debris(&given_up) {
            self.sweep(&path);
        }
        // Nothing is invented, nothing is forgotten.
        for Missing { id, path } in self.missing() {
            tracing::error!(
                id,
                path = %path.display(),
                "its files are missing from the pool; it can only be deleted"
            );
        }
        Ok(again.into_iter().map(|unfinished| unfinished.job).collect())
    }

    fn sweep(&self, path: &Path) {
        let name = path.file_name().and_then(|name| name.to_str());
        match (name, path.parent()) {
            (Some(_), Some(home)) if home == self.settings.vdbs() => {
                report(path, self.storage.delete(path));
            }
            (Some(name), Some(home)) if home == self.snapshots() => {
                report(path, self.delete_snapshot_files(name));
            }
            _ => report(
                path,
                storage::files("delete", path, std::fs::remove_dir_all(path)),
            ),
        }
    }

    fn snapshots(&self) -> PathBuf {
        self.settings.pool.join("snapshots")
    }
}

fn report(path: &Path, result: Result<(), storage::Error>) {
    match result {
        Ok(()) => tracing::info!(path = %path.display(), "swept"),
        Err(error) => {
            tracing::error!(path = %path.display(), "cannot sweep: {}", error_chain(&error));
        }
    }
}
