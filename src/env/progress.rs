//! Progress of a command that takes a while: one line for each change, with the time since the start, and what goes on
//! when somebody interrupts it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::output;

pub(super) struct Progress {
    started: Instant,
    /// What an interruption leaves behind, in one sentence.
    left_behind: Mutex<String>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            left_behind: Mutex::new("nothing was changed".into()),
        }
    }

    pub(super) fn step(&self, text: impl std::fmt::Display) {
        output::progress(line(self.started.elapsed(), text));
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// From here on an interruption leaves this behind.
    pub(super) fn leaves(&self, text: impl Into<String>) {
        *self.lock() = text.into();
    }

    pub(super) fn left_behind(&self) -> String {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, String> {
        self.left_behind
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

pub(super) fn line(elapsed: Duration, text: impl std::fmt::Display) -> String {
    format!("{:>6.1}s  {text}", elapsed.as_secs_f64())
}

/// What was said last about each thing: says it again only when it changes.
#[derive(Default)]
pub(super) struct News(BTreeMap<String, String>);

impl News {
    /// The lines of `now` that differ from what was said before.
    pub(super) fn of(&mut self, now: Vec<(String, String)>) -> Vec<String> {
        let mut news = Vec::new();
        for (thing, state) in now {
            if self.0.get(&thing) != Some(&state) {
                news.push(format!("{thing}: {state}"));
                self.0.insert(thing, state);
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_said_once() {
        let mut news = News::default();
        let state = |s: &str| vec![("application".to_owned(), s.to_owned())];
        assert_eq!(news.of(state("syncing")), ["application: syncing"]);
        assert!(news.of(state("syncing")).is_empty());
        assert_eq!(news.of(state("synced")), ["application: synced"]);
    }

    #[test]
    fn lines_carry_the_time() {
        assert_eq!(line(Duration::from_millis(12_340), "done"), "  12.3s  done");
    }
}
