//! The end of an exchange: the volumes of other generations and the bookmark go. Pure.

use environment::status::{Refresh, RefreshState};

use super::{entered, is_late, others, write};
use crate::controller::build::{Frame, Names};
use crate::controller::cleanup::remove;
use crate::controller::observe::Observed;
use crate::controller::plan::{Plan, Step};
use crate::reason::Reason;

pub(super) fn plan(observed: &Observed, frame: &Frame<'_>, refresh: &Refresh) -> Plan {
    for generation in others(&observed.cr, frame.generation) {
        let names = Names::of(&Frame {
            generation,
            ..*frame
        });
        for (name, what) in names.data() {
            if let Some(plan) = remove(observed, &name, what, Reason::Refreshing) {
                return plan;
            }
        }
    }
    let end = ended(observed, refresh);
    match &refresh.bookmark {
        // A tower that is down keeps nobody: the bookmark ends by itself.
        Some(bookmark) if !is_late(observed, frame, refresh) => Plan::Act(Step::Forget {
            bookmark: bookmark.clone(),
        }),
        _ => write(end, None),
    }
}

pub(super) fn ended(observed: &Observed, refresh: &Refresh) -> Refresh {
    let state = match refresh.state {
        Some(RefreshState::Committing) => RefreshState::Succeeded,
        _ => RefreshState::Failed,
    };
    entered(observed, refresh, state)
}
