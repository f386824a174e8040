//! The exchange of a database's data as a transaction: it ends in the new data or in the data before.
//!
//! ```text
//! Keeping → Preparing → Replacing → Starting → Committing → Succeeded
//!    └──────────┴→ Aborting → Failed     │
//!                       └────────────────┴→ Undoing → Restoring → Failed, or UndoFailed
//! ```
//! The state is written before its first effect. Within a state the next step follows from what the tower and the
//! cluster show, so a process that dies anywhere is continued by the next one. The states in which the server starts
//! are the ordinary way of any start, on another data generation.

use std::time::Duration;

use dct::types::Vdb;
use environment::spec::{CollationPolicy, HookStage};
use environment::status::{Exchange as Operation, Refresh, RefreshState};

use super::build::{Frame, hook_job};
use super::observe::Observed;
use super::plan::{Outcome, Plan, Record};
use super::{farewell, hooks, pod, remote};
use crate::clock::{between, parse, precise};
use crate::crd::PostgresVdb;
use crate::reason::Reason;

pub mod act;
pub mod begin;
mod finish;
mod judge;
mod keep;
pub mod look;
mod replace;
pub mod schedule;
mod undo;

pub use judge::judge;

/// What a pass of the transaction writes down.
#[derive(Clone, Debug)]
pub struct Change {
    pub refresh: Refresh,
    /// Another data generation is in use from now on.
    pub generation: Option<u32>,
}

/// One order that changes the data.
#[derive(Clone, Debug)]
pub enum Exchange {
    Forward,
    Undo,
    Rollback,
}

impl Exchange {
    fn operation(&self, refresh: &Refresh) -> &'static str {
        match (self, refresh.operation) {
            (Self::Forward, Some(Operation::Rewind)) => "rewind",
            (Self::Forward, _) => "refresh",
            (Self::Undo, _) => "undo",
            (Self::Rollback, _) => "rollback",
        }
    }
}

pub fn recorded(cr: &PostgresVdb) -> Option<&Refresh> {
    cr.status.as_ref()?.refresh.as_ref()
}

/// The transaction that has begun and is not over.
pub fn under_way(cr: &PostgresVdb) -> Option<(&Refresh, RefreshState)> {
    let refresh = recorded(cr)?;
    let state = refresh.state.filter(|state| !state.is_over())?;
    Some((refresh, state))
}

/// The server runs on proved data while this state lasts, unless it has failed by itself.
pub fn serves(state: RefreshState) -> bool {
    use RefreshState::{Aborting, Committing, Failed, Keeping, Preparing, Succeeded};
    matches!(
        state,
        Keeping | Preparing | Aborting | Committing | Succeeded | Failed
    )
}

/// The hooks between the start of the server and its proof; `None`: they have had their turn with this data.
pub fn start_hooks(cr: &PostgresVdb) -> Option<HookStage> {
    match under_way(cr) {
        // Data that the database had before has been through its hooks.
        Some((refresh, RefreshState::Starting)) if has_hooks(refresh) => {
            Some(HookStage::PostRefresh)
        }
        Some(_) => None,
        None => Some(HookStage::PostCreate),
    }
}

/// Data generations beside the present one whose volumes may exist.
pub fn others(cr: &PostgresVdb, present: u32) -> Vec<u32> {
    let Some(refresh) = recorded(cr) else {
        return Vec::new();
    };
    let clean = matches!(
        refresh.state,
        None | Some(RefreshState::Succeeded | RefreshState::Failed)
    );
    match refresh.from.zip(refresh.to) {
        Some((from, to)) if !clean => (from..=to).filter(|g| *g != present).collect(),
        _ => Vec::new(),
    }
}

/// The next step of the transaction; `None`: the ordinary way goes on.
pub fn plan(observed: &Observed, frame: &Frame<'_>) -> Option<Plan> {
    let refresh = recorded(&observed.cr);
    let Some((refresh, state)) = refresh.and_then(|r| Some((r, r.state?))) else {
        return begin::plan(observed, frame);
    };
    match state {
        RefreshState::Keeping => Some(keep::plan(observed, frame, refresh)),
        RefreshState::Preparing => Some(prepare(observed, frame, refresh)),
        RefreshState::Replacing => Some(replace::plan(observed, frame, refresh)),
        RefreshState::Undoing => Some(undo::plan(observed, frame, refresh)),
        RefreshState::Committing | RefreshState::Aborting => {
            Some(finish::plan(observed, frame, refresh))
        }
        RefreshState::Starting | RefreshState::Restoring => None,
        RefreshState::Succeeded | RefreshState::Failed => begin::plan(observed, frame),
        RefreshState::UndoFailed => begin::plan(observed, frame).or_else(|| {
            Some(Plan::stop(
                Reason::RefreshUndoFailed,
                refresh.message.clone().unwrap_or_default(),
            ))
        }),
    }
}

/// What the ordinary way came to, seen from the transaction: once the data before is proved, it ends.
pub fn settle(observed: &Observed, frame: &Frame<'_>, plan: Plan) -> Plan {
    match (&plan, under_way(&observed.cr)) {
        (Plan::Done(Outcome::Settled { .. }), Some((refresh, RefreshState::Restoring))) => {
            finish::plan(observed, frame, refresh)
        }
        _ => plan,
    }
}

/// A rewind is no refresh: it has no stages of its own.
fn has_hooks(refresh: &Refresh) -> bool {
    refresh.operation != Some(Operation::Rewind)
}

/// The hooks' Jobs are named after the generation to come: an attempt of its own for each transaction.
fn prepare(observed: &Observed, frame: &Frame<'_>, refresh: &Refresh) -> Plan {
    let generation = refresh.to.unwrap_or(frame.generation);
    let next = Frame {
        generation,
        ..*frame
    };
    has_hooks(refresh)
        .then(|| hooks::next(observed, &next, HookStage::PreRefresh))
        .flatten()
        .unwrap_or_else(|| enter(observed, refresh, RefreshState::Replacing, None))
}

/// Writes the next state down.
fn enter(
    observed: &Observed,
    refresh: &Refresh,
    state: RefreshState,
    generation: Option<u32>,
) -> Plan {
    write(entered(observed, refresh, state), generation)
}

fn entered(observed: &Observed, refresh: &Refresh, state: RefreshState) -> Refresh {
    let now = precise(observed.now);
    Refresh {
        state: Some(state),
        finished_at: state.is_over().then(|| now.clone()),
        since: Some(now),
        ..refresh.clone()
    }
}

fn write(refresh: Refresh, generation: Option<u32>) -> Plan {
    Plan::Done(written(refresh, generation))
}

fn written(refresh: Refresh, generation: Option<u32>) -> Outcome {
    Outcome::Recorded(Record::Refresh(Box::new(Change {
        refresh,
        generation,
    })))
}

/// The state has lasted longer than a state may. Hooks, the rebuild of indexes and the time that
/// sessions have come on top.
fn is_late(observed: &Observed, frame: &Frame<'_>, refresh: &Refresh) -> bool {
    let stage = match refresh.state {
        Some(RefreshState::Preparing) => Some(HookStage::PreRefresh),
        Some(RefreshState::Starting) => Some(HookStage::PostRefresh),
        _ => None,
    };
    let hooks: Duration = frame
        .cr
        .spec
        .hooks
        .iter()
        .filter(|hook| Some(hook.stage) == stage)
        .map(|hook| hook_job::deadline(frame, hook))
        .sum();
    let reindexes = frame.cr.spec.collations == CollationPolicy::Reindex;
    let more = match refresh.state {
        Some(RefreshState::Starting) if reindexes => frame.settings.reindex_deadline,
        Some(RefreshState::Replacing) => farewell::grace(frame.cr),
        _ => Duration::ZERO,
    };
    let since = refresh.since.as_deref().and_then(parse);
    let longest = frame.settings.refresh_deadline + hooks + more;
    since.is_some_and(|at| between(at, observed.now) >= longest)
}

/// Nothing that this or an earlier process has sent can still come to light.
fn may_send(observed: &Observed, frame: &Frame<'_>) -> bool {
    observed
        .memory
        .unsure_since
        .is_none_or(|at| between(at, observed.now) >= frame.settings.dct.visibility_grace)
}

fn timeflow(vdb: &Vdb) -> Option<&str> {
    vdb.current_timeflow_id.as_deref()
}

/// The pod that was proved still runs, as far as the kubelet knows.
pub fn still_serves(observed: &Observed, frame: &Frame<'_>) -> bool {
    let status = observed.cr.status.as_ref();
    let Some(verified) = status.and_then(|s| s.verified.as_ref()) else {
        return false;
    };
    match remote::server(observed, frame) {
        pod::State::Up(up) => up.uid == verified.pod_uid && up.restarts == verified.restarts,
        pod::State::Waiting(_) | pod::State::Failed(..) => false,
    }
}
