//! What the process remembers of each resource. Losing it costs a few more calls, never correctness.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use environment::status::Stage;
use jiff::Timestamp;

use crate::crd::Key;

/// The first retry comes soon, later ones at most this far apart.
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, Default)]
pub struct Remembered {
    uid: String,
    /// This process has just written the intent and sent nothing yet: the source that it resolved.
    pub fresh_intent: Option<String>,
    /// Since then an order about the data may have been sent that nobody wrote down: by this process, or by one before.
    pub unsure_since: Option<Timestamp>,
    /// Run of the pod (uid and restarts) that was prepared.
    pub prepared: Option<String>,
    pub stages: Vec<Stage>,
    pub last_write: Option<Timestamp>,
    pub last_proof: Option<Timestamp>,
    pub failures: u32,
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
pub struct Memory(Mutex<HashMap<Key, Remembered>>);

impl Memory {
    /// A resource of the same name with another uid is another resource.
    pub fn meet(&self, key: &Key, uid: &str, now: Timestamp) {
        self.with(key, |remembered| {
            if remembered.uid != uid {
                *remembered = Remembered {
                    uid: uid.to_owned(),
                    unsure_since: Some(now),
                    ..Remembered::default()
                };
            }
        });
    }

    pub fn with<T>(&self, key: &Key, change: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut all = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        change(all.entry(key.clone()).or_default())
    }

    pub fn forget(&self, key: &Key) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(key);
    }
}
