//! Pull requests and the one comment on each that is ours.

use reqwest::Method;
use serde_json::json;

use super::{GitHub, MOST_PAGES, PAGE, said, wire};
use crate::forge::{Draft, Error};
use crate::web;

/// Per page. A pull request's text may be long, and an answer is read up to 8 MiB.
const PULLS: usize = 50;

impl GitHub {
    /// A list against the base branch that is asked for every few seconds.
    pub(super) async fn polled(
        &self,
        query: &str,
        most_pages: usize,
    ) -> Result<Vec<wire::Pull>, Error> {
        self.listed(query, most_pages, true).await
    }

    /// A list that is asked for seldom: nothing of it is kept.
    pub(super) async fn once(
        &self,
        query: &str,
        most_pages: usize,
    ) -> Result<Vec<wire::Pull>, Error> {
        self.listed(query, most_pages, false).await
    }

    async fn listed(
        &self,
        query: &str,
        most_pages: usize,
        kept: bool,
    ) -> Result<Vec<wire::Pull>, Error> {
        let base = &self.0.settings.branch;
        let mut pulls: Vec<wire::Pull> = Vec::new();
        for page in 1..=most_pages {
            let path = format!(
                "/pulls?{query}&base={}&per_page={PULLS}&page={page}",
                web::segment(base)
            );
            let found: Vec<wire::Pull> = if kept {
                self.page(path).await?
            } else {
                self.0.get(&path, &[]).await?.json()?
            };
            let last = found.len() < PULLS;
            pulls.extend(found.into_iter().filter(|pull| pull.base_is(base)));
            if last {
                break;
            }
        }
        Ok(pulls)
    }

    async fn page(&self, path: String) -> Result<Vec<wire::Pull>, Error> {
        let (etag, known) = {
            let pages = self.1.pages.lock().await;
            pages.get(&path).cloned().unwrap_or_default()
        };
        let answer = self.0.get_unless(&path, &etag, &[304]).await?;
        if answer.status == 304 {
            return Ok(known);
        }
        let found: Vec<wire::Pull> = answer.json()?;
        let mut pages = self.1.pages.lock().await;
        pages.insert(path, (answer.header("etag").to_owned(), found.clone()));
        Ok(found)
    }

    /// The latest pull request of a branch, the open one first.
    pub(super) async fn latest(&self, branch: &str) -> Result<Option<wire::Pull>, Error> {
        let base = &self.0.settings.branch;
        let path = format!(
            "/pulls?state=all&sort=created&direction=desc&head={}:{}&base={}&per_page={PULLS}",
            web::segment(&self.0.settings.owner),
            web::segment(branch),
            web::segment(base)
        );
        let mut pulls: Vec<wire::Pull> = self.0.get(&path, &[]).await?.json()?;
        // GitHub shows everything where it does not understand the filter.
        pulls.retain(|pull| pull.head_is(branch) && pull.base_is(base));
        Ok(pulls.into_iter().max_by_key(|pull| pull.number))
    }

    pub(super) async fn open_new(&self, draft: &Draft) -> Result<(wire::Pull, bool), Error> {
        if let Some(pull) = self.latest(&draft.branch).await?
            && pull.is_open()
        {
            return Ok((pull, false));
        }
        let body = json!({"base": self.0.settings.branch, "head": draft.branch, "title": draft.title, "body": draft.body});
        // 422: among other things, somebody else opened it meanwhile.
        let user = draft.as_user.as_ref();
        let answer = self
            .0
            .make_as(user, Method::POST, "/pulls", &body, &[422])
            .await?;
        if answer.is_success() {
            return Ok((answer.json()?, true));
        }
        match self.latest(&draft.branch).await? {
            Some(pull) if pull.is_open() => Ok((pull, false)),
            _ => Err(Error::Refused {
                message: said::refusal(&answer),
                call: answer.call,
                status: answer.status,
            }),
        }
    }

    pub(super) async fn marked(
        &self,
        number: u64,
        marker: &str,
    ) -> Result<Option<wire::Comment>, Error> {
        for page in 1..=MOST_PAGES {
            let path = format!("/issues/{number}/comments?per_page={PAGE}&page={page}");
            let comments: Vec<wire::Comment> = self.0.get(&path, &[]).await?.json()?;
            let last = comments.len() < PAGE;
            for comment in comments {
                let holds = comment.body.as_ref().is_some_and(|b| b.contains(marker));
                // Whoever may comment may write our marker.
                if holds && self.is_mine(&comment).await? {
                    return Ok(Some(comment));
                }
            }
            if last {
                break;
            }
        }
        Ok(None)
    }

    async fn is_mine(&self, comment: &wire::Comment) -> Result<bool, Error> {
        if let Some(app) = self.0.app_id() {
            let by = comment.performed_via_github_app.as_ref();
            return Ok(by.is_some_and(|by| by.id == app));
        }
        let myself = self.myself().await?;
        Ok(comment.user.as_ref().is_some_and(|by| by.login == myself))
    }
}
