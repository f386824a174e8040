//! What the process remembers of each resource. Losing it costs a few more calls, never correctness.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use environment::status::{Intent, Stage};
use jiff::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::built::Built;
use super::plan::PROBE_INTERVAL;
use super::probe::BETWEEN;
use super::sight::Sight;
use crate::clock::between;
use crate::crd::Key;
use crate::sql::{Collations, Preparation};

/// The first retry comes soon, later ones at most this far apart.
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);
/// A read that is further behind than this is no lag: somebody has put an earlier state back.
const LONGEST_LAG: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, Default)]
pub struct Remembered {
    uid: String,
    /// Since then this process knows the resource.
    pub met: Option<Timestamp>,
    /// This process has just written this intent and sent nothing yet; and the source that it resolved.
    pub fresh_intent: Option<(Intent, String)>,
    /// Since then an order about the data may have been sent that nobody wrote down: by this process, or by one before.
    pub unsure_since: Option<Timestamp>,
    pub prepared: Option<Prepared>,
    /// The stop that sessions were told of last.
    pub told: Option<String>,
    pub stages: Vec<Stage>,
    pub last_write: Option<Timestamp>,
    pub last_proof: Option<Timestamp>,
    /// Until then a resource that rests needs no look.
    pub probe_at: Option<Timestamp>,
    /// Queries since a whole pass found that it rests.
    pub probes: u32,
    /// Generation of its set when it last rested: another one was changed by hand.
    pub set: Option<i64>,
    pub failures: u32,
    pub built: Built,
    /// This process itself has put the finalizer on the resource, and has sent nothing for it: nothing was ordered yet.
    pub is_new: bool,
    versions: Versions,
}

/// What was prepared, and what it showed.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Of the pod: uid and restarts.
    pub run: String,
    pub order: Preparation,
    pub collations: Collations,
}

/// How far this process has followed the resource. Versions of a custom resource are revisions of the cluster's store:
/// numbers that only grow.
#[derive(Clone, Debug, Default)]
struct Versions {
    /// The resource is at least this far.
    reached: u64,
    at: Option<Timestamp>,
    /// The API server itself has compared a version with the present one for this process.
    confirmed: bool,
}

impl Remembered {
    /// Whether a version that was read may be the present one. What a lagging server shows may be older than what this
    /// process has read or written before: to act on it would undo or repeat what was done since.
    pub fn sees(&mut self, version: &str, now: Timestamp) -> bool {
        // Of another store, nothing is known.
        let Ok(version) = version.parse::<u64>() else {
            return true;
        };
        let known = &mut self.versions;
        let lags = known.at.is_some_and(|at| between(at, now) < LONGEST_LAG);
        if version < known.reached && lags {
            return false;
        }
        (known.reached, known.at) = (version, Some(now));
        true
    }

    /// This process has written over this version, which was the present one.
    pub fn replaced(&mut self, version: Option<&str>, now: Timestamp) {
        self.versions.confirmed = true;
        let version = version.and_then(|v| v.parse::<u64>().ok());
        if let Some(version) = version.filter(|v| *v >= self.versions.reached) {
            (self.versions.reached, self.versions.at) = (version + 1, Some(now));
        }
    }

    /// No read of this process can be behind what an earlier process did.
    pub fn is_confirmed(&self) -> bool {
        self.versions.confirmed
    }

    pub fn confirm(&mut self) {
        self.versions.confirmed = true;
    }

    /// One failure more, and how long to wait after it: doubling, with jitter so that many do not return together.
    pub fn backoff(&mut self) -> Duration {
        let step = Duration::from_millis(500) * 2u32.pow(self.failures.min(8));
        self.failures += 1;
        step.min(LONGEST_BACKOFF)
            .mul_f64(rand::random_range(0.8..1.2))
    }
}

#[derive(Default)]
pub struct Memory {
    all: Mutex<HashMap<Key, Remembered>>,
    pub sight: Sight,
    pub helpers: Helpers,
}

/// Whoever writes a namespace's helper has a turn, two at once: each write holds it in memory several times.
pub struct Helpers(Semaphore);

impl Default for Helpers {
    fn default() -> Self {
        Self(Semaphore::new(2))
    }
}

impl Helpers {
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.0.acquire().await.ok()
    }
}

impl Memory {
    /// A resource of the same name with another uid is another resource.
    pub fn meet(&self, key: &Key, uid: &str, now: Timestamp) {
        self.with(key, |remembered| {
            if remembered.uid != uid {
                *remembered = Remembered {
                    uid: uid.to_owned(),
                    met: Some(now),
                    unsure_since: Some(now),
                    versions: Versions {
                        confirmed: false,
                        ..std::mem::take(&mut remembered.versions)
                    },
                    ..Remembered::default()
                };
            }
        });
    }

    /// How long a resource that rests may be left alone. What this process has not looked at yet it believes until a
    /// probe, at a random moment, so that the probes of all do not come together.
    pub fn rest(&self, key: &Key, uid: &str, set: i64, now: Timestamp) -> Option<Duration> {
        self.meet(key, uid, now);
        self.with(key, |remembered| {
            let at = *remembered
                .probe_at
                .get_or_insert_with(|| now + PROBE_INTERVAL.mul_f64(rand::random_range(0.1..1.0)));
            let known = *remembered.set.get_or_insert(set);
            if known != set {
                // Not the query alone.
                remembered.probes = BETWEEN;
            }
            (known == set && at > now).then(|| between(now, at))
        })
    }

    pub fn with<T>(&self, key: &Key, change: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut all = self
            .all
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        change(all.entry(key.clone()).or_default())
    }

    /// The visit is over: what only its passes share goes.
    pub fn leave(&self, key: &Key) {
        self.sight.leave(key);
        let mut all = self
            .all
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(remembered) = all.get_mut(key) {
            remembered.built = Built::default();
        }
    }

    pub fn forget(&self, key: &Key) {
        self.sight.forget(key);
        self.all
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_was_written_over_is_not_acted_on_until_it_can_be_no_lag_any_more() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut memory = Remembered::default();
        assert!(memory.sees("5", now) && memory.sees("5", now));
        memory.replaced(Some("5"), now);
        assert!(!memory.sees("5", now), "its own write has replaced it");
        assert!(memory.sees("6", now) && memory.sees("9", now));
        assert!(!memory.sees("7", now), "it has read a later one");
        assert!(memory.sees("10", now), "they are numbers, not text");
        assert!(memory.sees("of another store", now));
        let later = now + LONGEST_LAG;
        assert!(memory.sees("5", later), "a backup was put back");
        assert!(memory.sees("5", later) && memory.sees("6", later));
    }

    #[test]
    fn another_resource_of_the_name_is_met_anew_and_the_earlier_one_stays_past() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let (memory, key) = (
            Memory::default(),
            Key {
                namespace: "n".into(),
                name: "a".into(),
            },
        );
        let sees = |version: &str| memory.with(&key, |m| m.sees(version, now));
        memory.meet(&key, "u-1", now);
        assert!(sees("5"));
        memory.with(&key, |m| (m.replaced(Some("5"), now), m.is_new = true));
        assert!(sees("8"));
        memory.meet(&key, "u-2", now);
        let known = memory.with(&key, |m| (m.is_new, m.is_confirmed()));
        assert_eq!(known, (false, false));
        assert!(!sees("7") && sees("9"));
    }
}
