//! One poller for all running jobs of Data Control Tower: one search per 100 jobs instead of one read per job, because
//! calls are metered. The interval is short after a change and doubles while nothing happens.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use dct::types::Job;
use tokio::sync::{Notify, mpsc};

use crate::clock::Clock;
use crate::crd::Key;
use crate::tower::{Dct, Error};

/// A search names at most this many ids.
const BATCH: usize = 100;
/// A job that so many polls in a row did not show is gone (the tower drops old jobs): look at its object instead.
const MISSES: u32 = 5;

/// What is known of a job.
#[derive(Clone, Debug)]
pub enum Progress {
    Running,
    Over(Box<Job>),
    /// The tower does not know it.
    Gone,
}

struct Watched {
    key: Key,
    progress: Progress,
    misses: u32,
}

pub struct Poller {
    jobs: Mutex<HashMap<String, Watched>>,
    wake: Notify,
    finished: mpsc::UnboundedSender<Key>,
}

impl Poller {
    /// `finished` names every resource whose job is over.
    pub fn new(finished: mpsc::UnboundedSender<Key>) -> Self {
        Self {
            jobs: Mutex::default(),
            wake: Notify::new(),
            finished,
        }
    }

    /// What is known of a job; from now on it is polled.
    pub fn progress(&self, id: &str, key: &Key) -> Progress {
        let mut jobs = self.lock();
        if let Some(watched) = jobs.get(id) {
            return watched.progress.clone();
        }
        jobs.insert(
            id.to_owned(),
            Watched {
                key: key.clone(),
                progress: Progress::Running,
                misses: 0,
            },
        );
        self.wake.notify_one();
        Progress::Running
    }

    /// The resource no longer waits for any job.
    pub fn forget(&self, key: &Key) {
        self.lock().retain(|_, watched| watched.key != *key);
    }

    pub fn forget_job(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Asks once for every job that is not over; says whether one of them came to its end.
    pub async fn poll_once(&self, dct: &dyn Dct) -> Result<bool, Error> {
        let mut changed = false;
        for batch in self.running().chunks(BATCH) {
            let found = dct.jobs(batch).await?;
            let mut jobs = self.lock();
            for id in batch {
                let Some(watched) = jobs.get_mut(id) else {
                    continue;
                };
                match found.iter().find(|job| job.id == *id) {
                    Some(job) if job.status.is_over() => {
                        watched.progress = Progress::Over(Box::new(job.clone()));
                    }
                    Some(_) => watched.misses = 0,
                    None if watched.misses >= MISSES => watched.progress = Progress::Gone,
                    None => watched.misses += 1,
                }
                if !matches!(watched.progress, Progress::Running) {
                    changed = true;
                    // The receiver ends with the controller; then nobody is to be told.
                    let _ = self.finished.send(watched.key.clone());
                }
            }
        }
        Ok(changed)
    }

    pub async fn run(
        &self,
        dct: &dyn Dct,
        clock: &dyn Clock,
        shortest: Duration,
        longest: Duration,
    ) {
        let mut interval = shortest;
        let mut known = 0;
        loop {
            let running = self.running().len();
            if running == 0 {
                self.wake.notified().await;
                interval = shortest;
            } else if running > known {
                interval = shortest;
            }
            known = running;
            clock.sleep(interval).await;
            interval = match self.poll_once(dct).await {
                Ok(true) => shortest,
                Ok(false) => longest.min(interval.mul_f64(1.5)),
                Err(error) => {
                    tracing::warn!(error = %error, "jobs could not be polled");
                    longest
                }
            };
        }
    }

    fn running(&self) -> Vec<String> {
        self.lock()
            .iter()
            .filter(|(_, watched)| matches!(watched.progress, Progress::Running))
            .map(|(id, _)| id.clone())
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Watched>> {
        self.jobs
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
