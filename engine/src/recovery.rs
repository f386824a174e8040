//! The start after a stop or a crash: unfinished jobs are carried out or given up, and files that no metadata knows go.

use std::collections::HashSet;
use std::path::Path;

use crate::archive::{REPLAYED, end_leftovers};
use crate::engine::{Engine, children};
use crate::jobs::Error;
use crate::model::{Intent, Kind, Phase, number};
use crate::store;
use crate::{error_chain, processes, storage, timeflows};

impl Engine {
    /// Gives interrupted base backups up and sweeps the pool. Returns the jobs to be carried out again, oldest first.
    pub fn recover(&self) -> Result<Vec<String>, store::Error> {
        let unfinished: Vec<(String, Intent)> = self.store.read(|state| {
            state
                .jobs()
                .filter_map(|j| Some((j.job.id.clone(), j.intent.clone()?)))
                .collect()
        });
        let jobs: Vec<String> = unfinished.iter().map(|(job, _)| job.clone()).collect();
        Self::kill_hooks(&jobs);
        end_leftovers(&self.settings.pool);
        self.end_copying();
        self.end_stray_servers();
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
        self.sweep_logs();
        self.report_missing();
        Ok(again)
    }

    /// A copy file by file that a killed engine has left at work would write into what is swept or made anew.
    fn end_copying(&self) {
        let pool = self.settings.pool.display().to_string();
        processes::end_those(|process| {
            let arguments = process.arguments();
            let mut paths = arguments
                .iter()
                .filter(|argument| argument.starts_with(&pool));
            paths.any(|path| path.ends_with(storage::PARTIAL))
        });
    }

    fn sweep(&self) {
        let (vdbs, snapshots) = self.store.read(|state| {
            let flows = state.objects(Kind::Timeflow);
            let directories = flows
                .filter(|flow| timeflows::has_data(state, flow))
                .filter_map(|flow| Some(timeflows::directory(flow.parent.as_deref()?, flow)));
            let snapshots = state.objects(Kind::Snapshot).map(|o| o.id.clone());
            (
                directories.collect::<HashSet<String>>(),
                snapshots.collect::<HashSet<String>>(),
            )
        });
        for name in children(&self.settings.vdbs()) {
            if is_copy(&name) && !vdbs.contains(&name) {
                let root = self.settings.vdbs().join(&name);
                report(&root, self.storage.delete(&root));
            }
        }
        for name in children(&self.settings.pool.join("snapshots")) {
            if is_whole_id(whole(&name), Kind::Snapshot) && !snapshots.contains(&name) {
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

/// The directory of a copy, with the number of a later timeflow or without, or what was left beside one.
fn is_copy(name: &str) -> bool {
    let name = whole(name);
    let first = name.rsplit_once('-').is_some_and(|(vdb, flow)| {
        flow.bytes().all(|b| b.is_ascii_digit()) && is_whole_id(vdb, Kind::Vdb)
    });
    first || is_whole_id(name, Kind::Vdb)
}

fn whole(name: &str) -> &str {
    let name = [storage::PARTIAL, storage::TRASH]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    name.strip_suffix(REPLAYED).unwrap_or(name)
}

fn is_whole_id(name: &str, kind: Kind) -> bool {
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
