//! While the server still runs: is what is asked for there, and can the data before be had again? Pure.

use std::time::Duration;

use environment::status::{Refresh, RefreshState};

use super::judge::abort;
use super::look::{Look, Work};
use super::{entered, is_late, may_send, write};
use crate::controller::build::Frame;
use crate::controller::observe::Observed;
use crate::controller::plan::{JOB_WAIT, Plan, Step};
use crate::controller::provision::{is_ours, tower_failed};
use crate::reason::Reason;

const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) fn plan(observed: &Observed, frame: &Frame<'_>, refresh: &Refresh) -> Plan {
    let give_up = |reason, why: &str| Plan::Done(abort(observed, refresh, reason, why));
    let seen = match &observed.exchange {
        Look::Seen(seen) => seen,
        Look::Failed(error) => return tower_failed(error),
        Look::NotAsked => return wait("waiting for Data Control Tower", LOOK_AGAIN),
    };
    match &seen.work {
        Work::Running => return wait("the data as it is gets a bookmark", JOB_WAIT),
        Work::Failed { why, .. } => return give_up(Reason::RefreshFailed, why),
        Work::Idle | Work::Done(_) => {}
    }
    let Some(vdb) = seen.vdb.as_ref().filter(|vdb| is_ours(vdb, observed)) else {
        return give_up(
            Reason::VdbLost,
            "the virtual database does not exist any more",
        );
    };
    if let Some((reason, why)) = &seen.refused {
        return give_up(*reason, why);
    }
    if vdb.is_locked == Some(true) {
        return give_up(Reason::EngineRefused, "the virtual database is locked");
    }
    let name = refresh.bookmark.clone().unwrap_or_default();
    match &seen.bookmark {
        Some(found) if matches!(found.bookmark_status.as_deref(), None | Some("ACTIVE")) => {
            let next = entered(observed, refresh, RefreshState::Preparing);
            let timeflow = vdb.current_timeflow_id.clone();
            write(Refresh { timeflow, ..next }, None)
        }
        _ if is_late(observed, frame, refresh) => give_up(
            Reason::RefreshFailed,
            "the bookmark of the data before was not made in time",
        ),
        None if !matches!(seen.work, Work::Done(_)) && may_send(observed, frame) => {
            let vdb = vdb.id.clone();
            Plan::Act(Step::Keep { vdb, name })
        }
        _ => wait("the data as it is gets a bookmark", LOOK_AGAIN),
    }
}

fn wait(message: &str, after: Duration) -> Plan {
    Plan::wait(Reason::Refreshing, message, after)
}
