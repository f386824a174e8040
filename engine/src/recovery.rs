//! The start after a stop or a crash: unfinished jobs are carried out or given up, and files that no metadata knows go.

use std::path::Path;

use crate::engine::{Engine, children};
use crate::jobs::Error;
use crate::model::{Intent, Kind, Phase, number};
use crate::store;
use crate::{error_chain, storage};

impl Engine {
    /// Gives interrupted base backups up and sweeps the pool. Returns the jobs to be carried out again, oldest first.
    pub fn recover(&self) -> Result<Vec<String>, store::Error> {
        let unfinished: Vec<(String, Intent)> = self.store.read(|state| {
            state
                .jobs()
                .filter_map(|j| Some((j.job.id.clone(), j.intent.clone()?)))
                .collect()
        });
        let mut again = Vec::new();
        for (job, intent) in unfinished {
            if matches!(intent, Intent::Snapshot { .. }) {
                tracing::warn!(job, ?intent, "was interrupted; given up");
                let error =
                    Error::Failed("the engine was restarted during the base backup".to_owned());
                self.finish(&job, &intent, &Err(error))?;
            } else {
                tracing::info!(job, ?intent, "was interrupted; is carried out now");
                again.push(job);
            }
        }
        self.sweep();
        self.report_missing();
        Ok(again)
    }

    fn sweep(&self) {
        let (vdbs, snapshots) = self.store.read(|state| {
            let ids = |kind| {
                state
                    .objects(kind)
                    .map(|o| o.id.clone())
                    .collect::<Vec<String>>()
            };
            (ids(Kind::Vdb), ids(Kind::Snapshot))
        });
        for name in children(&self.settings.vdbs()) {
            if is_ours(&name, Kind::Vdb) && !vdbs.contains(&name) {
                let root = self.settings.vdbs().join(&name);
                report(&root, self.storage.delete(&root));
            }
        }
        for name in children(&self.settings.pool.join("snapshots")) {
            if is_ours(&name, Kind::Snapshot) && !snapshots.contains(&name) {
                self.discard_snapshot(&name);
            }
        }
        // Configurations, sockets and password files of programs that run no more.
        let run = self.settings.pool.join("run");
        for name in children(&run) {
            let path = run.join(name);
            report(
                &path,
                storage::files("delete", &path, std::fs::remove_dir_all(&path)),
            );
        }
    }

    /// Metadata without files: nothing is invented, nothing is forgotten.
    fn report_missing(&self) {
        let ids: Vec<String> = self.store.read(|state| {
            state
                .objects(Kind::Vdb)
                .filter(|o| o.phase == Phase::Live)
                .map(|o| o.id.clone())
                .collect()
        });
        for id in ids.iter().filter(|id| !storage::exists(&self.vdb_root(id))) {
            tracing::error!(
                vdb = id.as_str(),
                "its files are missing from the pool; it can only be deleted"
            );
        }
    }
}

/// An id of this kind, or what a copy leaves beside one.
fn is_ours(name: &str, kind: Kind) -> bool {
    let name = [storage::PARTIAL, storage::TRASH]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    number(name).is_some_and(|number| kind.id(number) == name)
}

fn report(path: &Path, result: Result<(), storage::Error>) {
    match result {
        Ok(()) => tracing::info!(path = %path.display(), "swept"),
        Err(error) => {
            tracing::error!(path = %path.display(), "cannot sweep: {}", error_chain(&error));
        }
    }
}
