//! What happens by itself: snapshots of sources in time, old ones away, and what has expired.

use std::sync::Arc;
use std::time::Duration;

use dct::types::{DeleteSnapshot, JobStatus};

use crate::actions::Refusal;
use crate::engine::Engine;
use crate::model::{Kind, Object};
use crate::settings::SourceSettings;
use crate::store::State;
use crate::{clock, deletion, error_chain};

/// Days are what expires; an hour late is soon enough.
const TIDY_EVERY: Duration = Duration::from_hours(1);
/// A source that fails is not asked more often, and not less often than by its schedule.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// A source that is snapshotted in time, and the clock that tells when.
trait Scheduled {
    /// Seconds since 1970.
    fn now(&self) -> i64;
    /// The dSource, and when its youngest snapshot was taken; none until it is linked.
    fn last(&self) -> Option<(String, i64)>;
    async fn pause(&self, time: Duration);
    /// Whether a snapshot came about.
    async fn take(&self, dsource: &str) -> bool;
    /// Orders the deletion of what is too old.
    fn retire(&self, dsource: &str);
}

async fn keep(source: &impl Scheduled, every: Duration) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some((dsource, last)) = source.last() else {
            source.pause(FIRST_PAUSE).await;
            continue;
        };
        let left = left(last, source.now(), every);
        if !left.is_zero() {
            source.pause(left).await;
        } else if source.take(&dsource).await {
            pause = FIRST_PAUSE;
            source.retire(&dsource);
        } else {
            source.pause(pause).await;
            pause = (pause * 2).min(every.max(FIRST_PAUSE));
        }
    }
}

struct OfEngine {
    engine: Arc<Engine>,
    source: SourceSettings,
    keep: usize,
}

impl Scheduled for OfEngine {
    fn now(&self) -> i64 {
        clock::unix_seconds()
    }

    fn last(&self) -> Option<(String, i64)> {
        let name = &self.source.name;
        self.engine.store.read(|state| last_taken(state, name))
    }

    async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn take(&self, dsource: &str) -> bool {
        self.engine.take_scheduled(dsource).await
    }

    fn retire(&self, dsource: &str) {
        for job in self.engine.retire_snapshots(dsource, self.keep) {
            self.engine.start(&job);
        }
    }
}

impl Engine {
    /// Takes snapshots of a source by its schedule, as long as it is linked.
    pub async fn keep_snapshots(self: Arc<Self>, source: SourceSettings) {
        if let Some((every, number)) = source.schedule() {
            let engine = self;
            let of = OfEngine {
                engine,
                source,
                keep: number,
            };
            keep(&of, every).await;
        }
    }

    async fn take_scheduled(self: &Arc<Self>, dsource: &str) -> bool {
        match self.snapshot(dsource) {
            Ok(job) => {
                self.start(&job.id);
                self.end_of(&job.id).await == JobStatus::Completed
            }
            Err(refusal) => {
                tracing::warn!(dsource, "no snapshot now: {}", error_chain(&refusal));
                false
            }
        }
    }

    /// Orders the deletion of all but the newest snapshots of a dSource. What copies depend on or what is told to stay
    /// stays. Returns the jobs.
    pub fn retire_snapshots(&self, dsource: &str, keep: usize) -> Vec<String> {
        let surplus = self.store.read(|state| surplus(state, dsource, keep));
        self.delete_all(&surplus)
    }

    /// Orders the deletion of what expired. Returns the jobs.
    pub fn retire_expired(&self) -> Vec<String> {
        let mut jobs = Vec::new();
        for bookmark in self.expired_bookmarks() {
            match self.delete_bookmark(&bookmark) {
                Ok(job) => jobs.push(job.id),
                Err(refusal) => tracing::warn!(bookmark, "{}", error_chain(&refusal)),
            }
        }
        let today = clock::today().to_string();
        let over = self.store.read(|state| {
            let over = state.live(Kind::Snapshot).filter(|s| {
                let day = s.doc.get("expiration").and_then(|v| v.as_str());
                day.is_some_and(|day| day < today.as_str()) && is_free(state, s)
            });
            over.map(|s| s.id.clone()).collect::<Vec<_>>()
        });
        jobs.extend(self.delete_all(&over));
        jobs
    }

    fn delete_all(&self, snapshots: &[String]) -> Vec<String> {
        let delete = |id: &String| match self.delete_snapshot(id, &DeleteSnapshot::default()) {
            Ok(job) => Some(job.id),
            // Somebody began to use it meanwhile.
            Err(Refusal::Conflict(_)) => None,
            Err(refusal) => {
                tracing::warn!(id, "{}", error_chain(&refusal));
                None
            }
        };
        snapshots.iter().filter_map(delete).collect()
    }

    pub async fn keep_tidy(self: Arc<Self>) {
        loop {
            for job in self.retire_expired() {
                self.start(&job);
            }
            self.tidy_sizes();
            tokio::time::sleep(TIDY_EVERY).await;
        }
    }
}

/// The dSource of a source, and when its youngest snapshot was taken.
fn last_taken(state: &State, source: &str) -> Option<(String, i64)> {
    let source = state.named(Kind::Source, "", source)?;
    let dsource = state
        .live(Kind::DSource)
        .find(|d| d.parent.as_ref() == Some(&source.id))?;
    let taken = state.live(Kind::Snapshot);
    let taken = taken.filter(|s| s.parent.as_ref() == Some(&dsource.id));
    let times = taken.filter_map(|s| clock::instant(s.doc.get("creation_time")?.as_str()?));
    Some((dsource.id.clone(), times.max().unwrap_or_default() / 1000))
}

fn left(last: i64, now: i64, every: Duration) -> Duration {
    // A clock that was set back waits no longer than once around.
    let since = u64::try_from(now.saturating_sub(last)).unwrap_or_default();
    every.saturating_sub(Duration::from_secs(since))
}

fn is_free(state: &State, snapshot: &Object) -> bool {
    state.busy(&snapshot.id).is_none() && deletion::on_snapshot(state, &snapshot.id).is_empty()
}

fn surplus(state: &State, dsource: &str, keep: usize) -> Vec<String> {
    let own = state.live(Kind::Snapshot);
    let own = own.filter(|s| s.parent.as_deref() == Some(dsource));
    let old = own.rev().skip(keep);
    let stays = |s: &Object| {
        s.doc.get("retain_forever").and_then(|v| v.as_bool()) == Some(true)
            || s.doc.get("expiration").is_some()
    };
    old.filter(|s| !stays(s) && is_free(state, s))
        .map(|s| s.id.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn a_snapshot_is_due_once_its_time_is_over() {
        let hour = Duration::from_hours(1);
        assert_eq!(left(0, 10_000, hour), Duration::ZERO);
        assert_eq!(left(9_000, 10_000, hour), Duration::from_secs(2_600));
        assert_eq!(left(20_000, 10_000, hour), hour);
    }

    /// A source that takes no time; its clock runs only while somebody waits, and stands still at the end.
    struct Virtual {
        now: Cell<i64>,
        end: i64,
        /// Linked from then on.
        linked: i64,
        /// Down between these two.
        down: std::ops::Range<i64>,
        taken: RefCell<Vec<i64>>,
        asked: RefCell<Vec<i64>>,
        kept: RefCell<VecDeque<i64>>,
        keep: usize,
    }

    impl Scheduled for Virtual {
        fn now(&self) -> i64 {
            self.now.get()
        }

        fn last(&self) -> Option<(String, i64)> {
            let last = self.taken.borrow().last().copied();
            (self.now() >= self.linked).then(|| ("d".to_owned(), last.unwrap_or(self.linked)))
        }

        async fn pause(&self, time: Duration) {
            self.now
                .set(self.now() + i64::try_from(time.as_secs()).unwrap());
            if self.now() > self.end {
                std::future::pending::<()>().await;
            }
        }

        async fn take(&self, _: &str) -> bool {
            self.asked.borrow_mut().push(self.now());
            if self.down.contains(&self.now()) {
                return false;
            }
            self.taken.borrow_mut().push(self.now());
            self.kept.borrow_mut().push_back(self.now());
            true
        }

        fn retire(&self, _: &str) {
            let mut kept = self.kept.borrow_mut();
            while kept.len() > self.keep {
                kept.pop_front();
            }
        }
    }

    fn run(source: &Virtual, every: Duration) {
        let mut context = Context::from_waker(Waker::noop());
        let running = pin!(keep(source, every));
        assert!(running.poll(&mut context).is_pending());
    }

    #[test]
    fn snapshots_come_in_time_old_ones_go_and_a_source_that_is_down_is_asked_ever_more_rarely() {
        const HOUR: i64 = 3600;
        let source = Virtual {
            now: Cell::new(0),
            end: 24 * HOUR,
            linked: 100,
            down: 10 * HOUR..14 * HOUR,
            taken: RefCell::default(),
            asked: RefCell::default(),
            kept: RefCell::default(),
            keep: 3,
        };
        run(&source, Duration::from_hours(2));
        let taken = source.taken.borrow();
        // Linking is looked for every half minute: seen at 120, so the first is due two hours after 100.
        assert_eq!(taken[..4], [7300, 14_500, 21_700, 28_900]);
        assert!(!taken.iter().any(|at| source.down.contains(at)));
        let asked = source.asked.borrow();
        let in_vain: Vec<i64> = asked
            .iter()
            .copied()
            .filter(|at| source.down.contains(at))
            .collect();
        let pauses: Vec<i64> = in_vain.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses[..3], [30, 60, 120]);
        assert!(pauses.iter().all(|pause| *pause <= 2 * HOUR), "{pauses:?}");
        // Back again at once when it is up, and then by the schedule.
        let back = taken.iter().position(|at| *at >= source.down.end).unwrap();
        assert!(taken[back] < source.down.end + 2 * HOUR);
        assert_eq!(taken[back + 1] - taken[back], 2 * HOUR);
        let newest: Vec<i64> = taken.iter().rev().take(3).rev().copied().collect();
        assert_eq!(
            source.kept.borrow().iter().copied().collect::<Vec<_>>(),
            newest
        );
    }
}
