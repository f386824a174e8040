//! What has happened to a request so far, computed anew each time: nothing of it is stored.
//!
//! Each kind of event has one fixed position, so an event once given keeps its place on any replica and after any
//! restart, and one that is seen late never moves another. Who asks for what is new names the last position it knows.

use serde::Serialize;

use crate::forge::{Pull, PullState};
use crate::serve::cluster::LiveDatabase;
use crate::serve::readiness::{Argo, Observation, Readiness, State};
use crate::serve::request::Operation;

const PROPOSED: u32 = 1;
const REJECTED: u32 = 2;
const MERGED: u32 = 3;
/// Argo CD has made the Application, or has begun to take it away.
const APPLICATION: u32 = 4;
const APPLIED: u32 = 5;
/// Two for each stage of the operator: it began, it ended.
const STAGES: u32 = 10;
/// The operator knows six stages; more than these would run into the positions of the ends.
const MOST_STAGES: usize = 40;
/// The ends, in an order in which one may still follow another: what has failed can be repaired.
const FAILED: u32 = 90;
const READY: u32 = 91;
const RETIRED: u32 = 92;
const SUPERSEDED: u32 = 93;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventKind {
    Proposed,
    Rejected,
    Merged,
    Application,
    Applied,
    Stage,
    Failed,
    Ready,
    Retired,
    Superseded,
}

/// One thing that has happened to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Event {
    /// Its place, the same in every answer. Not every place is taken.
    pub(crate) position: u32,
    pub(crate) kind: EventKind,
    /// When it happened (RFC 3339), where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    pub(crate) message: String,
}

/// All events, in order.
pub(crate) fn of(seen: &Observation<'_>, readiness: &Readiness) -> Vec<Event> {
    let mut events = of_pull(seen.pull);
    if seen.pull.state == PullState::Merged {
        events.extend(of_application(seen, readiness));
    }
    let carrier = seen
        .databases
        .iter()
        .find(|database| database.request_id() == Some(seen.request.as_str()));
    match (seen.request.operation(), carrier) {
        (Operation::Retire, _) | (_, None) => {}
        (Operation::Create, Some(database)) => events.extend(of_database(database)),
        // Its stages are those of the order that made it.
        (Operation::Update | Operation::Refresh | Operation::Extend, Some(database)) => {
            let what = format!("PostgresVDB {} carries the change", database.name);
            events.push(event(APPLIED, EventKind::Applied, None, what));
        }
    }
    events.extend(end(readiness));
    events
}

/// The events of an environment that came into Git by hand.
pub(crate) fn without_pull(database: &LiveDatabase, readiness: &Readiness) -> Vec<Event> {
    let mut events = of_database(database);
    events.extend(end(readiness));
    events
}

/// The position that a caller who has seen these events names the next time. It never goes back.
pub(crate) fn cursor(events: &[Event], before: u32) -> u32 {
    events.last().map_or(before, |e| e.position.max(before))
}

fn event(position: u32, kind: EventKind, at: Option<&str>, message: String) -> Event {
    Event {
        position,
        kind,
        at: at.filter(|at| !at.is_empty()).map(str::to_owned),
        message,
    }
}

fn of_pull(pull: &Pull) -> Vec<Event> {
    let Pull { number, url, .. } = pull;
    let finished = pull.finished_at.as_deref();
    let opened = format!("pull request #{number} is open: {url}");
    let mut events = vec![event(
        PROPOSED,
        EventKind::Proposed,
        Some(&pull.created_at),
        opened,
    )];
    match pull.state {
        PullState::Open => {}
        PullState::Closed => events.push(event(
            REJECTED,
            EventKind::Rejected,
            finished,
            format!("pull request #{number} was closed without a merge"),
        )),
        PullState::Merged => events.push(event(
            MERGED,
            EventKind::Merged,
            finished,
            format!("pull request #{number} was merged"),
        )),
    }
    events
}

fn of_application(seen: &Observation<'_>, readiness: &Readiness) -> Option<Event> {
    let environment = seen.request.environment();
    let application = match &seen.argo {
        Argo::Present(application) => Some(&application.metadata),
        Argo::NotAsked | Argo::Absent | Argo::Unknown { .. } => None,
    };
    let (at, what) = match seen.request.operation() {
        // It is there already, and stays.
        Operation::Update | Operation::Refresh | Operation::Extend => return None,
        Operation::Create => (
            application?.creation_timestamp.as_deref(),
            format!("Argo CD has made Application {environment}"),
        ),
        Operation::Retire => {
            let deleting = application.and_then(|a| a.deletion_timestamp.as_deref());
            let gone = matches!(seen.argo, Argo::Absent) && readiness.state == State::Syncing;
            if deleting.is_none() && !gone {
                return None;
            }
            (
                deleting,
                format!("Argo CD takes Application {environment} away"),
            )
        }
    };
    Some(event(APPLICATION, EventKind::Application, at, what))
}

fn of_database(database: &LiveDatabase) -> Vec<Event> {
    let name = &database.name;
    let mut events = vec![event(
        APPLIED,
        EventKind::Applied,
        database.created_at.as_deref(),
        format!("PostgresVDB {name} is in the cluster"),
    )];
    let mut position = STAGES;
    for stage in database.status.stages.iter().take(MOST_STAGES) {
        let mut push = |position, at: &str, what: &str| {
            let message = format!("{name}: {} {what}", stage.name);
            events.push(event(position, EventKind::Stage, Some(at), message));
        };
        push(position, &stage.started_at, "began");
        if let Some(finished) = &stage.finished_at {
            push(position + 1, finished, "is done");
        }
        position += 2;
    }
    events
}

/// The end that is reached; a rejection is told of the pull request.
fn end(readiness: &Readiness) -> Option<Event> {
    let (position, kind) = match readiness.state {
        State::Failed => (FAILED, EventKind::Failed),
        State::Ready => (READY, EventKind::Ready),
        State::Retired => (RETIRED, EventKind::Retired),
        State::Superseded => (SUPERSEDED, EventKind::Superseded),
        _ => return None,
    };
    let message = format!("{}: {}", readiness.reason, readiness.message);
    Some(event(position, kind, None, message))
}

#[cfg(test)]
mod tests;
