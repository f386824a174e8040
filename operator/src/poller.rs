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
/// One lost connection is no news; so many failed polls in a row are.
const TROUBLE: u32 = 2;

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

#[derive(Default)]
struct Jobs {
    all: HashMap<String, Watched>,
    /// Ids that a resource has waited for; some may be gone.
    of: HashMap<Key, Vec<String>>,
}

pub struct Poller {
    jobs: Mutex<Jobs>,
    /// Failed polls in a row, and what the last one met.
    failures: Mutex<(u32, Option<Error>)>,
    wake: Notify,
    finished: mpsc::UnboundedSender<Key>,
}

impl Poller {
    /// `finished` names every resource whose job is over.
    pub fn new(finished: mpsc::UnboundedSender<Key>) -> Self {
        Self {
            jobs: Mutex::default(),
            failures: Mutex::default(),
            wake: Notify::new(),
            finished,
        }
    }

    /// What is known of a job; from now on it is polled.
    pub fn progress(&self, id: &str, key: &Key) -> Progress {
        let mut jobs = self.lock();
        if let Some(watched) = jobs.all.get(id) {
            return watched.progress.clone();
        }
        jobs.of.entry(key.clone()).or_default().push(id.to_owned());
        jobs.all.insert(
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
        let mut jobs = self.lock();
        for id in jobs.of.remove(key).unwrap_or_default() {
            jobs.all.remove(&id);
        }
    }

    pub fn forget_job(&self, id: &str) {
        self.lock().all.remove(id);
    }

    /// Why nothing is known of running jobs at present.
    pub fn trouble(&self) -> Option<Error> {
        let failures = self.failures.lock();
        let (count, error) = &*failures.unwrap_or_else(std::sync::PoisonError::into_inner);
        error.clone().filter(|_| *count >= TROUBLE)
    }

    /// Asks once for every job that is not over; says whether one of them came to its end.
    pub async fn poll_once(&self, dct: &dyn Dct) -> Result<bool, Error> {
        let polled = self.poll(dct).await;
        self.met(polled.as_ref().err().cloned());
        polled
    }

    fn met(&self, error: Option<Error>) {
        let failures = self.failures.lock();
        let mut failures = failures.unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = failures.0.saturating_add(1);
        *failures = (error.as_ref().map_or(0, |_| count), error);
    }

    async fn poll(&self, dct: &dyn Dct) -> Result<bool, Error> {
        let mut changed = false;
        for batch in self.running().chunks(BATCH) {
            let found = dct.jobs(batch).await?;
            let mut jobs = self.lock();
            for id in batch {
                let Some(watched) = jobs.all.get_mut(id) else {
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
                // Whoever had jobs is gone; what was met then says nothing about the next.
                self.met(None);
                self.wake.notified().await;
                interval = shortest;
            } else if running > known {
                interval = shortest;
            }
            known = running;
            // However many jobs there are, searches follow each other no faster than this.
            clock.sleep(interval.max(pause(running, shortest))).await;
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

    /// No job is waited for: there is nothing to poll.
    pub fn is_idle(&self) -> bool {
        let jobs = self.lock();
        let mut all = jobs.all.values();
        !all.any(|watched| matches!(watched.progress, Progress::Running))
    }

    fn running(&self) -> Vec<String> {
        self.lock()
            .all
            .iter()
            .filter(|(_, watched)| matches!(watched.progress, Progress::Running))
            .map(|(id, _)| id.clone())
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Jobs> {
        self.jobs
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn pause(jobs: usize, shortest: Duration) -> Duration {
    let searches = u32::try_from(jobs.div_ceil(BATCH)).unwrap_or(u32::MAX);
    shortest.saturating_mul(searches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_no_more_frequent_for_many_jobs_than_for_few() {
        let shortest = Duration::from_millis(200);
        for (jobs, seconds) in [(1, 0.2), (100, 0.2), (101, 0.4), (10_000, 20.0)] {
            assert_eq!(
                pause(jobs, shortest),
                Duration::from_secs_f64(seconds),
                "{jobs}"
            );
        }
    }

    #[test]
    fn a_resource_that_is_forgotten_takes_its_jobs_along_and_no_others() {
        let (finished, _told) = mpsc::unbounded_channel();
        let poller = Poller::new(finished);
        let key = |name: &str| Key {
            namespace: "n".to_owned(),
            name: name.to_owned(),
        };
        for (id, name) in [("j-1", "a"), ("j-2", "a"), ("j-3", "b")] {
            poller.progress(id, &key(name));
        }
        poller.forget(&key("a"));
        assert_eq!(poller.running(), ["j-3"]);
    }
}
