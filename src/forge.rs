//! The forge that holds the environments repository, in intents: what the platform wants of it, not how one forge does it.
//!
//! Every call may be repeated: an adapter looks before it makes something, because an answer can get lost.

pub mod gitea;
pub mod github;
mod settings;
mod user;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::web;

pub use settings::{App, Kind, Settings};
pub use user::UserToken;

/// The adapter that the settings name.
pub fn connect(settings: Settings) -> Result<Arc<dyn Forge>, Error> {
    settings.check()?;
    match settings.kind {
        Kind::Gitea => Ok(Arc::new(gitea::Gitea::new(settings)?)),
        Kind::GitHub => Ok(Arc::new(github::GitHub::new(settings)?)),
    }
}

/// A change to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Creates or replaces.
    Put {
        path: String,
        content: String,
    },
    Delete {
        path: String,
    },
}

impl Change {
    pub fn path(&self) -> &str {
        match self {
            Self::Put { path, .. } | Self::Delete { path } => path,
        }
    }
}

/// One commit on one branch of its own, and the pull request that offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The commit on the base branch that was looked at.
    pub base_sha: String,
    pub branch: String,
    pub changes: Vec<Change>,
    pub message: String,
    pub title: String,
    pub body: String,
    pub labels: Vec<String>,
    /// Who is asked to review: users, and teams as `organisation/team`.
    pub reviewers: Vec<String>,
    /// Commit and pull request are made with this token. Everything else is the platform's: looks, labels, reviewers.
    pub as_user: Option<UserToken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullState {
    Open,
    Merged,
    /// Closed without a merge.
    Closed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    pub number: u64,
    pub state: PullState,
    pub branch: String,
    pub head_sha: String,
    pub merge_sha: Option<String>,
    pub title: String,
    pub body: String,
    pub url: String,
    /// RFC 3339.
    pub created_at: String,
    /// When it was merged or closed.
    pub finished_at: Option<String>,
    /// The account that opened it, as the forge knows it.
    pub author: String,
    pub merged_by: Option<String>,
}

/// A file or directory in a directory of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub path: String,
    pub is_directory: bool,
    /// A symbolic link, which may be read as another file's content, or a commit of another repository.
    pub is_link: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    Pending,
    Success,
    Failure,
}

/// A check on a commit, as reviewers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub context: String,
    pub state: CheckState,
    pub description: String,
}

/// A file that a pull request changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub path: String,
    pub deleted: bool,
}

/// How the base branch is protected.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Protection {
    pub protected: bool,
    pub required_approvals: u32,
    pub required_checks: Vec<String>,
    pub pushes_allowed: bool,
}

#[async_trait]
pub trait Forge: Send + Sync {
    /// The commit that the base branch points at.
    async fn base(&self) -> Result<String, Error>;
    /// A text file at a commit; `None` if there is none.
    async fn read(&self, at: &str, path: &str) -> Result<Option<String>, Error>;
    /// What a directory holds at a commit, without its subdirectories' content; empty if there is none.
    async fn list(&self, at: &str, directory: &str) -> Result<Vec<Entry>, Error>;
    /// The commit that a branch points at.
    async fn branch(&self, name: &str) -> Result<Option<String>, Error>;
    /// Makes the branch with the one commit. A branch that exists already is left as it is.
    async fn commit(&self, draft: &Draft) -> Result<(), Error>;
    /// Opens the pull request of a branch that exists. One that is open already is the answer.
    async fn open(&self, draft: &Draft) -> Result<Pull, Error>;
    /// The latest pull request of a branch, in any state.
    async fn find(&self, branch: &str) -> Result<Option<Pull>, Error>;
    async fn pull(&self, number: u64) -> Result<Option<Pull>, Error>;
    /// All pull requests that are open against the base branch.
    async fn open_pulls(&self) -> Result<Vec<Pull>, Error>;
    /// The most recently changed pull requests that are not open any more, at most one page of them.
    async fn recent_pulls(&self) -> Result<Vec<Pull>, Error>;
    /// As `recent_pulls`, so many pages of them.
    async fn finished_pulls(&self, most_pages: usize) -> Result<Vec<Pull>, Error>;
    /// The pull requests in any state that changed last, about one page of them.
    async fn changed_pulls(&self) -> Result<Vec<Pull>, Error>;
    /// The files that differ between two commits of the base branch; `None` where the forge cannot say.
    async fn changed_between(&self, from: &str, to: &str) -> Result<Option<Vec<String>>, Error>;
    /// Closes a pull request without a merge and replaces its text. One that was merged meanwhile stays so: the answer says it.
    async fn close(&self, number: u64, body: &str) -> Result<Pull, Error>;
    /// Removes a branch, if it is there. The commits stay where the forge keeps those of a pull request.
    async fn delete_branch(&self, name: &str) -> Result<(), Error>;
    /// The text of the one comment that holds this marker.
    async fn comment(&self, number: u64, marker: &str) -> Result<Option<String>, Error>;
    /// Writes that comment, or changes it.
    async fn upsert_comment(&self, number: u64, marker: &str, text: &str) -> Result<(), Error>;
    async fn status(&self, sha: &str, check: &Check) -> Result<(), Error>;
    /// Whether the history of `revision` contains `commit`.
    async fn contains(&self, revision: &str, commit: &str) -> Result<bool, Error>;
    /// What a pull request changes against its base, complete.
    async fn changes(&self, number: u64) -> Result<Vec<Changed>, Error>;
    /// How the base branch is protected.
    async fn protection(&self) -> Result<Protection, Error>;
    /// That everybody named exists and may review; all who do not are told at once.
    async fn check_reviewers(&self, reviewers: &[String]) -> Result<(), Error>;
    /// Whom the settings want to review every pull request.
    fn reviewers(&self) -> Vec<String>;
    /// Where people see a file of the base branch; the catalog reads it there too.
    fn file_url(&self, path: &str) -> String;

    /// The branch with its commit and its open pull request, whichever of them exist already. Never forces a branch.
    /// Nothing is written for reviewers who cannot review.
    async fn propose(&self, draft: &Draft) -> Result<Pull, Error> {
        if self.branch(&draft.branch).await?.is_none() {
            self.check_reviewers(&draft.reviewers).await?;
            self.commit(draft).await?;
        }
        self.open(draft).await
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Http(#[from] web::Error),
    #[error("the forge refuses the token ({status} to {call}){}", colon(message))]
    Unauthorized {
        call: String,
        status: u16,
        message: String,
    },
    #[error("the forge does not allow {call}{}", colon(message))]
    Forbidden { call: String, message: String },
    #[error("the forge does not know {what}")]
    NotFound { what: String },
    #[error("the forge answered {status} to {call}{}", colon(message))]
    Refused {
        call: String,
        status: u16,
        message: String,
    },
    #[error("userToken: {lacks} ({call}){}", colon(message))]
    UserToken {
        call: String,
        lacks: String,
        message: String,
    },
    #[error("the forge's limit for {call} is reached; it takes calls again in {} s", wait.as_secs())]
    Limited { call: String, wait: Duration },
    #[error("forge settings: {0}")]
    Settings(String),
}

impl Error {
    /// What somebody has to change, or that waiting helps.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Http(web::Error::Token { .. }) => {
                "put a valid token into Secret vdb-forge, key token"
            }
            Self::Http(web::Error::Authorities { .. }) => {
                "put certificates in PEM into the file that forge.caFile names, or remove forge.caFile"
            }
            Self::Http(_) => {
                "check that the forge is up and forge.url is right, then run this again"
            }
            Self::Unauthorized { .. } => {
                "renew the token in Secret vdb-forge, key token; with a GitHub App check forge.app and its private key"
            }
            Self::Forbidden { .. } => {
                "give the token's user write access to the repository; branches vdb/* must not be protected"
            }
            Self::NotFound { .. } => {
                "check forge.owner, forge.repository and forge.branch, and that the token's user may read them"
            }
            Self::Refused { status, .. } if *status >= 500 => {
                "wait until the forge works again, then run this again"
            }
            Self::Refused { status: 409, .. } => {
                "somebody worked on the same thing at the same time: run this again"
            }
            Self::Refused { .. } => "look into the forge's log; nothing was changed",
            Self::UserToken { .. } => {
                "sign in to the forge again in the portal and grant it, or leave userToken out: then the platform opens the pull request"
            }
            Self::Limited { .. } => {
                "run this again after that time; nothing was changed by this call"
            }
            Self::Settings(_) => "correct the forge settings",
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => !matches!(
                error,
                web::Error::Token { .. } | web::Error::Authorities { .. }
            ),
            Self::Limited { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || matches!(status, 408 | 409 | 429),
            _ => false,
        }
    }
}

/// Several problems as one sentence.
fn one_sentence(problems: &[String]) -> String {
    problems.join(" | ")
}

/// The request for reviews, which both forges read alike: users, and teams by their name within the organisation.
/// None where nobody is left to ask: no forge lets an author review.
fn asked(reviewers: &[String], author: &str) -> Option<serde_json::Value> {
    let reviewers: Vec<&String> = reviewers
        .iter()
        .filter(|name| !name.eq_ignore_ascii_case(author))
        .collect();
    if reviewers.is_empty() {
        return None;
    }
    let team = |name: &String| name.split('/').nth(1).map(str::to_owned);
    let users: Vec<&&String> = reviewers
        .iter()
        .filter(|name| team(name).is_none())
        .collect();
    let teams: Vec<String> = reviewers.iter().filter_map(|name| team(name)).collect();
    Some(serde_json::json!({"reviewers": users, "team_reviewers": teams}))
}

fn colon(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

#[cfg(test)]
mod tests;
