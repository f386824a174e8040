//! A base backup becomes a snapshot: taken, made into a template, written down, or discarded.

use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use dct::types::{DSource, Snapshot, Source};

use super::told::Told;
use crate::actions::typed;
use crate::engine::Engine;
use crate::jobs;
use crate::model::{ENGINE_ID, Intent, Kind, Object, Phase, TOOLKIT_ID};
use crate::origin::{self, Archive, Facts, Location, Progress, Until};
use crate::settings::SourceSettings;
use crate::storage;
use crate::store::{self, Draft};
use crate::timeflows;
use crate::{clock, document, error_chain};

pub(crate) struct Taken {
    version: String,
    bytes: u64,
    timestamp: String,
    location: String,
}

/// The log reaches the end of a backup moments after it.
const LOG_WITHIN: Duration = Duration::from_secs(30);

impl Engine {
    pub(crate) fn take_snapshot(
        &self,
        dsource: &str,
        snapshot: &str,
        source: &str,
    ) -> Result<Taken, jobs::Error> {
        let _one_at_a_time = self.backup.lock().unwrap_or_else(PoisonError::into_inner);
        let source = self.declared(source).ok_or_else(|| {
            jobs::Error::Failed(format!("source {source} is not in the settings"))
        })?;
        let mut told = Told::of(self, snapshot);
        if source.wal.is_some()
            && let Err(error) = self.receive_log(dsource)
        {
            // A snapshot without a log behind it is better than none.
            told.warn(&format!(
                "moments after this snapshot cannot be given until the log is received: {}",
                error_chain(&error)
            ));
        }
        let taken = self.with_scratch(snapshot, |scratch| {
            let facts = self.back_up(dsource, snapshot, source, scratch, &mut told)?;
            self.take_with(dsource, snapshot, source, &facts, scratch)
        });
        self.backups().remove(snapshot);
        taken
    }

    /// For what the source tells that it will send, before anything of it is written.
    fn room_for_backup(
        &self,
        dsource: &str,
        snapshot: &str,
        source: &SourceSettings,
        bytes: u64,
    ) -> Result<(), jobs::Error> {
        let intent = Intent::Snapshot {
            dsource: dsource.to_owned(),
            snapshot: snapshot.to_owned(),
            source: source.name.clone(),
        };
        // As a change, so that no order is placed between the two.
        let fits = self.store.change(|draft| {
            let begun = Progress {
                done: 0,
                total: bytes,
            };
            self.backups().insert(snapshot.to_owned(), begun);
            self.room_for(draft.state, &intent)
        });
        fits.map_err(|refusal| jobs::Error::Failed(error_chain(&refusal)))
    }

    /// Until it is there. A backup that broke off or arrived damaged is begun anew after a pause, a few times.
    fn back_up(
        &self,
        dsource: &str,
        snapshot: &str,
        source: &SourceSettings,
        scratch: &Path,
        told: &mut Told<'_>,
    ) -> Result<Facts, jobs::Error> {
        let mut pauses = self.backup_pauses.iter();
        let mut broke_off = false;
        loop {
            let error = match self.back_up_once(dsource, snapshot, source, scratch, told) {
                Ok(facts) => return Ok(facts),
                Err(error) => error,
            };
            // Until it once began, whoever ordered it is told at once what is wrong.
            let again = match error {
                jobs::Error::Origin(
                    origin::Error::BrokeOff { .. } | origin::Error::Damaged { .. },
                ) => {
                    broke_off = true;
                    true
                }
                jobs::Error::Origin(origin::Error::Command(_)) => broke_off,
                _ => false,
            };
            let pause = pauses.next().filter(|_| again);
            let Some(pause) = pause else {
                return Err(error);
            };
            told.warn(&format!(
                "{}; again in {} s",
                error_chain(&error),
                pause.as_secs()
            ));
            std::thread::sleep(*pause);
        }
    }

    fn back_up_once(
        &self,
        dsource: &str,
        snapshot: &str,
        source: &SourceSettings,
        scratch: &Path,
        told: &mut Told<'_>,
    ) -> Result<Facts, jobs::Error> {
        let raw = self.raw_root(snapshot);
        let facts = self.origin.inspect(source, scratch)?;
        // What an attempt before this one left.
        self.storage.delete(&raw)?;
        self.room_for_backup(dsource, snapshot, source, facts.bytes)?;
        storage::private_directory(&self.snapshot_home(snapshot))?;
        tracing::info!(
            source = source.name,
            bytes = facts.bytes,
            version = facts.version,
            "base backup begins"
        );
        self.storage.create(&raw)?;
        told.begin();
        let mut tell = |progress: Progress| {
            if let Some(begun) = self.backups().get_mut(snapshot) {
                begun.done = progress.done;
            }
            told.progress(progress);
        };
        self.origin
            .back_up(source, &facts, &raw, scratch, &mut tell)?;
        Ok(facts)
    }

    fn take_with(
        &self,
        dsource: &str,
        snapshot: &str,
        source: &SourceSettings,
        facts: &Facts,
        scratch: &Path,
    ) -> Result<Taken, jobs::Error> {
        let (raw, template) = (self.raw_root(snapshot), self.template_root(snapshot));
        self.storage.seal(&raw)?;
        self.storage.copy(&raw, &template)?;
        let point = self.origin.make_template(source, &template, scratch)?;
        self.storage.seal(&template)?;
        self.storage.flush(&self.settings.pool)?;
        let bytes = storage::size(&template)?;
        let logged = self.last_commit(dsource, snapshot, source, facts, &point.location);
        let timestamp = logged.or(point.timestamp);
        // The clock was read before the backup: what was committed until then is in it.
        let timestamp = timestamp.map_or_else(|| facts.now.clone(), |t| t.max(facts.now.clone()));
        tracing::info!(source = source.name, bytes, timestamp, "template is ready");
        Ok(Taken {
            version: facts.version.clone(),
            bytes,
            timestamp,
            location: point.location,
        })
    }

    /// The last commit that a backup holds, as the log tells it: recovery replays only what came after the backup began.
    fn last_commit(
        &self,
        dsource: &str,
        snapshot: &str,
        source: &SourceSettings,
        facts: &Facts,
        to: &str,
    ) -> Option<String> {
        source.wal.as_ref()?;
        let (from, to): (Location, Location) = (facts.location.parse().ok()?, to.parse().ok()?);
        // The log of the place belongs to what comes after.
        let until = Until::Location(Location(to.0.saturating_sub(1)));
        let begun = Instant::now();
        loop {
            let wal = self.log_of(dsource, from);
            let raw = self.raw_root(snapshot);
            let found = wal.and_then(|wal| {
                let archive = Archive {
                    raw: &raw,
                    wal: &wal,
                };
                self.origin.find(archive, from, until).ok().flatten()
            });
            if let Some(found) = found.filter(|found| found.passed || found.end >= to) {
                return found
                    .last
                    .and_then(|commit| clock::from_micros(commit.time));
            }
            if begun.elapsed() > LOG_WITHIN {
                tracing::warn!(
                    dsource,
                    "the log did not reach the end of the base backup yet"
                );
                return None;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A dSource that did not come about leaves nothing at its source.
    pub(crate) fn discard_log(&self, dsource: &str) {
        let began = self.store.read(|state| {
            let dsource = state.any(Kind::DSource, dsource);
            dsource.is_some_and(|dsource| dsource.phase == Phase::Creating)
        });
        if began && let Err(error) = self.end_log(dsource, true) {
            tracing::error!(dsource, "{}", error_chain(&error));
        }
    }

    pub(crate) fn discard_snapshot(&self, snapshot: &str) {
        if let Err(error) = self.delete_snapshot_files(snapshot) {
            tracing::error!(
                snapshot,
                "left for the sweep at the next start: {}",
                error_chain(&error)
            );
        }
    }

    pub(crate) fn delete_snapshot_files(&self, snapshot: &str) -> Result<(), storage::Error> {
        let home = self.snapshot_home(snapshot);
        for root in [
            self.template_root(snapshot),
            self.raw_root(snapshot),
            self.taking_root(snapshot),
        ] {
            self.storage.delete(&root)?;
        }
        if storage::exists(&home) {
            storage::files("delete", &home, std::fs::remove_dir_all(&home))?;
        }
        Ok(())
    }

    pub(crate) fn settle_snapshot(
        &self,
        draft: &mut Draft<'_>,
        dsource: &str,
        snapshot: &str,
        taken: Option<&Taken>,
    ) -> Result<(), store::Error> {
        let (Some(dsource), Some(snapshot)) = (
            draft.state.any(Kind::DSource, dsource),
            draft.state.any(Kind::Snapshot, snapshot),
        ) else {
            return Ok(());
        };
        let Some(taken) = taken else {
            draft.remove(snapshot.number);
            if dsource.phase == Phase::Creating {
                draft.remove(dsource.number);
                timeflows::forget(draft, &dsource.id);
            }
            return Ok(());
        };
        let bytes = i64::try_from(taken.bytes).ok();
        let mut doc: DSource = typed(dsource)?;
        doc.database_version = Some(taken.version.clone());
        doc.size = bytes;
        let timeflow = doc.current_timeflow_id.clone();
        timeflows::publish(draft, timeflow.as_deref());
        draft.put(Object {
            phase: Phase::Live,
            doc: document(&doc),
            ..dsource.clone()
        });
        let doc = self.snapshot_doc(snapshot, dsource, timeflow, taken);
        draft.put(Object {
            phase: Phase::Live,
            doc: document(&doc),
            ..snapshot.clone()
        });
        if let Some(source) = dsource
            .parent
            .as_deref()
            .and_then(|id| draft.state.get(Kind::Source, id))
        {
            let mut doc: Source = typed(source)?;
            doc.is_dsource = Some(true);
            doc.linking_enabled = None;
            doc.database_version = Some(taken.version.clone());
            doc.size = bytes;
            draft.rewrite(source, document(&doc));
        }
        Ok(())
    }

    fn snapshot_doc(
        &self,
        snapshot: &Object,
        dsource: &Object,
        timeflow_id: Option<String>,
        taken: &Taken,
    ) -> Snapshot {
        Snapshot {
            id: snapshot.id.clone(),
            name: Some(snapshot.name.clone()),
            engine_id: Some(ENGINE_ID.to_owned()),
            engine_name: Some(self.settings.engine_name.clone()),
            dataset_id: Some(dsource.id.clone()),
            dataset_name: Some(dsource.name.clone()),
            timeflow_id,
            consistency: Some("CONSISTENT".to_owned()),
            creation_time: Some(clock::now()),
            timestamp: Some(taken.timestamp.clone()),
            location: Some(taken.location.clone()),
            timezone: Some("UTC,UTC+0000".to_owned()),
            version: Some(taken.version.clone()),
            temporary: Some(false),
            appdata_toolkit: Some(TOOLKIT_ID.to_owned()),
            ..Snapshot::default()
        }
    }
}
