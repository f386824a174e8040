//! What all waiting orders of a replica share: one look at forge, Argo CD and cluster serves every one of them.
//!
//! A thousand waiting orders cause as many calls as one. Where the other side can say what changes (Argo CD's stream, the
//! API server's watch), it is heard; lists are read as well, seldom while the streams live and every second or two while
//! they do not, so nothing is ever older than a few seconds. Streams end a minute after the last order has stopped waiting.

mod argo;
mod cluster;
mod forge;
mod shared;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use environment::EnvironmentName;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::forge::Forge;
use crate::serve::app::ArgoCd;
use crate::serve::cluster::Cluster;
use argo::ArgoView;
use cluster::ClusterView;
pub(crate) use forge::Branch;
use forge::ForgeView;

/// How old an answer may be before it is asked for again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Base branch and changed pull requests; webhooks are faster.
    forge: Duration,
    /// Every open pull request.
    every_pull: Duration,
    /// Lists while no stream tells of changes.
    list: Duration,
    /// Lists beside a living stream, for the event that got lost.
    beside_stream: Duration,
    /// Whether Argo CD would tell us of an Application that we do not see, and what its ApplicationSet says.
    doubt: Duration,
    /// How long streams go on without anybody who waits: the steps of a template follow each other within seconds.
    linger: Duration,
    streams: bool,
}

impl Pace {
    pub(crate) const LIVE: Self = Self {
        forge: Duration::from_secs(3),
        every_pull: Duration::from_secs(60),
        list: Duration::from_secs(2),
        beside_stream: Duration::from_secs(15),
        doubt: Duration::from_secs(10),
        linger: Duration::from_secs(60),
        streams: true,
    };

    /// Every look is a new one.
    #[cfg(test)]
    pub(crate) const FRESH: Self = Self {
        forge: Duration::ZERO,
        every_pull: Duration::ZERO,
        list: Duration::ZERO,
        beside_stream: Duration::ZERO,
        doubt: Duration::ZERO,
        linger: Duration::ZERO,
        streams: false,
    };
}

pub(crate) struct Watch {
    pub(crate) forge: ForgeView,
    pub(crate) argo: Arc<ArgoView>,
    pub(crate) cluster: Arc<ClusterView>,
    topics: Arc<Topics>,
}

impl Watch {
    pub(crate) fn new(
        pace: Pace,
        forge: Arc<dyn Forge>,
        argocd: Arc<dyn ArgoCd>,
        cluster: Arc<dyn Cluster>,
    ) -> Self {
        let topics = Arc::new(Topics::default());
        Self {
            forge: ForgeView::new(pace, forge),
            argo: Arc::new(ArgoView::new(pace, argocd, Arc::clone(&topics))),
            cluster: Arc::new(ClusterView::new(pace, cluster, Arc::clone(&topics))),
            topics,
        }
    }

    /// Is told when something of this environment has changed.
    pub(crate) fn topic(&self, environment: &EnvironmentName) -> Arc<Notify> {
        self.topics.of(environment.as_str())
    }
}

/// Who waits for which environment.
#[derive(Default)]
struct Topics(Mutex<HashMap<String, Weak<Notify>>>);

impl Topics {
    fn of(&self, environment: &str) -> Arc<Notify> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(environment).and_then(Weak::upgrade) {
            return topic;
        }
        topics.retain(|_, topic| topic.strong_count() > 0);
        let topic = Arc::new(Notify::new());
        topics.insert(environment.to_owned(), Arc::downgrade(&topic));
        topic
    }

    fn changed(&self, environment: &str) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(environment).and_then(Weak::upgrade) {
            topic.notify_waiters();
        }
    }
}

/// Whether somebody still looks; keeps a stream running for a while after the last one.
struct Needed(Duration, Mutex<NeededState>);

struct NeededState {
    until: Instant,
    running: bool,
}

impl Needed {
    fn new(linger: Duration) -> Self {
        let state = NeededState {
            until: Instant::now(),
            running: false,
        };
        Self(linger, Mutex::new(state))
    }

    /// Somebody looks now; whether a stream has to be started.
    fn touch(&self) -> bool {
        let mut state = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        state.until = Instant::now() + self.0;
        !std::mem::replace(&mut state.running, true)
    }

    /// Returns when nobody has looked for a while, after `end`; from then on a stream has to be started again.
    async fn over(&self, end: impl Fn()) {
        loop {
            let until = {
                let mut state = self.1.lock().unwrap_or_else(PoisonError::into_inner);
                if state.until <= Instant::now() {
                    // Before somebody else starts one, so that nothing of a new stream is undone.
                    end();
                    state.running = false;
                    return;
                }
                state.until
            };
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Pauses after failures: each is twice as long as the one before, up to half a minute.
#[derive(Clone, Copy, Debug)]
struct Backoff(Duration);

impl Backoff {
    fn of(first: Duration) -> Self {
        Self(first)
    }

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = Duration::from_secs(30).min(pause * 2);
        pause
    }
}

#[cfg(test)]
mod tests;
