//! The status that follows from a pass. Pure: no write, no clock of its own.

use std::fmt::Write as _;

use environment::PostgresVdbStatus;
use environment::status::{
    Condition, Delivery, Endpoint, Phase, Refresh, RefreshState, Stage, Vdb,
};
use jiff::Timestamp;

use super::build::{Frame, Names, secret, server_settings};
use super::observe::{self, Observed, recorded};
use super::plan::{Outcome, Proof, Record, Step};
use super::{cleanup, collations, expiry, hooks, provision, refresh};
use crate::clock::{precise, seconds};
use crate::cluster::Object;
use crate::reason::{Kind, Reason};

/// The status after this outcome; `None` where none is to be written.
pub fn of(
    observed: &Observed,
    frame: &Frame<'_>,
    outcome: &Outcome,
    now: Timestamp,
) -> Option<PostgresVdbStatus> {
    let (reason, mut message) = told(observed, frame, outcome)?;
    if let Some(passed_over) = cleanup::passed_over(observed, frame) {
        let _ = write!(message, "; {passed_over}");
    }
    let failed_hooks = in_a_deletion(observed, frame, outcome);
    if let Some(failed) = &failed_hooks {
        let _ = write!(message, "; {failed}");
    }
    let none = PostgresVdbStatus::default();
    let before = observed.cr.status.as_ref().unwrap_or(&none);
    let mut status = PostgresVdbStatus {
        observed_generation: Some(observed.cr.generation()),
        ..before.clone()
    };
    status.vdb = vdb(observed, frame, outcome);
    status.refresh = exchange(observed, outcome, now);
    status.phase = Some(phase(observed, status.refresh.as_ref(), reason));
    if let Outcome::Ready(proof) = outcome {
        prove(&mut status, frame, proof);
    }
    status.stages = stages(known(observed), observed, reason, now);
    let mut conditions = Conditions {
        before: &before.conditions,
        generation: observed.cr.generation(),
        now,
        made: Vec::new(),
    };
    conditions.fill(observed, frame, outcome, reason, &message);
    status.conditions = conditions.made;
    let stalled = |c: &Condition| c.kind == "Stalled" && c.status == "True";
    if !status.conditions.iter().any(stalled)
        && let Some(failure) = unfulfilled(observed, status.refresh.as_ref())
    {
        let state = ("True", Reason::RefreshFailed);
        let times = (before.conditions.as_slice(), now);
        overrule(&mut status, times, "Stalled", state, &failure);
    }
    let failed_hook = failed_hooks.or_else(|| failed_hook(before, status.refresh.as_ref()));
    if let Some(failure) = failed_hook {
        let state = ("False", Reason::HookFailed);
        let times = (before.conditions.as_slice(), now);
        overrule(&mut status, times, "HooksSucceeded", state, &failure);
    }
    if serves_on(observed, frame, status.refresh.as_ref(), outcome) {
        keep_serving(&mut status, before);
    }
    Some(status)
}

/// What is written down of the exchange of the data.
fn exchange(observed: &Observed, outcome: &Outcome, now: Timestamp) -> Option<Refresh> {
    let before = refresh::recorded(&observed.cr).cloned();
    match outcome {
        Outcome::Recorded(Record::Refresh(change)) => Some(change.refresh.clone()),
        Outcome::Recorded(Record::Intent { .. }) => {
            before.or_else(|| refresh::begin::at_creation(&observed.cr))
        }
        // The new data is proved and shown in the same write.
        Outcome::Ready(_) => before.map(|before| match before.state {
            Some(RefreshState::Starting) => Refresh {
                state: Some(RefreshState::Committing),
                since: Some(precise(now)),
                ..before
            },
            _ => before,
        }),
        _ => before,
    }
}

/// The order asks for data that it did not get, though the database works. What a schedule did not get is missed until
/// an exchange succeeds: one that is under way, or an action that failed, makes up for nothing.
fn unfulfilled(observed: &Observed, refresh: Option<&Refresh>) -> Option<String> {
    let wish = observed.cr.spec.refresh.as_ref();
    let (refresh, wish) = refresh.zip(wish.filter(|_| !observed.cr.is_deleting()))?;
    let is_asked = match &refresh.token {
        Some(token) => wish.token.as_ref() == Some(token),
        None => wish.schedule.is_some(),
    };
    match refresh.state? {
        RefreshState::Committing | RefreshState::Succeeded => None,
        RefreshState::Failed if refresh.action.is_none() => is_asked.then(|| failure_of(refresh)),
        _ if refresh.token.is_some() => None,
        _ => observed
            .cr
            .status
            .as_ref()
            .and_then(|s| s.condition("Stalled"))
            .filter(|c| c.status == "True" && c.reason == Reason::RefreshFailed.as_str())
            .map(|c| c.message.clone()),
    }
}

/// The hooks of a deletion that have failed so far.
fn in_a_deletion(observed: &Observed, frame: &Frame<'_>, outcome: &Outcome) -> Option<String> {
    let told = hooks::told(observed, frame);
    let new = match outcome {
        Outcome::Recorded(Record::HookFailed(message)) => Some(message.as_str()),
        _ => None,
    };
    let all: Vec<&str> = told.into_iter().chain(new).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// The hook that an exchange failed for, until one succeeds.
fn failed_hook(before: &PostgresVdbStatus, refresh: Option<&Refresh>) -> Option<String> {
    let refresh = refresh?;
    match refresh.state? {
        RefreshState::Committing | RefreshState::Succeeded => None,
        _ if refresh.reason.as_deref() == Some(Reason::HookFailed.as_str()) => {
            refresh.message.clone()
        }
        _ => before
            .condition("HooksSucceeded")
            .filter(|c| c.status == "False" && c.reason == Reason::HookFailed.as_str())
            .map(|c| c.message.clone()),
    }
}

/// Which exchange of the data failed, why, and what to do.
pub(super) fn failure_of(refresh: &Refresh) -> String {
    let which = match (&refresh.token, &refresh.action) {
        (Some(token), _) => format!("refresh {token}"),
        (None, Some(action)) => action.split('/').take(2).collect::<Vec<_>>().join(" "),
        (None, None) => "the scheduled refresh".to_owned(),
    };
    let why = refresh.message.as_deref().unwrap_or_default();
    hinted(Reason::RefreshFailed, &format!("{which} failed: {why}"))
}

/// The time of the last change stays while the condition does.
fn since(before: &[Condition], kind: &str, status: &str, now: Timestamp) -> String {
    let same = before.iter().find(|c| c.kind == kind && c.status == status);
    same.map_or_else(|| seconds(now), |c| c.last_transition_time.clone())
}

/// A condition that the way to Ready does not decide alone.
fn overrule(
    status: &mut PostgresVdbStatus,
    (before, now): (&[Condition], Timestamp),
    kind: &str,
    (holds, reason): (&str, Reason),
    message: &str,
) {
    let since = since(before, kind, holds, now);
    for condition in status.conditions.iter_mut().filter(|c| c.kind == kind) {
        condition.last_transition_time.clone_from(&since);
        holds.clone_into(&mut condition.status);
        condition.reason = reason.to_string();
        message.clone_into(&mut condition.message);
    }
}

/// The server that was proved still serves, whatever else is going on.
fn serves_on(
    observed: &Observed,
    frame: &Frame<'_>,
    refresh: Option<&Refresh>,
    outcome: &Outcome,
) -> bool {
    let begun = refresh::under_way(&observed.cr).is_some()
        || matches!(outcome, Outcome::Recorded(Record::Refresh(_)));
    let state = refresh.and_then(|r| r.state);
    let proves = matches!(outcome, Outcome::Ready(_));
    begun
        && state.is_none_or(refresh::serves)
        && !proves
        && !observed.cr.is_deleting()
        && refresh::still_serves(observed, frame)
}

/// Ready stays what it was. Before the exchange nothing says that the present order is carried out.
fn keep_serving(status: &mut PostgresVdbStatus, before: &PostgresVdbStatus) {
    use RefreshState::{Committing, Succeeded};
    let Some(ready) = before.condition("Ready").cloned() else {
        return;
    };
    let state = status.refresh.as_ref().and_then(|r| r.state);
    if !matches!(state, Some(Committing | Succeeded)) {
        status.observed_generation = before.observed_generation;
    }
    let over = state.is_none_or(RefreshState::is_over);
    for condition in &mut status.conditions {
        if condition.kind == "Ready" {
            *condition = ready.clone();
        } else if condition.kind == "Reconciling" && over {
            "False".clone_into(&mut condition.status);
            condition.reason.clone_from(&ready.reason);
            condition.message.clear();
        }
    }
}

/// Reason and message of Ready.
fn told(observed: &Observed, frame: &Frame<'_>, outcome: &Outcome) -> Option<(Reason, String)> {
    let deleting = observed.cr.is_deleting();
    Some(match outcome {
        Outcome::Again | Outcome::Settled { .. } | Outcome::Gone => return None,
        Outcome::Recorded(_) if deleting => (
            Reason::Deleting,
            "the virtual database is being removed".to_owned(),
        ),
        Outcome::Recorded(Record::Refresh(change)) => told_of(&change.refresh),
        // The order is about to be sent again, and how that ends is not known yet.
        Outcome::Recorded(Record::Intent { .. }) if provision::refused(observed).is_some() => {
            provision::refused(observed)?
        }
        Outcome::Recorded(Record::Job(_)) if refresh::under_way(&observed.cr).is_some() => {
            refresh::recorded(&observed.cr).map(told_of)?
        }
        Outcome::Recorded(Record::Job(job)) if job.operation == "disable" => (
            expiry::rests(&observed.cr, observed.now).unwrap_or(Reason::Suspended),
            "the server is stopping".to_owned(),
        ),
        Outcome::Recorded(Record::Job(_)) => (
            Reason::Enabling,
            "the virtual database is being enabled".to_owned(),
        ),
        Outcome::Recorded(_) => (
            Reason::Provisioning,
            "the virtual database is being made".to_owned(),
        ),
        Outcome::Waiting(waiting) => (waiting.reason, waiting.message.clone()),
        Outcome::Stopped(stop) => (stop.reason, hinted(stop.reason, &stop.message)),
        Outcome::Suspended(reason) => {
            let message = expiry::message(&observed.cr, *reason);
            (*reason, hinted(*reason, &message))
        }
        Outcome::Ready(_) => (Reason::Verified, ready_message(observed, frame)),
    })
}

/// Where an exchange of the data stands, in a word and a sentence.
fn told_of(refresh: &Refresh) -> (Reason, String) {
    let point = refresh.point.clone().unwrap_or_default();
    let why = refresh.message.as_deref().unwrap_or_default();
    match refresh.state {
        Some(RefreshState::Undoing | RefreshState::Restoring) => (
            Reason::Undoing,
            format!("the data before comes back, because the exchange failed: {why}"),
        ),
        Some(RefreshState::UndoFailed) => (
            Reason::RefreshUndoFailed,
            hinted(Reason::RefreshUndoFailed, why),
        ),
        Some(RefreshState::Succeeded) => {
            (Reason::Refreshing, format!("the data is that of {point}"))
        }
        _ => (
            Reason::Refreshing,
            format!("the data is exchanged for that of {point}"),
        ),
    }
}

fn hinted(reason: Reason, message: &str) -> String {
    match reason.hint() {
        "" => message.to_owned(),
        hint => format!("{message}; {hint}"),
    }
}

fn ready_message(observed: &Observed, frame: &Frame<'_>) -> String {
    let spec = &frame.cr.spec;
    let mut message = format!(
        "{} answered a query as {} through the Service",
        spec.database.name, spec.database.user
    );
    let ignored = server_settings::ignored(spec);
    if !ignored.is_empty() {
        let _ = write!(
            message,
            "; ignored settings of postgresConfig, because the platform owns them: {}",
            ignored.join(", ")
        );
    }
    if spec.database.password.is_some() {
        message += "; warning: spec.database.password stands in the manifest, use passwordSecretRef or none";
    }
    message.extend(collations::warning(observed));
    message
}

fn phase(observed: &Observed, refresh: Option<&Refresh>, reason: Reason) -> Phase {
    let state = refresh.and_then(|r| r.state);
    let stalled = reason.kind() == Kind::Stalled || is_failure(reason);
    match reason {
        _ if observed.cr.is_deleting() => Phase::Deleting,
        Reason::Verified => Phase::Running,
        Reason::Refreshing
            if matches!(
                state,
                None | Some(
                    RefreshState::Succeeded | RefreshState::Failed | RefreshState::Committing
                )
            ) =>
        {
            Phase::Running
        }
        _ if state.is_some_and(|s| !s.is_over()) && !stalled => Phase::Refreshing,
        Reason::Suspended | Reason::Expired => Phase::Suspended,
        _ if stalled => Phase::Failed,
        _ if recorded(&observed.cr).intent.is_none() => Phase::Pending,
        _ => Phase::Provisioning,
    }
}

/// Ended jobs wait for a whole `errorBackoffPeriod`: for people and for Argo CD that is a failure, not progress.
fn is_failure(reason: Reason) -> bool {
    matches!(reason, Reason::ProvisionFailed | Reason::EnableFailed)
}

fn vdb(observed: &Observed, frame: &Frame<'_>, outcome: &Outcome) -> Option<Vdb> {
    let mut vdb = observed
        .cr
        .status
        .as_ref()
        .and_then(|s| s.vdb.clone())
        .unwrap_or_default();
    match outcome {
        Outcome::Recorded(Record::Intent { intent, .. }) => {
            vdb = Vdb {
                name: Some(intent.name.clone()),
                intent: Some(intent.clone()),
                generation: Some(frame.generation),
                delivery: frame.is_remote().then_some(Delivery::TargetHost),
                ..Vdb::default()
            };
        }
        Outcome::Recorded(Record::Vdb { id, job }) => {
            vdb.id.clone_from(id);
            vdb.job.clone_from(job);
        }
        Outcome::Recorded(Record::Job(job)) => vdb.job = Some(job.clone()),
        Outcome::Recorded(Record::Generation(generation)) => vdb.generation = Some(*generation),
        Outcome::Recorded(Record::Refresh(change)) => {
            vdb.job = None;
            vdb.generation = change.generation.or(vdb.generation);
        }
        Outcome::Ready(proof) => {
            vdb.job = None;
            vdb.export = Some(proof.copy.export.clone());
        }
        _ => {}
    }
    (vdb != Vdb::default()).then_some(vdb)
}

fn prove(status: &mut PostgresVdbStatus, frame: &Frame<'_>, proof: &Proof) {
    status.endpoint = Some(Endpoint {
        host: secret::host(frame),
        port: frame.cr.spec.port,
    });
    status.connection_string = Some(secret::connection_string(frame));
    status.credentials_secret = Some(Names::of(frame).credentials().name);
    status.data_as_of.clone_from(&proof.copy.data_as_of);
    status.verified = Some(proof.verified.clone());
}

/// Which stage of the way to Ready a reason belongs to.
fn stage(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::Pending => "accept",
        Reason::Provisioning => "provision",
        Reason::Enabling => "enable",
        Reason::Starting => "start",
        Reason::RunningHooks => "hooks",
        Reason::Publishing => "publish",
        _ => return None,
    })
}

/// The stage that a step begins, where no status is written between it and the one before.
fn begins(step: &Step) -> Option<Reason> {
    match step {
        Step::Apply(objects) | Step::ApplyWithAdmin(objects) => objects
            .iter()
            .any(|object| matches!(object, Object::StatefulSet(_)))
            .then_some(Reason::Starting),
        Step::Prepare(_) => Some(Reason::Starting),
        Step::Hook(_) => Some(Reason::RunningHooks),
        Step::PublishSecret(_) => Some(Reason::Publishing),
        _ => None,
    }
}

/// The stages once the step has begun; they go into the next status that is written.
pub fn entered(observed: &Observed, step: &Step, now: Timestamp) -> Vec<Stage> {
    let was = known(observed);
    match begins(step) {
        Some(reason) => stages(was, observed, reason, now),
        None => was,
    }
}

/// Memory knows more than the status, which is written sparingly.
fn known(observed: &Observed) -> Vec<Stage> {
    if observed.memory.stages.is_empty() {
        let status = observed.cr.status.as_ref();
        status.map(|s| s.stages.clone()).unwrap_or_default()
    } else {
        observed.memory.stages.clone()
    }
}

/// The stages so far. They are those of the way to the first Ready: once it is reached they stay.
fn stages(
    mut stages: Vec<Stage>,
    observed: &Observed,
    reason: Reason,
    now: Timestamp,
) -> Vec<Stage> {
    let ended = stages.last().is_some_and(|s| s.finished_at.is_some());
    if ended || observed.cr.is_deleting() {
        return stages;
    }
    if stages.is_empty() {
        let created = observed
            .cr
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(now, |t| t.0);
        stages.push(Stage {
            name: "accept".to_owned(),
            started_at: precise(created),
            finished_at: None,
        });
    }
    let current = stages.last().map(|s| s.name.clone()).unwrap_or_default();
    let next =
        stage(reason).filter(|next| *next != current && !stages.iter().any(|s| s.name == *next));
    if (next.is_some() || reason == Reason::Verified)
        && let Some(last) = stages.last_mut()
    {
        last.finished_at = Some(precise(now));
    }
    if let Some(next) = next {
        stages.push(Stage {
            name: next.to_owned(),
            started_at: precise(now),
            finished_at: None,
        });
    }
    stages
}

struct Conditions<'a> {
    before: &'a [Condition],
    generation: i64,
    now: Timestamp,
    made: Vec<Condition>,
}

impl Conditions<'_> {
    fn fill(
        &mut self,
        observed: &Observed,
        frame: &Frame<'_>,
        outcome: &Outcome,
        reason: Reason,
        message: &str,
    ) {
        let ready = reason == Reason::Verified;
        let stalled = reason.kind() == Kind::Stalled || is_failure(reason);
        let suspended = matches!(reason, Reason::Suspended | Reason::Expired);
        let rests = ready || stalled || suspended;
        self.push("Ready", ready, reason.as_str(), message);
        self.push(
            "Reconciling",
            !rests,
            reason.as_str(),
            if rests { "" } else { message },
        );
        self.push(
            "Stalled",
            stalled,
            reason.as_str(),
            if stalled { message } else { "" },
        );
        let delivered = observe::copy(observed, &Names::of(frame)).is_some();
        let made = if delivered {
            "Delivered"
        } else {
            reason.as_str()
        };
        self.push("Provisioned", delivered, made, "");
        let published = ready || self.stood("CredentialsPublished");
        self.push(
            "CredentialsPublished",
            published,
            if published { "Published" } else { "Pending" },
            "",
        );
        let hooked = ready || self.stood("HooksSucceeded");
        let failed = matches!(outcome, Outcome::Stopped(stop) if stop.reason == Reason::HookFailed);
        let state = if hooked {
            "Succeeded"
        } else if failed {
            "HookFailed"
        } else {
            "Pending"
        };
        self.push(
            "HooksSucceeded",
            hooked,
            state,
            if failed { message } else { "" },
        );
        let (holds, why, text) = collations::shown(observed, frame, outcome, self.before);
        self.set(collations::CONDITION, &holds, &why, &text);
        self.push("Suspended", suspended, reason.as_str(), "");
    }

    fn stood(&self, kind: &str) -> bool {
        self.before
            .iter()
            .any(|c| c.kind == kind && c.status == "True")
    }

    fn push(&mut self, kind: &str, holds: bool, reason: &str, message: &str) {
        let status = if holds { "True" } else { "False" };
        self.set(kind, status, reason, message);
    }

    fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let since = since(self.before, kind, status, self.now);
        self.made.push(Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: Some(self.generation),
            last_transition_time: since,
        });
    }
}

/// Nothing that anybody reads has changed.
pub fn same(before: &PostgresVdbStatus, after: &PostgresVdbStatus) -> bool {
    // Named one by one, so that a new field is not forgotten here.
    let PostgresVdbStatus {
        observed_generation,
        phase,
        conditions,
        endpoint,
        connection_string,
        credentials_secret,
        vdb,
        data_as_of,
        verified,
        refresh,
        stages: _,
    } = before;
    *observed_generation == after.observed_generation
        && *phase == after.phase
        && *conditions == after.conditions
        && *endpoint == after.endpoint
        && *connection_string == after.connection_string
        && *credentials_secret == after.credentials_secret
        && *vdb == after.vdb
        && *data_as_of == after.data_as_of
        && *verified == after.verified
        && *refresh == after.refresh
}

/// Only the story has changed: neither an id, nor what is proved, nor what programs wait for.
pub fn is_progress_only(before: &PostgresVdbStatus, after: &PostgresVdbStatus) -> bool {
    let waited_for = |status: &PostgresVdbStatus| {
        let holds = |kind: &str| status.condition(kind).map(|c| c.status.clone());
        (holds("Ready"), holds("Stalled"), holds("Suspended"))
    };
    // A cause is news at once: the next pass may only be waiting, and then it would never be said.
    let reason = after.condition("Ready").map(|c| c.reason.as_str());
    let cause = reason
        .and_then(Reason::named)
        .is_some_and(|reason| reason.kind() != Kind::Progress);
    let said = reason == before.condition("Ready").map(|c| c.reason.as_str());
    let hooks = |status: &PostgresVdbStatus| {
        let hooks = status.condition("HooksSucceeded");
        hooks.map(|c| (c.reason.clone(), c.message.clone()))
    };
    !before.conditions.is_empty()
        && (said || !cause)
        && before.vdb == after.vdb
        && before.verified == after.verified
        && before.refresh == after.refresh
        && before.observed_generation == after.observed_generation
        && waited_for(before) == waited_for(after)
        && hooks(before) == hooks(after)
}
