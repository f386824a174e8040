//! The end of a resource: server, virtual database, volume, finalizer, in this order, and in any case before the
//! deadline. Nothing but the resource's own hooks is created once it is being deleted.

use std::time::Duration;

use dct::types::{Job as TowerJob, Vdb};
use environment::spec::{DeletionPolicy, HookStage};
use environment::status::Job;

use super::build::{Frame, Names, vdb_name};
use super::observe::{Observed, Tower, recorded};
use super::plan::{JOB_WAIT, Outcome, Plan, Step};
use super::provision::{is_ours, tower_failed};
use super::{Context, hooks, pod, provision, refresh, remote};
use crate::clock::{between, parse, seconds};
use crate::cluster::{self, Ending, ErrorKind, Name, Orphan};
use crate::reason::Reason;
use crate::settings::Settings;

const OBJECT_WAIT: Duration = Duration::from_secs(1);

pub fn plan(observed: &Observed, frame: &Frame<'_>) -> Plan {
    let cr = &observed.cr;
    if !cr.has_finalizer() {
        return Plan::Done(Outcome::Gone);
    }
    if until_deadline(observed, frame.settings) == Some(Duration::ZERO) {
        return Plan::Act(Step::Abandon);
    }
    if let Some(plan) = provision::standing(observed, frame) {
        return plan;
    }
    if let Some(plan) = hooks::untold(observed, frame) {
        return plan;
    }
    let names = Names::of(frame);
    if let Some(plan) = before_the_end(observed, frame) {
        return plan;
    }
    if let Some(plan) = remove(
        observed,
        &names.stateful_set(),
        "the server's set",
        Reason::Deleting,
    ) {
        return plan;
    }
    if let Some(plan) = give_up(observed, frame) {
        return plan;
    }
    if let Some(plan) = remove(observed, &names.pod(), "the server", Reason::Deleting) {
        return plan;
    }
    if let Some(plan) = virtual_database(observed, frame) {
        return plan;
    }
    if !skips_hooks(observed)
        && let Some(plan) = hooks::next_before_end(observed, frame, HookStage::PostDelete)
    {
        return plan;
    }
    for (name, what) in data(observed, frame) {
        if let Some(plan) = remove(observed, &name, what, Reason::Deleting) {
            return plan;
        }
    }
    let there = recorded(cr).id.is_some() && !matches!(observed.tower, Tower::Vdb(None));
    let retained = cr.spec.deletion_policy == DeletionPolicy::Retain && there;
    Plan::Act(Step::Release { retained })
}

/// A server that is to end, on a node that does not report.
pub fn is_stuck(observed: &Observed, frame: &Frame<'_>) -> bool {
    let pod = observed.children.pod(&Names::of(frame).pod());
    pod.is_some_and(|pod| pod.metadata.deletion_timestamp.is_some() && pod::lost(pod).is_some())
}

/// A server on a node that does not report cannot be seen to end. Half of the time is left to the node; then the server is
/// taken for gone, so that the virtual database still is deleted in time. Where it runs on all the same, it loses data that
/// nobody wants any more.
///
/// A namespace that ends takes the pods first and the resource only when they are gone.
pub fn give_up(observed: &Observed, frame: &Frame<'_>) -> Option<Plan> {
    let name = Names::of(frame).pod();
    let why = pod::lost(observed.children.pod(&name)?)?;
    let found = observed.children.own(&name, &observed.cr)?.meta();
    let deadline = frame.settings.deletion_deadline;
    let left = match until_deadline(observed, frame.settings) {
        Some(left) => left,
        None if observed.namespace_ends => {
            let ends = found.deletion_timestamp.as_ref()?.0;
            let grace = found.deletion_grace_period_seconds.unwrap_or_default();
            let asked = ends - jiff::SignedDuration::from_secs(grace);
            deadline.saturating_sub(between(asked, observed.now))
        }
        None => return None,
    };
    let left = left.saturating_sub(deadline / 2);
    if left.is_zero() {
        return Some(Plan::Act(Step::Delete {
            name,
            uid: found.uid.clone().unwrap_or_default(),
            ending: Ending::Forced,
        }));
    }
    found.deletion_timestamp.is_some().then(|| {
        let message = format!("waiting until the server is gone, but {why}");
        Plan::wait(Reason::Deleting, message, left.min(OBJECT_WAIT))
    })
}

/// Claims and volumes of every data generation that may exist: an exchange may have been under way.
fn data(observed: &Observed, frame: &Frame<'_>) -> Vec<(Name, &'static str)> {
    let mut generations = refresh::others(&observed.cr, frame.generation);
    generations.push(frame.generation);
    let of = |generation: u32| {
        Names::of(&Frame {
            generation,
            ..*frame
        })
        .data()
    };
    generations.into_iter().flat_map(of).collect()
}

/// Time left for an orderly end; `None` while the resource lives.
pub fn until_deadline(observed: &Observed, settings: &Settings) -> Option<Duration> {
    let since = observed.cr.metadata.deletion_timestamp.as_ref()?;
    Some(
        settings
            .deletion_deadline
            .saturating_sub(between(since.0, observed.now)),
    )
}

/// In a namespace or foreground deletion nothing can be created any more, so hooks are passed over.
fn skips_hooks(observed: &Observed) -> bool {
    observed.namespace_ends
        || observed
            .cr
            .metadata
            .finalizers
            .iter()
            .flatten()
            .any(|f| f == "foregroundDeletion")
}

/// What people are told of hooks that are passed over.
pub fn passed_over(observed: &Observed, frame: &Frame<'_>) -> Option<String> {
    if !observed.cr.is_deleting() || observed.children.barred.is_some() {
        return None;
    }
    let (stages, why): (&[HookStage], _) = if observed.namespace_ends {
        (
            &[HookStage::PreDelete, HookStage::PostDelete],
            "the namespace ends",
        )
    } else if skips_hooks(observed) {
        (
            &[HookStage::PreDelete, HookStage::PostDelete],
            "the deletion is in the foreground",
        )
    } else if goes(observed, frame) {
        // A deletion in the foreground takes the server away at once, and soon looks like any other.
        (
            &[HookStage::PreDelete],
            "there was no running server for them",
        )
    } else {
        return None;
    };
    let names: Vec<&str> = stages
        .iter()
        .flat_map(|stage| hooks::not_ended(observed, frame, *stage))
        .collect();
    (!names.is_empty()).then(|| format!("skipped, because {why}: hooks {}", names.join(", ")))
}

/// The server is gone, or on its way.
fn goes(observed: &Observed, frame: &Frame<'_>) -> bool {
    observed
        .children
        .own(&Names::of(frame).stateful_set(), &observed.cr)
        .is_none_or(|set| set.meta().deletion_timestamp.is_some())
}

fn before_the_end(observed: &Observed, frame: &Frame<'_>) -> Option<Plan> {
    let names = Names::of(frame);
    let runs_by = if frame.is_remote() {
        names.record()
    } else {
        names.stateful_set()
    };
    let runs_by = observed.children.own(&runs_by, &observed.cr)?;
    let state = remote::server(observed, frame);
    let answers = matches!(state, pod::State::Up(up) if up.ready)
        && runs_by.meta().deletion_timestamp.is_none();
    if skips_hooks(observed) || !answers {
        return None;
    }
    hooks::next_before_end(observed, frame, HookStage::PreDelete)
}

/// Deletes an object and waits until it is gone.
pub(super) fn remove(observed: &Observed, name: &Name, what: &str, reason: Reason) -> Option<Plan> {
    let found = observed.children.own(name, &observed.cr)?;
    if found.meta().deletion_timestamp.is_some() {
        return Some(Plan::wait(
            reason,
            format!("waiting until {what} is gone"),
            OBJECT_WAIT,
        ));
    }
    let uid = found.meta().uid.clone().unwrap_or_default();
    Some(Plan::Act(Step::Delete {
        name: name.clone(),
        uid,
        ending: Ending::Graceful,
    }))
}

/// `None`: there is no virtual database, or it is to stay and is disabled.
fn virtual_database(observed: &Observed, frame: &Frame<'_>) -> Option<Plan> {
    let wait = |message: &str, after| Some(Plan::wait(Reason::Deleting, message, after));
    match &observed.tower {
        Tower::NotAsked
        | Tower::Source(_)
        | Tower::Fresh(_)
        | Tower::Vdb(None)
        | Tower::NotMade(_) => None,
        Tower::Failed(error) => Some(tower_failed(error)),
        Tower::Running => wait("waiting for Data Control Tower's job", JOB_WAIT),
        Tower::Lookup { vdb, job, .. } => found(observed, frame, vdb.as_deref(), job.as_deref()),
        Tower::JobFailed(job) => after_failure(observed, job),
        Tower::Vdb(Some(vdb)) => end(observed, vdb),
    }
}

/// An intent without ids: the order may still come to light.
fn found(
    observed: &Observed,
    frame: &Frame<'_>,
    vdb: Option<&Vdb>,
    job: Option<&TowerJob>,
) -> Option<Plan> {
    if let Some(vdb) = vdb {
        return is_ours(vdb, observed).then(|| {
            Plan::Act(Step::Adopt {
                vdb: Some(vdb.id.clone()),
                job: None,
            })
        });
    }
    if let Some(job) = job.filter(|job| !job.status.is_over()) {
        let running = Job {
            id: job.id.clone(),
            operation: "provision".to_owned(),
        };
        return Some(Plan::Act(Step::Adopt {
            vdb: job.target_id.clone(),
            job: Some(running),
        }));
    }
    let intent = recorded(&observed.cr).intent?;
    let since = parse(&intent.at).unwrap_or(observed.now);
    let left = frame
        .settings
        .dct
        .visibility_grace
        .saturating_sub(between(since, observed.now));
    let message = "looking for a virtual database that may have been ordered";
    (!left.is_zero()).then(|| Plan::wait(Reason::Deleting, message, left.min(OBJECT_WAIT)))
}

fn end(observed: &Observed, vdb: &Vdb) -> Option<Plan> {
    if !is_ours(vdb, observed) {
        return Some(Plan::stop(
            Reason::ForeignObject,
            format!("virtual database {} is not this resource's", vdb.id),
        ));
    }
    let job = recorded(&observed.cr).job;
    let retain = observed.cr.spec.deletion_policy == DeletionPolicy::Retain;
    match (retain, job.as_ref().map(|j| j.operation.as_str())) {
        (true, Some("disable")) => None,
        (true, _) => Some(Plan::Act(Step::DisableVdb { id: vdb.id.clone() })),
        (false, _) => Some(Plan::Act(Step::DeleteVdb { id: vdb.id.clone() })),
    }
}

/// A failed deletion is told and tried again.
fn after_failure(observed: &Observed, job: &TowerJob) -> Option<Plan> {
    let told = observed
        .cr
        .status
        .as_ref()
        .and_then(|s| s.condition("Ready"))
        .is_some_and(|c| c.reason == Reason::DeletionFailed.as_str());
    if !told {
        let details = job
            .error_details
            .as_deref()
            .unwrap_or("the job names no error");
        return Some(Plan::stop(
            Reason::DeletionFailed,
            format!(
                "job {} ended {:?}: {}",
                job.id,
                job.status,
                crate::one_line(details)
            ),
        ));
    }
    let id = recorded(&observed.cr).id?;
    Some(Plan::Act(match observed.cr.spec.deletion_policy {
        DeletionPolicy::Retain => Step::DisableVdb { id },
        DeletionPolicy::Delete => Step::DeleteVdb { id },
    }))
}

/// In a namespace that is going the rights in it may be gone already; then the namespace takes the object with it.
pub async fn delete(
    ctx: &Context,
    observed: &Observed,
    name: &Name,
    uid: &str,
    ending: Ending,
) -> Result<Outcome, cluster::Error> {
    match ctx.cluster.delete(name, uid, ending).await {
        Ok(()) => Ok(Outcome::Again),
        Err(error) if error.kind == ErrorKind::Forbidden && observed.namespace_ends => {
            let message = format!("waiting until the namespace takes {name} with it");
            Ok(Outcome::Waiting(super::plan::Waiting {
                reason: Reason::Deleting,
                message,
                after: OBJECT_WAIT,
            }))
        }
        Err(error) => Err(error),
    }
}

/// The orderly way took too long: the virtual database goes to the ledger, everything else goes at once.
pub async fn abandon(
    ctx: &Context,
    observed: &Observed,
    frame: &Frame<'_>,
) -> Result<Outcome, cluster::Error> {
    let vdb = recorded(&observed.cr);
    // Where the status was lost, only the tower could have told.
    let ordered =
        vdb.intent.is_some() || vdb.id.is_some() || matches!(observed.tower, Tower::Failed(_));
    if ordered && !matches!(observed.tower, Tower::Vdb(None)) {
        ledger(
            ctx,
            observed,
            "the deletion deadline passed before the virtual database was gone",
        )
        .await?;
        ctx.metrics.orphaned();
    }
    let names = Names::of(frame);
    // The pod's volume may be on a server that never answers again: then it never unmounts.
    let mut steps = vec![
        (names.stateful_set(), Ending::Graceful),
        (names.pod(), Ending::Forced),
    ];
    let data = data(observed, frame);
    steps.extend(data.into_iter().map(|(name, _)| (name, Ending::Graceful)));
    for (name, ending) in steps {
        let Some(found) = observed.children.own(&name, &observed.cr) else {
            continue;
        };
        let uid = found.meta().uid.clone().unwrap_or_default();
        match ctx.cluster.delete(&name, &uid, ending).await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::Forbidden => {
                tracing::warn!(%name, "not deleted: {}", error.message);
            }
            Err(error) => return Err(error),
        }
    }
    finish(ctx, observed).await
}

pub async fn release(
    ctx: &Context,
    observed: &Observed,
    retained: bool,
) -> Result<Outcome, cluster::Error> {
    if retained {
        ledger(ctx, observed, "kept by deletionPolicy Retain").await?;
    }
    finish(ctx, observed).await
}

async fn finish(ctx: &Context, observed: &Observed) -> Result<Outcome, cluster::Error> {
    match ctx.cluster.set_finalizer(&observed.cr, false).await {
        Ok(()) => Ok(Outcome::Gone),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Outcome::Gone),
        Err(error) => Err(error),
    }
}

async fn ledger(ctx: &Context, observed: &Observed, why: &str) -> Result<(), cluster::Error> {
    let key = observed.cr.key();
    let orphan = Orphan {
        uid: observed.cr.uid().to_owned(),
        namespace: key.namespace,
        resource: key.name,
        vdb_id: recorded(&observed.cr).id,
        vdb_name: Some(vdb_name(&observed.cr)),
        at: seconds(observed.now),
        why: why.to_owned(),
        kept: observed.cr.spec.deletion_policy == DeletionPolicy::Retain,
    };
    ctx.cluster.record_orphan(&orphan).await
}
