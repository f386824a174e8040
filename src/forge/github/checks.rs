//! What reviewers see below a pull request: a check run of the App, or a commit status where the platform comes with a token.
//!
//! Both look first: a commit takes a thousand statuses of one name, and a second check run would stand beside the first.

use reqwest::Method;
use serde_json::json;

use super::{GitHub, wire};
use crate::forge::{Check, CheckState, Error};
use crate::web;

/// The longest description that GitHub takes.
const LONGEST: usize = 140;

impl GitHub {
    pub(super) async fn commit_status(&self, sha: &str, check: &Check) -> Result<(), Error> {
        let state = match check.state {
            CheckState::Pending => "pending",
            CheckState::Success => "success",
            CheckState::Failure => "failure",
        };
        let description = web::one_line(&check.description, LONGEST);
        let path = format!("/commits/{}/status?per_page=100", web::segment(sha));
        let known: wire::CombinedStatus = self.0.get(&path, &[]).await?.json()?;
        let same = known.statuses.iter().any(|status| {
            status.context == check.context
                && status.state == state
                && status.description.as_deref() == Some(&description)
        });
        if same {
            return Ok(());
        }
        let body = json!({"context": check.context, "state": state, "description": description});
        let path = format!("/statuses/{}", web::segment(sha));
        self.0.make(Method::POST, &path, &body, &[]).await?;
        Ok(())
    }

    pub(super) async fn check_run(&self, app: u64, sha: &str, check: &Check) -> Result<(), Error> {
        let (status, conclusion) = match check.state {
            CheckState::Pending => ("in_progress", None),
            CheckState::Success => ("completed", Some("success")),
            CheckState::Failure => ("completed", Some("failure")),
        };
        let title = web::one_line(&check.description, LONGEST);
        let path = format!(
            "/commits/{}/check-runs?check_name={}&app_id={app}",
            web::segment(sha),
            web::segment(&check.context)
        );
        let known: wire::CheckRuns = self.0.get(&path, &[]).await?.json()?;
        let known = known.check_runs.first();
        let same = known.is_some_and(|run| {
            run.status == status
                && run.conclusion.as_deref() == conclusion
                && run.output.as_ref().and_then(|output| output.title.as_ref()) == Some(&title)
        });
        if same {
            return Ok(());
        }
        let mut body = json!({
            "name": check.context, "head_sha": sha, "status": status,
            "output": {"title": title, "summary": check.description},
        });
        if let Some(conclusion) = conclusion {
            body["conclusion"] = conclusion.into();
        }
        let (method, path) = match known {
            Some(run) => (Method::PATCH, format!("/check-runs/{}", run.id)),
            None => (Method::POST, "/check-runs".to_owned()),
        };
        self.0.make(method, &path, &body, &[]).await?;
        Ok(())
    }
}
