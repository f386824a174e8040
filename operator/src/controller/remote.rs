//! Where the server runs on a target host of Delphix: what takes the place of its pod. Pure.

use environment::spec::HookRole;

use super::build::{Frame, Names};
use super::observe::{self, Observed, Tower, recorded};
use super::plan::{JOB_WAIT, OBJECT_WAIT, Plan, Step};
use super::pod;
use super::provision::tower_failed;
use crate::cluster::Ending;
use crate::reason::Reason;
use crate::rules::Refusal;

/// How the server stands, wherever it runs. That of a target host is asked for nothing but queries.
pub fn server(observed: &Observed, frame: &Frame<'_>) -> pod::State {
    let names = Names::of(frame);
    if !frame.is_remote() {
        return pod::state(observed.children.pod(&names.pod()), &observed.cr);
    }
    match observe::copy(observed, &names) {
        Some(copy) => pod::State::Up(pod::Up {
            uid: copy.identity,
            restarts: 0,
            ready: true,
        }),
        None => pod::State::Waiting("the server's address is not known yet".to_owned()),
    }
}

/// What needs the platform's role, where the order names a role of the source instead.
pub fn refusal(frame: &Frame<'_>) -> Option<Refusal> {
    if !frame.has_own_role() {
        return None;
    }
    let spec = &frame.cr.spec;
    let hook = spec
        .hooks
        .iter()
        .find(|hook| hook.run_as == Some(HookRole::Admin));
    let what = match hook {
        Some(hook) => format!("hook {:?} runs as admin", hook.name),
        None if spec.database.create_if_missing => "database.createIfMissing is true".to_owned(),
        None => return None,
    };
    Some((
        Reason::InvalidSpec,
        format!(
            "{what}, but on a target host passwordSecretRef names a role of the source, and the platform has none: leave passwordSecretRef out"
        ),
    ))
}

/// Disables the virtual database, then takes its address away; `None`: that is done.
pub fn stop(observed: &Observed, frame: &Frame<'_>, reason: Reason) -> Option<Plan> {
    let name = Names::of(frame).record();
    let record = observed.children.own(&name, &observed.cr)?;
    let wait = || Plan::wait(reason, "the server is stopping", JOB_WAIT);
    Some(match &observed.tower {
        Tower::Failed(error) => tower_failed(error),
        Tower::Vdb(Some(vdb)) if vdb.enabled != Some(false) => {
            Plan::Act(Step::DisableVdb { id: vdb.id.clone() })
        }
        Tower::JobFailed(job) => failed(observed, job),
        Tower::Vdb(_) if record.meta().deletion_timestamp.is_some() => {
            Plan::wait(reason, "the server's address is being removed", OBJECT_WAIT)
        }
        Tower::Vdb(_) => Plan::Act(Step::Delete {
            name,
            uid: record.meta().uid.clone().unwrap_or_default(),
            ending: Ending::Graceful,
        }),
        _ => wait(),
    })
}

/// Told once, then tried again.
fn failed(observed: &Observed, job: &dct::types::Job) -> Plan {
    let status = observed.cr.status.as_ref();
    let told = status
        .and_then(|s| s.condition("Ready"))
        .is_some_and(|c| c.reason == Reason::EngineRefused.as_str());
    match recorded(&observed.cr).id {
        Some(id) if told => Plan::Act(Step::DisableVdb { id }),
        _ => {
            let details = job.error_details.as_deref();
            let details = crate::one_line(details.unwrap_or("the job names no error"));
            Plan::stop(
                Reason::EngineRefused,
                format!("the server could not be stopped: job {}: {details}", job.id),
            )
        }
    }
}
