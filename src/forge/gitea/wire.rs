//! Gitea's objects, as far as they are read.

use serde::Deserialize;

use crate::forge;

#[derive(Debug, Deserialize)]
pub(super) struct Branch {
    pub(super) commit: BranchCommit,
    #[serde(default)]
    pub(super) protected: bool,
    #[serde(default)]
    pub(super) required_approvals: u32,
    #[serde(default)]
    pub(super) enable_status_check: bool,
    #[serde(default)]
    pub(super) status_check_contexts: Option<Vec<String>>,
    #[serde(default)]
    pub(super) user_can_push: bool,
    /// Shown to administrators of the repository alone.
    #[serde(default)]
    pub(super) effective_branch_protection_name: String,
}

/// The rule that protects a branch.
#[derive(Debug, Deserialize)]
pub(super) struct Rule {
    #[serde(default)]
    enable_push: bool,
    #[serde(default)]
    enable_push_whitelist: bool,
    #[serde(default)]
    push_whitelist_usernames: Option<Vec<String>>,
    #[serde(default)]
    push_whitelist_teams: Option<Vec<String>>,
    #[serde(default)]
    push_whitelist_deploy_keys: bool,
}

impl Rule {
    /// Whether anybody may push. A list of those who may can be empty.
    pub(super) fn lets_push(&self) -> bool {
        let lists = [&self.push_whitelist_usernames, &self.push_whitelist_teams];
        let listed = lists.into_iter().flatten().any(|list| !list.is_empty());
        self.enable_push
            && (!self.enable_push_whitelist || listed || self.push_whitelist_deploy_keys)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ChangedFile {
    pub(super) filename: String,
    #[serde(default)]
    pub(super) previous_filename: String,
    #[serde(default)]
    pub(super) status: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Account {
    #[serde(default)]
    pub(super) login: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Team {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct BranchCommit {
    pub(super) id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Content {
    pub(super) path: String,
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    pub(super) sha: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Label {
    pub(super) id: u64,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Comment {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) body: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Comparison {
    #[serde(default)]
    pub(super) total_commits: u64,
    #[serde(default)]
    commits: Vec<Commit>,
}

#[derive(Debug, Deserialize)]
struct Commit {
    #[serde(default)]
    files: Option<Vec<File>>,
}

#[derive(Debug, Deserialize)]
struct File {
    filename: String,
}

impl Comparison {
    pub(super) fn files(&self) -> Vec<String> {
        let files = self.commits.iter().filter_map(|c| c.files.as_ref());
        files.flatten().map(|f| f.filename.clone()).collect()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Pull {
    number: u64,
    state: String,
    #[serde(default)]
    merged: bool,
    merge_commit_sha: Option<String>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    html_url: String,
    #[serde(default)]
    created_at: String,
    merged_at: Option<String>,
    closed_at: Option<String>,
    user: Option<Account>,
    merged_by: Option<Account>,
    head: End,
    base: End,
}

#[derive(Debug, Deserialize)]
struct End {
    /// The branch's name also where `ref` has become `refs/pull/N/head` because the branch is gone.
    #[serde(default)]
    label: String,
    #[serde(rename = "ref", default)]
    reference: String,
    #[serde(default)]
    sha: String,
    #[serde(default)]
    repo_id: Option<i64>,
}

impl Pull {
    pub(super) fn base_is(&self, branch: &str) -> bool {
        self.base.reference == branch
    }
}

impl From<Pull> for forge::Pull {
    fn from(pull: Pull) -> Self {
        let state = match (pull.merged, pull.state.as_str()) {
            (true, _) => forge::PullState::Merged,
            (false, "open") => forge::PullState::Open,
            (false, _) => forge::PullState::Closed,
        };
        let branch = if pull.head.label.is_empty() {
            pull.head.reference
        } else {
            pull.head.label
        };
        // Everybody may name a branch of a fork like one of ours: with a colon it is none.
        let branch = if pull.head.repo_id == pull.base.repo_id || branch.contains(':') {
            branch
        } else {
            format!("fork:{branch}")
        };
        Self {
            number: pull.number,
            state,
            branch,
            head_sha: pull.head.sha,
            merge_sha: pull
                .merge_commit_sha
                .filter(|sha| pull.merged && !sha.is_empty()),
            title: pull.title,
            body: pull.body,
            url: pull.html_url,
            created_at: pull.created_at,
            finished_at: pull.merged_at.or(pull.closed_at),
            author: pull.user.map(|user| user.login).unwrap_or_default(),
            merged_by: pull.merged_by.map(|user| user.login),
        }
    }
}
