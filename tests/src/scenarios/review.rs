//! Pull requests by hand: each gets the check `vdb/validate`, and a failed one cannot be merged.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::context::Context;
use crate::gitea::Gitea;
use crate::wait;

const CHECK: &str = "vdb/validate";
const VALUES: &str = "owner: group:default/team-orders
vdb:
  source: {type: dct-source, reference: '10.0.1.54:largedb'}
  database: {name: largedb, user: app}
";

/// Who makes them: somebody with write access and no other rights.
const BY: &str = "developer";

pub(crate) async fn by_hand(context: &Context) -> anyhow::Result<()> {
    let forge = Gitea::new(context)?;
    let result = judged(&forge).await;
    for pull in forge.open_pulls().await? {
        let branch = pull["head"]["ref"].as_str().unwrap_or_default();
        if let Some(number) = pull["number"]
            .as_u64()
            .filter(|_| branch.starts_with("review-"))
        {
            forge.close(number).await?;
            let path = format!("/branches/{branch}");
            forge.call("engineer", Method::DELETE, &path, None).await?;
        }
    }
    result
}

async fn judged(forge: &Gitea<'_>) -> anyhow::Result<()> {
    let values = "environments/review-1/values.yaml";
    let mixed = [(values, VALUES), ("NOTES.md", "by the way")];
    let (number, head) = forge.propose(BY, "review-mixed", &mixed).await?;
    let (state, description) = forge.check(&head, CHECK).await?;
    anyhow::ensure!(
        state == "failure" && description.contains("NOTES.md"),
        "the mixed pull request: {state}: {description}"
    );
    commented(forge, number).await?;
    not_merged(forge, number, &head).await?;

    let good = [(values, VALUES)];
    let (_, head) = forge.propose(BY, "review-good", &good).await?;
    let (state, description) = forge.check(&head, CHECK).await?;
    anyhow::ensure!(
        state == "success",
        "the good pull request: {state}: {description}"
    );

    let wrong = [(
        values,
        "owner: group:default/team-orders\nsurprise: 1\nvdb: {image: 'evil:1'}\n",
    )];
    let (_, head) = forge.propose(BY, "review-wrong", &wrong).await?;
    let (state, description) = forge.check(&head, CHECK).await?;
    anyhow::ensure!(
        state == "failure" && description.contains(values),
        "the wrong pull request: {state}: {description}"
    );

    let (_, head) = forge
        .propose(BY, "review-other", &[("NOTES.md", "notes")])
        .await?;
    let (state, description) = forge.check(&head, CHECK).await?;
    anyhow::ensure!(
        state == "success" && description == "touches no environment",
        "the pull request without environments: {state}: {description}"
    );
    Ok(())
}

/// The comment follows the check.
async fn commented(forge: &Gitea<'_>, number: u64) -> anyhow::Result<()> {
    wait::until(
        "a comment with the problems",
        Duration::from_secs(10),
        || async {
            let comments = forge.get(&format!("/issues/{number}/comments")).await?;
            let comments = comments.as_array().cloned().unwrap_or_default();
            let says = |comment: &Value| {
                comment["body"]
                    .as_str()
                    .is_some_and(|b| b.contains("NOTES.md"))
            };
            Ok(comments.iter().any(says).then_some(()))
        },
    )
    .await
}

/// Not even with an approval.
async fn not_merged(forge: &Gitea<'_>, number: u64, head: &str) -> anyhow::Result<()> {
    let review = json!({ "event": "APPROVED", "body": "looks good" });
    let path = format!("/pulls/{number}/reviews");
    let (status, body) = forge
        .call("reviewer", Method::POST, &path, Some(review))
        .await?;
    anyhow::ensure!(
        status < 300,
        "approve pull request {number}: {status} {body}"
    );
    // Gitea works out in the background whether a pull request can be merged.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let merge = json!({ "Do": "merge", "head_commit_id": head });
    let path = format!("/pulls/{number}/merge");
    let (status, body) = forge
        .call("reviewer", Method::POST, &path, Some(merge))
        .await?;
    anyhow::ensure!(
        status >= 400,
        "pull request {number} was merged in spite of its check: {body}"
    );
    Ok(())
}
