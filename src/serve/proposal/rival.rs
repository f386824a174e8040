//! One open pull request for each environment, however many replicas open one at once.
//!
//! A branch is the lock between replicas that want the same, not between those that want different things of one
//! environment: each looks before the other's pull request is there. So each looks once more when its own is open. The
//! one with the lower number stays; the other is closed, and its branch removed. Forges number pull requests in the order
//! in which they are opened, so all replicas judge alike, and whoever is cut off is finished by the next call of the same
//! order, or by the replica that leads.

use jiff::{SignedDuration, Timestamp};

use super::{Proposal, taken};
use crate::forge::{Error, Forge, Pull, PullState};
use crate::serve::app::App;
use crate::serve::audit;
use crate::serve::error::ApiError;
use crate::serve::request::{Marker, RequestId};

/// No call takes as long. What was opened later than this did not race: somebody opened the earlier one again.
const LONGEST_RACE: SignedDuration = SignedDuration::from_mins(10);

/// The proposal, unless another one of its environment was earlier: then it is withdrawn and refused.
pub(super) async fn first(app: &App, proposal: Proposal) -> Result<Proposal, ApiError> {
    let forge = app.forge.as_ref();
    let Some(pull) = proposal
        .pull
        .as_ref()
        .filter(|p| p.state == PullState::Open)
    else {
        return Ok(proposal);
    };
    let open = forge.open_pulls().await?;
    let Some(earlier) = earlier(&open, &proposal.request, pull) else {
        return Ok(proposal);
    };
    let closed = withdraw(forge, pull, earlier).await?;
    app.wake().await;
    let Proposal { request, .. } = proposal;
    if closed.state == PullState::Merged {
        return Ok(Proposal {
            request,
            pull: Some(closed),
        });
    }
    Err(taken(&request.environment(), earlier, request.operation()))
}

/// The open pull request that was the first of those that were opened at once with this one.
fn earlier<'a>(open: &'a [Pull], request: &RequestId, pull: &Pull) -> Option<&'a Pull> {
    let environment = request.environment();
    open.iter()
        .filter(|other| other.state == PullState::Open && other.number < pull.number)
        .filter(|other| {
            RequestId::of_branch(&other.branch).is_some_and(|of| of.environment() == environment)
        })
        .filter(|other| raced(other, pull))
        .min_by_key(|other| other.number)
}

fn raced(earlier: &Pull, later: &Pull) -> bool {
    let at = |pull: &Pull| pull.created_at.parse::<Timestamp>().ok();
    match (at(earlier), at(later)) {
        (Some(earlier), Some(later)) => later.duration_since(earlier) < LONGEST_RACE,
        _ => true,
    }
}

/// First it is closed with the mark that says why, then its branch goes: a mark without an end is seen by `sweep`.
async fn withdraw(forge: &dyn Forge, pull: &Pull, earlier: &Pull) -> Result<Pull, Error> {
    let marker = Marker {
        withdrawn_for: Some(earlier.number),
        ..Marker::of(pull)
    };
    // The last marker counts, so the text before may stay as it is.
    let body = format!(
        "**Withdrawn:** #{} of the same environment was opened first.\n\n{}\n\n{}\n",
        earlier.number,
        pull.body.trim_end(),
        marker.comment()
    );
    let closed = forge.close(pull.number, &body).await?;
    if closed.state != PullState::Merged {
        forge.delete_branch(&pull.branch).await?;
        audit::withdrawn(&closed, earlier.number);
    }
    Ok(closed)
}

/// Ends what a replica left behind that was cut off between opening and looking, or between closing and removing.
/// Whether something was changed.
pub(crate) async fn sweep(app: &App, pulls: &[Pull]) -> Result<bool, Error> {
    let forge = app.forge.as_ref();
    let mut changed = false;
    for pull in pulls {
        let Some(request) = RequestId::of_branch(&pull.branch) else {
            continue;
        };
        // What people open by hand on such a branch is theirs.
        let marker = Marker::of(pull);
        if marker.request_id != request.as_str() {
            continue;
        }
        if pull.state == PullState::Closed && marker.withdrawn_for.is_some() {
            changed |= clear(app, pull).await?;
            continue;
        }
        let Some(earlier) =
            earlier(pulls, &request, pull).filter(|_| pull.state == PullState::Open)
        else {
            continue;
        };
        // The list is some seconds old: only what is open now makes the name taken.
        let now = forge.pull(earlier.number).await?;
        if now.is_some_and(|now| now.state == PullState::Open) {
            withdraw(forge, pull, earlier).await?;
            changed = true;
        }
    }
    Ok(changed)
}

/// The branch of a withdrawn pull request, once for each run of the program.
async fn clear(app: &App, pull: &Pull) -> Result<bool, Error> {
    if app.reviews.lock().await.is_cleared(pull.number) {
        return Ok(false);
    }
    let left = app.forge.branch(&pull.branch).await?.is_some();
    if left {
        app.forge.delete_branch(&pull.branch).await?;
    }
    app.reviews.lock().await.cleared(pull.number);
    Ok(left)
}

#[cfg(test)]
mod tests;
