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

impl Engine {
    /// Takes snapshots of a source by its schedule, as long as it is linked.
    pub async fn keep_snapshots(self: Arc<Self>, source: SourceSettings) {
        let Some((every, keep)) = source.schedule() else {
            return;
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let Some((dsource, last)) = self.store.read(|state| last_taken(state, &source.name))
            else {
                tokio::time::sleep(FIRST_PAUSE).await;
                continue;
            };
            let left = left(last, clock::unix_seconds(), every);
            if !left.is_zero() {
                tokio::time::sleep(left).await;
                continue;
            }
            if self.take_scheduled(&dsource).await {
                pause = FIRST_PAUSE;
                for job in self.retire_snapshots(&dsource, keep) {
                    self.start(&job);
                }
            } else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(every.max(FIRST_PAUSE));
            }
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
        s.doc
            .get("retain_forever")
            .and_then(serde_json::Value::as_bool)
            == Some(true)
            || s.doc.get("expiration").is_some()
    };
    old.filter(|s| !stays(s) && is_free(state, s))
        .map(|s| s.id.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_once_its_time_is_over() {
        let hour = Duration::from_hours(1);
        assert_eq!(left(0, 10_000, hour), Duration::ZERO);
        assert_eq!(left(9_000, 10_000, hour), Duration::from_secs(2_600));
        assert_eq!(left(20_000, 10_000, hour), hour);
    }
}
