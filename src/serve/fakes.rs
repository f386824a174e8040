//! Stand-ins for the outside world: they keep state in memory and fail on demand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use environment::EnvironmentName;
use futures::StreamExt as _;
use jiff::Timestamp;

use crate::argocd;
use crate::forge::{
    Change, Changed, Check, Draft, Entry, Error as ForgeError, Forge, Protection, Pull, PullState,
};
use crate::serve::app::{App, ArgoCd, Pulls};
use crate::serve::auth::{SigningKey, tests::Portal as Issuer};
use crate::serve::cluster::{self, Cluster, LiveDatabase, NamespaceState};
use crate::serve::metrics::Metrics;
use crate::serve::portal::{self, Location, Notification, Portal};
use crate::serve::settings::{Settings, tests::example};
use crate::serve::sources::{Dataset, Sources, Tower};
use crate::serve::watch::{Pace, Watch};

/// An open pull request.
pub(crate) fn pull(number: u64, branch: &str, body: &str) -> Pull {
    Pull {
        number,
        state: PullState::Open,
        branch: branch.to_owned(),
        head_sha: format!("head-of-{branch}"),
        merge_sha: None,
        title: String::new(),
        body: body.to_owned(),
        url: format!("http://gitea.localhost:3000/acme/databases/pulls/{number}"),
        created_at: "2026-11-23T10:00:00Z".into(),
        finished_at: None,
        author: "vdb-bot".into(),
        merged_by: None,
    }
}

type Files = BTreeMap<String, String>;

tokio::task_local! {
    /// How many more calls a replica may make now: a test lets one work and the others stand still between two calls.
    pub(crate) static TURNS: Arc<tokio::sync::Semaphore>;
}

/// A forge in memory. A commit's id is its place in the history.
#[derive(Default)]
pub(crate) struct FakeForge {
    state: Mutex<ForgeState>,
    calls: AtomicUsize,
    /// The call that is carried out and whose answer is lost; 0 for none.
    pub(crate) lose_answer_of: AtomicUsize,
    /// The call that does not arrive; 0 for none.
    pub(crate) fail_at: AtomicUsize,
    /// Who was asked to review, by pull request.
    pub(crate) asked: Mutex<Vec<Vec<String>>>,
    /// With which person's token each commit and pull request was made; none for the platform's.
    pub(crate) written_as: Mutex<Vec<Option<String>>>,
    /// Whether it can say which files differ between two commits.
    pub(crate) tells_changes: std::sync::atomic::AtomicBool,
    /// The call after which the caller is no more; 0 for none.
    pub(crate) die_at: AtomicUsize,
    /// Calls take a moment each, a different one: callers get between one another.
    pub(crate) slow: std::sync::atomic::AtomicBool,
}

#[derive(Default)]
struct ForgeState {
    base: Vec<Files>,
    branches: BTreeMap<String, (String, Files)>,
    /// What the base branch held when a branch was made.
    forks: BTreeMap<String, Files>,
    links: Vec<String>,
    pulls: Vec<Pull>,
    comments: BTreeMap<(u64, String), String>,
    checks: Vec<(String, Check)>,
}

impl ForgeState {
    /// The files at a commit of the base branch, or at the head of another branch.
    fn files(&self, at: &str) -> Option<&Files> {
        match at.parse::<usize>() {
            Ok(commit) => self.base.get(commit.checked_sub(1)?),
            Err(_) => self
                .branches
                .values()
                .find(|(sha, _)| sha == at)
                .map(|(_, files)| files),
        }
    }
}

impl FakeForge {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn state(&self) -> MutexGuard<'_, ForgeState> {
        self.state.lock().unwrap()
    }

    /// Counts the call, and fails it before or after it is carried out.
    async fn call<T>(
        &self,
        work: impl FnOnce(&mut ForgeState) -> T + Send,
    ) -> Result<T, ForgeError> {
        if let Ok(turns) = TURNS.try_with(Arc::clone) {
            turns.acquire().await.unwrap().forget();
        }
        let n = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let down = || ForgeError::Refused {
            call: format!("call {n}"),
            status: 502,
            message: String::new(),
        };
        if n == self.fail_at.load(Ordering::SeqCst) {
            return Err(down());
        }
        if self.slow.load(Ordering::SeqCst) {
            let moment = u64::try_from(n * 37 % 101).unwrap();
            std::thread::sleep(std::time::Duration::from_micros(moment));
        }
        let answer = work(&mut self.state());
        assert_ne!(n, self.die_at.load(Ordering::SeqCst), "the replica dies");
        if n == self.lose_answer_of.load(Ordering::SeqCst) {
            Err(down())
        } else {
            Ok(answer)
        }
    }

    /// Takes note of the token. One that begins with `weak` may nothing.
    fn written_as(&self, draft: &Draft) -> Result<(), ForgeError> {
        let token = draft
            .as_user
            .as_ref()
            .map(|token| token.expose().to_owned());
        if token
            .as_ref()
            .is_some_and(|token| token.starts_with("weak"))
        {
            return Err(ForgeError::UserToken {
                call: "POST /contents".into(),
                lacks: "it lacks the scope repo; it has read:user".into(),
                message: String::new(),
            });
        }
        self.written_as.lock().unwrap().push(token);
        Ok(())
    }

    /// A commit on the base branch, by hand.
    pub(crate) fn push(&self, change: impl FnOnce(&mut Files)) {
        let mut state = self.state();
        let mut files = state.base.last().cloned().unwrap_or_default();
        change(&mut files);
        state.base.push(files);
    }

    pub(crate) fn merge(&self, number: u64) {
        let mut state = self.state();
        let branch = state
            .pulls
            .iter()
            .find(|pull| pull.number == number)
            .unwrap()
            .branch
            .clone();
        let files = state.branches[&branch].1.clone();
        state.base.push(files);
        let sha = state.base.len().to_string();
        let pull = state
            .pulls
            .iter_mut()
            .find(|pull| pull.number == number)
            .unwrap();
        pull.state = PullState::Merged;
        pull.merge_sha = Some(sha);
        pull.merged_by = Some("reviewer".into());
        pull.finished_at = Some(jiff::Timestamp::now().to_string());
    }

    /// When a pull request was merged or closed.
    pub(crate) fn finished(&self, number: u64, at: Timestamp) {
        let i = usize::try_from(number).unwrap() - 1;
        self.state().pulls[i].finished_at = Some(at.to_string());
    }

    pub(crate) fn close(&self, number: u64) {
        let mut state = self.state();
        let mut pulls = state.pulls.iter_mut();
        let pull = pulls.find(|pull| pull.number == number).unwrap();
        pull.state = PullState::Closed;
        pull.finished_at = Some(jiff::Timestamp::now().to_string());
    }

    /// A pull request that nobody ordered through the sidecar's actions.
    pub(crate) fn add(&self, pull: Pull) {
        self.state().pulls.push(pull);
    }

    /// A branch whose pull request was never opened.
    pub(crate) fn make_branch(&self, branch: &str) {
        let made = (format!("head-of-{branch}"), Files::new());
        self.state().branches.insert(branch.to_owned(), made);
    }

    pub(crate) fn pulls(&self) -> Vec<Pull> {
        self.state().pulls.clone()
    }

    pub(crate) fn branches(&self) -> Vec<String> {
        self.state().branches.keys().cloned().collect()
    }

    /// A pull request by hand: what it changes against the base branch.
    pub(crate) fn hand_made(&self, branch: &str, change: impl FnOnce(&mut Files)) -> u64 {
        let mut state = self.state();
        let base = state.base.last().cloned().unwrap_or_default();
        let mut files = base.clone();
        change(&mut files);
        let number = state.pulls.len() as u64 + 1;
        let mut made = pull(number, branch, "");
        made.author = "engineer".into();
        let head = made.head_sha.clone();
        state.branches.insert(branch.to_owned(), (head, files));
        state.forks.insert(branch.to_owned(), base);
        state.pulls.push(made);
        number
    }

    /// Another commit on the branch of an open pull request; its new head.
    pub(crate) fn amend(&self, number: u64, change: impl FnOnce(&mut Files)) -> String {
        let mut state = self.state();
        let i = usize::try_from(number).unwrap() - 1;
        let sha = format!("{}+", state.pulls[i].head_sha);
        state.pulls[i].head_sha.clone_from(&sha);
        let branch = state.pulls[i].branch.clone();
        let (head, files) = state.branches.get_mut(&branch).unwrap();
        head.clone_from(&sha);
        change(files);
        sha
    }

    /// From now on this path is a symbolic link, at every commit.
    pub(crate) fn link(&self, path: &str) {
        self.state().links.push(path.to_owned());
    }

    /// The latest check of a commit.
    pub(crate) fn check(&self, sha: &str) -> Option<Check> {
        let state = self.state();
        let found = state.checks.iter().rev().find(|(of, _)| of == sha);
        found.map(|(_, check)| check.clone())
    }

    pub(crate) fn comment_of(&self, number: u64, marker: &str) -> Option<String> {
        let key = (number, marker.to_owned());
        self.state().comments.get(&key).cloned()
    }

    pub(crate) fn base_files(&self) -> Files {
        self.state().base.last().cloned().unwrap_or_default()
    }

    pub(crate) fn branch_files(&self, branch: &str) -> Files {
        self.state().branches[branch].1.clone()
    }
}

#[async_trait]
impl Forge for FakeForge {
    async fn base(&self) -> Result<String, ForgeError> {
        self.call(|state| state.base.len().to_string()).await
    }

    async fn read(&self, at: &str, path: &str) -> Result<Option<String>, ForgeError> {
        self.call(|state| state.files(at)?.get(path).cloned()).await
    }

    async fn list(&self, at: &str, directory: &str) -> Result<Vec<Entry>, ForgeError> {
        self.call(|state| {
            let Some(files) = state.files(at) else {
                return Vec::new();
            };
            let prefix = format!("{directory}/");
            let below = files.keys().filter_map(|path| path.strip_prefix(&prefix));
            let mut names: Vec<(String, bool)> = below
                .map(|rest| {
                    rest.split_once('/')
                        .map_or((rest.to_owned(), false), |(name, _)| {
                            (name.to_owned(), true)
                        })
                })
                .collect();
            names.dedup();
            names
                .into_iter()
                .map(|(name, is_directory)| {
                    let path = format!("{prefix}{name}");
                    let is_link = state.links.contains(&path);
                    Entry {
                        path,
                        is_directory,
                        is_link,
                    }
                })
                .collect()
        })
        .await
    }

    async fn branch(&self, name: &str) -> Result<Option<String>, ForgeError> {
        self.call(|state| state.branches.get(name).map(|(sha, _)| sha.clone()))
            .await
    }

    async fn commit(&self, draft: &Draft) -> Result<(), ForgeError> {
        self.written_as(draft)?;
        self.call(|state| {
            // Left as it is: of two replicas one was faster.
            if state.branches.contains_key(&draft.branch) {
                return;
            }
            let mut files = state.base.last().cloned().unwrap_or_default();
            state.forks.insert(draft.branch.clone(), files.clone());
            for change in &draft.changes {
                match change {
                    Change::Put { path, content } => {
                        files.insert(path.clone(), content.clone());
                    }
                    Change::Delete { path } => {
                        files
                            .remove(path)
                            .expect("only files that are there are deleted");
                    }
                }
            }
            let sha = format!("head-of-{}", draft.branch);
            state.branches.insert(draft.branch.clone(), (sha, files));
        })
        .await
    }

    async fn open(&self, draft: &Draft) -> Result<Pull, ForgeError> {
        self.written_as(draft)?;
        self.call(|state| {
            assert!(state.branches.contains_key(&draft.branch));
            if let Some(open) = state
                .pulls
                .iter()
                .find(|pull| pull.branch == draft.branch && pull.state == PullState::Open)
            {
                return open.clone();
            }
            let number = state.pulls.len() as u64 + 1;
            let made = Pull {
                title: draft.title.clone(),
                author: draft
                    .as_user
                    .as_ref()
                    .map_or("vdb-bot", |_| "guest-at-forge")
                    .into(),
                created_at: jiff::Timestamp::now().to_string(),
                ..pull(number, &draft.branch, &draft.body)
            };
            state.pulls.push(made.clone());
            self.asked.lock().unwrap().push(draft.reviewers.clone());
            made
        })
        .await
    }

    async fn find(&self, branch: &str) -> Result<Option<Pull>, ForgeError> {
        self.call(|state| {
            state
                .pulls
                .iter()
                .rev()
                .find(|pull| pull.branch == branch)
                .cloned()
        })
        .await
    }

    async fn pull(&self, number: u64) -> Result<Option<Pull>, ForgeError> {
        self.call(|state| {
            state
                .pulls
                .iter()
                .find(|pull| pull.number == number)
                .cloned()
        })
        .await
    }

    async fn open_pulls(&self) -> Result<Vec<Pull>, ForgeError> {
        self.call(|state| {
            state
                .pulls
                .iter()
                .filter(|pull| pull.state == PullState::Open)
                .cloned()
                .collect()
        })
        .await
    }

    /// The latest page, as the forges have it.
    async fn recent_pulls(&self) -> Result<Vec<Pull>, ForgeError> {
        self.finished_pulls(1).await
    }

    async fn finished_pulls(&self, most_pages: usize) -> Result<Vec<Pull>, ForgeError> {
        self.call(|state| {
            let finished = state.pulls.iter().rev();
            finished
                .filter(|pull| pull.state != PullState::Open)
                .take(most_pages * 50)
                .cloned()
                .collect()
        })
        .await
    }

    async fn changed_pulls(&self) -> Result<Vec<Pull>, ForgeError> {
        self.call(|state| state.pulls.clone()).await
    }

    async fn changes(&self, number: u64) -> Result<Vec<Changed>, ForgeError> {
        self.call(|state| {
            let pull = state.pulls.iter().find(|pull| pull.number == number);
            let branch = &pull.unwrap().branch;
            let (base, head) = (&state.forks[branch], &state.branches[branch].1);
            let paths: std::collections::BTreeSet<&String> =
                base.keys().chain(head.keys()).collect();
            let changed = paths
                .into_iter()
                .filter(|path| base.get(*path) != head.get(*path));
            changed
                .map(|path| Changed {
                    path: path.clone(),
                    deleted: !head.contains_key(path),
                })
                .collect()
        })
        .await
    }

    async fn protection(&self) -> Result<Protection, ForgeError> {
        self.call(|_| Protection {
            protected: true,
            required_approvals: 1,
            required_checks: vec!["vdb/validate".into()],
            pushes_allowed: false,
        })
        .await
    }

    async fn changed_between(
        &self,
        from: &str,
        to: &str,
    ) -> Result<Option<Vec<String>>, ForgeError> {
        if !self.tells_changes.load(Ordering::SeqCst) {
            return Ok(None);
        }
        self.call(|state| {
            let files = |commit: &str| state.base[commit.parse::<usize>().unwrap() - 1].clone();
            let (old, new) = (files(from), files(to));
            let paths: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let differ = paths
                .into_iter()
                .filter(|path| old.get(*path) != new.get(*path));
            Some(differ.cloned().collect())
        })
        .await
    }

    async fn close(&self, number: u64, body: &str) -> Result<Pull, ForgeError> {
        self.call(|state| {
            let mut pulls = state.pulls.iter_mut();
            let pull = pulls.find(|pull| pull.number == number).unwrap();
            if pull.state == PullState::Open {
                pull.state = PullState::Closed;
                pull.finished_at = Some(jiff::Timestamp::now().to_string());
            }
            if pull.state == PullState::Closed {
                body.clone_into(&mut pull.body);
            }
            pull.clone()
        })
        .await
    }

    async fn delete_branch(&self, name: &str) -> Result<(), ForgeError> {
        self.call(|state| {
            state.branches.remove(name);
            for pull in &mut state.pulls {
                if pull.branch == name && pull.state == PullState::Open {
                    pull.state = PullState::Closed;
                }
            }
        })
        .await
    }

    async fn comment(&self, number: u64, marker: &str) -> Result<Option<String>, ForgeError> {
        self.call(|state| state.comments.get(&(number, marker.to_owned())).cloned())
            .await
    }

    async fn upsert_comment(
        &self,
        number: u64,
        marker: &str,
        text: &str,
    ) -> Result<(), ForgeError> {
        self.call(|state| {
            state
                .comments
                .insert((number, marker.to_owned()), text.to_owned());
        })
        .await
    }

    async fn status(&self, sha: &str, check: &Check) -> Result<(), ForgeError> {
        self.call(|state| state.checks.push((sha.to_owned(), check.clone())))
            .await
    }

    async fn contains(&self, revision: &str, commit: &str) -> Result<bool, ForgeError> {
        self.call(|_| revision.parse::<usize>().ok() >= commit.parse().ok())
            .await
    }

    async fn check_reviewers(&self, _reviewers: &[String]) -> Result<(), ForgeError> {
        Ok(())
    }

    fn reviewers(&self) -> Vec<String> {
        vec!["rita".into()]
    }

    fn file_url(&self, path: &str) -> String {
        format!("http://gitea.localhost:3000/acme/databases/src/branch/main/{path}")
    }
}

#[derive(Default)]
pub(crate) struct FakeCluster {
    pub(crate) calls: AtomicUsize,
    pub(crate) databases: Mutex<Vec<LiveDatabase>>,
    pub(crate) namespaces: Mutex<BTreeMap<String, NamespaceState>>,
    /// By environment and name.
    pub(crate) bookmarks: Mutex<BTreeMap<(String, String), cluster::LiveBookmark>>,
    /// What becomes at once of one that is made.
    pub(crate) bookmark_status: Mutex<environment::actions::ActionStatus>,
    /// What a watch says after its beginning.
    pub(crate) changes: Mutex<
        Option<tokio::sync::mpsc::UnboundedReceiver<Result<cluster::Change, cluster::Error>>>,
    >,
}

#[async_trait]
impl Cluster for FakeCluster {
    async fn databases(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Vec<LiveDatabase>, cluster::Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Ok(self
            .databases
            .lock()
            .unwrap()
            .iter()
            .filter(|database| database.namespace == environment.namespace())
            .cloned()
            .collect())
    }

    async fn all_databases(&self) -> Result<Vec<LiveDatabase>, cluster::Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Ok(self.databases.lock().unwrap().clone())
    }

    fn watch(&self) -> cluster::Changes {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mut changes = vec![Ok(cluster::Change::Begin)];
        let databases = self.databases.lock().unwrap().clone();
        changes.extend(
            databases
                .into_iter()
                .map(|database| Ok(cluster::Change::Listed(Box::new(database)))),
        );
        changes.push(Ok(cluster::Change::Complete));
        let told = self.changes.lock().unwrap().take();
        let later = told.map_or_else(
            || futures::stream::pending().boxed(),
            |receiver| {
                futures::stream::unfold(receiver, async |mut receiver| {
                    Some((receiver.recv().await?, receiver))
                })
                .boxed()
            },
        );
        futures::stream::iter(changes).chain(later).boxed()
    }

    async fn namespaces(&self) -> Result<BTreeMap<String, NamespaceState>, cluster::Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let namespaces = self.namespaces.lock().unwrap();
        Ok(namespaces
            .iter()
            .map(|(name, state)| (format!("postgres-vdbs-{name}"), *state))
            .collect())
    }

    async fn namespace(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<NamespaceState>, cluster::Error> {
        Ok(self
            .namespaces
            .lock()
            .unwrap()
            .get(environment.as_str())
            .copied())
    }

    async fn bookmark(
        &self,
        environment: &EnvironmentName,
        name: &str,
    ) -> Result<Option<cluster::LiveBookmark>, cluster::Error> {
        let bookmarks = self.bookmarks.lock().unwrap();
        Ok(bookmarks
            .get(&(environment.to_string(), name.to_owned()))
            .cloned())
    }

    async fn keep(
        &self,
        environment: &EnvironmentName,
        wanted: &cluster::NewBookmark,
    ) -> Result<cluster::LiveBookmark, cluster::Error> {
        let made = cluster::LiveBookmark {
            spec: wanted.spec.clone(),
            status: self.bookmark_status.lock().unwrap().clone(),
        };
        let mut bookmarks = self.bookmarks.lock().unwrap();
        let key = (environment.to_string(), wanted.name.clone());
        Ok(bookmarks.entry(key).or_insert(made).clone())
    }

    async fn signing_key(&self, new: &str) -> Result<String, cluster::Error> {
        Ok(new.to_owned())
    }

    async fn lead(&self, _identity: &str) -> Result<bool, cluster::Error> {
        Ok(true)
    }

    async fn resign(&self, _identity: &str) -> Result<(), cluster::Error> {
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct FakePortal {
    pub(crate) told: Mutex<Vec<Notification>>,
    pub(crate) locations: Mutex<Vec<Location>>,
    pub(crate) refreshed: Mutex<Vec<String>>,
    /// How many notifications are refused before one is taken.
    pub(crate) refuses: AtomicUsize,
}

#[async_trait]
impl Portal for FakePortal {
    async fn groups(&self, user: &str) -> Result<Vec<String>, portal::Error> {
        Ok(if user == "user:default/guest" {
            vec!["group:default/team-orders".into()]
        } else {
            vec![]
        })
    }

    async fn notify(&self, notification: &Notification) -> Result<(), portal::Error> {
        let refuses = self
            .refuses
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if refuses.is_ok() {
            return Err(portal::Error::Refused {
                status: 503,
                call: "POST /api/notifications".into(),
                message: String::new(),
            });
        }
        self.told.lock().unwrap().push(notification.clone());
        Ok(())
    }

    async fn refresh(&self, entity: &str) -> Result<(), portal::Error> {
        self.refreshed.lock().unwrap().push(entity.to_owned());
        Ok(())
    }

    async fn locations(&self) -> Result<Vec<Location>, portal::Error> {
        Ok(self.locations.lock().unwrap().clone())
    }

    async fn register(&self, target: &str) -> Result<(), portal::Error> {
        let mut locations = self.locations.lock().unwrap();
        if !locations.iter().any(|location| location.target == target) {
            let id = locations.len().to_string();
            locations.push(Location {
                id,
                target: target.to_owned(),
            });
        }
        Ok(())
    }

    async fn unregister(&self, id: &str) -> Result<(), portal::Error> {
        self.locations
            .lock()
            .unwrap()
            .retain(|location| location.id != id);
        Ok(())
    }
}

/// An Argo CD that may refuse the token by name, as a role without rights does: its list is empty then.
#[derive(Default)]
pub(crate) struct FakeArgoCd {
    pub(crate) refuses: std::sync::atomic::AtomicBool,
    pub(crate) applications: Mutex<Vec<argocd::Application>>,
    pub(crate) set: Mutex<Option<argocd::ApplicationSet>>,
    pub(crate) calls: AtomicUsize,
    /// Objects of the cluster that it deploys to, by name.
    pub(crate) resources: Mutex<BTreeMap<String, serde_json::Value>>,
    /// No stream can be opened.
    pub(crate) streamless: std::sync::atomic::AtomicBool,
}

impl FakeArgoCd {
    fn call(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl ArgoCd for FakeArgoCd {
    async fn application(&self, name: &str) -> Result<Option<argocd::Application>, argocd::Error> {
        self.call();
        if self.refuses.load(Ordering::SeqCst) {
            return Err(argocd::Error::Denied {
                status: 403,
                message: "permission denied".into(),
            });
        }
        let applications = self.applications.lock().unwrap();
        let found = applications.iter().find(|a| a.metadata.name == name);
        Ok(found.cloned())
    }

    async fn applications(&self) -> Result<Vec<argocd::Application>, argocd::Error> {
        self.call();
        if self.refuses.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        Ok(self.applications.lock().unwrap().clone())
    }

    async fn stream(&self) -> Result<argocd::Events, argocd::Error> {
        self.call();
        if self.streamless.load(Ordering::SeqCst) {
            return Err(argocd::Error::Refused {
                status: 502,
                call: "GET /api/v1/stream/applications".into(),
                message: String::new(),
            });
        }
        let applications = self.applications.lock().unwrap().clone();
        let there = applications
            .into_iter()
            .map(|application| Ok(argocd::Event::Is(Box::new(application))));
        let alive = futures::stream::unfold((), async |()| {
            tokio::time::sleep(std::time::Duration::from_secs(15)).await;
            Some((Ok(argocd::Event::Alive), ()))
        });
        Ok(futures::stream::iter(there).chain(alive).boxed())
    }

    async fn application_set(&self) -> Result<Option<argocd::ApplicationSet>, argocd::Error> {
        self.call();
        Ok(self.set.lock().unwrap().clone())
    }

    async fn resource(
        &self,
        _application: &str,
        object: argocd::Object<'_>,
    ) -> Result<Option<serde_json::Value>, argocd::Error> {
        self.call();
        if self.refuses.load(Ordering::SeqCst) {
            return Err(argocd::Error::Denied {
                status: 403,
                message: "permission denied".into(),
            });
        }
        Ok(self.resources.lock().unwrap().get(object.name).cloned())
    }
}

pub(crate) struct FakeTower;

#[async_trait]
impl Tower for FakeTower {
    async fn datasets(&self) -> Result<Vec<Dataset>, dct::Error> {
        Ok(vec![Dataset::named("10.0.1.54", "largedb", "16.9")])
    }

    /// Five hours ago.
    async fn data_time(&self, _: &str, _: Option<&str>) -> Result<Option<String>, dct::Error> {
        Ok(Some(
            (Timestamp::now() - jiff::SignedDuration::from_hours(5)).to_string(),
        ))
    }
}

/// What this thread logs while the guard lives, down to the smallest.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn everything() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

static ISSUER: tokio::sync::OnceCell<Issuer> = tokio::sync::OnceCell::const_new();

/// A sidecar whose outside world is in memory.
pub(crate) struct Stage {
    pub(crate) app: Arc<App>,
    pub(crate) forge: Arc<FakeForge>,
    pub(crate) cluster: Arc<FakeCluster>,
    pub(crate) portal: Arc<FakePortal>,
    pub(crate) argocd: Arc<FakeArgoCd>,
    pub(crate) issuer: &'static Issuer,
    _files: tempfile::TempDir,
}

pub(crate) const WEBHOOK_SECRET: &str = "shared-with-the-forge";

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::set_with(|_, _| {}).await
    }

    /// With an operator that does little with databases that exist.
    pub(crate) async fn unable() -> Self {
        let mut stage = Self::set().await;
        let app = Arc::get_mut(&mut stage.app).expect("nobody else has it yet");
        app.capabilities = environment::capabilities::ORDERS_ALONE;
        stage
    }

    /// With other settings; the folder is for the files that they name.
    pub(crate) async fn set_with(change: impl FnOnce(&mut Settings, &std::path::Path)) -> Self {
        Self::set_at(Arc::default(), Pace::FRESH, change).await
    }

    /// Another replica at the same forge.
    pub(crate) async fn set_on(
        forge: Arc<FakeForge>,
        change: impl FnOnce(&mut Settings, &std::path::Path),
    ) -> Self {
        Self::set_at(forge, Pace::FRESH, change).await
    }

    /// One that keeps what it has seen, as in life.
    pub(crate) async fn set_at(
        forge: Arc<FakeForge>,
        pace: Pace,
        change: impl FnOnce(&mut Settings, &std::path::Path),
    ) -> Self {
        // A mock server's drop blocks for ever in a task that has used up its budget; nothing in memory ever yields.
        tokio::task::yield_now().await;
        let (cluster, portal, argocd): (Arc<FakeCluster>, Arc<FakePortal>, Arc<FakeArgoCd>) =
            Default::default();
        // One for all tests: servers that come and go by the dozen can keep each other from stopping.
        let issuer = ISSUER.get_or_init(Issuer::start).await;
        let files = tempfile::tempdir().unwrap();
        let mut settings = example();
        // Tests of many orders are none of the limits.
        settings.orders.max_environments_per_owner = 1000;
        settings.orders.max_open_orders_per_owner = 1000;
        settings.orders.max_orders_per_hour = 1000;
        let secret = files.path().join("webhook-secret");
        std::fs::write(&secret, WEBHOOK_SECRET).unwrap();
        settings.forge.webhook_secret_file = Some(secret);
        change(&mut settings, files.path());
        let app = Arc::new(App {
            settings,
            capabilities: environment::capabilities::OPERATOR,
            to_argocd: crate::web::client().unwrap(),
            watch: Watch::new(pace, forge.clone(), argocd.clone(), cluster.clone()),
            forge: forge.clone(),
            cluster: cluster.clone(),
            portal: portal.clone(),
            sources: Sources::new(Arc::new(FakeTower)),
            authenticator: issuer.authenticator(),
            key: Arc::new(SigningKey::from_pem(&SigningKey::generate().unwrap()).unwrap()),
            metrics: Metrics::default(),
            proposing: tokio::sync::Mutex::default(),
            wake: tokio::sync::watch::Sender::default(),
            pulls: Pulls::default(),
            told_head: tokio::sync::Mutex::default(),
            reviews: tokio::sync::Mutex::default(),
        });
        Self {
            app,
            forge,
            cluster,
            portal,
            argocd,
            issuer,
            _files: files,
        }
    }
}
