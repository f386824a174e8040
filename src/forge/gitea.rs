//! Gitea and Forgejo, API v1.
//!
//! What differs from GitHub: several files, their commit and a new branch are one `POST /contents`; the list of pull
//! requests cannot be filtered by head, so one is asked for by `/pulls/{base}/{head}`; a merge may be refused for a moment.

mod connection;
mod look;
mod people;
mod wire;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Change, Changed, Check, CheckState, Draft, Entry, Error, Forge, Protection, Pull, PullState,
    Settings,
};
use crate::web;
use connection::Connection;

/// Pull requests per page; Gitea's default maximum.
const PAGE: usize = 50;
/// An installation with more open pull requests than this has another problem.
const MOST_PAGES: usize = 20;

pub struct Gitea(Connection);

impl Gitea {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Connection::new(settings).map(Self)
    }

    /// The blob's id, which Gitea wants for a file that is replaced or deleted.
    async fn blob(&self, at: &str, path: &str) -> Result<Option<String>, Error> {
        let answer = self
            .0
            .get(
                &format!("/contents/{}?ref={}", web::path(path), web::segment(at)),
                &[404],
            )
            .await?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(answer.json::<wire::Content>()?.sha)
    }

    async fn operations(&self, draft: &Draft) -> Result<Vec<Value>, Error> {
        let mut operations = Vec::with_capacity(draft.changes.len());
        for change in &draft.changes {
            let blob = self.blob(&draft.base_sha, change.path()).await?;
            match (change, blob) {
                (Change::Put { path, content }, None) => {
                    operations.push(json!({"operation": "create", "path": path, "content": STANDARD.encode(content)}));
                }
                (Change::Put { path, content }, Some(sha)) => {
                    operations.push(json!({"operation": "update", "path": path, "content": STANDARD.encode(content), "sha": sha}));
                }
                (Change::Delete { path }, Some(sha)) => {
                    operations.push(json!({"operation": "delete", "path": path, "sha": sha}));
                }
                (Change::Delete { .. }, None) => {}
            }
        }
        Ok(operations)
    }

    async fn pulls(&self, query: &str, most_pages: usize) -> Result<Vec<Pull>, Error> {
        let mut pulls = Vec::new();
        for page in 1..=most_pages {
            let answer = self
                .0
                .get(&format!("/pulls?{query}&limit={PAGE}&page={page}"), &[])
                .await?;
            let found: Vec<wire::Pull> = answer.json()?;
            let last = found.len() < PAGE;
            pulls.extend(
                found
                    .into_iter()
                    .filter(|pull| pull.base_is(&self.0.settings.branch))
                    .map(Pull::from),
            );
            if last {
                break;
            }
        }
        Ok(pulls)
    }

    /// What the history of `to` has and that of `from` has not.
    async fn compare(&self, from: &str, to: &str) -> Result<wire::Comparison, Error> {
        let path = format!("/compare/{}...{}", web::segment(from), web::segment(to));
        Ok(self.0.get(&path, &[]).await?.json()?)
    }

    async fn marked(&self, number: u64, marker: &str) -> Result<Option<wire::Comment>, Error> {
        let comments: Vec<wire::Comment> = self
            .0
            .get(&format!("/issues/{number}/comments"), &[])
            .await?
            .json()?;
        Ok(comments
            .into_iter()
            .find(|comment| comment.body.contains(marker)))
    }
}

#[async_trait]
impl Forge for Gitea {
    async fn base(&self) -> Result<String, Error> {
        self.branch(&self.0.settings.branch)
            .await?
            .ok_or_else(|| Error::NotFound {
                what: format!(
                    "branch {} of {}/{}",
                    self.0.settings.branch, self.0.settings.owner, self.0.settings.repository
                ),
            })
    }

    async fn read(&self, at: &str, path: &str) -> Result<Option<String>, Error> {
        let answer = self
            .0
            .get(
                &format!("/raw/{}?ref={}", web::path(path), web::segment(at)),
                &[404],
            )
            .await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let not_text = |_| web::Error::Malformed {
            server: answer.server.clone(),
            call: answer.call.clone(),
            why: "it is not text".into(),
        };
        Ok(Some(
            String::from_utf8(answer.body.clone()).map_err(not_text)?,
        ))
    }

    async fn list(&self, at: &str, directory: &str) -> Result<Vec<Entry>, Error> {
        let answer = self
            .0
            .get(
                &format!(
                    "/contents/{}?ref={}",
                    web::path(directory),
                    web::segment(at)
                ),
                &[404],
            )
            .await?;
        if answer.status == 404 {
            return Ok(Vec::new());
        }
        let entries: Vec<wire::Content> = answer.json()?;
        Ok(entries
            .into_iter()
            .map(|entry| Entry {
                is_directory: entry.kind == "dir",
                is_link: matches!(entry.kind.as_str(), "symlink" | "submodule"),
                path: entry.path,
            })
            .collect())
    }

    async fn branch(&self, name: &str) -> Result<Option<String>, Error> {
        let path = format!("/branches/{}", web::path(name));
        // The base branch is looked at every few seconds.
        let answer = if name == self.0.settings.branch {
            self.0.poll(&path, &[404]).await?
        } else {
            self.0.get(&path, &[404]).await?
        };
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(Some(answer.json::<wire::Branch>()?.commit.id))
    }

    async fn commit(&self, draft: &Draft) -> Result<(), Error> {
        let files = self.operations(draft).await?;
        let body = json!({"branch": self.0.settings.branch, "new_branch": draft.branch, "message": draft.message, "files": files});
        // 409 and 422: somebody else made the branch since it was looked for. The look after it tells these two cases apart.
        let user = draft.as_user.as_ref();
        let answer = self
            .0
            .post_as(user, "/contents", &body, &[409, 422])
            .await?;
        if answer.is_success() || self.branch(&draft.branch).await?.is_some() {
            return Ok(());
        }
        Err(Error::Refused {
            message: answer.said(),
            call: answer.call,
            status: answer.status,
        })
    }

    async fn open(&self, draft: &Draft) -> Result<Pull, Error> {
        if let Some(pull) = self.find(&draft.branch).await?
            && pull.state == PullState::Open
        {
            self.request_reviews(&pull, &draft.reviewers).await?;
            return Ok(pull);
        }
        let body = json!({"base": self.0.settings.branch, "head": draft.branch, "title": draft.title, "body": draft.body});
        let user = draft.as_user.as_ref();
        let answer = self.0.post_as(user, "/pulls", &body, &[409]).await?;
        if answer.status == 409 {
            let found = self.find(&draft.branch).await?;
            return found.ok_or_else(|| Error::Refused {
                message: answer.said(),
                call: answer.call,
                status: 409,
            });
        }
        let pull = Pull::from(answer.json::<wire::Pull>()?);
        self.label(pull.number, &draft.labels).await;
        self.request_reviews(&pull, &draft.reviewers).await?;
        Ok(pull)
    }

    async fn find(&self, branch: &str) -> Result<Option<Pull>, Error> {
        let path = format!(
            "/pulls/{}/{}",
            web::segment(&self.0.settings.branch),
            web::path(branch)
        );
        let answer = self.0.get(&path, &[404]).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(Some(Pull::from(answer.json::<wire::Pull>()?)))
    }

    async fn pull(&self, number: u64) -> Result<Option<Pull>, Error> {
        let answer = self.0.get(&format!("/pulls/{number}"), &[404]).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(Some(Pull::from(answer.json::<wire::Pull>()?)))
    }

    async fn open_pulls(&self) -> Result<Vec<Pull>, Error> {
        self.pulls("state=open", MOST_PAGES).await
    }

    async fn recent_pulls(&self) -> Result<Vec<Pull>, Error> {
        self.finished_pulls(1).await
    }

    async fn finished_pulls(&self, most_pages: usize) -> Result<Vec<Pull>, Error> {
        self.pulls("state=closed&sort=recentupdate", most_pages)
            .await
    }

    async fn changes(&self, number: u64) -> Result<Vec<Changed>, Error> {
        look::changes(&self.0, number).await
    }

    async fn protection(&self) -> Result<Protection, Error> {
        look::protection(&self.0).await
    }

    async fn changed_pulls(&self) -> Result<Vec<Pull>, Error> {
        self.pulls("state=all&sort=recentupdate", 1).await
    }

    async fn changed_between(&self, from: &str, to: &str) -> Result<Option<Vec<String>>, Error> {
        let comparison = self.compare(from, to).await?;
        let files = comparison.files();
        // A version that lists no files cannot say what changed.
        Ok((!files.is_empty() || comparison.total_commits == 0).then_some(files))
    }

    async fn close(&self, number: u64, body: &str) -> Result<Pull, Error> {
        let path = format!("/pulls/{number}");
        let change = json!({"body": body, "state": "closed"});
        let request = self.0.request(Method::PATCH, &path).json(&change);
        // 412: it was merged meanwhile.
        let answer = self.0.send(request, &[412]).await?;
        let answer = if answer.status == 412 {
            self.0.get(&path, &[]).await?
        } else {
            answer
        };
        Ok(answer.json::<wire::Pull>()?.into())
    }

    async fn delete_branch(&self, name: &str) -> Result<(), Error> {
        let path = format!("/branches/{}", web::path(name));
        let request = self.0.request(Method::DELETE, &path);
        self.0.send(request, &[404]).await?;
        Ok(())
    }

    async fn comment(&self, number: u64, marker: &str) -> Result<Option<String>, Error> {
        Ok(self
            .marked(number, marker)
            .await?
            .map(|comment| comment.body))
    }

    async fn upsert_comment(&self, number: u64, marker: &str, text: &str) -> Result<(), Error> {
        let body = json!({"body": format!("{text}\n\n{marker}")});
        match self.marked(number, marker).await? {
            Some(comment) => {
                let request = self
                    .0
                    .request(Method::PATCH, &format!("/issues/comments/{}", comment.id))
                    .json(&body);
                self.0.send(request, &[]).await?;
            }
            None => {
                self.0
                    .post(&format!("/issues/{number}/comments"), &body, &[])
                    .await?;
            }
        }
        Ok(())
    }

    async fn status(&self, sha: &str, check: &Check) -> Result<(), Error> {
        let state = match check.state {
            CheckState::Pending => "pending",
            CheckState::Success => "success",
            CheckState::Failure => "failure",
        };
        let body =
            json!({"context": check.context, "state": state, "description": check.description});
        self.0
            .post(&format!("/statuses/{}", web::segment(sha)), &body, &[])
            .await?;
        Ok(())
    }

    async fn contains(&self, revision: &str, commit: &str) -> Result<bool, Error> {
        if revision == commit {
            return Ok(true);
        }
        // Commits of `commit`'s history that `revision` lacks: none means that it is contained.
        Ok(self.compare(revision, commit).await?.total_commits == 0)
    }

    async fn check_reviewers(&self, reviewers: &[String]) -> Result<(), Error> {
        self.find_reviewers(reviewers).await
    }

    fn reviewers(&self) -> Vec<String> {
        self.0.settings.reviewers.clone()
    }

    fn file_url(&self, path: &str) -> String {
        self.0.settings.file_page("src/branch", path)
    }
}
