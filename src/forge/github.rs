//! GitHub and GitHub Enterprise: REST, and GraphQL for the commit.
//!
//! What differs from Gitea: branch and commit are two calls, a pull request from a fork may carry any branch's name, and
//! limits are tight. The whole repository is spoken to by one plain HTTP client, so that a token never covers more than it.

mod app_token;
mod budget;
mod checks;
mod commit;
mod connection;
mod files;
mod people;
mod protection;
mod pulls;
mod said;
mod user;
mod wire;

use std::collections::BTreeMap;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::json;
use tokio::sync::{Mutex, OnceCell};

use super::{Changed, Check, Draft, Entry, Error, Forge, Protection, Pull, Settings};
use crate::web;
use connection::Connection;

/// Per page, GitHub's maximum.
const PAGE: usize = 100;
/// An installation with more open pull requests than these hold has another problem.
const MOST_PAGES: usize = 20;
/// GitHub shows no more files of a pull request than these hold.
const MOST_FILE_PAGES: usize = 30;

pub struct GitHub(Connection, Kept);

/// What is asked for again and again. With its ETag GitHub answers "the same", and does not count the call.
#[derive(Default)]
struct Kept {
    login: OnceCell<String>,
    /// The base branch's ETag and commit.
    base: Mutex<Option<(String, String)>>,
    /// ETag and content of each page of the lists that are polled, by path.
    pages: Mutex<BTreeMap<String, (String, Vec<wire::Pull>)>>,
}

impl GitHub {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(Connection::new(settings)?, Kept::default()))
    }

    /// The account of the token.
    async fn myself(&self) -> Result<String, Error> {
        let ask = async || {
            let account: wire::Account = self.0.get_any("/user", &[]).await?.json()?;
            Ok(account.login)
        };
        self.1.login.get_or_try_init(ask).await.cloned()
    }

    fn not_known(&self, what: &str) -> Error {
        let Settings {
            owner, repository, ..
        } = &self.0.settings;
        Error::NotFound {
            what: format!("{what} of {owner}/{repository}"),
        }
    }
}

#[async_trait]
impl Forge for GitHub {
    async fn base(&self) -> Result<String, Error> {
        let branch = &self.0.settings.branch;
        let (etag, known) = self.1.base.lock().await.clone().unwrap_or_default();
        let path = format!("/git/ref/heads/{}", web::path(branch));
        let answer = self.0.get_unless(&path, &etag, &[304, 404, 409]).await?;
        match answer.status {
            304 => Ok(known),
            // 409: the repository is empty.
            404 | 409 => Err(self.not_known(&format!("branch {branch}"))),
            _ => {
                let sha = answer.json::<wire::Reference>()?.object.sha;
                *self.1.base.lock().await = Some((answer.header("etag").to_owned(), sha.clone()));
                Ok(sha)
            }
        }
    }

    async fn read(&self, at: &str, path: &str) -> Result<Option<String>, Error> {
        self.read_file(at, path).await
    }

    async fn list(&self, at: &str, directory: &str) -> Result<Vec<Entry>, Error> {
        self.list_directory(at, directory).await
    }

    async fn branch(&self, name: &str) -> Result<Option<String>, Error> {
        let path = format!("/git/ref/heads/{}", web::path(name));
        let answer = self.0.get(&path, &[404, 409]).await?;
        if !answer.is_success() {
            return Ok(None);
        }
        Ok(Some(answer.json::<wire::Reference>()?.object.sha))
    }

    async fn commit(&self, draft: &Draft) -> Result<(), Error> {
        self.settle(draft).await
    }

    async fn open(&self, draft: &Draft) -> Result<Pull, Error> {
        let (pull, is_new) = self.open_new(draft).await?;
        self.label(&pull, &draft.labels).await;
        self.request_reviews(&pull, &draft.reviewers, is_new)
            .await?;
        Ok(pull.into())
    }

    async fn find(&self, branch: &str) -> Result<Option<Pull>, Error> {
        Ok(self.latest(branch).await?.map(Pull::from))
    }

    async fn pull(&self, number: u64) -> Result<Option<Pull>, Error> {
        let answer = self.0.get(&format!("/pulls/{number}"), &[404]).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(Some(answer.json::<wire::Pull>()?.into()))
    }

    async fn open_pulls(&self) -> Result<Vec<Pull>, Error> {
        let pulls = self.polled("state=open", MOST_PAGES).await?;
        Ok(pulls.into_iter().map(Pull::from).collect())
    }

    async fn recent_pulls(&self) -> Result<Vec<Pull>, Error> {
        let query = "state=closed&sort=updated&direction=desc";
        let pulls = self.polled(query, 1).await?;
        Ok(pulls.into_iter().map(Pull::from).collect())
    }

    async fn finished_pulls(&self, most_pages: usize) -> Result<Vec<Pull>, Error> {
        let query = "state=closed&sort=updated&direction=desc";
        let pulls = self.once(query, most_pages).await?;
        Ok(pulls.into_iter().map(Pull::from).collect())
    }

    async fn changed_pulls(&self) -> Result<Vec<Pull>, Error> {
        let query = "state=all&sort=updated&direction=desc";
        let pulls = self.polled(query, 1).await?;
        Ok(pulls.into_iter().map(Pull::from).collect())
    }

    async fn changed_between(&self, from: &str, to: &str) -> Result<Option<Vec<String>>, Error> {
        self.files_between(from, to).await
    }

    async fn close(&self, number: u64, body: &str) -> Result<Pull, Error> {
        let path = format!("/pulls/{number}");
        let change = json!({"body": body, "state": "closed"});
        // 422: it was merged meanwhile.
        let answer = self.0.make(Method::PATCH, &path, &change, &[422]).await?;
        let answer = if answer.is_success() {
            answer
        } else {
            self.0.get(&path, &[]).await?
        };
        Ok(answer.json::<wire::Pull>()?.into())
    }

    async fn delete_branch(&self, name: &str) -> Result<(), Error> {
        let path = format!("/git/refs/heads/{}", web::path(name));
        // 422: there is no such branch.
        self.0.remove(&path, &[404, 422]).await
    }

    async fn comment(&self, number: u64, marker: &str) -> Result<Option<String>, Error> {
        Ok(self.marked(number, marker).await?.and_then(|c| c.body))
    }

    async fn upsert_comment(&self, number: u64, marker: &str, text: &str) -> Result<(), Error> {
        let text = format!("{text}\n\n{marker}");
        let body = json!({"body": text});
        let (method, path) = match self.marked(number, marker).await? {
            Some(comment) if comment.body.as_ref() == Some(&text) => return Ok(()),
            Some(comment) => (Method::PATCH, format!("/issues/comments/{}", comment.id)),
            None => (Method::POST, format!("/issues/{number}/comments")),
        };
        self.0.make(method, &path, &body, &[]).await?;
        Ok(())
    }

    async fn status(&self, sha: &str, check: &Check) -> Result<(), Error> {
        match self.0.app_id() {
            Some(app) => self.check_run(app, sha, check).await,
            None => self.commit_status(sha, check).await,
        }
    }

    async fn contains(&self, revision: &str, commit: &str) -> Result<bool, Error> {
        if revision == commit {
            return Ok(true);
        }
        let path = format!(
            "/compare/{}...{}?per_page=1",
            web::segment(revision),
            web::segment(commit)
        );
        let compared: wire::Comparison = self.0.get(&path, &[]).await?.json()?;
        Ok(compared.ahead_by == 0)
    }

    async fn changes(&self, number: u64) -> Result<Vec<Changed>, Error> {
        let mut changes = Vec::new();
        for page in 1..=MOST_FILE_PAGES {
            let path = format!("/pulls/{number}/files?per_page={PAGE}&page={page}");
            let files: Vec<wire::ChangedFile> = self.0.get(&path, &[]).await?.json()?;
            let last = files.len() < PAGE;
            changes.extend(files.into_iter().flat_map(wire::ChangedFile::changes));
            if last {
                return Ok(changes);
            }
        }
        Err(Error::Refused {
            call: format!("GET /pulls/{number}/files"),
            status: 413,
            message: format!("it changes more than {} files", changes.len()),
        })
    }

    async fn protection(&self) -> Result<Protection, Error> {
        self.read_protection().await
    }

    async fn check_reviewers(&self, reviewers: &[String]) -> Result<(), Error> {
        self.find_reviewers(reviewers).await
    }

    fn reviewers(&self) -> Vec<String> {
        self.0.settings.reviewers.clone()
    }

    fn file_url(&self, path: &str) -> String {
        self.0.settings.file_page("blob", path)
    }

    /// A branch without a commit, left by a crash, is finished too.
    async fn propose(&self, draft: &Draft) -> Result<Pull, Error> {
        if !draft.reviewers.is_empty() && !self.is_settled(draft).await? {
            self.check_reviewers(&draft.reviewers).await?;
        }
        self.settle(draft).await?;
        self.open(draft).await
    }
}

#[cfg(test)]
mod tests;
