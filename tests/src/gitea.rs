//! The forge as its people use it: the reviewer approves and merges.

use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::context::Context;
use crate::wait;

pub(crate) struct Gitea<'a> {
    context: &'a Context,
    repository: String,
}

impl<'a> Gitea<'a> {
    pub(crate) fn new(context: &'a Context) -> anyhow::Result<Self> {
        let repository = format!(
            "{}/api/v1/repos/{}/{}",
            context.get("VDB_FORGE_URL")?.trim_end_matches('/'),
            context.get("VDB_FORGE_OWNER")?,
            context.get("VDB_FORGE_REPOSITORY")?
        );
        Ok(Self {
            context,
            repository,
        })
    }

    /// A call as one of the forge's people; the answer's status and body.
    pub(crate) async fn call(
        &self,
        user: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let password = self.context.secret(&format!("gitea-{user}.password"))?;
        let mut request = self
            .context
            .http
            .request(method.clone(), format!("{}{path}", self.repository))
            .basic_auth(user, Some(password));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("{method} {path}"))?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, body) = self.call("reviewer", Method::GET, path, None).await?;
        anyhow::ensure!(status == 200, "GET {path}: {status} {body}");
        Ok(body)
    }

    /// Approves and merges; the time at which the merge was answered.
    pub(crate) async fn merge(&self, number: u64) -> anyhow::Result<()> {
        let review = json!({ "event": "APPROVED", "body": "looks good" });
        let (status, body) = self
            .call(
                "reviewer",
                Method::POST,
                &format!("/pulls/{number}/reviews"),
                Some(review),
            )
            .await?;
        anyhow::ensure!(
            status < 300,
            "approve pull request {number}: {status} {body}"
        );
        // Gitea works out whether a pull request can be merged in the background and answers 405 until it has.
        wait::until(
            "merge the pull request",
            Duration::from_secs(30),
            || async {
                let head = self.get(&format!("/pulls/{number}")).await?["head"]["sha"].clone();
                let merge = json!({ "Do": "merge", "head_commit_id": head });
                let (status, body) = self
                    .call(
                        "reviewer",
                        Method::POST,
                        &format!("/pulls/{number}/merge"),
                        Some(merge),
                    )
                    .await?;
                anyhow::ensure!(
                    status == 200,
                    "merge pull request {number}: {status} {body}"
                );
                Ok(Some(()))
            },
        )
        .await
    }

    pub(crate) async fn close(&self, number: u64) -> anyhow::Result<()> {
        let (status, body) = self
            .call(
                "reviewer",
                Method::PATCH,
                &format!("/pulls/{number}"),
                Some(json!({ "state": "closed" })),
            )
            .await?;
        anyhow::ensure!(status < 300, "close pull request {number}: {status} {body}");
        Ok(())
    }

    /// A pull request by hand: one commit with these new files on a branch of its own; its number and head.
    pub(crate) async fn propose(
        &self,
        user: &str,
        branch: &str,
        files: &[(&str, &str)],
    ) -> anyhow::Result<(u64, String)> {
        let files: Vec<Value> = files
            .iter()
            .map(|(path, text)| {
                json!({ "operation": "create", "path": path, "content": STANDARD.encode(text) })
            })
            .collect();
        let commit =
            json!({ "branch": "main", "new_branch": branch, "message": branch, "files": files });
        let pull = json!({ "base": "main", "head": branch, "title": branch });
        let mut answer = Value::Null;
        for (path, body) in [("/contents", commit), ("/pulls", pull)] {
            let (status, said) = self.call(user, Method::POST, path, Some(body)).await?;
            anyhow::ensure!(status < 300, "POST {path}: {status} {said}");
            answer = said;
        }
        let number = answer["number"].as_u64().context("no number")?;
        let head = answer["head"]["sha"].as_str().context("no head")?;
        Ok((number, head.to_owned()))
    }

    /// A pull request by hand that changes one file which is there; its number.
    pub(crate) async fn change(
        &self,
        user: &str,
        branch: &str,
        path: &str,
        text: &str,
    ) -> anyhow::Result<u64> {
        let there = self.get(&format!("/contents/{path}?ref=main")).await?;
        let file = json!({ "operation": "update", "path": path, "sha": there["sha"], "content": STANDARD.encode(text) });
        let commit =
            json!({ "branch": "main", "new_branch": branch, "message": branch, "files": [file] });
        let pull = json!({ "base": "main", "head": branch, "title": branch });
        let mut answer = Value::Null;
        for (path, body) in [("/contents", commit), ("/pulls", pull)] {
            let (status, said) = self.call(user, Method::POST, path, Some(body)).await?;
            anyhow::ensure!(status < 300, "POST {path}: {status} {said}");
            answer = said;
        }
        answer["number"].as_u64().context("no number")
    }

    /// State and description of one check of a commit, once it is there.
    pub(crate) async fn check(&self, sha: &str, context: &str) -> anyhow::Result<(String, String)> {
        wait::until(
            &format!("the check {context} of {sha}"),
            Duration::from_secs(30),
            || async {
                let status = self.get(&format!("/commits/{sha}/status")).await?;
                let checks = status["statuses"].as_array().into_iter().flatten();
                let found = checks.filter(|check| check["context"] == context);
                let text =
                    |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
                Ok(found
                    .map(|check| (text(check, "status"), text(check, "description")))
                    .next())
            },
        )
        .await
    }

    /// The open pull requests.
    pub(crate) async fn open_pulls(&self) -> anyhow::Result<Vec<Value>> {
        Ok(self
            .get("/pulls?state=open&limit=50")
            .await?
            .as_array()
            .cloned()
            .unwrap_or_default())
    }

    /// Whether the base branch holds this path.
    pub(crate) async fn holds(&self, path: &str) -> anyhow::Result<bool> {
        let (status, _) = self
            .call(
                "reviewer",
                Method::GET,
                &format!("/contents/{path}?ref=main"),
                None,
            )
            .await?;
        Ok(status == 200)
    }
}

/// The number at the end of a pull request's address.
pub(crate) fn number(url: &str) -> anyhow::Result<u64> {
    url.rsplit('/')
        .next()
        .and_then(|n| n.parse().ok())
        .with_context(|| format!("no pull request number in {url}"))
}
