//! Carrying out what a job intends: first the effect, which can be repeated, then the metadata in one change.
//!
//! A crash between the two leaves the intent, and the start carries it out again. Nothing here needs to be undone
//! except a base backup, which is not repeated behind the source's back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dct::types::JobStatus;

use crate::engine::Engine;
use crate::linking::Taken;
use crate::model::{Intent, JobRecord, TakenOf};
use crate::servers::Stop;
use crate::snapshots::Copied;
use crate::{clock, error_chain, origin, storage, store};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Origin(#[from] origin::Error),
    #[error("{0}")]
    Failed(String),
}

/// What an effect has found out.
pub(crate) enum Outcome {
    Done,
    Taken(Taken),
    Copied(Vec<Copied>),
}

impl Engine {
    /// Carries a job out beside the caller.
    pub fn start(self: &Arc<Self>, job: &str) {
        let (engine, job) = (Arc::clone(self), job.to_owned());
        tokio::spawn(async move {
            // The semaphore is never closed.
            let permit = Arc::clone(&engine.clones).acquire_owned().await;
            let work = tokio::task::spawn_blocking(move || {
                // A base backup takes long and has a queue of its own.
                let _permit = if engine.is_backup(&job) {
                    None
                } else {
                    permit.ok()
                };
                engine.execute_or_fail(&job);
            });
            if let Err(error) = work.await {
                tracing::error!("a job ended without an answer: {error}");
            }
        });
    }

    fn is_backup(&self, job: &str) -> bool {
        self.store.read(|state| {
            matches!(
                state.job(job).and_then(|j| j.intent.as_ref()),
                Some(Intent::Snapshot { .. })
            )
        })
    }

    /// A defect of the engine ends the job in failure; nobody waits for it for ever.
    fn execute_or_fail(&self, job: &str) {
        let work = std::panic::AssertUnwindSafe(|| self.execute(job));
        let Err(panic) = std::panic::catch_unwind(work) else {
            return;
        };
        let intent = self.store.read(|state| state.job(job)?.intent.clone());
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("it panicked");
        let error = Error::Failed(format!("this is a defect of the engine: {text}"));
        if let Some(intent) = intent {
            tracing::error!(job, ?intent, "{error}");
            self.conclude(job, &intent, &Err(error));
        }
    }

    /// Carries a job out to its end.
    pub fn execute(&self, job: &str) {
        let Some(intent) = self.store.read(|state| state.job(job)?.intent.clone()) else {
            return;
        };
        let begun = std::time::Instant::now();
        let result = self.effect(&intent);
        match &result {
            Ok(_) => tracing::info!(job, ?intent, elapsed = ?begun.elapsed(), "done"),
            Err(error) => tracing::error!(job, ?intent, "{}", error_chain(error)),
        }
        self.conclude(job, &intent, &result);
        if let Intent::Provision { vdb, .. } | Intent::Refresh { vdb, .. } = &intent {
            self.size_of(vdb);
        }
    }

    fn conclude(&self, job: &str, intent: &Intent, result: &Result<Outcome, Error>) {
        while let Err(error) = self.finish(job, intent, result) {
            // A full disk, most likely. The job stays under way until its end can be written down.
            tracing::error!(
                job,
                "cannot write the end of a job: {}",
                error_chain(&error)
            );
            std::thread::sleep(Duration::from_secs(2));
        }
    }

    /// The part that changes files. Repeating it after a crash leads to the same state.
    pub(crate) fn effect(&self, intent: &Intent) -> Result<Outcome, Error> {
        match intent {
            Intent::Provision { vdb, snapshot, at } => {
                let root = self.vdb_root(vdb);
                self.fill(&root, snapshot, at.as_deref())?;
                if self.served(vdb) {
                    self.start_server(vdb, &root)?;
                }
            }
            Intent::Empty { vdb } => {
                let root = self.vdb_root(vdb);
                self.make_empty(&root)?;
                self.start_server(vdb, &root)?;
            }
            Intent::Start { vdb } => self.start_server(vdb, &self.vdb_root(vdb))?,
            Intent::Stop { vdb, abort } => {
                let how = if *abort { Stop::Immediate } else { Stop::Fast };
                self.stop_server(vdb, how)?;
            }
            Intent::Refresh {
                vdb,
                snapshot,
                timeflow,
                at,
            } => {
                let to = self.timeflow_root(vdb, timeflow);
                self.fill(&to, snapshot, at.as_deref())?;
                self.move_server(vdb, &to)?;
            }
            Intent::Switch { vdb, timeflow } => {
                let to = self.timeflow_root(vdb, timeflow);
                readable(vdb, &to)?;
                self.move_server(vdb, &to)?;
            }
            Intent::Enable { vdb } => {
                let root = self.vdb_root(vdb);
                readable(vdb, &root)?;
                if self.served(vdb) {
                    self.start_server(vdb, &root)?;
                }
            }
            Intent::Disable { vdb } => {
                if self.served(vdb) {
                    self.stop_server(vdb, Stop::Fast)?;
                }
            }
            Intent::Nothing => {}
            Intent::Delete { vdb } => {
                self.stop_server(vdb, Stop::Immediate)?;
                self.delete_vdb_files(vdb)?;
            }
            Intent::SnapshotVdb { vdb, snapshot } => {
                return Ok(Outcome::Copied(vec![self.copy_vdb(vdb, snapshot)?]));
            }
            Intent::Bookmark { taken, .. } => {
                let copy = |t: &TakenOf| self.copy_vdb(&t.vdb, &t.snapshot);
                return Ok(Outcome::Copied(
                    taken.iter().map(copy).collect::<Result<_, _>>()?,
                ));
            }
            Intent::DeleteSnapshot { snapshot } => self.delete_snapshot_files(snapshot)?,
            Intent::DeleteBookmark { snapshots, .. } => {
                for snapshot in snapshots {
                    self.delete_snapshot_files(snapshot)?;
                }
            }
            Intent::DeleteDSource { dsource, force } => {
                self.end_log(dsource, *force)?;
                self.delete_snapshots_of(dsource)?;
            }
            Intent::Snapshot {
                dsource,
                snapshot,
                source,
            } => {
                let taken = self.take_snapshot(dsource, snapshot, source)?;
                return Ok(Outcome::Taken(taken));
            }
        }
        Ok(Outcome::Done)
    }

    /// The part that changes metadata: the object and the end of its job together.
    pub(crate) fn finish(
        &self,
        job: &str,
        intent: &Intent,
        result: &Result<Outcome, Error>,
    ) -> Result<(), store::Error> {
        if result.is_err() {
            self.discard(intent);
        }
        let retired = match (intent, result) {
            (Intent::Refresh { vdb, .. }, Ok(_)) => self.retired(vdb),
            _ => None,
        };
        self.store.change(|draft| {
            let Some(record) = draft.state.job(job) else {
                return Ok(());
            };
            let ended = ended(record, result.as_ref().err());
            draft.job(ended);
            self.settle(draft, intent, result)
        })?;
        if let Some(root) = retired {
            self.discard_root(&root);
        }
        // Only now: until its end is written down, the job may be carried out again and needs the login.
        match (intent, result) {
            (Intent::Provision { vdb, .. } | Intent::Empty { vdb }, Err(_))
            | (Intent::Delete { vdb }, Ok(_)) => self.forget_server(vdb),
            _ => {}
        }
        Ok(())
    }

    /// The files of what failed; the sweep at the next start does what does not work now.
    fn discard(&self, intent: &Intent) {
        match intent {
            Intent::Provision { vdb, .. } | Intent::Empty { vdb } => {
                if let Err(error) = self.stop_server(vdb, Stop::Immediate) {
                    tracing::error!(vdb, "{}", error_chain(&error));
                }
                self.discard_root(&self.vdb_root(vdb));
                self.discard_replayed(&self.vdb_root(vdb));
            }
            Intent::Refresh { vdb, timeflow, .. } => {
                self.discard_root(&self.timeflow_root(vdb, timeflow));
                self.discard_replayed(&self.timeflow_root(vdb, timeflow));
            }
            Intent::Snapshot {
                dsource, snapshot, ..
            } => {
                self.discard_snapshot(snapshot);
                self.discard_log(dsource);
            }
            Intent::SnapshotVdb { snapshot, .. } => self.discard_snapshot(snapshot),
            Intent::Bookmark { taken, .. } => {
                for taken in taken {
                    self.discard_snapshot(&taken.snapshot);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn discard_root(&self, root: &Path) {
        if let Err(error) = self.storage.delete(root) {
            tracing::warn!(
                path = %root.display(),
                "left for the sweep at the next start: {}",
                error_chain(&error)
            );
        }
    }
}

/// Whether a directory holds a database.
fn readable(vdb: &str, root: &Path) -> Result<(), Error> {
    let version = pgdata::version::major(&root.join("data"));
    let refused = |e| Error::Failed(format!("{vdb} cannot be enabled: {e}"));
    version.map(drop).map_err(refused)
}

/// The job as it is after its end. Who abandoned it keeps that answer.
fn ended(record: &JobRecord, error: Option<&Error>) -> JobRecord {
    let mut job = record.job.clone();
    job.update_time = Some(clock::now());
    if job.status != JobStatus::Abandoned {
        job.status = if error.is_some() {
            JobStatus::Failed
        } else {
            JobStatus::Completed
        };
    }
    for task in job.tasks.iter_mut().flatten() {
        task.status = Some(
            if error.is_some() {
                "FAILED"
            } else {
                "COMPLETED"
            }
            .to_owned(),
        );
        task.end_time.clone_from(&job.update_time);
    }
    match error {
        Some(error) => job.error_details = Some(error_chain(error)),
        None => job.percent_complete = Some(100),
    }
    JobRecord {
        number: record.number,
        job,
        intent: None,
    }
}
