//! GitHub's objects, as far as they are read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::forge;

#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    pub(super) object: Object,
}

#[derive(Debug, Deserialize)]
pub(super) struct Object {
    pub(super) sha: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Content {
    #[serde(default)]
    pub(super) path: String,
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) encoding: String,
    /// What the file holds, encoded.
    #[serde(rename = "content", default)]
    pub(super) held: String,
    /// None for what is no file of this repository.
    pub(super) download_url: Option<String>,
}

impl Content {
    /// In a list GitHub calls a submodule a file; it cannot be downloaded.
    pub(super) fn is_link(&self) -> bool {
        match self.kind.as_str() {
            "dir" => false,
            "file" => self.download_url.is_none(),
            _ => true,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Comparison {
    /// How many commits the second has that the first lacks.
    pub(super) ahead_by: u64,
    /// How the second stands to the first: ahead, behind, diverged or identical.
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) files: Vec<ChangedFile>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Account {
    pub(super) login: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Comment {
    pub(super) id: u64,
    pub(super) body: Option<String>,
    pub(super) user: Option<Account>,
    pub(super) performed_via_github_app: Option<AppReference>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AppReference {
    pub(super) id: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct ChangedFile {
    pub(super) filename: String,
    #[serde(default)]
    pub(super) status: String,
    pub(super) previous_filename: Option<String>,
}

impl ChangedFile {
    /// A file that was renamed is one that came and one that went.
    pub(super) fn changes(self) -> Vec<forge::Changed> {
        let went = self.previous_filename.filter(|_| self.status == "renamed");
        let came = forge::Changed {
            path: self.filename,
            deleted: self.status == "removed",
        };
        let went = went.map(|path| forge::Changed {
            path,
            deleted: true,
        });
        std::iter::once(came).chain(went).collect()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct CombinedStatus {
    #[serde(default)]
    pub(super) statuses: Vec<Status>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) context: String,
    pub(super) state: String,
    pub(super) description: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckRuns {
    #[serde(default)]
    pub(super) check_runs: Vec<CheckRun>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckRun {
    pub(super) id: u64,
    pub(super) status: String,
    pub(super) conclusion: Option<String>,
    pub(super) output: Option<Output>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Output {
    pub(super) title: Option<String>,
}

/// A rule of a ruleset, as it applies to one branch.
#[derive(Debug, Deserialize)]
pub(super) struct Rule {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) parameters: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct Installation {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) permissions: BTreeMap<String, String>,
}

/// Not printable: it holds a token.
#[derive(Deserialize)]
pub(super) struct Access {
    pub(super) token: String,
    #[serde(default)]
    pub(super) expires_at: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Pull {
    pub(super) number: u64,
    state: String,
    merged_at: Option<String>,
    closed_at: Option<String>,
    /// Also set while it is open: then it is a trial.
    merge_commit_sha: Option<String>,
    #[serde(default)]
    title: String,
    body: Option<String>,
    #[serde(default)]
    html_url: String,
    #[serde(default)]
    created_at: String,
    user: Option<Account>,
    /// Only where one pull request is asked for.
    merged_by: Option<Account>,
    head: End,
    base: End,
    #[serde(default)]
    labels: Vec<Label>,
    #[serde(default)]
    requested_reviewers: Vec<Value>,
    #[serde(default)]
    requested_teams: Vec<Value>,
}

#[derive(Clone, Debug, Deserialize)]
struct Label {
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct End {
    #[serde(default)]
    label: Option<String>,
    #[serde(rename = "ref")]
    reference: String,
    #[serde(default)]
    sha: String,
    /// None where a fork is gone.
    repo: Option<Repository>,
}

#[derive(Clone, Debug, Deserialize)]
struct Repository {
    full_name: String,
}

impl Pull {
    pub(super) fn base_is(&self, branch: &str) -> bool {
        self.base.reference == branch
    }

    /// Whether its branch is in the repository itself and has this name.
    pub(super) fn head_is(&self, branch: &str) -> bool {
        self.is_own() && self.head.reference == branch
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == "open"
    }

    pub(super) fn lacks_label(&self, name: &str) -> bool {
        !self.labels.iter().any(|label| label.name == name)
    }

    pub(super) fn asks_nobody(&self) -> bool {
        self.requested_reviewers.is_empty() && self.requested_teams.is_empty()
    }

    pub(super) fn author(&self) -> &str {
        self.user.as_ref().map_or("", |user| &user.login)
    }

    /// A fork may have a branch of any name: it must never pass for one of ours.
    fn is_own(&self) -> bool {
        match (&self.head.repo, &self.base.repo) {
            (Some(head), Some(base)) => head.full_name == base.full_name,
            _ => false,
        }
    }
}

impl From<Pull> for forge::Pull {
    fn from(pull: Pull) -> Self {
        let state = match (&pull.merged_at, pull.state.as_str()) {
            (Some(_), _) => forge::PullState::Merged,
            (None, "open") => forge::PullState::Open,
            (None, _) => forge::PullState::Closed,
        };
        let branch = if pull.is_own() {
            pull.head.reference
        } else {
            pull.head
                .label
                .unwrap_or_else(|| format!("unknown:{}", pull.head.reference))
        };
        Self {
            number: pull.number,
            state,
            branch,
            head_sha: pull.head.sha,
            merge_sha: pull
                .merge_commit_sha
                .filter(|sha| state == forge::PullState::Merged && !sha.is_empty()),
            title: pull.title,
            body: pull.body.unwrap_or_default(),
            url: pull.html_url,
            created_at: pull.created_at,
            finished_at: pull.merged_at.or(pull.closed_at),
            author: pull.user.map(|user| user.login).unwrap_or_default(),
            merged_by: pull.merged_by.map(|user| user.login),
        }
    }
}
