//! What the process remembers of each resource. Losing it costs a few more calls, never correctness.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use environment::status::{Intent, Stage};
use jiff::Timestamp;

use super::built::Built;
use super::plan::PROBE_INTERVAL;
use super::sight::Sight;
use crate::clock::between;
use crate::crd::Key;
use crate::sql::Preparation;

/// The first retry comes soon, later ones at most this far apart.
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, Default)]
pub struct Remembered {
    uid: String,
    /// Since then this process knows the resource.
    pub met: Option<Timestamp>,
    /// This process has just written this intent and sent nothing yet; and the source that it resolved.
    pub fresh_intent: Option<(Intent, String)>,
    /// Since then an order about the data may have been sent that nobody wrote down: by this process, or by one before.
    pub unsure_since: Option<Timestamp>,
    /// Run of the pod (uid and restarts) that was prepared, and for what.
    pub prepared: Option<(String, Preparation)>,
    pub stages: Vec<Stage>,
    pub last_write: Option<Timestamp>,
    pub last_proof: Option<Timestamp>,
    /// Until then a resource that rests needs no look.
    pub probe_at: Option<Timestamp>,
    /// Generation of its set when it last rested: another one was changed by hand.
    pub set: Option<i64>,
    pub failures: u32,
    pub built: Built,
}

impl Remembered {
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

    pub fn forget(&self, key: &Key) {
        self.sight.forget(key);
        self.all
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(key);
    }
}
