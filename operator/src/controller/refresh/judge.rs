//! When an exchange is given up, and what follows. Pure.

use environment::status::{Refresh, RefreshState};

use super::look::Look;
use super::{entered, is_late, under_way, written};
use crate::controller::build::Frame;
use crate::controller::observe::Observed;
use crate::controller::plan::Outcome;
use crate::reason::{Kind, Reason};

/// Turns an outcome that an exchange cannot go on from into its way back. In a deletion there is none: the step that
/// failed was one of the deletion, and so is its reason.
pub fn judge(observed: &Observed, frame: &Frame<'_>, outcome: Outcome) -> Outcome {
    let Some((refresh, state)) = under_way(&observed.cr).filter(|_| !observed.cr.is_deleting())
    else {
        return outcome;
    };
    let late = is_late(observed, frame, refresh);
    let (reason, message) = match &outcome {
        Outcome::Stopped(stop) => (stop.reason, stop.message.clone()),
        Outcome::Waiting(waiting) if late => (
            waiting.reason,
            format!("it took too long; last: {}", waiting.message),
        ),
        _ => return outcome,
    };
    let hopeless = late || reason.kind() == Kind::Stalled || is_refusal(reason);
    match state {
        RefreshState::Keeping | RefreshState::Preparing if hopeless => {
            abort(observed, refresh, reason, &message)
        }
        RefreshState::Starting if hopeless => give_up(observed, refresh, reason, &message),
        RefreshState::Replacing if is_refusal(reason) => {
            give_up(observed, refresh, reason, &message)
        }
        RefreshState::Undoing if is_refusal(reason) => other_way(observed, refresh, &message),
        // What a server waits for may still come. One that fails on the data before for so long needs somebody.
        RefreshState::Restoring if late && reason.kind() == Kind::Stalled => {
            undo_failed(observed, refresh, &format!("its server fails: {message}"))
        }
        _ => outcome,
    }
}

/// The tower has answered, and will answer the same again.
fn is_refusal(reason: Reason) -> bool {
    matches!(reason, Reason::EngineRefused | Reason::EngineForbidden)
}

/// Nothing was touched: the server goes on with the data that it has.
pub(super) fn abort(
    observed: &Observed,
    refresh: &Refresh,
    reason: Reason,
    message: &str,
) -> Outcome {
    let next = entered(observed, refresh, RefreshState::Aborting);
    written(failed(next, reason, message), None)
}

/// The data may have been exchanged: it comes back.
pub(super) fn give_up(
    observed: &Observed,
    refresh: &Refresh,
    reason: Reason,
    message: &str,
) -> Outcome {
    let next = entered(observed, refresh, RefreshState::Undoing);
    let replaced_by = replaced_by(observed, refresh);
    written(
        Refresh {
            replaced_by,
            ..failed(next, reason, message)
        },
        None,
    )
}

/// One way back failed: there is the bookmark, and after that nothing that a program should try.
pub(super) fn other_way(observed: &Observed, refresh: &Refresh, why: &str) -> Outcome {
    if !refresh.rollback && refresh.bookmark.is_some() {
        let next = Refresh {
            rollback: true,
            replaced_by: replaced_by(observed, refresh),
            ..entered(observed, refresh, RefreshState::Undoing)
        };
        return written(next, None);
    }
    undo_failed(observed, refresh, why)
}

fn undo_failed(observed: &Observed, refresh: &Refresh, why: &str) -> Outcome {
    let first = refresh.message.clone().unwrap_or_default();
    let message = if first.contains(why) {
        first
    } else {
        format!("{first}; the data before did not come back: {why}")
    };
    let next = entered(observed, refresh, RefreshState::UndoFailed);
    written(
        Refresh {
            message: Some(message),
            ..next
        },
        None,
    )
}

fn failed(refresh: Refresh, reason: Reason, message: &str) -> Refresh {
    Refresh {
        reason: Some(reason.to_string()),
        message: Some(message.to_owned()),
        ..refresh
    }
}

/// The timeflow that took the old one's place, as far as it is known.
fn replaced_by(observed: &Observed, refresh: &Refresh) -> Option<String> {
    let now = match &observed.exchange {
        Look::Seen(seen) => seen
            .vdb
            .as_ref()
            .and_then(|v| v.current_timeflow_id.clone()),
        Look::NotAsked | Look::Failed(_) => None,
    };
    now.filter(|now| Some(now) != refresh.timeflow.as_ref())
        .or_else(|| refresh.replaced_by.clone())
}
