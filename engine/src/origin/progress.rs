//! How far a base backup has come.

use std::time::Duration;

/// What pg_basebackup says once a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes received.
    pub done: u64,
    /// Bytes that the source means to send; it may grow meanwhile.
    pub total: u64,
}

impl Progress {
    /// `  23512/67890 kB (34%), 0/1 tablespace (…)`; nothing for any other line.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (numbers, rest) = line.trim_start().split_once(" kB (")?;
        rest.contains("tablespace").then_some(())?;
        let (done, total) = numbers.split_once('/')?;
        let bytes = |kilobytes: &str| kilobytes.trim().parse::<u64>().ok()?.checked_mul(1024);
        Some(Self {
            done: bytes(done)?,
            total: bytes(total)?,
        })
    }

    /// Below 100 as long as there is something to do.
    pub(crate) fn percent(self) -> i64 {
        let share = self.done.min(self.total).saturating_mul(99) / self.total.max(1);
        i64::try_from(share).unwrap_or_default()
    }

    /// For people: bytes, rate and the time that is left.
    pub(crate) fn describe(self, since: Duration) -> String {
        let total = self.total.max(self.done);
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate =
            u64::try_from(u128::from(self.done) * 1000 / u128::from(millis)).unwrap_or(u64::MAX);
        let left = (total - self.done).checked_div(rate);
        let left = left.map_or_else(
            || "unknown".to_owned(),
            |left| span(Duration::from_secs(left)),
        );
        format!(
            "{} of {} MiB, {} MiB/s, time left: {left}",
            self.done >> 20,
            total >> 20,
            rate >> 20
        )
    }
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_says_becomes_bytes_rate_and_time() {
        let line = "  1024/4096 kB (25%), 0/2 tablespaces (...e/base/16384/2619)";
        let progress = Progress::parse(line).unwrap();
        assert_eq!((progress.done, progress.total), (1 << 20, 4 << 20));
        assert_eq!(progress.percent(), 24);
        assert_eq!(
            progress.describe(Duration::from_secs(1)),
            "1 of 4 MiB, 1 MiB/s, time left: 3 s"
        );
        let early = Progress {
            done: 0,
            total: 1 << 40,
        };
        assert_eq!(
            early.describe(Duration::ZERO),
            "0 of 1048576 MiB, 0 MiB/s, time left: unknown"
        );
        assert_eq!(span(Duration::from_secs(7_300)), "2 h 1 min");
        for other in [
            "",
            "waiting for checkpoint",
            "pg_basebackup: error: x kB (y",
        ] {
            assert_eq!(Progress::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_source_that_grew_is_never_done_too_early() {
        let grown = Progress {
            done: 9 << 20,
            total: 4 << 20,
        };
        assert_eq!(grown.percent(), 99);
        assert!(
            grown
                .describe(Duration::from_secs(1))
                .starts_with("9 of 9 MiB")
        );
        assert_eq!(Progress { done: 0, total: 0 }.percent(), 0);
    }
}
