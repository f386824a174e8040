//! From a wish to exactly one pull request: what the proposing actions have in common.
//!
//! The branch is named after the wanted content, so that every repetition, on any replica and after a crash between any
//! two calls, finds what is there already. Nothing is forced and nothing that people closed is opened again.

mod change;
mod create;
mod outlook;
mod retire;
pub(crate) mod rival;
mod text;

use crate::forge::{Change, Draft, Forge, Pull, PullState, UserToken};
use crate::serve::error::ApiError;
use crate::serve::request::{Marker, Operation, RequestId};
use environment::{EnvironmentName, Problem};

pub(crate) use change::{change, owner_in_git, possible};
pub(crate) use create::{Existing, create, existing, preview, too_many, unnamed};
pub(crate) use outlook::{bytes, cores};
pub(crate) use retire::{Retirement, retire};

/// Each failure and each retirement of the same content takes one number; nobody gets this far.
const MOST_ATTEMPTS: u32 = 100;

/// Who asks, and with whose token the forge is written to where it is not the platform's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) by: &'a str,
    pub(crate) token: Option<&'a UserToken>,
}

#[cfg(test)]
impl<'a> From<&'a str> for Asker<'a> {
    fn from(by: &'a str) -> Self {
        Self { by, token: None }
    }
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) request: RequestId,
    /// None where the base branch holds it already and no pull request is known that brought it.
    pub(crate) pull: Option<Pull>,
}

/// A wish, before it has a branch.
struct Wish<'a> {
    operation: Operation,
    environment: &'a EnvironmentName,
    /// What the branch is named after.
    content: String,
    key: Option<&'a str>,
}

/// Where a wish stands at the forge.
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, taken apart at once"
)]
enum Standing {
    /// There is a pull request for it, open or done.
    Found(Proposal),
    /// Its next branch is free.
    Free { request: RequestId, digest: String },
    /// It was merged, but the base branch that was read does not show it: read again.
    MergedMeanwhile { at: u32 },
}

impl Wish<'_> {
    fn request(&self, n: u32) -> (RequestId, String) {
        let digest = environment::render::digest(self.operation.as_str(), &self.content, n);
        (
            RequestId::new(self.environment, self.operation, &digest),
            digest,
        )
    }

    /// Looks for the wish's pull request. Merged ones up to `settled` are known to be undone since.
    async fn standing(
        &self,
        forge: &dyn Forge,
        settled: Option<u32>,
    ) -> Result<Standing, ApiError> {
        for n in 0..MOST_ATTEMPTS {
            let (request, digest) = self.request(n);
            let Some(pull) = forge.find(&request.branch()).await? else {
                return Ok(Standing::Free { request, digest });
            };
            let marker = Marker::of(&pull);
            let same_key = self.key.is_some() && marker.key.as_deref() == self.key;
            match pull.state {
                PullState::Open => {
                    return Ok(Standing::Found(Proposal {
                        request,
                        pull: Some(pull),
                    }));
                }
                // The same call again: it was done once, and what was undone since stays undone.
                PullState::Merged if same_key => {
                    return Ok(Standing::Found(Proposal {
                        request,
                        pull: Some(pull),
                    }));
                }
                PullState::Merged if settled.is_none_or(|settled| settled < n) => {
                    return Ok(Standing::MergedMeanwhile { at: n });
                }
                // What the platform withdrew nobody rejected: the same call may try again.
                PullState::Closed if same_key && marker.withdrawn_for.is_none() => {
                    return Err(ApiError::conflict(format!(
                        "pull request #{} was closed without a merge: {}; order again to open a new one",
                        pull.number, pull.url
                    )));
                }
                PullState::Merged | PullState::Closed => {}
            }
        }
        Err(ApiError::conflict(
            "this was ordered and closed too many times; change the order",
        ))
    }
}

/// Another open pull request of the environment makes its name taken; prefixes of names end at the dot.
pub(crate) async fn taken_by(
    forge: &dyn Forge,
    environment: &EnvironmentName,
) -> Result<Option<Pull>, ApiError> {
    let of_environment = |pull: &Pull| {
        RequestId::of_branch(&pull.branch)
            .is_some_and(|request| request.environment() == *environment)
    };
    let open = forge.open_pulls().await?;
    let mut of_it: Vec<Pull> = open.into_iter().filter(of_environment).collect();
    of_it.sort_by_key(|pull| pull.number);
    Ok(of_it.into_iter().next())
}

fn taken(environment: &EnvironmentName, by: &Pull, wanted: Operation) -> ApiError {
    let message = format!(
        "environment {environment} has an open pull request: #{} {}",
        by.number, by.title
    );
    let hint = match wanted {
        Operation::Create => format!("choose another name, or wait for {}", by.url),
        _ => format!("have it merged or closed first: {}", by.url),
    };
    let mut error = ApiError::problem(Problem::field("name", "/name", message).hint(hint));
    error.status = http::StatusCode::CONFLICT;
    error
}

/// Makes the branch, the commit and the pull request, whichever are missing.
async fn propose(
    forge: &dyn Forge,
    base_sha: String,
    changes: Vec<Change>,
    words: text::Words,
    marker: Marker,
    token: Option<&UserToken>,
) -> Result<Pull, ApiError> {
    let request = RequestId::parse(&marker.request_id)
        .ok_or_else(|| ApiError::input("this is no request id"))?;
    let draft = Draft {
        base_sha,
        branch: request.branch(),
        changes,
        message: format!(
            "{}\n\n{}Requested-by: {}\n",
            words.title,
            words.reason.map(|r| format!("{r}\n\n")).unwrap_or_default(),
            marker.requested_by
        ),
        title: words.title,
        body: format!("{}\n\n{}\n", words.body, marker.comment()),
        labels: vec![
            "vdb".into(),
            format!("vdb/{}", request.operation().as_str()),
        ],
        reviewers: forge.reviewers(),
        as_user: token.cloned(),
    };
    Ok(forge.propose(&draft).await?)
}

#[cfg(test)]
mod tests;
