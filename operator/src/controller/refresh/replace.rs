//! With the server down: take the copy from the pod's node, exchange its data, offer it again. Pure.

use std::time::Duration;

use dct::types::{ContainerizationState, Vdb};
use environment::status::{Job, Refresh, RefreshState};

use super::judge::give_up;
use super::look::{Look, Seen, Work};
use super::{Exchange, entered, is_late, may_send, timeflow, write};
use crate::controller::build::Frame;
use crate::controller::farewell;
use crate::controller::observe::Observed;
use crate::controller::plan::{self, JOB_WAIT, Outcome, Plan, Record, Step};
use crate::controller::provision::{is_ours, tower_failed};
use crate::reason::Reason;

pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) fn plan(observed: &Observed, frame: &Frame<'_>, refresh: &Refresh) -> Plan {
    let stop = farewell::exchange(observed, refresh);
    let plan = replace(observed, frame, refresh);
    farewell::first(observed, frame, stop, Reason::Refreshing, plan)
}

fn replace(observed: &Observed, frame: &Frame<'_>, refresh: &Refresh) -> Plan {
    let (seen, vdb) = match ground(observed, frame, Reason::Refreshing) {
        Ok(found) => found,
        Err(plan) => return *plan,
    };
    let fail = |why: &str| Plan::Done(give_up(observed, refresh, Reason::RefreshFailed, why));
    if let Work::Failed { why, .. } = &seen.work {
        return fail(why);
    }
    let changed = timeflow(vdb) != refresh.timeflow.as_deref();
    match (changed, runs(frame, seen, vdb, changed)) {
        (false, true) => Plan::Act(Step::DisableVdb { id: vdb.id.clone() }),
        (false, false) if is_overdue(observed, frame, refresh, seen, &Exchange::Forward) => {
            fail("the job is over, but the data is still the one before")
        }
        (false, false) => send(observed, frame, refresh, seen, &Exchange::Forward),
        (true, false) if seen.work.has_done("enable") => {
            fail("the virtual database was enabled, but does not run")
        }
        (true, false) => enable(vdb, frame),
        (true, true) => {
            let next = entered(observed, refresh, RefreshState::Starting);
            let replaced_by = vdb.current_timeflow_id.clone();
            write(
                Refresh {
                    replaced_by,
                    ..next
                },
                refresh.to,
            )
        }
    }
}

/// What both directions begin with: no server uses the data, no job runs, and the virtual database is there.
pub(super) fn ground<'a>(
    observed: &'a Observed,
    frame: &Frame<'_>,
    reason: Reason,
) -> Result<(&'a Seen, &'a Vdb), Box<Plan>> {
    // On a target host the engine moves the server itself.
    if !frame.is_remote()
        && let Some(plan) = plan::stop(observed, frame, reason)
    {
        return Err(Box::new(plan));
    }
    let seen = match &observed.exchange {
        Look::Seen(seen) => seen,
        Look::Failed(error) => return Err(Box::new(tower_failed(error))),
        Look::NotAsked => {
            let message = "waiting for Data Control Tower";
            return Err(Box::new(Plan::wait(reason, message, LOOK_AGAIN)));
        }
    };
    if matches!(seen.work, Work::Running) {
        let message = "Data Control Tower exchanges the data";
        return Err(Box::new(Plan::wait(reason, message, JOB_WAIT)));
    }
    match &seen.vdb {
        Some(vdb) if is_ours(vdb, observed) => Ok((seen, vdb)),
        Some(vdb) => Err(Box::new(Plan::stop(
            Reason::ForeignObject,
            format!("virtual database {} is not this resource's", vdb.id),
        ))),
        None => Err(Box::new(Plan::stop(
            Reason::VdbLost,
            "the virtual database does not exist any more",
        ))),
    }
}

/// Offered to the pod's node, or running on its host with the wanted data: there nothing has to be taken away before.
/// What a job has just taken away may still be shown for a moment.
pub(super) fn runs(frame: &Frame<'_>, seen: &Seen, vdb: &Vdb, wanted: bool) -> bool {
    if frame.is_remote() {
        return wanted && vdb.enabled != Some(false);
    }
    let offered = vdb.containerization_state == Some(ContainerizationState::RunningInContainer)
        && vdb
            .exported_data_directory
            .as_deref()
            .is_some_and(|d| !d.is_empty());
    offered && !seen.work.has_done("disable")
}

pub(super) fn enable(vdb: &Vdb, frame: &Frame<'_>) -> Plan {
    Plan::Act(Step::Enable {
        vdb: vdb.id.clone(),
        owner: frame.owner(),
    })
}

/// The job was done and its result did not come to light. An engine that was down before it is simply asked later.
pub(super) fn is_overdue(
    observed: &Observed,
    frame: &Frame<'_>,
    refresh: &Refresh,
    seen: &Seen,
    exchange: &Exchange,
) -> bool {
    seen.work.has_done(exchange.operation(refresh)) && is_late(observed, frame, refresh)
}

/// Sends the order exactly once: not if it runs already, nor while it may still come to light, nor after it was done.
pub(super) fn send(
    observed: &Observed,
    frame: &Frame<'_>,
    refresh: &Refresh,
    seen: &Seen,
    exchange: &Exchange,
) -> Plan {
    let operation = exchange.operation(refresh);
    if let Some(job) = &seen.running {
        return Plan::Done(Outcome::Recorded(Record::Job(Job {
            id: job.id.clone(),
            operation: operation.to_owned(),
        })));
    }
    let reason = match exchange {
        Exchange::Forward => Reason::Refreshing,
        Exchange::Undo | Exchange::Rollback => Reason::Undoing,
    };
    if seen.work.has_done(operation) {
        let message = "the job is over; waiting until its result is visible";
        return Plan::wait(reason, message, LOOK_AGAIN);
    }
    if !may_send(observed, frame) {
        let message = "looking for an order that may have been sent already";
        return Plan::wait(reason, message, LOOK_AGAIN);
    }
    Plan::Act(Step::Exchange(exchange.clone()))
}
