//! One answer for everybody who asks at the same time, kept for a moment. A failure is kept too: while the other side is
//! down it is asked with growing pauses, however many wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Backoff;

/// The first pause after a failure; five times as long an older answer still counts.
const UNIT: Duration = Duration::from_secs(1);

pub(super) struct Shared<T, E> {
    unit: Duration,
    /// What was kept is known to be old.
    expired: AtomicBool,
    slot: Mutex<Slot<T, E>>,
}

struct Slot<T, E> {
    value: Option<(Instant, Arc<T>)>,
    /// It expired, and no new one has come yet.
    old: bool,
    failure: Option<(Instant, E)>,
    backoff: Backoff,
}

impl<T, E: Clone> Shared<T, E> {
    pub(super) fn new() -> Self {
        Self::of(UNIT)
    }

    fn of(unit: Duration) -> Self {
        Self {
            unit,
            expired: AtomicBool::new(false),
            slot: Mutex::new(Slot {
                value: None,
                old: false,
                failure: None,
                backoff: Backoff::of(unit),
            }),
        }
    }

    /// The kept answer if it is not older than `oldest`, else a new one. Who asks meanwhile waits for the same answer.
    pub(super) async fn get(
        &self,
        oldest: Duration,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, E> {
        let mut slot = self.slot.lock().await;
        // What expires from here on makes the next one who asks look again.
        if self.expired.swap(false, Ordering::SeqCst) {
            slot.old = true;
            slot.failure = None;
        }
        if let Some((at, value)) = &slot.value
            && !slot.old
            && at.elapsed() < oldest
        {
            return Ok(Arc::clone(value));
        }
        if let Some((until, error)) = &slot.failure
            && Instant::now() < *until
        {
            return slot.still_true(self.unit).ok_or_else(|| error.clone());
        }
        match fetch.await {
            Ok(value) => {
                let value = Arc::new(value);
                slot.value = Some((Instant::now(), Arc::clone(&value)));
                slot.old = false;
                slot.failure = None;
                slot.backoff = Backoff::of(self.unit);
                Ok(value)
            }
            Err(error) => {
                let pause = slot
                    .backoff
                    .next()
                    .min(oldest.max(Duration::from_secs(1)) * 8);
                // Where every look must be a new one, so must the next.
                if !oldest.is_zero() {
                    slot.failure = Some((Instant::now() + pause, error.clone()));
                }
                slot.still_true(self.unit).ok_or(error)
            }
        }
    }

    /// The next one who asks gets a new answer. Does not wait for a look that is under way.
    pub(super) fn expire(&self) {
        self.expired.store(true, Ordering::SeqCst);
    }
}

impl<T, E> Slot<T, E> {
    fn still_true(&self, unit: Duration) -> Option<Arc<T>> {
        let (at, value) = self.value.as_ref()?;
        (at.elapsed() < unit * 5).then(|| Arc::clone(value))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const UNIT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn many_who_ask_at_once_cause_one_call() {
        let (shared, calls) = (Shared::<usize, ()>::new(), AtomicUsize::new(0));
        let ask = || {
            shared.get(UNIT, async {
                tokio::time::sleep(UNIT).await;
                Ok(calls.fetch_add(1, Ordering::SeqCst))
            })
        };
        let answers = futures::future::join_all((0..100).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| **answer.as_ref().unwrap() == 0));
        tokio::time::sleep(UNIT * 2).await;
        assert_eq!(*ask().await.unwrap(), 1);
        shared.expire();
        assert_eq!(*ask().await.unwrap(), 2);
    }

    #[tokio::test]
    async fn while_the_other_side_is_down_it_is_asked_less_and_less() {
        let (shared, calls) = (Shared::<(), &str>::of(UNIT), AtomicUsize::new(0));
        let begun = Instant::now();
        // Asked at 0, 1, 3, 7, 15 and 31 units.
        while begun.elapsed() < UNIT * 40 {
            let fetch = async {
                calls.fetch_add(1, Ordering::SeqCst);
                Err("down")
            };
            assert_eq!(shared.get(UNIT, fetch).await, Err("down"));
            tokio::time::sleep(UNIT / 20).await;
        }
        let calls = calls.load(Ordering::SeqCst);
        assert!((3..=6).contains(&calls), "{calls} calls");
    }

    #[tokio::test]
    async fn an_answer_outlives_a_failure_for_a_moment_only() {
        let shared = Shared::<u8, &str>::of(UNIT);
        shared.get(UNIT, async { Ok(7) }).await.unwrap();
        tokio::time::sleep(UNIT * 2).await;
        assert_eq!(*shared.get(UNIT, async { Err("down") }).await.unwrap(), 7);
        tokio::time::sleep(UNIT * 4).await;
        assert_eq!(shared.get(UNIT, async { Err("down") }).await, Err("down"));
    }
}
