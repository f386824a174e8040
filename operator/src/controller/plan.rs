//! What to do next, decided from what was observed alone: one external step, or why there is none. Pure.

use std::time::Duration;

use dct::types::ProvisionBySnapshot;
use environment::spec::HookStage;
use environment::status::{Intent, Job, Verified};
use k8s_openapi::api::batch::v1::Job as HookJob;

use super::build::{Copy, Frame, Names};
use super::observe::{self, Observed};
use super::{cleanup, desired, expiry, farewell, hooks, pod, provision, refresh, remote};
use crate::clock::between;
use crate::cluster::{Ending, Name, Object};
use crate::reason::Reason;
use crate::rules::{self, Refusal};
use crate::scram::Password;
use crate::sql::Preparation;

/// The poller wakes the resource; this is only for a lost message.
pub const JOB_WAIT: Duration = Duration::from_secs(30);
/// The watch wakes the resource; this is only for a lost message.
pub const OBJECT_WAIT: Duration = Duration::from_secs(2);
/// A query about so often keeps Ready true.
pub const PROBE_INTERVAL: Duration = Duration::from_mins(10);
/// The same while the kubelet does not call the server ready.
const UNREADY_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub enum Plan {
    Act(Step),
    Done(Outcome),
}

/// One external step.
#[derive(Debug)]
pub enum Step {
    AddFinalizer,
    RecordIntent {
        source: String,
    },
    Provision(Box<ProvisionBySnapshot>),
    /// Found what an earlier process ordered.
    Adopt {
        vdb: Option<String>,
        job: Option<Job>,
    },
    Enable {
        vdb: String,
        /// Of the files for a pod; none for a server on its own host.
        owner: Option<String>,
    },
    Apply(Vec<Object>),
    /// The same, with a new password for the platform's role.
    ApplyWithAdmin(Vec<Object>),
    Hook(Box<HookJob>),
    HookFailed {
        hook: String,
        job: String,
    },
    Prepare(Box<Preparation>),
    PublishSecret(Option<Password>),
    Prove(Box<Proof>),
    Delete {
        name: Name,
        uid: String,
        ending: Ending,
    },
    DeleteVdb {
        id: String,
    },
    DisableVdb {
        id: String,
    },
    /// Bookmarks the data as it is.
    Keep {
        vdb: String,
        name: String,
    },
    /// Its sessions hear that the server is going to stop.
    Tell(farewell::Stop),
    Exchange(refresh::Exchange),
    /// The bookmark goes, and with it the transaction ends.
    Forget {
        bookmark: String,
    },
    Abandon,
    Release {
        retained: bool,
    },
}

impl Step {
    /// Nothing comes of it before the API server has compared the version that was read with the present one, or it does
    /// the server no harm to have it once more.
    pub fn is_fenced(&self) -> bool {
        matches!(
            self,
            Self::AddFinalizer
                | Self::RecordIntent { .. }
                | Self::Adopt { .. }
                | Self::HookFailed { .. }
                | Self::Prepare(_)
                | Self::Prove(_)
                | Self::Release { .. }
        )
    }
}

/// The last step before Ready.
#[derive(Clone, Debug)]
pub struct Proof {
    pub password: Password,
    pub verified: Verified,
    pub copy: Copy,
    /// The password is the one that was proved before: ask first, set it only if the server refuses it.
    pub known: bool,
}

/// What a pass came to.
#[derive(Debug)]
pub enum Outcome {
    Again,
    /// Something that must be in the status before anything else is done.
    Recorded(Record),
    Waiting(Waiting),
    Stopped(Stop),
    Ready(Box<Proof>),
    /// Ready, and nothing to do.
    Settled {
        probe: Duration,
    },
    Suspended(Reason),
    Gone,
}

#[derive(Clone, Debug)]
pub enum Record {
    Intent {
        intent: Intent,
        source: String,
    },
    Vdb {
        id: Option<String>,
        job: Option<Job>,
    },
    Job(Job),
    /// The present data generation, where the status named none.
    Generation(u32),
    Refresh(Box<refresh::Change>),
    /// A hook of a deletion failed, which goes on: the message is all that is left of it.
    HookFailed(String),
}

#[derive(Clone, Debug)]
pub struct Waiting {
    pub reason: Reason,
    pub message: String,
    pub after: Duration,
}

#[derive(Clone, Debug)]
pub struct Stop {
    pub reason: Reason,
    pub message: String,
}

impl Plan {
    pub fn wait(reason: Reason, message: impl Into<String>, after: Duration) -> Self {
        Self::Done(Outcome::Waiting(Waiting {
            reason,
            message: message.into(),
            after,
        }))
    }

    pub fn stop(reason: Reason, message: impl Into<String>) -> Self {
        Self::Done(Outcome::Stopped(Stop {
            reason,
            message: message.into(),
        }))
    }

    pub fn refuse((reason, message): &Refusal) -> Self {
        Self::stop(*reason, message.clone())
    }
}

pub fn plan(observed: &Observed, frame: &Frame<'_>) -> Plan {
    if let Some(error) = &observed.children.barred
        && cleanup::until_deadline(observed, frame.settings) != Some(Duration::ZERO)
    {
        return Plan::stop(Reason::RightMissing, error.to_string());
    }
    if observed.cr.is_deleting() {
        return cleanup::plan(observed, frame);
    }
    if observed.namespace_ends
        && let Some(plan) = cleanup::give_up(observed, frame)
    {
        return plan;
    }
    if !observed.cr.has_finalizer() {
        return Plan::Act(Step::AddFinalizer);
    }
    if let Err(refusal) = rules::check(&observed.cr, &frame.settings.allow, observed.now) {
        return Plan::refuse(&refusal);
    }
    if let Some(refusal) = remote::refusal(frame) {
        return Plan::refuse(&refusal);
    }
    if let Some(plan) = refresh::plan(observed, frame) {
        return plan;
    }
    // An exchange of the data is brought to its end first.
    let rests = expiry::rests(&observed.cr, observed.now)
        .filter(|_| refresh::under_way(&observed.cr).is_none());
    let plan = match (rests, observe::copy(observed, &Names::of(frame))) {
        (None, Some(copy)) => run(observed, frame, &copy),
        (None, None) => provision::provision(observed, frame),
        (Some(reason), _) => {
            let plan = stop(observed, frame, reason);
            let plan = plan.unwrap_or(Plan::Done(Outcome::Suspended(reason)));
            let why = farewell::rest(observed, reason);
            farewell::first(observed, frame, why, reason, plan)
        }
    };
    refresh::settle(observed, frame, plan)
}

/// Takes the server away and keeps everything else; `None` once it is gone.
pub fn stop(observed: &Observed, frame: &Frame<'_>, reason: Reason) -> Option<Plan> {
    if frame.is_remote() {
        return remote::stop(observed, frame, reason);
    }
    let names = Names::of(frame);
    let set = observed.children.stateful_set(&names.stateful_set());
    let wanted = observe::copy(observed, &names)
        .zip(set)
        .map(|(copy, _)| desired::stopped(observed, frame, &copy));
    if let Some(wanted) = wanted.filter(|wanted| desired::differs(observed, wanted)) {
        return Some(Plan::Act(Step::Apply(vec![wanted])));
    }
    observed.children.pod(&names.pod())?;
    Some(Plan::wait(reason, "the server is stopping", OBJECT_WAIT))
}

/// From the copy to a proved database.
fn run(observed: &Observed, frame: &Frame<'_>, copy: &Copy) -> Plan {
    if let Some(plan) = desired::step(observed, frame, desired::all(observed, frame, copy)) {
        return plan;
    }
    if let Some(plan) = replaced(observed, frame) {
        return plan;
    }
    let pod = match remote::server(observed, frame) {
        pod::State::Waiting(message) => return Plan::wait(Reason::Starting, message, OBJECT_WAIT),
        pod::State::Failed(reason, message) => return Plan::stop(reason, message),
        pod::State::Up(pod) => pod,
    };
    let password = match password(observed, frame) {
        Ok(password) => password,
        Err(refusal) => return Plan::refuse(&refusal),
    };
    let published = desired::credentials(observed, frame, password.as_ref());
    let verified = published
        .as_ref()
        .map(|(_, hash)| pod.verified(hash.clone()));
    if let Some(verified) = &verified
        && let Some(left) = settled(observed, verified, pod.ready)
    {
        return Plan::Done(Outcome::Settled { probe: left });
    }
    let order = preparation(frame, copy);
    let prepared = observed.memory.prepared.as_ref();
    // Another user or database in the order needs another preparation of the same server.
    let stands = prepared.is_some_and(|p| p.run == pod.run() && p.order == order);
    if !stands && !frame.has_own_role() {
        return Plan::Act(Step::Prepare(Box::new(order)));
    }
    // What was proved once has been through them; the condition may tell of an exchange.
    let created = observed
        .cr
        .status
        .as_ref()
        .is_some_and(|s| s.verified.is_some());
    let stage =
        refresh::start_hooks(&observed.cr).filter(|s| !created || *s != HookStage::PostCreate);
    if let Some(plan) = stage.and_then(|stage| hooks::next(observed, frame, stage)) {
        return plan;
    }
    match published.zip(verified) {
        None => Plan::Act(Step::PublishSecret(password)),
        Some(((password, _), verified)) => {
            let before = observed
                .cr
                .status
                .as_ref()
                .and_then(|s| s.verified.as_ref());
            // Other data knows other passwords.
            let known = refresh::under_way(&observed.cr).is_none()
                && before.is_some_and(|b| b.secret_hash == verified.secret_hash);
            Plan::Act(Step::Prove(Box::new(Proof {
                password,
                verified,
                copy: copy.clone(),
                known,
            })))
        }
    }
}

/// Waits until the pod is the one that the changed spec asks for.
fn replaced(observed: &Observed, frame: &Frame<'_>) -> Option<Plan> {
    let names = Names::of(frame);
    let pod = observed.children.pod(&names.pod())?;
    let set = observed.children.stateful_set(&names.stateful_set())?;
    Some(match pod::outdated(pod, set)? {
        pod::Outdated::Leaving => Plan::wait(
            Reason::Starting,
            "the server's pod is being replaced",
            OBJECT_WAIT,
        ),
        pod::Outdated::Stuck => Plan::Act(Step::Delete {
            name: names.pod(),
            uid: pod.metadata.uid.clone()?,
            ending: Ending::Graceful,
        }),
    })
}

fn preparation(frame: &Frame<'_>, copy: &Copy) -> Preparation {
    let database = &frame.cr.spec.database;
    Preparation {
        identity: copy.identity.clone(),
        database: database.name.clone(),
        user: database.user.clone(),
        create_if_missing: database.create_if_missing,
        collations: frame.cr.spec.collations,
        reindex_deadline: frame.settings.reindex_deadline,
    }
}

/// Time until the next probe, if what was proved still stands.
fn settled(observed: &Observed, verified: &Verified, pod_ready: bool) -> Option<Duration> {
    let status = observed.cr.status.as_ref()?;
    let stands =
        status.is_ready(observed.cr.generation()) && status.verified.as_ref() == Some(verified);
    // Just after the proof the kubelet's own probe has not come by yet.
    let proof = observed.memory.last_proof;
    let fresh = proof.is_some_and(|at| between(at, observed.now) < UNREADY_INTERVAL);
    let left = until_probe(observed);
    (stands && (pod_ready || fresh) && !left.is_zero()).then_some(if pod_ready {
        left
    } else {
        UNREADY_INTERVAL
    })
}

/// Each resource has an interval of its own, so that not all are asked at once. A process that has just started
/// believes what is written and spreads its first probes over a whole interval.
fn until_probe(observed: &Observed) -> Duration {
    let uid = observed.cr.uid();
    let (since, interval) = match observed.memory.last_proof {
        Some(at) => (at, interval(uid)),
        None => (
            observed.memory.met.unwrap_or(observed.now),
            PROBE_INTERVAL.mul_f64(0.1 + 0.9 * share(uid)),
        ),
    };
    interval.saturating_sub(between(since, observed.now))
}

/// Between two probes of a resource.
pub(super) fn interval(uid: &str) -> Duration {
    PROBE_INTERVAL.mul_f64(0.9 + 0.2 * share(uid))
}

/// Between 0 and 1, the same for the same resource.
fn share(uid: &str) -> f64 {
    let hash = uid.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    f64::from(hash) / f64::from(u32::MAX)
}

/// The ordered password; `None`: whatever the Secret has, or a generated one.
pub(super) fn password(
    observed: &Observed,
    frame: &Frame<'_>,
) -> Result<Option<Password>, Refusal> {
    let database = &frame.cr.spec.database;
    let Some(reference) = &database.password_secret_ref else {
        return Ok(database.password.as_deref().map(Password::new));
    };
    let missing = || {
        (
            Reason::PasswordSecretMissing,
            format!("there is no Secret {reference} with a password under the key password"),
        )
    };
    desired::ordered_password(observed, frame)
        .map(Some)
        .ok_or_else(missing)
}
