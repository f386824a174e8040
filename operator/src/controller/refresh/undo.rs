//! Back to the data before: by undoing the refresh, else from the bookmark. Pure.

use environment::status::{Refresh, RefreshState};

use super::judge::other_way;
use super::look::{Seen, Work};
use super::replace::{LOOK_AGAIN, enable, ground, is_overdue, runs, send};
use super::{Exchange, entered, timeflow, write};
use crate::controller::build::{Copy, Frame, Names};
use crate::controller::observe::{self, Observed};
use crate::controller::plan::{Plan, Step};
use crate::reason::Reason;

pub(super) fn plan(observed: &Observed, frame: &Frame<'_>, refresh: &Refresh) -> Plan {
    let (seen, vdb) = match ground(observed, frame, Reason::Undoing) {
        Ok(found) => found,
        Err(plan) => return *plan,
    };
    if let Work::Failed { why, .. } = &seen.work {
        return Plan::Done(other_way(observed, refresh, why));
    }
    let now = timeflow(vdb);
    let rolled_back =
        refresh.rollback && refresh.replaced_by.is_some() && now != refresh.replaced_by.as_deref();
    let back = now == refresh.timeflow.as_deref() || rolled_back;
    match (back, runs(frame, seen, vdb, back)) {
        (true, true) if seen.running.is_some() => {
            let message = "waiting for an operation on the virtual database to end";
            Plan::wait(Reason::Undoing, message, LOOK_AGAIN)
        }
        (true, true) => restored(observed, frame, refresh, seen),
        (true, false) if seen.work.has_done("enable") => {
            let why = "the virtual database was enabled, but does not run";
            Plan::Done(other_way(observed, refresh, why))
        }
        (true, false) => enable(vdb, frame),
        (false, true) => Plan::Act(Step::DisableVdb { id: vdb.id.clone() }),
        (false, false) => {
            let way = if refresh.rollback {
                Exchange::Rollback
            } else {
                Exchange::Undo
            };
            if is_overdue(observed, frame, refresh, seen, &way) {
                let why = "the job is over, but the data before did not come back";
                return Plan::Done(other_way(observed, refresh, why));
            }
            send(observed, frame, refresh, seen, &way)
        }
    }
}

/// The old volume serves again if it names what the tower offers now; otherwise the same data gets a volume of its own.
fn restored(observed: &Observed, frame: &Frame<'_>, refresh: &Refresh, seen: &Seen) -> Plan {
    let offered = seen.vdb.as_ref().and_then(|vdb| frame.offered(vdb).ok());
    let old = refresh.from.unwrap_or(frame.generation);
    let names = Names::of(&Frame {
        generation: old,
        ..*frame
    });
    let same = |copy: &Copy| {
        offered
            .as_ref()
            .is_some_and(|o| o.export == copy.export && o.identity == copy.identity)
    };
    let next = entered(observed, refresh, RefreshState::Restoring);
    if observe::copy(observed, &names).as_ref().is_some_and(same) {
        return write(next, Some(old));
    }
    let to = refresh.to.unwrap_or(old) + 1;
    write(
        Refresh {
            to: Some(to),
            ..next
        },
        Some(to),
    )
}
