//! The forge as all waiting orders see it: pull requests by branch, the base branch's head, what it holds for each environment.
//!
//! One call tells which pull requests changed, one where the head is, and one more after a push which environments it
//! touched. Only what was touched is read again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use environment::EnvironmentName;
use environment::values::Values;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Pace;
use super::shared::Shared;
use crate::forge::{Forge, Pull, PullState};
use crate::serve::error::ApiError;
use crate::serve::readiness::OnBase;
use crate::serve::request::{Marker, RequestId};

/// Pull requests that are not open are looked for again when somebody asks for them.
const MOST_KEPT: usize = 4096;
/// A pull request that is opened meanwhile is seen among the changed ones.
const MISSING_KEPT: Duration = Duration::from_secs(30);
/// A rewritten history is the one change that a comparison may not show.
const BASE_KEPT: Duration = Duration::from_mins(5);
/// A thousand orders that begin to wait at once must not be a thousand calls at once.
const CALLS_AT_ONCE: usize = 8;

/// What the forge knows about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Branch {
    Pull(Arc<Pull>),
    /// The branch is there, a pull request is not.
    Bare,
    Absent,
}

pub(crate) struct ForgeView {
    pace: Pace,
    forge: Arc<dyn Forge>,
    head: Shared<String, ApiError>,
    changes: Shared<(), ApiError>,
    calls: Semaphore,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    pulls: HashMap<String, Arc<Pull>>,
    every_pull: Option<Instant>,
    missing: HashMap<String, (Instant, Branch)>,
    /// The commit for which `bases` holds.
    head: String,
    bases: HashMap<String, (Instant, OnBase)>,
    /// Whether a revision contains a commit; none where the forge cannot tell.
    contains: HashMap<(String, String), Option<bool>>,
}

impl ForgeView {
    pub(super) fn new(pace: Pace, forge: Arc<dyn Forge>) -> Self {
        Self {
            pace,
            forge,
            head: Shared::new(),
            changes: Shared::new(),
            calls: Semaphore::new(CALLS_AT_ONCE),
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened at the forge, or we have changed something ourselves.
    pub(crate) fn expire(&self) {
        self.head.expire();
        self.changes.expire();
        self.kept().missing.clear();
    }

    /// The pull request of a request, or what is there instead.
    pub(crate) async fn branch(&self, request: &RequestId) -> Result<Branch, ApiError> {
        let branch = request.branch();
        self.changes
            .get(self.pace.forge, self.see_changes())
            .await?;
        if let Some(found) = self.known(&branch) {
            return Ok(found);
        }
        let _turn = self.calls.acquire().await;
        if let Some(found) = self.known(&branch) {
            return Ok(found);
        }
        let found = match self.forge.find(&branch).await? {
            Some(pull) => Branch::Pull(self.kept().keep(pull)),
            None if self.forge.branch(&branch).await?.is_some() => Branch::Bare,
            None => Branch::Absent,
        };
        if !matches!(found, Branch::Pull(_)) && !self.pace.forge.is_zero() {
            let mut kept = self.kept();
            kept.missing
                .retain(|_, (at, _)| at.elapsed() < MISSING_KEPT);
            kept.missing.insert(branch, (Instant::now(), found.clone()));
        }
        Ok(found)
    }

    fn known(&self, branch: &str) -> Option<Branch> {
        let kept = self.kept();
        if let Some(pull) = kept.pulls.get(branch) {
            return Some(Branch::Pull(Arc::clone(pull)));
        }
        let (at, found) = kept.missing.get(branch)?;
        (at.elapsed() < MISSING_KEPT).then(|| found.clone())
    }

    async fn see_changes(&self) -> Result<(), ApiError> {
        let every = self
            .kept()
            .every_pull
            .is_none_or(|at| at.elapsed() >= self.pace.every_pull);
        if !every {
            let changed = self.forge.changed_pulls().await?;
            let all_new = self.kept().take(changed);
            if !all_new {
                return Ok(());
            }
            // More changed than one page shows.
        }
        let open = self.forge.open_pulls().await?;
        let finished = self.forge.recent_pulls().await?;
        let mut kept = self.kept();
        // What was open and is not listed any more has ended; it is looked for when somebody asks.
        kept.pulls.retain(|_, pull| pull.state != PullState::Open);
        kept.take(finished);
        kept.take(open);
        kept.every_pull = Some(Instant::now());
        Ok(())
    }

    /// What the base branch holds for the environment now.
    pub(crate) async fn on_base(&self, environment: &EnvironmentName) -> Result<OnBase, ApiError> {
        let head = self.head.get(self.pace.forge, self.see_head()).await?;
        let name = environment.as_str();
        if let Some(found) = self.kept().base(name, &head) {
            return Ok(found);
        }
        let _turn = self.calls.acquire().await;
        if let Some(found) = self.kept().base(name, &head) {
            return Ok(found);
        }
        let text = self.forge.read(&head, &environment.values_path()).await?;
        let found = text.map_or(OnBase::Absent, |text| {
            let values = Values::parse(environment, &text).ok();
            OnBase::Request(values.and_then(|values| values.request?.id))
        });
        let mut kept = self.kept();
        if kept.head == *head {
            kept.bases
                .insert(name.to_owned(), (Instant::now(), found.clone()));
        }
        Ok(found)
    }

    async fn see_head(&self) -> Result<String, ApiError> {
        let head = self.forge.base().await?;
        let known = self.kept().head.clone();
        if known != head {
            let touched = if known.is_empty() {
                None
            } else {
                // Without an answer everything counts as touched.
                self.forge
                    .changed_between(&known, &head)
                    .await
                    .unwrap_or_default()
            };
            self.kept().moved(&head, touched);
        }
        Ok(head)
    }

    /// Whether the history of a revision contains a merge; none where that cannot be told.
    pub(crate) async fn contains(&self, revision: &str, merge: &str) -> Option<bool> {
        if revision == merge || revision == self.kept().head {
            return Some(true);
        }
        let key = (revision.to_owned(), merge.to_owned());
        if let Some(known) = self.kept().contains.get(&key) {
            return *known;
        }
        let _turn = self.calls.acquire().await;
        // A revision of another repository, or one that the hydrator wrote, is not known to the forge.
        let answer = self.forge.contains(revision, merge).await.ok();
        let mut kept = self.kept();
        if kept.contains.len() >= MOST_KEPT {
            kept.contains.clear();
        }
        kept.contains.insert(key, answer);
        answer
    }
}

impl Kept {
    /// Whether every request on the page was new: then there may be more that the page does not show.
    fn take(&mut self, page: Vec<Pull>) -> bool {
        let (mut any, mut all_new) = (false, true);
        for pull in page {
            if RequestId::of_branch(&pull.branch).is_none() {
                continue;
            }
            let known = self.pulls.get(&pull.branch).is_some_and(|known| {
                (known.number, known.state, &known.head_sha)
                    == (pull.number, pull.state, &pull.head_sha)
            });
            (any, all_new) = (true, all_new && !known);
            self.keep(pull);
        }
        any && all_new
    }

    fn keep(&mut self, pull: Pull) -> Arc<Pull> {
        if self.pulls.len() >= MOST_KEPT {
            self.pulls.retain(|_, pull| pull.state == PullState::Open);
        }
        self.missing.remove(&pull.branch);
        let branch = pull.branch.clone();
        // The latest one of a branch counts.
        if let Some(known) = self.pulls.get(&branch).filter(|k| k.number > pull.number) {
            return Arc::clone(known);
        }
        let pull = Arc::new(slim(pull));
        self.pulls.insert(branch, Arc::clone(&pull));
        pull
    }

    fn base(&self, name: &str, head: &str) -> Option<OnBase> {
        let (at, found) = self.bases.get(name).filter(|_| self.head == head)?;
        (at.elapsed() < BASE_KEPT).then(|| found.clone())
    }

    fn moved(&mut self, head: &str, touched: Option<Vec<String>>) {
        head.clone_into(&mut self.head);
        match touched {
            Some(paths) => {
                for name in paths.iter().filter_map(|path| environment_of(path)) {
                    self.bases.remove(name);
                }
            }
            None => self.bases.clear(),
        }
    }
}

fn environment_of(path: &str) -> Option<&str> {
    let (name, _) = path.strip_prefix("environments/")?.split_once('/')?;
    Some(name)
}

/// Of the text only the marker is needed: a thousand pull requests stay small in memory.
fn slim(mut pull: Pull) -> Pull {
    pull.body = Marker::of(&pull).comment();
    pull.title = String::new();
    pull
}
