//! Carrying out what a job intends: first the effect, which can be repeated, then the metadata in one change.
//!
//! A crash between the two leaves the intent, and the start carries it out again. Nothing here needs to be undone
//! except a base backup, which is not repeated behind the source's back.

use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dct::types::JobStatus;

use crate::engine::{CLONES_AT_ONCE, Engine};
use crate::linking::Taken;
use crate::model::{Intent, JobRecord, Kind, TakenOf};
use crate::servers::{Stop, stop_on};
use crate::snapshots::Copied;
use crate::{clock, error_chain, hooks, origin, storage, store};

const LOOK_AFTER: Duration = Duration::from_secs(10);
const LOOK_NICENESS: i32 = 10;
const LOOK_AT_LATEST: Duration = Duration::from_secs(60);

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
            let looking = Arc::clone(&engine);
            let work = tokio::task::spawn_blocking(move || {
                // A base backup has a queue of its own, and scripts of others take what they take.
                let _permit = if engine.is_long(&job) {
                    None
                } else {
                    permit.ok()
                };
                let copy = engine.copy_of(&job);
                engine.execute_or_fail(&job);
                *engine.last_order() = Instant::now();
                copy
            });
            match work.await {
                Ok(Some(vdb)) => looking.look_later(vdb).await,
                Ok(None) => {}
                Err(error) => tracing::error!("a job ended without an answer: {error}"),
            }
        });
    }

    /// The VDB that gets new data from a job.
    fn copy_of(&self, job: &str) -> Option<String> {
        self.store
            .read(|state| match state.job(job)?.intent.as_ref()? {
                Intent::Provision { vdb, .. } | Intent::Refresh { vdb, .. } => Some(vdb.clone()),
                _ => None,
            })
    }

    fn last_order(&self) -> MutexGuard<'_, Instant> {
        let last = self.last_order.lock();
        last.unwrap_or_else(PoisonError::into_inner)
    }

    /// How long nobody has had an order carried out. Between two of many there is a moment without any as well.
    fn calm_for(&self) -> Duration {
        if self.clones.available_permits() < CLONES_AT_ONCE {
            return Duration::ZERO;
        }
        self.last_order().elapsed()
    }

    /// Looks at what a copy takes once no orders are carried out any more: it costs as much as to make one.
    async fn look_later(self: Arc<Self>, vdb: String) {
        let begun = Instant::now();
        loop {
            let still = LOOK_AFTER.saturating_sub(self.calm_for());
            let still = still.min(LOOK_AT_LATEST.saturating_sub(begun.elapsed()));
            if still.is_zero() {
                break;
            }
            tokio::time::sleep(still).await;
        }
        let Ok(_one_at_a_time) = self.looks.acquire().await else {
            return;
        };
        let engine = Arc::clone(&self);
        let look = move || {
            // For good, and for what this thread starts: whoever has an order comes first.
            let _ = rustix::process::nice(LOOK_NICENESS);
            let there = |state: &store::State| state.any(Kind::Vdb, &vdb).is_some();
            if engine.store.read(there) {
                engine.size_of(&vdb);
            }
        };
        let looked = tokio::task::spawn_blocking(|| std::thread::spawn(look).join());
        if !matches!(looked.await, Ok(Ok(()))) {
            tracing::error!("a look at a copy's size ended without an answer");
        }
    }

    fn is_long(&self, job: &str) -> bool {
        let (backup, target) = self
            .store
            .read(|state| {
                let record = state.job(job)?;
                let backup = matches!(record.intent, Some(Intent::Snapshot { .. }));
                Some((backup, record.job.target_id.clone()?))
            })
            .unwrap_or_default();
        backup || !self.hooked(job, &target).is_empty()
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
        let begun = Instant::now();
        let result = self.effect(job, &intent);
        self.end_hooks(job);
        match &result {
            Ok(_) => tracing::info!(job, ?intent, elapsed = ?begun.elapsed(), "done"),
            Err(error) => tracing::error!(job, ?intent, "{}", error_chain(error)),
        }
        self.conclude(job, &intent, &result);
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
    fn effect(&self, job: &str, intent: &Intent) -> Result<Outcome, Error> {
        match intent {
            Intent::Provision { vdb, snapshot, at } => {
                self.make(job, vdb, |root| self.fill(root, snapshot, at.as_deref()))?;
            }
            Intent::Empty { vdb } => self.make(job, vdb, |root| self.make_empty(root))?,
            Intent::Start { vdb } => self.start_with_hooks(job, vdb)?,
            Intent::Stop { vdb, abort } => {
                let how = if *abort { Stop::Immediate } else { Stop::Fast };
                self.stop_with_hooks(job, vdb, how)?;
            }
            Intent::Refresh {
                vdb,
                snapshot,
                timeflow,
                at,
            } => {
                self.renew_data(job, vdb, timeflow, |to| {
                    self.fill(to, snapshot, at.as_deref())
                })?;
            }
            Intent::Switch { vdb, timeflow } => {
                let to = self.timeflow_root(vdb, timeflow);
                readable(vdb, &to)?;
                self.move_server(vdb, &to)?;
            }
            Intent::Enable { vdb, start } => {
                let root = self.vdb_root(vdb);
                readable(vdb, &root)?;
                if *start && self.served(vdb) {
                    self.start_with_hooks(job, vdb)?;
                }
            }
            Intent::Disable { vdb, cleanup } => match (self.served(vdb), *cleanup) {
                (true, true) => self.stop_with_hooks(job, vdb, Stop::Fast)?,
                (true, false) => self.stop_server(vdb, Stop::Immediate)?,
                (false, _) => {}
            },
            Intent::Nothing => {}
            Intent::Delete { vdb } => {
                self.stop_server(vdb, Stop::Immediate)?;
                self.delete_vdb_files(vdb)?;
            }
            Intent::SnapshotVdb { vdb, snapshot } => {
                let copied = self.copy_with_hooks(job, vdb, snapshot)?;
                return Ok(Outcome::Copied(vec![copied]));
            }
            Intent::Bookmark { taken, .. } => {
                let copy = |t: &TakenOf| self.copy_with_hooks(job, &t.vdb, &t.snapshot);
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

    /// The first data of a VDB.
    fn make(
        &self,
        job: &str,
        vdb: &str,
        fill: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (root, hooked) = (self.vdb_root(vdb), self.hooked(job, vdb));
        let lists = hooks::PROVISION.after;
        hooked.anew(&root, lists)?;
        fill(&root)?;
        hooked.prepare(&root, lists)?;
        if self.served(vdb) {
            // One that was started for hooks alone may have outlived an engine that was killed.
            stop_on(&root)?;
            self.start_server(vdb, &root)?;
        }
        Ok(())
    }

    /// Other data for a VDB, which has its old until this is over, and keeps it if this fails.
    fn renew_data(
        &self,
        job: &str,
        vdb: &str,
        timeflow: &str,
        fill: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (to, hooked) = (self.timeflow_root(vdb, timeflow), self.hooked(job, vdb));
        let around = self.store.read(|state| hooks::of_renewal(state, timeflow));
        if hooked.any(around.before) {
            // An engine that was killed over this may have stopped it.
            self.serve_current(vdb);
            hooked.run(&self.vdb_root(vdb), around.before)?;
        }
        hooked.anew(&to, around.after)?;
        fill(&to)?;
        let prepared = hooked.prepare(&to, around.after);
        if prepared.is_err() {
            self.move_back(vdb, &to)?;
        }
        prepared?;
        self.move_server(vdb, &to)
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
