//! Everything that people read goes through here: one line per step, with the time since the command began.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that starts with the command and is handed on to its second half inside the namespaces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    start: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Continues the clock of a process that began at `millis` after the epoch.
    pub(crate) fn since(millis: u64) -> Self {
        let passed = now_millis().saturating_sub(millis);
        let now = Instant::now();
        Self {
            start: now
                .checked_sub(Duration::from_millis(passed))
                .unwrap_or(now),
        }
    }

    /// When the clock started, for [`Progress::since`].
    pub(crate) fn began(&self) -> u64 {
        now_millis().saturating_sub(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(0))
    }

    pub(crate) fn step(&self, text: &str) {
        line(&format!(
            "[{:6.1}s] {text}",
            self.start.elapsed().as_secs_f64()
        ));
    }
}

fn now_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

#[expect(clippy::print_stdout, reason = "this is the command line's output")]
pub(crate) fn line(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "this is the command line's output")]
pub(crate) fn problem(text: &str) {
    eprintln!("vdb-stack: {text}");
}
