//! One commit on a branch of its own, in two calls: the branch at the base, then the commit that moves it.
//!
//! GitHub signs a commit of `createCommitOnBranch` and refuses it unless the branch points where we think it does. So it may
//! be tried again after any crash: a branch that has a commit beyond the base branch is done, one that has none is finished.
//! No branch is ever forced.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::{GitHub, said};
use crate::forge::{Change, Draft, Error, Forge as _};
use crate::web;

/// Others who work on the same branch finish it: after so many looks something else is wrong.
const MOST_LOOKS: u32 = 4;

const COMMIT: &str = "mutation($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) { commit { oid } } }";

/// Where a draft's branch stands.
enum Standing {
    Absent,
    /// It has no commit of its own and points at this one.
    Bare(String),
    Done,
}

impl GitHub {
    /// Makes the branch with its commit, or finishes one that was left without.
    pub(super) async fn settle(&self, draft: &Draft) -> Result<(), Error> {
        for _ in 0..MOST_LOOKS {
            let ready = match self.standing(draft).await? {
                Standing::Done => return Ok(()),
                Standing::Absent => self.make_branch(draft).await?,
                Standing::Bare(head) if head == draft.base_sha => true,
                Standing::Bare(_) => self.move_forward(draft).await?,
            };
            if ready && self.make_commit(draft).await? {
                return Ok(());
            }
        }
        Err(Error::Refused {
            call: format!("the commit on {}", draft.branch),
            status: 409,
            message: "the branch or the base branch moved at each attempt".into(),
        })
    }

    /// Whether the branch has all that it will get.
    pub(super) async fn is_settled(&self, draft: &Draft) -> Result<bool, Error> {
        Ok(matches!(self.standing(draft).await?, Standing::Done))
    }

    async fn standing(&self, draft: &Draft) -> Result<Standing, Error> {
        let Some(head) = self.branch(&draft.branch).await? else {
            return Ok(Standing::Absent);
        };
        // What the base branch holds already is no commit of this branch.
        if head == draft.base_sha || self.contains(&self.0.settings.branch, &head).await? {
            return Ok(Standing::Bare(head));
        }
        Ok(Standing::Done)
    }

    /// False where somebody else made it meanwhile.
    async fn make_branch(&self, draft: &Draft) -> Result<bool, Error> {
        let body = json!({"ref": format!("refs/heads/{}", draft.branch), "sha": draft.base_sha});
        let answer = self
            .0
            .make_as(
                draft.as_user.as_ref(),
                Method::POST,
                "/git/refs",
                &body,
                &[409, 422],
            )
            .await?;
        if answer.is_success() {
            return Ok(true);
        }
        if self.branch(&draft.branch).await?.is_some() {
            return Ok(false);
        }
        Err(Error::Refused {
            message: said::refusal(&answer),
            call: answer.call,
            status: answer.status,
        })
    }

    /// A branch that was left at an older commit of the base branch. False where it has moved away from there.
    async fn move_forward(&self, draft: &Draft) -> Result<bool, Error> {
        let path = format!("/git/refs/heads/{}", web::path(&draft.branch));
        let body = json!({"sha": draft.base_sha, "force": false});
        let answer = self
            .0
            .make_as(
                draft.as_user.as_ref(),
                Method::PATCH,
                &path,
                &body,
                &[409, 422],
            )
            .await?;
        Ok(answer.is_success())
    }

    /// False where the branch does not point at the base any more: an answer, not an error.
    async fn make_commit(&self, draft: &Draft) -> Result<bool, Error> {
        let input = self.input(draft).await?;
        let user = draft.as_user.as_ref();
        let variables = json!({"input": input});
        let graph = self.0.mutate_as(user, COMMIT, &variables).await?;
        let moved = graph.errors.iter().any(|error| {
            error.kind == "STALE_DATA" || error.message.starts_with("Expected branch to point to")
        });
        if moved {
            return Ok(false);
        }
        match (graph.data("createCommitOnBranch"), user) {
            (Ok(_), _) => Ok(true),
            (Err(error), Some(_)) => Err(self.0.lacking(error)),
            (Err(error), None) => Err(error),
        }
    }

    async fn input(&self, draft: &Draft) -> Result<Value, Error> {
        let (mut additions, mut deletions) = (Vec::new(), Vec::new());
        for change in &draft.changes {
            match change {
                Change::Put { path, content } => {
                    additions.push(json!({"path": path, "contents": STANDARD.encode(content)}));
                }
                // GitHub refuses the whole commit for a file that is not there.
                Change::Delete { path } => {
                    if self.content(&draft.base_sha, path).await?.is_some() {
                        deletions.push(json!({"path": path}));
                    }
                }
            }
        }
        let (headline, body) = draft
            .message
            .split_once('\n')
            .unwrap_or((&draft.message, ""));
        let settings = &self.0.settings;
        Ok(json!({
            "branch": {
                "repositoryNameWithOwner": format!("{}/{}", settings.owner, settings.repository),
                "branchName": draft.branch,
            },
            "expectedHeadOid": draft.base_sha,
            "message": {"headline": headline, "body": body.trim()},
            "fileChanges": {"additions": additions, "deletions": deletions},
        }))
    }
}
