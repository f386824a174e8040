//! Who is asked to review, and the labels: what a pull request carries besides its commit.

use reqwest::Method;
use serde_json::json;

use super::{GitHub, wire};
use crate::forge::{Error, asked, one_sentence};
use crate::web;

/// The colour of labels that are made here.
const COLOR: &str = "336791";

impl GitHub {
    /// Everybody who cannot review, at once.
    pub(super) async fn find_reviewers(&self, reviewers: &[String]) -> Result<(), Error> {
        if reviewers.is_empty() {
            return Ok(());
        }
        let myself = match self.0.app_id() {
            Some(_) => None,
            None => Some(self.myself().await?),
        };
        let mut problems = Vec::new();
        for name in reviewers {
            let problem = match name.split_once('/') {
                Some((organisation, team)) => self.team_problem(organisation, team).await?,
                None if myself
                    .as_deref()
                    .is_some_and(|me| me.eq_ignore_ascii_case(name)) =>
                {
                    Some("is the account that opens the pull requests")
                }
                None => self.user_problem(name).await?,
            };
            problems.extend(
                problem.map(|why| format!("reviewers: {name:?} {why}; correct forge.reviewers")),
            );
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::Settings(one_sentence(&problems)))
    }

    async fn user_problem(&self, name: &str) -> Result<Option<&'static str>, Error> {
        let path = format!("/collaborators/{}", web::segment(name));
        if self.0.get(&path, &[404]).await?.status != 404 {
            return Ok(None);
        }
        let path = format!("/users/{}", web::segment(name));
        let known = self.0.get_any(&path, &[404]).await?.status != 404;
        Ok(Some(if known {
            "has no access to the repository"
        } else {
            "does not exist"
        }))
    }

    async fn team_problem(
        &self,
        organisation: &str,
        team: &str,
    ) -> Result<Option<&'static str>, Error> {
        let settings = &self.0.settings;
        if !organisation.eq_ignore_ascii_case(&settings.owner) {
            return Ok(Some("is a team of another organisation"));
        }
        let path = format!(
            "/orgs/{}/teams/{}/repos/{}/{}",
            web::segment(organisation),
            web::segment(team),
            web::segment(&settings.owner),
            web::segment(&settings.repository)
        );
        let missing = self.0.get_any(&path, &[404]).await?.status == 404;
        Ok(missing.then_some("does not exist, or has no access to the repository"))
    }

    /// Asks them, unless somebody was asked or has answered already: nobody is asked twice.
    pub(super) async fn request_reviews(
        &self,
        pull: &wire::Pull,
        reviewers: &[String],
        is_new: bool,
    ) -> Result<(), Error> {
        let Some(body) = asked(reviewers, pull.author()) else {
            return Ok(());
        };
        if !pull.asks_nobody() {
            return Ok(());
        }
        let path = format!("/pulls/{}", pull.number);
        if !is_new {
            let reviews: Vec<serde_json::Value> =
                self.0.get(&format!("{path}/reviews"), &[]).await?.json()?;
            if !reviews.is_empty() {
                return Ok(());
            }
        }
        self.0
            .make(
                Method::POST,
                &format!("{path}/requested_reviewers"),
                &body,
                &[],
            )
            .await?;
        Ok(())
    }

    /// Labels help people to find pull requests; an order does not fail for want of one.
    pub(super) async fn label(&self, pull: &wire::Pull, labels: &[String]) {
        let missing: Vec<&String> = labels
            .iter()
            .filter(|name| pull.lacks_label(name))
            .collect();
        if missing.is_empty() {
            return;
        }
        if let Err(error) = self.try_label(pull.number, &missing).await {
            tracing::warn!(
                error = web::error_chain(&error),
                number = pull.number,
                "cannot label the pull request"
            );
        }
    }

    async fn try_label(&self, number: u64, labels: &[&String]) -> Result<(), Error> {
        for name in labels {
            let path = format!("/labels/{}", web::segment(name));
            if self.0.get(&path, &[404]).await?.status == 404 {
                let body = json!({"name": name, "color": COLOR});
                // 422: somebody else made it meanwhile.
                self.0.make(Method::POST, "/labels", &body, &[422]).await?;
            }
        }
        let path = format!("/issues/{number}/labels");
        self.0
            .make(Method::POST, &path, &json!({"labels": labels}), &[])
            .await?;
        Ok(())
    }
}
