//! GitHub's merge queue: it makes a commit of its own for each pull request and waits for the required checks there.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::serve::app::App;
use crate::serve::review;
use crate::web;

/// The queue waits an hour for a check, and is told of a commit once.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    #[serde(default)]
    action: String,
    merge_group: Group,
}

#[derive(Debug, Deserialize)]
struct Group {
    head_sha: String,
    /// `refs/heads/gh-readonly-queue/<base branch>/pr-<number>-<commit>`
    head_ref: String,
}

impl Event {
    /// The commit that waits for its check, and the pull request that it would merge into this branch.
    fn waiting(&self, base: &str) -> Option<(&str, u64)> {
        if self.action != "checks_requested" {
            return None;
        }
        let branch = self.merge_group.head_ref.strip_prefix("refs/heads/")?;
        let entry = branch
            .strip_prefix("gh-readonly-queue/")?
            .strip_prefix(base)?
            .strip_prefix("/pr-")?;
        let (number, _) = entry.split_once('-')?;
        Some((&self.merge_group.head_sha, number.parse().ok()?))
    }
}

/// Judges the queue's commit and sets the check there.
pub(super) async fn judge(app: Arc<App>, event: Event) {
    let Some((sha, number)) = event.waiting(&app.settings.forge.branch) else {
        return;
    };
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=ATTEMPTS {
        let error = match review::head(&app, sha, number).await {
            Ok(verdict) => {
                return tracing::info!(
                    number,
                    head = sha,
                    ok = verdict.ok,
                    "judged for the merge queue"
                );
            }
            Err(error) => error,
        };
        let last = attempt == ATTEMPTS || !error.is_transient();
        tracing::warn!(
            error = web::error_chain(&error),
            number,
            last,
            "cannot judge a commit of the merge queue; it waits until it gives up"
        );
        if last {
            return;
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, head_ref: &str) -> Event {
        let event = serde_json::json!({"action": action, "merge_group": {"head_sha": "2bd2f60f", "head_ref": head_ref, "base_sha": "79a1"}});
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn the_pull_request_stands_in_the_branchs_name() {
        let head = "refs/heads/gh-readonly-queue/main/pr-104-79a1ff4d";
        assert_eq!(
            event("checks_requested", head).waiting("main"),
            Some(("2bd2f60f", 104))
        );
        assert_eq!(event("destroyed", head).waiting("main"), None);
        assert_eq!(event("checks_requested", head).waiting("release"), None);
        let nested = "refs/heads/gh-readonly-queue/release/2/pr-7-79a1ff4d";
        assert_eq!(
            event("checks_requested", nested).waiting("release/2"),
            Some(("2bd2f60f", 7))
        );
        for odd in [
            "refs/heads/main",
            "refs/heads/gh-readonly-queue/main/pr-x-1",
            "refs/heads/gh-readonly-queue/main/pr-7",
        ] {
            assert_eq!(event("checks_requested", odd).waiting("main"), None);
        }
    }
}
