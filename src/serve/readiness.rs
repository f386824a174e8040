//! How far a request has come: a pure function of what the forge, Argo CD and the cluster say.
//!
//! Argo CD is heard only until the `PostgresVDB` carries the order; from then on that resource decides. Argo CD's own
//! health lags behind, knows siblings and may lack our health check, so it never says ready.

mod argo;
mod reason;
mod refusal;
mod removal;

use std::sync::Arc;

use environment::status::Condition;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::argocd::{Application, ApplicationSet};
use crate::forge::{Pull, PullState};
use crate::serve::cluster::{LiveDatabase, NamespaceState};
use crate::serve::request::{Marker, Operation, RequestId};
use crate::web::one_line;
pub(crate) use reason::Reason;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum State {
    /// The branch exists, the pull request does not yet.
    Requested,
    /// The pull request is open.
    Proposed,
    /// It is merged; Argo CD has not begun.
    Merged,
    /// Argo CD brings it to the cluster, or takes it away.
    Syncing,
    /// The operator works on it.
    Provisioning,
    Ready,
    /// Waits for something that somebody has to change.
    Blocked,
    /// The pull request was closed without a merge.
    Rejected,
    /// Another request has taken its place since.
    Superseded,
    Failed,
    Retired,
}

impl State {
    /// Nothing more happens without a new request or a change in Git.
    pub(crate) fn is_final(self) -> bool {
        matches!(
            self,
            Self::Ready | Self::Rejected | Self::Superseded | Self::Failed | Self::Retired
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Readiness {
    pub(crate) state: State,
    pub(crate) ready: bool,
    /// One word of a closed list.
    pub(crate) reason: String,
    pub(crate) message: String,
    /// What to do, where there is something to do.
    pub(crate) hint: String,
}

/// What Argo CD says about the environment's Application.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Argo {
    /// The resource carries the order already, or the pull request is not merged: there is nothing to ask.
    NotAsked,
    Absent,
    Present(Arc<Application>),
    /// It does not answer, or refuses us: why, and what to change.
    Unknown {
        message: String,
        hint: String,
    },
}

/// What the base branch holds for the environment now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OnBase {
    Absent,
    /// The id of the request that it carries out; none in a file written by hand.
    Request(Option<String>),
}

pub(crate) struct Observation<'a> {
    pub(crate) request: &'a RequestId,
    pub(crate) pull: &'a Pull,
    pub(crate) base: OnBase,
    pub(crate) argo: Argo,
    pub(crate) databases: Vec<Arc<LiveDatabase>>,
    pub(crate) namespace: Option<NamespaceState>,
    /// Asked for only where it explains why nothing happens.
    pub(crate) set: Option<ApplicationSet>,
    /// Whether the revision of Argo CD's last operation contains our merge; none where that cannot be told.
    pub(crate) holds_merge: Option<bool>,
    pub(crate) now: Timestamp,
}

impl Observation<'_> {
    fn merged_at(&self) -> Option<Timestamp> {
        self.pull.finished_at.as_deref()?.parse().ok()
    }
}

pub(crate) fn decide(seen: &Observation<'_>) -> Readiness {
    let number = seen.pull.number;
    match (seen.pull.state, seen.request.operation()) {
        (PullState::Open, _) => readiness(
            Reason::PullRequestOpen,
            format!("pull request #{number} waits for review and merge"),
        )
        .with_hint(format!(
            "{}: {}",
            Reason::PullRequestOpen.hint(),
            seen.pull.url
        )),
        (PullState::Closed, _) => {
            let why = match Marker::of(seen.pull).withdrawn_for {
                Some(first) => format!(
                    "pull request #{number} was withdrawn: #{first} of the same environment was opened first"
                ),
                None => format!("pull request #{number} was closed without a merge"),
            };
            readiness(Reason::PullRequestClosed, why)
        }
        (PullState::Merged, Operation::Retire) => removal::retired(seen),
        (
            PullState::Merged,
            Operation::Create | Operation::Update | Operation::Refresh | Operation::Extend,
        ) => applied(seen),
    }
}

/// Whatever a request writes into the values file, the resource carries the request's id once it is applied.
fn applied(seen: &Observation<'_>) -> Readiness {
    let environment = seen.request.environment();
    let name = environment.cr_name(None);
    let database = seen.databases.iter().find(|database| database.name == name);
    if let Some(database) =
        database.filter(|database| database.request_id() == Some(seen.request.as_str()))
    {
        return of_database(database);
    }
    match &seen.base {
        OnBase::Absent => readiness(
            Reason::RemovedSince,
            format!("environment {environment} was removed from Git since"),
        ),
        OnBase::Request(id) if id.as_deref() == Some(seen.request.as_str()) => {
            argo::of_argo(seen, &name)
        }
        OnBase::Request(id) => {
            let by = id.as_deref().map_or_else(
                || "a commit made by hand".to_owned(),
                |id| format!("request {id}"),
            );
            let newer = database.filter(|database| database.request_id() == id.as_deref());
            let ready = newer.is_some_and(|database| database.is_ready());
            Readiness {
                ready,
                ..readiness(
                    Reason::ChangedSince,
                    format!("{by} has changed environment {environment} since"),
                )
            }
        }
    }
}

/// What the resource itself says. An assessment of an older generation counts for nothing.
pub(crate) fn of_database(database: &LiveDatabase) -> Readiness {
    if database.deleting {
        return readiness(
            Reason::Deleting,
            format!("{} is being deleted", database.name),
        );
    }
    let current = database
        .status
        .observed_generation
        .is_some_and(|observed| observed >= database.generation);
    let condition = |kind| database.status.condition(kind).filter(|_| current);
    let is_true = |kind| condition(kind).filter(|c| c.status == "True");
    let stalled = database.status.stalled().filter(|_| current);
    if let Some((stalled, true)) = stalled {
        return of_condition(State::Failed, stalled);
    }
    let Some(ready) = condition("Ready") else {
        return readiness(
            Reason::NotSeenYet,
            format!("the operator has not assessed {} yet", database.name),
        );
    };
    if database.is_ready() {
        if let Some((stalled, _)) = stalled {
            return Readiness {
                ready: true,
                ..of_condition(State::Ready, stalled)
            };
        }
        return Readiness {
            ready: true,
            state: State::Ready,
            reason: ready.reason.clone(),
            message: one_line(&ready.message, 600),
            hint: String::new(),
        };
    }
    if let Some(suspended) = is_true("Suspended") {
        return of_condition(State::Blocked, suspended);
    }
    let answer = of_condition(State::Provisioning, ready);
    // Only a reason that needs somebody to act comes with a remedy.
    if answer.hint.is_empty() {
        answer
    } else {
        Readiness {
            state: State::Blocked,
            ..answer
        }
    }
}

/// The operator ends the message of a reason that has a remedy with `; <remedy>`.
fn of_condition(state: State, condition: &Condition) -> Readiness {
    let (message, hint) = condition
        .message
        .rsplit_once("; ")
        .unwrap_or((&condition.message, ""));
    Readiness {
        state,
        ready: false,
        reason: condition.reason.clone(),
        message: one_line(message, 600),
        hint: one_line(hint, 300),
    }
}

/// An answer with the reason's own state and hint.
pub(crate) fn readiness(reason: Reason, message: impl Into<String>) -> Readiness {
    Readiness {
        state: reason.state(),
        ready: false,
        reason: reason.as_str().to_owned(),
        message: message.into(),
        hint: reason.hint().to_owned(),
    }
}

impl Readiness {
    fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: hint.into(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests;
