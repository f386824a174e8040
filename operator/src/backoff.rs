//! How long a watch that fails waits before it is tried again.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;

/// Resources that are made right after their definition, or the API server, has come back wait no longer to be seen.
const LONGEST: Duration = Duration::from_secs(5);

/// The usual one, which would end at a minute.
#[derive(Default)]
pub(crate) struct Soon(DefaultBackoff);

impl Iterator for Soon {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST))
    }
}

impl Backoff for Soon {
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_five_seconds_and_never_end() {
        let pauses: Vec<_> = Soon::default().take(100).collect();
        assert_eq!(pauses.len(), 100);
        assert!(pauses[0] < LONGEST, "{pauses:?}");
        assert_eq!(pauses.iter().max(), Some(&LONGEST));
        assert_eq!(pauses[99], LONGEST);
    }
}
