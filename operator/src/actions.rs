//! Actions: what is done once to a database that exists. Each pass takes one action one step further.
//!
//! An action that has begun says so before its first effect, and is never begun again. Of those of one database the
//! oldest has its turn. Deleting one takes away what it has not done yet: a Job ends with it, an exchange of data is
//! the database's own and comes to its end.

use std::time::Duration;

use environment::actions::{
    ActionPhase, ActionStatus, Kind, RefreshSpec, RewindSpec, SnapshotSpec, TaskSpec,
};
use jiff::Timestamp;
use kube::api::ObjectMeta;

use crate::clock::{between, precise, seconds};
use crate::cluster;
use crate::controller::{Context, Requeue, refresh};
use crate::crd::{Key, PostgresVdb};

pub mod definition;
mod exchange;
pub mod reason;
mod snapshot;
mod task;

use reason::Reason;

/// While an action waits or runs, its database's state is looked at this often.
const LOOK: Duration = Duration::from_secs(2);
/// An action that never had its turn fails after this long, so that none begins when nobody expects it any more.
const PATIENCE: Duration = Duration::from_hours(1);

#[derive(Clone, Debug)]
pub struct Action {
    pub kind: Kind,
    pub metadata: ObjectMeta,
    pub spec: Spec,
    pub status: ActionStatus,
}

#[derive(Clone, Debug)]
pub enum Spec {
    Refresh(RefreshSpec),
    Rewind(RewindSpec),
    Snapshot(SnapshotSpec),
    Task(TaskSpec),
}

impl Action {
    pub fn key(&self) -> Key {
        Key {
            namespace: self.metadata.namespace.clone().unwrap_or_default(),
            name: self.metadata.name.clone().unwrap_or_default(),
        }
    }

    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The database's name.
    pub fn vdb(&self) -> &str {
        match &self.spec {
            Spec::Refresh(spec) => &spec.vdb,
            Spec::Rewind(spec) => &spec.vdb,
            Spec::Snapshot(spec) => &spec.vdb,
            Spec::Task(spec) => &spec.vdb,
        }
    }

    /// Names it in the database's status.
    pub fn reference(&self) -> String {
        format!("{}/{}/{}", self.kind.as_str(), self.key().name, self.uid())
    }

    fn short_uid(&self) -> String {
        self.uid().chars().filter(|c| *c != '-').take(8).collect()
    }

    fn created(&self) -> Option<Timestamp> {
        self.metadata.creation_timestamp.as_ref().map(|t| t.0)
    }

    /// Its place among those of one database: who has begun comes first, then the oldest.
    fn turn(&self) -> (bool, Option<Timestamp>, &str) {
        let waits = self.status.phase == ActionPhase::Pending;
        (waits, self.created(), self.uid())
    }
}

/// What a pass came to.
enum Step {
    Waits(String),
    /// It has begun, or goes on.
    Runs(Box<ActionStatus>),
    Succeeded(Box<ActionStatus>),
    Failed(Reason, String),
    /// The same, with what it has left.
    Ended(Reason, Box<ActionStatus>),
}

pub async fn reconcile(ctx: &Context, kind: Kind, key: &Key) -> Result<Requeue, cluster::Error> {
    let Some(action) = ctx.cluster.action(kind, key).await? else {
        return Ok(Requeue::OnChange);
    };
    if action.status.phase.is_over() || action.metadata.deletion_timestamp.is_some() {
        return Ok(Requeue::OnChange);
    }
    let step = step(ctx, &action).await?;
    let status = shown(&action, step, ctx.clock.now());
    if status != action.status {
        ctx.cluster.write_action_status(&action, &status).await?;
    }
    Ok(if status.phase.is_over() {
        tracing::info!(%key, kind = kind.as_str(), message = status.message, "action ended");
        Requeue::OnChange
    } else {
        Requeue::After(LOOK)
    })
}

async fn step(ctx: &Context, action: &Action) -> Result<Step, cluster::Error> {
    let key = Key {
        namespace: action.key().namespace,
        name: action.vdb().to_owned(),
    };
    let Some(vdb) = ctx.cluster.vdb(&key).await?.filter(|v| !v.is_deleting()) else {
        let why = format!("there is no PostgresVDB {} in this namespace", key.name);
        return Ok(Step::Failed(Reason::DatabaseMissing, why));
    };
    ctx.follow(&vdb)?;
    let pending = action.status.phase == ActionPhase::Pending;
    if pending && let Some(why) = in_the_way(ctx, action, &vdb).await? {
        let now = ctx.clock.now();
        let waited = action
            .created()
            .map_or(Duration::ZERO, |at| between(at, now));
        return Ok(if waited < PATIENCE {
            Step::Waits(why)
        } else {
            Step::Failed(
                Reason::Overdue,
                format!("it had no turn for an hour: {why}"),
            )
        });
    }
    match &action.spec {
        Spec::Refresh(_) | Spec::Rewind(_) => exchange::step(ctx, action, &vdb).await,
        // What has no effect of its own to be found again is written down before it begins.
        Spec::Snapshot(_) | Spec::Task(_) if pending => Ok(Step::Runs(Box::default())),
        Spec::Snapshot(spec) => snapshot::step(ctx, action, spec, &vdb).await,
        Spec::Task(spec) => task::step(ctx, action, spec, &vdb).await,
    }
}

/// One at a time for each database.
async fn in_the_way(
    ctx: &Context,
    action: &Action,
    vdb: &PostgresVdb,
) -> Result<Option<String>, cluster::Error> {
    let own = action.reference();
    let under_way = refresh::under_way(vdb).map(|(r, _)| r);
    if under_way.is_some_and(|r| r.action.as_ref() != Some(&own)) {
        return Ok(Some("the database's data is being exchanged".to_owned()));
    }
    let all = ctx.cluster.actions(&action.key().namespace).await?;
    let first = all
        .iter()
        .filter(|other| other.vdb() == action.vdb() && !other.status.phase.is_over())
        .min_by(|a, b| a.turn().cmp(&b.turn()));
    if let Some(first) = first.filter(|first| first.uid() != action.uid()) {
        let (kind, name) = (first.kind.as_str(), first.key().name);
        return Ok(Some(format!("{kind} {name} has its turn first")));
    }
    let begun = under_way.is_some() || exchange::result(vdb, &own).is_some();
    let generation = vdb.generation();
    let ready = vdb.status.as_ref().is_some_and(|s| s.is_ready(generation));
    let can = begun || vdb.spec.enabled && ready;
    Ok((!can).then(|| "the database is not ready".to_owned()))
}

fn shown(action: &Action, step: Step, now: Timestamp) -> ActionStatus {
    let before = &action.status;
    let at = Some(precise(now));
    let started_at = before.started_at.clone().or_else(|| at.clone());
    let mut status = match step {
        Step::Waits(why) => ActionStatus {
            phase: ActionPhase::Pending,
            reason: Some(Reason::Waiting.as_str().to_owned()),
            message: why,
            ..before.clone()
        },
        Step::Runs(status) => ActionStatus {
            phase: ActionPhase::Running,
            reason: None,
            started_at,
            ..*status
        },
        Step::Succeeded(status) => ActionStatus {
            phase: ActionPhase::Succeeded,
            reason: None,
            started_at,
            finished_at: at,
            ..*status
        },
        Step::Failed(reason, message) => {
            let left = ActionStatus {
                message,
                ..before.clone()
            };
            failed(reason, left, started_at, at)
        }
        Step::Ended(reason, status) => failed(reason, *status, started_at, at),
    };
    status.conditions = conditions(&status, before, now);
    status
}

fn failed(
    reason: Reason,
    left: ActionStatus,
    started_at: Option<String>,
    finished_at: Option<String>,
) -> ActionStatus {
    ActionStatus {
        phase: ActionPhase::Failed,
        reason: Some(reason.as_str().to_owned()),
        message: format!("{}; {}", left.message, reason.hint()),
        started_at,
        finished_at,
        ..left
    }
}

fn conditions(
    status: &ActionStatus,
    before: &ActionStatus,
    now: Timestamp,
) -> Vec<environment::status::Condition> {
    let word = match status.phase {
        ActionPhase::Pending => "Waiting",
        ActionPhase::Running => "Running",
        ActionPhase::Succeeded => "Succeeded",
        ActionPhase::Failed => "Failed",
    };
    let reason = status.reason.as_deref().unwrap_or(word);
    [
        ("Complete", ActionPhase::Succeeded),
        ("Failed", ActionPhase::Failed),
    ]
    .map(|(kind, phase)| {
        let holds = if status.phase == phase {
            "True"
        } else {
            "False"
        };
        let same = before
            .conditions
            .iter()
            .find(|c| c.kind == kind && c.status == holds);
        environment::status::Condition {
            kind: kind.to_owned(),
            status: holds.to_owned(),
            reason: reason.to_owned(),
            message: if holds == "True" {
                status.message.clone()
            } else {
                String::new()
            },
            observed_generation: None,
            last_transition_time: same
                .map_or_else(|| seconds(now), |c| c.last_transition_time.clone()),
        }
    })
    .into()
}
