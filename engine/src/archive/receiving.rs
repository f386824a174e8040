//! One receiver for each linked source, started again whenever it ends.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use pgdata::wal;
use rustix::process::Signal;

use crate::engine::{Engine, children};
use crate::model::Kind;
use crate::origin::Location;
use crate::settings::{SourceSettings, WalSettings};
use crate::{error_chain, jobs, process, storage};

const ROUND: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_secs(15);
const TIDY_EVERY: Duration = Duration::from_mins(1);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// What pg_receivewal says of a segment's file that it was killed over while it made it, each time it is started.
const HALF_A_FILE: &str = "bytes, should be 0 or";
const FIRST_FILE_WITHIN: Duration = Duration::from_secs(10);
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// A base backup that does not come about is not asked for again at once.
const BACKUP_EVERY: Duration = Duration::from_mins(5);

/// What is known of the receivers, by dSource.
pub(crate) type Lines = HashMap<String, Line>;

/// One dSource's receiver, and when something is to be done about it.
pub(crate) struct Line {
    receiver: Option<Receiver>,
    again: Instant,
    pause: Duration,
    looked: Instant,
    tidied: Instant,
    ordered: Option<Instant>,
}

impl Default for Line {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            receiver: None,
            again: now,
            pause: FIRST_PAUSE,
            looked: now,
            tidied: now,
            ordered: None,
        }
    }
}

impl Line {
    fn runs(&mut self) -> bool {
        let status = self.receiver.as_mut().map(|r| r.child.try_wait());
        match status {
            Some(Ok(None)) => true,
            Some(ended) => {
                let said = self.receiver.as_ref().map(Receiver::said);
                let said = said.unwrap_or_default();
                tracing::warn!(?ended, "a receiver ended: {said}");
                if let Some(receiver) = &self.receiver
                    && said.contains(HALF_A_FILE)
                {
                    receiver.forget_halves();
                }
                self.receiver = None;
                self.later();
                false
            }
            None => false,
        }
    }

    fn later(&mut self) {
        self.again = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

struct Receiver {
    child: Child,
    begun: Instant,
    into: PathBuf,
    scratch: PathBuf,
}

impl Receiver {
    fn said(&self) -> String {
        let log = std::fs::read_to_string(self.scratch.join("receiver.log"));
        process::tail(&log.unwrap_or_default())
    }

    /// The source still has what such a file held: it keeps each segment until it was received to its end.
    fn forget_halves(&self) {
        for name in children(&self.into) {
            if name.ends_with(".partial") {
                let path = self.into.join(name);
                let removed = std::fs::remove_file(&path);
                tracing::warn!(path = %path.display(), ?removed, "a file that a killed receiver had not made whole");
            }
        }
    }
}

/// What was received so far stays: it goes on there.
impl Drop for Receiver {
    fn drop(&mut self) {
        process::end(&mut self.child, Signal::INT, ENDS_WITHIN);
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

/// The thread that keeps the receivers; they end with it.
pub struct Archiving {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Archiving {
    pub fn begin(engine: &Arc<Engine>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, over) = (Arc::clone(engine), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                for job in engine.keep_logs() {
                    let engine = Arc::clone(&engine);
                    std::thread::spawn(move || engine.execute(&job));
                }
                std::thread::park_timeout(ROUND);
            }
            engine.stop_receiving();
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Archiving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Engine {
    pub(super) fn stop_receiving(&self) {
        self.lags
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// One look at all receivers. Returns the jobs that were ordered: base backups for logs that lost their beginning.
    pub fn keep_logs(&self) -> Vec<String> {
        let dsources: Vec<String> = self.store.read(|state| {
            let all = state.objects(Kind::DSource);
            all.map(|dsource| dsource.id.clone()).collect()
        });
        let mut jobs = Vec::new();
        for dsource in dsources {
            if self.logged(&dsource).is_some() {
                match self.keep_log(&dsource) {
                    Ok(()) => jobs.extend(self.back_up_anew(&dsource)),
                    Err(error) => tracing::warn!(dsource, "no log now: {}", error_chain(&error)),
                }
            } else if self.is_unwanted(&dsource)
                && let Err(error) = self.end_log(&dsource, false)
            {
                tracing::warn!(dsource, "{}", error_chain(&error));
            }
        }
        jobs
    }

    /// The settings no longer ask for the log that is there. A job that deletes a dSource does this by itself.
    fn is_unwanted(&self, dsource: &str) -> bool {
        let live = self.store.read(|state| {
            state.get(Kind::DSource, dsource).is_some() && state.busy(dsource).is_none()
        });
        let declared = self.source_of(dsource).is_some_and(|s| s.wal.is_none());
        live && declared && storage::exists(&self.wal_home(dsource))
    }

    /// Receives from now on, before a base backup begins.
    pub(crate) fn receive_log(&self, dsource: &str) -> Result<(), jobs::Error> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(dsource.to_owned()).or_default();
        if line.runs() {
            return Ok(());
        }
        line.receiver = self.begin_receiver(dsource)?;
        Ok(())
    }

    fn keep_log(&self, dsource: &str) -> Result<(), jobs::Error> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(dsource.to_owned()).or_default();
        if line.runs() {
            if line.looked.elapsed() > LOOK_EVERY {
                line.looked = Instant::now();
                if self.lags(dsource)? {
                    line.receiver = None;
                    line.again = Instant::now();
                } else {
                    line.pause = FIRST_PAUSE;
                }
            }
            if line.tidied.elapsed() > TIDY_EVERY {
                line.tidied = Instant::now();
                self.tidy_log(dsource);
            }
            return Ok(());
        }
        self.tell_lag(dsource, None);
        if Instant::now() < line.again {
            return Ok(());
        }
        line.receiver = self.begin_receiver(dsource).inspect_err(|_| line.later())?;
        Ok(())
    }

    fn lags(&self, dsource: &str) -> Result<bool, jobs::Error> {
        let Some((source, wal)) = self.logged(dsource) else {
            return Ok(false);
        };
        let name = self.slot_name(dsource);
        // Until it is known again.
        self.tell_lag(dsource, None);
        let slot = self.with_scratch(&format!("look-{dsource}"), |scratch| {
            Ok(self.origin.slot(source, &name, scratch)?)
        })?;
        self.tell_lag(dsource, slot.map(|slot| slot.lag));
        Ok(slot.is_none_or(|slot| slot.lost || slot.lag > wal.max_lag()))
    }

    /// Apart from the lines, which are locked as long as a source takes to answer.
    fn tell_lag(&self, dsource: &str, lag: Option<u64>) {
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        match lag {
            Some(lag) => lags.insert(dsource.to_owned(), lag),
            None => lags.remove(dsource),
        };
    }

    /// What a source whose log is received held back for the engine at the last look, in bytes.
    pub(crate) fn lag_of(&self, dsource: &str) -> Option<u64> {
        let lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        lags.get(dsource).copied()
    }

    /// The slot first, the generation before it: a crash between any two steps leaves what the next start goes on from.
    fn begin_receiver(&self, dsource: &str) -> Result<Option<Receiver>, jobs::Error> {
        // Whoever deletes the dSource has stopped its receiver already.
        let Some((source, wal)) = self.logged(dsource) else {
            return Ok(None);
        };
        let scratch = self.scratch(&format!("wal-{dsource}"));
        storage::private_directory(&scratch)?;
        let begun = self.begin_with(dsource, source, wal, &scratch);
        if begun.is_err() {
            let _ = std::fs::remove_dir_all(&scratch);
        }
        begun.map(|(child, into)| {
            Some(Receiver {
                child,
                begun: Instant::now(),
                into,
                scratch,
            })
        })
    }

    fn begin_with(
        &self,
        dsource: &str,
        source: &SourceSettings,
        wal: &WalSettings,
        scratch: &Path,
    ) -> Result<(Child, PathBuf), jobs::Error> {
        let slot = self.slot_name(dsource);
        let found = self.origin.slot(source, &slot, scratch)?;
        let newest = self.generations(dsource).pop();
        let has_segments = newest
            .as_ref()
            .is_some_and(|(_, path)| !matches!(wal::first(path), Ok(None)));
        let good = found.is_some_and(|slot| !slot.lost && slot.lag <= wal.max_lag());
        let into = match &newest {
            // The slot goes on where the log ended.
            Some((_, path)) if good || !has_segments => path.clone(),
            _ => {
                let number = newest.as_ref().map_or(1, |(number, _)| number + 1);
                let path = self.wal_home(dsource).join(number.to_string());
                storage::private_directory(&path)?;
                path
            }
        };
        // A slot without a log of ours was left behind by an engine that was interrupted.
        if !good || newest.is_none() {
            if let Some(slot) = found {
                tracing::warn!(
                    dsource,
                    ?slot,
                    "gives up the slot; moments between its log and the next base backup are lost"
                );
            }
            self.origin.drop_slot(source, &slot, scratch)?;
            self.origin.make_slot(source, &slot, scratch)?;
        }
        let child = self.origin.receive(source, &slot, &into, scratch)?;
        self.tell_lag(
            dsource,
            Some(found.filter(|_| good).map_or(0, |slot| slot.lag)),
        );
        tracing::info!(dsource, slot, into = %into.display(), "receives the log");
        Ok((child, into))
    }

    /// A base backup if the log does not hold the place of the newest one: nothing of it could be given. The log of an
    /// idle source has no file; that of another has one as soon as it is received.
    fn back_up_anew(&self, dsource: &str) -> Option<String> {
        let (_, newest) = self.generations(dsource).pop()?;
        let last = self.store.read(|state| {
            let known =
                state.get(Kind::DSource, dsource).is_some() && state.busy(dsource).is_none();
            let own = state.live(Kind::Snapshot);
            let own = own.filter(|s| s.parent.as_deref() == Some(dsource));
            let places =
                own.filter_map(|s| s.doc.get("location")?.as_str()?.parse::<Location>().ok());
            places.max().filter(|_| known)
        });
        let lacks = last.is_some_and(|place| self.log_of(dsource, place).as_ref() != Some(&newest));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.get_mut(dsource)?;
        let receives = line.receiver.as_ref()?.begun.elapsed() > FIRST_FILE_WITHIN;
        let has_file = matches!(wal::first(&newest), Ok(Some(_)));
        let rests = line.ordered.is_some_and(|at| at.elapsed() < BACKUP_EVERY);
        if !lacks || rests || !(has_file || receives) {
            return None;
        }
        line.ordered = Some(Instant::now());
        drop(lines);
        tracing::info!(
            dsource,
            "a new base backup: the log has a gap behind the last"
        );
        match self.snapshot(dsource) {
            Ok(job) => Some(job.id),
            Err(refusal) => {
                tracing::warn!(dsource, "no snapshot now: {}", error_chain(&refusal));
                None
            }
        }
    }
}
