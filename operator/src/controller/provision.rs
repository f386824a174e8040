//! From nothing to a copy's directory: look for what may exist, order it once, enable it, take what it exports. Pure.

use std::time::Duration;

use dct::Class;
use dct::types::{ContainerizationState, JobStatus, ProvisionBySnapshot, Tag, Vdb};
use environment::spec::HookStage;
use environment::status::Job;

use super::build::{Frame, Names, endpoint, stateful_set, vdb_name};
use super::observe::{Observed, Tower, recorded};
use super::plan::{self, JOB_WAIT, OBJECT_WAIT, Outcome, Plan, Record, Step};
use super::{desired, hooks};
use crate::clock::{between, parse};
use crate::consent::{CLUSTER_TAG, NAMESPACE_TAG};
use crate::reason::Reason;
use crate::rules::Refusal;
use crate::settings::Remote;
use crate::tower::Error;

/// Tag of every virtual database that the operator orders: whose it is.
pub const UID_TAG: &str = "cr-uid";
/// How soon an object is visible after the job that made it: real towers lag.
const VISIBLE_AFTER: Duration = Duration::from_secs(1);

/// Until the copy's directory is known.
pub fn provision(observed: &Observed, frame: &Frame<'_>) -> Plan {
    if let Some(plan) = standing(observed, frame) {
        return plan;
    }
    match &observed.tower {
        Tower::Failed(error) => tower_failed(error),
        Tower::NotAsked => Plan::wait(
            Reason::Pending,
            "waiting for Data Control Tower",
            OBJECT_WAIT,
        ),
        Tower::Source(Err(refusal)) => Plan::refuse(refusal),
        Tower::Source(Ok(source)) => match before_the_order(observed, frame) {
            Some(plan) => plan,
            None => Plan::Act(Step::RecordIntent {
                source: source.clone(),
            }),
        },
        Tower::Fresh(source) => match order(observed, frame, source) {
            Some(order) => Plan::Act(Step::Provision(Box::new(order))),
            // The order carries what the platform's Secret says.
            None => desired::step(observed, frame, desired::early(observed, frame))
                .unwrap_or(Plan::Done(Outcome::Again)),
        },
        Tower::Lookup { vdb, job, source } => {
            lookup(observed, frame, (vdb.as_deref(), job.as_deref()), source)
        }
        Tower::Running => while_running(observed, frame),
        Tower::JobFailed(job) => job_failed(observed, frame, job),
        Tower::NotMade(job) => lost(observed, Some(job)),
        Tower::Vdb(None) => lost(observed, None),
        Tower::Vdb(Some(vdb)) => deliver(observed, frame, vdb),
    }
}

/// Where the status was lost, the server's set still tells which data generation is the present one: it is written down
/// first, because everything else is named after it.
pub fn standing(observed: &Observed, frame: &Frame<'_>) -> Option<Plan> {
    if frame.is_remote() || recorded(&observed.cr).generation.is_some() {
        return None;
    }
    let name = Names::of(frame).stateful_set();
    observed.children.own(&name, &observed.cr)?;
    let set = observed.children.stateful_set(&name)?;
    let claim = stateful_set::claim_of(set)?;
    let (_, generation) = claim.rsplit_once("-g")?;
    let generation = generation.parse().ok()?;
    (generation != frame.generation).then_some(Plan::Done(Outcome::Recorded(Record::Generation(
        generation,
    ))))
}

fn before_the_order(observed: &Observed, frame: &Frame<'_>) -> Option<Plan> {
    // What only its own role can open is not ordered without that role's password.
    if frame.has_own_role()
        && let Err(refusal) = plan::password(observed, frame)
    {
        return Some(Plan::refuse(&refusal));
    }
    hooks::next(observed, frame, HookStage::PreCreate)
}

pub fn tower_failed(error: &Error) -> Plan {
    let reason = match error.class {
        Class::Unreachable => Reason::EngineUnreachable,
        Class::Unauthorized => Reason::EngineUnauthorized,
        Class::Forbidden => Reason::EngineForbidden,
        Class::NotFound | Class::Rejected => Reason::EngineRefused,
        Class::Unavailable => Reason::EngineUnavailable,
        Class::Malformed => Reason::EngineAnswerUnreadable,
    };
    Plan::stop(reason, error.message.clone())
}

/// `None`: the platform's password does not exist yet.
fn order(observed: &Observed, frame: &Frame<'_>, source: &str) -> Option<ProvisionBySnapshot> {
    let cr = &observed.cr;
    let order = ProvisionBySnapshot {
        name: Some(vdb_name(cr)),
        description: Some(format!("PostgresVDB {}", cr.key())),
        target_group_id: Some(frame.settings.dct.group.clone()),
        source_data_id: Some(source.to_owned()),
        container_mode: (!frame.is_remote()).then_some(true),
        tags: Some(vec![
            Tag::new(UID_TAG, cr.uid()),
            Tag::new(CLUSTER_TAG, observed.cluster_id.as_str()),
            Tag::new(NAMESPACE_TAG, cr.key().namespace),
        ]),
        ..ProvisionBySnapshot::default()
    };
    match frame.settings.remote.as_ref().filter(|_| frame.is_remote()) {
        Some(remote) => on_a_host(observed, frame, remote, order),
        None => Some(order),
    }
}

/// For a server on a target host: which one, and how the platform gets into the data.
fn on_a_host(
    observed: &Observed,
    frame: &Frame<'_>,
    remote: &Remote,
    order: ProvisionBySnapshot,
) -> Option<ProvisionBySnapshot> {
    let mut order = ProvisionBySnapshot {
        environment_id: remote.environment.clone(),
        repository_id: remote.repository.clone(),
        auto_select_repository: remote.repository.is_none().then_some(true),
        ..order
    };
    if !frame.has_own_role() {
        let verifier = desired::admin_verifier(observed, frame)?;
        let hook = endpoint::configure_clone(remote, &verifier);
        order.hooks.configure_clone = Some(vec![hook]);
    }
    Some(order)
}

/// Whether a virtual database of the right name is this resource's: the name holds the uid, the tag proves it.
pub fn is_ours(vdb: &Vdb, observed: &Observed) -> bool {
    let named = vdb.name.as_deref() == Some(&vdb_name(&observed.cr));
    vdb.tag(UID_TAG)
        .map_or(named, |uid| uid == observed.cr.uid())
}

type Found<'a> = (Option<&'a Vdb>, Option<&'a dct::types::Job>);

/// The intent is written and no id is known: an order may be under way. Look before sending another.
fn lookup(
    observed: &Observed,
    frame: &Frame<'_>,
    (vdb, job): Found<'_>,
    source: &Result<String, Refusal>,
) -> Plan {
    if let Some(vdb) = vdb {
        if !is_ours(vdb, observed) {
            return Plan::stop(
                Reason::ForeignObject,
                format!(
                    "a virtual database named {} exists and is not this resource's",
                    vdb_name(&observed.cr)
                ),
            );
        }
        return Plan::Act(Step::Adopt {
            vdb: Some(vdb.id.clone()),
            job: None,
        });
    }
    let since = recorded(&observed.cr)
        .intent
        .and_then(|i| parse(&i.at))
        .unwrap_or(observed.now);
    let is_this_try = |job: &&dct::types::Job| {
        let started = job.start_time.as_deref().and_then(parse);
        !matches!(job.status, JobStatus::Failed | JobStatus::Canceled)
            || started.is_none_or(|at| at >= since)
    };
    if let Some(job) = job.filter(is_this_try)
        && job.target_id.is_some()
    {
        let running = Job {
            id: job.id.clone(),
            operation: "provision".to_owned(),
        };
        return Plan::Act(Step::Adopt {
            vdb: job.target_id.clone(),
            job: Some(running),
        });
    }
    let waited = between(since, observed.now);
    let grace = frame.settings.dct.visibility_grace;
    if waited < grace {
        let after = grace.saturating_sub(waited).min(Duration::from_secs(1));
        if let Some((reason, message)) = refused(observed) {
            return Plan::wait(reason, message, after);
        }
        return Plan::wait(
            Reason::Provisioning,
            "looking for a virtual database that may have been ordered already",
            after,
        );
    }
    match source {
        Err(refusal) => Plan::refuse(refusal),
        // Another operator may look at the same moment: only who writes the intent anew may send the order.
        Ok(source) => Plan::Act(Step::RecordIntent {
            source: source.clone(),
        }),
    }
}

/// What the tower said to the order, as people were told. It stays said until another answer comes: the pauses between two
/// tries are longer than the tries.
pub fn refused(observed: &Observed) -> Option<(Reason, String)> {
    const SAID: [Reason; 4] = [
        Reason::EngineRefused,
        Reason::EngineUnauthorized,
        Reason::EngineForbidden,
        Reason::EngineUnavailable,
    ];
    let ready = observed.cr.status.as_ref()?.condition("Ready")?;
    let reason = SAID.into_iter().find(|r| r.as_str() == ready.reason)?;
    Some((reason, ready.message.clone()))
}

/// What does not depend on the copy is written while the engine works.
fn while_running(observed: &Observed, frame: &Frame<'_>) -> Plan {
    if let Some(plan) = desired::step(observed, frame, desired::early(observed, frame)) {
        return plan;
    }
    let enabling = recorded(&observed.cr)
        .job
        .is_some_and(|j| j.operation == "enable");
    let (reason, what) = if enabling {
        (Reason::Enabling, "enabled")
    } else {
        (Reason::Provisioning, "made")
    };
    Plan::wait(
        reason,
        format!("the virtual database is being {what}"),
        JOB_WAIT,
    )
}

fn job_failed(observed: &Observed, frame: &Frame<'_>, job: &dct::types::Job) -> Plan {
    let vdb = recorded(&observed.cr);
    let enabling = vdb.job.as_ref().is_some_and(|j| j.operation == "enable");
    let reason = if enabling {
        Reason::EnableFailed
    } else {
        Reason::ProvisionFailed
    };
    if waited_long(observed, reason) {
        return match (enabling, vdb.id) {
            (true, Some(id)) => Plan::Act(Step::Enable {
                vdb: id,
                owner: frame.owner(),
            }),
            // A new intent: whatever the failed job has left is looked for first.
            _ => Plan::Act(Step::RecordIntent {
                source: String::new(),
            }),
        };
    }
    let details = job
        .error_details
        .as_deref()
        .unwrap_or("the job names no error");
    Plan::stop(
        reason,
        format!(
            "job {} ended {:?}: {}",
            job.id,
            job.status,
            crate::one_line(details)
        ),
    )
}

/// What failed has been said for a whole `errorBackoffPeriod`.
fn waited_long(observed: &Observed, reason: Reason) -> bool {
    let backoff =
        crate::settings::parse_duration(&observed.cr.spec.error_backoff_period).unwrap_or_default();
    let stalled = observed
        .cr
        .status
        .as_ref()
        .and_then(|s| s.condition("Stalled"))
        .filter(|c| c.status == "True" && c.reason == reason.as_str());
    let since = stalled.and_then(|c| parse(&c.last_transition_time));
    since.is_some_and(|at| between(at, observed.now) >= backoff)
}

/// The tower does not know the virtual database: at first that is lag, later it is gone. An order of which nobody knows how it
/// ended is not sent again: it may still be carried out, and then there were two.
fn lost(observed: &Observed, job: Option<&dct::types::Job>) -> Plan {
    let vdb = recorded(&observed.cr);
    let since = vdb
        .intent
        .and_then(|i| parse(&i.at))
        .unwrap_or(observed.now);
    let id = vdb.id.unwrap_or_default();
    if between(since, observed.now) < Duration::from_mins(5) {
        return Plan::wait(
            Reason::Provisioning,
            format!("virtual database {id} is not visible yet"),
            VISIBLE_AFTER,
        );
    }
    Plan::stop(
        Reason::VdbLost,
        match job {
            None => {
                format!("virtual database {id} does not exist any more: it was deleted outside")
            }
            Some(job) => format!(
                "virtual database {id} has not come about: its job {} ended {:?}",
                job.id, job.status
            ),
        },
    )
}

/// Whether the virtual database is enabled, so that its data can be had.
pub fn offers(frame: &Frame<'_>, vdb: &Vdb) -> bool {
    if frame.is_remote() {
        return vdb.enabled != Some(false);
    }
    let running = vdb.containerization_state == Some(ContainerizationState::RunningInContainer);
    let directory = vdb.exported_data_directory.as_deref();
    directory.is_some_and(|d| running && !d.is_empty())
}

/// The virtual database exists: enable it, then take its directory.
fn deliver(observed: &Observed, frame: &Frame<'_>, vdb: &Vdb) -> Plan {
    if !is_ours(vdb, observed) {
        return Plan::stop(
            Reason::ForeignObject,
            format!("virtual database {} is not this resource's", vdb.id),
        );
    }
    if !offers(frame, vdb) {
        // To enable it once more does no harm, whatever the job before still does.
        if recorded(&observed.cr)
            .job
            .is_some_and(|j| j.operation == "enable")
            && !waited_long(observed, Reason::EnableFailed)
        {
            return Plan::stop(
                Reason::EnableFailed,
                format!(
                    "virtual database {} was enabled, but is not offered",
                    vdb.id
                ),
            );
        }
        return Plan::Act(Step::Enable {
            vdb: vdb.id.clone(),
            owner: frame.owner(),
        });
    }
    match frame.offered(vdb) {
        Err(refusal) => Plan::refuse(&refusal),
        Ok(copy) => desired::step(observed, frame, desired::all(observed, frame, &copy))
            .unwrap_or(Plan::Done(Outcome::Again)),
    }
}
