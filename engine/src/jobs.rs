//! Carrying out what a job intends: first the effect, which can be repeated, then the metadata in one change.
//!
//! A crash between the two leaves the intent, and the start carries it out again. Nothing here needs to be undone
//! except a base backup, which is not repeated behind the source's back.

use std::sync::Arc;
use std::time::Duration;

use dct::types::{ContainerizationState, JobStatus, Vdb};

use crate::actions::typed;
use crate::engine::Engine;
use crate::linking::Taken;
use crate::model::{Intent, JobRecord, Kind, Object, Phase};
use crate::store::{self, Draft};
use crate::{clock, document, error_chain, origin, storage};

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
                engine.execute(&job);
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
        while let Err(error) = self.finish(job, &intent, &result) {
            // A full disk, most likely. The job stays under way until its end can be written down.
            tracing::error!(
                job,
                "cannot write the end of a job: {}",
                error_chain(&error)
            );
            std::thread::sleep(Duration::from_secs(2));
        }
        if let Intent::Provision { vdb, .. } = &intent {
            self.measure(vdb);
        }
    }

    /// The part that changes files. Repeating it after a crash leads to the same state.
    pub(crate) fn effect(&self, intent: &Intent) -> Result<Outcome, Error> {
        match intent {
            Intent::Provision { vdb, snapshot } => {
                self.storage
                    .copy(&self.template_root(snapshot), &self.vdb_root(vdb))?;
            }
            Intent::Enable { vdb } => {
                let version = pgdata::version::major(&self.vdb_root(vdb).join("data"));
                version.map_err(|e| Error::Failed(format!("{vdb} cannot be enabled: {e}")))?;
            }
            Intent::Disable { .. } | Intent::Nothing => {}
            Intent::Delete { vdb } => {
                self.storage.delete(&self.vdb_root(vdb))?;
                self.forget_size(vdb);
            }
            Intent::Snapshot {
                snapshot, source, ..
            } => return Ok(Outcome::Taken(self.take_snapshot(snapshot, source)?)),
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
        if let (Intent::Snapshot { snapshot, .. }, Err(_)) = (intent, result) {
            self.discard_snapshot(snapshot);
        }
        if let (Intent::Provision { vdb, .. }, Err(_)) = (intent, result)
            && let Err(error) = self.storage.delete(&self.vdb_root(vdb))
        {
            tracing::warn!(
                vdb,
                "left for the sweep at the next start: {}",
                error_chain(&error)
            );
        }
        self.store.change(|draft| {
            let Some(record) = draft.state.job(job) else {
                return Ok(());
            };
            let ended = ended(record, result.as_ref().err());
            draft.job(ended);
            self.settle(draft, intent, result)
        })
    }

    fn settle(
        &self,
        draft: &mut Draft<'_>,
        intent: &Intent,
        result: &Result<Outcome, Error>,
    ) -> Result<(), store::Error> {
        match (intent, result) {
            (Intent::Provision { vdb, .. }, result) => {
                if let Some(object) = draft.state.any(Kind::Vdb, vdb).cloned() {
                    match result {
                        Ok(_) => draft.put(Object {
                            phase: Phase::Live,
                            ..object
                        }),
                        Err(_) => draft.remove(object.number),
                    }
                }
            }
            (Intent::Enable { vdb }, Ok(_)) => {
                let export = self.export_path(vdb);
                edit(draft, vdb, |doc| {
                    doc.enabled = Some(true);
                    doc.status = Some("RUNNING".to_owned());
                    doc.containerization_state = Some(ContainerizationState::RunningInContainer);
                    doc.exported_data_directory = Some(export);
                })?;
            }
            (Intent::Disable { vdb }, Ok(_)) => edit(draft, vdb, |doc| {
                doc.enabled = Some(false);
                doc.status = Some("INACTIVE".to_owned());
                doc.containerization_state = Some(ContainerizationState::ReadyForContainer);
                doc.exported_data_directory = None;
            })?,
            (Intent::Delete { vdb }, Ok(_)) => {
                if let Some(object) = draft.state.any(Kind::Vdb, vdb) {
                    draft.remove(object.number);
                }
            }
            (
                Intent::Snapshot {
                    dsource, snapshot, ..
                },
                result,
            ) => {
                let taken = match result {
                    Ok(Outcome::Taken(taken)) => Some(taken),
                    _ => None,
                };
                self.settle_snapshot(draft, dsource, snapshot, taken)?;
            }
            (Intent::Enable { .. } | Intent::Disable { .. } | Intent::Delete { .. }, Err(_))
            | (Intent::Nothing, _) => {}
        }
        Ok(())
    }
}

fn edit(
    draft: &mut Draft<'_>,
    vdb: &str,
    change: impl FnOnce(&mut Vdb),
) -> Result<(), store::Error> {
    if let Some(object) = draft.state.any(Kind::Vdb, vdb) {
        let mut doc: Vdb = typed(object)?;
        change(&mut doc);
        draft.rewrite(object, document(&doc));
    }
    Ok(())
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
