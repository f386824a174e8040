//! A small GitHub in memory: commits, branches and pull requests are real, `expectedHeadOid` and fast-forwards are enforced,
//! and any call can be lost on its way there or back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::routes;
use crate::forge::{Forge, connect};

/// Of a person called ursula.
pub(super) const USER_TOKEN: &str = "gho_swordfish";

pub(super) type Files = BTreeMap<String, String>;

#[derive(Clone)]
pub(super) struct Commit {
    pub(super) parent: Option<String>,
    pub(super) files: Files,
    pub(super) message: String,
}

pub(super) struct PullRequest {
    pub(super) branch: String,
    /// Where the branch pointed when it was removed.
    pub(super) last_head: Option<String>,
    pub(super) base_sha: String,
    /// When it changed last, counted.
    pub(super) updated: usize,
    pub(super) author: &'static str,
    pub(super) state: &'static str,
    pub(super) merged: bool,
    pub(super) title: Value,
    pub(super) body: Value,
    pub(super) labels: Vec<String>,
    pub(super) reviewers: Vec<Value>,
    pub(super) reviews: Vec<Value>,
}

#[derive(Default)]
pub(super) struct World {
    pub(super) commits: BTreeMap<String, Commit>,
    pub(super) branches: BTreeMap<String, String>,
    pub(super) pulls: Vec<PullRequest>,
    /// Number of the pull request, author, text; the place is the id.
    pub(super) comments: Vec<(u64, String, String)>,
    pub(super) labels: Vec<String>,
    /// Whether labels may not be made.
    pub(super) labels_are_closed: bool,
    pub(super) statuses: Vec<Value>,
    pub(super) check_runs: Vec<Value>,
    pub(super) reviews_asked: usize,
    pub(super) changes: usize,
    /// How many lists were asked for that had not changed.
    pub(super) not_modified: usize,
    /// What each granted installation token was asked for.
    pub(super) granted: Vec<Value>,
    /// Tokens that are taken.
    pub(super) tokens: Vec<String>,
    /// Method, path and token of each call.
    pub(super) seen: Vec<(String, String, String)>,
    /// The App's public key, DER.
    pub(super) app_key: Vec<u8>,
    pub(super) permissions: Value,
}

impl World {
    pub(super) fn add(&mut self, parent: Option<String>, files: Files, message: &str) -> String {
        let text = format!("{}{parent:?}{files:?}{message}", self.commits.len());
        let sha = hex::encode(Sha256::digest(text))[..40].to_owned();
        let message = message.to_owned();
        let commit = Commit {
            parent,
            files,
            message,
        };
        self.commits.insert(sha.clone(), commit);
        sha
    }

    pub(super) fn history(&self, sha: &str) -> Vec<String> {
        let mut history = vec![sha.to_owned()];
        while let Some(parent) = history
            .last()
            .and_then(|sha| self.commits.get(sha)?.parent.clone())
        {
            history.push(parent);
        }
        history
    }

    /// Commits that `head` has and `base` lacks.
    pub(super) fn ahead(&self, base: &str, head: &str) -> usize {
        let known = self.history(base);
        let head = self.history(head);
        head.iter().filter(|sha| !known.contains(sha)).count()
    }

    /// The number of a change, which is later than all before.
    pub(super) fn tick(&mut self) -> usize {
        self.changes += 1;
        self.changes
    }

    /// A commit by its id or its branch.
    pub(super) fn resolve(&self, name: &str) -> Option<String> {
        let sha = self.branches.get(name).cloned();
        sha.or_else(|| self.commits.contains_key(name).then(|| name.to_owned()))
    }
}

#[derive(Default)]
pub(super) struct Standin {
    world: Mutex<World>,
    calls: AtomicUsize,
    /// The call that is carried out and whose answer is lost; 0 for none.
    pub(super) lose_answer_of: AtomicUsize,
    /// The call that does not arrive; 0 for none.
    pub(super) fail_at: AtomicUsize,
}

pub(super) struct Running {
    pub(super) standin: Arc<Standin>,
    pub(super) url: String,
    directory: tempfile::TempDir,
}

impl Standin {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// With one commit on `main`, the people bot, rita and stranger, and the team acme/dba.
pub(super) async fn start() -> Running {
    let standin = Arc::new(Standin::default());
    {
        let mut world = standin.world();
        let files = Files::from([("README.md".into(), "# databases\n".into())]);
        let sha = world.add(None, files, "first");
        world.branches.insert("main".into(), sha);
        world.tokens.push("secret-token".into());
        world.tokens.push(USER_TOKEN.into());
        world.permissions = json!({"contents": "write", "pull_requests": "write", "checks": "write", "metadata": "read", "members": "read"});
    }
    let router = routes::router(standin.clone())
        .layer(from_fn_with_state(standin.clone(), only_with_a_token))
        .layer(from_fn_with_state(standin.clone(), lose));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), "secret-token\n").unwrap();
    Running {
        standin,
        url,
        directory,
    }
}

impl Running {
    pub(super) fn file(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// The adapter, as it starts: it remembers nothing.
    pub(super) fn forge(&self) -> Arc<dyn Forge> {
        self.forge_with(&json!({"tokenFile": self.file("token")}))
    }

    pub(super) fn forge_with(&self, more: &Value) -> Arc<dyn Forge> {
        let mut settings =
            json!({"kind": "github", "url": self.url, "owner": "acme", "repository": "databases"});
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        connect(serde_json::from_value(settings).unwrap()).unwrap()
    }

    /// A commit on the base branch, by hand.
    pub(super) fn push(&self, path: &str, content: &str) {
        let mut world = self.standin.world();
        let head = world.branches["main"].clone();
        let mut files = world.commits[&head].files.clone();
        files.insert(path.into(), content.into());
        let sha = world.add(Some(head), files, "by hand");
        world.branches.insert("main".into(), sha);
    }
}

async fn lose(State(standin): State<Arc<Standin>>, request: Request, next: Next) -> Response {
    let n = standin.calls.fetch_add(1, Ordering::SeqCst) + 1;
    let lost = || StatusCode::BAD_GATEWAY.into_response();
    if n == standin.fail_at.load(Ordering::SeqCst) {
        return lost();
    }
    let answer = next.run(request).await;
    if n == standin.lose_answer_of.load(Ordering::SeqCst) {
        return lost();
    }
    answer
}

async fn only_with_a_token(
    State(standin): State<Arc<Standin>>,
    request: Request,
    next: Next,
) -> Response {
    let header = request.headers().get("authorization");
    let token = header
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .unwrap_or_default();
    let path = request.uri().path();
    let of_the_app = path.starts_with("/api/v3/app/") || path.ends_with("/databases/installation");
    let allowed = {
        let mut world = standin.world();
        let call = (
            request.method().to_string(),
            path.to_owned(),
            token.to_owned(),
        );
        world.seen.push(call);
        if of_the_app {
            routes::app::is_signed(&world.app_key, token)
        } else {
            world.tokens.iter().any(|known| known == token)
        }
    };
    if allowed {
        return next.run(request).await;
    }
    let said = json!({"message": format!("Bad credentials {token}")});
    (StatusCode::UNAUTHORIZED, axum::Json(said)).into_response()
}
